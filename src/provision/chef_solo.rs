//! The `chef-solo` provisioner: chef-solo runs inside the root.
//!
//! The options are those of Packer's plugin. Cookbooks, roles, data bags and environments are
//! staged, with a configuration (`solo.rb`) and the node's attributes (`node.json`).

use super::staging::{self, Staged};
use super::tool_options::ToolOptions;
use super::{Context, Input, ProvisionError, Provisioner, StartState};
use crate::sandbox::Action;
use crate::template::Arguments;
use crate::template::gotemplate::{self, GoTemplateData};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const DEFAULT_STAGING: &str = "/tmp/packer-chef-solo";
const DEFAULT_EXECUTE: &str =
    "{{if .Sudo}}sudo {{end}}chef-solo --no-color -c {{.ConfigPath}} -j {{.JsonPath}}";
const DEFAULT_INSTALL: &str = "curl -L https://omnitruck.chef.io/install.sh | {{if .Sudo}}sudo {{end}}bash -s --{{if .Version}} -v {{.Version}}{{end}}";
/// What the default installation says of Chef's licence.
const ACCEPTED: &str = "accept-silent";
/// What tells when and how a run went. It is of no use in an image, and differs each time.
const RECORDS_OF_RUN: [&str; 4] = [
    "/var/chef/cache",
    "/var/chef/local-mode-cache",
    "/var/chef/nodes",
    "/root/.chef/local-mode-cache",
];

/// A `chef-solo` provisioner.
#[derive(Clone, Debug)]
pub struct ChefSolo {
    staging: String,
    staged: Vec<Staged>,
    config: SoloConfig,
    /// A template for the configuration, on the host.
    config_template: Option<PathBuf>,
    node: String,
    run_list: Vec<String>,
    /// None if Chef is there already.
    install_command: Option<String>,
    execute_command: String,
    version: String,
    prevent_sudo: bool,
    go_template: GoTemplateData,
}

/// What `solo.rb` says. Empty is unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SoloConfig {
    chef_license: String,
    cookbook_paths: Vec<String>,
    roles_path: String,
    data_bags_path: String,
    secret_path: String,
    environments_path: String,
    chef_environment: String,
}

/// Decodes the options of a `chef-solo` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let options = ToolOptions::new(arguments, context);
    let staging = options.remote_folder("staging_directory", DEFAULT_STAGING);
    let config_template = options.file("config_template");
    let cookbooks = options.folders("cookbook_paths");
    let skip_install = options.flag("skip_install");
    let install_command = options.template("install_command");
    let mut config = SoloConfig {
        chef_license: options.text("chef_license").unwrap_or_default(),
        cookbook_paths: options.list("remote_cookbook_paths"),
        chef_environment: options.text("chef_environment").unwrap_or_default(),
        ..SoloConfig::default()
    };
    if config.chef_license.is_empty() && !skip_install && install_command.is_none() {
        ACCEPTED.clone_into(&mut config.chef_license);
    }
    options.guest_system();

    let prefix = format!("{staging}/cookbooks-");
    let mut staged = Staged::folders_by_number("cookbook_paths", cookbooks, &prefix);
    let paths = staged.iter().map(|one| one.target().to_owned());
    config.cookbook_paths.extend(paths);
    for (option, name, field) in [
        ("roles_path", "roles", &mut config.roles_path),
        ("data_bags_path", "data_bags", &mut config.data_bags_path),
        (
            "environments_path",
            "environments",
            &mut config.environments_path,
        ),
    ] {
        if let Some(folder) = options.folder(option) {
            *field = format!("{staging}/{name}");
            staged.push(Staged::folder(option, folder, field.clone()));
        }
    }
    let option = "encrypted_data_bag_secret_path";
    if let Some(file) = options.file(option) {
        config.secret_path = format!("{staging}/encrypted_data_bag_secret");
        staged.push(Staged::file(option, file, config.secret_path.clone()));
    }
    if !config.chef_environment.is_empty()
        && config.environments_path.is_empty()
        && config_template.is_none()
    {
        options.warn(
            "chef_environment",
            "chef_environment has no effect without environments_path",
            &["name the folder of environments with environments_path"],
        );
    }
    let run_list = options.list("run_list");
    let node = node(&options, &run_list);
    let prepared = ChefSolo {
        staging,
        staged,
        config,
        config_template,
        node,
        run_list,
        install_command: (!skip_install)
            .then(|| install_command.unwrap_or_else(|| DEFAULT_INSTALL.to_owned())),
        execute_command: options
            .template("execute_command")
            .unwrap_or_else(|| DEFAULT_EXECUTE.to_owned()),
        version: options.text("version").unwrap_or_default(),
        prevent_sudo: options.flag("prevent_sudo"),
        go_template: context.go_template.clone(),
    };
    let rendered = [
        ("install_command", prepared.install(false).map(|_| ())),
        ("execute_command", prepared.execute(false).map(|_| ())),
        ("config_template", prepared.solo_rb().map(|_| ())),
    ];
    for (option, result) in rendered {
        match result {
            Ok(()) => {}
            Err(ProvisionError::GoTemplate { problem, .. }) => options.error(option, problem, &[]),
            Err(error) => options.error(option, error.to_string(), &[]),
        }
    }
    options
        .is_right()
        .then(|| Box::new(prepared) as Box<dyn Provisioner>)
}

/// The text of `node.json`: the attributes, with the run list if there is one.
fn node(options: &ToolOptions<'_, '_>, run_list: &[String]) -> String {
    const OPTION: &str = "json_string";
    if options.refuses("json") {
        let help = "write `json_string = jsonencode({ … })`";
        options.error(
            "json",
            "json is for templates of Packer's first language",
            &[help],
        );
    }
    let text = options.text(OPTION);
    let parsed = serde_json::from_str(text.as_deref().unwrap_or("{}"));
    let mut attributes: serde_json::Map<String, serde_json::Value> = match parsed {
        Ok(attributes) => attributes,
        Err(error) => {
            let problem = format!("json_string is not an object in JSON: {error}");
            options.error(OPTION, problem, &["`jsonencode({ … })` makes one"]);
            return String::new();
        }
    };
    if !run_list.is_empty() {
        attributes.insert("run_list".to_owned(), json!(run_list));
    }
    format!("{:#}", serde_json::Value::Object(attributes))
}

impl SoloConfig {
    /// The default configuration.
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut set = |name: &str, value: &str| {
            if !value.is_empty() {
                lines.push(format!("{name} \"{value}\"\n"));
            }
        };
        set("chef_license", &self.chef_license);
        set("role_path", &self.roles_path);
        set("data_bag_path", &self.data_bags_path);
        set("encrypted_data_bag_secret", &self.secret_path);
        if !self.environments_path.is_empty() {
            set("environment_path", &self.environments_path);
            set("environment", &self.chef_environment);
        }
        lines.insert(
            0,
            format!("cookbook_path [{}]\n", self.quoted_cookbook_paths()),
        );
        lines.concat()
    }

    /// Ready for an array in Ruby.
    fn quoted_cookbook_paths(&self) -> String {
        let paths = self.cookbook_paths.iter().map(|path| format!("\"{path}\""));
        paths.collect::<Vec<_>>().join(",")
    }

    /// What a template of the configuration can name.
    fn data(&self, go_template: &GoTemplateData) -> GoTemplateData {
        let has = |path: &str| if path.is_empty() { "" } else { "true" };
        let mut data = go_template.clone();
        for (name, value) in [
            ("ChefEnvironment", self.chef_environment.as_str()),
            ("ChefLicense", &self.chef_license),
            ("CookbookPaths", &self.quoted_cookbook_paths()),
            ("DataBagsPath", &self.data_bags_path),
            ("EncryptedDataBagSecretPath", &self.secret_path),
            ("EnvironmentsPath", &self.environments_path),
            ("RolesPath", &self.roles_path),
            ("HasDataBagsPath", has(&self.data_bags_path)),
            ("HasEncryptedDataBagSecretPath", has(&self.secret_path)),
            ("HasEnvironmentsPath", has(&self.environments_path)),
            ("HasRolesPath", has(&self.roles_path)),
        ] {
            data = data.with(name, value);
        }
        data
    }
}

impl ChefSolo {
    fn config_path(&self) -> String {
        format!("{}/solo.rb", self.staging)
    }

    fn json_path(&self) -> String {
        format!("{}/node.json", self.staging)
    }

    fn sudo(&self, is_root: bool) -> &'static str {
        if self.prevent_sudo || is_root {
            ""
        } else {
            "true"
        }
    }

    /// The command line that installs Chef, if it is to be installed.
    fn install(&self, is_root: bool) -> Result<Option<String>, ProvisionError> {
        let Some(command) = &self.install_command else {
            return Ok(None);
        };
        let data = self
            .go_template
            .clone()
            .with("Sudo", self.sudo(is_root))
            .with("Version", &self.version);
        rendered("install_command", command, &data).map(Some)
    }

    /// The command line that runs Chef.
    fn execute(&self, is_root: bool) -> Result<String, ProvisionError> {
        let data = self
            .go_template
            .clone()
            .with("Sudo", self.sudo(is_root))
            .with("ConfigPath", self.config_path())
            .with("JsonPath", self.json_path());
        rendered("execute_command", &self.execute_command, &data)
    }

    /// The text of the configuration.
    fn solo_rb(&self) -> Result<String, ProvisionError> {
        let Some(path) = &self.config_template else {
            return Ok(self.config.text());
        };
        let template = fs::read_to_string(path).map_err(ProvisionError::read(path))?;
        rendered(
            "config_template",
            &template,
            &self.config.data(&self.go_template),
        )
    }
}

fn rendered(
    option: &'static str,
    template: &str,
    data: &GoTemplateData,
) -> Result<String, ProvisionError> {
    gotemplate::render(template, data).map_err(|error| ProvisionError::GoTemplate {
        option,
        problem: error.to_string(),
    })
}

impl Provisioner for ChefSolo {
    fn kind(&self) -> &'static str {
        "chef-solo"
    }

    fn summary(&self) -> String {
        self.run_list.join(", ")
    }

    fn key_material(&self) -> serde_json::Value {
        let staged: Vec<_> = self.staged.iter().map(Staged::key_material).collect();
        json!({
            "staging": self.staging,
            "staged": staged,
            // A template's own text is an input, but what it can name is not.
            "config": self.config.text(),
            "chef_environment": self.config.chef_environment,
            "has_template": self.config_template.is_some(),
            "node": self.node,
            "install_command": self.install_command,
            "execute_command": self.execute_command,
            "version": self.version,
            "prevent_sudo": self.prevent_sudo,
        })
    }

    fn inputs(&self) -> Vec<Input> {
        let template = self.config_template.iter().map(|path| Input {
            label: "config_template".to_owned(),
            path: path.clone(),
            is_generated: false,
        });
        let staged = self.staged.iter().flat_map(Staged::inputs);
        staged.chain(template).collect()
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let is_root = staging::is_root(start);
        let records = RECORDS_OF_RUN.map(|path| Action::Temporary {
            path: path.to_owned(),
        });
        let mut actions = records.to_vec();
        if let Some(command) = self.install(is_root)? {
            actions.push(staging::run(command, start, vec![0]));
        }
        let mut staged = self.staged.clone();
        staged.push(Staged::text("solo.rb", self.solo_rb()?, self.config_path()));
        staged.push(Staged::text(
            "node.json",
            self.node.clone(),
            self.json_path(),
        ));
        let folder = Some((self.staging.as_str(), false));
        actions.extend(staging::stage(&staged, folder, scratch, start)?);
        actions.push(staging::run(self.execute(is_root)?, start, vec![0]));
        Ok(actions)
    }

    fn hint(&self, code: i32) -> Option<String> {
        let hint = match (code, &self.install_command) {
            (127, None) => {
                "chef-solo runs the Chef of the image, which has none or not in its PATH: install it in an earlier step, or leave skip_install out"
            }
            (127, Some(_)) => {
                "Chef's install script needs curl and bash in the image, and the network; to install Chef in an earlier step instead, set `skip_install = true`"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
