//! What lies below a tree: the stack of trees that an overlay would show beneath it.

use super::attributes::{self, Place};
use super::error::{Context, Result};
use super::folder::{open_folder, stat_if_exists};
use super::metadata;
use rustix::fs::Stat;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An object found in a lower tree.
pub(super) struct Found {
    /// The folder that holds it.
    pub(super) parent: OwnedFd,
    pub(super) name: CString,
    pub(super) stat: Stat,
}

/// Finds what an overlay of `lowers`, the top one first, shows at `path`; links are not followed.
///
/// The metadata of a folder that several trees have are those in the topmost of them.
pub(super) fn find(lowers: &[BorrowedFd<'_>], path: &[u8]) -> Result<Option<Found>> {
    let names: Option<Vec<CString>> = path
        .split(|byte| *byte == b'/')
        .map(|name| CString::new(name).ok())
        .collect();
    let Some(mut names) = names else {
        return Ok(None);
    };
    let Some(last) = names.pop() else {
        return Ok(None);
    };
    'trees: for lower in lowers {
        let mut folder = open_folder(*lower, c".").context("open", path)?;
        let mut hides_below = false;
        for name in &names {
            match stat_if_exists(folder.as_fd(), name).context("inspect", path)? {
                None if hides_below => return Ok(None),
                None => continue 'trees,
                Some(stat) if metadata::is_folder(&stat) => {}
                // Deleted here, or no folder: neither shows anything below.
                Some(_) => return Ok(None),
            }
            folder = open_folder(folder.as_fd(), name).context("open", path)?;
            let stored = Place::Open(folder.as_fd())
                .attributes()
                .context("read the attributes of", path)?;
            hides_below |= attributes::is_opaque(&stored);
        }
        match stat_if_exists(folder.as_fd(), &last).context("inspect", path)? {
            None if hides_below => return Ok(None),
            None => {}
            Some(stat) if metadata::is_whiteout(&stat) => return Ok(None),
            Some(stat) => {
                return Ok(Some(Found {
                    parent: folder,
                    name: last,
                    stat,
                }));
            }
        }
    }
    Ok(None)
}
