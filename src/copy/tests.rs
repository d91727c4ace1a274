use super::*;
use crate::digest::Digest;
use crate::image::layout::LayoutWriter;
use oci_spec::image::MediaType;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A folder, a store in it, and no registry that could be asked.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    client: Client,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let client = Client::new(crate::registry::Settings {
            environment: Default::default(),
            home: None,
            insecure: Vec::new(),
            mirrors: Default::default(),
            authorities: Vec::new(),
            budget: std::time::Duration::from_secs(1),
            is_cancelled: std::sync::Arc::new(|| false),
        });
        Self {
            folder,
            store,
            client,
        }
    }

    /// Another store of the same folder, which has nothing.
    fn emptied(&self, name: &str) -> Store {
        Store::open(&self.folder.path().join(name)).unwrap()
    }

    fn put(&self, kind: MediaType, text: &[u8]) -> Descriptor {
        let digest = self.store.put_blob(text).unwrap();
        Descriptor::new(kind, digest, text.len() as u64)
    }

    fn manifest(&self, architecture: &str, subject: Option<&Descriptor>) -> Descriptor {
        let layer = self.put(MediaType::ImageLayer, architecture.as_bytes());
        let config = json!({"os": "linux", "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
        let config = self.put(MediaType::ImageConfig, config.to_string().as_bytes());
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest,
            "config": config, "layers": [layer]});
        if let Some(subject) = subject {
            manifest["subject"] = json!(subject);
            manifest["artifactType"] = json!("application/x");
        }
        self.put(MediaType::ImageManifest, manifest.to_string().as_bytes())
    }

    fn index(&self, manifests: &[Descriptor]) -> Descriptor {
        let index = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex,
            "manifests": manifests});
        self.put(MediaType::ImageIndex, index.to_string().as_bytes())
    }

    fn layout(&self, name: &str, entries: &[(Option<String>, Descriptor)]) -> PathBuf {
        let path = self.folder.path().join(name);
        let writer = LayoutWriter::open(&path).unwrap();
        for entry in fs::read_dir(self.store.root().join("blobs/sha256")).unwrap() {
            let entry = entry.unwrap();
            let digest = Digest::from_hex(entry.file_name().to_str().unwrap()).unwrap();
            let size = entry.metadata().unwrap().len();
            writer.add(&self.store, &digest, size).unwrap();
        }
        writer.finish(entries).unwrap();
        path
    }

    fn copy(
        &self,
        store: &Store,
        from: &str,
        to: &str,
        platform: Option<&str>,
    ) -> Result<Copied, CopyError> {
        let platform = platform.map(|text| text.parse().unwrap());
        let settings = Settings {
            client: &self.client,
            store,
            working_folder: self.folder.path(),
            platform: platform.as_ref(),
            referrers: true,
            progress: &|_| {},
        };
        copy(&from.parse().unwrap(), &to.parse().unwrap(), &settings)
    }

    /// An index of two images; a referrer of one of them, which has a referrer itself.
    fn multiple(&self) -> (Descriptor, Descriptor, Descriptor) {
        let (amd64, arm64) = (self.manifest("amd64", None), self.manifest("arm64", None));
        let signature = self.manifest("signature", Some(&arm64));
        let about = self.manifest("about", Some(&signature));
        (self.index(&[amd64, arm64]), signature, about)
    }
}

fn names(path: &Path) -> BTreeSet<(Option<String>, String)> {
    let text = fs::read(path.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&text).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let pair = |entry: &Value| {
        let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
        let digest = entry["digest"].as_str().unwrap().to_owned();
        (name.as_str().map(str::to_owned), digest)
    };
    entries.map(pair).collect()
}

fn files(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path.join("blobs/sha256")).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn everything_arrives_wherever_it_goes_through() {
    let bench = Bench::new();
    let (index, signature, about) = bench.multiple();
    // Cosign's way to refer to the index.
    let cosigned = bench.manifest("cosigned", None);
    let tag = format!("sha256-{}.sig", index.digest.hex());
    let entries = [
        (Some("multiple".to_owned()), index.clone()),
        (Some(tag.clone()), cosigned.clone()),
        (Some("signature".to_owned()), signature.clone()),
        (None, about.clone()),
    ];
    // Others may list referrers without their kind, and with names, which stay where they are.
    let first = bench.layout("first", &entries);
    let hops = [
        ("oci:first:multiple", "oci-archive:a/one.tar:x"),
        ("oci-archive:a/one.tar:x", "store:kept"),
        ("store:kept", "oci:last:y"),
    ];
    let store = bench.emptied("other");
    for (from, to) in hops {
        let copied = bench.copy(&store, from, to, None).unwrap();
        assert_eq!(copied.root, index, "{to}");
        assert_eq!((copied.documents, copied.referrers), (6, 3), "{to}");
    }
    let last = bench.folder.path().join("last");
    assert_eq!(files(&first), files(&last));
    let expected = [
        (Some("y".to_owned()), index.digest.to_string()),
        (Some(tag), cosigned.digest.to_string()),
        (None, signature.digest.to_string()),
        (None, about.digest.to_string()),
    ];
    assert_eq!(names(&last), expected.into());
    // The same again changes nothing.
    let before = fs::read(last.join("index.json")).unwrap();
    let copied = bench
        .copy(&store, "oci:first:multiple", "oci:last:y", None)
        .unwrap();
    assert_eq!(copied.moved.existing.blobs, 10);
    assert_eq!(copied.moved.uploaded.blobs, 0);
    assert_eq!(
        fs::read(last.join("index.json")).unwrap().len(),
        before.len()
    );
}

#[test]
fn one_platform_is_copied_with_what_refers_to_it() {
    let bench = Bench::new();
    let (index, signature, _) = bench.multiple();
    let mut listed = signature;
    listed.artifact_type = Some(MediaType::Other("application/x".to_owned()));
    bench.layout("first", &[(None, index), (None, listed)]);
    let store = bench.emptied("other");
    let copied = bench
        .copy(&store, "oci:first", "oci:one:x", Some("linux/arm64"))
        .unwrap();
    assert_eq!((copied.documents, copied.referrers), (2, 1));
    // What refers to it is not taken for a second image.
    let again = bench.copy(&store, "oci:one", "oci:two", None).unwrap();
    assert_eq!(again.root, copied.root);
    let copied = bench
        .copy(
            &store,
            "oci:first",
            "docker-archive:x.tar:x",
            Some("linux/amd64"),
        )
        .unwrap();
    assert_eq!((copied.documents, copied.referrers), (1, 0));
    let error = bench.copy(&store, "oci:first", "docker-archive:y.tar", None);
    assert!(matches!(error, Err(CopyError::OneImage { .. })));
    assert!(
        bench
            .copy(&store, "oci:first", "oci:z", Some("linux/s390x"))
            .is_err()
    );
    assert!(!bench.folder.path().join("z").exists());
}

#[test]
fn a_copy_that_fails_leaves_no_name() {
    let bench = Bench::new();
    let manifest = bench.manifest("amd64", None);
    let first = bench.layout("first", &[(Some("x".to_owned()), manifest)]);
    let missing = first.join("blobs/sha256").join(Digest::of("amd64").hex());
    fs::remove_file(missing).unwrap();
    let store = bench.emptied("other");
    for target in ["oci:second:x", "store:x", "oci-archive:x.tar:x"] {
        assert!(bench.copy(&store, "oci:first:x", target, None).is_err());
    }
    assert!(!bench.folder.path().join("second/index.json").exists());
    assert!(!bench.folder.path().join("x.tar").exists());
    assert!(store.references().unwrap().is_empty());
}

#[test]
fn what_is_beyond_any_reason_is_refused() {
    let bench = Bench::new();
    let mut deep = bench.manifest("amd64", None);
    for _ in 0..6 {
        deep = bench.index(&[deep]);
    }
    let huge = Descriptor::new(MediaType::ImageIndex, Digest::of("huge"), 65 << 20);
    let huge = bench.index(&[huge]);
    // Not one of them is there: that they are too many must be told before.
    let wide: Vec<Descriptor> = (0..1001)
        .map(|number| Descriptor::new(MediaType::ImageIndex, Digest::of(number.to_string()), 9))
        .collect();
    let wide = bench.index(&wide);
    let strange = bench.put(MediaType::ImageLayer, b"layer");
    let strange = bench.index(&[strange]);
    for (name, root) in [
        ("deep", deep),
        ("wide", wide),
        ("huge", huge),
        ("strange", strange),
    ] {
        bench.store.set_reference(name, &root, None).unwrap();
        let to = format!("oci:out-{name}:x");
        let result = bench.copy(&bench.store, &format!("store:{name}"), &to, None);
        assert!(
            matches!(
                result,
                Err(CopyError::TooMuch { .. } | CopyError::Kind { .. })
            ),
            "{name}: {result:?}"
        );
        assert!(!bench.folder.path().join(format!("out-{name}")).exists());
    }
}

#[test]
fn a_plain_name_is_of_the_store_or_of_a_registry_but_no_target() {
    let bench = Bench::new();
    let manifest = bench.manifest("amd64", None);
    bench
        .store
        .set_reference("web.oci.base", &manifest, None)
        .unwrap();
    let copied = bench.copy(&bench.store, "web.oci.base", "oci:out:x", None);
    assert_eq!(copied.unwrap().root, manifest);
    let error = bench.copy(&bench.store, "web.oci.base", "web", None);
    assert!(matches!(error, Err(CopyError::NoHost { .. })));
    let wrong = format!("docker://r.example/x@{}", Digest::of("other"));
    let error = bench.copy(&bench.store, "web.oci.base", &wrong, None);
    assert!(matches!(error, Err(CopyError::OtherDigest { .. })));
}
