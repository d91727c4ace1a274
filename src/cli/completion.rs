//! Shell completion: `hardtack completion SHELL`, and the answers that its script asks for.
//!
//! The script calls hardtack with [`VARIABLE`] set whenever the user asks for completion, so that
//! names of builds and variables come from the template that is being typed about.

use super::arguments::{Arguments, Command};
use super::error::CommandError;
use super::output;
use super::registries::RegistryArguments;
use super::surroundings::Surroundings;
use super::template::{self, Looked, Request};
use super::variable_arguments::VariableArguments;
use super::version::VersionArguments;
use crate::sandbox::Confinement;
use crate::template::Template;
use anyhow::{Context as _, anyhow};
use clap::{Args, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::Shells;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The environment variable that holds the shell's name when completion is asked for.
pub const VARIABLE: &str = "HARDTACK_COMPLETE";

const HOW_TO_INSTALL: &str = "\
Completion is a line in your shell's start-up file.

bash, in ~/.bashrc:   source <(hardtack completion bash)
zsh, in ~/.zshrc:     source <(hardtack completion zsh)
fish:                 hardtack completion fish > ~/.config/fish/completions/hardtack.fish
";

/// `hardtack completion`.
#[derive(Args, Debug)]
pub struct CompletionArguments {
    /// The shell.
    #[arg(value_name = "SHELL", value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    pub shell: String,
}

/// Prints the script that makes a shell complete hardtack's arguments.
pub fn run(arguments: &CompletionArguments) -> Result<ExitCode, CommandError> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&arguments.shell)
        .ok_or_else(|| anyhow!("there is no completion for {}", arguments.shell))?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "hardtack", "hardtack", "hardtack", &mut script)
        .context("cannot write the script")?;
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Says how completion is installed, as Packer's `-autocomplete-install` would do it.
pub fn explain() -> Result<ExitCode, CommandError> {
    output::print(HOW_TO_INSTALL)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers the script of `shell`; `words` are what it calls hardtack with, the program's name first.
pub fn answer(shell: &OsStr, words: Vec<OsString>) -> Result<ExitCode, CommandError> {
    let shells = Shells::builtins();
    let shell = shell
        .to_str()
        .and_then(|name| shells.completer(name))
        .ok_or_else(|| anyhow!("there is no completion for {}", shell.display()))?;
    // What the user typed stands after `--`.
    let typed = words.into_iter().skip_while(|word| word != "--").skip(1);
    let typed: Vec<OsString> = typed.map(two_dashes).collect();
    let asked = Arguments {
        command: Command::Version(VersionArguments {}),
        store: None,
        version: None,
        registries: RegistryArguments::default(),
        isolation: Confinement::default(),
        machine_readable: false,
    };
    let surroundings = Arc::new(Surroundings::collect(&asked)?);
    let folder = surroundings.working_folder.clone();
    let names = Arc::new(Names {
        template: template_of(&typed, &folder),
        surroundings,
    });
    let mut answers = Vec::new();
    shell
        .write_complete(&mut with_names(names), typed, Some(&folder), &mut answers)
        .context("cannot complete")?;
    output::print(&String::from_utf8_lossy(&answers))?;
    Ok(ExitCode::SUCCESS)
}

/// Packer's one dash is as good as two.
fn two_dashes(word: OsString) -> OsString {
    let bytes = word.as_bytes();
    let is_long = bytes.len() > 2 && bytes[0] == b'-' && bytes[1].is_ascii_alphabetic();
    if !is_long {
        return word;
    }
    let mut rewritten = OsString::from("-");
    rewritten.push(&word);
    rewritten
}

/// The template that is being typed about: the last word that can be one, else the folder here.
fn template_of(typed: &[OsString], folder: &Path) -> PathBuf {
    let mut words = typed.iter().skip(2).rev();
    let named = words.find(|word| {
        let path = folder.join(word);
        !word.is_empty() && (path.is_dir() || path.is_file() && is_template(&path))
    });
    named.map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn is_template(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    name.ends_with(b".pkr.hcl") || name.ends_with(b".pkr.json")
}

/// The definitions of all arguments, with completion for paths and for a template's names.
fn with_names(names: Arc<Names>) -> clap::Command {
    let paths = || PathCompleter::any().filter(|path| path.is_dir() || is_template(path));
    Arguments::command().mut_subcommands(|command| {
        command.mut_args(|argument| {
            let names = names.clone();
            match argument.get_id().as_str() {
                "path" => argument.add(ArgValueCompleter::new(paths())),
                "only" | "except" => argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
                    names.builds(typed)
                })),
                "variables" | "values" => {
                    argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
                        names.variables(typed)
                    }))
                }
                _ => argument,
            }
        })
    })
}

/// Where names come from; the template is read when one is asked for.
struct Names {
    template: PathBuf,
    surroundings: Arc<Surroundings>,
}

impl Names {
    /// Names of builds for the last of the comma-separated patterns typed so far.
    fn builds(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let typed = typed.to_str().unwrap_or_default();
        let (before, last) = match typed.rfind(',') {
            Some(comma) => typed.split_at(comma + 1),
            None => ("", typed),
        };
        let template = self.look();
        let builds = template.iter().flat_map(Template::builds);
        let names = builds.flat_map(|build| {
            let prefix = build.name.as_ref().map(|name| format!("{name}."));
            let prefix = prefix.unwrap_or_default();
            let sources = build.uses.iter();
            sources.map(move |source| format!("{prefix}{}", source.full_name()))
        });
        names
            .filter(|name| name.starts_with(last))
            .map(|name| CompletionCandidate::new(format!("{before}{name}")))
            .collect()
    }

    /// `NAME=` for each variable.
    fn variables(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let typed = typed.to_str().unwrap_or_default();
        let template = self.look();
        let names = template.iter().flat_map(Template::variables);
        names
            .map(|(name, _)| format!("{name}="))
            .filter(|name| name.starts_with(typed))
            .map(CompletionCandidate::new)
            .collect()
    }

    fn look(&self) -> Option<Template> {
        let none = VariableArguments {
            values: Vec::new(),
            files: Vec::new(),
            use_sequential_evaluation: false,
        };
        let request = Request::to_look_at(&self.template, &none);
        let Looked { template, .. } = template::look(&request, &self.surroundings, false);
        template
    }
}
