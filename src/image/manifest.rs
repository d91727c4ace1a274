//! Manifests (OCI image specification, "Image Manifest"; Docker image manifest, version 2,
//! schema 2), and how hostile documents are parsed.

use super::ImageError;
use crate::store::Descriptor;
use crate::store::descriptor::null_is_default;
use oci_spec::image::MediaType;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// No larger manifest, index or configuration is read; registries take no larger ones either.
pub const DOCUMENT_LIMIT: u64 = crate::store::reference::MANIFEST_LIMIT;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const FIELDS: [&str; 8] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
];

/// A manifest, in the order in which its fields are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What the document says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The list of an index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestList {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<MediaType>,
    /// Its manifests and further indexes.
    pub manifests: Vec<Descriptor>,
}

/// What a descriptor's media type makes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// One image, or an artifact in the shape of one.
    Manifest,
    /// A choice of manifests.
    Index,
}

impl DocumentKind {
    /// The kind of document that `media_type` stands for, if it is one of these two.
    pub fn of(media_type: &MediaType) -> Option<Self> {
        match media_type {
            MediaType::ImageManifest => Some(Self::Manifest),
            MediaType::ImageIndex => Some(Self::Index),
            MediaType::Other(other) if other == DOCKER_MANIFEST => Some(Self::Manifest),
            MediaType::Other(other) if other == DOCKER_INDEX => Some(Self::Index),
            _ => None,
        }
    }
}

impl Manifest {
    /// Parses and checks a manifest that its descriptor calls a `media_type`; `document` names
    /// it in errors.
    pub fn parse(document: &str, media_type: &MediaType, text: &[u8]) -> Result<Self, ImageError> {
        check_fields(document, text, &FIELDS)?;
        refuse_field(document, text, "manifests")?;
        let manifest: Self = parse(document, text)?;
        check_kind(
            document,
            manifest.schema_version,
            &manifest.media_type,
            media_type,
        )?;
        Ok(manifest)
    }

    /// Says whether the configuration is that of an image, and not an artifact's.
    pub fn is_image(&self) -> bool {
        match &self.config.media_type {
            MediaType::ImageConfig => true,
            MediaType::Other(other) => other == DOCKER_CONFIG,
            _ => false,
        }
    }
}

impl ManifestList {
    /// Parses and checks an index that its descriptor calls a `media_type`.
    pub fn parse(document: &str, media_type: &MediaType, text: &[u8]) -> Result<Self, ImageError> {
        check_fields(document, text, &FIELDS)?;
        refuse_field(document, text, "layers")?;
        refuse_field(document, text, "config")?;
        let list: Self = parse(document, text)?;
        check_kind(document, list.schema_version, &list.media_type, media_type)?;
        Ok(list)
    }
}

/// The OCI media type of a layer that may carry Docker's; none for what is no layer.
///
/// The bytes are the same under both names, so a manifest of ours can name Docker's layers.
pub fn layer_media_type(media_type: &MediaType) -> Option<MediaType> {
    use MediaType::{
        ImageLayer, ImageLayerGzip, ImageLayerNonDistributable, ImageLayerNonDistributableGzip,
        ImageLayerNonDistributableZstd, ImageLayerZstd, Other,
    };
    match media_type {
        ImageLayer
        | ImageLayerGzip
        | ImageLayerZstd
        | ImageLayerNonDistributable
        | ImageLayerNonDistributableGzip
        | ImageLayerNonDistributableZstd => Some(media_type.clone()),
        Other(other) => match other.as_str() {
            "application/vnd.docker.image.rootfs.diff.tar" => Some(ImageLayer),
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(ImageLayerGzip),
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(ImageLayerZstd),
            "application/vnd.docker.image.rootfs.foreign.diff.tar" => {
                Some(ImageLayerNonDistributable)
            }
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
                Some(ImageLayerNonDistributableGzip)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Parses a JSON document.
pub(crate) fn parse<T: DeserializeOwned>(document: &str, text: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|source| ImageError::Json {
        document: document.to_owned(),
        source,
    })
}

/// Refuses a document that two parsers may read differently: a field that stands twice, or one
/// that Go's parser, which ignores case, takes for one of `fields`.
pub(crate) fn check_fields(document: &str, text: &[u8], fields: &[&str]) -> Result<(), ImageError> {
    let fold = |name: &str| name.to_uppercase().to_lowercase();
    let mut seen = BTreeSet::new();
    for name in parse::<FieldNames>(document, text)?.0 {
        let doubled = fields
            .iter()
            .find(|field| **field != name && fold(field) == fold(&name));
        if let Some(field) = doubled {
            let reason = format!("its field {name:?} could be read as {field:?}");
            return Err(ImageError::invalid(document, reason));
        }
        if !seen.insert(name.clone()) {
            let reason = format!("its field {name:?} stands twice");
            return Err(ImageError::invalid(document, reason));
        }
    }
    Ok(())
}

fn refuse_field(document: &str, text: &[u8], field: &str) -> Result<(), ImageError> {
    if parse::<FieldNames>(document, text)?
        .0
        .iter()
        .any(|name| name == field)
    {
        let reason = format!("it has the field {field:?}, so it is two kinds of document at once");
        return Err(ImageError::invalid(document, reason));
    }
    Ok(())
}

fn check_kind(
    document: &str,
    schema_version: u32,
    inside: &Option<MediaType>,
    outside: &MediaType,
) -> Result<(), ImageError> {
    if schema_version != 2 {
        let reason = format!("its schemaVersion is {schema_version} instead of 2");
        return Err(ImageError::invalid(document, reason));
    }
    match inside {
        Some(inside) if inside != outside => {
            let reason = format!("it calls itself {inside}, its descriptor {outside}");
            Err(ImageError::invalid(document, reason))
        }
        _ => Ok(()),
    }
}

/// The names of the fields of an object, in order, doubled ones too.
struct FieldNames(Vec<String>);

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FieldNames;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn manifest(before: &str, after: &str) -> String {
        let digest = Digest::of("config");
        format!(
            r#"{{{before}"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":6}},"layers":[]{after}}}"#
        )
    }

    #[test]
    fn a_manifest_is_read_whatever_else_it_holds() {
        let text = manifest(
            r#""schemaVersion":2,"#,
            r#","annotations":null,"future":[1]"#,
        );
        let parsed = Manifest::parse("it", &MediaType::ImageManifest, text.as_bytes()).unwrap();
        assert!(parsed.is_image());
        let docker = MediaType::Other(DOCKER_MANIFEST.to_owned());
        Manifest::parse("it", &docker, text.as_bytes()).unwrap();
    }

    #[test]
    fn what_two_readers_may_read_differently_is_refused() {
        let version = r#""schemaVersion":2,"#;
        for text in [
            manifest("", ""),
            manifest(r#""schemaVersion":1,"#, ""),
            manifest(version, r#","manifests":[]"#),
            manifest(version, r#","layers":[]"#),
            manifest(version, r#","Layers":[]"#),
            manifest(version, r#","layerſ":[]"#),
            manifest(
                version,
                r#","mediaType":"application/vnd.oci.image.index.v1+json""#,
            ),
            manifest(version, r#","annotations":{"a":1}"#),
            manifest(version, "") + "{}",
            manifest(version, "").replace("sha256:", "sha256:../"),
            manifest(version, "").replace(r#""size":6"#, r#""size":-6"#),
            manifest(version, "").replace(r#""layers":[]"#, r#""layers":{}"#),
            "[".repeat(200_000),
        ] {
            let result = Manifest::parse("it", &MediaType::ImageManifest, text.as_bytes());
            assert!(result.is_err(), "{text:.200}");
        }
    }

    #[test]
    fn an_index_with_layers_is_refused() {
        for (text, valid) in [
            (r#"{"schemaVersion":2,"manifests":[]}"#, true),
            (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, false),
            (r#"{"schemaVersion":2,"manifests":[],"config":{}}"#, false),
            (r#"{"schemaVersion":2}"#, false),
        ] {
            let result = ManifestList::parse("it", &MediaType::ImageIndex, text.as_bytes());
            assert_eq!(result.is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn layers_of_docker_get_their_oci_name() {
        for (docker, oci) in [
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Some(MediaType::ImageLayerGzip),
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                Some(MediaType::ImageLayerZstd),
            ),
            ("application/vnd.oci.image.config.v1+json", None),
            ("text/plain", None),
        ] {
            assert_eq!(layer_media_type(&MediaType::from(docker)), oci, "{docker}");
        }
    }
}
