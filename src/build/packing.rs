//! Packing: a layer is compressed in the background while the next step already runs.

use super::{BuildError, Environment};
use crate::digest::{DiffId, StepKey};
use crate::sandbox::{Task, TaskReport};
use crate::store::{LayerDescriptor, LockGuard, StepRecord};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A layer that is being compressed.
pub struct Packing {
    worker: JoinHandle<Result<LayerDescriptor, BuildError>>,
}

/// What is packed, and what is then recorded.
pub struct Job {
    /// The tree of the layer.
    pub tree: PathBuf,
    /// What its tar must digest to.
    pub diff_id: DiffId,
    /// Latest time of any entry, in seconds since 1970.
    pub epoch: i64,
    /// The key under which the result is found again.
    pub key: StepKey,
    /// The step's name, for the record.
    pub provisioner: String,
    /// The end of the step's output, for the record.
    pub log: String,
    /// How long the step took.
    pub seconds: f64,
    /// Held until the record is there, so that others wait instead of running the same step.
    pub lock: LockGuard,
    /// The build that shares the result with other machines, if it may.
    pub shared_by: Option<String>,
}

impl Packing {
    /// Begins to pack.
    pub fn start(environment: &Arc<Environment>, job: Job) -> Self {
        let environment = Arc::clone(environment);
        Self {
            worker: std::thread::spawn(move || pack(&environment, job)),
        }
    }

    /// Waits for the layer.
    pub fn finish(self) -> Result<LayerDescriptor, BuildError> {
        self.worker
            .join()
            .map_err(|_| BuildError::Internal("the packing thread panicked"))?
    }
}

fn pack(environment: &Environment, job: Job) -> Result<LayerDescriptor, BuildError> {
    let store = &environment.store;
    let scratch = store.scratch()?;
    let blob = scratch.path().join("blob");
    let task = Task::Pack {
        tree: job.tree,
        epoch: job.epoch,
        blob: blob.clone(),
        threads: environment.threads,
    };
    let packed = match environment
        .sandbox
        .get()?
        .task(&task, &environment.cancel)?
    {
        TaskReport::Packed(packed) => packed,
        other => return Err(other.unexpected("pack").into()),
    };
    // The tree is shared with later steps and must not have moved under the packer.
    if packed.diff_id != job.diff_id {
        return Err(BuildError::TreeChanged {
            expected: job.diff_id,
            found: packed.diff_id,
        });
    }
    let layer = packed.descriptor();
    store.adopt_blob(&blob, &packed.digest, packed.size)?;
    store.put_step(&StepRecord {
        key: job.key,
        layer: Some(layer.clone()),
        provisioner: job.provisioner,
        log: job.log,
        created: environment.now.to_string(),
        seconds: job.seconds,
        epoch: None,
        source: None,
        private: job.shared_by.is_none(),
        shared: Vec::new(),
    })?;
    drop(job.lock);
    if let Some(build) = &job.shared_by {
        environment.cache.made(build, job.key);
    }
    Ok(layer)
}
