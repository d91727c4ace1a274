//! The `salt-masterless` provisioner: `salt-call --local` runs inside the root.
//!
//! The options are those of Packer's plugin. The trees of states and pillars lie where Salt looks
//! for them while it runs; they stay only where an option names the place. The minion's
//! configuration and grains are part of the image.

mod formula;

use super::staging::{self, Staged, file_name, quoted};
use super::tool_options::ToolOptions;
use super::{Context, Input, ProvisionError, Provisioner, StartState};
use crate::sandbox::Action;
use crate::template::Arguments;
use formula::Formula;
use serde_json::json;
use std::path::{Path, PathBuf};

const STATE_TREE: &str = "/srv/salt";
const PILLAR_ROOTS: &str = "/srv/pillar";
const MINION_CONFIG: &str = "/etc/salt/minion";
const GRAINS: &str = "/etc/salt/grains";
const BOOTSTRAP_SCRIPT: &str = "/tmp/install_salt.sh";
const BOOTSTRAP_ADDRESS: &str = "https://bootstrap.saltproject.io";
/// What tells of this run and of the machine that it ran on, and is of no use in an image.
const RECORDS_OF_RUN: [&str; 5] = [
    "/etc/salt/minion_id",
    "/etc/salt/pki/minion",
    "/var/cache/salt/minion",
    "/var/log/salt/minion",
    "/var/run/salt",
];

/// A `salt-masterless` provisioner.
#[derive(Clone, Debug)]
pub struct SaltMasterless {
    staged: Vec<Staged>,
    formulas: Vec<Formula>,
    /// In the root.
    state_tree: String,
    /// The template names it, so it stays.
    keeps_state_tree: bool,
    /// What the state tree is called on the host, for people.
    state_name: String,
    /// Arguments of the bootstrap script; none if it does not run.
    bootstrap: Option<String>,
    disable_sudo: bool,
    /// With its arguments, but for `sudo`.
    command: String,
    no_exit_on_failure: bool,
}

/// Decodes the options of a `salt-masterless` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let options = ToolOptions::new(arguments, context);
    let local_state_tree = options.folder("local_state_tree");
    let local_pillar_roots = options.folder("local_pillar_roots");
    let minion_config = options.file("minion_config");
    let grains = options.file("grains_file");
    let names_state_tree = options.text("remote_state_tree").is_some();
    let names_pillar_roots = options.text("remote_pillar_roots").is_some();
    let state_tree = options.remote_folder("remote_state_tree", STATE_TREE);
    let pillar_roots = options.remote_folder("remote_pillar_roots", PILLAR_ROOTS);
    let bootstrap_arguments = options.text("bootstrap_args").unwrap_or_default();
    let skip_bootstrap = options.flag("skip_bootstrap");
    let no_exit_on_failure = options.flag("no_exit_on_failure");
    options.guest_system();
    // Files are put where they belong at once.
    let _ = options.text("temp_config_dir");

    if minion_config.is_some() && (names_state_tree || names_pillar_roots) {
        options.error(
            "minion_config",
            "minion_config cannot be given together with remote_state_tree or remote_pillar_roots",
            &["let the minion's configuration set file_roots and pillar_roots"],
        );
    }
    let mut command = options.text("salt_bin_dir").map_or_else(
        || "salt-call".to_owned(),
        |folder| format!("{}/salt-call", quoted(folder.trim_end_matches('/'))),
    );
    command.push_str(" --local");
    match options.text("custom_state") {
        None => command.push_str(" state.highstate"),
        Some(state) => command += &format!(" state.sls {state}"),
    }
    if minion_config.is_none() {
        let (states, pillars) = (quoted(&state_tree), quoted(&pillar_roots));
        command += &format!(" --file-root={states} --pillar-root={pillars}");
    }
    if !no_exit_on_failure {
        command.push_str(" --retcode-passthrough");
    }
    let level = options.text("log_level");
    command += &format!(" -l {}", level.as_deref().unwrap_or("info"));
    if let Some(arguments) = options.text("salt_call_args") {
        command += &format!(" {arguments}");
    }

    let mut staged = Vec::new();
    if let Some(file) = minion_config {
        let target = MINION_CONFIG.to_owned();
        staged.push(Staged::file("minion_config", file, target).kept());
    }
    if let Some(file) = grains {
        let target = GRAINS.to_owned();
        staged.push(Staged::file("grains_file", file, target).kept());
    }
    let mut push = |option: &str, folder: PathBuf, target: String, stays: bool| {
        let one = Staged::folder(option, folder, target);
        staged.push(if stays { one.kept() } else { one });
    };
    let state_name = local_state_tree.as_deref().map(file_name);
    let formulas = formula::decode(&options, local_state_tree.as_deref());
    match local_state_tree {
        Some(folder) => push(
            "local_state_tree",
            folder,
            state_tree.clone(),
            names_state_tree,
        ),
        None => options.missing(
            &["local_state_tree"],
            "`local_state_tree` is required",
            &["name the folder that has top.sls"],
        ),
    }
    if let Some(folder) = local_pillar_roots {
        push(
            "local_pillar_roots",
            folder,
            pillar_roots,
            names_pillar_roots,
        );
    }
    let prepared = SaltMasterless {
        staged,
        formulas,
        state_tree,
        keeps_state_tree: names_state_tree,
        state_name: state_name.unwrap_or_default(),
        bootstrap: (!skip_bootstrap).then_some(bootstrap_arguments),
        disable_sudo: options.flag("disable_sudo"),
        command,
        no_exit_on_failure,
    };
    options
        .is_right()
        .then(|| Box::new(prepared) as Box<dyn Provisioner>)
}

impl Provisioner for SaltMasterless {
    fn kind(&self) -> &'static str {
        "salt-masterless"
    }

    fn summary(&self) -> String {
        self.state_name.clone()
    }

    fn key_material(&self) -> serde_json::Value {
        let staged: Vec<_> = self.staged.iter().map(Staged::key_material).collect();
        json!({
            "staged": staged,
            "formulas": self.formulas.iter().map(Formula::key_material).collect::<Vec<_>>(),
            "bootstrap": self.bootstrap,
            "disable_sudo": self.disable_sudo,
            "command": self.command,
            "no_exit_on_failure": self.no_exit_on_failure,
        })
    }

    fn inputs(&self) -> Vec<Input> {
        self.staged.iter().flat_map(Staged::inputs).collect()
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let sudo = match self.disable_sudo || staging::is_root(start) {
            true => "",
            false => "sudo ",
        };
        let temporary = |path: &str| Action::Temporary {
            path: path.to_owned(),
        };
        let mut actions: Vec<Action> = RECORDS_OF_RUN.iter().map(|path| temporary(path)).collect();
        if let Some(arguments) = &self.bootstrap {
            actions.push(temporary(BOOTSTRAP_SCRIPT));
            let (script, address) = (BOOTSTRAP_SCRIPT, BOOTSTRAP_ADDRESS);
            let command = format!(
                "curl -L {address} -o {script} || wget -O {script} {address} && {sudo}sh {script} {arguments}"
            );
            actions.push(staging::run(command, start, vec![0]));
        }
        let mut staged = self.staged.clone();
        for formula in &self.formulas {
            let one = formula.fetch(scratch, &self.state_tree)?;
            staged.push(if self.keeps_state_tree {
                one.kept()
            } else {
                one
            });
        }
        actions.extend(staging::stage(&staged, None, scratch, start)?);
        let accept = match self.no_exit_on_failure {
            true => staging::any_exit_code(),
            false => vec![0],
        };
        let command = format!("{sudo}{}", self.command);
        actions.push(staging::run_python(command, start, accept));
        Ok(actions)
    }

    fn hint(&self, code: i32) -> Option<String> {
        let hint = match (code, &self.bootstrap) {
            (127, None) => {
                "salt-masterless runs the salt-call of the image, which has none or not in its PATH: install Salt in an earlier step, name its folder with salt_bin_dir, or leave skip_bootstrap out"
            }
            (127, Some(_)) => {
                "Salt's bootstrap script needs curl or wget in the image; to install Salt in an earlier step instead, set `skip_bootstrap = true`"
            }
            (_, Some(_)) => {
                "if the bootstrap script failed, install Salt in an earlier step, and set `skip_bootstrap = true`"
            }
            (_, None) => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
