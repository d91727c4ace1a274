//! Uploads: records and their layers are written to repositories beside the build.
//!
//! A few threads take keys from a queue. Nothing waits for them before the end of the run, and
//! nothing fails with them: a repository that does not take a record is left alone for the rest of
//! the run, with one warning. The queue holds keys alone, no more of them than there are steps.
//!
//! What is there is not sent again, and a layer that another repository of the same registry has
//! is mounted from there. A record whose layer is only elsewhere is not pulled for this.

use super::artifact;
use super::lookup::Warn;
use super::sharing::Sharing;
use crate::digest::StepKey;
use crate::registry::{Client, Reference, RegistryError, Repository};
use crate::store::{LayerDescriptor, StepLookup, StepRecord, Store};
use oci_spec::image::MediaType;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How many records are written at once: enough to hide the time that answers take.
const THREADS: usize = 4;

/// The records that are being written.
pub struct Uploads {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    store: Store,
    /// Looks what is there, with little patience.
    reader: Client,
    client: Client,
    sharing: Sharing,
    warn: Warn,
    queue: Mutex<Queue>,
    /// Repositories that have the empty object.
    prepared: Mutex<BTreeSet<Repository>>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<StepKey>,
    /// Those that were in the queue at any time.
    known: BTreeSet<StepKey>,
    /// Those that replace what is there.
    replacing: BTreeSet<StepKey>,
    /// Repositories that take nothing.
    closed: BTreeSet<Repository>,
    /// Nothing more will come.
    is_complete: bool,
}

impl Uploads {
    /// Uploads to the repositories that `sharing` writes to.
    pub fn new(
        store: Store,
        reader: Client,
        client: Client,
        sharing: &Sharing,
        warn: Warn,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                reader: reader.direct(),
                client: client.direct(),
                sharing: sharing.clone(),
                warn,
                queue: Mutex::default(),
                prepared: Mutex::default(),
                changed: Condvar::new(),
            }),
            workers: Mutex::default(),
        }
    }

    /// Has the record of `key`, which is in the store, written when there is time.
    pub fn add(&self, key: StepKey) {
        {
            let mut queue = self.shared.queue();
            if queue.is_complete || !queue.known.insert(key) {
                return;
            }
            queue.waiting.push_back(key);
        }
        self.shared.changed.notify_one();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() < THREADS {
            let shared = Arc::clone(&self.shared);
            workers.push(thread::spawn(move || shared.work()));
        }
    }

    /// Makes the next record of `key` replace the one that is there.
    pub fn replace(&self, key: &StepKey) {
        let mut queue = self.shared.queue();
        queue.replacing.insert(*key);
        queue.known.remove(key);
    }

    /// Waits until everything is written, or cannot be.
    pub fn finish(&self) {
        self.shared.queue().is_complete = true;
        self.shared.changed.notify_all();
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.join().is_err() {
                (self.shared.warn)("a thread that shares records panicked".to_owned());
            }
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(key) = self.next() {
            // A record that has gone or is damaged by now is none to share.
            let Ok(StepLookup::Hit(record)) = self.store.step(&key) else {
                continue;
            };
            for repository in &self.sharing.to {
                let replaces = {
                    let queue = self.queue();
                    if queue.closed.contains(repository) {
                        continue;
                    }
                    queue.replacing.contains(&key)
                };
                match self.write(repository, &record, replaces) {
                    Ok(()) | Err(RegistryError::Interrupted) => {}
                    Err(error) => {
                        if self.queue().closed.insert(repository.clone()) {
                            (self.warn)(format!(
                                "results are not shared with {repository} any more: {error}"
                            ));
                        }
                    }
                }
            }
        }
    }

    /// The next key; none if all is done.
    fn next(&self) -> Option<StepKey> {
        let mut queue = self.queue();
        loop {
            if let Some(key) = queue.waiting.pop_front() {
                return Some(key);
            }
            if queue.is_complete {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes a record and its layer, unless they are there.
    fn write(
        &self,
        repository: &Repository,
        record: &StepRecord,
        replaces: bool,
    ) -> Result<(), RegistryError> {
        let name = repository.to_string();
        if record.source.as_ref() == Some(&name) && !replaces {
            return Ok(());
        }
        let reference = Reference {
            repository: repository.clone(),
            tag: Some(artifact::tag(&record.key)),
            digest: None,
        };
        // Who does not answer this is spared the bytes, and we the wait.
        if self.has_record(&reference, &record.key)? && !replaces {
            self.remember(record, name);
            return Ok(());
        }
        if let Some(layer) = &record.layer
            && !self.has_layer(repository, layer)?
        {
            return Ok(());
        }
        self.prepare(repository)?;
        let text = artifact::write(record).map_err(|source| crate::store::StoreError::Syntax {
            path: self.store.root().join("steps"),
            source,
        })?;
        self.client
            .push_document(&reference, &MediaType::ImageManifest, &text)?;
        self.remember(record, name);
        Ok(())
    }

    /// Whether a repository has a record that can be read; one that cannot is as good as none.
    fn has_record(&self, reference: &Reference, key: &StepKey) -> Result<bool, RegistryError> {
        match self.reader.document(reference) {
            Ok(found) => Ok(artifact::read(key, &found.descriptor.media_type, &found.text).is_ok()),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) if error.is_wrong_answer() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings the empty object into a repository, which all records there refer to.
    fn prepare(&self, repository: &Repository) -> Result<(), RegistryError> {
        // Held meanwhile, so that it is not sent several times at once.
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.contains(repository) {
            return Ok(());
        }
        let empty = artifact::empty();
        self.store.put_blob(artifact::EMPTY)?;
        let (digest, size) = (&empty.digest, empty.size);
        self.client
            .push_blob(repository, digest, size, &self.store, &[], &|_| {})?;
        prepared.insert(repository.clone());
        Ok(())
    }

    /// Brings a layer into a repository; false if it is neither here nor near there.
    fn has_layer(
        &self,
        repository: &Repository,
        layer: &LayerDescriptor,
    ) -> Result<bool, RegistryError> {
        let mut near: Vec<Repository> = self
            .store
            .origins(&layer.digest)?
            .iter()
            .filter_map(|origin| origin.parse().ok())
            .collect();
        near.retain(|origin| origin.registry == repository.registry && origin != repository);
        if self.store.has_blob(&layer.digest, layer.size)? {
            self.client.push_blob(
                repository,
                &layer.digest,
                layer.size,
                &self.store,
                &near,
                &|_| {},
            )?;
            // Where it can be had; and mounted from, when the image is pushed.
            self.store
                .add_origin(&layer.digest, &repository.to_string())?;
            return Ok(true);
        }
        if self.client.blob_size(repository, &layer.digest)? == Some(layer.size) {
            return Ok(true);
        }
        for origin in &near {
            if self.client.mount_blob(repository, &layer.digest, origin)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes where a record has been written to; for people, nothing depends on it.
    fn remember(&self, record: &StepRecord, repository: String) {
        let Ok(StepLookup::Hit(mut current)) = self.store.step(&record.key) else {
            return;
        };
        if !current.shared.contains(&repository) {
            current.shared.push(repository);
            // The record itself stays as it was.
            let _ = self.store.put_step(&current);
        }
    }
}
