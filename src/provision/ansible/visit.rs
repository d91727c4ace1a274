//! The run: `ansible-playbook` on this host, with all it needs in a folder of the step.
//!
//! The connection plugin is a file of its own, under Ansible's licence, that is only written out
//! here. What tasks put down in the root lies in one folder, which goes before the layer is made.

use super::galaxy::Galaxy;
use super::inventory::Inventory;
use super::{Ansible, CONNECTION};
use crate::provision::{HostContext, ProvisionError, REQUIREMENT, Said, StartState, Visitor};
use crate::sandbox::host_command::{self, HostCommand};
use crate::sandbox::{OpenRoot, OutputStream};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The connection plugin.
pub(super) const PLUGIN: &str = include_str!("connection.py");
/// Where tasks keep files while they run, in the root.
pub(super) const REMOTE_FOLDER: &str = "/tmp/.hardtack-ansible";
/// The oldest ansible-core that the connection plugin is tested with.
const OLDEST: (u32, u32) = (2, 12);
/// How to get Ansible.
const REMEDY: &str = "install it here, on the host: `apt install ansible-core`, `pipx install ansible-core`, or name another program with `command`";

impl Visitor for Ansible {
    fn visit(
        &self,
        root: &OpenRoot,
        start: &StartState,
        scratch: &Path,
        context: &HostContext<'_>,
    ) -> Result<(), ProvisionError> {
        let program = self.program()?;
        let folder = Folder::prepare(self, root, start, scratch)?;
        let argv = self.argv(&program, &folder);
        (context.say)(Said::Note(&format!("Executing Ansible: {}", shown(&argv))));
        let command = HostCommand {
            argv,
            environment: self.environment(&folder, context),
            working_folder: context.working_folder.to_owned(),
            stdout: None,
        };
        let mut say = |stream: OutputStream, line: &str| (context.say)(Said::Line(stream, line));
        let ended = host_command::run(&command, &mut say, context.cancel);
        match ended {
            _ if context.cancel.is_cancelled() => return Err(ProvisionError::Interrupted),
            Ok(0) => {}
            Ok(code) => {
                return Err(ProvisionError::Playbook {
                    code,
                    missing: folder.missing(),
                });
            }
            Err(error) => return Err(error.into()),
        }
        self.keep_inventory(&folder, context)
    }
}

impl Ansible {
    /// The program, if it can be used.
    fn program(&self) -> Result<PathBuf, ProvisionError> {
        let installation = self.installation();
        let installation = installation.ok_or_else(|| ProvisionError::MissingProgram {
            program: self.command.clone(),
            remedy: REMEDY.to_owned(),
        })?;
        let (major, minor) = OLDEST;
        if installation.is_older_than(major, minor) && !self.skip_version_check {
            return Err(ProvisionError::OldProgram {
                program: installation.program.clone(),
                version: installation.version.clone().unwrap_or_default(),
                oldest: format!("{major}.{minor}"),
            });
        }
        Ok(installation.program.clone())
    }

    fn argv(&self, program: &Path, folder: &Folder) -> Vec<String> {
        let mut argv = vec![program.display().to_string()];
        let variables = [
            format!("packer_build_name={:?}", self.source_name),
            format!("packer_builder_type={}", self.source_type),
        ];
        for variable in variables {
            argv.extend(["-e".to_owned(), variable]);
        }
        argv.extend(self.arguments.iter().cloned());
        argv.extend(["-i".to_owned(), folder.inventory.display().to_string()]);
        argv.push(self.playbook.display().to_string());
        argv
    }

    /// What is added to the environment of this process.
    fn environment(&self, folder: &Folder, context: &HostContext<'_>) -> Vec<(String, String)> {
        let below = |name: &str| folder.path.join(name).display().to_string();
        let joined = |first: Vec<PathBuf>, rest: Vec<PathBuf>| {
            let paths = first.into_iter().chain(rest);
            let paths: Vec<String> = paths.map(|it| it.display().to_string()).collect();
            paths.join(":")
        };
        let mut variables = Vec::new();
        let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
        set("PACKER_RUN_UUID", context.run_id.to_owned());
        set("PYTHONUNBUFFERED", "1".to_owned());
        set("ANSIBLE_NOCOWS", "1".to_owned());
        set("ANSIBLE_HOME", below("home"));
        set("ANSIBLE_LOCAL_TEMP", below("local"));
        set("ANSIBLE_RETRY_FILES_ENABLED", "False".to_owned());
        // Nobody else is in the root who could read what one user leaves there for another.
        set("ANSIBLE_SHELL_ALLOW_WORLD_READABLE_TEMP", "True".to_owned());
        // Facts of another root would be wrong.
        set("ANSIBLE_CACHE_PLUGIN", "memory".to_owned());
        if self.variable("ANSIBLE_PYTHON_INTERPRETER").is_none()
            && self
                .configuration
                .get("defaults", "interpreter_python")
                .is_none()
        {
            // The image's Python is no choice that could be warned of.
            set("ANSIBLE_PYTHON_INTERPRETER", "auto_silent".to_owned());
        }
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"];
        let locale = locale.iter().filter_map(|name| self.variable(name));
        let locale = locale
            .filter(|it| !it.is_empty())
            .map(str::to_lowercase)
            .next();
        if !locale.is_some_and(|it| it.contains("utf-8") || it.contains("utf8")) {
            // Ansible refuses to work in any other.
            set("LC_ALL", "C.UTF-8".to_owned());
        }
        for (name, value) in &self.variables {
            set(name, value.clone());
        }
        set("ANSIBLE_REMOTE_TMP", REMOTE_FOLDER.to_owned());
        set("ANSIBLE_ASYNC_DIR", format!("{REMOTE_FOLDER}/async"));
        set("ANSIBLE_PIPELINING", "True".to_owned());
        set("ANSIBLE_TRANSPORT", CONNECTION.to_owned());
        set("HARDTACK_ANSIBLE_ROOT", below("root.json"));
        let plugins = self.search_path("ANSIBLE_CONNECTION_PLUGINS", "connection_plugins", &[]);
        set(
            "ANSIBLE_CONNECTION_PLUGINS",
            joined(vec![folder.path.join("plugins")], plugins),
        );
        let installed = self.galaxy.is_some().then(|| folder.path.join(REQUIREMENT));
        let mut roles: Vec<PathBuf> = installed.iter().map(|it| Galaxy::roles(it)).collect();
        roles.extend(self.roles_path.clone());
        set(
            "ANSIBLE_ROLES_PATH",
            joined(roles, self.roles_search_path()),
        );
        let mut collections: Vec<PathBuf> =
            installed.iter().map(|it| Galaxy::collections(it)).collect();
        collections.extend(self.collections_path.clone());
        set(
            "ANSIBLE_COLLECTIONS_PATH",
            joined(collections, self.collections_search_path()),
        );
        variables
    }

    fn keep_inventory(
        &self,
        folder: &Folder,
        context: &HostContext<'_>,
    ) -> Result<(), ProvisionError> {
        let Inventory::Made(made) = &self.inventory else {
            return Ok(());
        };
        if !self.keep_inventory_file {
            return Ok(());
        }
        let place = match &made.folder {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir(),
        };
        let file = tempfile::Builder::new()
            .prefix("packer-provisioner-ansible")
            .tempfile_in(&place)
            .and_then(|file| Ok(file.keep()?.1))
            .map_err(ProvisionError::write(&place))?;
        fs::copy(&folder.inventory, &file).map_err(ProvisionError::write(&file))?;
        (context.say)(Said::Note(&format!(
            "The inventory is kept as {}",
            file.display()
        )));
        Ok(())
    }
}

/// The folder of the step that has what Ansible needs.
struct Folder {
    path: PathBuf,
    inventory: PathBuf,
}

impl Folder {
    fn prepare(
        ansible: &Ansible,
        root: &OpenRoot,
        start: &StartState,
        path: &Path,
    ) -> Result<Self, ProvisionError> {
        let login = ansible.login(start);
        let folder = |name: &str| {
            let path = path.join(name);
            fs::create_dir_all(&path).map_err(ProvisionError::write(&path))?;
            Ok::<_, ProvisionError>(path)
        };
        let plugin = folder("plugins")?.join(format!("{CONNECTION}.py"));
        fs::write(&plugin, PLUGIN).map_err(ProvisionError::write(&plugin))?;
        folder("home")?;
        folder("local")?;
        let mut environment = start.environment.clone();
        for (name, value) in [
            // What Python compiles on the way would stay in the layer, with times in it.
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // Services are set up, and nothing is there that could start them.
            ("SYSTEMD_OFFLINE", "1"),
        ] {
            if !environment.iter().any(|(given, _)| given == name) {
                environment.push((name.to_owned(), value.to_owned()));
            }
        }
        let document = json!({
            "socket": root.socket(),
            "env": environment,
            "user": ansible.user.as_deref().unwrap_or(&start.user),
            "login": login,
            "workdir": start.workdir,
            "missing": path.join("missing"),
        });
        let file = path.join("root.json");
        fs::write(&file, document.to_string()).map_err(ProvisionError::write(&file))?;
        let inventory = match &ansible.inventory {
            Inventory::Given(path) => path.clone(),
            Inventory::Made(made) => {
                let text = made.text(login, &ansible.go_template)?;
                made.write(&text, &path.join("inventory"))?
            }
        };
        Ok(Self {
            path: path.to_owned(),
            inventory,
        })
    }

    /// What tasks needed in the root and did not find there.
    fn missing(&self) -> Option<String> {
        let text = fs::read_to_string(self.path.join("missing")).ok()?;
        text.lines().last().map(str::to_owned)
    }
}

/// A command line as it can be shown: values of what is called a password or secret are hidden.
fn shown(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| hidden(word)).collect();
    let quoted = words.iter().map(|word| {
        let is_plain = |it: char| it.is_alphanumeric() || "-_./=:@,%+\"".contains(it);
        match word.chars().all(is_plain) && !word.is_empty() {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn hidden(word: &str) -> String {
    const HIDDEN: &str = "*****";
    if word.contains('{') && is_secret(word) {
        return HIDDEN.to_owned();
    }
    let mut shown: Vec<String> = Vec::new();
    for part in word.split(' ') {
        let mut ends = part.match_indices('=').map(|(at, _)| part.split_at(at));
        let Some((name, value)) = ends.find(|(name, _)| is_secret(name)) else {
            shown.push(part.to_owned());
            continue;
        };
        shown.push(format!("{name}={HIDDEN}"));
        if value.contains(['"', '\'']) {
            // It may go on behind the blank.
            break;
        }
    }
    shown.join(" ")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["password", "secret", "_pass"]
        .iter()
        .any(|it| name.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let argv = [
            "ansible-playbook",
            "-e",
            "a=1 db_password=hunter2 b=2",
            "--extra-vars=api_Secret=hunter2",
            "x y",
            "secret='a b' c=d",
            "{\"password\": \"x\"}",
        ];
        let text = shown(&argv.map(str::to_owned));
        assert_eq!(
            text,
            "ansible-playbook -e 'a=1 db_password=***** b=2' '--extra-vars=api_Secret=*****' 'x y' 'secret=*****' '*****'"
        );
    }
}
