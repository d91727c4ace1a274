//! The command line: arguments in, calls, an exit code out.
//!
//! One thin file per command. Arguments *as typed* are clap's types here; what they mean is
//! worked out by each command. Nothing below this module reads the environment, the clock or the
//! working directory: they are collected once, in [`surroundings`].

pub mod arguments;
mod build;
mod error;
mod images;
mod metadata;
mod operator;
mod output;
mod plan;
mod run;
mod show;
mod surroundings;
mod template;

use arguments::{Arguments, Command};
use clap::Parser;
use error::CommandError;
use std::ffi::OsString;
use std::process::ExitCode;
use surroundings::Surroundings;

/// Runs the command that `arguments`, the program's name first, ask for.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments::double_dashes(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, everything else is a mistake: Packer's exit codes.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(1)
            } else {
                ExitCode::SUCCESS
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
        Command::Run(run) => run::run(run, &surroundings),
        Command::Images(images) => images::run(images, &surroundings),
        Command::Show(show) => show::run(show, &surroundings),
    };
    result.unwrap_or_else(|error: CommandError| error.report(surroundings.color))
}
