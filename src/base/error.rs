//! What can go wrong while a base is resolved.

use crate::image::ImageError;
use crate::registry::{Reference, ReferenceError, RegistryError};
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A reference is not pinned, and only what is pinned may be used.
    #[error("{reference} is not in the lock file")]
    NotLocked {
        /// Which one.
        reference: Reference,
    },
    /// The registry has no such image.
    #[error("{} has no image {:?}", .reference.repository, .reference.tag.as_deref().unwrap_or_default())]
    UnknownReference {
        /// Which one.
        reference: Reference,
    },
    /// The name of an image cannot be one of a registry either.
    #[error("there is no image {name:?} in the store, and {error}")]
    Name {
        /// The name.
        name: String,
        /// Why it is no reference.
        error: ReferenceError,
    },
    /// Unpacking or importing failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A host file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image is for another architecture.
    #[error("the base is for {found}, and the build is for {wanted}")]
    Architecture {
        /// What the image says.
        found: String,
        /// What is asked for.
        wanted: String,
    },
    /// The build that the base is the result of gave none.
    #[error("the build {name:?} that this one starts from did not succeed")]
    Dependency {
        /// Its name.
        name: String,
    },
    /// A program that the source needs is not installed.
    #[error("{program} is not installed on this host")]
    MissingProgram {
        /// Which one.
        program: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A program that makes the base failed.
    #[error("{program} exited with status {status}")]
    ProgramFailed {
        /// Which one.
        program: &'static str,
        /// What it exited with.
        status: i32,
        /// Its last lines.
        lines: Vec<String>,
    },
    /// The suite's release file cannot be fetched or understood.
    #[error("cannot read the release file of suite {suite} at {mirror}: {problem}")]
    Release {
        /// The suite.
        suite: String,
        /// The mirror.
        mirror: String,
        /// What is wrong.
        problem: String,
    },
}

impl BaseError {
    /// Wraps a failure to read `path`.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read {
            path: path.into(),
            source,
        }
    }
}
