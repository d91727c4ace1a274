//! Scratch folders: places in `tmp/` for what is being made.
//!
//! A *scratch* is a folder `tmp/NAME` with a locked file `tmp/NAME.alive` beside it. The file is
//! there, and locked, before the folder is, and goes after it; so a scratch whose file is
//! missing or not locked belongs to nobody alive. What lies in it may belong to subordinate ids
//! and then only the user namespace can remove it: that is the caller's part.

use super::{Store, StoreError, write};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const ALIVE: &str = ".alive";

/// A folder of our own until this is dropped.
///
/// Dropping it removes the folder as far as this user may; what stays is dead, and found by the
/// next [`Store::sweep`].
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    alive: PathBuf,
    /// Kept open because the lock lives as long as the descriptor.
    _file: File,
}

impl Scratch {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Failures are left to the next sweep, which also tries as mapped root.
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => drop(fs::remove_file(&self.alive)),
        }
    }
}

impl Store {
    /// Creates an empty scratch folder.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let tmp = self.folder("tmp");
        let failed = |source| StoreError::io("create a folder in", &tmp, source);
        let (file, alive) = tempfile::Builder::new()
            .prefix("scratch-")
            .suffix(ALIVE)
            .make_in(&tmp, |path| write::lock_new(File::create_new(path)?, path))
            .map_err(failed)?
            .keep()
            .map_err(|error| failed(error.error))?;
        let path = alive.with_extension("");
        let scratch = Scratch {
            path,
            alive,
            _file: file,
        };
        fs::create_dir(&scratch.path).map_err(failed)?;
        Ok(scratch)
    }

    /// Removes the temporary files of dead processes, and takes over their scratch folders.
    ///
    /// The caller empties each in the user namespace that its files belong to, then drops it.
    /// Nothing of a living process is touched, and no two sweeps return the same folder.
    pub fn sweep(&self) -> Result<Vec<Scratch>, StoreError> {
        let tmp = self.folder("tmp");
        let failed = |source| StoreError::io("read", &tmp, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&tmp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            names.push((entry.file_name(), is_folder));
        }
        names.sort();
        let mut dead = Vec::new();
        for (name, is_folder) in names {
            let path = tmp.join(&name);
            if is_folder {
                dead.extend(take_over(path)?);
            } else if folder_of(&name).is_none_or(|folder| !tmp.join(folder).exists())
                && let Some(file) = lock_dead(&path, false)?
            {
                // A scratch's file whose folder exists stays: it is handled with its folder.
                write::remove_file(&path)?;
                drop(file);
            }
        }
        Ok(dead)
    }
}

/// Becomes the owner of the scratch folder `path`; none if its owner lives.
fn take_over(path: PathBuf) -> Result<Option<Scratch>, StoreError> {
    let mut alive = path.clone().into_os_string();
    alive.push(ALIVE);
    let alive = PathBuf::from(alive);
    let Some(file) = lock_dead(&alive, true)? else {
        return Ok(None);
    };
    let scratch = Scratch {
        path,
        alive,
        _file: file,
    };
    // Another sweep, or the owner's last moment, may have been faster.
    if !scratch.path.exists() {
        return Ok(None);
    }
    Ok(Some(scratch))
}

/// Locks a file that nobody alive has locked; none if somebody has, or if it is gone.
fn lock_dead(path: &Path, create: bool) -> Result<Option<File>, StoreError> {
    let failed = |source| StoreError::io("lock", path, source);
    let opened = OpenOptions::new()
        .write(true)
        .create(create)
        .truncate(false)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    match file.try_lock() {
        Ok(()) if write::is_at(&file, path).map_err(failed)? => Ok(Some(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The scratch folder that the file `name` stands for.
fn folder_of(name: &OsStr) -> Option<OsString> {
    let path = Path::new(name);
    (path.extension() == Some(OsStr::new(&ALIVE[1..])))
        .then(|| path.with_extension("").into_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn names(store: &Store) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(store.folder("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_scratch_lives_as_long_as_its_owner() {
        let (_folder, store) = store();
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("file"), b"x").unwrap();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"unfinished").unwrap();
        assert!(store.sweep().unwrap().is_empty());
        assert!(scratch.path().join("file").exists());
        writer.commit(None).unwrap();
        drop(scratch);
        assert!(names(&store).is_empty());
    }

    #[test]
    fn what_the_dead_left_is_swept_once() {
        let (_folder, store) = store();
        let tmp = store.folder("tmp");
        fs::write(tmp.join("file-dead"), b"x").unwrap();
        fs::write(tmp.join("scratch-lonely.alive"), b"").unwrap();
        fs::create_dir_all(tmp.join("scratch-a/fs/deep")).unwrap();
        fs::write(tmp.join("scratch-a.alive"), b"").unwrap();
        fs::create_dir(tmp.join("scratch-b")).unwrap();
        let dead = store.sweep().unwrap();
        let paths: Vec<_> = dead
            .iter()
            .map(|scratch| scratch.path().to_owned())
            .collect();
        assert_eq!(paths, [tmp.join("scratch-a"), tmp.join("scratch-b")]);
        assert!(
            store.sweep().unwrap().is_empty(),
            "owned by the first sweep"
        );
        drop(dead);
        assert!(names(&store).is_empty(), "{:?}", names(&store));
    }

    #[test]
    fn sweeping_never_takes_what_is_being_created() {
        let (_folder, store) = store();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    assert!(store.sweep().unwrap().is_empty());
                }
            });
            let creators: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let scratch = store.scratch().unwrap();
                            fs::write(scratch.path().join("x"), b"x").unwrap();
                            store.blob_writer().unwrap().commit(None).unwrap();
                            fs::write(scratch.path().join("y"), b"y").unwrap();
                        }
                    })
                })
                .collect();
            let results: Vec<_> = creators.into_iter().map(|thread| thread.join()).collect();
            done.store(true, Ordering::SeqCst);
            sweeper.join().unwrap();
            for result in results {
                result.unwrap();
            }
        });
        assert!(names(&store).is_empty());
    }
}
