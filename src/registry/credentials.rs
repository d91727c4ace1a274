//! Credentials: where the user's files keep them, in the formats of Docker and of podman.
//!
//! A *credentials file* is Docker's `config.json` or podman's `auth.json` (containers-auth.json(5)).
//! It has the credentials of a registry or of repositories below it, or names a *helper*, a
//! program that keeps them elsewhere. Whether a registry accepts them is not known here.

mod file;
mod helper;

use super::reference::{DOCKER, Repository};
use super::{Credentials, Settings};
use file::{CredentialsFile, Place};
use std::io;
use std::path::{Path, PathBuf};

/// What Docker calls its own registry in files and to helpers.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// Why credentials could not be found or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file could not be read or written.
    #[error("cannot {operation} the credentials in {path}")]
    Io {
        /// `read`, `write`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("the credentials in {path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A helper failed.
    #[error("the credential helper {helper}, which {path} asks for, {reason}")]
    Helper {
        /// Its name: `docker-credential-…`.
        helper: String,
        /// The file that names it.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// There is no folder for a file.
    #[error("there is no file for credentials: set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE")]
    NoFile,
    /// The run was ended.
    #[error("interrupted")]
    Interrupted,
}

/// The credentials of a repository, or those of a whole registry if `path` is empty; none if there
/// are none.
pub(super) fn find(
    settings: &Settings,
    repository: &Repository,
) -> Result<Option<Credentials>, CredentialsError> {
    let name = match repository.path.as_str() {
        "" => repository.registry.clone(),
        path => format!("{}/{path}", repository.registry),
    };
    for path in files(settings) {
        let Some(file) = CredentialsFile::read(&path)? else {
            continue;
        };
        for place in file.places(&repository.registry, &name)? {
            let found = match place {
                Place::Helper(helper) => {
                    helper::get(settings, &path, &helper, key(&repository.registry))?
                }
                Place::Here(credentials) => Some(credentials),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// Keeps the credentials of a registry where the user's files say, and says where that is.
pub fn keep(
    settings: &Settings,
    registry: &str,
    credentials: &Credentials,
) -> Result<String, CredentialsError> {
    let path = file_for(settings, registry)?;
    let mut file = CredentialsFile::read(&path)?.unwrap_or_else(|| CredentialsFile::new(&path));
    let Some(helper) = file.helper(registry).map(str::to_owned) else {
        file.set(registry, key(registry), Some(credentials));
        file.write()?;
        return Ok(path.display().to_string());
    };
    helper::store(settings, &path, &helper, key(registry), credentials)?;
    // As Docker does: an entry without content says that the helper has it.
    file.set(registry, key(registry), None);
    file.write()?;
    Ok(helper::program(&helper))
}

/// Removes the credentials of a registry from all of the user's files and helpers, and says which
/// ones had any.
pub fn forget(settings: &Settings, registry: &str) -> Result<Vec<String>, CredentialsError> {
    let mut forgotten = Vec::new();
    for path in files(settings) {
        let Some(mut file) = CredentialsFile::read(&path)? else {
            continue;
        };
        if let Some(helper) = file.helper(registry).map(str::to_owned)
            && helper::get(settings, &path, &helper, key(registry))?.is_some()
        {
            helper::erase(settings, &path, &helper, key(registry))?;
            forgotten.push(helper::program(&helper));
        }
        if file.remove(registry) {
            file.write()?;
            forgotten.push(path.display().to_string());
        }
    }
    Ok(forgotten)
}

/// The files with credentials, in the order in which they are asked.
fn files(settings: &Settings) -> Vec<PathBuf> {
    if let Some(path) = variable(settings, "REGISTRY_AUTH_FILE") {
        return vec![path];
    }
    let home = settings.home.as_deref();
    let configuration = variable(settings, "XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| home.join(".config")));
    [
        variable(settings, "XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        configuration.map(|folder| folder.join("containers/auth.json")),
        docker_file(settings),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The file that credentials are kept in: one that has some of this registry, or else Docker's.
fn file_for(settings: &Settings, registry: &str) -> Result<PathBuf, CredentialsError> {
    for path in files(settings) {
        if let Some(file) = CredentialsFile::read(&path)?
            && file.knows(registry)
        {
            return Ok(path);
        }
    }
    variable(settings, "REGISTRY_AUTH_FILE")
        .or_else(|| docker_file(settings))
        .ok_or(CredentialsError::NoFile)
}

fn docker_file(settings: &Settings) -> Option<PathBuf> {
    let home = || settings.home.as_ref().map(|home| home.join(".docker"));
    let folder = variable(settings, "DOCKER_CONFIG").or_else(home)?;
    Some(folder.join("config.json"))
}

fn variable(settings: &Settings, name: &str) -> Option<PathBuf> {
    let value = settings.environment.get(name)?;
    (!value.is_empty()).then(|| Path::new(value).to_owned())
}

/// What a registry is called to helpers and in files that we write.
fn key(registry: &str) -> &str {
    match registry {
        DOCKER => DOCKER_KEY,
        other => other,
    }
}

#[cfg(test)]
mod tests;
