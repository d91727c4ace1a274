//! Whole files: written under a temporary name, then renamed; read up to a limit.
//!
//! A *temporary file* lives in the store's `tmp/` and is locked while its writer lives, so that
//! [`super::Store::sweep`] removes those of dead writers and no others.

use super::StoreError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use tempfile::NamedTempFile;

/// How the names of temporary files begin.
const PREFIX: &str = ".unfinished-";

/// How much of a write must have reached the disk before it counts as done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing: after a power cut the file may be missing or incomplete, and its reader copes.
    Lazy,
    /// The content and the name.
    Forced,
}

/// Writes `bytes` to `path`, replacing what is there, by way of a temporary file in `tmp`.
pub(crate) fn write_atomically(
    tmp: &Path,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("write", path, source);
    let mut file = temporary_file(tmp)?;
    file.write_all(bytes).map_err(failed)?;
    if durability == Durability::Forced {
        file.as_file().sync_data().map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    if durability == Durability::Forced {
        sync_parent(path)?;
    }
    Ok(())
}

/// Writes `bytes` to `path` unless there is something already.
pub(crate) fn create_atomically(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("write", path, source);
    let mut file = temporary_file(tmp)?;
    file.write_all(bytes).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Creates a locked temporary file in `tmp`; it is removed when dropped.
pub(crate) fn temporary_file(tmp: &Path) -> Result<NamedTempFile, StoreError> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .make_in(tmp, |path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o644);
            lock_new(options.open(path)?, path)
        })
        .map_err(|source| StoreError::io("create a temporary file in", tmp, source))
}

/// Removes the temporary files in `folder` whose writers are dead.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("read", folder, source);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        if !is_ours || !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        // One that somebody else may not open, or has renamed meanwhile, is left.
        if File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Locks `file`, which was just created as `path`.
///
/// Between the creation and the lock a sweep may have taken the file for that of a dead process;
/// the caller then tries another name, which `AlreadyExists` makes `tempfile` do.
pub(crate) fn lock_new(file: File, path: &Path) -> io::Result<File> {
    match file.try_lock() {
        Ok(()) if is_at(&file, path)? => Ok(file),
        Ok(()) | Err(TryLockError::WouldBlock) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Says whether `path` still names the open `file`.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Forces the names in the folder of `path` to disk.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::io("write", folder, source))
}

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let failed = |source| StoreError::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than the limit tells "just fits" from "too large"; the file may be growing.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(StoreError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Removes a file; one that is not there counts as removed.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
