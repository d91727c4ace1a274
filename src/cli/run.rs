//! `hardtack run`: tries an image in the sandbox, on a throw-away layer.

use super::arguments::{NetworkArgument, Run};
use super::build::open_store;
use super::error::CommandError;
use super::show;
use super::surroundings::Surroundings;
use crate::build;
use crate::sandbox::{Network, RunSpec};
use anyhow::anyhow;
use std::process::ExitCode;

/// Runs the command; the exit code is the command's own, as Docker has it: 125 for a failure of
/// hardtack, 126 and 127 for a command that cannot be executed or found, 128 and more for signals.
pub fn run(arguments: &Run, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    let image = show::find(&store, &arguments.image)?;
    let config = image.config();

    let mut argv: Vec<String> = config.entrypoint().unwrap_or_default().to_vec();
    if arguments.command.is_empty() {
        argv.extend(config.cmd().unwrap_or_default().iter().cloned());
    } else {
        argv.extend(arguments.command.iter().cloned());
    }
    if argv.is_empty() {
        return Err(CommandError::user(anyhow!("the image says no command to run"))
            .hint("name one: hardtack run IMAGE -- COMMAND"));
    }
    let mut env = config.environment();
    for pair in &arguments.env {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CommandError::user(anyhow!("--env takes NAME=VALUE, not {pair:?}")));
        };
        env.retain(|(existing, _)| existing != name);
        env.push((name.to_owned(), value.to_owned()));
    }
    let environment =
        super::plan::environment(surroundings, store, false, crate::ui::silent());
    let code = build::run_image(&environment, &image, |lowers, scratch| RunSpec {
        lowers,
        scratch,
        argv,
        env,
        user: arguments.user.clone().unwrap_or_else(|| config.user().to_owned()),
        workdir: arguments.workdir.clone().unwrap_or_else(|| config.workdir().to_owned()),
        network: match arguments.network {
            NetworkArgument::Host => Network::Host,
            NetworkArgument::None => Network::None,
        },
    })
    .map_err(CommandError::user)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
