//! What can go wrong in the store, each with the operation and the object.

use crate::digest::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operating-system call failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as an imperative: "read", "create the folder".
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The disk or the quota is used up. Nothing half-written stays under a final name.
    #[error("cannot {operation} {}: no space left on the device", path.display())]
    StorageFull {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The store cannot be written: a read-only file system, or another user's folder.
    #[error("cannot {operation} {}: the folder cannot be written by this user", path.display())]
    ReadOnly {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The store's path names something else than a folder.
    #[error("{} is not a folder, so it cannot be a store", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder belongs to something else.
    #[error(
        "{} is not a hardtack store: it has no hardtack.json but holds {name:?}; choose an empty or a new folder",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One thing found in it.
        name: String,
    },
    /// The store was made by another version of hardtack.
    #[error("the store {} has format {found}; this hardtack reads format {supported}", path.display())]
    Format {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// An OCI layout of a version that does not exist yet.
    #[error("{} asks for image layout version {found:?}; only 1.0.0 is supported", path.display())]
    LayoutVersion {
        /// The marker file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// A JSON file that should be ours does not parse.
    #[error("{} is damaged", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The list of references does not parse.
    #[error("{} is not the index of an image layout", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        source: super::index::IndexError,
    },
    /// A file is larger than anything that it may be.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A blob that somebody needs is not in the store.
    #[error("the blob {digest} is not in the store {}", store.display())]
    MissingBlob {
        /// The blob.
        digest: Digest,
        /// The store.
        store: PathBuf,
    },
    /// A stored blob does not have the content that its name promises.
    #[error(
        "{} is damaged: its content is {found} ({found_size} bytes); remove that file, and the next build makes or fetches it again",
        path.display()
    )]
    DamagedBlob {
        /// The blob's file.
        path: PathBuf,
        /// The digest of what is there.
        found: Digest,
        /// The size of what is there.
        found_size: u64,
    },
    /// Incoming content is not what was announced.
    #[error(
        "expected {expected} ({expected_size} bytes) but got {found} ({found_size} bytes); nothing was stored"
    )]
    Mismatch {
        /// The announced digest.
        expected: Digest,
        /// The announced size.
        expected_size: u64,
        /// The digest of what came.
        found: Digest,
        /// The size of what came.
        found_size: u64,
    },
    /// A name that cannot be a reference, a namespace or the like.
    #[error("{name:?} is not a valid {kind}: {rule}")]
    Name {
        /// What it should have been.
        kind: &'static str,
        /// The text.
        name: String,
        /// What such a name looks like.
        rule: &'static str,
    },
    /// Waiting for a lock was given up by the caller.
    #[error("gave up waiting for another build that holds {}", path.display())]
    LockAbandoned {
        /// The lock's file.
        path: PathBuf,
    },
    /// Nothing in the store has this name or digest.
    #[error("no image {text:?} in the store")]
    UnknownReference {
        /// What was asked for.
        text: String,
    },
    /// Several images answer to this name or digest prefix.
    #[error("{text:?} is ambiguous: it could be {}", candidates.join(" or "))]
    AmbiguousReference {
        /// What was asked for.
        text: String,
        /// The digests that it could be, sorted.
        candidates: Vec<String>,
    },
}

impl StoreError {
    /// Wraps `source`, telling a full disk and a read-only store from other failures.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull {
                operation,
                path,
                source,
            },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
                if !operation.starts_with("read") =>
            {
                Self::ReadOnly {
                    operation,
                    path,
                    source,
                }
            }
            _ => Self::Io {
                operation,
                path,
                source,
            },
        }
    }
}
