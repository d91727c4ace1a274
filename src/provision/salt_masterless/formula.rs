//! Formulas: ready-made states in folders of Git repositories, fetched by the host's git when the
//! step runs.

use crate::provision::ProvisionError;
use crate::provision::staging::Staged;
use crate::provision::tool_options::ToolOptions;
use crate::sandbox::Cancel;
use crate::sandbox::host_command::{self, HostCommand};
use serde_json::json;
use std::path::{Path, PathBuf};

const OPTION: &str = "formulas";
const FORM: &str = "a formula is written as \"git::https://HOST/PATH.git//FOLDER\", with \"?ref=TAG\" at its end if need be";

/// A folder of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// Counts from 0.
    index: usize,
    /// What git clones.
    address: String,
    /// The folder in the repository, and its name in the state tree.
    folder: String,
    /// A branch, a tag or a commit.
    reference: Option<String>,
    /// Where an address that is a relative path starts from.
    working_folder: PathBuf,
}

/// Decodes `formulas`. One whose folder the state tree has is not fetched, as in Packer.
pub fn decode(options: &ToolOptions<'_, '_>, state_tree: Option<&Path>) -> Vec<Formula> {
    let mut formulas = Vec::new();
    for (index, text) in options.list(OPTION).iter().enumerate() {
        let Some((address, folder, reference)) = parse(text) else {
            let problem = format!("{text:?} is not a formula");
            options.error(OPTION, problem, &[FORM]);
            continue;
        };
        if state_tree.is_some_and(|tree| tree.join(&folder).exists()) {
            continue;
        }
        formulas.push(Formula {
            index,
            address,
            folder,
            reference,
            working_folder: options.working_folder().to_owned(),
        });
    }
    formulas
}

/// Takes `git::ADDRESS.git//FOLDER?ref=REFERENCE` apart.
fn parse(text: &str) -> Option<(String, String, Option<String>)> {
    let (place, query) = match text.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (text, None),
    };
    let (address, folder) = place.rsplit_once("//")?;
    let address = address.strip_prefix("git::").unwrap_or(address);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_folder = !folder.is_empty() && folder.chars().all(is_name);
    // Other getters than git's have a prefix too.
    let is_git = address.ends_with(".git") && !address.contains("::") && !address.starts_with('-');
    if !is_folder || !is_git {
        return None;
    }
    let address = match ["github.com/", "gitlab.com/", "bitbucket.org/"]
        .iter()
        .any(|host| address.starts_with(host))
    {
        true => format!("https://{address}"),
        false => address.to_owned(),
    };
    let mut reference = None;
    for part in query
        .unwrap_or_default()
        .split('&')
        .filter(|it| !it.is_empty())
    {
        match part.split_once('=') {
            Some(("ref", name)) if !name.is_empty() && !name.starts_with('-') => {
                reference = Some(name.to_owned());
            }
            // How much of the history is fetched changes nothing.
            Some(("depth", _)) => {}
            _ => return None,
        }
    }
    Some((address, folder.to_owned(), reference))
}

impl Formula {
    /// What decides what is fetched.
    pub fn key_material(&self) -> serde_json::Value {
        json!({ "address": self.address, "folder": self.folder, "reference": self.reference })
    }

    /// Clones the repository into `scratch`, to be staged in `state_tree`.
    pub fn fetch(&self, scratch: &Path, state_tree: &str) -> Result<Staged, ProvisionError> {
        let clone = scratch.join(format!("formula_{}", self.index));
        let target = clone.display().to_string();
        self.git(&["clone", "--quiet", "--", &self.address, &target])?;
        if let Some(reference) = &self.reference {
            self.git(&["-C", &target, "checkout", "--quiet", reference, "--"])?;
        }
        let folder = clone.join(&self.folder);
        if !folder.is_dir() {
            let reason = format!("it has no folder {}", self.folder);
            return Err(self.failed(reason));
        }
        let label = format!("{OPTION}[{}]", self.index);
        let target = format!("{state_tree}/{}", self.folder);
        Ok(Staged::folder(&label, folder, target))
    }

    fn git(&self, arguments: &[&str]) -> Result<(), ProvisionError> {
        let argv = std::iter::once("git").chain(arguments.iter().copied());
        let command = HostCommand {
            argv: argv.map(str::to_owned).collect(),
            // A question would wait for an answer that nobody gives.
            environment: vec![("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned())],
            working_folder: self.working_folder.clone(),
            stdout: None,
        };
        let mut last = String::new();
        let mut keep = |_, line: &str| {
            if !line.trim().is_empty() {
                line.trim().clone_into(&mut last);
            }
        };
        match host_command::run(&command, &mut keep, &Cancel::default())? {
            0 => Ok(()),
            127 => Err(self.failed("this host has no git".to_owned())),
            code if last.is_empty() => Err(self.failed(format!("git exited with code {code}"))),
            _ => Err(self.failed(last)),
        }
    }

    fn failed(&self, reason: String) -> ProvisionError {
        ProvisionError::Formula {
            address: self.address.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_folders_of_repositories() {
        for (text, expected) in [
            (
                "git::https://github.com/saltstack-formulas/vault-formula.git//vault?ref=v1.2.3",
                Some((
                    "https://github.com/saltstack-formulas/vault-formula.git",
                    "vault",
                    Some("v1.2.3"),
                )),
            ),
            (
                "git::git@example.com:team/app.git//app",
                Some(("git@example.com:team/app.git", "app", None)),
            ),
            (
                "github.com/team/app.git//app_2?depth=1",
                Some(("https://github.com/team/app.git", "app_2", None)),
            ),
            (
                "/srv/git/app.git//app",
                Some(("/srv/git/app.git", "app", None)),
            ),
            ("git::https://example.com/app.git", None),
            ("git::https://example.com/app.git//", None),
            ("git::https://example.com/app.git//a/b", None),
            ("git::https://example.com/app.git//..", None),
            ("hg::https://example.com/app.git//app", None),
            ("https://example.com/app.zip//app", None),
            ("git::--upload-pack=x.git//app", None),
            ("git::https://example.com/app.git//app?ref=--x", None),
            ("git::https://example.com/app.git//app?sshkey=x", None),
        ] {
            let expected =
                expected.map(|(address, folder, reference): (&str, &str, Option<&str>)| {
                    (
                        address.to_owned(),
                        folder.to_owned(),
                        reference.map(str::to_owned),
                    )
                });
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
