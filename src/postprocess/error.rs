//! What can go wrong in a post-processor.

use crate::image::ImageError;
use crate::provision::ProvisionError;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a post-processor failed.
#[derive(Debug, thiserror::Error)]
pub enum PostProcessError {
    /// The image cannot be read from the store or written out.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store cannot be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// `read`, `write`, …
        operation: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is to be extended holds something else.
    #[error("{} is not a manifest that can be extended: {problem}", path.display())]
    ForeignManifest {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The input artifact has no files to work on.
    #[error("{post_processor} works on files, and the artifact before it has none")]
    NoFiles {
        /// Which one.
        post_processor: &'static str,
    },
    /// The build made no image.
    #[error("it works on an image, and this build makes none")]
    NoImage,
    /// Commands on this host failed.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A Go template in an option cannot be rendered.
    #[error("cannot render {option}: {problem}")]
    GoTemplate {
        /// The option.
        option: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl PostProcessError {
    /// Wraps a failure to do `operation` with `path`.
    pub fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.into(),
            source,
        }
    }
}
