//! What can go wrong with a registry.

use super::reference::Repository;
use crate::digest::Digest;
use crate::store::StoreError;

/// Why something was not read from a registry, or not written to it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store could not take or give a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such manifest or blob, or it is hidden from whoever asks.
    #[error("{repository} has no {what}")]
    NotFound {
        /// The repository.
        repository: Repository,
        /// `tag 12`, `blob sha256:…`.
        what: String,
    },
    /// Nothing says where a blob can be had.
    #[error("the blob {digest} is not in the store, and nothing says where it can be had")]
    NoOrigin {
        /// The blob.
        digest: Digest,
    },
    /// The run was ended.
    #[error("interrupted")]
    Interrupted,
    /// What came is not what its digest says.
    #[error("{what} of {repository} should be {expected} but is {found}")]
    Mismatch {
        /// The repository.
        repository: Repository,
        /// What was asked for.
        what: String,
        /// Its digest.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
}
