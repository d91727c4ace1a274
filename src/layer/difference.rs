//! What was written to a copy becomes the upper folder that an overlay would have.
//!
//! A folder of the copy *lasts* if it still is the folder that was copied, at its old place; what a
//! new folder in its place holds is all new. In a folder that lasts, a file that has not changed
//! since it was copied is removed again, and what is missing gets a deletion mark.

use super::attributes::{self, Place};
use super::error::{Context, Result};
use super::flatten::{Copied, changed, times_of};
use super::folder::{FolderStack, Listed, stat_if_exists};
use super::metadata;
use rustix::fs::{AtFlags, FileType, Mode, Stat, StatxFlags};
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// Turns `copy` into an upper folder over `below`, a view of the same trees. In its top folder,
/// nothing happens to what is called one of `untouched`.
///
/// # Errors
///
/// If one of them cannot be read, or `copy` cannot be changed; it is to be removed then.
pub fn difference(
    copy: BorrowedFd<'_>,
    below: BorrowedFd<'_>,
    copied: &Copied,
    untouched: &[&str],
) -> Result<()> {
    let mut walk = Difference {
        copy: FolderStack::new(copy)?,
        below: FolderStack::new(below)?,
        copied,
        untouched,
    };
    walk.run()
}

struct Difference<'a> {
    copy: FolderStack,
    below: FolderStack,
    copied: &'a Copied,
    untouched: &'a [&'a str],
}

/// A folder that lasts, while the walk is in it.
struct Level {
    names: std::vec::IntoIter<Listed>,
    /// As it was, to get its times back.
    stat: Stat,
}

impl Difference<'_> {
    fn run(&mut self) -> Result<()> {
        let mut pending = vec![self.enter()?];
        while let Some(level) = pending.last_mut() {
            let Some(Listed { name, .. }) = level.names.next() else {
                rustix::fs::futimens(self.copy.current(), &times_of(&level.stat))
                    .context("set the time of", self.copy.path())?;
                pending.pop();
                self.copy.pop()?;
                self.below.pop()?;
                continue;
            };
            if self.is_untouched(&name) {
                continue;
            }
            let path = self.copy.path_of(&name);
            let stat = rustix::fs::statat(self.copy.current(), &name, AtFlags::SYMLINK_NOFOLLOW)
                .context("inspect", &path)?;
            let below = stat_if_exists(self.below.current(), &name).context("inspect", &path)?;
            let Some(below) = below else { continue };
            if !metadata::is_folder(&stat) {
                if changed(&stat) <= self.copied.since {
                    rustix::fs::unlinkat(self.copy.current(), &name, AtFlags::empty())
                        .context("remove", &path)?;
                }
            } else if metadata::is_folder(&below) {
                if self.lasts(&name, &stat, &path)? {
                    self.copy.push(&name)?;
                    self.below.push(&name)?;
                    pending.push(self.enter()?);
                } else {
                    Place::Named(self.copy.current(), &name)
                        .set(attributes::OPAQUE, b"y")
                        .context("make opaque", &path)?;
                }
            }
        }
        Ok(())
    }

    /// Marks what is missing in the folder that was just entered.
    fn enter(&self) -> Result<Level> {
        let path = self.copy.path();
        let stat = rustix::fs::fstat(self.copy.current()).context("inspect", path)?;
        let names = self.copy.list()?;
        for listed in self.below.list()? {
            let name = &listed.name;
            let is_there = names.binary_search_by(|it| it.name.cmp(name)).is_ok();
            if !is_there && !self.is_untouched(name) {
                let mark = FileType::CharacterDevice;
                rustix::fs::mknodat(self.copy.current(), name, mark, Mode::empty(), 0)
                    .context("mark as deleted", &self.copy.path_of(name))?;
            }
        }
        Ok(Level {
            names: names.into_iter(),
            stat,
        })
    }

    fn is_untouched(&self, name: &CStr) -> bool {
        self.copy.path().is_empty()
            && self
                .untouched
                .iter()
                .any(|it| it.as_bytes() == name.to_bytes())
    }

    /// Whether a folder is the one that was copied.
    fn lasts(&self, name: &CStr, stat: &Stat, path: &[u8]) -> Result<bool> {
        if self.copied.folders.get(path) != Some(&stat.st_ino) {
            return Ok(false);
        }
        // A new folder may have got the number of one that was removed.
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let born = rustix::fs::statx(self.copy.current(), name, flags, StatxFlags::BTIME)
            .context("inspect", path)?;
        let is_known = born.stx_mask & StatxFlags::BTIME.bits() != 0;
        let time = (born.stx_btime.tv_sec, i64::from(born.stx_btime.tv_nsec));
        Ok(!is_known || time <= self.copied.since)
    }
}
