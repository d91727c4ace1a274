//! `hardtack run`: tries an image in the sandbox, on a throw-away layer.

use super::arguments::Run;
use super::build::open_store;
use super::error::CommandError;
use super::show;
use super::surroundings::Surroundings;
use crate::build;
use crate::sandbox::{LazySandbox, RootCommand, attach};
use anyhow::anyhow;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit code for a failure of hardtack itself, as Docker has it.
const OWN_FAILURE: u8 = 125;

/// Runs the command; the exit code is the command's own, as Docker has it: 125 for a failure of
/// hardtack, 126 and 127 for a command that cannot be executed or found, 128 and more for signals.
pub fn run(arguments: &Run, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    let image = show::find(&store, &arguments.image)?;
    let config = &image.config.config;

    let mut argv = config.entrypoint.clone().unwrap_or_default();
    if arguments.command.is_empty() {
        argv.extend(config.cmd.iter().flatten().cloned());
    } else {
        argv.extend(arguments.command.iter().cloned());
    }
    if argv.is_empty() {
        return Err(
            CommandError::user(anyhow!("the image says no command to run"))
                .hint("name one: hardtack run IMAGE -- COMMAND"),
        );
    }
    let mut env = build::environment_of(config);
    for pair in &arguments.env {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CommandError::user(anyhow!(
                "--env takes NAME=VALUE, not {pair:?}"
            )));
        };
        env.retain(|(existing, _)| existing != name);
        env.push((name.to_owned(), value.to_owned()));
    }
    let user = arguments
        .user
        .clone()
        .or(config.user.clone())
        .unwrap_or_default();
    let workdir = arguments
        .workdir
        .clone()
        .or(config.working_dir.clone())
        .unwrap_or_default();
    let network = arguments.network.network();
    let mut environment = surroundings.build_environment(store.clone(), crate::ui::silent());
    environment.sandbox =
        LazySandbox::for_steps(surroundings.sandbox_settings(), store, Arc::new(warn));
    let command = RootCommand {
        argv,
        env,
        user,
        workdir,
    };
    let visit = |root: &_| attach::run(root, &command, &environment.cancel);
    let code = build::open_image(&environment, &image, network, visit)
        .map_err(|error| CommandError::own(error, OWN_FAILURE))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(OWN_FAILURE)))
}

/// The command has both standard streams; this comes before it has any.
fn warn(text: String) {
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}
