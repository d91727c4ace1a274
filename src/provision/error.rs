//! What can go wrong between a checked provisioner and its actions.

use std::io;
use std::path::PathBuf;

/// Why a provisioner's host files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A host file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file for the step cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A host file is of a type that cannot be copied into an image.
    #[error("{} is a {kind}, which cannot be an input of a step", path.display())]
    UnsupportedType {
        /// Which one.
        path: PathBuf,
        /// `socket`, `device`, …
        kind: &'static str,
    },
    /// A host folder is nested so deeply that it is more likely a mistake than an input.
    #[error("{} lies more than {limit} folders deep", path.display())]
    TooDeep {
        /// Which one.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}

impl ProvisionError {
    /// Wraps a failure to read `path`.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read {
            path: path.into(),
            source,
        }
    }

    /// Wraps a failure to write `path`.
    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write {
            path: path.into(),
            source,
        }
    }
}
