//! Layer 0 out of a root file system: import once, keep by key, pack.

use super::{BaseError, BaseLayer, Context, ResolvedBase};
use crate::cache::Hit;
use crate::digest::{ChainId, StepKey};
use crate::sandbox::{Task, TaskReport};
use crate::store::{LayerDescriptor, StepRecord};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Gives the base for `key` out of the store, or makes it.
///
/// `fill` puts the root file system into a folder and says which epoch follows from its content.
pub fn layer(
    context: &Context<'_>,
    key: StepKey,
    created_by: &str,
    fill: impl FnOnce(&Path) -> Result<i64, BaseError>,
) -> Result<ResolvedBase, BaseError> {
    if let Some(known) = known(context, key, created_by)? {
        return Ok(known);
    }
    let _lock = context.store.lock("step", &key.0.hex(), || {
        if context.cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    // Whoever held the lock has probably left the result.
    if let Some(known) = known(context, key, created_by)? {
        return Ok(known);
    }
    if let Some(hit) = ask(context, &key)? {
        return Ok(resolved(context, key, &hit.record, created_by));
    }

    let begin = Instant::now();
    let sandbox = context.sandbox.get()?;
    let scratch = context.store.scratch()?;
    let root = scratch.path().join("fs");
    std::fs::create_dir(&root).map_err(BaseError::read(&root))?;
    let epoch = fill(&root)?;
    let files = context.store.scratch()?;
    let blob = files.path().join("blob");
    // So that the tree is what unpacking the layer would give.
    let settle = Task::Settle {
        tree: root.clone(),
        epoch,
    };
    sandbox.task(&settle, context.cancel)?;
    let task = Task::Pack {
        tree: root,
        epoch,
        blob: blob.clone(),
        threads: context.threads,
    };
    let packed = match sandbox.task(&task, context.cancel)? {
        TaskReport::Packed(packed) => packed,
        other => return Err(other.unexpected("pack").into()),
    };
    let layer = packed.descriptor();
    context
        .store
        .adopt_blob(&blob, &packed.digest, packed.size)?;
    context.store.commit_tree(
        scratch,
        &sandbox.tree_namespace(),
        &ChainId::base(packed.diff_id),
    )?;
    let record = StepRecord {
        key,
        layer: Some(layer),
        provisioner: created_by.to_owned(),
        log: String::new(),
        created: context.now.to_string(),
        seconds: begin.elapsed().as_secs_f64(),
        epoch: Some(epoch),
        source: None,
        private: false,
        shared: Vec::new(),
    };
    context.store.put_step(&record)?;
    if context.no_cache {
        context.cache.replace(&key);
    }
    Ok(resolved(context, key, &record, created_by))
}

/// Gives the base out of the store.
fn known(
    context: &Context<'_>,
    key: StepKey,
    created_by: &str,
) -> Result<Option<ResolvedBase>, BaseError> {
    if context.no_cache {
        return Ok(None);
    }
    let known = context.cache.known(&key)?;
    context.store.use_step(&key, context.now.into());
    Ok(known.map(|hit| resolved(context, key, &hit.record, created_by)))
}

/// Asks elsewhere for the base.
fn ask(context: &Context<'_>, key: &StepKey) -> Result<Option<Hit>, BaseError> {
    if context.no_cache {
        return Ok(None);
    }
    let hit = context.cache.ask(key)?;
    if let Some(Hit {
        from: Some(from), ..
    }) = &hit
    {
        (context.output)(&format!("the base is cached in {from}"));
    }
    Ok(hit)
}

fn resolved(
    context: &Context<'_>,
    key: StepKey,
    record: &StepRecord,
    created_by: &str,
) -> ResolvedBase {
    let layers = record
        .layer
        .iter()
        .map(|layer: &LayerDescriptor| BaseLayer {
            layer: layer.clone(),
            created_by: created_by.to_owned(),
            key,
        });
    ResolvedBase {
        image: None,
        layers: layers.collect(),
        epoch: context
            .source_date_epoch
            .unwrap_or(record.epoch.unwrap_or(0)),
        repository_digest: None,
    }
}
