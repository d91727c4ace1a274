//! The `puppet-masterless` provisioner: `puppet apply` runs inside the root, which must have it.
//!
//! The options are those of Packer's plugin. Manifests, modules and Hiera's configuration are
//! staged.

use super::staging::{self, Staged, file_name};
use super::tool_options::ToolOptions;
use super::{Context, Input, ProvisionError, Provisioner, StartState};
use crate::sandbox::Action;
use crate::template::Arguments;
use crate::template::gotemplate::{self, GoTemplateData};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

const DEFAULT_STAGING: &str = "/tmp/packer-puppet-masterless";
const DEFAULT_COMMAND: &str = concat!(
    "cd {{.WorkingDir}} && ",
    r#"{{if ne .FacterVars ""}}{{.FacterVars}} {{end}}"#,
    "{{if .Sudo}}sudo -E {{end}}",
    r#"{{if ne .PuppetBinDir ""}}{{.PuppetBinDir}}/{{end}}"#,
    "puppet apply --detailed-exitcodes ",
    "{{if .Debug}}--debug {{end}}",
    r#"{{if ne .ModulePath ""}}--modulepath='{{.ModulePath}}' {{end}}"#,
    r#"{{if ne .HieraConfigPath ""}}--hiera_config='{{.HieraConfigPath}}' {{end}}"#,
    r#"{{if ne .ManifestDir ""}}--manifestdir='{{.ManifestDir}}' {{end}}"#,
    r#"{{if ne .ExtraArguments ""}}{{.ExtraArguments}} {{end}}"#,
    "{{.ManifestFile}}",
);
/// Without and with changes, as `--detailed-exitcodes` tells them.
const SUCCESSES: [i32; 2] = [0, 2];

/// Where Puppet keeps its state: as Debian, Puppet's own packages and old ones have it.
const STATE_FOLDERS: [&str; 3] = [
    "/var/cache/puppet",
    "/opt/puppetlabs/puppet/cache",
    "/var/lib/puppet",
];
/// What tells when and how a run went. It is of no use in an image, and differs each time.
const RECORDS_OF_RUN: [&str; 7] = [
    "public/last_run_summary.yaml",
    "reports",
    "reports/localhost",
    "state/last_run_report.yaml",
    "state/last_run_summary.yaml",
    "state/state.yaml",
    "state/transactionstore.yaml",
];
/// Where newer packages of Puppet put one of them.
const PUBLIC_SUMMARY: &str = "/opt/puppetlabs/puppet/public/last_run_summary.yaml";

/// A `puppet-masterless` provisioner.
#[derive(Clone, Debug)]
pub struct PuppetMasterless {
    staging: String,
    /// `clean_staging_directory = false` is written.
    keeps_staging: bool,
    staged: Vec<Staged>,
    /// In the root.
    manifest: String,
    command: String,
    extra_arguments: String,
    /// What the templates of command and arguments can name, but for what depends on the base.
    data: GoTemplateData,
    /// Those of the data that decide the result.
    fields: BTreeMap<&'static str, String>,
    prevent_sudo: bool,
    ignore_exit_codes: bool,
}

/// Decodes the options of a `puppet-masterless` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let options = ToolOptions::new(arguments, context);
    let staging = options.remote_folder("staging_directory", DEFAULT_STAGING);
    let working_folder = options.remote_folder("working_directory", &staging);
    let manifest_file = options.path("manifest_file");
    let manifest_folder = options.folder("manifest_dir");
    let hiera = options.file("hiera_config_path");
    let modules = options.folders("module_paths");
    options.guest_system();
    for name in ["elevated_user", "elevated_password"] {
        if options.text(name).is_some() {
            options.warn(
                name,
                format!("{name} has no effect: it is for Windows"),
                &[],
            );
        }
    }
    if manifest_folder.is_some() {
        options.warn(
            "manifest_dir",
            "manifest_dir becomes --manifestdir, which Puppet 4 and later do not know",
            &["give the folder as manifest_file"],
        );
    }

    let mut staged = Vec::new();
    let mut fields = BTreeMap::from([
        ("HieraConfigPath", String::new()),
        ("ManifestDir", String::new()),
        ("ModulePathJoiner", ":".to_owned()),
        (
            "PuppetBinDir",
            options.text("puppet_bin_dir").unwrap_or_default(),
        ),
        ("WorkingDir", working_folder),
        // Nothing sets it, in Packer neither.
        ("Debug", String::new()),
    ]);
    if let Some(file) = hiera {
        let target = format!("{staging}/hiera.yaml");
        fields.insert("HieraConfigPath", target.clone());
        staged.push(Staged::file("hiera_config_path", file, target));
    }
    let manifests = format!("{staging}/manifests");
    if let Some(folder) = manifest_folder {
        fields.insert("ManifestDir", manifests.clone());
        staged.push(Staged::folder("manifest_dir", folder, manifests.clone()));
    }
    let prefix = format!("{staging}/module-");
    let modules = Staged::folders_by_number("module_paths", modules, &prefix);
    let paths: Vec<&str> = modules.iter().map(Staged::target).collect();
    fields.insert("ModulePath", paths.join(":"));
    staged.extend(modules);
    let mut manifest = String::new();
    match manifest_file {
        Some(folder) if folder.is_dir() => {
            manifest = manifests;
            staged.push(Staged::folder("manifest_file", folder, manifest.clone()));
        }
        Some(file) => {
            manifest = format!("{manifests}/{}", file_name(&file));
            staged.push(Staged::file("manifest_file", file, manifest.clone()));
        }
        None => options.missing(
            &["manifest_file"],
            "`manifest_file` is required",
            &["name a manifest, or a folder of manifests"],
        ),
    }
    fields.insert("ManifestFile", manifest.clone());
    fields.insert("FacterVars", facts(&options, arguments, context));

    let mut data = context.go_template.clone();
    for (name, value) in &fields {
        data = data.with(name, value);
    }
    let clean: Option<bool> = arguments.optional("clean_staging_directory");
    let extra: Vec<String> = arguments.unrendered("extra_arguments").unwrap_or_default();
    let prepared = PuppetMasterless {
        staging,
        keeps_staging: clean == Some(false),
        staged,
        manifest,
        command: options
            .template("execute_command")
            .unwrap_or_else(|| DEFAULT_COMMAND.to_owned()),
        extra_arguments: extra.join(" "),
        data,
        fields,
        prevent_sudo: options.flag("prevent_sudo"),
        ignore_exit_codes: options.flag("ignore_exit_codes"),
    };
    for is_root in [true, false] {
        if let Err((option, problem)) = prepared.rendered(is_root) {
            options.error(option, problem, &[]);
            break;
        }
    }
    options
        .is_right()
        .then(|| Box::new(prepared) as Box<dyn Provisioner>)
}

/// The facts of the template and Packer's own, as assignments in front of a command.
fn facts(options: &ToolOptions<'_, '_>, arguments: &Arguments<'_>, context: &Context) -> String {
    let given: Option<BTreeMap<String, String>> = arguments.optional("facter");
    let mut facts = given.unwrap_or_default();
    for name in facts.keys() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) {
            options.error(
                "facter",
                format!("{name:?} cannot be the name of a fact"),
                &["facts are handed on as variables FACTER_NAME: a name is made of letters, digits and `_`"],
            );
        }
    }
    facts.insert("packer_build_name".to_owned(), context.source_name.clone());
    facts.insert(
        "packer_builder_type".to_owned(),
        context.source_type.clone(),
    );
    let assignments = facts.iter().map(|(name, value)| {
        let value = value.replace('\'', "'\"'\"'");
        format!("FACTER_{name}='{value}'")
    });
    assignments.collect::<Vec<_>>().join(" ")
}

impl PuppetMasterless {
    /// Renders the command; after an error, with the option that is to blame.
    fn rendered(&self, is_root: bool) -> Result<String, (&'static str, String)> {
        let sudo = if self.prevent_sudo || is_root {
            ""
        } else {
            "true"
        };
        let data = self.data.clone().with("Sudo", sudo);
        let arguments = data.clone().with("ExtraArguments", "");
        let arguments = gotemplate::render(&self.extra_arguments, &arguments)
            .map_err(|error| ("extra_arguments", error.to_string()))?;
        let data = data.with("ExtraArguments", arguments);
        gotemplate::render(&self.command, &data)
            .map_err(|error| ("execute_command", error.to_string()))
    }
}

impl Provisioner for PuppetMasterless {
    fn kind(&self) -> &'static str {
        "puppet-masterless"
    }

    fn summary(&self) -> String {
        file_name(Path::new(&self.manifest))
    }

    fn key_material(&self) -> serde_json::Value {
        let staged: Vec<_> = self.staged.iter().map(Staged::key_material).collect();
        json!({
            "staging": self.staging,
            "keeps_staging": self.keeps_staging,
            "staged": staged,
            "command": self.command,
            "extra_arguments": self.extra_arguments,
            "fields": self.fields,
            "prevent_sudo": self.prevent_sudo,
            "ignore_exit_codes": self.ignore_exit_codes,
        })
    }

    fn inputs(&self) -> Vec<Input> {
        self.staged.iter().flat_map(Staged::inputs).collect()
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let folder = Some((self.staging.as_str(), self.keeps_staging));
        let mut actions = staging::stage(&self.staged, folder, scratch, start)?;
        let records = STATE_FOLDERS.iter().flat_map(|folder| {
            RECORDS_OF_RUN
                .iter()
                .map(move |name| format!("{folder}/{name}"))
        });
        let records = records.chain([PUBLIC_SUMMARY.to_owned()]);
        actions.extend(records.map(|path| Action::Temporary { path }));
        let command = self
            .rendered(staging::is_root(start))
            .map_err(|(option, problem)| ProvisionError::GoTemplate { option, problem })?;
        let accept = match self.ignore_exit_codes {
            true => staging::any_exit_code(),
            false => SUCCESSES.to_vec(),
        };
        actions.push(staging::run(command, start, accept));
        Ok(actions)
    }

    fn hint(&self, code: i32) -> Option<String> {
        let hint = match code {
            127 => {
                "puppet-masterless runs the Puppet of the image, which has none or not in its PATH: install it in an earlier step, as with `apt-get install --yes puppet-agent`, or name its folder with puppet_bin_dir, as \"/opt/puppetlabs/bin\""
            }
            1 => "Puppet could not run or compile the manifest",
            4 | 6 => "some of Puppet's resources failed",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
