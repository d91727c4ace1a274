//! What goes and what stays, on stores with one image, three steps and what nobody needs.

use super::*;
use crate::digest::{DiffId, StepKey};
use crate::store::inventory::TreeEntry;
use crate::store::{Descriptor, LayerDescriptor, StepLookup, StepRecord};
use oci_spec::image::MediaType;
use serde_json::json;
use std::fs::{self, File};

const HOUR: u64 = 3600;
const LAYER_SIZE: usize = 100_000;

struct Sample {
    _folder: tempfile::TempDir,
    store: Store,
    now: SystemTime,
}

/// Blobs and records of a sample, by what they are for.
struct Parts {
    image: Digest,
    image_layer: Digest,
    old: Digest,
    new: Digest,
    loose: Digest,
}

impl Sample {
    fn new() -> (Self, Parts) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sample = Self {
            _folder: folder,
            store,
            now: SystemTime::now(),
        };
        let image_layer = sample.blob(1, 500 * HOUR);
        let config = sample.store.put_blob(b"{\"config\":1}").unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "config": { "digest": config },
            "layers": [{ "digest": image_layer }],
        })
        .to_string();
        let image = sample.store.put_blob(manifest.as_bytes()).unwrap();
        let size = manifest.len() as u64;
        let descriptor = Descriptor::new(MediaType::ImageManifest, image, size);
        sample
            .store
            .set_reference("web", &descriptor, None)
            .unwrap();
        let (old, new) = (sample.blob(2, 200 * HOUR), sample.blob(3, HOUR));
        sample.record("of the image", Some(image_layer), 500 * HOUR);
        sample.record("old", Some(old), 100 * HOUR);
        sample.record("new", Some(new), HOUR);
        sample.record("without a layer", None, 100 * HOUR);
        let loose = sample.blob(4, 50 * HOUR);
        let parts = Parts {
            image,
            image_layer,
            old,
            new,
            loose,
        };
        (sample, parts)
    }

    fn time(&self, age: u64) -> SystemTime {
        self.now - Duration::from_secs(age)
    }

    fn blob(&self, byte: u8, age: u64) -> Digest {
        let digest = self.store.put_blob(&[byte; LAYER_SIZE]).unwrap();
        self.touch(&self.store.blob_path(&digest), age);
        digest
    }

    fn touch(&self, path: &std::path::Path, age: u64) {
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(self.time(age)).unwrap();
    }

    fn record(&self, name: &str, layer: Option<Digest>, age: u64) {
        let key = key(name);
        let record = StepRecord {
            key,
            layer: layer.map(|digest| LayerDescriptor {
                diff_id: DiffId(digest),
                digest,
                size: LAYER_SIZE as u64,
                media_type: MediaType::ImageLayerGzip,
            }),
            provisioner: name.to_owned(),
            log: String::new(),
            created: String::new(),
            seconds: 1.0,
            epoch: None,
            source: None,
            private: false,
            shared: Vec::new(),
        };
        self.store.put_step(&record).unwrap();
        let hex = key.0.hex();
        self.touch(&self.store.root().join(format!("steps/{hex}.json")), age);
    }

    fn inventory(&self) -> Inventory {
        Inventory::take(&self.store, &LazySandbox::default(), &Cancel::default()).unwrap()
    }

    fn prune(&self, policy: &Policy) -> Removal {
        prune(
            &self.store,
            &LazySandbox::default(),
            policy,
            self.now,
            || panic!("nobody else is there"),
        )
        .unwrap()
    }

    fn records(&self) -> BTreeSet<String> {
        let steps = self.store.steps().unwrap().into_iter();
        steps
            .map(|step| {
                step.record
                    .map_or("damaged".to_owned(), |it| it.provisioner)
            })
            .collect()
    }

    fn has(&self, digest: &Digest) -> bool {
        self.store.blob_size(digest).unwrap().is_some()
    }
}

fn key(name: &str) -> StepKey {
    StepKey(Digest::of(name))
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn policies_remove_what_they_say() {
    let days = |days: u64| Some(Duration::from_secs(days * 24 * HOUR));
    let policy = |older_than, keep_size, all| Policy {
        older_than,
        keep_size,
        all,
    };
    let everything = names(&["of the image", "old", "new", "without a layer"]);
    // The policy, the records that stay, and whether the blobs old, new and loose do.
    type Case = (Policy, BTreeSet<String>, [bool; 3]);
    let cases: [Case; 5] = [
        (
            policy(None, None, false),
            everything.clone(),
            [true, true, false],
        ),
        (policy(None, None, true), names(&[]), [false, false, false]),
        (
            policy(days(3), None, false),
            names(&["new"]),
            [false, true, true],
        ),
        (
            policy(days(1), None, false),
            names(&["new"]),
            [false, true, false],
        ),
        (
            policy(days(9), None, false),
            names(&["new", "old", "without a layer"]),
            [true, true, true],
        ),
    ];
    for (policy, records, blobs) in cases {
        let (sample, parts) = Sample::new();
        let before = sample.inventory().disk();
        let removal = sample.prune(&policy);
        assert_eq!(sample.records(), records, "{policy:?}");
        let found = [parts.old, parts.new, parts.loose].map(|digest| sample.has(&digest));
        assert_eq!(found, blobs, "{policy:?}");
        assert!(sample.has(&parts.image) && sample.has(&parts.image_layer));
        assert_eq!(removal.left, sample.inventory().disk(), "{policy:?}");
        assert_eq!(before - removal.disk, removal.left, "{policy:?}");
        assert_eq!(
            sample.prune(&policy).disk,
            0,
            "there is nothing more to remove"
        );
    }
}

#[test]
fn what_was_not_used_for_the_longest_time_makes_room() {
    let (sample, parts) = Sample::new();
    sample.prune(&Policy::default());
    let all = sample.inventory().disk();
    let keep = |size| Policy {
        keep_size: Some(size),
        ..Policy::default()
    };
    assert_eq!(sample.prune(&keep(all)).disk, 0, "it fits");
    let removal = sample.prune(&keep(all - 1));
    assert!(!sample.has(&parts.old) && sample.has(&parts.new));
    assert!(removal.left < all);
    // The image's own record gives nothing back.
    assert_eq!(
        sample.records(),
        names(&["of the image", "new", "without a layer"])
    );
    let removal = sample.prune(&keep(0));
    assert!(!sample.has(&parts.new) && sample.has(&parts.image_layer));
    assert!(removal.left > 0);
}

#[test]
fn two_records_of_one_layer_go_together_and_count_once() {
    let (sample, parts) = Sample::new();
    sample.record("same layer", Some(parts.old), 2 * HOUR);
    sample.prune(&Policy::default());
    let size = sample.inventory().disk() - 1;
    let keep = Policy {
        keep_size: Some(size),
        ..Policy::default()
    };
    // Used more recently, by the other record, than "new" was.
    sample.record("new", Some(parts.new), 3 * HOUR);
    sample.prune(&keep);
    assert!(sample.has(&parts.old) && !sample.has(&parts.new));
    assert!(sample.records().contains("same layer"));
}

#[test]
fn what_is_damaged_or_lost_is_of_no_use() {
    let (sample, parts) = Sample::new();
    fs::write(sample.store.root().join("steps/abc.json"), "{").unwrap();
    sample.store.remove_blob(&parts.old).unwrap();
    // It can be had elsewhere.
    sample.store.remove_blob(&parts.new).unwrap();
    sample
        .store
        .add_origin(&parts.new, "example.com/a")
        .unwrap();
    sample
        .store
        .add_origin(&Digest::of("forgotten"), "example.com/a")
        .unwrap();
    sample.prune(&Policy::default());
    assert_eq!(
        sample.records(),
        names(&["of the image", "new", "without a layer"])
    );
    assert!(matches!(
        sample.store.step(&key("new")).unwrap(),
        StepLookup::Hit(_)
    ));
    assert!(
        sample
            .store
            .origins(&Digest::of("forgotten"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(sample.store.origins(&parts.new).unwrap(), ["example.com/a"]);
}

#[test]
fn documents_of_bases_stay_with_what_they_lead_to_while_they_are_young() {
    let (sample, parts) = Sample::new();
    let manifest = json!({ "layers": [{ "digest": parts.loose }] }).to_string();
    let manifest = sample.store.put_blob(manifest.as_bytes()).unwrap();
    sample.touch(&sample.store.blob_path(&manifest), HOUR);
    let day = Policy {
        older_than: Some(Duration::from_secs(24 * HOUR)),
        ..Policy::default()
    };
    sample.prune(&day);
    assert!(sample.has(&manifest) && sample.has(&parts.loose));
    sample.touch(&sample.store.blob_path(&manifest), 25 * HOUR);
    sample.prune(&day);
    assert!(!sample.has(&manifest) && !sample.has(&parts.loose));
}

#[test]
fn trees_go_by_age_and_use_if_they_are_ours() {
    let (sample, _) = Sample::new();
    let mut inventory = sample.inventory();
    let tree = |name: &str, age, is_whole, is_removable| Tree {
        entry: TreeEntry {
            namespace: "ids".to_owned(),
            folder: PathBuf::from(name),
            counted: Some(1000),
            beside: 0,
            used: sample.time(age),
            is_whole,
        },
        disk: 1000,
        is_removable,
    };
    inventory.trees = vec![
        tree("old", 300 * HOUR, true, true),
        tree("new", HOUR, true, true),
        tree("broken", HOUR, false, true),
        tree("foreign", 300 * HOUR, true, false),
    ];
    let gone = |policy: &Policy| -> Vec<String> {
        let removal = inventory.decide(policy, sample.now);
        let paths = removal.trees.iter();
        paths.map(|path| path.display().to_string()).collect()
    };
    assert_eq!(gone(&Policy::default()), ["broken"]);
    let day = Policy {
        older_than: Some(Duration::from_secs(24 * HOUR)),
        ..Policy::default()
    };
    assert_eq!(gone(&day), ["broken", "old"]);
    let all = Policy {
        all: true,
        ..Policy::default()
    };
    assert_eq!(gone(&all), ["broken", "new", "old"]);
    let usage = inventory.usage(sample.now);
    let trees = usage.iter().find(|kind| kind.kind == "trees").unwrap();
    assert_eq!(
        (trees.count, trees.disk, trees.reclaimable),
        (4, 4000, 3000)
    );
    let total: u64 = usage.iter().map(|kind| kind.disk).sum();
    assert_eq!(total, inventory.disk());
}

#[test]
fn a_prune_waits_for_whoever_is_in_the_store() {
    let (sample, parts) = Sample::new();
    let other = Store::open(sample.store.root()).unwrap();
    let mut calls = 0;
    let all = Policy {
        all: true,
        ..Policy::default()
    };
    let result = prune(
        &sample.store,
        &LazySandbox::default(),
        &all,
        sample.now,
        || {
            calls += 1;
            match calls {
                3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    );
    assert!(matches!(result, Err(StoreError::LockAbandoned { .. })));
    assert!(sample.has(&parts.new), "nothing was removed");
    drop(other);
    sample.prune(&all);
    assert!(!sample.has(&parts.new));
}

#[test]
fn the_sum_is_what_du_says() {
    let (sample, _) = Sample::new();
    fs::write(sample.store.root().join("tmp/left"), vec![1; 10_000]).unwrap();
    let du = std::process::Command::new("du")
        .args(["--summarize", "--block-size=1"])
        .arg(sample.store.root())
        .output()
        .unwrap();
    let du = String::from_utf8(du.stdout).unwrap();
    let expected: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
    let inventory = sample.inventory();
    let sum: u64 = inventory
        .usage(sample.now)
        .iter()
        .map(|kind| kind.disk)
        .sum();
    assert_eq!((sum, inventory.disk()), (expected, expected));
}
