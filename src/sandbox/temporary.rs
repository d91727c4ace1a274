//! Temporary paths: what comes to be there during a step is taken away at its end.
//!
//! A path is *temporary* if nothing lies there when it is noted. What lies there already belongs
//! to the image, and is left alone.

use super::{inside, users};
use crate::layer;
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

/// A path where nothing was, inside the root.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    /// Folders above it that are not there either, outermost first.
    missing: Vec<PathBuf>,
}

impl Temporary {
    /// Notes a path; none if something lies there. `~USER/…` lies in the user's home folder.
    pub fn note(path: &str) -> Result<Option<Self>, String> {
        let failed = |error: io::Error| format!("look at {path}: {error}");
        let path = match path.strip_prefix('~').and_then(|rest| rest.split_once('/')) {
            Some((user, below)) => Path::new(&users::resolve(user)?.home).join(below),
            None => Path::new("/").join(path),
        };
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let leads_up = |part: Component<'_>| matches!(part, Component::ParentDir);
        if path.components().any(leads_up) {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let mut missing = Vec::new();
        let mut folders: Vec<&Path> = above.ancestors().collect();
        folders.reverse();
        for folder in folders {
            match inside::open_folder(folder) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing.push(folder.to_owned());
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if missing.is_empty() {
            let folder = inside::open_folder(above).map_err(failed)?;
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(Some(Self { path, missing }))
    }

    /// Removes what lies there now, and the folders above it that were not there and are empty.
    pub fn remove(self) -> Result<(), String> {
        let failed = |reason: &dyn std::fmt::Display| {
            format!("remove {} after the step: {reason}", self.path.display())
        };
        let (Some(above), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(());
        };
        match inside::open_folder(above) {
            Ok(folder) => {
                layer::remove_tree(folder.as_fd(), name).map_err(|error| failed(&error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
        }
        for folder in self.missing.iter().rev() {
            // It stays if the step has put something into it.
            let _ = inside::remove_empty_folder(folder);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn note(path: &Path) -> Option<Temporary> {
        Temporary::note(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn what_came_goes_and_what_was_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("old")).unwrap();
        fs::write(root.join("old/file"), "").unwrap();
        symlink("nowhere", root.join("link")).unwrap();
        assert!(note(&root.join("old")).is_none());
        assert!(note(&root.join("old/file")).is_none());
        assert!(note(&root.join("link")).is_none());
        assert!(note(Path::new("/")).is_none());

        let deep = note(&root.join("new/a/b")).unwrap();
        let member = note(&root.join("old/member")).unwrap();
        let unused = note(&root.join("unused/a")).unwrap();
        fs::create_dir_all(root.join("new/a/b/c")).unwrap();
        fs::write(root.join("new/a/b/c/file"), "").unwrap();
        symlink(root.join("old"), root.join("old/member")).unwrap();
        for temporary in [unused, member, deep] {
            temporary.remove().unwrap();
        }
        assert!(!root.join("new").exists());
        assert!(!root.join("unused").exists());
        assert!(root.join("old/member").symlink_metadata().is_err());
        assert!(root.join("old/file").exists());
    }

    #[test]
    fn folders_above_stay_if_they_are_in_use() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let temporary = note(&root.join("a/b/c")).unwrap();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/kept"), "").unwrap();
        temporary.remove().unwrap();
        assert!(!root.join("a/b").exists());
        assert!(root.join("a/kept").exists());
    }

    #[test]
    fn a_magic_link_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("outside")).unwrap();
        let temporary = note(&root.join("tmp/stage")).unwrap();
        fs::create_dir(root.join("outside/stage")).unwrap();
        let open = fs::File::open(root.join("outside")).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        symlink(format!("/proc/self/fd/{number}"), root.join("tmp")).unwrap();
        assert!(temporary.remove().is_err());
        assert!(root.join("outside/stage").exists());
        assert!(Temporary::note("/a/../b").is_err());
    }
}
