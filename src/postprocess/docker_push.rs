//! The `docker-push` post-processor: pushes the names that `docker-tag` gave an image.
//!
//! Credentials are those of `docker login`, `podman login` or `hardtack login`, or the block's own.

use super::progress::Meter;
use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::provision::Said;
use crate::registry::{Client, Credentials, Reference, push};
use crate::store::Platform;
use crate::template::Arguments;
use std::collections::BTreeMap;

/// Packer's options that name keys for Amazon's registry.
const AWS: [&str; 5] = [
    "aws_access_key",
    "aws_secret_key",
    "aws_token",
    "aws_profile",
    "aws_force_use_public_ecr",
];

/// A `docker-push` post-processor.
#[derive(Debug)]
struct DockerPush {
    login: Option<Login>,
    platform: Option<Platform>,
}

/// Who pushes.
struct Login {
    /// The registry that it is for.
    server: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password must not reach a log.
        write!(formatter, "Login({}@{})", self.user, self.server)
    }
}

/// Decodes the options of a `docker-push` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    // There is no other program to call.
    let _: Option<String> = arguments.optional("docker_path");
    let platform: Option<String> = arguments.optional("platform");
    warn_of_amazon(arguments);
    let wants_login = arguments.optional("login").unwrap_or(false);
    let user: Option<String> = arguments.optional("login_username");
    let password: Option<String> = arguments.optional("login_password");
    let server: Option<String> = arguments.optional("login_server");
    let mut valid = true;
    let login = match (wants_login, user, password) {
        (false, ..) => None,
        (true, Some(user), Some(password)) if !user.is_empty() => Some(Login {
            server: registry_of(server.as_deref().unwrap_or_default()),
            user,
            password,
        }),
        (true, ..) => {
            if !arguments.any_failed(&["login_username", "login_password"]) {
                arguments.error(
                    arguments.span("login"),
                    "`login` needs `login_username` and `login_password`",
                    &["without `login` the credentials of `hardtack login` are used"],
                );
            }
            valid = false;
            None
        }
    };
    let platform = match platform.map(|text| text.parse::<Platform>()).transpose() {
        Ok(platform) => platform,
        Err(error) => {
            arguments.error(arguments.span("platform"), error.to_string(), &[]);
            valid = false;
            None
        }
    };
    valid.then(|| Box::new(DockerPush { login, platform }) as Box<dyn PostProcessor>)
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
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

impl PostProcessor for DockerPush {
    fn kind(&self) -> &'static str {
        "docker-push"
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn needs_names(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let image = context.image_of(input)?;
        let platform = image.config.platform();
        if let Some(wanted) = self.platform.as_ref().filter(|it| **it != platform) {
            return Err(PostProcessError::Platform {
                wanted: wanted.to_string(),
                found: platform.to_string(),
            });
        }
        // Several tags of one repository are one push.
        let mut tags = BTreeMap::<_, Vec<String>>::new();
        let mut names = Vec::new();
        for name in &input.names {
            let name: Reference = name.parse()?;
            let of_repository = tags.entry(name.repository.clone()).or_default();
            of_repository.extend(name.tag.clone());
            let digest = Some(image.manifest.digest);
            names.push(Reference { digest, ..name }.to_string());
        }
        if names.is_empty() {
            return Err(PostProcessError::NoNames);
        }
        for (repository, tags) in &tags {
            let meter = Meter::new(context.say, "sent");
            let progress = |bytes| meter.add(bytes);
            let store = context.store;
            let client = self.client(context.registries, &repository.registry);
            let moved = push::image(&client, store, &image, repository, tags, &progress)?;
            (context.say)(Said::Note(&format!("{repository}: {moved}")));
        }
        Ok(Artifact {
            kind: self.kind(),
            digest: Some(image.manifest.digest),
            value: names.join(","),
            files: Vec::new(),
            names: input.names.clone(),
        })
    }
}

impl DockerPush {
    /// The client for a registry; the block's credentials are shown to no other one than theirs.
    fn client(&self, client: &Client, registry: &str) -> Client {
        match self.login.as_ref().filter(|login| login.server == registry) {
            None => client.clone(),
            Some(login) => {
                let (user, password) = (login.user.clone(), login.password.clone());
                client.with_login(registry, Credentials::Password { user, password })
            }
        }
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
