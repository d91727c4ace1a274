//! The `shell` provisioner: scripts and lines run inside the root.
//!
//! The semantics are Packer's (`provisioner "shell"`): each script is put at `remote_path`, made
//! executable, run through `execute_command` and removed again. Nothing of it stays in the layer
//! unless `skip_clean` asks for it. Beyond Packer, `exec` runs a program without any shell, and
//! `user` and `workdir` stand for the base's, as `USER` and `WORKDIR` of a Dockerfile do.

use super::input::base_name;
use super::{Context, Input, ProvisionError, Provisioner, StartState};
use crate::sandbox::{Action, PlacedFile};
use crate::template::Arguments;
use crate::template::gotemplate;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const DEFAULT_SHEBANG: &str = "/bin/sh -e";
const DEFAULT_COMMAND: &str = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}";
const DEFAULT_COMMAND_WITH_FILE: &str = "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}";

/// Longest summary of inline lines in the history, in characters.
const SUMMARY_LENGTH: usize = 160;

/// Where a script's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Script {
    /// The rendered text of `inline`, shebang included.
    Inline { text: String, lines: Vec<String> },
    /// A host file.
    File { path: PathBuf },
    /// A program of the image and its arguments, which no shell looks at.
    Program { argv: Vec<String> },
}

/// A `shell` provisioner.
#[derive(Clone, Debug)]
pub struct Shell {
    scripts: Vec<Script>,
    /// Sorted by name; includes Packer's own.
    variables: BTreeMap<String, String>,
    variable_format: String,
    use_variable_file: bool,
    execute_command: String,
    valid_exit_codes: Vec<i32>,
    /// One for each script.
    remote_paths: Vec<String>,
    remote_folder: String,
    skip_clean: bool,
    binary: bool,
    /// Who runs it; none for the base's user.
    user: Option<String>,
    /// Where it starts; none for the base's folder.
    workdir: Option<String>,
    go_template: gotemplate::GoTemplateData,
}

/// Decodes the options of a `shell` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let inline: Option<Vec<String>> = arguments.optional("inline");
    let script: Option<String> = arguments.optional("script");
    let scripts: Option<Vec<String>> = arguments.optional("scripts");
    let program: Option<Vec<String>> = arguments.optional("exec");
    let user: Option<String> = arguments.optional("user");
    let workdir: Option<String> = arguments.optional("workdir");
    let binary = arguments.optional("binary").unwrap_or(false);
    let shebang: Option<String> = arguments.optional("inline_shebang");
    let valid_exit_codes: Vec<i64> = arguments.optional("valid_exit_codes").unwrap_or(vec![0]);
    let remote_folder: String = arguments
        .optional("remote_folder")
        .unwrap_or_else(|| "/tmp".to_owned());
    let remote_file: Option<String> = arguments.optional("remote_file");
    let remote_path: Option<String> = arguments.optional("remote_path");
    let skip_clean = arguments.optional("skip_clean").unwrap_or(false);
    let use_variable_file = arguments.optional("use_env_var_file").unwrap_or(false);
    let variable_format: Option<String> = arguments.optional("env_var_format");
    let execute_command: Option<String> = arguments.unrendered("execute_command");
    let variables = variables(arguments, context);
    // They concern a connection that can be lost or slow to start; here there is none.
    let _: Option<bool> = arguments.optional("expect_disconnect");
    let _: Option<String> = arguments.optional("start_retry_timeout");
    let _: Option<String> = arguments.optional("pause_after");

    let codes = exit_codes(arguments, &valid_exit_codes);
    let mut valid = codes.is_some();
    let inline = inline.filter(|lines| !lines.is_empty());
    let scripts = scripts.filter(|scripts| !scripts.is_empty());
    let program = program.filter(|argv| !argv.is_empty());
    let given = [
        inline.is_some(),
        script.is_some(),
        scripts.is_some(),
        program.is_some(),
    ];
    let is_one = given.iter().filter(|given| **given).count() == 1;
    if !is_one && !arguments.any_failed(&["inline", "script", "scripts", "exec"]) {
        let problem = if given.contains(&true) {
            "only one of inline, script, scripts and exec can be given"
        } else {
            "one of inline, script, scripts and exec must be given"
        };
        arguments.error(
            arguments.header(),
            problem,
            &["write the commands in `inline = [...]`, or name script files with `scripts = [...]`"],
        );
        valid = false;
    }

    let mut prepared = Vec::new();
    if let Some(lines) = inline {
        let text = inline_script(&lines, shebang.as_deref());
        prepared.push(Script::Inline { text, lines });
    }
    if let Some(argv) = program {
        prepared.push(Script::Program { argv });
    }
    let option = if script.is_some() {
        "script"
    } else {
        "scripts"
    };
    for script in script.into_iter().chain(scripts.into_iter().flatten()) {
        match script_path(arguments, option, &script, context) {
            Some(path) => prepared.push(Script::File { path }),
            None => valid = false,
        }
    }

    let default_command = if use_variable_file {
        DEFAULT_COMMAND_WITH_FILE
    } else {
        DEFAULT_COMMAND
    };
    let shell = Shell {
        remote_paths: (1..=prepared.len())
            .map(|number| {
                remote_path.clone().unwrap_or_else(|| {
                    let file = remote_file
                        .clone()
                        .unwrap_or_else(|| format!("script_{number}.sh"));
                    format!("{remote_folder}/{file}")
                })
            })
            .collect(),
        scripts: prepared,
        variables,
        variable_format: variable_format.unwrap_or_else(|| {
            if use_variable_file {
                "export %s='%s'\\n"
            } else {
                "%s='%s' "
            }
            .to_owned()
        }),
        use_variable_file,
        execute_command: execute_command.unwrap_or_else(|| default_command.to_owned()),
        valid_exit_codes: codes.unwrap_or_default(),
        remote_folder,
        skip_clean,
        binary,
        user,
        workdir,
        go_template: context.go_template.clone(),
    };
    for path in &shell.remote_paths {
        if !path.starts_with('/') {
            arguments.error(
                arguments.header(),
                format!("the script's path in the image, {path}, is not absolute"),
                &["remote_folder and remote_path must start with /"],
            );
            valid = false;
        }
    }
    if let Err(problem) = shell.command("/tmp/script.sh", "/tmp/variables.sh") {
        arguments.error(arguments.span("execute_command"), problem, &[]);
        valid = false;
    }
    valid.then(|| Box::new(shell) as Box<dyn Provisioner>)
}

/// Takes `valid_exit_codes`; none after an error.
pub(super) fn exit_codes(arguments: &Arguments<'_>, given: &[i64]) -> Option<Vec<i32>> {
    // Packer's code for a lost connection, which cannot happen here.
    let given = given.iter().filter(|code| **code != 2_300_218);
    let (right, wrong): (Vec<i64>, Vec<i64>) = given.partition(|code| (0..=255).contains(*code));
    for code in &wrong {
        arguments.error(
            arguments.span("valid_exit_codes"),
            format!("{code} is not an exit code"),
            &["exit codes are whole numbers from 0 to 255"],
        );
    }
    let codes = right.iter().filter_map(|code| i32::try_from(*code).ok());
    wrong.is_empty().then(|| codes.collect())
}

/// Finds one of `scripts`; none after an error.
pub(super) fn script_path(
    arguments: &Arguments<'_>,
    option: &str,
    script: &str,
    context: &Context,
) -> Option<PathBuf> {
    let path = context.working_folder.join(script);
    // Templates have `/dev/null` as the script that does nothing.
    if path.is_file() || path == Path::new("/dev/null") {
        return Some(path);
    }
    let problem = if path.exists() {
        format!("the script {script} is not a file")
    } else {
        format!("the script {script} does not exist")
    };
    arguments.error(
        arguments.span(option),
        problem,
        &[&format!(
            "scripts are looked up from the working directory {}; use \"${{path.root}}/…\" for files beside the template",
            context.working_folder.display()
        )],
    );
    None
}

/// Collects `environment_vars`, `env` and Packer's own variables.
pub(super) fn variables(arguments: &Arguments<'_>, context: &Context) -> BTreeMap<String, String> {
    let pairs: Vec<String> = arguments.optional("environment_vars").unwrap_or_default();
    let map: BTreeMap<String, String> = arguments.optional("env").unwrap_or_default();
    let mut variables = BTreeMap::from([
        ("PACKER_BUILD_NAME".to_owned(), context.source_name.clone()),
        (
            "PACKER_BUILDER_TYPE".to_owned(),
            context.source_type.clone(),
        ),
    ]);
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            _ => arguments.error(
                arguments.span("environment_vars"),
                "an environment variable is not of the form NAME=value",
                &["write \"NAME=value\", or use `env = { NAME = \"value\" }`"],
            ),
        }
    }
    variables.extend(map);
    variables
}

/// Joins the lines below a shebang.
pub(super) fn inline_script(lines: &[String], shebang: Option<&str>) -> String {
    let mut text = String::new();
    let own_shebang = lines.first().is_some_and(|line| line.starts_with("#!"));
    match shebang {
        None if own_shebang => {}
        shebang => {
            text.push_str("#!");
            text.push_str(shebang.unwrap_or(DEFAULT_SHEBANG));
            text.push('\n');
        }
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Renders variables with `env_var_format`; `'` in a value is quoted as Packer does.
pub(super) fn rendered_variables(format: &str, variables: &BTreeMap<String, String>) -> String {
    let format = format.replace("\\n", "\n");
    let mut text = String::new();
    for (name, value) in variables {
        let value = value.replace('\'', "'\"'\"'");
        let mut arguments = [name.as_str(), value.as_str()].into_iter();
        let mut parts = format.split("%s");
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            text.push_str(arguments.next().unwrap_or_default());
            text.push_str(part);
        }
    }
    text
}

impl Shell {
    fn rendered_variables(&self) -> String {
        rendered_variables(&self.variable_format, &self.variables)
    }

    /// Renders `execute_command` for a script at `path`.
    fn command(&self, path: &str, variable_file: &str) -> Result<String, String> {
        let data = self
            .go_template
            .clone()
            .with("Path", path)
            .with(
                "Vars",
                if self.use_variable_file {
                    String::new()
                } else {
                    self.rendered_variables()
                },
            )
            .with("EnvVarFile", variable_file);
        gotemplate::render(&self.execute_command, &data).map_err(|error| error.to_string())
    }

    /// The text of a script as it is put into the root.
    fn text(&self, script: &Script) -> Result<Vec<u8>, ProvisionError> {
        let bytes = match script {
            Script::Inline { text, .. } => text.clone().into_bytes(),
            Script::File { path } => fs::read(path).map_err(ProvisionError::read(path))?,
            Script::Program { .. } => Vec::new(),
        };
        Ok(if self.binary {
            bytes
        } else {
            unix_line_ends(bytes)
        })
    }

    /// How its commands start in a root where others start like that.
    fn own_start(&self, start: &StartState) -> StartState {
        let mut own = start.clone();
        if let Some(user) = &self.user {
            own.user.clone_from(user);
        }
        match &self.workdir {
            Some(folder) if folder.starts_with('/') => own.workdir.clone_from(folder),
            Some(folder) => own.workdir = format!("{}/{folder}", start.workdir),
            None => {}
        }
        own
    }
}

/// Turns CRLF into LF.
fn unix_line_ends(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.windows(2).any(|pair| pair == b"\r\n") {
        return bytes;
    }
    let mut result = Vec::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(index + 1) != Some(&b'\n') {
            result.push(*byte);
        }
    }
    result
}

impl Provisioner for Shell {
    fn kind(&self) -> &'static str {
        "shell"
    }

    fn summary(&self) -> String {
        let parts: Vec<String> = self
            .scripts
            .iter()
            .flat_map(|script| match script {
                Script::Inline { lines, .. } => lines.clone(),
                Script::File { path } => vec![base_name(path)],
                Script::Program { argv } => argv.clone(),
            })
            .collect();
        let text = parts
            .join("; ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        match text.char_indices().nth(SUMMARY_LENGTH) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    fn key_material(&self) -> serde_json::Value {
        let scripts: Vec<serde_json::Value> = self
            .scripts
            .iter()
            .map(|script| match script {
                Script::Inline { text, .. } => json!({ "inline": text }),
                Script::File { path } => json!({ "script": base_name(path) }),
                Script::Program { argv } => json!({ "exec": argv }),
            })
            .collect();
        let mut material = json!({
            "scripts": scripts,
            "variables": self.variables,
            "variable_format": self.variable_format,
            "use_variable_file": self.use_variable_file,
            "execute_command": self.execute_command,
            "valid_exit_codes": self.valid_exit_codes,
            "remote_paths": self.remote_paths,
            "skip_clean": self.skip_clean,
            "binary": self.binary,
        });
        // What is not given is not in it, so that the keys of templates without it stay.
        let given = [("user", &self.user), ("workdir", &self.workdir)];
        for (name, value) in given {
            if let (Some(value), Some(members)) = (value, material.as_object_mut()) {
                members.insert(name.to_owned(), json!(value));
            }
        }
        material
    }

    fn inputs(&self) -> Vec<Input> {
        self.scripts
            .iter()
            .enumerate()
            .filter_map(|(index, script)| match script {
                Script::Inline { .. } | Script::Program { .. } => None,
                Script::File { path } => Some(Input {
                    label: format!("scripts[{index}] {}", base_name(path)),
                    path: path.clone(),
                    is_generated: false,
                }),
            })
            .collect()
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        let start = self.own_start(start);
        let mut actions = Vec::with_capacity(self.scripts.len());
        for (index, script) in self.scripts.iter().enumerate() {
            let Some(remote_path) = self.remote_paths.get(index) else {
                continue;
            };
            if let Script::Program { argv } = script {
                let mut command = start.command(argv.iter().map(String::as_str));
                command
                    .env
                    .retain(|(name, _)| !self.variables.contains_key(name));
                command.env.extend(self.variables.clone());
                actions.push(Action::Run {
                    files: Vec::new(),
                    command,
                    accept: self.valid_exit_codes.clone(),
                });
                continue;
            }
            let source = scratch.join(format!("script_{}", index + 1));
            fs::write(&source, self.text(script)?).map_err(ProvisionError::write(&source))?;
            let mut files = vec![PlacedFile {
                source,
                path: remote_path.clone(),
                mode: 0o755,
                keep: self.skip_clean,
            }];
            let variable_file = format!("{}/varfile_{}.sh", self.remote_folder, index + 1);
            if self.use_variable_file {
                let source = scratch.join(format!("variables_{}", index + 1));
                fs::write(&source, self.rendered_variables())
                    .map_err(ProvisionError::write(&source))?;
                files.push(PlacedFile {
                    source,
                    path: variable_file.clone(),
                    mode: 0o600,
                    keep: false,
                });
            }
            let command = self
                .command(remote_path, &variable_file)
                .unwrap_or_default();
            actions.push(Action::Run {
                files,
                command: start.command(["/bin/sh", "-c", &command]),
                accept: self.valid_exit_codes.clone(),
            });
        }
        Ok(actions)
    }
}
