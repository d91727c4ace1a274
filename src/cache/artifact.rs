//! Artifacts: a step's record in the form in which it travels, a manifest of its own.
//!
//! ```text
//! tag hardtack-1-KEY ──► manifest ── annotation org.hardtack.step: the record
//!                           ├─────── config: the empty object (OCI 1.1, "Guidance for an empty descriptor")
//!                           └─────── layers: [the layer's own blob], or [the empty object]
//! ```
//!
//! The layer is the very blob of the image, so a registry keeps it once. The record stands in an
//! annotation, so that one request reads it all. What comes from elsewhere is believed in nothing
//! that can be checked: [`read`] takes only what [`write`] could have written for that key.

use crate::digest::{DiffId, Digest, StepKey};
use crate::image::ImageError;
use crate::image::manifest::Manifest;
use crate::store::{Descriptor, LayerDescriptor, StepRecord};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of this form; it is part of the tag, so that others are not even seen.
const FORMAT: u32 = 1;
/// What the manifest is (OCI image specification, "artifactType").
const ARTIFACT_TYPE: &str = "application/vnd.hardtack.step.v1";
/// The annotation with the record.
const RECORD: &str = "org.hardtack.step";
/// The content of the empty object (OCI image specification, "Guidance for an empty descriptor").
pub const EMPTY: &[u8] = b"{}";
/// The excerpt of a log is by far the largest thing in a manifest.
pub const MANIFEST_LIMIT: u64 = 512 * 1024;
/// Larger than any layer.
const LAYER_LIMIT: u64 = 1 << 42;
/// Bytes of a step's name.
const NAME_LIMIT: usize = 4096;
/// Seconds since 1970 until the year 9999, the last one that RFC 3339 can write.
const LAST_EPOCH: i64 = 253_402_300_799;

/// The record as it stands in the annotation. The layer's blob is described by the manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: StepKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diff_id: Option<DiffId>,
    provisioner: String,
    log: String,
    created: String,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: MediaType,
    artifact_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
    annotations: BTreeMap<&'static str, String>,
}

/// Why a text is not the record of a step.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is larger than any record.
    #[error("it has {0} bytes, and a record has at most {MANIFEST_LIMIT}")]
    TooLarge(u64),
    /// It is no manifest.
    #[error(transparent)]
    Manifest(#[from] ImageError),
    /// It is a manifest of something else.
    #[error("it has no annotation {RECORD}")]
    NoRecord,
    /// The record cannot be read.
    #[error("its annotation {RECORD} cannot be read: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is the record of another step.
    #[error("it is the record of the step {0}")]
    Key(StepKey),
    /// The record contradicts the manifest or itself.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// What the record of a step is called in a repository or a layout.
pub fn tag(key: &StepKey) -> String {
    format!("hardtack-{FORMAT}-{}", key.0.hex())
}

/// The key that a name made by [`tag`] is for.
pub fn key_of(tag: &str) -> Option<StepKey> {
    let hex = tag.strip_prefix(&format!("hardtack-{FORMAT}-"))?;
    Digest::from_hex(hex).ok().map(StepKey)
}

/// The descriptor of the empty object.
pub fn empty() -> Descriptor {
    Descriptor::new(MediaType::EmptyJSON, Digest::of(EMPTY), EMPTY.len() as u64)
}

/// Writes the manifest of a record.
pub fn write(record: &StepRecord) -> Result<Vec<u8>, serde_json::Error> {
    let entry = Entry {
        key: record.key,
        diff_id: record.layer.as_ref().map(|layer| layer.diff_id),
        provisioner: record.provisioner.clone(),
        log: record.log.clone(),
        created: record.created.clone(),
        seconds: record.seconds,
        epoch: record.epoch,
    };
    let layer = record.layer.as_ref();
    serde_json::to_vec(&Document {
        schema_version: 2,
        media_type: MediaType::ImageManifest,
        artifact_type: ARTIFACT_TYPE,
        config: empty(),
        layers: [layer.map_or_else(empty, LayerDescriptor::descriptor)],
        annotations: BTreeMap::from([(RECORD, serde_json::to_string(&entry)?)]),
    })
}

/// Reads the record of the step `key` from a manifest that is said to be a `media_type`.
///
/// Whether the layer exists, and has the diffID that the record says, is not known then.
pub fn read(
    key: &StepKey,
    media_type: &MediaType,
    text: &[u8],
) -> Result<StepRecord, ArtifactError> {
    let size = text.len() as u64;
    if size > MANIFEST_LIMIT {
        return Err(ArtifactError::TooLarge(size));
    }
    if *media_type != MediaType::ImageManifest {
        return Err(ArtifactError::Contradiction(
            "it is no image manifest of OCI",
        ));
    }
    let manifest = Manifest::parse("the manifest", media_type, text)?;
    let entry = manifest.annotations.get(RECORD);
    let entry: Entry = serde_json::from_str(entry.ok_or(ArtifactError::NoRecord)?)?;
    if entry.key != *key {
        return Err(ArtifactError::Key(entry.key));
    }
    check(&entry).map_err(ArtifactError::Contradiction)?;
    let [described] = manifest.layers.as_slice() else {
        return Err(ArtifactError::Contradiction("it has not just one layer"));
    };
    Ok(StepRecord {
        key: entry.key,
        layer: layer(entry.diff_id, described).map_err(ArtifactError::Contradiction)?,
        provisioner: entry.provisioner,
        log: entry.log,
        created: entry.created,
        seconds: entry.seconds,
        epoch: entry.epoch,
        source: None,
        private: false,
        shared: Vec::new(),
    })
}

/// Checks what a record says of itself.
fn check(entry: &Entry) -> Result<(), &'static str> {
    if !entry.seconds.is_finite() || entry.seconds < 0.0 {
        return Err("its step took no time that there is");
    }
    if entry.created.parse::<jiff::Timestamp>().is_err() {
        return Err("its step ran at no time that there is");
    }
    if entry
        .epoch
        .is_some_and(|it| !(0..=LAST_EPOCH).contains(&it))
    {
        return Err("its source date epoch is no time that there is");
    }
    if entry.provisioner.len() > NAME_LIMIT {
        return Err("the name of its step is too long");
    }
    Ok(())
}

/// The layer, as the manifest and the record describe it together.
fn layer(
    diff_id: Option<DiffId>,
    described: &Descriptor,
) -> Result<Option<LayerDescriptor>, &'static str> {
    let Some(diff_id) = diff_id else {
        return match described.plain() == empty() {
            true => Ok(None),
            false => Err("it has a layer, and its record has none"),
        };
    };
    // Ours are packed in one way, and a wrong word for it would go on into images.
    if described.media_type != MediaType::ImageLayerGzip {
        return Err("its layer is of a media type that no layer of ours has");
    }
    if described.size == 0 || described.size > LAYER_LIMIT {
        return Err("its layer has a size that no layer has");
    }
    Ok(Some(LayerDescriptor {
        diff_id,
        digest: described.digest,
        size: described.size,
        media_type: described.media_type.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(has_layer: bool) -> StepRecord {
        StepRecord {
            key: StepKey(Digest::of("key")),
            layer: has_layer.then(|| LayerDescriptor {
                diff_id: DiffId(Digest::of("tar")),
                digest: Digest::of("blob"),
                size: 4,
                media_type: MediaType::ImageLayerGzip,
            }),
            provisioner: "shell.packages".to_owned(),
            log: "done\n".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 1.5,
            epoch: Some(7),
            source: None,
            private: false,
            shared: Vec::new(),
        }
    }

    #[test]
    fn a_record_comes_back_and_its_form_does_not_change() {
        for has_layer in [true, false] {
            let record = record(has_layer);
            let text = write(&record).unwrap();
            let back = read(&record.key, &MediaType::ImageManifest, &text).unwrap();
            assert_eq!(back, record);
        }
        let text = String::from_utf8(write(&record(true)).unwrap()).unwrap();
        assert_eq!(
            Digest::of(&text).short(),
            "aa2f16efe664",
            "other versions read this form: {text}"
        );
        let key = record(true).key;
        assert_eq!(key_of(&tag(&key)), Some(key));
        for other in ["latest", "hardtack-1-", "hardtack-1-xyz", "hardtack-2-00"] {
            assert_eq!(key_of(other), None);
        }
    }

    #[test]
    fn what_stays_here_does_not_travel() {
        let local = StepRecord {
            source: Some("example.com/a".to_owned()),
            private: false,
            shared: vec!["example.com/b".to_owned()],
            ..record(true)
        };
        assert_eq!(write(&local).unwrap(), write(&record(true)).unwrap());
    }

    /// Changes the manifest and the record in its annotation.
    fn poisoned(change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
        let mut manifest: Value = serde_json::from_slice(&write(&record(true)).unwrap()).unwrap();
        let annotation = manifest["annotations"][RECORD].as_str().unwrap();
        let mut entry: Value = serde_json::from_str(annotation).unwrap();
        let before = entry.clone();
        change(&mut manifest, &mut entry);
        if entry != before {
            manifest["annotations"][RECORD] = entry.to_string().into();
        }
        manifest.to_string().into_bytes()
    }

    #[test]
    fn a_poisoned_record_is_refused_with_a_reason() {
        type Change = fn(&mut Value, &mut Value);
        let cases: [(&str, Change); 17] = [
            ("record of the step", |_, entry| {
                entry["key"] = json!(Digest::of("other"))
            }),
            ("cannot be read", |_, entry| {
                entry["key"] = json!("sha256:../../x")
            }),
            ("cannot be read", |_, entry| {
                entry["diff_id"] = json!("sha512:00")
            }),
            ("cannot be read", |_, entry| entry["more"] = json!(1)),
            ("its record has none", |_, entry| {
                entry["diff_id"] = Value::Null
            }),
            ("took no time", |_, entry| entry["seconds"] = json!(-1)),
            ("ran at no time", |_, entry| {
                entry["created"] = json!("yesterday")
            }),
            ("epoch", |_, entry| entry["epoch"] = json!(-1)),
            ("name of its step", |_, entry| {
                entry["provisioner"] = json!("x".repeat(5000))
            }),
            ("has no annotation", |manifest, _| {
                manifest["annotations"] = json!({})
            }),
            ("not just one layer", |manifest, _| {
                manifest["layers"] = json!([])
            }),
            ("media type that no layer", |manifest, _| {
                manifest["layers"][0]["mediaType"] = json!("text/plain");
            }),
            ("size that no layer", |manifest, _| {
                manifest["layers"][0]["size"] = json!(0)
            }),
            ("size that no layer", |manifest, _| {
                manifest["layers"][0]["size"] = json!(u64::MAX);
            }),
            ("cannot be read", |manifest, _| {
                manifest["layers"][0]["digest"] = json!("sha256:00")
            }),
            ("cannot be read", |manifest, _| {
                manifest["layers"][0]["size"] = json!(-1)
            }),
            ("manifests", |manifest, _| manifest["manifests"] = json!([])),
        ];
        for (expected, change) in cases {
            let text = poisoned(change);
            let error = read(&record(true).key, &MediaType::ImageManifest, &text).unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
        let key = record(true).key;
        let text = poisoned(|_, _| ());
        assert!(read(&key, &MediaType::ImageManifest, &text).is_ok());
        assert!(read(&key, &MediaType::ImageIndex, &text).is_err());
        for text in [&b""[..], b"{", b"[]", b"null", &[0xff; 10]] {
            assert!(read(&key, &MediaType::ImageManifest, text).is_err());
        }
        let huge = vec![b' '; MANIFEST_LIMIT as usize + 1];
        let error = read(&key, &MediaType::ImageManifest, &huge).unwrap_err();
        assert!(matches!(error, ArtifactError::TooLarge(_)));
    }
}
