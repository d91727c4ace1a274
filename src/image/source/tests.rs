//! Finding images: by name and platform, in honest and in hostile indexes.

use super::*;
use crate::image;
use oci_spec::image::{Arch, MediaType};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A source in memory that counts what is read.
#[derive(Default)]
struct Memory {
    index: Vec<u8>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    read: AtomicUsize,
}

impl Memory {
    fn put(&mut self, text: impl Into<Vec<u8>>) -> (Digest, u64) {
        let text = text.into();
        let digest = Digest::of(&text);
        let size = text.len() as u64;
        self.blobs.insert(digest, text);
        (digest, size)
    }

    fn entry(&mut self, media_type: MediaType, document: &Value) -> Value {
        let (digest, size) = self.put(document.to_string());
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// An image without layers for `architecture`.
    fn image(&mut self, architecture: &str) -> Value {
        let config = json!({"architecture": architecture, "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []}});
        let config = self.entry(MediaType::ImageConfig, &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        self.entry(MediaType::ImageManifest, &manifest)
    }

    fn list(&mut self, manifests: Value) -> Value {
        let list = json!({"schemaVersion": 2, "manifests": manifests});
        self.entry(MediaType::ImageIndex, &list)
    }

    fn set_index(&mut self, manifests: Value) {
        self.index = json!({"schemaVersion": 2, "manifests": manifests})
            .to_string()
            .into();
    }
}

impl ImageSource for Memory {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        Ok(self.index.clone())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let digest = &descriptor.digest;
        self.read.fetch_add(1, Ordering::Relaxed);
        self.blobs
            .get(digest)
            .cloned()
            .ok_or(ImageError::MissingBlob {
                place: self.place(),
                digest: *digest,
            })
    }

    fn import(&self, _: &Store, _: &Digest, _: u64) -> Result<(), ImageError> {
        Ok(())
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn named(mut entry: Value, name: &str) -> Value {
    entry["annotations"] = json!({ REFERENCE_NAME: name });
    entry
}

fn on(mut entry: Value, os: &str, architecture: &str, variant: &str) -> Value {
    entry["platform"] = json!({"os": os, "architecture": architecture, "variant": variant});
    entry
}

fn find(memory: &Memory, reference: Option<&str>, architecture: &str) -> Result<Image, ImageError> {
    let (_folder, store) = store();
    let platform = Platform::linux(Arch::from(architecture));
    let image = resolve(memory, &store, reference, &platform)?;
    assert_eq!(
        image::load(&store, &image.manifest, &platform).unwrap(),
        image
    );
    Ok(image)
}

#[test]
fn one_image_needs_no_name_and_several_do() {
    let mut memory = Memory::default();
    let (a, b) = (memory.image("amd64"), memory.image("arm64"));
    memory.set_index(json!([named(a.clone(), "a"), named(a.clone(), "other")]));
    find(&memory, None, "amd64").unwrap();
    memory.set_index(json!([named(a.clone(), "a"), named(b, "b")]));
    let error = find(&memory, None, "amd64").unwrap_err();
    assert!(error.to_string().ends_with("choose one of a, b"), "{error}");
    let by_name = find(&memory, Some("a"), "amd64").unwrap();
    let digest = a["digest"].as_str().unwrap();
    assert_eq!(find(&memory, Some(digest), "amd64").unwrap(), by_name);
    let error = find(&memory, Some("c"), "amd64").unwrap_err();
    assert!(
        matches!(error, ImageError::UnknownReference { .. }),
        "{error}"
    );
    memory.set_index(json!([]));
    assert!(find(&memory, None, "amd64").is_err());
}

#[test]
fn the_platform_chooses_within_indexes() {
    let mut memory = Memory::default();
    let (a, b) = (memory.image("amd64"), memory.image("arm64"));
    let attestation = on(memory.image("unknown"), "unknown", "unknown", "");
    let inner = memory.list(json!([on(b.clone(), "linux", "arm64", "v8"), attestation]));
    let outer = memory.list(json!([inner, on(a.clone(), "linux", "amd64", "")]));
    memory.set_index(json!([named(outer, "multi")]));
    for (architecture, expected) in [("amd64", &a), ("arm64", &b)] {
        let image = find(&memory, Some("multi"), architecture).unwrap();
        assert_eq!(image.manifest.digest.to_string(), expected["digest"]);
    }
    let error = find(&memory, None, "riscv64").unwrap_err().to_string();
    assert!(error.contains("linux/amd64, linux/arm64/v8"), "{error}");
    assert!(!error.contains("unknown"), "{error}");
}

#[test]
fn an_image_for_another_platform_is_refused_even_if_its_index_lies() {
    let mut memory = Memory::default();
    let b = memory.image("arm64");
    memory.set_index(json!([on(b, "linux", "amd64", "")]));
    let error = find(&memory, None, "amd64").unwrap_err();
    assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
}

#[test]
fn variants_rank() {
    let platform = |architecture: &str, variant: Option<&str>| Platform {
        variant: variant.map(str::to_owned),
        ..Platform::linux(Arch::from(architecture))
    };
    for (offered, wanted, expected) in [
        (("arm", Some("v7")), ("arm", Some("v7")), Some(0)),
        (("arm", Some("v6")), ("arm", Some("v7")), None),
        (("arm", None), ("arm", Some("v7")), Some(1)),
        (("arm", Some("v7")), ("arm", None), Some(1)),
        (("arm64", Some("v8")), ("arm64", None), Some(0)),
        (("amd64", None), ("arm64", None), None),
    ] {
        let rank = rank(
            &platform(offered.0, offered.1),
            &platform(wanted.0, wanted.1),
        );
        assert_eq!(rank, expected, "{offered:?} {wanted:?}");
    }
}

#[test]
fn hostile_indexes_end() {
    let mut memory = Memory::default();
    let mut entry = memory.image("amd64");
    for _ in 0..6 {
        entry = memory.list(json!([entry]));
    }
    memory.set_index(json!([entry]));
    let error = find(&memory, None, "amd64").unwrap_err();
    assert!(matches!(error, ImageError::TooNested { .. }), "{error}");

    let mut memory = Memory::default();
    let foreign = memory.image("arm64");
    let many = memory.list(Value::Array(vec![foreign; 5000]));
    memory.set_index(json!([many]));
    assert!(find(&memory, None, "amd64").is_err());
    assert!(memory.read.load(Ordering::Relaxed) < 1000);
}

#[test]
fn what_a_descriptor_says_must_be_true() {
    for (field, value) in [
        ("size", json!(1)),
        ("size", json!(u64::MAX)),
        ("digest", json!(Digest::of("absent"))),
        ("mediaType", json!(MediaType::ImageIndex)),
        ("mediaType", json!("text/plain")),
    ] {
        let mut memory = Memory::default();
        let mut entry = memory.image("amd64");
        entry[field] = value.clone();
        memory.set_index(json!([entry]));
        assert!(find(&memory, None, "amd64").is_err(), "{field} {value}");
    }
    let mut memory = Memory::default();
    let entry = memory.image("amd64");
    let digest: Digest = entry["digest"].as_str().unwrap().parse().unwrap();
    let text = memory.blobs.get_mut(&digest).unwrap();
    text[0] = b' ';
    memory.set_index(json!([entry]));
    let error = find(&memory, None, "amd64").unwrap_err();
    assert!(matches!(error, ImageError::Mismatch { .. }), "{error}");
}

#[test]
fn layers_and_diff_ids_must_pair() {
    let layer =
        json!({"mediaType": MediaType::ImageLayerGzip, "digest": Digest::of("l"), "size": 1});
    let odd = json!({"mediaType": "text/plain", "digest": Digest::of("l"), "size": 1});
    let diff_id = json!(Digest::of("d"));
    for (layers, diff_ids, valid) in [
        (json!([layer]), json!([diff_id]), true),
        (json!([layer]), json!([]), false),
        (json!([]), json!([diff_id]), false),
        (json!([odd]), json!([diff_id]), false),
    ] {
        let mut memory = Memory::default();
        let config = json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = memory.entry(MediaType::ImageConfig, &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let entry = memory.entry(MediaType::ImageManifest, &manifest);
        memory.set_index(json!([entry]));
        assert_eq!(find(&memory, None, "amd64").is_ok(), valid);
    }
}

#[test]
fn an_artifact_is_no_image() {
    let mut memory = Memory::default();
    let config = memory.entry(MediaType::EmptyJSON, &json!({}));
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
    let entry = memory.entry(MediaType::ImageManifest, &manifest);
    memory.set_index(json!([entry]));
    let error = find(&memory, None, "amd64").unwrap_err();
    assert!(matches!(error, ImageError::NotAnImage { .. }), "{error}");
}

#[test]
fn documents_of_a_base_are_kept_byte_by_byte() {
    let mut memory = Memory::default();
    let text =
        r#"{ "os":"linux", "architecture":"amd64",  "rootfs":{"type":"layers","diff_ids":[]}}"#;
    let (digest, size) = memory.put(text);
    let config = json!({"mediaType": MediaType::ImageConfig, "digest": digest, "size": size});
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [], "future": 1});
    let entry = memory.entry(MediaType::ImageManifest, &manifest);
    memory.set_index(json!([entry]));
    let (_folder, store) = store();
    let image = resolve(&memory, &store, None, &Platform::linux(Arch::Amd64)).unwrap();
    assert_eq!(store.read_blob(&digest, 1000).unwrap(), text.as_bytes());
    let stored = store.read_blob(&image.manifest.digest, 1000).unwrap();
    assert_eq!(stored, manifest.to_string().as_bytes());
}
