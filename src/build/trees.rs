//! Trees: unpacked layers to run a step on, made only when a step must really run.

use super::chain::{Blob, Chain};
use super::{BuildError, Environment};
use crate::digest::ChainId;
use crate::sandbox::{Cancel, Task, TaskReport};
use crate::store::{LockGuard, Scratch, StoreError, TreeCommit};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Gives the trees of all layers of `chain`, lowest first; unpacks those that are missing.
pub fn materialise(environment: &Environment, chain: &Chain) -> Result<Vec<PathBuf>, BuildError> {
    let layers: Vec<_> = chain
        .links()
        .iter()
        .map(|link| {
            let layer = match &link.blob {
                Blob::Stored(layer) => Some(layer),
                // Its tree was there before the packing began.
                Blob::Packing(_) => None,
            };
            (link.diff_id, layer)
        })
        .collect();
    let store = &environment.store;
    let sandbox = environment.sandbox.get()?;
    let namespace = sandbox.tree_namespace();
    let mut trees: Vec<PathBuf> = Vec::with_capacity(layers.len());
    let mut below: Option<ChainId> = None;
    for (diff_id, layer) in layers {
        let chain = below.map_or(ChainId::base(diff_id), |below| below.child(diff_id));
        below = Some(chain);
        if let Some(tree) = store.tree(&namespace, &chain)? {
            trees.push(tree);
            continue;
        }
        let _lock = lock(
            environment,
            "tree",
            &format!("{namespace}-{}", chain.0.hex()),
            || {},
        )?;
        if let Some(tree) = store.tree(&namespace, &chain)? {
            trees.push(tree);
            continue;
        }
        let layer = layer.ok_or(BuildError::TreeMissing { diff_id })?;
        let scratch = store.scratch()?;
        let root = scratch.path().join("fs");
        std::fs::create_dir(&root).map_err(BuildError::file("create", &root))?;
        let task = Task::Extract {
            archive: store.blob_path(&layer.digest),
            expected: Some(diff_id),
            into: root,
            lowers: trees.clone(),
            whiteouts: true,
            epoch: 0,
        };
        match sandbox.task(&task, &environment.cancel) {
            Ok(TaskReport::Extracted(_)) => {}
            Ok(other) => return Err(other.unexpected("extract").into()),
            Err(source) => {
                discard(environment, vec![scratch]);
                return Err(BuildError::Unpack {
                    digest: layer.digest,
                    source,
                });
            }
        }
        trees.push(commit(environment, scratch, &namespace, &chain)?);
    }
    Ok(trees)
}

/// Moves a finished tree into the store; if another process was first, its tree is used.
pub fn commit(
    environment: &Environment,
    scratch: Scratch,
    namespace: &str,
    chain: &ChainId,
) -> Result<PathBuf, BuildError> {
    Ok(
        match environment.store.commit_tree(scratch, namespace, chain)? {
            TreeCommit::Committed { path } => path,
            TreeCommit::Existing { path, leftover } => {
                discard(environment, vec![leftover]);
                path
            }
        },
    )
}

/// Empties folders whose content may belong to subordinate ids, then drops them. What cannot be
/// removed now is swept by a later build.
pub fn discard(environment: &Environment, folders: Vec<Scratch>) {
    if let Ok(sandbox) = environment.sandbox.get() {
        let paths = folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder.path()).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .collect();
        // A build that was cancelled cleans up all the same.
        let _ = sandbox.task(&Task::Remove { paths }, &Cancel::default());
    }
}

/// Takes a lock of the store; `waiting` is called once if another holds it. A run that is
/// cancelled stops waiting.
pub fn lock(
    environment: &Environment,
    kind: &str,
    name: &str,
    waiting: impl FnOnce(),
) -> Result<LockGuard, BuildError> {
    let mut waiting = Some(waiting);
    let guard = environment.store.lock(kind, name, || {
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        if environment.cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    match guard {
        Err(StoreError::LockAbandoned { .. }) => Err(BuildError::Interrupted),
        guard => Ok(guard?),
    }
}
