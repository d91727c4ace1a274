//! The command line: arguments in, calls, an exit code out.
//!
//! One thin file per command. Arguments *as typed* are clap's types here; what they mean is
//! worked out by each command. Nothing below this module reads the environment, the clock or the
//! working directory: they are collected once, in [`surroundings`].

pub mod arguments;
mod build;
pub mod console;
mod error;
mod go_flags;
mod images;
pub mod init;
pub mod inspect;
pub mod legacy;
mod listing;
mod metadata;
mod output;
mod plan;
pub mod plugins;
mod run;
mod say;
mod show;
mod surroundings;
mod template;
pub mod validate;
mod variable_arguments;
pub mod version;

use arguments::{Arguments, Command};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use error::CommandError;
use std::ffi::OsString;
use std::process::ExitCode;
use surroundings::Surroundings;

/// Runs the command that `arguments`, the program's name first, ask for.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let definition = Arguments::command();
    let arguments = go_flags::normalise(arguments, &definition);
    let named = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let has_command = named
        .into_iter()
        .any(|word| definition.find_subcommand(word).is_some());
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, everything else is a mistake: Packer's exit codes.
            let _ = error.print();
            return match error.kind() {
                _ if !error.use_stderr() => ExitCode::SUCCESS,
                ErrorKind::InvalidSubcommand
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    if !has_command =>
                {
                    ExitCode::from(127)
                }
                _ => ExitCode::from(1),
            };
        }
    };
    let surroundings = match Surroundings::collect(&arguments) {
        Ok(surroundings) => surroundings,
        Err(error) => return error.report(false),
    };
    let result = match &arguments.command {
        Command::Build(build) => build::run(build, &surroundings),
        Command::Plan(plan) => plan::run(plan, &surroundings),
        Command::Validate(validate) => validate::run(validate, &surroundings),
        Command::Version(_) => version::run(&surroundings),
        Command::Inspect(inspect) => inspect::run(inspect, &surroundings),
        Command::Console(console) => console::run(console, &surroundings),
        Command::Init(init) => init::run(init, &surroundings),
        Command::Plugins(plugins) => plugins::run(plugins, &surroundings),
        Command::Fix(_) => legacy::refuse("fix"),
        Command::Hcl2Upgrade(_) => legacy::refuse("hcl2_upgrade"),
        Command::Run(run) => run::run(run, &surroundings),
        Command::Images(images) => images::run(images, &surroundings),
        Command::Show(show) => show::run(show, &surroundings),
    };
    result.unwrap_or_else(|error: CommandError| error.report(surroundings.color))
}
