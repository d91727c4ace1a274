//! The command line: arguments in, calls, an exit code out.
//!
//! One thin file per command. Arguments *as typed* are clap's types here; what they mean is
//! worked out by each command. Nothing below this module reads the environment, the clock or the
//! working directory: they are collected once, in [`surroundings`].

mod amounts;
pub mod arguments;
mod build;
pub mod cache;
pub mod completion;
pub mod console;
pub mod copy;
pub mod doctor;
mod error;
mod fmt;
mod go_flags;
mod images;
pub mod import_dockerfile;
pub mod init;
pub mod inspect;
mod interrupt;
mod isolation;
pub mod legacy;
mod listing;
mod lock_file;
mod login;
mod metadata;
mod operator;
mod output;
mod output_file;
mod plan;
pub mod plugins;
pub mod pull;
mod registries;
mod run;
mod say;
mod secret_arguments;
mod sharing;
pub mod shell;
mod show;
mod surroundings;
mod template;
mod terminal;
pub mod test;
mod test_file;
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
    match surroundings::completing_shell() {
        Some(shell) => completion::answer(&shell, arguments.collect())
            .unwrap_or_else(|error| error.report(false)),
        None => run(arguments),
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let definition = Arguments::command();
    let arguments = go_flags::normalise(arguments, &definition);
    let mut operands = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let first = operands.find(|word| !word.starts_with('-'));
    let has_command = first.is_some_and(|name| definition.find_subcommand(name).is_some());
    // Packer's way to ask, which is no command.
    if first.is_none() && arguments.iter().any(|it| it == "--autocomplete-install") {
        return completion::explain().unwrap_or_else(|error| error.report(false));
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to be told if the terminal is gone.
            let _ = error.print();
            return misused(&error, has_command);
        }
    };
    let surroundings = match Surroundings::collect(&arguments) {
        Ok(surroundings) => surroundings,
        Err(error) => return error.report(false),
    };
    let result = dispatch(&arguments.command, &surroundings);
    result.unwrap_or_else(|error: CommandError| error.report(surroundings.color))
}

/// Packer's exit codes: help and version are answers, everything else is a mistake, and one about
/// which command is meant has a code of its own.
fn misused(error: &clap::Error, has_command: bool) -> ExitCode {
    match error.kind() {
        _ if !error.use_stderr() => ExitCode::SUCCESS,
        ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if !has_command =>
        {
            ExitCode::from(127)
        }
        _ => ExitCode::from(1),
    }
}

fn dispatch(command: &Command, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    match command {
        Command::Build(build) => build::run(build, surroundings),
        Command::Plan(plan) => plan::run(plan, surroundings),
        Command::Validate(validate) => validate::run(validate, surroundings),
        Command::Inspect(inspect) => inspect::run(inspect, surroundings),
        Command::Fmt(fmt) => fmt::run(fmt, surroundings),
        Command::Console(console) => console::run(console, surroundings),
        Command::Copy(copy) => copy::run(copy, surroundings),
        Command::Init(init) => init::run(init, surroundings),
        Command::ImportDockerfile(import) => import_dockerfile::run(import, surroundings),
        Command::Pull(pull) => pull::run(pull, surroundings),
        Command::Run(run) => run::run(run, surroundings),
        Command::Shell(shell) => shell::run(shell, surroundings),
        Command::Doctor(doctor) => doctor::run(doctor, surroundings),
        Command::Test(test) => test::run(test, surroundings),
        Command::Images(images) => images::run(images, surroundings),
        Command::Show(show) => show::run(show, surroundings),
        Command::Login(arguments) => login::login(arguments, surroundings),
        Command::Logout(arguments) => login::logout(arguments, surroundings),
        Command::Cache(cache) => cache::run(cache, surroundings),
        Command::Plugins(plugins) => plugins::run(plugins, surroundings),
        Command::Completion(completion) => completion::run(completion),
        Command::Version(_) => version::run(surroundings),
        Command::Fix(_) => legacy::refuse("fix"),
        Command::Hcl2Upgrade(_) => legacy::refuse("hcl2_upgrade"),
    }
}
