//! Trying an image: one command on a throw-away upper, with the caller's own terminal.

use super::chain::{Blob, Chain, Link};
use super::{BuildError, Environment, trees};
use crate::image::Image;
use crate::sandbox::RunSpec;
use std::path::PathBuf;

/// Runs a command in `image` and gives its exit code. `spec` gets the trees of the image's layers
/// and an empty folder.
pub fn run_image(
    environment: &Environment,
    image: &Image,
    spec: impl FnOnce(Vec<PathBuf>, PathBuf) -> RunSpec,
) -> Result<i32, BuildError> {
    let lowers = unpack_image(environment, image)?;
    let scratch = environment.store.scratch()?;
    let spec = spec(lowers, scratch.path().to_owned());
    Ok(environment
        .sandbox
        .get()?
        .run_interactive(&spec, &environment.cancel)?)
}

/// Fetches and unpacks the layers of `image` that are not unpacked yet; gives their trees, lowest
/// first.
pub fn unpack_image(environment: &Environment, image: &Image) -> Result<Vec<PathBuf>, BuildError> {
    let mut chain = Chain::default();
    for layer in &image.layers {
        chain.push(Link {
            diff_id: layer.diff_id,
            blob: Blob::Stored(layer.clone()),
            origin: None,
        });
    }
    trees::materialise(environment, &chain)
}
