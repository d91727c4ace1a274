//! `hardtack plugins`: what is built in, in the place of plugins.

use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use super::template::{self, Request};
use super::variable_arguments::VariableArguments;
use crate::plan::Group;
use crate::template::{RequiredPlugin, go_quoted};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// `hardtack plugins`.
#[derive(Args, Debug)]
pub struct PluginsArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: PluginsCommand,
}

/// The commands about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// List the components that are built in.
    Installed,
    /// List the plugins that a template asks for.
    Required(RequiredArguments),
    /// Refused: plugins cannot be added.
    #[command(hide = true)]
    Install(PluginArguments),
    /// Refused: plugins cannot be added.
    #[command(hide = true)]
    Remove(PluginArguments),
}

/// `hardtack plugins required`.
#[derive(Args, Debug)]
pub struct RequiredArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// Which plugin, in Packer's words.
#[derive(Args, Debug)]
pub struct PluginArguments {
    /// What Packer's command would get.
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub arguments: Vec<String>,
}

/// Runs the command.
pub fn run(
    arguments: &PluginsArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    match &arguments.command {
        PluginsCommand::Installed => {
            output::print(&installed())?;
            Ok(ExitCode::SUCCESS)
        }
        PluginsCommand::Required(required) => list_required(required, surroundings),
        PluginsCommand::Install(_) => refuse("added"),
        PluginsCommand::Remove(_) => refuse("removed"),
    }
}

fn installed() -> String {
    let groups = [Group::Source, Group::Provisioner, Group::PostProcessor];
    let lines = groups.into_iter().flat_map(|group| {
        let kinds = group.built_in().into_iter();
        kinds.map(move |kind| format!("{group} {kind}\n"))
    });
    lines.collect()
}

fn list_required(
    arguments: &RequiredArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let request = Request::to_look_at(&arguments.path, &arguments.variables);
    let looked = template::look(&request, surroundings, surroundings.color);
    let Some(template) = looked.template else {
        template::print_messages(&looked.messages);
        return Err(CommandError::reported());
    };
    let line = |plugin: &RequiredPlugin| {
        let version = go_quoted(&plugin.version);
        format!("{} {} {version}\n", plugin.name, plugin.source)
    };
    let text: String = template.required_plugins().iter().map(line).collect();
    output::print(&looked.masker.mask_neutral(&text))?;
    Ok(ExitCode::SUCCESS)
}

fn refuse(what: &str) -> Result<ExitCode, CommandError> {
    let error = anyhow!("plugins cannot be {what}: all components are built into hardtack");
    Err(CommandError::user(error).hint(
        "`hardtack plugins installed` lists them, `hardtack init PATH` says what a template lacks",
    ))
}
