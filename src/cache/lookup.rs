//! Lookup: whether the result of a step is known, here or in a repository that is trusted.
//!
//! What a repository says is checked in all that can be checked without pulling the layer: the
//! record's form and key, and that its blob is there with the size that the record says. The
//! diffID is checked when the layer is unpacked; what does not hold then is forgotten for the
//! whole run with [`Cache::distrust`], and the step runs. So a repository can make a build slower,
//! and it can be believed in what it is trusted for: what a step has changed.

use super::artifact::{self, ArtifactError};
use super::sharing::{Mode, Sharing};
use super::upload::Uploads;
use crate::digest::{Digest, StepKey};
use crate::registry::{Client, Reference, RegistryError, Repository};
use crate::store::{StepLookup, StepRecord, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Takes a warning, from any thread.
pub type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// The records of one run: those in the store, and those of repositories.
pub struct Cache {
    store: Store,
    /// Asks with little patience: nobody waits long for what could also be built.
    client: Client,
    sharing: Sharing,
    warn: Warn,
    /// Repositories that have not answered; they are not asked again.
    silent: Mutex<BTreeSet<Repository>>,
    /// What became of records in this run.
    seen: Mutex<Seen>,
    uploads: Option<Uploads>,
}

#[derive(Default)]
struct Seen {
    /// Records that turned out to be wrong.
    distrusted: BTreeSet<StepKey>,
    /// The records that each layer was taken for.
    taken: BTreeMap<Digest, BTreeSet<StepKey>>,
    /// Records of builds that may still fail, by build.
    pending: BTreeMap<String, BTreeSet<StepKey>>,
}

/// A record that a step need not run for.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The record.
    pub record: StepRecord,
    /// The repository that it was just read from; none if it was here.
    pub from: Option<Repository>,
}

impl Hit {
    /// A record of the store.
    fn here(record: StepRecord) -> Self {
        Self { record, from: None }
    }
}

/// Why a repository gave no record.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// It has one that cannot be used.
    #[error("{0}")]
    Broken(String),
    /// It gives nothing at all.
    #[error(transparent)]
    Silent(RegistryError),
    /// The store cannot keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cache {
    /// The records of `store` alone.
    pub fn local(store: Store, client: Client, warn: Warn) -> Self {
        Self {
            store,
            client,
            sharing: Sharing::default(),
            warn,
            silent: Mutex::default(),
            seen: Mutex::default(),
            uploads: None,
        }
    }

    /// The records of `store`, and those shared as `sharing` says. `reader` has little patience,
    /// `writer` has all that an upload needs.
    pub fn shared(
        store: Store,
        reader: Client,
        writer: Client,
        sharing: Sharing,
        warn: Warn,
    ) -> Self {
        let uploads = (!sharing.to.is_empty()).then(|| {
            let warn = Arc::clone(&warn);
            Uploads::new(store.clone(), reader.clone(), writer, &sharing, warn)
        });
        Self {
            sharing,
            uploads,
            ..Self::local(store, reader, warn)
        }
    }

    /// Gives the record of `key`, if it is here and may be used.
    ///
    /// A record that was once read from a repository counts only while that repository is among
    /// those that are read.
    pub fn known(&self, key: &StepKey) -> Result<Option<Hit>, StoreError> {
        if self.seen().distrusted.contains(key) {
            return Ok(None);
        }
        Ok(match self.store.step(key)? {
            StepLookup::Hit(record) if self.is_trusted(&record) => {
                self.took(&record);
                Some(Hit::here(*record))
            }
            StepLookup::Hit(_) | StepLookup::Miss => None,
            StepLookup::Discarded { reason } => {
                (self.warn)(reason);
                None
            }
        })
    }

    /// Asks the repositories for the record of `key`, one after the other, and keeps the first one
    /// that can be used. Its layer stays where it is until somebody needs it.
    pub fn ask(&self, key: &StepKey) -> Result<Option<Hit>, StoreError> {
        if self.seen().distrusted.contains(key) {
            return Ok(None);
        }
        for repository in &self.sharing.from {
            if self.silent().contains(repository) {
                continue;
            }
            match self.read(repository, key) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    self.took(&record);
                    return Ok(Some(Hit {
                        record,
                        from: Some(repository.clone()),
                    }));
                }
                Err(Refusal::Store(error)) => return Err(error),
                Err(Refusal::Broken(reason)) => {
                    (self.warn)(format!(
                        "the record of step {} in {repository} is not used: {reason}",
                        key.0.short()
                    ));
                    self.replace(key);
                }
                Err(Refusal::Silent(error)) => {
                    if self.silent().insert(repository.clone()) {
                        (self.warn)(format!(
                            "the cache {repository} is not asked any more: {error}"
                        ));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Reads and keeps the record that `repository` has of `key`.
    fn read(&self, repository: &Repository, key: &StepKey) -> Result<Option<StepRecord>, Refusal> {
        let reference = Reference {
            repository: repository.clone(),
            tag: Some(artifact::tag(key)),
            digest: None,
        };
        let document = match self.client.document(&reference) {
            Ok(document) => document,
            Err(RegistryError::NotFound { .. } | RegistryError::Interrupted) => return Ok(None),
            Err(error) => return Err(refusal(error)),
        };
        let read = artifact::read(key, &document.descriptor.media_type, &document.text);
        let mut record = read.map_err(|error: ArtifactError| Refusal::Broken(error.to_string()))?;
        record.source = Some(repository.to_string());
        if let Some(layer) = &record.layer {
            if !self.store.has_blob(&layer.digest, layer.size)? {
                let found = match self.client.blob_size(repository, &layer.digest) {
                    Ok(found) => found,
                    Err(RegistryError::Interrupted) => return Ok(None),
                    Err(error) => return Err(refusal(error)),
                };
                if found != Some(layer.size) {
                    let reason = match found {
                        None => format!("its layer {} is not there", layer.digest),
                        Some(size) => format!(
                            "its layer {} has {size} bytes instead of {}",
                            layer.digest, layer.size
                        ),
                    };
                    return Err(Refusal::Broken(reason));
                }
            }
            self.store
                .add_origin(&layer.digest, &repository.to_string())?;
        }
        self.store.put_step(&record)?;
        Ok(Some(record))
    }

    /// Forgets the records that the layer `digest` was taken for in this run, since it cannot be
    /// had; gives their keys. They are not used again in this run. If the layer is not what they
    /// say, `is_wrong`, those of others are replaced too.
    pub fn distrust(
        &self,
        digest: &Digest,
        is_wrong: bool,
    ) -> Result<BTreeSet<StepKey>, StoreError> {
        let keys = {
            let mut seen = self.seen();
            let keys = seen.taken.remove(digest).unwrap_or_default();
            seen.distrusted.extend(&keys);
            keys
        };
        for key in &keys {
            self.store.remove_step(key)?;
            if is_wrong {
                self.replace(key);
            }
        }
        Ok(keys)
    }

    /// Whether the layer `digest` was taken for a record in this run.
    pub fn is_taken(&self, digest: &Digest) -> bool {
        self.seen().taken.contains_key(digest)
    }

    /// Tells that the step `key` of `build` has a record that may be shared.
    pub fn made(&self, build: &str, key: StepKey) {
        let Some(uploads) = &self.uploads else { return };
        match self.sharing.mode {
            Mode::Max => uploads.add(key),
            Mode::Min => {
                let mut seen = self.seen();
                seen.pending
                    .entry(build.to_owned())
                    .or_default()
                    .insert(key);
            }
        }
    }

    /// Tells that a build has ended well, so that all of its records may be shared.
    pub fn succeeded(&self, build: &str) {
        let keys = self.seen().pending.remove(build).unwrap_or_default();
        if let Some(uploads) = &self.uploads {
            for key in keys {
                uploads.add(key);
            }
        }
    }

    /// Makes the next record of `key` replace the one that is shared.
    pub fn replace(&self, key: &StepKey) {
        if let Some(uploads) = &self.uploads {
            uploads.replace(key);
        }
    }

    /// Waits until all that is to be shared is written, or cannot be.
    pub fn finish(&self) {
        if let Some(uploads) = &self.uploads {
            uploads.finish();
        }
    }

    fn is_trusted(&self, record: &StepRecord) -> bool {
        record.source.as_ref().is_none_or(|source| {
            let from = self.sharing.from.iter();
            from.into_iter()
                .any(|repository| repository.to_string() == *source)
        })
    }

    fn took(&self, record: &StepRecord) {
        if let Some(layer) = &record.layer {
            let mut seen = self.seen();
            seen.taken
                .entry(layer.digest)
                .or_default()
                .insert(record.key);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<Repository>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a registry whose answer is wrong from one that gives none.
fn refusal(error: RegistryError) -> Refusal {
    match error {
        RegistryError::Store(error) => Refusal::Store(error),
        error if error.is_wrong_answer() => Refusal::Broken(error.to_string()),
        error => Refusal::Silent(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DiffId;
    use crate::registry::Settings;
    use crate::store::LayerDescriptor;
    use oci_spec::image::MediaType;
    use std::time::Duration;

    fn client() -> Client {
        Client::new(Settings {
            budget: Duration::from_millis(300),
            ..settings()
        })
    }

    fn settings() -> Settings {
        Settings {
            environment: BTreeMap::new(),
            home: None,
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            authorities: Vec::new(),
            budget: Duration::ZERO,
            is_cancelled: Arc::new(|| false),
        }
    }

    /// A store with a record of "shared" that was read from a repository, and one of "own".
    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (name, source) in [("shared", Some("example.com/cache")), ("own", None)] {
            let digest = store.put_blob(name.as_bytes()).unwrap();
            let record = StepRecord {
                key: key(name),
                layer: Some(LayerDescriptor {
                    diff_id: DiffId(digest),
                    digest,
                    size: name.len() as u64,
                    media_type: MediaType::ImageLayerGzip,
                }),
                provisioner: name.to_owned(),
                log: String::new(),
                created: "2026-01-01T00:00:00Z".to_owned(),
                seconds: 1.0,
                epoch: None,
                source: source.map(str::to_owned),
                private: false,
                shared: Vec::new(),
            };
            store.put_step(&record).unwrap();
        }
        (folder, store)
    }

    fn key(name: &str) -> StepKey {
        StepKey(Digest::of(format!("key of {name}")))
    }

    /// A cache that reads from `from`, and the warnings that it gives.
    fn cache(store: &Store, from: &[&str]) -> (Cache, Arc<Mutex<Vec<String>>>) {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&warnings);
        let sharing = Sharing {
            from: from.iter().map(|name| name.parse().unwrap()).collect(),
            ..Sharing::default()
        };
        let warn: Warn = Arc::new(move |text| taken.lock().unwrap().push(text));
        let cache = Cache::shared(store.clone(), client(), client(), sharing, warn);
        (cache, warnings)
    }

    #[test]
    fn a_record_of_a_repository_counts_while_that_is_trusted() {
        let (_folder, store) = store();
        for (from, expected) in [
            (&["example.com/cache"][..], true),
            (&["example.com/other", "example.com/cache"], true),
            (&["example.com/cache2"], false),
            (&[], false),
        ] {
            let (cache, _) = cache(&store, from);
            let found = cache.known(&key("shared")).unwrap();
            assert_eq!(found.is_some(), expected, "{from:?}");
            assert!(cache.known(&key("own")).unwrap().is_some());
        }
    }

    #[test]
    fn what_is_distrusted_is_not_used_again() {
        let (_folder, store) = store();
        let (cache, _) = cache(&store, &[]);
        let layer = Digest::of("own");
        assert!(!cache.is_taken(&layer));
        assert!(cache.distrust(&layer, true).unwrap().is_empty());
        cache.known(&key("own")).unwrap().unwrap();
        assert!(cache.is_taken(&layer));
        let forgotten = cache.distrust(&layer, true).unwrap();
        assert_eq!(forgotten, BTreeSet::from([key("own")]));
        assert!(cache.known(&key("own")).unwrap().is_none());
        assert_eq!(store.step(&key("own")).unwrap(), StepLookup::Miss);
    }

    #[test]
    fn a_repository_that_does_not_answer_is_asked_once() {
        let (_folder, store) = store();
        let (cache, warnings) = cache(&store, &["127.0.0.1:1/cache"]);
        for name in ["a", "b"] {
            assert!(cache.ask(&key(name)).unwrap().is_none());
        }
        let warnings = warnings.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("127.0.0.1:1/cache"), "{warnings:?}");
    }
}
