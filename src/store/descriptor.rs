//! Descriptors: what names a blob (OCI image specification, "Descriptor").
//!
//! oci-spec's own descriptor keeps annotations in a `HashMap`, whose random order would reach
//! the digests that we write, and leaves digests of any algorithm; hence these. `urls` and
//! `data` are not read: content comes from where its digest was asked for.

use crate::digest::{DiffId, Digest};
use oci_spec::image::{Arch, MediaType, Os};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The media type, digest and size of a blob, and what its finder may want to know before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What manifests of an index run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest is, if it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Free text by key, in key order.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of just the three things that each one has.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The same blob without platform, annotations and artifact type.
    pub fn plain(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest, self.size)
    }
}

/// One layer of an image: what it is called, packed and unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDescriptor {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// Says how the blob is compressed.
    pub media_type: MediaType,
}

impl LayerDescriptor {
    /// The layer as it stands in a manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.size)
    }
}

/// What an image runs on (OCI image specification, index, "platform"), in Go's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor: `amd64`, `arm64`.
    pub architecture: Arch,
    /// The operating system: `linux`.
    pub os: Os,
    /// The version of the operating system; used by Windows only.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// The variant of the processor: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on the processor that this program was compiled for.
    pub fn host() -> Self {
        Self::linux(Arch::default())
    }

    /// Linux on `architecture`.
    pub fn linux(architecture: Arch) -> Self {
        Self {
            architecture,
            os: Os::Linux,
            os_version: None,
            variant: None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(formatter, "/{variant}"),
        }
    }
}

/// A text that names no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform of the form OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")]
pub struct ParsePlatformError(String);

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Reads what [`fmt::Display`] writes; the processor may have the name that Linux gives it.
    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let wrong = || ParsePlatformError(text.to_owned());
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        };
        let words: Vec<&str> = text.split('/').collect();
        if !words.iter().all(|word| is_word(word)) {
            return Err(wrong());
        }
        let (os, architecture, variant) = match words.as_slice() {
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
            _ => return Err(wrong()),
        };
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            architecture: Arch::from(architecture),
            os: Os::from(os),
            os_version: None,
            variant,
        })
    }
}

/// Reads `null` as the default, as Go's tools write it for empty lists and maps.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
