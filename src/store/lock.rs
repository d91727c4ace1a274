//! Locks: one thread of one process at a time, per kind and name.
//!
//! A *lock* is an advisory lock (`flock`) on a file of `locks/`. The kernel releases it when its
//! holder dies, however it dies. The file exists only while somebody holds or wants the lock: the
//! holder removes it before releasing, and whoever then gets the lock of a removed file notices
//! and starts again. So the folder does not grow, and two holders never meet.

use super::{Store, StoreError, write};
use crate::digest::Digest;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Short beside a step, long beside a look at the lock (some microseconds).
const WAIT: Duration = Duration::from_millis(5);

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct LockGuard {
    path: PathBuf,
    /// Kept open because the lock lives as long as the descriptor.
    _file: File,
}

impl Store {
    /// Takes the lock `name` of the kind `kind` (a short word of ours), and waits for it if it
    /// is held.
    ///
    /// While it waits, `waiting` is called at once and then every few milliseconds; `Break` ends
    /// the wait with [`StoreError::LockAbandoned`].
    pub fn lock(
        &self,
        kind: &str,
        name: &str,
        mut waiting: impl FnMut() -> ControlFlow<()>,
    ) -> Result<LockGuard, StoreError> {
        loop {
            if let Some(guard) = self.try_lock(kind, name)? {
                return Ok(guard);
            }
            if waiting().is_break() {
                return Err(StoreError::LockAbandoned {
                    path: self.lock_path(kind, name),
                });
            }
            thread::sleep(WAIT);
        }
    }

    /// Takes the lock `name` of the kind `kind`; none if it is held.
    pub fn try_lock(&self, kind: &str, name: &str) -> Result<Option<LockGuard>, StoreError> {
        let path = self.lock_path(kind, name);
        loop {
            let failed = |source| StoreError::io("lock", &path, source);
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                // Otherwise its last holder removed it between our two calls.
                Ok(()) if write::is_at(&file, &path).map_err(failed)? => {
                    return Ok(Some(LockGuard { path, _file: file }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// A fixed-length file name, whatever `name` is.
    fn lock_path(&self, kind: &str, name: &str) -> PathBuf {
        let name = Digest::of(format!("{kind}\0{name}")).hex();
        self.folder("locks").join(name)
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // While still holding it. A file that stays (read-only disk) is taken over by the next.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn wait() -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn a_lock_excludes_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let guard = store.try_lock("step", "../a").unwrap().unwrap();
        assert!(store.try_lock("step", "../a").unwrap().is_none());
        assert!(store.try_lock("step", "b").unwrap().is_some());
        assert!(store.try_lock("tree", "../a").unwrap().is_some());
        let mut calls = 0;
        let error = store
            .lock("step", "../a", || {
                calls += 1;
                if calls == 3 {
                    ControlFlow::Break(())
                } else {
                    wait()
                }
            })
            .unwrap_err();
        assert!(matches!(error, StoreError::LockAbandoned { .. }));
        drop(guard);
        assert!(store.try_lock("step", "../a").unwrap().is_some());
        assert_eq!(fs::read_dir(store.folder("locks")).unwrap().count(), 0);
    }

    #[test]
    fn threads_never_hold_one_lock_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let inside = AtomicUsize::new(0);
        let entered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let _guard = store.lock("step", "same", wait).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        entered.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(entered.into_inner(), 100);
    }
}
