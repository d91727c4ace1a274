//! What can be wrong with an image or with the place it is read from.

use crate::digest::Digest;
use crate::store::StoreError;
use std::io;

/// Why an image could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store, or a file beside it, could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A place that is not on this machine, and fails in its own words.
    #[error(transparent)]
    Elsewhere(Box<dyn std::error::Error + Send + Sync>),
    /// A document is no JSON of the expected shape.
    #[error("{document} cannot be read")]
    Json {
        /// Which one: "the manifest sha256:…".
        document: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A document is JSON but contradicts the specification or itself.
    #[error("{document} is not valid: {reason}")]
    Invalid {
        /// Which one.
        document: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// A document is larger than any real one.
    #[error("{document} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Which one.
        document: String,
        /// Its announced size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob is not what its descriptor says.
    #[error("{document} should have {expected_size} bytes but is {found} with {found_size} bytes")]
    Mismatch {
        /// Which one.
        document: String,
        /// The announced size.
        expected_size: u64,
        /// The digest of what is there.
        found: Digest,
        /// The size of what is there.
        found_size: u64,
    },
    /// A blob is named but not there.
    #[error("{place} does not contain the blob {digest}")]
    MissingBlob {
        /// The layout or archive.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// The path holds no image layout and no archive of images.
    #[error("{place} is not {expected}: {reason}")]
    NotASource {
        /// The path.
        place: String,
        /// "an OCI image layout".
        expected: &'static str,
        /// What is missing or wrong.
        reason: String,
    },
    /// A folder that is to become a layout holds something else.
    #[error("{place} is not empty and not an OCI image layout; nothing was written")]
    OccupiedFolder {
        /// The path.
        place: String,
    },
    /// Something that is not an image was chosen.
    #[error("{document} is not an image but {media_type}")]
    NotAnImage {
        /// Which one.
        document: String,
        /// What it is.
        media_type: String,
    },
    /// No image of this name or digest.
    #[error("{place} has no image {wanted:?}; it has {names}")]
    UnknownReference {
        /// The layout or archive.
        place: String,
        /// What was asked for.
        wanted: String,
        /// The names that there are.
        names: String,
    },
    /// Several images, and none was named.
    #[error("{place} has several images; choose one of {names}")]
    AmbiguousReference {
        /// The layout or archive.
        place: String,
        /// The names that there are.
        names: String,
    },
    /// No image for the platform.
    #[error("{place} has no image for {wanted}; it has {available}")]
    NoPlatform {
        /// The layout or archive.
        place: String,
        /// The platform that was asked for.
        wanted: String,
        /// The platforms that there are.
        available: String,
    },
    /// An index holds indexes beyond any reason.
    #[error("{document} is nested too deeply or lists too many images")]
    TooNested {
        /// Where the search was given up.
        document: String,
    },
    /// An archive cannot be read.
    #[error("cannot read the archive {place}")]
    Archive {
        /// The path.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// An instruction cannot be carried out on the configuration.
    #[error("cannot apply {instruction}: {problem}")]
    Instruction {
        /// Its name.
        instruction: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A setting of the image's configuration, or a name for it, cannot be right.
    #[error("{value:?} cannot be used as {setting}: {rule}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it must look like.
        rule: &'static str,
    },
}

impl ImageError {
    pub(crate) fn invalid(document: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            document: document.to_owned(),
            reason: reason.into(),
        }
    }
}
