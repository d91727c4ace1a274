//! Origins: the repositories that a blob which is not in the store can be had from.
//!
//! A blob with an *origin* counts as there for whoever only needs its descriptor: it is fetched
//! when somebody needs its bytes. An origin is a hint, never a promise; the digest decides.

use super::write::{self, Durability};
use super::{Store, StoreError};
use crate::digest::Digest;
use std::io;
use std::path::PathBuf;

/// More repositories than any blob is looked for in.
const ORIGINS_LIMIT: u64 = 64 * 1024;
/// The newest repositories are kept.
const KEPT: usize = 8;

impl Store {
    /// The repositories that may have a blob, as `registry/path`, the newest first.
    pub fn origins(&self, digest: &Digest) -> Result<Vec<String>, StoreError> {
        match write::read_limited(&self.origin_path(digest), ORIGINS_LIMIT) {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                Ok(text.lines().map(str::to_owned).collect())
            }
            Err(StoreError::TooLarge { .. }) => Ok(Vec::new()),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers that `repository` has a blob.
    pub fn add_origin(&self, digest: &Digest, repository: &str) -> Result<(), StoreError> {
        let mut origins = self.origins(digest)?;
        if origins.first().is_some_and(|first| first == repository) {
            return Ok(());
        }
        origins.retain(|origin| origin != repository);
        origins.insert(0, repository.to_owned());
        origins.truncate(KEPT);
        let text = origins.join("\n");
        let path = self.origin_path(digest);
        write::write_atomically(
            &self.folder("tmp"),
            &path,
            text.as_bytes(),
            Durability::Lazy,
        )
    }

    fn origin_path(&self, digest: &Digest) -> PathBuf {
        self.folder("origins").join(digest.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_origins_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of("a");
        assert!(store.origins(&digest).unwrap().is_empty());
        for number in 0..10 {
            store.add_origin(&digest, &format!("r/{number}")).unwrap();
        }
        store.add_origin(&digest, "r/5").unwrap();
        let origins = store.origins(&digest).unwrap();
        assert_eq!(origins.len(), KEPT);
        assert_eq!(origins[..3], ["r/5", "r/9", "r/8"]);
    }
}
