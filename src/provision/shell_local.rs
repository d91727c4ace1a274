//! `shell-local`: scripts and lines run on this host, as a provisioner or a post-processor.
//!
//! The semantics are Packer's: the working directory and the environment are hardtack's own, and
//! each script is run through `execute_command`, a list of Go templates.

use super::host::{HostContext, HostProvisioner, Said};
use super::{Context, ProvisionError, shell};
use crate::sandbox::host_command::{self, HostCommand};
use crate::template::Arguments;
use crate::template::gotemplate::{self, GoTemplateData};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const DEFAULT_COMMAND: [&str; 3] = ["/bin/sh", "-c", "{{.Vars}} {{.Script}}"];
const DEFAULT_FORMAT: &str = "%s='%s' ";

/// The systems that `only_on` can name, in Go's words.
const SYSTEMS: [&str; 6] = [
    "darwin", "freebsd", "linux", "openbsd", "solaris", "windows",
];

/// What a `shell-local` block asks for.
#[derive(Clone, Debug)]
pub struct ShellLocal {
    /// The text of `inline`, shebang included.
    inline: Option<String>,
    scripts: Vec<PathBuf>,
    /// Sorted by name; includes Packer's own, but for the run's.
    variables: BTreeMap<String, String>,
    variable_format: String,
    execute_command: Vec<String>,
    valid_exit_codes: Vec<i32>,
    extension: String,
    /// Whether it is for other systems.
    skipped: bool,
    go_template: GoTemplateData,
}

/// Decodes the options of a `shell-local` provisioner.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn HostProvisioner>> {
    let decoded = ShellLocal::decode(arguments, context)?;
    Some(Box::new(decoded))
}

impl ShellLocal {
    /// Decodes and checks the options; none after adding at least one diagnostic.
    pub fn decode(arguments: &Arguments<'_>, context: &Context) -> Option<Self> {
        let command: Option<String> = arguments.optional("command");
        let inline: Option<Vec<String>> = arguments.optional("inline");
        let script: Option<String> = arguments.optional("script");
        let scripts: Option<Vec<String>> = arguments.optional("scripts");
        let shebang: Option<String> = arguments.optional("inline_shebang");
        let execute_command: Option<Vec<String>> = arguments.unrendered("execute_command");
        let valid_exit_codes: Vec<i64> = arguments.optional("valid_exit_codes").unwrap_or(vec![0]);
        let variable_format: Option<String> = arguments.optional("env_var_format");
        let extension: String = arguments.optional("tempfile_extension").unwrap_or_default();
        let only_on: Vec<String> = arguments.optional("only_on").unwrap_or_default();
        let variables = shell::variables(arguments, context);
        let codes = shell::exit_codes(arguments, &valid_exit_codes);
        // It concerns Windows.
        let _: Option<bool> = arguments.optional("use_linux_pathing");

        let mut valid = codes.is_some();
        let inline = inline.filter(|lines| !lines.is_empty());
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
                &["write the commands in `inline = [...]`, or name script files with `scripts = [...]`"],
            );
            valid = false;
        }
        for system in only_on.iter().filter(|it| !SYSTEMS.contains(&it.as_str())) {
            arguments.error(
                arguments.span("only_on"),
                format!("{system:?} is not a system that only_on can name"),
                &[&format!("systems are {}", SYSTEMS.join(", "))],
            );
            valid = false;
        }
        if extension.contains('/') {
            arguments.error(
                arguments.span("tempfile_extension"),
                "tempfile_extension must not contain a slash",
                &["it ends the name of the script, as \".sh\""],
            );
            valid = false;
        }
        let lines = inline.or(command.map(|command| vec![command]));
        let text = lines.map(|lines| shell::inline_script(&lines, shebang.as_deref()));
        let option = if script.is_some() {
            "script"
        } else {
            "scripts"
        };
        let mut paths = Vec::new();
        for script in script.into_iter().chain(scripts.into_iter().flatten()) {
            match shell::script_path(arguments, option, &script, context) {
                Some(path) => paths.push(path),
                None => valid = false,
            }
        }
        let decoded = Self {
            inline: text,
            scripts: paths,
            variables,
            variable_format: variable_format.unwrap_or_else(|| DEFAULT_FORMAT.to_owned()),
            execute_command: execute_command
                .filter(|words| !words.is_empty())
                .unwrap_or_else(|| DEFAULT_COMMAND.map(str::to_owned).into()),
            valid_exit_codes: codes.unwrap_or_default(),
            extension,
            skipped: !only_on.is_empty() && !only_on.iter().any(|system| system == "linux"),
            go_template: context.go_template.clone(),
        };
        if let Err(error) = decoded.command("script") {
            arguments.error(arguments.span("execute_command"), error.to_string(), &[]);
            valid = false;
        }
        valid.then_some(decoded)
    }

    /// Runs all scripts, one after the other; the first that fails ends it.
    pub fn execute(&self, host: &Host<'_>) -> Result<(), ProvisionError> {
        if self.skipped {
            (host.say)(Said::Note(
                "Skipping local shell script: only_on names other systems",
            ));
            return Ok(());
        }
        // Kept until it has run, and removed by its own destructor.
        let inline = match &self.inline {
            Some(text) => Some(self.temporary(text)?),
            None => None,
        };
        let scripts = inline.iter().map(|path| Cow::Borrowed(&**path as &Path));
        for script in scripts.chain(
            self.scripts
                .iter()
                .map(|path| Cow::Borrowed(path.as_path())),
        ) {
            self.execute_one(&script, host)?;
        }
        Ok(())
    }

    fn execute_one(&self, script: &Path, host: &Host<'_>) -> Result<(), ProvisionError> {
        let script = script.display().to_string();
        (host.say)(Said::Note(&format!("Running local shell script: {script}")));
        let code = host_command::run(
            &HostCommand {
                argv: self.command(&script)?,
                environment: vec![("PACKER_RUN_UUID".to_owned(), host.run_id.to_owned())],
                working_folder: host.working_folder.to_owned(),
                stdout: None,
            },
            &mut |stream, line| (host.say)(Said::Line(stream, line)),
            host.cancel,
        );
        match code {
            Ok(code) if self.valid_exit_codes.contains(&code) => Ok(()),
            Ok(_) | Err(_) if host.cancel.is_cancelled() => Err(ProvisionError::Interrupted),
            Ok(code) => Err(ProvisionError::Exit {
                code,
                allowed: self.valid_exit_codes.clone(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the text of `inline` to a file that can be executed.
    fn temporary(&self, text: &str) -> Result<tempfile::TempPath, ProvisionError> {
        let folder = std::env::temp_dir();
        let mut file = tempfile::Builder::new()
            .prefix("packer-shell")
            .suffix(&self.extension)
            .tempfile_in(&folder)
            .map_err(ProvisionError::write(&folder))?;
        file.write_all(text.as_bytes())
            .and_then(|()| fs::set_permissions(file.path(), fs::Permissions::from_mode(0o700)))
            .map_err(ProvisionError::write(file.path()))?;
        // An open descriptor for writing would make the script "text file busy".
        Ok(file.into_temp_path())
    }

    /// Renders `execute_command` for one script.
    fn command(&self, script: &str) -> Result<Vec<String>, ProvisionError> {
        let variables = shell::rendered_variables(&self.variable_format, &self.variables);
        let data = self
            .go_template
            .clone()
            .with("Vars", variables)
            .with("Script", script)
            .with("Command", script);
        let rendered = self.execute_command.iter().map(|word| {
            gotemplate::render(word, &data).map_err(|error| ProvisionError::GoTemplate {
                option: "execute_command",
                problem: error.to_string(),
            })
        });
        rendered.collect()
    }
}

/// Where and for whom scripts run.
pub struct Host<'a> {
    /// Where commands start.
    pub working_folder: &'a Path,
    /// Names this run.
    pub run_id: &'a str,
    /// Stops what runs.
    pub cancel: &'a crate::sandbox::Cancel,
    /// Takes what is said, as it comes.
    pub say: &'a dyn Fn(Said<'_>),
}

impl HostProvisioner for ShellLocal {
    fn kind(&self) -> &'static str {
        "shell-local"
    }

    fn run(&self, context: &HostContext<'_>) -> Result<(), ProvisionError> {
        self.execute(&Host {
            working_folder: context.working_folder,
            run_id: context.run_id,
            cancel: context.cancel,
            say: context.say,
        })
    }
}
