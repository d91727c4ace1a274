//! Flags about registries, which every command takes, and the settings that they make.

use super::error::CommandError;
use crate::registry::is_registry;
use anyhow::anyhow;
use clap::Args;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds in which something must move, unless the user says otherwise.
const DEFAULT_TIMEOUT: u64 = 120;

/// How registries are reached, as typed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Registries")]
pub struct RegistryArguments {
    /// Speak to this registry without encryption, or with a certificate that nobody vouches for.
    /// May be repeated.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "HOST[:PORT]",
        env = "HARDTACK_INSECURE_REGISTRIES",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub insecure_registry: Vec<String>,

    /// Read what HOST has from this address first. May be repeated.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "HOST=URL",
        env = "HARDTACK_REGISTRY_MIRRORS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub registry_mirror: Vec<String>,

    /// Trust the certificate authorities in this file (PEM), beside the system's. May be repeated.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        env = "HARDTACK_REGISTRY_CA",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub registry_ca: Vec<PathBuf>,

    /// Give up on a registry when nothing has moved for this long.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "SECONDS",
        env = "HARDTACK_REGISTRY_TIMEOUT",
        hide_env_values = true,
        default_value_t = DEFAULT_TIMEOUT,
        value_parser = seconds
    )]
    pub registry_timeout: u64,
}

/// Reads a time limit; a variable that is empty says nothing.
fn seconds(text: &str) -> Result<u64, String> {
    match text {
        "" => Ok(DEFAULT_TIMEOUT),
        text => text
            .parse()
            .ok()
            .filter(|seconds| (1..=86_400).contains(seconds))
            .ok_or_else(|| "it is a number of seconds, up to a day".to_owned()),
    }
}

/// The same, checked and read.
#[derive(Debug, Default)]
pub struct RegistryChoices {
    /// Hosts that may be spoken to without encryption or trust.
    pub insecure: Vec<String>,
    /// Addresses to ask first, by host.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Certificate authorities, in PEM.
    pub authorities: Vec<u8>,
    /// How long nothing may move.
    pub budget: Duration,
}

impl Default for RegistryArguments {
    fn default() -> Self {
        Self {
            insecure_registry: Vec::new(),
            registry_mirror: Vec::new(),
            registry_ca: Vec::new(),
            registry_timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl RegistryArguments {
    /// Checks what was typed and reads the files; relative ones are below `working_folder`.
    pub fn choices(&self, working_folder: &Path) -> Result<RegistryChoices, CommandError> {
        let mut choices = RegistryChoices {
            budget: Duration::from_secs(self.registry_timeout),
            ..RegistryChoices::default()
        };
        // A variable that is empty says nothing.
        for host in self.insecure_registry.iter().filter(|it| !it.is_empty()) {
            if !is_registry(host) {
                return Err(CommandError::user(anyhow!(
                    "--insecure-registry takes a host such as registry.example:5000, not {host:?}"
                )));
            }
            choices.insecure.push(host.clone());
        }
        for pair in self.registry_mirror.iter().filter(|it| !it.is_empty()) {
            let parts = pair.split_once('=');
            let parts = parts.filter(|(host, address)| is_registry(host) && !address.is_empty());
            let Some((host, address)) = parts else {
                // An address may have a password, which has no place here.
                let shown = pair.rsplit('@').next().unwrap_or_default();
                return Err(CommandError::user(anyhow!(
                    "--registry-mirror takes HOST=URL such as docker.io=https://mirror.example, not {shown:?}"
                )));
            };
            let addresses = choices.mirrors.entry(canonical(host)).or_default();
            addresses.push(address.to_owned());
        }
        for path in &self.registry_ca {
            if path.as_os_str().is_empty() {
                continue;
            }
            let text = fs::read(working_folder.join(path)).map_err(|error| {
                CommandError::user(
                    anyhow::Error::new(error)
                        .context(format!("cannot read --registry-ca {}", path.display())),
                )
            })?;
            choices.authorities.extend(text);
            choices.authorities.push(b'\n');
        }
        Ok(choices)
    }
}

/// The one name of a registry that has several.
pub fn canonical(host: &str) -> String {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), "one").unwrap();
        let of = |insecure: &[&str], mirrors: &[&str], authorities: &[&str]| {
            let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
            RegistryArguments {
                insecure_registry: strings(insecure),
                registry_mirror: strings(mirrors),
                registry_ca: authorities.iter().map(PathBuf::from).collect(),
                ..RegistryArguments::default()
            }
            .choices(folder.path())
        };
        let choices = of(
            &["a.example:5000", ""],
            &[
                "index.docker.io=https://m.example/a=b",
                "docker.io=other",
                "",
            ],
            &["ca.pem", ""],
        )
        .unwrap();
        assert_eq!(choices.insecure, ["a.example:5000"]);
        assert_eq!(
            choices.mirrors["docker.io"],
            ["https://m.example/a=b", "other"]
        );
        assert_eq!(choices.authorities, b"one\n");
        for (wrong, expected) in [
            (of(&["http://a"], &[], &[]), "not \"http://a\""),
            (of(&[], &["docker.io"], &[]), "HOST=URL"),
            (of(&[], &["docker.io=", "x"], &[]), "HOST=URL"),
            (of(&[], &["=https://u:secret@m"], &[]), "HOST=URL"),
            (of(&[], &[], &["missing.pem"]), "missing.pem"),
        ] {
            let text = wrong.unwrap_err().text(false).unwrap();
            assert!(
                text.contains(expected) && !text.contains("secret"),
                "{text}"
            );
        }
    }
}
