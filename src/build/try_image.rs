//! Trying an image: its root opened on a throw-away upper.

use super::chain::Chain;
use super::{BuildError, Environment, trees};
use crate::image::Image;
use crate::sandbox::{Network, OpenRoot, RootSpec, SandboxError};
use std::path::PathBuf;

/// Opens the root of `image` to `visit`; what is changed in it is thrown away.
pub fn open_image<T: Send>(
    environment: &Environment,
    image: &Image,
    network: Network,
    visit: impl FnOnce(&OpenRoot) -> Result<T, SandboxError> + Send,
) -> Result<T, BuildError> {
    open_trees(
        environment,
        &unpack_image(environment, image)?,
        network,
        visit,
    )?
    .map_err(BuildError::from)
}

/// Opens a root on `lowers`, the trees of an image; what is changed in it is thrown away.
pub fn open_trees<T: Send>(
    environment: &Environment,
    lowers: &[PathBuf],
    network: Network,
    visit: impl FnOnce(&OpenRoot) -> T + Send,
) -> Result<T, BuildError> {
    let scratch = environment.store.scratch()?;
    let root = RootSpec {
        lowers: lowers.to_vec(),
        scratch: scratch.path().to_owned(),
        network,
        ..RootSpec::default()
    };
    let sandbox = environment.sandbox.get()?;
    Ok(sandbox.open(&root, visit, &environment.cancel)?)
}

/// Fetches and unpacks the layers of `image` that are not unpacked yet; gives their trees, lowest
/// first.
pub fn unpack_image(environment: &Environment, image: &Image) -> Result<Vec<PathBuf>, BuildError> {
    trees::materialise(environment, &Chain::of(image))
}
