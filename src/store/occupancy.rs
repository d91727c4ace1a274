//! Occupancy: whoever has a store open is in it, and what is in use is not removed.
//!
//! Every handle of a store holds the file `in-use` locked (`flock`), shared with all others, for as
//! long as it lives. Whoever wants to remove something that others may need must be *alone*: no
//! other handle is open then, and one that is about to be opened waits. So nothing that a build
//! has looked up goes while it runs, however long that takes, and no clock has to be trusted, as
//! it would be with a time of grace. Being alone is kept short: what takes long to remove is
//! renamed first, and removed when others are in again.
//!
//! The kernel ends a claim with its process. Other tools that write into the layout know nothing
//! of it: they and whoever removes must not run at the same time.

use super::{Store, StoreError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

const FILE: &str = "in-use";
/// Short beside a build, long beside a look at the lock.
const WAIT: Duration = Duration::from_millis(20);

/// Nobody else has the store open; dropping it lets others in.
#[derive(Debug)]
pub struct Alone<'a> {
    file: &'a File,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // If it fails the store stays closed to others until this process ends, which is near.
        let _ = self.file.lock_shared();
    }
}

impl Store {
    /// Waits until no other handle of this store is open.
    ///
    /// While it waits, `waiting` is called at once and then every few milliseconds; `Break` ends
    /// the wait with [`StoreError::LockAbandoned`]. This handle and its clones make no claim on
    /// what is in the store meanwhile: nothing that was looked up before may be relied on.
    pub fn alone(
        &self,
        mut waiting: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Alone<'_>, StoreError> {
        loop {
            if let Some(file) = self.claim()? {
                return Ok(Alone { file });
            }
            if waiting().is_break() {
                return Err(StoreError::LockAbandoned {
                    path: self.folder(FILE),
                });
            }
            thread::sleep(WAIT);
        }
    }

    /// Becomes alone; none if another handle of this store is open. Either way, nothing that was
    /// looked up before may be relied on.
    pub fn try_alone(&self) -> Result<Option<Alone<'_>>, StoreError> {
        if let Some(file) = self.claim()? {
            return Ok(Some(Alone { file }));
        }
        if let Some(file) = &self.shared.occupied {
            file.lock_shared()
                .map_err(|source| StoreError::io("lock", &self.folder(FILE), source))?;
        }
        Ok(None)
    }

    /// Gives up the shared lock for one that is not; with none, no lock is held at all. Two that
    /// kept theirs while they wait for the other's would wait for ever.
    fn claim(&self) -> Result<Option<&File>, StoreError> {
        let path = self.folder(FILE);
        let failed = |source| StoreError::io("lock", &path, source);
        let Some(file) = &self.shared.occupied else {
            return Err(failed(io::ErrorKind::PermissionDenied.into()));
        };
        file.unlock().map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Enters the store at `root`; none where the store cannot be written, so that nobody like us can
/// remove anything either. Waits while somebody is alone in it.
pub(super) fn enter(root: &Path) -> Result<Option<File>, StoreError> {
    let path = root.join(FILE);
    let failed = |source| StoreError::io("lock", &path, source);
    // Open for reading alone, so that nobody is kept from making the file system read-only.
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match OpenOptions::new().append(true).create(true).open(&path) {
                Ok(_) => File::open(&path).map_err(failed)?,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
                {
                    return Ok(None);
                }
                Err(source) => return Err(failed(source)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    file.lock_shared().map_err(failed)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn nobody_is_alone_while_another_handle_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let other = Store::open(folder.path()).unwrap();
        let clone = other.clone();
        assert!(store.try_alone().unwrap().is_none());
        let mut calls = 0;
        let waited = store.alone(|| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(matches!(waited, Err(StoreError::LockAbandoned { .. })));
        assert_eq!(calls, 1);
        drop(other);
        assert!(store.try_alone().unwrap().is_none(), "a clone is left");
        drop(clone);
        let alone = store.try_alone().unwrap();
        assert!(alone.is_some());
    }

    #[test]
    fn who_opens_a_store_waits_for_the_one_who_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let alone = store.try_alone().unwrap().unwrap();
        let opened = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                Store::open(folder.path()).unwrap();
                opened.store(true, Ordering::SeqCst);
            });
            thread::sleep(Duration::from_millis(100));
            assert!(!opened.load(Ordering::SeqCst));
            drop(alone);
        });
        assert!(opened.into_inner());
    }

    #[test]
    fn two_who_want_to_be_alone_both_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| Store::open(folder.path()).unwrap());
        thread::scope(|scope| {
            for store in stores {
                // The first comes in again, and leaves when its handle is dropped.
                scope.spawn(move || drop(store.alone(|| ControlFlow::Continue(())).unwrap()));
            }
        });
    }
}
