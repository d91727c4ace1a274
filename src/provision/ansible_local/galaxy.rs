//! Galaxy: roles and collections that the root's ansible-galaxy installs before playbooks run.

use crate::provision::ProvisionError;
use crate::provision::staging::{Staged, file_name, quoted};
use crate::provision::tool_options::ToolOptions;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

const DEFAULT_COMMAND: &str = "ansible-galaxy";

/// What ansible-galaxy installs before the playbooks run.
#[derive(Clone, Debug)]
pub(super) struct Galaxy {
    /// On the host.
    file: PathBuf,
    /// In the root.
    target: String,
    command: String,
    force: bool,
    /// Where roles go, in the root.
    roles: String,
    /// Where collections go, in the root.
    collections: String,
}

/// What a galaxy file lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requirements {
    /// Roles.
    pub(super) roles: bool,
    /// Collections.
    pub(super) collections: bool,
}

impl Galaxy {
    /// Decodes `galaxy_file` and its options; none without it, or after an error.
    pub(super) fn decode(options: &ToolOptions<'_, '_>, staging: &str) -> Option<Self> {
        let command = options.text("galaxy_command");
        let force = options.flag("galaxy_force_install");
        let roles = options.text("galaxy_roles_path");
        let collections = options.text("galaxy_collections_path");
        let file = options.file("galaxy_file")?;
        Some(Self {
            target: format!("{staging}/{}", file_name(&file)),
            file,
            command: command.unwrap_or_else(|| DEFAULT_COMMAND.to_owned()),
            force,
            roles: roles.unwrap_or_else(|| format!("{staging}/galaxy_roles")),
            collections: collections.unwrap_or_else(|| format!("{staging}/galaxy_collections")),
        })
    }

    /// The file, as it lies in the root.
    pub(super) fn staged(&self) -> Staged {
        Staged::file("galaxy_file", self.file.clone(), self.target.clone())
    }

    /// What decides what is installed, beside the file.
    pub(super) fn key_material(&self) -> serde_json::Value {
        json!({
            "command": self.command,
            "force": self.force,
            "roles": self.roles,
            "collections": self.collections,
        })
    }

    /// Where roles go, in the root.
    pub(super) fn roles(&self) -> &str {
        &self.roles
    }

    /// Where collections go, in the root.
    pub(super) fn collections(&self) -> &str {
        &self.collections
    }

    /// What the file lists. One without either heading is a list of roles, as in its first format.
    pub(super) fn requirements(&self) -> Result<Requirements, ProvisionError> {
        let text = fs::read(&self.file).map_err(ProvisionError::read(&self.file))?;
        Ok(requirements(&String::from_utf8_lossy(&text)))
    }

    /// The command lines that install what the file lists.
    pub(super) fn commands(&self, staging: &str, requirements: Requirements) -> Vec<String> {
        let command = |subcommand: &str, folder: &str| {
            let force = if self.force { " -f" } else { "" };
            format!(
                "cd {} && {} {subcommand} -r {} -p {}{force}",
                quoted(staging),
                self.command,
                quoted(&self.target),
                quoted(folder),
            )
        };
        let mut commands = Vec::new();
        if requirements.roles {
            commands.push(command("install", &self.roles));
        }
        if requirements.collections {
            commands.push(command("collection install", &self.collections));
        }
        commands
    }
}

fn requirements(text: &str) -> Requirements {
    let has = |heading: &str| text.lines().any(|line| line.starts_with(heading));
    let collections = has("collections:");
    Requirements {
        roles: has("roles:") || !collections,
        collections,
    }
}
