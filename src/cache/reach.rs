//! Reach: which blobs some documents lead to.
//!
//! Follows every list of descriptors that a manifest or an index can have (OCI image
//! specification), whatever media types it says, since what is kept too much does no harm. What
//! is not in the store leads nowhere.

use crate::digest::Digest;
use crate::store::{Store, StoreError};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// No document that leads anywhere is larger.
const DOCUMENT_LIMIT: u64 = 64 * 1024 * 1024;

/// The blobs that something leads to.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Manifests, indexes, configurations.
    pub documents: BTreeSet<Digest>,
    /// Layers, and what else manifests list as such.
    pub layers: BTreeSet<Digest>,
}

impl Reach {
    /// Whether a blob is kept by this.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.documents.contains(digest) || self.layers.contains(digest)
    }

    /// Adds all that `roots` lead to.
    ///
    /// A document that is damaged is an error: nobody knows what it leads to.
    pub fn add(
        &mut self,
        store: &Store,
        roots: impl IntoIterator<Item = Digest>,
    ) -> Result<(), StoreError> {
        let mut waiting: Vec<Digest> = roots.into_iter().collect();
        while let Some(digest) = waiting.pop() {
            if !self.documents.insert(digest) {
                continue;
            }
            let Some(document) = document(store, &digest)? else {
                continue;
            };
            for field in ["manifests", "subject"] {
                waiting.extend(digests(&document, field));
            }
            self.documents.extend(digests(&document, "config"));
            for field in ["layers", "blobs"] {
                self.layers.extend(digests(&document, field));
            }
        }
        Ok(())
    }
}

/// The JSON object in a blob; none if it is something else, or not in the store.
pub fn document(store: &Store, digest: &Digest) -> Result<Option<Map<String, Value>>, StoreError> {
    match store.blob_size(digest)? {
        Some(size) if size <= DOCUMENT_LIMIT => {}
        _ => return Ok(None),
    }
    let text = store.read_blob(digest, DOCUMENT_LIMIT)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// The digests of the descriptors in a field that holds one or a list of them.
fn digests(document: &Map<String, Value>, field: &str) -> Vec<Digest> {
    let descriptors = match document.get(field) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    let digests = descriptors
        .iter()
        .filter_map(|it| it.get("digest")?.as_str());
    digests.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_below_a_root_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let put = |value: Value| store.put_blob(value.to_string().as_bytes()).unwrap();
        let named = |digest: Digest| json!({ "digest": digest, "mediaType": "any", "new": 1 });
        let (config, layer) = (Digest::of("config"), Digest::of("layer"));
        let manifest = put(json!({
            "config": named(config),
            "layers": [named(layer), { "digest": "sha512:00" }, 7],
        }));
        let gone = Digest::of("gone");
        let inner = put(json!({ "manifests": [named(manifest), named(gone)] }));
        let outer = put(json!({ "manifests": [named(inner)] }));
        let referrer = put(json!({ "subject": named(outer), "blobs": [named(Digest::of("old"))] }));
        let other = store.put_blob(b"no document").unwrap();
        let mut reach = Reach::default();
        reach.add(&store, [referrer, other]).unwrap();
        let documents = [referrer, outer, inner, manifest, config, gone, other];
        assert_eq!(reach.documents, BTreeSet::from(documents));
        assert_eq!(reach.layers, BTreeSet::from([layer, Digest::of("old")]));
        assert!(!reach.contains(&Digest::of("else")));
    }

    #[test]
    fn nobody_knows_where_a_damaged_document_leads() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put_blob(b"{}").unwrap();
        std::fs::write(store.blob_path(&digest), b"[]").unwrap();
        let error = Reach::default().add(&store, [digest]).unwrap_err();
        assert!(matches!(error, StoreError::DamagedBlob { .. }), "{error}");
    }
}
