//! Fetching: brings layers into the store that were left where they are until somebody needs them.

use super::{Client, Progress, RegistryError, Repository, parallel};
use crate::store::{LayerDescriptor, Store};
use std::sync::{Mutex, PoisonError};

/// How many layers are fetched at once.
const PARALLEL: usize = 4;

/// Brings those of `layers` into the store that are not there, each from where the store says that
/// it can be had. All are tried; the first error is given.
pub fn layers(
    client: &Client,
    store: &Store,
    layers: &[LayerDescriptor],
    progress: Progress<'_>,
) -> Result<(), RegistryError> {
    let mut missing = Vec::new();
    for layer in layers {
        if !store.has_blob(&layer.digest, layer.size)? && !missing.contains(&layer) {
            missing.push(layer);
        }
    }
    let failure = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    let all = parallel::for_each(&missing, PARALLEL, |layer| {
        if let Err(error) = one(client, store, layer, progress) {
            failed().get_or_insert(error);
        }
        Ok(())
    });
    all.and(failed().take().map_or(Ok(()), Err))
}

/// Brings one layer into the store.
pub fn one(
    client: &Client,
    store: &Store,
    layer: &LayerDescriptor,
    progress: Progress<'_>,
) -> Result<(), RegistryError> {
    let mut failure = None;
    for origin in store.origins(&layer.digest)? {
        // What is no repository was written by nobody of ours.
        let Ok(repository) = origin.parse::<Repository>() else {
            continue;
        };
        match client.pull_blob(&repository, &layer.digest, layer.size, store, progress) {
            Ok(()) => return Ok(()),
            Err(RegistryError::Interrupted) => return Err(RegistryError::Interrupted),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or(RegistryError::NoOrigin {
        digest: layer.digest,
    }))
}
