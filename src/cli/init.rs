//! `hardtack init`: whether all that a template asks for is there, and what its bases hold.
//!
//! There is nothing to install. What a template's bases hold is written to a lock file beside it,
//! and compared with what that file says the next time. Builds take images of registries from it.

use super::build::open_store;
use super::error::CommandError;
use super::interrupt;
use super::lock_file::LockFile;
use super::output;
use super::surroundings::Surroundings;
use super::template::{self, Looked, Request};
use super::variable_arguments::VariableArguments;
use crate::base::{InputContext, Pins};
use crate::build::{Environment, requirements};
use crate::diagnostic::Diagnostics;
use crate::plan::lock::{Lock, Moved, Name};
use crate::plan::packer_components::of_plugin;
use crate::plan::{Plan, Step, plugins};
use crate::registry::Client;
use crate::template::{RequiredPlugin, Template};
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// `hardtack init`.
#[derive(Args, Debug)]
pub struct InitArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,

    /// Move to what the tags mean now, and accept what has changed since the lock file was written.
    #[arg(long)]
    pub upgrade: bool,

    /// Accepted for Packer's sake: there are no plugins to install again.
    #[arg(long, hide = true)]
    pub force: bool,
}

/// Runs the command.
pub fn run(
    arguments: &InitArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let request = Request::to_look_at(&arguments.path, &arguments.variables);
    let looked = template::look(&request, surroundings, surroundings.color);
    if let (true, Some(template)) = (looked.has_unset, &looked.template) {
        return without_values(template, &looked, surroundings);
    }
    let checked = template::check(request, surroundings, surroundings.color);
    checked.print_messages(true);
    let plan = checked.plan.ok_or_else(CommandError::reported)?;
    let mut text = String::new();
    for plugin in plan.required_plugins() {
        text += &describe(plugin);
    }
    let file = LockFile::of(&arguments.path, surroundings);
    let locked = file.read(surroundings, &checked.masker)?;
    let pins = match (&locked, arguments.upgrade) {
        (Some(lock), false) => lock.pins(false),
        _ => Pins::default(),
    };
    let mut environment =
        surroundings.build_environment(open_store(surroundings)?, crate::ui::silent());
    environment.cancel = interrupt::cancel_on_signals();
    environment.registries = Client::new(surroundings.registry_settings(&environment.cancel));
    environment.pins = Arc::new(pins);
    let found = look_at_inputs(&plan, &environment, file.folder())?;
    let changes = locked.clone().unwrap_or_default().changes(&found);
    let moved: Vec<&Moved> = changes
        .iter()
        .filter(|it| it.from.is_some() && it.to.is_some())
        .collect();
    if !moved.is_empty() && !arguments.upgrade {
        let list: Vec<String> = moved.iter().map(|moved| line_of(moved)).collect();
        let error = anyhow!(
            "{} has other digests:\n{}",
            file.shown().display(),
            list.concat().trim_end()
        );
        return Err(CommandError::user(error)
            .hint("run `hardtack init -upgrade` if the bases were meant to change"));
    }
    for moved in &changes {
        text += &line_of(moved);
    }
    if changes.is_empty() && (locked.is_some() || found == Lock::default()) {
        text += "Nothing has changed.\n";
    } else {
        file.write(&found)?;
        let _ = writeln!(text, "Wrote {}.", file.shown().display());
    }
    output::print(&checked.masker.mask_neutral(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at what can be known while variables have no values: the plugins.
fn without_values(
    template: &Template,
    looked: &Looked,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let diagnostics = Diagnostics::new();
    plugins::check(template, &diagnostics);
    let is_right = !diagnostics.has_errors();
    template::print_diagnostics(
        diagnostics,
        template.sources(),
        surroundings.color,
        &looked.masker,
    );
    if !is_right {
        return Err(CommandError::reported());
    }
    let plugins = template.required_plugins().iter().map(describe);
    let text = plugins.collect::<String>()
        + "The bases were not looked at, since variables have no values; give them with -var.\n";
    output::print(&looked.masker.mask_neutral(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what of a plugin is built in.
pub fn describe(plugin: &RequiredPlugin) -> String {
    let components = of_plugin(plugins::type_of(plugin));
    let (built_in, missing): (Vec<_>, Vec<_>) =
        components.partition(|(group, kind)| group.built_in().contains(kind));
    let list = |components: &[(crate::plan::Group, &str)]| -> String {
        let words: Vec<String> = components
            .iter()
            .map(|(group, kind)| format!("{group} {kind}"))
            .collect();
        words.join(", ")
    };
    let mut text = format!("{} ({}): ", plugin.name, plugin.source);
    text += &match (built_in.is_empty(), missing.is_empty()) {
        (true, true) => "not supported".to_owned(),
        (true, false) => format!("not supported yet are {}", list(&missing)),
        (false, true) => format!("built in are {}", list(&built_in)),
        (false, false) => format!(
            "built in are {}; not supported yet are {}",
            list(&built_in),
            list(&missing)
        ),
    };
    text + "\n"
}

/// What the bases of a plan hold, and what its steps require from elsewhere; names of files are told
/// from `folder`.
pub fn look_at_inputs(
    plan: &Plan,
    environment: &Environment,
    folder: &Path,
) -> Result<Lock, CommandError> {
    let context = &InputContext {
        store: &environment.store,
        registries: &environment.registries,
        pins: &environment.pins,
    };
    let mut lock = Lock::default();
    for build in &plan.builds {
        for requirement in build.steps.iter().filter_map(Step::requirement) {
            let failed = || format!("{}: cannot find out what a step requires", build.name);
            let installed = requirements::content(environment, requirement);
            let installed = installed.map_err(|error| {
                let hint = error.hint();
                let error = CommandError::user(anyhow::Error::new(error).context(failed()));
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            })?;
            let name = requirement.name().with_context(failed)?;
            lock.insert_requirement(name, installed);
        }
        let Some(image) = build.image() else {
            continue;
        };
        let input = image
            .base
            .input(context)
            .with_context(|| format!("{}: cannot find out what the base holds", build.name))?;
        if let Some(input) = input {
            lock.insert(Name::of(image.base.kind(), &input, folder), input.digest);
        }
    }
    Ok(lock)
}

/// A line that tells how an entry of the lock has moved.
pub fn line_of(moved: &Moved) -> String {
    match (moved.from, moved.to) {
        (None, Some(to)) => format!("{}: {to}\n", moved.name),
        (Some(_), None) => format!("{}: not used any more\n", moved.name),
        (Some(from), Some(to)) => format!("{}: {from} -> {to}\n", moved.name),
        (None, None) => String::new(),
    }
}
