//! Trees: unpacked layers to run a step on, made only when a step must really run.

use super::chain::{Blob, Chain};
use super::{BuildError, Environment};
use crate::digest::ChainId;
use crate::sandbox::{Task, TaskReport};
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
        if let Some(tree) = store.tree(&namespace, chain)? {
            trees.push(tree);
            continue;
        }
        let _lock = store.lock("tree", &chain.0.hex(), &mut || {})?;
        if let Some(tree) = store.tree(&namespace, chain)? {
            trees.push(tree);
            continue;
        }
        let layer = layer.ok_or(BuildError::TreeMissing { diff_id })?;
        let scratch = store.scratch()?;
        let tree = scratch.folder("tree")?;
        let root = tree.join("fs");
        std::fs::create_dir(&root).map_err(BuildError::file("create", &root))?;
        let task = Task::Extract {
            archive: store.blob_path(&layer.digest),
            expected: Some(diff_id),
            into: root,
            lowers: trees.clone(),
            whiteouts: true,
        };
        match sandbox.task(&task, &environment.cancel) {
            Ok(TaskReport::Extracted(_)) => {}
            Ok(other) => return Err(other.unexpected("extract").into()),
            Err(source) => {
                discard(environment, vec![tree]);
                return Err(BuildError::Unpack { digest: layer.digest, source });
            }
        }
        trees.push(store.commit_tree(&tree, &namespace, chain)?);
    }
    Ok(trees)
}

/// Removes folders whose content may belong to subordinate ids. What cannot be removed now is
/// swept by a later build.
pub fn discard(environment: &Environment, paths: Vec<PathBuf>) {
    if let Ok(sandbox) = environment.sandbox.get() {
        // A build that was cancelled cleans up all the same.
        let _ = sandbox.task(&Task::Remove { paths }, &crate::sandbox::Cancel::default());
    }
}
