//! The `shell-local` post-processor: commands on this host, after the build.
//!
//! The semantics are Packer's: the working directory and the environment are hardtack's own, the
//! artifact is passed on.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::sandbox::host_command::{self, HostCommand};
use crate::template::Arguments;
use crate::template::gotemplate::{self, GoTemplateData};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const DEFAULT_SHEBANG: &str = "/bin/sh -e";

/// A `shell-local` post-processor.
#[derive(Clone, Debug)]
struct ShellLocal {
    /// The text of `inline`, shebang included.
    inline: Option<String>,
    scripts: Vec<PathBuf>,
    variables: BTreeMap<String, String>,
    execute_command: Vec<String>,
    valid_exit_codes: Vec<i32>,
    extension: String,
    skipped: bool,
    go_template: GoTemplateData,
}

/// Decodes the options of a `shell-local` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let command: Option<String> = arguments.optional("command");
    let inline: Option<Vec<String>> = arguments.optional("inline");
    let script: Option<String> = arguments.optional("script");
    let scripts: Option<Vec<String>> = arguments.optional("scripts");
    let pairs: Vec<String> = arguments.optional("environment_vars").unwrap_or_default();
    let map: BTreeMap<String, String> = arguments.optional("env").unwrap_or_default();
    let shebang: Option<String> = arguments.optional("inline_shebang");
    let execute_command: Option<Vec<String>> = arguments.optional("execute_command");
    let valid_exit_codes: Vec<i64> = arguments.optional("valid_exit_codes").unwrap_or(vec![0]);
    let extension: String = arguments.optional("tempfile_extension").unwrap_or_default();
    let only_on: Vec<String> = arguments.optional("only_on").unwrap_or_default();
    let _: Option<bool> = arguments.optional("use_linux_pathing");

    let mut valid = true;
    let scripts = scripts.filter(|scripts| !scripts.is_empty());
    let given = [
        command.is_some(),
        inline.is_some(),
        script.is_some(),
        scripts.is_some(),
    ];
    let is_one = given.iter().filter(|given| **given).count() == 1;
    if !is_one && !arguments.any_failed(&["command", "inline", "script", "scripts"]) {
        arguments.error(
            arguments.header(),
            "exactly one of command, inline, script and scripts must be given",
            &[],
        );
        valid = false;
    }
    let mut variables = BTreeMap::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            _ => {
                arguments.error(
                    arguments.span("environment_vars"),
                    "an environment variable is not of the form NAME=value",
                    &[],
                );
                valid = false;
            }
        }
    }
    variables.extend(map);
    let lines = inline.or(command.map(|command| vec![command]));
    let mut text = None;
    if let Some(lines) = lines {
        let mut script = format!("#!{}\n", shebang.as_deref().unwrap_or(DEFAULT_SHEBANG));
        for line in lines {
            match gotemplate::render(&line, &context.go_template) {
                Ok(line) => script.push_str(&line),
                Err(error) => {
                    arguments.error(arguments.span("inline"), error.to_string(), &[]);
                    valid = false;
                }
            }
            script.push('\n');
        }
        text = Some(script);
    }
    let mut paths = Vec::new();
    for script in script.into_iter().chain(scripts.into_iter().flatten()) {
        let path = context.working_folder.join(&script);
        if !path.is_file() {
            arguments.error(
                arguments.header(),
                format!("the script {script} does not exist"),
                &["scripts are looked up from the working directory; use \"${path.root}/…\" for files beside the template"],
            );
            valid = false;
        }
        paths.push(path);
    }
    valid.then(|| {
        Box::new(ShellLocal {
            inline: text,
            scripts: paths,
            variables,
            execute_command: execute_command.unwrap_or_else(|| {
                ["/bin/sh", "-c", "{{.Vars}} {{.Script}}"]
                    .map(str::to_owned)
                    .into()
            }),
            valid_exit_codes: valid_exit_codes
                .into_iter()
                .filter_map(|code| i32::try_from(code).ok())
                .collect(),
            extension,
            skipped: !only_on.is_empty() && !only_on.iter().any(|system| system == "linux"),
            go_template: context.go_template.clone(),
        }) as Box<dyn PostProcessor>
    })
}

impl PostProcessor for ShellLocal {
    fn kind(&self) -> &'static str {
        "shell-local"
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        if self.skipped {
            return Ok(input.clone());
        }
        // Kept until the script has run; removed by its own destructor.
        let mut temporary = None;
        let mut scripts = self.scripts.clone();
        if let Some(text) = &self.inline {
            let folder = std::env::temp_dir();
            let mut file = tempfile::Builder::new()
                .prefix("hardtack-shell-local-")
                .suffix(&self.extension)
                .tempfile_in(&folder)
                .map_err(PostProcessError::file("create a script in", &folder))?;
            file.write_all(text.as_bytes())
                .map_err(PostProcessError::file("write", file.path()))?;
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o700))
                .map_err(PostProcessError::file("write", file.path()))?;
            // An open descriptor for writing would make the script "text file busy".
            let path = file.into_temp_path();
            scripts.push(path.to_path_buf());
            temporary = Some(path);
        }
        for script in &scripts {
            let status = host_command::run(
                &HostCommand {
                    argv: self.command(&script.display().to_string(), context)?,
                    environment: Vec::new(),
                    working_folder: context.working_folder.to_owned(),
                    stdout: None,
                },
                &mut |_, line| (context.output)(line),
                context.cancel,
            )?;
            if !self.valid_exit_codes.contains(&status) {
                return Err(PostProcessError::ExitStatus {
                    status,
                    allowed: self.valid_exit_codes.clone(),
                });
            }
        }
        drop(temporary);
        Ok(input.clone())
    }
}

impl ShellLocal {
    /// Renders `execute_command` for one script.
    fn command(
        &self,
        script: &str,
        context: &Context<'_>,
    ) -> Result<Vec<String>, PostProcessError> {
        let mut variables = self.variables.clone();
        variables
            .entry("PACKER_BUILD_NAME".to_owned())
            .or_insert_with(|| context.source_name.to_owned());
        variables
            .entry("PACKER_BUILDER_TYPE".to_owned())
            .or_insert_with(|| context.source_type.to_owned());
        variables
            .entry("PACKER_RUN_UUID".to_owned())
            .or_insert_with(|| context.run_id.to_owned());
        let variables: String = variables
            .iter()
            .map(|(name, value)| format!("{name}='{}' ", value.replace('\'', "'\"'\"'")))
            .collect();
        let data = self
            .go_template
            .clone()
            .with("Vars", variables)
            .with("Script", script)
            .with("Command", script);
        self.execute_command
            .iter()
            .map(|element| {
                gotemplate::render(element, &data).map_err(|error| PostProcessError::GoTemplate {
                    option: "execute_command",
                    problem: error.to_string(),
                })
            })
            .collect()
    }
}
