//! The `index.json` of a layout: parsed, looked up and changed without losing anything.
//!
//! Other tools write into layouts too. What they put there (entries, annotations, fields that
//! do not exist yet) passes through here untouched, so the document stays a JSON value and only
//! entries that are looked at become [`Descriptor`]s.

use super::Descriptor;
use crate::digest::Digest;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

/// The annotation that names a manifest in a layout (OCI image layout, "index.json file").
pub const REFERENCE_NAME: &str = oci_spec::image::ANNOTATION_REF_NAME;
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The document of an `index.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    manifests: Vec<Value>,
    /// All other fields.
    rest: Map<String, Value>,
}

/// Why a text is not the index of a layout.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// No JSON object.
    #[error("it is not a JSON object")]
    Json(#[from] serde_json::Error),
    /// Another schema version than 2.
    #[error("its schemaVersion is not 2")]
    SchemaVersion,
    /// Says that it is something else.
    #[error("its mediaType is {0}")]
    MediaType(String),
    /// Has no list of manifests, or has layers too (CVE-2021-41190).
    #[error("it has no list of manifests, or is a manifest and an index at once")]
    Manifests,
}

impl Index {
    /// An index without entries.
    pub fn empty() -> Self {
        let mut rest = Map::new();
        rest.insert("schemaVersion".to_owned(), json!(2));
        rest.insert("mediaType".to_owned(), json!(INDEX_MEDIA_TYPE));
        Self {
            manifests: Vec::new(),
            rest,
        }
    }

    /// Parses an `index.json`.
    pub fn parse(text: &[u8]) -> Result<Self, IndexError> {
        let mut document: Map<String, Value> = serde_json::from_slice(text)?;
        if document.get("schemaVersion") != Some(&json!(2)) {
            return Err(IndexError::SchemaVersion);
        }
        match document.get("mediaType") {
            None | Some(Value::Null) => {}
            Some(value) if value == INDEX_MEDIA_TYPE => {}
            Some(other) => return Err(IndexError::MediaType(other.to_string())),
        }
        if document.contains_key("layers") || document.contains_key("config") {
            return Err(IndexError::Manifests);
        }
        let Some(Value::Array(manifests)) = document.remove("manifests") else {
            return Err(IndexError::Manifests);
        };
        Ok(Self {
            manifests,
            rest: document,
        })
    }

    /// The document, keys sorted.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut document = self.rest.clone();
        let manifests = Value::Array(self.manifests.clone());
        document.insert("manifests".to_owned(), manifests);
        Value::Object(document).to_string().into_bytes()
    }

    /// The entries that are valid descriptors, in the document's order. Others (a digest of
    /// another algorithm, a field of a future specification) are left alone, not reported.
    pub fn entries(&self) -> impl Iterator<Item = Descriptor> {
        self.manifests
            .iter()
            .filter_map(|entry| Descriptor::deserialize(entry).ok())
    }

    /// The digests of all entries, whatever else is wrong with them.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let digests = self
            .manifests
            .iter()
            .filter_map(|it| it.get("digest")?.as_str());
        digests.filter_map(|text| text.parse().ok())
    }

    /// Makes `name` point at `descriptor` and at nothing else.
    pub fn set(&mut self, name: &str, descriptor: &Descriptor) -> Result<(), serde_json::Error> {
        let mut descriptor = descriptor.clone();
        descriptor
            .annotations
            .insert(REFERENCE_NAME.to_owned(), name.to_owned());
        self.remove(name);
        self.add(&descriptor)
    }

    /// Lists `descriptor` under a name, or without one unless it is listed already.
    pub fn enter(
        &mut self,
        name: Option<&str>,
        descriptor: &Descriptor,
    ) -> Result<(), serde_json::Error> {
        match name {
            Some(name) => self.set(name, descriptor),
            None if self.entries().any(|it| it.digest == descriptor.digest) => Ok(()),
            None => self.add(descriptor),
        }
    }

    /// Adds an entry as it is.
    pub fn add(&mut self, descriptor: &Descriptor) -> Result<(), serde_json::Error> {
        let entry = serde_json::to_value(descriptor)?;
        self.manifests.push(entry);
        Ok(())
    }

    /// Removes the entries called `name`; says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.manifests.len();
        self.manifests
            .retain(|entry| reference_name(entry) != Some(name));
        self.manifests.len() != before
    }
}

fn reference_name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REFERENCE_NAME)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::image::MediaType;

    #[test]
    fn what_others_wrote_survives() {
        let text = format!(
            r#"{{"schemaVersion":2,"future":{{"b":1,"a":[2]}},"annotations":{{"x":"y"}},"manifests":[
                {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":5,
                  "annotations":{{"org.opencontainers.image.ref.name":"theirs","k":"v"}},"new":true}},
                {{"mediaType":"x","digest":"sha512:00","size":1}}]}}"#,
            Digest::of("theirs")
        );
        let mut index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!(index.entries().count(), 1);
        let ours = Descriptor::new(MediaType::ImageManifest, Digest::of("ours"), 4);
        index.set("ours", &ours).unwrap();
        index.set("ours", &ours).unwrap();
        let document: Value = serde_json::from_slice(&index.to_bytes()).unwrap();
        let before: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["future"], before["future"]);
        assert_eq!(document["annotations"], before["annotations"]);
        assert_eq!(document["manifests"][0], before["manifests"][0]);
        assert_eq!(document["manifests"][1], before["manifests"][1]);
        assert_eq!(document["manifests"].as_array().unwrap().len(), 3);
        assert!(index.remove("theirs"));
        assert!(!index.remove("theirs"));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"config":{}}"#,
            r#"{"schemaVersion":2,"manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#,
            r#"{"schemaVersion":2,"manifests":[]} trailing"#,
            &"[".repeat(100_000),
        ] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text:.80}");
        }
    }
}
