//! The `ansible-local` provisioner: Ansible runs inside the root, which must have it.
//!
//! The options are those of Packer's plugin. Playbooks, roles and the like are staged; roles and
//! collections of `galaxy_file` are installed by the root's own ansible-galaxy.

mod galaxy;
mod playbooks;

use super::staging::{self, Staged, file_name, quoted};
use super::tool_options::ToolOptions;
use super::{Context, Input, NO_HTTP_ADDRESS, ProvisionError, Provisioner, StartState};
use crate::sandbox::Action;
use crate::template::Arguments;
use galaxy::{Galaxy, Requirements};
use playbooks::{Place, places};
use serde_json::json;
use std::path::Path;

const DEFAULT_STAGING: &str = "/tmp/packer-provisioner-ansible-local";
const DEFAULT_COMMAND: &str = "ANSIBLE_FORCE_COLOR=1 PYTHONUNBUFFERED=1 ansible-playbook";
/// The generated inventory, by a name that no playbook_dir has.
const INVENTORY: &str = "packer-provisioner-ansible-local.inventory";
/// What Ansible itself leaves in the home folder of who runs it.
const LEFT_IN_HOME: [&str; 3] = [".ansible/tmp", ".ansible/cp", ".ansible/galaxy_cache"];

/// An `ansible-local` provisioner.
#[derive(Clone, Debug)]
pub struct AnsibleLocal {
    staging: String,
    /// `clean_staging_directory = false` is written.
    keeps_staging: bool,
    staged: Vec<Staged>,
    /// In the root, in the order in which they run.
    playbooks: Vec<String>,
    inventory: String,
    has_collections: bool,
    galaxy: Option<Galaxy>,
    command: String,
    extra_arguments: Vec<String>,
    build_name: String,
    builder_type: String,
}

/// Decodes the options of an `ansible-local` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let options = ToolOptions::new(arguments, context);
    let staging = options.remote_folder("staging_directory", DEFAULT_STAGING);
    let playbook_folder = options.folder("playbook_dir");
    let playbook_file = options.file("playbook_file");
    let playbook_files = options.files("playbook_files");
    let inventory_file = options.file("inventory_file");
    let groups = options.list("inventory_groups");
    let collections = options.folders("collection_paths");
    let below = |name: &str| format!("{staging}/{name}");

    let mut staged = Vec::new();
    if let Some(folder) = &playbook_folder {
        staged.push(Staged::folder(
            "playbook_dir",
            folder.clone(),
            staging.clone(),
        ));
    }
    let mut playbooks = Vec::new();
    match (playbook_file, playbook_files) {
        (Some(file), list) if list.is_empty() => {
            let target = below(&file_name(&file));
            playbooks.push(target.clone());
            staged.push(Staged::file("playbook_file", file, target));
        }
        (None, list) if !list.is_empty() => {
            for (index, (file, place)) in places(playbook_folder.as_deref(), list)
                .into_iter()
                .enumerate()
            {
                match place {
                    Place::InFolder(relative) => playbooks.push(below(&relative)),
                    Place::Beside(relative) => {
                        let target = below(&relative);
                        playbooks.push(target.clone());
                        staged.push(Staged::file(
                            &format!("playbook_files[{index}]"),
                            file,
                            target,
                        ));
                    }
                }
            }
        }
        (Some(_), _) => options.error(
            "playbook_files",
            "only one of playbook_file and playbook_files can be given",
            &[],
        ),
        (None, _) => options.missing(
            &["playbook_file", "playbook_files"],
            "one of playbook_file and playbook_files must be given",
            &["name the playbook with `playbook_file = \"site.yml\"`"],
        ),
    }
    let galaxy = Galaxy::decode(&options, &staging);
    staged.extend(galaxy.as_ref().map(Galaxy::staged));
    let inventory = match inventory_file {
        Some(file) => {
            let target = below(&file_name(&file));
            staged.push(Staged::file("inventory_file", file, target.clone()));
            target
        }
        None => {
            let target = below(INVENTORY);
            staged.push(Staged::text(
                "inventory",
                inventory(&groups),
                target.clone(),
            ));
            target
        }
    };
    for (option, name) in [("group_vars", "group_vars"), ("host_vars", "host_vars")] {
        if let Some(folder) = options.folder(option) {
            staged.push(Staged::folder(option, folder, below(name)));
        }
    }
    let roles = options.folders("role_paths");
    let playbook_paths = options.folders("playbook_paths");
    staged.extend(Staged::folders_by_name(
        "role_paths",
        roles,
        &below("roles"),
    ));
    let has_collections = !collections.is_empty();
    let prefix = below("collections");
    staged.extend(Staged::folders_by_name(
        "collection_paths",
        collections,
        &prefix,
    ));
    let prefix = below("playbooks");
    staged.extend(Staged::folders_by_name(
        "playbook_paths",
        playbook_paths,
        &prefix,
    ));

    let clean: Option<bool> = arguments.optional("clean_staging_directory");
    let prepared = AnsibleLocal {
        staging,
        keeps_staging: clean == Some(false),
        staged,
        playbooks,
        inventory,
        has_collections,
        galaxy,
        command: options
            .text("command")
            .unwrap_or_else(|| DEFAULT_COMMAND.to_owned()),
        extra_arguments: options.list("extra_arguments"),
        build_name: context.source_name.clone(),
        builder_type: context.source_type.clone(),
    };
    options
        .is_right()
        .then(|| Box::new(prepared) as Box<dyn Provisioner>)
}

/// The text of the generated inventory.
fn inventory(groups: &[String]) -> String {
    // Packer's page has one text with commas, its code a list.
    let groups = groups.iter().flat_map(|group| group.split(','));
    let groups: Vec<&str> = groups.map(str::trim).filter(|it| !it.is_empty()).collect();
    if groups.is_empty() {
        return "127.0.0.1\n".to_owned();
    }
    let lines = groups.iter().map(|group| format!("[{group}]\n127.0.0.1\n"));
    lines.collect()
}

impl AnsibleLocal {
    /// The command line that runs a playbook.
    fn command(&self, playbook: &str, requirements: Requirements) -> String {
        let galaxy = self.galaxy.as_ref();
        let mut collections = Vec::new();
        if let Some(galaxy) = galaxy.filter(|_| requirements.collections) {
            collections.push(galaxy.collections().to_owned());
        }
        if self.has_collections {
            collections.push(format!("{}/collections", self.staging));
        }
        let mut environment = String::new();
        if !collections.is_empty() {
            let paths = quoted(&collections.join(":")).into_owned();
            environment += &format!("ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:{paths} ");
        }
        if let Some(galaxy) = galaxy.filter(|_| requirements.roles) {
            let path = quoted(galaxy.roles());
            environment += &format!("ANSIBLE_ROLES_PATH=$ANSIBLE_ROLES_PATH:{path} ");
        }
        let mut extra = String::new();
        for argument in &self.extra_arguments {
            extra.push_str(argument);
            extra.push(' ');
        }
        let variables = format!(
            "packer_build_name={} packer_builder_type={} packer_http_addr={NO_HTTP_ADDRESS}",
            quoted(&self.build_name),
            quoted(&self.builder_type),
        );
        format!(
            "cd {} && {environment}{} {} --extra-vars {} {extra}-c local -i {}",
            quoted(&self.staging),
            self.command,
            quoted(playbook),
            double_quoted(&variables),
            quoted(&self.inventory),
        )
    }
}

/// A text as one word of a shell's command line, in double quotes as Packer writes it.
fn double_quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            word.push('\\');
        }
        word.push(c);
    }
    word.push('"');
    word
}

impl Provisioner for AnsibleLocal {
    fn kind(&self) -> &'static str {
        "ansible-local"
    }

    fn summary(&self) -> String {
        let below = |playbook: &String| {
            let relative = playbook.strip_prefix(&self.staging).unwrap_or(playbook);
            relative.trim_start_matches('/').to_owned()
        };
        let names: Vec<String> = self.playbooks.iter().map(below).collect();
        names.join(", ")
    }

    fn key_material(&self) -> serde_json::Value {
        let staged: Vec<_> = self.staged.iter().map(Staged::key_material).collect();
        json!({
            "staging": self.staging,
            "keeps_staging": self.keeps_staging,
            "staged": staged,
            "playbooks": self.playbooks,
            "inventory": self.inventory,
            "galaxy": self.galaxy.as_ref().map(Galaxy::key_material),
            "command": self.command,
            "extra_arguments": self.extra_arguments,
            "build_name": self.build_name,
            "builder_type": self.builder_type,
        })
    }

    fn inputs(&self) -> Vec<Input> {
        self.staged.iter().flat_map(Staged::inputs).collect()
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let folder = Some((self.staging.as_str(), self.keeps_staging));
        let mut actions = staging::stage(&self.staged, folder, scratch, start)?;
        let home = start.environment.iter().find(|(name, _)| name == "HOME");
        let home = home.map_or_else(|| format!("~{}", start.user), |(_, home)| home.clone());
        actions.extend(LEFT_IN_HOME.iter().map(|name| Action::Temporary {
            path: format!("{home}/{name}"),
        }));
        let mut requirements = Requirements::default();
        if let Some(galaxy) = &self.galaxy {
            requirements = galaxy.requirements()?;
            for command in galaxy.commands(&self.staging, requirements) {
                actions.push(staging::run_python(command, start, vec![0]));
            }
        }
        for playbook in &self.playbooks {
            let command = self.command(playbook, requirements);
            actions.push(staging::run_python(command, start, vec![0]));
        }
        Ok(actions)
    }

    fn hint(&self, code: i32) -> Option<String> {
        (code == 127).then(|| {
            "ansible-local runs the Ansible of the image, which has none or not in its PATH: install it in an earlier step, as with `apt-get install --yes ansible-core`, or name it with `command`"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests;
