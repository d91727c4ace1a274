//! The `ansible` provisioner: playbooks of this host, whose tasks run in the root.
//!
//! `ansible-playbook` runs here, as in Packer; its tasks reach the root through a connection plugin
//! ([`visit`]), which asks the root's first process to start them. There is no SSH in between, and
//! nothing of Ansible stays in the layer. The options are Packer's; those about SSH are explained
//! and have no effect.

mod configuration;
mod galaxy;
mod inputs;
mod inventory;
mod options;
mod program;
mod references;
mod visit;

use super::{Caller, Input, ProvisionError, Provisioner, Requirement, StartState, Visitor};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::sandbox::Action;
use crate::template::gotemplate::GoTemplateData;
use configuration::{Configuration, expanded};
use galaxy::Galaxy;
use inputs::Counted;
use inventory::Inventory;
use program::Installation;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use visit::REMOTE_FOLDER;

pub use options::prepare;

/// The name of the connection plugin.
const CONNECTION: &str = "hardtack";
/// Of the folder in the root where tasks of all users keep files.
const REMOTE_MODE: u32 = 0o1777;
/// Variables of the caller that decide only what Ansible shows, how fast it is, or where secrets lie.
const WITHOUT_EFFECT: [&str; 12] = [
    "ANSIBLE_CALLBACKS_ENABLED",
    "ANSIBLE_CONFIG",
    "ANSIBLE_DEPRECATION_WARNINGS",
    "ANSIBLE_DISPLAY",
    "ANSIBLE_FORCE_COLOR",
    "ANSIBLE_FORKS",
    "ANSIBLE_LOG_PATH",
    "ANSIBLE_NOCOLOR",
    "ANSIBLE_NOCOWS",
    "ANSIBLE_STDOUT_CALLBACK",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "ANSIBLE_VERBOSITY",
];

/// An `ansible` provisioner.
#[derive(Debug)]
pub struct Ansible {
    /// As the template has it.
    command: String,
    /// An absolute path.
    playbook: PathBuf,
    /// `extra_arguments`, without what a connection of Docker's needed.
    arguments: Vec<String>,
    /// `ansible_env_vars`.
    variables: BTreeMap<String, String>,
    inventory: Inventory,
    /// None for the image's own.
    user: Option<String>,
    keep_inventory_file: bool,
    galaxy: Option<Galaxy>,
    roles_path: Option<PathBuf>,
    collections_path: Option<PathBuf>,
    skip_version_check: bool,
    source_name: String,
    source_type: String,
    working_folder: PathBuf,
    caller: Arc<Caller>,
    configuration: Configuration,
    go_template: GoTemplateData,
    /// Looked for when it is needed first.
    installation: OnceLock<Option<Installation>>,
}

impl Ansible {
    fn installation(&self) -> Option<&Installation> {
        let find = || {
            let search_path = self.variable("PATH").unwrap_or_default();
            Installation::find(&self.command, search_path, &self.working_folder)
        };
        self.installation.get_or_init(find).as_ref()
    }

    /// An environment variable that `ansible-playbook` gets from the template or from the caller.
    fn variable(&self, name: &str) -> Option<&str> {
        let given = self.variables.get(name);
        let found = given.or_else(|| self.caller.environment.get(name));
        found.map(String::as_str)
    }

    /// Who tasks log in as, a name alone.
    fn login<'a>(&'a self, start: &'a StartState) -> &'a str {
        let user = self.user.as_deref().unwrap_or(&start.user);
        match user.split(':').next() {
            None | Some("" | "0") => "root",
            Some(name) => name,
        }
    }

    /// Folders that Ansible searches beside those of the playbook: what a variable or the
    /// configuration says, else Ansible's own.
    fn search_path(&self, variable: &str, key: &str, defaults: &[&str]) -> Vec<PathBuf> {
        let home = self.caller.home.as_deref();
        let of_list = |list: &mut dyn Iterator<Item = &str>| -> Vec<PathBuf> {
            let list = list.filter(|it| !it.is_empty());
            list.map(|it| expanded(it, &self.working_folder, home))
                .collect()
        };
        match self.variable(variable) {
            Some(list) => of_list(&mut list.split(':')),
            None => match self.configuration.paths(key, home) {
                Some(paths) => paths,
                None => of_list(&mut defaults.iter().copied()),
            },
        }
    }

    fn roles_search_path(&self) -> Vec<PathBuf> {
        let defaults = [
            "~/.ansible/roles",
            "/usr/share/ansible/roles",
            "/etc/ansible/roles",
        ];
        self.search_path("ANSIBLE_ROLES_PATH", "roles_path", &defaults)
    }

    fn collections_search_path(&self) -> Vec<PathBuf> {
        let defaults = ["~/.ansible/collections", "/usr/share/ansible/collections"];
        self.search_path("ANSIBLE_COLLECTIONS_PATH", "collections_path", &defaults)
    }

    /// The caller's variables for Ansible, reduced to digests: passwords can be among them.
    fn caller_variables(&self) -> BTreeMap<&str, String> {
        let variables = self.caller.environment.iter();
        let variables = variables.filter(|(name, _)| {
            name.starts_with("ANSIBLE_") && !WITHOUT_EFFECT.iter().any(|it| name.starts_with(it))
        });
        variables
            .map(|(name, value)| (name.as_str(), Digest::of(value).to_string()))
            .collect()
    }

    /// Files that the arguments name: `@vars.yml`, an inventory, a folder of modules.
    fn argument_files(&self) -> Vec<(&str, PathBuf)> {
        let mut files = Vec::new();
        let mut previous = "";
        for argument in &self.arguments {
            let (option, value) = argument.split_once('=').unwrap_or((previous, argument));
            previous = argument;
            let is_secret = ["password", "vault", "private-key"]
                .iter()
                .any(|it| option.contains(it));
            let value = value.strip_prefix('@').unwrap_or(value);
            let path = self.working_folder.join(value);
            if !is_secret && !value.is_empty() && !value.starts_with('-') && path.exists() {
                files.push((value, path));
            }
        }
        files
    }
}

impl Provisioner for Ansible {
    fn kind(&self) -> &'static str {
        "ansible"
    }

    fn summary(&self) -> String {
        super::input::base_name(&self.playbook)
    }

    fn lack(&self) -> Option<Diagnostic> {
        if self.installation().is_some() {
            return None;
        }
        let warning = Diagnostic::warning(format!("there is no {} on this host", self.command));
        Some(warning.help(
            "the step can only be taken from a cache; `apt install ansible-core` or `pipx install ansible-core` lets it run",
        ))
    }

    fn key_material(&self) -> serde_json::Value {
        let installation = self.installation();
        let inventory = match &self.inventory {
            Inventory::Given(path) => json!({ "file": super::input::base_name(path) }),
            Inventory::Made(made) => json!({
                "host_alias": made.host_alias,
                "groups": made.groups,
                "empty_groups": made.empty_groups,
                "template": made.template,
            }),
        };
        json!({
            "playbook": super::input::base_name(&self.playbook),
            "command": self.command,
            "arguments": self.arguments,
            "variables": self.variables,
            "caller_variables": self.caller_variables(),
            "inventory": inventory,
            "user": self.user,
            "build_name": self.source_name,
            "builder_type": self.source_type,
            "ansible": installation.and_then(|it| it.version.as_deref()),
            "ansible_collections": installation.and_then(|it| it.collections.as_deref()),
            "connection": Digest::of(visit::PLUGIN).to_string(),
        })
    }

    fn inputs(&self) -> Vec<Input> {
        let mut counted = Counted::default();
        counted.playbook(&self.playbook, &self.working_folder);
        match &self.inventory {
            Inventory::Given(path) => {
                counted.path(path, "inventory_file");
                let folder = path.parent().filter(|_| !path.is_dir());
                if let Some(folder) = folder {
                    counted.inventory_variables(folder, "inventory_file");
                }
            }
            Inventory::Made(made) => {
                if let Some(folder) = &made.folder {
                    counted.inventory_variables(folder, "inventory_directory");
                }
            }
        }
        if let Some(path) = &self.configuration.path {
            counted.path(path, "ansible.cfg");
        }
        for (option, path) in [
            ("roles_path", &self.roles_path),
            ("collections_path", &self.collections_path),
        ] {
            if let Some(path) = path {
                counted.path(path, option);
            }
        }
        for (index, path) in self.roles_search_path().iter().enumerate() {
            counted.path(path, &format!("installed roles {}", index + 1));
        }
        for (index, path) in self.collections_search_path().iter().enumerate() {
            counted.installed_collections(path, &format!("installed collections {}", index + 1));
        }
        for (name, path) in self.argument_files() {
            counted.path(&path, &format!("extra_arguments {name}"));
        }
        counted.inputs()
    }

    fn actions(&self, scratch: &Path, _start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let empty = scratch.join("remote");
        fs::create_dir(&empty).map_err(ProvisionError::write(&empty))?;
        let path = REMOTE_FOLDER.to_owned();
        // Made and removed without a command, while Ansible starts.
        Ok(vec![
            Action::Temporary { path: path.clone() },
            Action::Upload {
                source: empty,
                contents_only: true,
                destination: path,
                owner: String::new(),
                mode: Some(REMOTE_MODE),
            },
            Action::Open,
        ])
    }

    fn requirement(&self) -> Option<&dyn Requirement> {
        self.galaxy.as_ref().map(|it| it as &dyn Requirement)
    }

    fn visitor(&self) -> Option<&dyn Visitor> {
        Some(self)
    }
}
