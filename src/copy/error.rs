//! What can go wrong while something is copied.

use crate::digest::Digest;
use crate::image::ImageError;
use crate::registry::{ReferenceError, RegistryError};
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A registry could not be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A name is no reference of a registry.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A layout, an archive or a document cannot be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder cannot be made.
    #[error("cannot create the folder {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image lists, or is referred to by, more than any real one.
    #[error("{what} lists or is referred to by more than can be right; the limit is {limit}")]
    TooMuch {
        /// Where it was given up.
        what: String,
        /// `1000 manifests`.
        limit: &'static str,
    },
    /// An index lists something that is neither a manifest nor an index.
    #[error("{document} lists {digest} as {media_type}, which is neither a manifest nor an index")]
    Kind {
        /// The index.
        document: String,
        /// What it lists.
        digest: Digest,
        /// As what.
        media_type: String,
    },
    /// The target's name has the digest of something else.
    #[error("{target} is to have the digest {wanted}, but what is copied has {found}")]
    OtherDigest {
        /// The target.
        target: String,
        /// The digest in its name.
        wanted: Digest,
        /// The digest of what is copied.
        found: Digest,
    },
    /// A target could be many things.
    #[error(
        "{target:?} does not say where to: write docker://{target} for Docker's registry, store:{target} for the store, or HOST/PATH"
    )]
    NoHost {
        /// The target.
        target: String,
    },
    /// The target holds one image, and several are to be copied.
    #[error("{target} can hold one image, and this is an index; choose one with --platform")]
    OneImage {
        /// The target.
        target: String,
    },
}
