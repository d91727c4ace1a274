//! Layer 0 out of a root file system: import once, keep by key, pack.

use super::{BaseError, BaseLayer, Context, ResolvedBase};
use crate::digest::{ChainId, StepKey};
use crate::image::LayerDescriptor;
use crate::sandbox::{Task, TaskReport};
use crate::store::StepRecord;
use std::path::Path;

/// Gives the base for `key` out of the store, or makes it.
///
/// `fill` puts the root file system into a folder and says which epoch follows from its content.
pub fn layer(
    context: &Context<'_>,
    key: StepKey,
    created_by: &str,
    fill: impl FnOnce(&Path) -> Result<i64, BaseError>,
) -> Result<ResolvedBase, BaseError> {
    let _lock = context.store.lock("step", &key.0.hex(), &mut || {})?;
    if !context.no_cache
        && let Some(record) = context.store.steps().get(&key)?
    {
        let layer = record.layer.map(LayerDescriptor::from);
        return Ok(resolved(context, layer, record.epoch.unwrap_or(0), created_by));
    }

    let sandbox = context.sandbox.get()?;
    let scratch = context.store.scratch()?;
    let tree = scratch.folder("tree")?;
    let root = tree.join("fs");
    std::fs::create_dir(&root).map_err(BaseError::read(&root))?;
    let epoch = fill(&root)?;
    let blob = scratch.path().join("blob");
    let task = Task::Pack {
        tree: root.clone(),
        epoch,
        blob: blob.clone(),
        threads: context.threads,
        settle: true,
    };
    let packed = match sandbox.task(&task, context.cancel)? {
        TaskReport::Packed(packed) => packed,
        other => return Err(other.unexpected("pack").into()),
    };
    let layer = LayerDescriptor::gzip(packed.diff_id, packed.digest, packed.size);
    context.store.blobs().adopt(&blob, &packed.digest, packed.size)?;
    context.store.trees().commit(
        &tree,
        &sandbox.tree_namespace(),
        ChainId::base(packed.diff_id),
    )?;
    context.store.steps().put(&StepRecord {
        key,
        layer: Some(layer.clone().into()),
        provisioner: created_by.to_owned(),
        epoch: Some(epoch),
        log: String::new(),
        seconds: 0.0,
    })?;
    Ok(resolved(context, Some(layer), epoch, created_by))
}

fn resolved(
    context: &Context<'_>,
    layer: Option<LayerDescriptor>,
    epoch: i64,
    created_by: &str,
) -> ResolvedBase {
    ResolvedBase {
        image: None,
        layers: layer
            .into_iter()
            .map(|layer| BaseLayer { layer, created_by: created_by.to_owned() })
            .collect(),
        epoch: context.source_date_epoch.unwrap_or(epoch),
    }
}
