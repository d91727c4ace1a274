//! From layers to an image: configuration and manifest.

use super::{BuildError, BuiltLayer, Environment};
use crate::base::ResolvedBase;
use crate::image::{self, Assembly, Image, NewLayer};
use crate::plan::PlannedImage;

/// What the history says about one step.
pub struct StepHistory {
    /// The history's `created_by`.
    pub created_by: String,
    /// Whether the step left a layer.
    pub has_layer: bool,
}

/// Writes the image of a build to the store, where nothing names it yet.
pub fn image(
    environment: &Environment,
    planned: &PlannedImage,
    base: &ResolvedBase,
    layers: &[BuiltLayer],
    history: &[StepHistory],
) -> Result<Image, BuildError> {
    let base_count = base.image.as_ref().map_or(0, |image| image.layers.len());
    let mut own = layers
        .iter()
        .skip(base_count)
        .map(|built| built.layer.clone());
    let mut entries = Vec::with_capacity(base.layers.len() + history.len());
    let mut entry = |created_by: &str, has_layer: bool| {
        entries.push(NewLayer {
            layer: if has_layer { own.next() } else { None },
            created_by: created_by.to_owned(),
            comment: None,
        });
    };
    for layer in &base.layers {
        entry(&layer.created_by, true);
    }
    for step in history {
        entry(&step.created_by, step.has_layer);
    }
    if let Some(message) = planned.base.message() {
        if history.is_empty() {
            entries.push(NewLayer {
                layer: None,
                created_by: String::new(),
                comment: None,
            });
        }
        if let Some(last) = entries.last_mut() {
            last.comment = Some(message.to_owned());
        }
    }
    let store = &environment.store;
    Ok(image::assemble(
        store,
        &Assembly {
            base: base.image.as_ref(),
            platform: &planned.platform,
            layers: &entries,
            changes: &planned.changes,
            annotations: &planned.annotations,
            epoch: base.epoch,
        },
    )?)
}
