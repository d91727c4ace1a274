//! The client against Debian's `docker-registry`, and against a double that misbehaves.

mod double;
mod encryption;
mod hostile;
mod images;
mod lists;
mod peer;
mod tokens;

use super::*;
use crate::digest::Digest;
use crate::store::{Descriptor, Store};
use oci_spec::image::MediaType;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Settings that know nothing of this machine but the given home.
fn settings(home: &Path) -> Settings {
    Settings {
        environment: BTreeMap::new(),
        home: Some(home.to_owned()),
        insecure: Vec::new(),
        mirrors: BTreeMap::new(),
        authorities: Vec::new(),
        budget: Duration::from_secs(8),
        is_cancelled: Arc::new(|| false),
    }
}

/// A store and the folder in which it is.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

/// Fails if something is left of an unfinished blob.
fn assert_clean(store: &Store) {
    let left = std::fs::read_dir(store.root().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "files are left in tmp");
}

fn repository(registry: &str, path: &str) -> Repository {
    format!("{registry}/{path}").parse().unwrap()
}

fn tagged(repository: &Repository, tag: &str) -> Reference {
    format!("{repository}:{tag}").parse().unwrap()
}

/// The text of a manifest without layers, whose configuration is `config`.
fn manifest(config: &Descriptor, subject: Option<&Descriptor>) -> String {
    let mut manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest,
        "config": config,
        "layers": [],
        "annotations": {"a": "1"},
    });
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::json!(subject);
    }
    manifest.to_string()
}
