//! A stack of trees becomes one folder that shows what an overlay of them would show.
//!
//! For hosts where the kernel refuses the overlay itself. A *copy* is to be written to, and what was
//! written is found afterwards ([`super::difference`]); names that are one file below become files
//! of their own, as an overlay makes them when one is written to. A *view* is only read: its files
//! are the very files of the trees.

use super::attributes::{self, Place};
use super::copy;
use super::error::{Context, Result};
use super::folder::{FolderStack, Listed, stat_if_exists};
use super::metadata::{self, Applier, Attributes, Kind, Metadata};
use super::remove;
use rustix::fs::{AtFlags, Mode, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A copy as it was before anybody wrote to it.
#[derive(Debug)]
pub struct Copied {
    /// The inode of each folder, by its path.
    pub(super) folders: HashMap<Vec<u8>, u64>,
    /// What changes from now on has a later change time than this.
    pub(super) since: (i64, i64),
}

/// Copies what an overlay of `lowers`, the lowest first, would show into the empty folder `into`.
///
/// # Errors
///
/// If something cannot be read or written. What was copied by then is to be removed.
pub fn copy_merged(lowers: &[BorrowedFd<'_>], into: BorrowedFd<'_>) -> Result<Copied> {
    let mut folders = HashMap::new();
    merge(lowers, into, false, &mut folders)?;
    let since = wait_for_the_clock(into)?;
    Ok(Copied { folders, since })
}

/// Makes a view of what an overlay of `lowers`, the lowest first, would show in the empty folder
/// `into`, which is on the same file system.
///
/// # Errors
///
/// If something cannot be read or written. What was made by then is to be removed.
pub fn view_merged(lowers: &[BorrowedFd<'_>], into: BorrowedFd<'_>) -> Result<()> {
    merge(lowers, into, true, &mut HashMap::new())
}

fn merge(
    lowers: &[BorrowedFd<'_>],
    into: BorrowedFd<'_>,
    share: bool,
    folders: &mut HashMap<Vec<u8>, u64>,
) -> Result<()> {
    for lower in lowers {
        let mut merger = Merger {
            lower: FolderStack::new(*lower)?,
            merged: FolderStack::new(into)?,
            share,
            applier: Applier::new(),
            folders: &mut *folders,
        };
        merger.run()?;
    }
    Ok(())
}

/// Waits until the file system's clock has moved on; gives the time before that.
fn wait_for_the_clock(folder: BorrowedFd<'_>) -> Result<(i64, i64)> {
    // Clocks of file systems tick every few milliseconds.
    const TICK: Duration = Duration::from_millis(1);
    let touch = || {
        let stat = rustix::fs::fstat(folder)?;
        rustix::fs::futimens(folder, &times_of(&stat))?;
        rustix::fs::fstat(folder)
    };
    let since = changed(&touch().context("read the clock of", b"")?);
    while changed(&touch().context("read the clock of", b"")?) <= since {
        std::thread::sleep(TICK);
    }
    Ok(since)
}

/// When anything of a file last changed.
pub(super) fn changed(stat: &Stat) -> (i64, i64) {
    // The type of nanoseconds differs between architectures.
    (
        stat.st_ctime,
        i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
    )
}

/// The times that a file has, to be set again.
pub(super) fn times_of(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    }
}

/// Puts one tree over what was merged of those below it.
struct Merger<'a> {
    lower: FolderStack,
    merged: FolderStack,
    share: bool,
    applier: Applier,
    folders: &'a mut HashMap<Vec<u8>, u64>,
}

impl Merger<'_> {
    fn run(&mut self) -> Result<()> {
        let mut pending: Vec<(Attributes, std::vec::IntoIter<Listed>)> = vec![self.enter()?];
        while let Some((_, names)) = pending.last_mut() {
            let Some(Listed { name, .. }) = names.next() else {
                if let Some((attributes, _)) = pending.pop() {
                    self.leave(&attributes)?;
                }
                continue;
            };
            let path = self.lower.path_of(&name);
            let stat = rustix::fs::statat(self.lower.current(), &name, AtFlags::SYMLINK_NOFOLLOW)
                .context("inspect", &path)?;
            if !metadata::is_folder(&stat) {
                remove::remove(self.merged.current(), &name, &path)?;
                if !metadata::is_whiteout(&stat) {
                    self.file(&name, &stat, &path)?;
                }
                continue;
            }
            self.lower.push(&name)?;
            self.prepare_folder(&name, &path)?;
            self.merged.push(&name)?;
            pending.push(self.enter()?);
        }
        Ok(())
    }

    /// Makes room for the folder that was just entered below, unless it shows what is there.
    fn prepare_folder(&self, name: &CStr, path: &[u8]) -> Result<()> {
        let stored = Place::Open(self.lower.current())
            .attributes()
            .context("read the attributes of", path)?;
        let merged = self.merged.current();
        let existing = stat_if_exists(merged, name).context("inspect", path)?;
        let shows = existing.as_ref().is_some_and(metadata::is_folder);
        if shows && !attributes::is_opaque(&stored) {
            return Ok(());
        }
        remove::remove(merged, name, path)?;
        rustix::fs::mkdirat(merged, name, Mode::RWXU).context("create the folder", path)
    }

    fn enter(&mut self) -> Result<(Attributes, std::vec::IntoIter<Listed>)> {
        let path = self.lower.path();
        let metadata = Metadata::of_folder(self.lower.current(), path)?;
        let stat = rustix::fs::fstat(self.merged.current()).context("inspect", path)?;
        self.folders.insert(path.to_vec(), stat.st_ino);
        Ok((metadata.attributes, self.lower.list()?.into_iter()))
    }

    fn leave(&mut self, attributes: &Attributes) -> Result<()> {
        let folder = self.merged.current();
        let path = self.merged.path();
        let place = Place::Open(folder);
        // Those of the trees below do not show through.
        for (name, _) in place.attributes().context("read the attributes of", path)? {
            if let Ok(name) = std::ffi::CString::new(name) {
                // What may not be removed was not set here.
                let _ = place.remove(&name);
            }
        }
        self.applier.apply_open(folder, attributes, true, path)?;
        self.lower.pop()?;
        self.merged.pop()?;
        Ok(())
    }

    fn file(&mut self, name: &CStr, stat: &Stat, path: &[u8]) -> Result<()> {
        let merged = self.merged.current();
        if self.share {
            let linked =
                rustix::fs::linkat(self.lower.current(), name, merged, name, AtFlags::empty());
            match linked {
                Ok(()) => return Ok(()),
                // It has as many names as it can have, or may not be given another.
                Err(Errno::MLINK | Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno).context("create the hardlink", path),
            }
        }
        let (found, file) = Metadata::of_file(self.lower.current(), name, stat, path)?;
        match (&found.kind, file) {
            // No tree has any.
            (Kind::Socket, _) => Ok(()),
            (Kind::File { size }, Some(file)) => {
                let copied = metadata::create_file(merged, name).context("create", path)?;
                copy::content(&file, &copied, *size, path)?;
                self.applier
                    .apply_open(copied.as_fd(), &found.attributes, true, path)
            }
            (kind, _) => self
                .applier
                .create_special(merged, name, kind, &found.attributes, path)?
                .context("create", path),
        }
    }
}
