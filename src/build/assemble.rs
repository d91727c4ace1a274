//! From layers to an image: configuration, manifest, and the build's name in the store.

use super::{BuildError, BuiltLayer, Environment};
use crate::base::ResolvedBase;
use crate::image::{self, HistoryEntry, Image, NewLayer};
use crate::plan::PlannedBuild;

/// What the history says about one step.
pub struct StepHistory {
    /// The history's `created_by`.
    pub created_by: String,
    /// Whether the step left a layer.
    pub has_layer: bool,
}

/// Writes the image of a build to the store and gives it the build's name.
pub fn image(
    environment: &Environment,
    build: &PlannedBuild,
    base: &ResolvedBase,
    layers: &[BuiltLayer],
    history: &[StepHistory],
) -> Result<Image, BuildError> {
    let store = &environment.store;
    let base_count = base.image.as_ref().map_or(0, |image| image.layers().len());
    let mut own = layers.iter().skip(base_count).map(BuiltLayer::descriptor);
    let mut entries = Vec::with_capacity(base.layers.len() + history.len());
    for layer in &base.layers {
        entries.push(HistoryEntry { created_by: layer.created_by.clone(), layer: own.next() });
    }
    for step in history {
        let layer = if step.has_layer { own.next() } else { None };
        entries.push(HistoryEntry { created_by: step.created_by.clone(), layer });
    }
    let image = image::assemble(
        store,
        base.image.as_ref(),
        &entries,
        &build.changes,
        &build.annotations,
        base.epoch,
    )?;
    store.set_reference(&build.name, image.descriptor(), environment.now)?;
    Ok(image)
}
