//! Layers: what a step changed, as a tree on disk, as a tar archive, and as a compressed blob.
//!
//! A *tree* is an unpacked layer: a folder used as a lower directory of an overlay that is mounted
//! with `userxattr`. A name deleted in it is a character device 0:0, a folder that hides the one
//! below has the attribute `user.overlay.opaque` = `y`. Everything here takes trees as open
//! folders and never follows a link in one.
//!
//! ```text
//! overlay upper --settle--> tree --pack_tree--> gzip blob, diffID, digest
//! host folder --import_folder--> tree
//! blob --decompress--> tar --extract--> tree
//! ```
//!
//! The functions run in the process that owns the trees: root of a user namespace, real root, or
//! an ordinary user; `metadata.rs` says what happens where that process may not do something.
//! What trees are called and where they live is the store's business.

mod archive;
mod attributes;
mod compress;
mod copy;
mod difference;
mod error;
mod extract;
mod flatten;
mod folder;
mod header;
mod import;
mod lower;
mod measure;
mod metadata;
mod pack;
mod pairs;
mod pax;
mod read;
mod remove;
mod root;
mod search;
mod settle;

pub use archive::{TarSummary, hash_tree, write_tree};
pub use compress::GzipWriter;
pub use difference::difference;
pub use error::{LayerError, Limit, Result, TreePath};
pub use extract::{ExtractLimits, ExtractOptions, Extracted, extract};
pub use flatten::{Copied, copy_merged, view_merged};
pub use import::{Imported, import_folder};
pub use measure::disk_size;
pub use metadata::{Losses, record_owner, recorded_owner};
pub use pack::{Packed, pack_tree};
pub use remove::remove_tree;
pub use root::inherit_root;
pub use search::{Found, search};
pub use settle::{Settled, settle};

#[cfg(test)]
mod extract_tests;
#[cfg(test)]
mod flatten_tests;
#[cfg(test)]
mod import_tests;
#[cfg(test)]
mod overlay_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod settle_tests;
#[cfg(test)]
mod tools_tests;
