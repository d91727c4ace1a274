//! Trees: unpacked layers to run a step on, made only when a step must really run.

use super::chain::{Blob, Chain};
use super::unpack::{self, Missing};
use super::{BuildError, Environment};
use crate::digest::ChainId;
use crate::sandbox::{Cancel, Task};
use crate::store::{LockGuard, Scratch, StoreError, TreeCommit};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Gives the trees of all layers of `chain`, lowest first; fetches and unpacks those that are
/// missing.
pub fn materialise(environment: &Environment, chain: &Chain) -> Result<Vec<PathBuf>, BuildError> {
    let sandbox = environment.sandbox.get()?;
    let namespace = sandbox.tree_namespace();
    let mut known = Vec::with_capacity(chain.links().len());
    let mut missing = Vec::new();
    let mut below: Option<ChainId> = None;
    for (index, link) in chain.links().iter().enumerate() {
        let name = below.map_or(ChainId::base(link.diff_id), |below| {
            below.child(link.diff_id)
        });
        below = Some(name);
        let tree = environment.store.tree(&namespace, &name)?;
        if let Some(tree) = &tree {
            environment.store.use_tree(tree, environment.now.into());
        } else {
            // That of a layer which is still being packed was there before the packing began.
            let Blob::Stored(layer) = &link.blob else {
                return Err(BuildError::TreeMissing {
                    diff_id: link.diff_id,
                });
            };
            missing.push(Missing {
                index,
                layer: layer.clone(),
                name,
            });
        }
        known.push(tree);
    }
    unpack::trees(environment, &namespace, known, &missing)
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
