//! Step records: what a step with a given key made, the cache's memory.
//!
//! A *record* is only as good as the blob that it names: without the blob, or when the file does
//! not parse, the step counts as never run. A record never makes a build fail.

use super::write::{self, Durability};
use super::{LayerDescriptor, Store, StoreError};
use crate::digest::StepKey;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// A log's excerpt and a few fields; anything larger is no record of ours.
const RECORD_LIMIT: u64 = 16 * 1024 * 1024;

/// The result of one run of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// All that the step depended on.
    pub key: StepKey,
    /// What it changed; none if it changed nothing.
    pub layer: Option<LayerDescriptor>,
    /// The provisioner's type and name, for people.
    pub provisioner: String,
    /// The last lines that it printed.
    pub log: String,
    /// When it ran, in RFC 3339.
    pub created: String,
    /// How long it ran.
    pub seconds: f64,
    /// The source date epoch that follows from it, where it made a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The repository that the record was read from; none if the step ran here. It counts only
    /// for those who still trust that repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it must not leave this machine: something sensitive decided it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// The repositories that this record was written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
}

/// What the record of a test has for its provisioner's type, which no provisioner has.
const TEST: &str = "test ";

impl StepRecord {
    /// That a test has passed. It stays on this machine: others make sure for themselves.
    pub fn passed_test(key: StepKey, name: &str, created: String, seconds: f64) -> Self {
        Self {
            key,
            layer: None,
            provisioner: format!("{TEST}{name}"),
            log: String::new(),
            created,
            seconds,
            epoch: None,
            source: None,
            private: true,
            shared: Vec::new(),
        }
    }

    /// Whether it is the record of a test.
    pub fn is_of_test(&self) -> bool {
        self.provisioner.starts_with(TEST)
    }
}

/// What the store knows about a key.
#[derive(Clone, Debug, PartialEq)]
pub enum StepLookup {
    /// The step has run, and its layer is stored or can be fetched.
    Hit(Box<StepRecord>),
    /// The step has not run, as far as the store knows.
    Miss,
    /// There was a record that cannot be used; it was removed. Worth a warning, and a miss.
    Discarded {
        /// Why it cannot be used.
        reason: String,
    },
}

impl Store {
    /// Looks a step's result up.
    pub fn step(&self, key: &StepKey) -> Result<StepLookup, StoreError> {
        let path = self.step_path(key);
        let reason = match write::read_limited(&path, RECORD_LIMIT) {
            Ok(text) => match self.check_step(key, &text)? {
                Ok(record) => return Ok(StepLookup::Hit(Box::new(record))),
                Err(reason) => reason,
            },
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(StepLookup::Miss);
            }
            Err(error @ StoreError::TooLarge { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        // A store that cannot be written still answers; the record is found useless again.
        let _ = write::remove_file(&path);
        Ok(StepLookup::Discarded { reason })
    }

    /// Forgets a step's result, which was found to be of no use.
    pub fn remove_step(&self, key: &StepKey) -> Result<(), StoreError> {
        write::remove_file(&self.step_path(key))
    }

    /// Keeps a step's result, whose layer must be stored or have an origin.
    pub fn put_step(&self, record: &StepRecord) -> Result<(), StoreError> {
        if let Some(layer) = &record.layer
            && !self.has_blob(&layer.digest, layer.size)?
            && self.origins(&layer.digest)?.is_empty()
        {
            return Err(StoreError::MissingBlob {
                digest: layer.digest,
                store: self.root().to_owned(),
            });
        }
        let path = self.step_path(&record.key);
        let text = serde_json::to_vec(record).map_err(|source| StoreError::Syntax {
            path: path.clone(),
            source,
        })?;
        write::write_atomically(&self.folder("tmp"), &path, &text, Durability::Lazy)
    }

    /// The record in `text`, or why it cannot be used.
    fn check_step(
        &self,
        key: &StepKey,
        text: &[u8],
    ) -> Result<Result<StepRecord, String>, StoreError> {
        let record: StepRecord = match serde_json::from_slice(text) {
            Ok(record) => record,
            Err(error) => return Ok(Err(format!("the record of step {key} is damaged: {error}"))),
        };
        if record.key != *key {
            return Ok(Err(format!(
                "the record of step {key} belongs to {}",
                record.key
            )));
        }
        if let Some(layer) = &record.layer {
            let reason = match self.blob_size(&layer.digest)? {
                Some(size) if size == layer.size => return Ok(Ok(record)),
                Some(size) => format!(
                    "the layer {} of step {key} has {size} bytes instead of {}",
                    layer.digest, layer.size
                ),
                // It is fetched when its bytes are needed.
                None if !self.origins(&layer.digest)?.is_empty() => return Ok(Ok(record)),
                None => format!("the layer {} of step {key} is gone", layer.digest),
            };
            return Ok(Err(reason));
        }
        Ok(Ok(record))
    }

    /// The record in a file of `steps/`; none if it is damaged or gone. Its layer is not looked at.
    pub(super) fn read_step(&self, path: &Path) -> Result<Option<StepRecord>, StoreError> {
        match write::read_limited(path, RECORD_LIMIT) {
            Ok(text) => Ok(serde_json::from_slice(&text)
                .ok()
                .filter(|record: &StepRecord| self.step_path(&record.key) == path)),
            Err(StoreError::TooLarge { .. }) => Ok(None),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn step_path(&self, key: &StepKey) -> PathBuf {
        self.folder("steps").join(format!("{}.json", key.0.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DiffId, Digest};
    use oci_spec::image::MediaType;
    use std::fs;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn record(store: &Store, name: &str) -> StepRecord {
        let digest = store.put_blob(name.as_bytes()).unwrap();
        StepRecord {
            key: StepKey(Digest::of(format!("key of {name}"))),
            layer: Some(LayerDescriptor {
                diff_id: DiffId(Digest::of("tar")),
                digest,
                size: name.len() as u64,
                media_type: MediaType::ImageLayerGzip,
            }),
            provisioner: "shell".to_owned(),
            log: "done\n".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 0.25,
            epoch: None,
            source: None,
            private: false,
            shared: Vec::new(),
        }
    }

    #[test]
    fn a_record_comes_back() {
        let (_folder, store) = store();
        let record = record(&store, "layer");
        assert_eq!(store.step(&record.key).unwrap(), StepLookup::Miss);
        store.put_step(&record).unwrap();
        assert_eq!(
            store.step(&record.key).unwrap(),
            StepLookup::Hit(Box::new(record.clone()))
        );
        let nothing_changed = StepRecord {
            layer: None,
            ..record
        };
        store.put_step(&nothing_changed).unwrap();
        assert_eq!(
            store.step(&nothing_changed.key).unwrap(),
            StepLookup::Hit(Box::new(nothing_changed))
        );
    }

    #[test]
    fn a_record_that_cannot_be_used_is_removed_once() {
        type Damage = fn(&Store, &StepRecord);
        let damages: [Damage; 5] = [
            |store, record| fs::write(store.step_path(&record.key), b"").unwrap(),
            |store, record| fs::write(store.step_path(&record.key), b"{\"key\":1}").unwrap(),
            |store, record| {
                fs::remove_file(store.blob_path(&record.layer.as_ref().unwrap().digest)).unwrap();
            },
            |store, record| {
                fs::write(
                    store.blob_path(&record.layer.as_ref().unwrap().digest),
                    b"x",
                )
                .unwrap();
            },
            |store, other| {
                let another = super::tests::record(store, "another");
                store.put_step(&another).unwrap();
                fs::rename(store.step_path(&another.key), store.step_path(&other.key)).unwrap();
            },
        ];
        for (number, damage) in damages.iter().enumerate() {
            let (_folder, store) = store();
            let record = record(&store, "layer");
            store.put_step(&record).unwrap();
            damage(&store, &record);
            assert!(
                matches!(
                    store.step(&record.key).unwrap(),
                    StepLookup::Discarded { .. }
                ),
                "damage {number}"
            );
            assert_eq!(store.step(&record.key).unwrap(), StepLookup::Miss);
        }
    }

    #[test]
    fn a_record_needs_its_layer() {
        let (_folder, store) = store();
        let record = record(&store, "layer");
        fs::remove_file(store.blob_path(&record.layer.as_ref().unwrap().digest)).unwrap();
        assert!(matches!(
            store.put_step(&record),
            Err(StoreError::MissingBlob { .. })
        ));
    }
}
