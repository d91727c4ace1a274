//! Requirements: folders of files from elsewhere that a lock file pins, by their content.
//!
//! Which content a folder has is for the caller to say, and to check when it is used.

use super::{Store, StoreError};
use crate::digest::Digest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

impl Store {
    /// The folder with this content; none if it is not here.
    pub fn requirement(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.requirement_path(digest);
        path.is_dir().then_some(path)
    }

    /// Keeps a folder, which must be on the store's file system, as the one with this content.
    pub fn put_requirement(&self, folder: &Path, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.requirement_path(digest);
        match fs::rename(folder, &path) {
            Ok(()) => Ok(path),
            // Somebody else was faster, with the same content.
            Err(error) if is_taken(&error) => Ok(path),
            Err(source) => Err(StoreError::io("keep", &path, source)),
        }
    }

    /// Removes a folder whose content is not what its name says.
    pub fn drop_requirement(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.requirement_path(digest);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    fn requirement_path(&self, digest: &Digest) -> PathBuf {
        self.folder("requirements").join(digest.hex())
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_kept_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let digest = Digest::of("content");
        assert_eq!(store.requirement(&digest), None);
        for _ in 0..2 {
            let scratch = store.scratch().unwrap();
            let made = scratch.path().join("made");
            fs::create_dir(&made).unwrap();
            fs::write(made.join("file"), "text").unwrap();
            store.put_requirement(&made, &digest).unwrap();
        }
        let path = store.requirement(&digest).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "text");
        store.drop_requirement(&digest).unwrap();
        store.drop_requirement(&digest).unwrap();
        assert_eq!(store.requirement(&digest), None);
    }
}
