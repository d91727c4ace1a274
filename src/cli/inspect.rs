//! `hardtack inspect`: what a template declares, without checking that it could be built.

use super::error::CommandError;
use super::listing;
use super::say::Say;
use super::surroundings::Surroundings;
use super::template::{self, Looked, Request};
use super::variable_arguments::VariableArguments;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// `hardtack inspect`.
#[derive(Args, Debug)]
pub struct InspectArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// Runs the command. Values that cannot be evaluated are reported and shown as unknown; only a
/// template that cannot be read is a failure.
pub fn run(
    arguments: &InspectArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let say = Say::new(surroundings);
    let request = Request::to_look_at(&arguments.path, &arguments.variables);
    let Looked {
        template,
        messages,
        masker,
        ..
    } = template::look(&request, surroundings, say.color(surroundings));
    for message in &messages {
        say.message(message, &masker)?;
    }
    let Some(template) = template else {
        return Ok(ExitCode::from(1));
    };
    say.text("Packer Inspect: HCL2 mode\n", &masker)?;
    say.text(&listing::values(&template), &masker)?;
    say.text(&listing::builds(&template), &masker)?;
    Ok(ExitCode::SUCCESS)
}
