//! `hardtack validate`: whether a template can be built, found out without a store or a sandbox.

use super::error::CommandError;
use super::say::Say;
use super::surroundings::Surroundings;
use super::template::{self, Checked, Message, Request};
use super::variable_arguments::VariableArguments;
use crate::diagnostic::Severity;
use crate::mask::Masker;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// `hardtack validate`.
#[derive(Args, Debug)]
pub struct ValidateArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,

    /// Check the syntax alone: evaluate nothing, look at no options.
    #[arg(long)]
    pub syntax_only: bool,

    /// Only the builds whose name matches one of these comma-separated globs, and those that they
    /// start from.
    #[arg(long, value_name = "GLOBS")]
    pub only: Vec<String>,

    /// Not the builds whose name matches one of these comma-separated globs, and not the
    /// post-processors of one of these names or types.
    #[arg(long, value_name = "GLOBS")]
    pub except: Vec<String>,

    /// Be silent about values in variable files for variables that are not declared.
    #[arg(long)]
    pub no_warn_undeclared_var: bool,

    /// Ask the data sources, whose values are unknown otherwise.
    #[arg(long)]
    pub evaluate_datasources: bool,

    /// Accepted for Packer's sake: plugins are not used.
    #[arg(long, hide = true)]
    pub ignore_prerelease_plugins: bool,
}

/// Runs the command.
pub fn run(
    arguments: &ValidateArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let request = Request {
        only: template::patterns(&arguments.only),
        except: template::patterns(&arguments.except),
        warn_on_undeclared: !arguments.no_warn_undeclared_var,
        evaluate_data_sources: arguments.evaluate_datasources,
        ..Request::to_look_at(&arguments.path, &arguments.variables)
    };
    let say = Say::new(surroundings);
    let color = say.color(surroundings);
    if arguments.syntax_only {
        let messages = template::check_syntax(&request, color);
        let is_right = say_messages(&say, &messages, &Masker::default())?;
        return verdict(
            &say,
            is_right,
            "Syntax-only check passed. Everything looks okay.",
        );
    }
    let Checked {
        messages, masker, ..
    } = template::check(request, surroundings, color);
    let is_right = say_messages(&say, &messages, &masker)?;
    verdict(&say, is_right, "The configuration is valid.")
}

/// Says all messages, and returns whether no error is among them.
fn say_messages(say: &Say, messages: &[Message], masker: &Masker) -> Result<bool, CommandError> {
    for message in messages {
        say.message(message, masker)?;
    }
    Ok(messages
        .iter()
        .all(|message| message.severity != Severity::Error))
}

fn verdict(say: &Say, is_right: bool, praise: &str) -> Result<ExitCode, CommandError> {
    if !is_right {
        return Ok(ExitCode::from(1));
    }
    say.text(praise, &Masker::default())?;
    Ok(ExitCode::SUCCESS)
}
