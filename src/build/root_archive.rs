//! Root archives: all files of a build as one tar, as `docker export` gives those of a container.
//!
//! The same layers give the same bytes.

use super::chain::Chain;
use super::{BuildError, Environment, trees};
use crate::sandbox::Task;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes the files that the layers of `chain` make up to `path`, a path as the template has it, and
/// gives the whole path. What is there is replaced when all is written.
pub fn write(
    environment: &Environment,
    chain: &Chain,
    epoch: i64,
    path: &str,
) -> Result<PathBuf, BuildError> {
    let path = environment.working_folder.join(path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(BuildError::file("create", folder))?;
    let file = tempfile::Builder::new()
        .prefix(".hardtack-export-")
        .tempfile_in(folder)
        .map_err(BuildError::file("write in", folder))?;
    let lowers = trees::materialise(environment, chain)?;
    let task = Task::Archive {
        lowers,
        epoch,
        archive: file.path().to_owned(),
    };
    let sandbox = environment.sandbox.get()?;
    sandbox.task(&task, &environment.cancel)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))
        .map_err(BuildError::file("write", &path))?;
    file.persist(&path)
        .map_err(|error| BuildError::file("write", &path)(error.error))?;
    Ok(path)
}
