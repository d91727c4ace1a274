//! `hardtack login` and `hardtack logout`: the credentials of a registry.

use super::error::CommandError;
use super::operator::read_line;
use super::registries::canonical;
use super::say::Say;
use super::surroundings::Surroundings;
use super::terminal::{self, Asked};
use crate::mask::Masker;
use crate::registry::{Client, Credentials, RegistryError, credentials, is_registry};
use crate::sandbox::Cancel;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

/// Docker's own registry, which is meant without a name.
const DEFAULT: &str = "docker.io";
/// More than any password or token has.
const PASSWORD_LIMIT: u64 = 64 * 1024;

/// `hardtack login`.
#[derive(Args, Debug)]
pub struct LoginArguments {
    /// The registry's host, with a port if it has one.
    #[arg(value_name = "REGISTRY", default_value = DEFAULT)]
    pub registry: String,

    /// The name; asked for on the terminal if it is not given.
    #[arg(long, short, value_name = "USER")]
    pub username: Option<String>,

    /// Read the password from standard input instead of asking on the terminal.
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
}

/// `hardtack logout`.
#[derive(Args, Debug)]
pub struct LogoutArguments {
    /// The registry's host, with a port if it has one.
    #[arg(value_name = "REGISTRY", default_value = DEFAULT)]
    pub registry: String,
}

/// Asks for credentials, tries them out and keeps them.
pub fn login(
    arguments: &LoginArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let registry = registry(&arguments.registry)?;
    let cancel = Cancel::default();
    let user = match &arguments.username {
        Some(user) => user.clone(),
        None => ask_user(&registry, &cancel)?,
    };
    // A colon separates name and password in a header.
    let is_odd = |character: char| character == ':' || character.is_control();
    if user.is_empty() || user.contains(is_odd) {
        return Err(CommandError::user(anyhow!(
            "{user:?} is no name of a user: it is empty, or has a colon or a control character"
        )));
    }
    let password = match arguments.password_stdin {
        true => password_of_input()?,
        false => ask_password()?,
    };
    if password.is_empty() {
        return Err(CommandError::user(anyhow!("the password is empty")));
    }
    let credentials = Credentials::Password {
        user: user.clone(),
        password,
    };
    let settings = surroundings.registry_settings(&cancel);
    Client::new(settings.clone())
        .check_login(&registry, Some(&credentials))
        .map_err(refused)?;
    let place =
        credentials::keep(&settings, &registry, &credentials).map_err(CommandError::host)?;
    Say::new(surroundings).text(
        &format!("logged in to {registry} as {user}; the credentials are kept in {place}"),
        &Masker::default(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// An error of a login, without the advice to log in.
fn refused(error: RegistryError) -> CommandError {
    match error {
        RegistryError::Unauthorized {
            registry, reason, ..
        } => CommandError::user(anyhow!("{registry} {reason}")),
        error => CommandError::user(error),
    }
}

/// Removes credentials from wherever they are kept.
pub fn logout(
    arguments: &LogoutArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let registry = registry(&arguments.registry)?;
    let settings = surroundings.registry_settings(&Cancel::default());
    let places = credentials::forget(&settings, &registry).map_err(CommandError::host)?;
    let text = match places.is_empty() {
        true => format!("there were no credentials of {registry}"),
        false => format!(
            "removed the credentials of {registry} from {}",
            places.join(" and ")
        ),
    };
    Say::new(surroundings).text(&text, &Masker::default())?;
    Ok(ExitCode::SUCCESS)
}

/// The host that is meant, which people also write as an address.
fn registry(text: &str) -> Result<String, CommandError> {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    let host = host.trim_end_matches('/');
    let host = host
        .strip_suffix("/v1")
        .or_else(|| host.strip_suffix("/v2"))
        .unwrap_or(host);
    if !is_registry(host) {
        return Err(CommandError::user(anyhow!(
            "{host:?} is no registry: a host is wanted, such as registry.example:5000"
        )));
    }
    Ok(canonical(host))
}

fn ask_user(registry: &str, cancel: &Cancel) -> Result<String, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(
            CommandError::user(anyhow!("there is no terminal to ask for a name")).hint(
                "name the user with --username, and hand in the password with --password-stdin",
            ),
        );
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "user of {registry}: ")
        .and_then(|()| stderr.flush())
        .context("cannot write to the terminal")?;
    read_line(cancel)
        .map(|line| line.trim().to_owned())
        .ok_or_else(|| CommandError::user(anyhow!("no user was named")))
}

fn ask_password() -> Result<String, CommandError> {
    match terminal::ask_secret("password: ") {
        Asked::Answer(password) => Ok(password),
        Asked::Nobody => Err(CommandError::user(anyhow!(
            "there is no terminal to ask for a password"
        ))
        .hint("hand it in on standard input with --password-stdin")),
        Asked::Refused => Err(CommandError::user(anyhow!("no password was given"))),
    }
}

fn password_of_input() -> Result<String, CommandError> {
    let mut password = String::new();
    std::io::stdin()
        .take(PASSWORD_LIMIT)
        .read_to_string(&mut password)
        .context("cannot read the password from standard input")?;
    // The line feed is that of whoever wrote it.
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host() {
        for (text, expected) in [
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("http://localhost:5000", "localhost:5000"),
            ("r.example:5000/v2/", "r.example:5000"),
        ] {
            assert_eq!(registry(text).unwrap(), expected);
        }
        for text in ["", "r.example/team", "a b", "https://", "r.example:x"] {
            assert!(registry(text).is_err(), "{text}");
        }
    }
}
