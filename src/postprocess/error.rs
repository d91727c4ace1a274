//! What can go wrong in a post-processor.

use crate::image::ImageError;
use crate::provision::ProvisionError;
use crate::registry::{ReferenceError, RegistryError};
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
    /// The input artifact must be one file.
    #[error(
        "{post_processor} works on one file or an image, and the artifact before it has {count} files"
    )]
    NotOneFile {
        /// Which one.
        post_processor: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A glob finds no file.
    #[error("no file matches {pattern}")]
    NothingFound {
        /// The glob.
        pattern: String,
    },
    /// Several files cannot be one compressed file.
    #[error("{output} can hold one file, and the artifact has several; let it end in .tar.gz")]
    SeveralFiles {
        /// The output.
        output: String,
    },
    /// The build made no image.
    #[error("it works on an image, and this build makes none")]
    NoImage,
    /// A registry could not be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A name in the store is none in a registry.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// There is no name to push.
    #[error("the image has no names to push; docker-tag in front of it gives some")]
    NoNames,
    /// The image runs on something else.
    #[error("the image is for {found}, and not for {wanted}")]
    Platform {
        /// What is asked for.
        wanted: String,
        /// What it is for.
        found: String,
    },
    /// The name of an index was not known when the run began.
    #[error(
        "the index {name} depends on what was built; then nobody knows which builds join in it"
    )]
    LateName {
        /// The name.
        name: String,
    },
    /// Two builds have images for one platform.
    #[error("the index {name} would have two images for {platform}, of the builds {builds}")]
    SamePlatform {
        /// The index's name.
        name: String,
        /// Both of them.
        builds: String,
        /// The platform.
        platform: String,
    },
    /// Two builds say different things of one index.
    #[error("the builds of the index {name} give its annotation {key:?} different values")]
    Annotation {
        /// The index's name.
        name: String,
        /// The annotation.
        key: String,
    },
    /// A document cannot be written as JSON.
    #[error("cannot write {what}")]
    Json {
        /// `an index`.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
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
