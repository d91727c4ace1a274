//! Options: how a template says who asks a registry, in Packer's `docker` source and `docker-push`.

use super::{Credentials, reference};
use crate::template::Arguments;
use std::fmt;

/// Packer's options that name keys for Amazon's registry.
const AWS: [&str; 5] = [
    "aws_access_key",
    "aws_secret_key",
    "aws_token",
    "aws_profile",
    "aws_force_use_public_ecr",
];

/// Who asks a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry that it is for.
    pub registry: String,
    user: String,
    password: String,
}

impl Login {
    /// What is shown to the registry.
    pub fn credentials(&self) -> Credentials {
        let (user, password) = (self.user.clone(), self.password.clone());
        Credentials::Password { user, password }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password must not reach a log.
        write!(formatter, "Login({}@{})", self.user, self.registry)
    }
}

/// The options are wrong, and that has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported;

/// Decodes `login`, `login_username`, `login_password` and `login_server`; none where nobody logs in.
/// Those for Amazon's registry are warned of.
pub fn login(arguments: &Arguments<'_>) -> Result<Option<Login>, Reported> {
    warn_of_amazon(arguments);
    let wants_login = arguments.optional("login").unwrap_or(false);
    let user: Option<String> = arguments.optional("login_username");
    let password: Option<String> = arguments.optional("login_password");
    let server: Option<String> = arguments.optional("login_server");
    match (wants_login, user, password) {
        (false, ..) => Ok(None),
        (true, Some(user), Some(password)) if !user.is_empty() => Ok(Some(Login {
            registry: registry_of(server.as_deref().unwrap_or_default()),
            user,
            password,
        })),
        (true, ..) => {
            if !arguments.any_failed(&["login_username", "login_password"]) {
                arguments.error(
                    arguments.span("login"),
                    "`login` needs `login_username` and `login_password`",
                    &["without `login` the credentials of `hardtack login` are used"],
                );
            }
            Err(Reported)
        }
    }
}

/// Says that nobody is logged in at Amazon's registry here: its credential helper does it.
fn warn_of_amazon(arguments: &Arguments<'_>) {
    let help = "configure Amazon's credential helper in ~/.docker/config.json (\"credHelpers\": {\"ACCOUNT.dkr.ecr.REGION.amazonaws.com\": \"ecr-login\"}), or set login_username = \"AWS\" and the password that `aws ecr get-login-password` prints";
    if arguments.optional("ecr_login").unwrap_or(false) {
        let text = "`ecr_login` has no effect: the credentials are those of the credential helper";
        arguments.warning(arguments.span("ecr_login"), text, &[help]);
    }
    for name in AWS {
        let given = match name {
            "aws_force_use_public_ecr" => arguments.optional::<bool>(name) == Some(true),
            _ => arguments.optional::<String>(name).is_some(),
        };
        if given {
            let text = format!("`{name}` has no effect: nobody is logged in at Amazon's registry");
            arguments.warning(arguments.span(name), text, &[help]);
        }
    }
}

/// The registry of a server as `docker login` takes it: `https://index.docker.io/v1/`, or a host.
fn registry_of(server: &str) -> String {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    match host.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => reference::DOCKER.to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_written_in_many_ways() {
        for (server, expected) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry.example:5000", "registry.example:5000"),
            ("http://registry.example/", "registry.example"),
            ("registry.example/team", "registry.example"),
        ] {
            assert_eq!(registry_of(server), expected, "{server}");
        }
    }
}
