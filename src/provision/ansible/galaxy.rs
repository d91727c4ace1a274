//! Galaxy: the roles and collections that a requirements file names, installed by `ansible-galaxy`.
//!
//! They go into a folder of the store, never into the user's home or the template's folder.

use super::program::Installation;
use crate::digest::Digest;
use crate::provision::input::base_name;
use crate::provision::requirement::{Requirement, RequirementName};
use crate::provision::{Caller, HostContext, ProvisionError, Said};
use crate::sandbox::OutputStream;
use crate::sandbox::host_command::{self, HostCommand};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEFAULT_COMMAND: &str = "ansible-galaxy";
/// Where roles go in the folder.
const ROLES: &str = "roles";
/// Where collections go in the folder.
const COLLECTIONS: &str = "collections";
/// How many of the last lines an error shows.
const ERROR_LINES: usize = 8;

/// What `galaxy_file` asks for.
#[derive(Clone, Debug)]
pub(super) struct Galaxy {
    /// The requirements file, an absolute path.
    pub(super) file: PathBuf,
    /// As the template has it.
    pub(super) command: Option<String>,
    pub(super) caller: Arc<Caller>,
    pub(super) working_folder: PathBuf,
}

impl Galaxy {
    /// The folder of roles in a folder that something was installed into.
    pub(super) fn roles(folder: &Path) -> PathBuf {
        folder.join(ROLES)
    }

    /// The folder of collections in a folder that something was installed into.
    pub(super) fn collections(folder: &Path) -> PathBuf {
        folder.join(COLLECTIONS)
    }

    fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        home: &Path,
        context: &HostContext<'_>,
    ) -> Result<(), ProvisionError> {
        let program_text = program.display().to_string();
        let words = std::iter::once(program_text.as_str()).chain(arguments.iter().copied());
        let home = home.display().to_string();
        let command = HostCommand {
            argv: words.map(str::to_owned).collect(),
            environment: [
                ("ANSIBLE_HOME", home.clone()),
                ("ANSIBLE_LOCAL_TEMP", format!("{home}/local")),
                ("ANSIBLE_GALAXY_CACHE_DIR", format!("{home}/cache")),
                // Nobody is there who could answer.
                ("GIT_TERMINAL_PROMPT", "0".to_owned()),
                ("LC_ALL", "C.UTF-8".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
            working_folder: self.working_folder.clone(),
            stdout: None,
        };
        let mut lines: Vec<String> = Vec::new();
        let mut keep = |stream: OutputStream, line: &str| {
            (context.say)(Said::Line(stream, line));
            if lines.len() == ERROR_LINES {
                lines.remove(0);
            }
            lines.push(line.to_owned());
        };
        match host_command::run(&command, &mut keep, context.cancel) {
            _ if context.cancel.is_cancelled() => Err(ProvisionError::Interrupted),
            Ok(0) => Ok(()),
            Ok(code) => Err(ProvisionError::ProgramFailed {
                program: format!("{} {}", base_name(program), arguments.join(" ")),
                code,
                lines,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requirement for Galaxy {
    fn name(&self) -> Result<RequirementName, ProvisionError> {
        let text = fs::read(&self.file).map_err(ProvisionError::read(&self.file))?;
        Ok(RequirementName {
            kind: "galaxy".to_owned(),
            file: base_name(&self.file),
            list: Digest::of(text),
        })
    }

    fn install(
        &self,
        folder: &Path,
        context: &HostContext<'_>,
    ) -> Result<Vec<String>, ProvisionError> {
        let text = fs::read_to_string(&self.file).map_err(ProvisionError::read(&self.file))?;
        let name = self.command.as_deref().unwrap_or(DEFAULT_COMMAND);
        let search_path = self.caller.environment.get("PATH");
        let search_path = search_path.map(String::as_str).unwrap_or_default();
        let found = Installation::locate(name, search_path, &self.working_folder);
        let program = found.ok_or_else(|| ProvisionError::MissingProgram {
            program: name.to_owned(),
            remedy: "it comes with Ansible: `apt install ansible-core` or `pipx install ansible-core`, here on the host".to_owned(),
        })?;
        let home = folder.join("home");
        let list = self.file.display().to_string();
        let (has_roles, has_collections) = kinds(&text);
        let (roles, collections) = (Self::roles(folder), Self::collections(folder));
        for made in [&home, &roles, &collections] {
            fs::create_dir_all(made).map_err(ProvisionError::write(made))?;
        }
        if has_roles {
            let path = roles.display().to_string();
            let arguments = ["role", "install", "-r", &list, "-p", &path];
            self.run(&program, &arguments, &home, context)?;
        }
        if has_collections {
            let path = collections.display().to_string();
            let arguments = ["collection", "install", "-r", &list, "-p", &path];
            self.run(&program, &arguments, &home, context)?;
        }
        fs::remove_dir_all(&home).map_err(ProvisionError::write(&home))?;
        let mut parts = take_roles(&roles)?;
        parts.extend(take_collections(&collections)?);
        Ok(parts)
    }
}

/// Whether a requirements file names roles, and collections. A bare list is one of roles.
fn kinds(text: &str) -> (bool, bool) {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    let (roles, collections) = (has("roles:"), has("collections:"));
    (roles || !collections, collections)
}

/// Names the roles, and removes what says when they were installed.
fn take_roles(folder: &Path) -> Result<Vec<String>, ProvisionError> {
    let mut parts = Vec::new();
    for role in members(folder)? {
        let note = role.join("meta/.galaxy_install_info");
        let version = fs::read_to_string(&note).ok().and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("version:"))?;
            Some(line.trim().trim_matches(['\'', '"']).to_owned())
        });
        if note.exists() {
            fs::remove_file(&note).map_err(ProvisionError::write(&note))?;
        }
        let version = version.filter(|it| !it.is_empty());
        let version = version.map(|it| format!(" {it}")).unwrap_or_default();
        parts.push(format!("{}{version}", base_name(&role)));
    }
    Ok(parts)
}

/// Names the collections, and removes what says from where they came.
fn take_collections(folder: &Path) -> Result<Vec<String>, ProvisionError> {
    let mut parts = Vec::new();
    for namespace in members(&folder.join("ansible_collections"))? {
        if namespace.extension().is_some_and(|it| it == "info") {
            fs::remove_dir_all(&namespace).map_err(ProvisionError::write(&namespace))?;
            continue;
        }
        for collection in members(&namespace)? {
            let manifest = fs::read(collection.join("MANIFEST.json")).ok();
            let manifest = manifest
                .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
                .unwrap_or_default();
            let version = manifest["collection_info"]["version"].as_str();
            let name = format!("{}.{}", base_name(&namespace), base_name(&collection));
            let version = version.map(|it| format!(" {it}")).unwrap_or_default();
            parts.push(format!("{name}{version}"));
        }
    }
    Ok(parts)
}

/// The folders in a folder, sorted; none if it is not there.
fn members(folder: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(ProvisionError::read(folder))? {
        let path = entry.map_err(ProvisionError::read(folder))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_it_is_of() {
        for (text, expected) in [
            ("- src: a.b\n", (true, false)),
            ("---\nroles:\n  - name: a.b\n", (true, false)),
            ("collections:\n  - a.b\n", (false, true)),
            ("collections: [a.b]\nroles: [c.d]\n", (true, true)),
            ("", (true, false)),
        ] {
            assert_eq!(kinds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn parts_are_named_and_lose_their_dates() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "roles/web/meta/.galaxy_install_info",
            "install_date: 'Sat Nov 21'\nversion: 3.1.0\n",
        );
        write("roles/bare/tasks/main.yml", "");
        write(
            "collections/ansible_collections/a.b-1.0.0.info/GALAXY.yml",
            "",
        );
        write(
            "collections/ansible_collections/a/b/MANIFEST.json",
            r#"{"collection_info": {"version": "1.0.0"}}"#,
        );
        let roles = folder.path().join("roles");
        assert_eq!(take_roles(&roles).unwrap(), ["bare", "web 3.1.0"]);
        assert!(!roles.join("web/meta/.galaxy_install_info").exists());
        let collections = folder.path().join("collections");
        assert_eq!(take_collections(&collections).unwrap(), ["a.b 1.0.0"]);
        assert!(
            !collections
                .join("ansible_collections/a.b-1.0.0.info")
                .exists()
        );
    }
}
