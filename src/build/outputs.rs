//! What outputs read: layers that were left where they are until somebody needs their bytes.

use super::{BuildError, Environment};
use crate::cache::content;
use crate::format;
use crate::image::Image;
use crate::postprocess::{Meter, PostProcessError};
use crate::provision::Said;
use crate::registry::fetch;
use crate::store::LayerDescriptor;

/// Brings those layers of an image into the store that are not there.
///
/// One that a record promised must be what the record says: nobody has unpacked it so far. Else
/// the error names the layer, and not the output, so that its step is run (see [`super::again`]).
pub fn fetch_layers(
    environment: &Environment,
    image: &Image,
    say: &(dyn Fn(Said<'_>) + Sync),
    failed: impl Fn(PostProcessError) -> BuildError,
) -> Result<(), BuildError> {
    let store = &environment.store;
    let missing = missing(environment, image)?;
    if missing.is_empty() {
        return Ok(());
    }
    let bytes = missing
        .iter()
        .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let count = format::count(missing.len(), "layer");
    say(Said::Note(&format!(
        "fetching {count} ({})",
        format::bytes(bytes)
    )));
    let meter = Meter::new(say, "fetched");
    let progress = |bytes| meter.add(bytes);
    if let Err(source) = fetch::layers(&environment.registries, store, &missing, &progress) {
        for layer in &missing {
            let digest = layer.digest;
            if environment.cache.is_taken(&digest) && !store.has_blob(&digest, layer.size)? {
                return Err(BuildError::Fetch { digest, source });
            }
        }
        return Err(failed(source.into()));
    }
    for layer in missing {
        if environment.cache.is_taken(&layer.digest) {
            check(environment, &layer)?;
        }
    }
    Ok(())
}

/// Finds out whether an output failed because a layer that a record promised cannot be had; gives
/// the error that says so then, else `error`.
pub fn blame(environment: &Environment, image: &Image, error: BuildError) -> BuildError {
    let is_of_registry = matches!(
        &error,
        BuildError::PostProcessor { source, .. }
            if matches!(&**source, PostProcessError::Registry(source) if source.is_wrong_answer())
    );
    if !is_of_registry {
        return error;
    }
    // What the store cannot say now changes nothing about the first error.
    for layer in missing(environment, image).unwrap_or_default() {
        if !environment.cache.is_taken(&layer.digest) {
            continue;
        }
        let store = &environment.store;
        if let Err(source) = fetch::one(&environment.registries, store, &layer, &|_| {}) {
            return BuildError::Fetch {
                digest: layer.digest,
                source,
            };
        }
    }
    error
}

fn missing(environment: &Environment, image: &Image) -> Result<Vec<LayerDescriptor>, BuildError> {
    let mut missing = Vec::new();
    for layer in &image.layers {
        if !environment.store.has_blob(&layer.digest, layer.size)? {
            missing.push(layer.clone());
        }
    }
    Ok(missing)
}

/// Errors unless a layer of the store has the diffID that it should have.
fn check(environment: &Environment, layer: &LayerDescriptor) -> Result<(), BuildError> {
    match content::diff_id(&environment.store, layer)? {
        Some(found) if found == layer.diff_id => Ok(()),
        found => Err(BuildError::WrongLayer {
            digest: layer.digest,
            expected: layer.diff_id,
            found,
        }),
    }
}
