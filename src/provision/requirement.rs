//! Requirements: what a provisioner takes from elsewhere by a list of names, as roles of Galaxy.
//!
//! The names move, so what they stood for when they were first used is pinned in the lock file, by
//! its content. Whoever installs a requirement does not know of pins; whoever pins does not know
//! how it is installed.

use super::input::{self, Input};
use super::{HostContext, ProvisionError};
use crate::digest::Digest;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A list of what is needed from elsewhere.
pub trait Requirement: Send + Sync {
    /// Which list it is, as it is now.
    fn name(&self) -> Result<RequirementName, ProvisionError>;

    /// Installs all of it into an empty folder; gives what that is, in words: `nginx 3.1.0`.
    fn install(
        &self,
        folder: &Path,
        context: &HostContext<'_>,
    ) -> Result<Vec<String>, ProvisionError>;
}

/// The name of a requirement. The content of the list is part of it: another list is another
/// requirement, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequirementName {
    /// Where it comes from: `galaxy`.
    pub kind: String,
    /// The file with the list, for people.
    pub file: String,
    /// The list's content.
    pub list: Digest,
}

impl fmt::Display for RequirementName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.file)
    }
}

/// What a requirement stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Of all files.
    pub digest: Digest,
    /// What they are, in words, sorted.
    pub parts: Vec<String>,
}

impl Installed {
    /// Makes the folder's files the same wherever they were installed, and digests them.
    pub fn of(folder: &Path, mut parts: Vec<String>) -> Result<Self, ProvisionError> {
        set_modes(folder)?;
        let entries = input::digest(&Input {
            label: String::new(),
            path: folder.to_owned(),
            is_generated: false,
        })?;
        let mut text = String::new();
        for (label, entry) in entries {
            text += &format!("{label}\0{entry}\0");
        }
        parts.sort();
        Ok(Self {
            digest: Digest::of(text),
            parts,
        })
    }
}

/// Who may do what depends on the mask of whoever installed it; whether a file is executed does not.
fn set_modes(folder: &Path) -> Result<(), ProvisionError> {
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).map_err(ProvisionError::read(&path))?;
        if metadata.is_symlink() {
            continue;
        }
        let is_executed = metadata.permissions().mode() & 0o100 != 0;
        let mode = match metadata.is_dir() || is_executed {
            true => 0o755,
            false => 0o644,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(ProvisionError::write(&path))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(ProvisionError::read(&path))? {
                pending.push(entry.map_err(ProvisionError::read(&path))?.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_masks_nor_the_order_of_parts_count() {
        let folder = tempfile::tempdir().unwrap();
        let installed = |name: &str, mode: u32, parts: &[&str]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.join("roles")).unwrap();
            let file = path.join("roles/main.yml");
            fs::write(&file, "text").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let parts = parts.iter().map(|it| (*it).to_owned()).collect();
            Installed::of(&path, parts).unwrap()
        };
        let one = installed("one", 0o600, &["a 1", "b 2"]);
        assert_eq!(one, installed("two", 0o664, &["b 2", "a 1"]));
        assert_ne!(one.digest, installed("three", 0o700, &[]).digest);
    }
}
