//! Steps: one provisioner in one build.

use super::names::{Names, build_values};
use super::planning::{finish, report_unknown};
use super::{Group, Settings};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::mask::Masker;
use crate::provision::{self, HostProvisioner, Input, Prepared, Provisioner};
use crate::sandbox::Network;
use crate::template::{Arguments, Component, SourceUse, Template};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How many files `inputs` may name.
const INPUT_LIMIT: usize = 100_000;

/// One provisioner in one build, checked.
#[derive(Debug)]
pub struct Step {
    /// Counts from 0.
    pub index: usize,
    /// The provisioner's type, and its name if it has one: `shell`, `shell.packages`.
    pub name: String,
    /// The name, with a number that tells it from others of that name before it. It survives
    /// edits elsewhere in the build better than the index does.
    pub id: String,
    /// The provisioner's block.
    pub span: SourceSpan,
    /// What it does, in one line: for the image's history, and for people.
    pub history: String,
    /// What it does.
    pub work: Work,
    /// A pause before each attempt.
    pub pause_before: Option<Duration>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// How many further attempts a failure is granted.
    pub max_retries: u32,
    /// Whether the build goes on, without the step's changes, when all attempts have failed.
    pub continue_on_error: bool,
}

/// What a step does, by where.
#[derive(Debug)]
pub enum Work {
    /// It makes a layer, in the sandbox.
    Layer(LayerStep),
    /// It works on this host, each time.
    Host(Box<dyn HostProvisioner>),
}

/// What makes a layer.
#[derive(Debug)]
pub struct LayerStep {
    /// What it does.
    pub provisioner: Box<dyn Provisioner>,
    /// Further files that it depends on.
    pub inputs: Vec<Input>,
    /// Whether the store may answer for it.
    pub cache: bool,
    /// What its commands can reach.
    pub network: Network,
}

/// Says that a provisioner has no image to work on, unless it works on the host; gives whether it
/// does.
pub fn report_no_image(
    component: &Component,
    source: &SourceUse,
    diagnostics: &Diagnostics,
) -> bool {
    let on_host = provision::host_kinds();
    let kind = component.kind.as_str();
    if on_host.contains(&kind) || !provision::kinds().contains(&kind) {
        return true;
    }
    diagnostics.push(
        Diagnostic::error(format!(
            "the provisioner {kind} has nothing to work on: the source {} makes no image",
            source.full_name()
        ))
        .at_with(component.kind_span, "works inside an image")
        .note(source.reference, "makes none")
        .help(format!(
            "use a provisioner that works on this host ({}), or leave this one out with `except = [{:?}]`",
            on_host.join(", "),
            source.full_name()
        )),
    );
    false
}

/// Plans one provisioner; none after an error.
pub fn plan_step(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    component: &Component,
    before: &[Step],
    diagnostics: &Diagnostics,
) -> Option<Step> {
    let before_errors = diagnostics.error_count();
    let kinds = provision::kinds();
    if !kinds.contains(&component.kind.as_str()) {
        let place = component.kind_span;
        report_unknown(
            Group::Provisioner,
            &component.kind,
            place,
            &kinds,
            diagnostics,
        );
        return None;
    }
    // Nothing is made yet that could have an ID: the build is all there is to name.
    let build = build_values(&names.full(), None, settings);
    let scope = template.scope(&names.scope(build));
    let arguments = template
        .arguments(&component.body, &scope, diagnostics)
        .rendering(names.go_template(template, settings));
    let on_host = provision::host_kinds().contains(&component.kind.as_str());
    let sandboxed = (!on_host).then(|| Sandboxed::decode(&arguments, settings));
    let context = provision::Context {
        working_folder: settings.working_folder.clone(),
        source_name: names.source_name.to_owned(),
        source_type: names.source_type.to_owned(),
        caller: Arc::clone(&settings.caller),
        go_template: names.go_template(template, settings),
    };
    let prepared = provision::prepare(&component.kind, &arguments, &context);
    let is_right = finish(arguments, diagnostics, before_errors);
    let name = component.display_name();
    let masker = Masker::of(template.secrets());
    let (work, history) = match (prepared.filter(|_| is_right)?, sandboxed) {
        (Prepared::Root(provisioner), Some(sandboxed)) => {
            if sandboxed.cache && !provisioner.changes_host() {
                warn_of_changing_calls(template, component, diagnostics);
            }
            let history = format!("{name}: {}", masker.mask(&provisioner.summary()));
            let layer = LayerStep {
                provisioner,
                inputs: sandboxed.inputs,
                cache: sandboxed.cache,
                network: sandboxed.network?,
            };
            (Work::Layer(layer), history)
        }
        (Prepared::Host(provisioner), _) => (Work::Host(provisioner), name.clone()),
        (Prepared::Root(_), None) => return None,
    };
    let same_name = before.iter().filter(|step| step.name == name).count();
    Some(Step {
        index: before.len(),
        id: format!("{name}#{}", same_name + 1),
        span: component.kind_span,
        history,
        name,
        work,
        pause_before: component.pause_before,
        timeout: component.timeout,
        max_retries: component.max_retries,
        continue_on_error: component.continue_on_error,
    })
}

/// The arguments that every provisioner in the sandbox has, beside Packer's.
struct Sandboxed {
    cache: bool,
    /// None after an error.
    network: Option<Network>,
    inputs: Vec<Input>,
}

impl Sandboxed {
    fn decode(arguments: &Arguments<'_>, settings: &Settings) -> Self {
        let cache = arguments.optional("cache").unwrap_or(true);
        let network: Option<String> = arguments.optional("network");
        let network = match network.as_deref() {
            None | Some("host") => Some(Network::Host),
            Some("none") => Some(Network::None),
            Some(other) => {
                arguments.error(
                    arguments.span("network"),
                    format!("network cannot be {other:?}"),
                    &["it is \"host\" (the default) or \"none\""],
                );
                None
            }
        };
        let patterns: Vec<String> = arguments.optional("inputs").unwrap_or_default();
        let mut inputs = Vec::new();
        for pattern in patterns {
            match expand(&pattern, &settings.working_folder) {
                Ok(found) => inputs.extend(found),
                Err(problem) => {
                    arguments.error(
                        arguments.span("inputs"),
                        problem,
                        &["inputs are paths or globs from the working directory; use \"${path.root}/…\" for files beside the template"],
                    );
                }
            }
        }
        Self {
            cache,
            network,
            inputs,
        }
    }
}

/// Says that the store can never have the result of a step whose arguments differ in each run.
fn warn_of_changing_calls(template: &Template, component: &Component, diagnostics: &Diagnostics) {
    for call in template.changing_calls(component) {
        let differs = format!("{} differs in each run", call.written);
        let warning = Diagnostic::warning(format!("this step can never be cached: {differs}"));
        let warning = match call.origin {
            None => warning.at(call.span),
            Some(origin) => warning.at(call.span).note(origin, "it is called here"),
        };
        diagnostics.push(warning.help(
            "give the value as a variable, which changes only when you say so; `cache = false` silences this warning",
        ));
    }
}

/// Finds the files and folders that `pattern` names, sorted.
fn expand(pattern: &str, working_folder: &Path) -> Result<Vec<Input>, String> {
    let whole = working_folder.join(pattern);
    // Labels begin where the pattern has its first wildcard, wherever the template lies.
    let fixed: PathBuf = whole
        .components()
        .take_while(|part| {
            !part
                .as_os_str()
                .to_string_lossy()
                .contains(['*', '?', '[', '{'])
        })
        .collect();
    let above = fixed.parent().map(Path::to_owned).unwrap_or_default();
    let label = |path: &Path| {
        path.strip_prefix(&above)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    if whole.exists() {
        return Ok(vec![Input {
            label: label(&whole),
            path: whole,
            is_generated: false,
        }]);
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Err(format!("there is no file or folder {pattern}"));
    }
    let glob = globset::GlobBuilder::new(&whole.display().to_string())
        .literal_separator(true)
        .build()
        .map_err(|error| format!("{pattern} is not a glob: {}", error.kind()))?
        .compile_matcher();
    let mut found = Vec::new();
    let mut pending = vec![fixed];
    let mut seen = 0;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > INPUT_LIMIT {
                return Err(format!("{pattern} covers more than {INPUT_LIMIT} files"));
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if glob.is_match(&path) {
                found.push(Input {
                    label: label(&path),
                    path,
                    is_generated: false,
                });
            }
        }
    }
    if found.is_empty() {
        return Err(format!("no file matches {pattern}"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
