//! The root folder of a tree whose layer does not list it.

use super::error::Result;
use super::metadata::{Applier, Metadata};
use std::os::fd::BorrowedFd;

/// Gives the root of `tree` the metadata of the root of `below`, as an overlay of both shows it.
pub fn inherit_root(tree: BorrowedFd<'_>, below: BorrowedFd<'_>) -> Result<()> {
    let metadata = Metadata::of_folder(below, b"")?;
    Applier::new().apply_open(tree, &metadata.attributes, true, b"")
}
