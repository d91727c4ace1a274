//! Steps: one provisioner in one build.

use super::mount::StepMount;
use super::names::{Names, build_values};
use super::planning::{finish, report_unknown};
use super::sandboxed::Sandboxed;
use super::{Group, PlannedBuild, Settings};
use crate::base::StartChanges;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::mask::Masker;
use crate::provision::{self, HostProvisioner, Input, Prepared, Provisioner, Requirement};
use crate::sandbox::{Limits, Network};
use crate::template::{Component, SourceUse, Template};
use std::sync::Arc;
use std::time::Duration;

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

impl Step {
    /// What it takes from elsewhere, pinned by the lock file.
    pub fn requirement(&self) -> Option<&dyn Requirement> {
        match &self.work {
            Work::Layer(layer) => layer.provisioner.requirement(),
            Work::Host(_) => None,
        }
    }
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
    /// What is mounted while it runs.
    pub mounts: Vec<StepMount>,
    /// What its commands may use.
    pub limits: Limits,
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

/// Plans one provisioner; none after an error. `start` is what its source says of all steps.
pub fn plan_step(
    (template, settings): (&Template, &Settings),
    names: &Names<'_>,
    component: &Component,
    before: &[Step],
    start: &StartChanges,
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
    let sandboxed = (!on_host).then(|| Sandboxed::decode(&arguments, settings, start));
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
                mounts: sandboxed.mounts,
                limits: sandboxed.limits,
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

/// Says what this host lacks for steps that are to run: those of builds that are left out need
/// nothing.
pub fn warn_of_lacks(builds: &[PlannedBuild], diagnostics: &Diagnostics) {
    let steps = builds.iter().flat_map(|build| &build.steps);
    let cleanups = builds
        .iter()
        .filter_map(|build| build.error_cleanup.as_ref());
    for step in steps.chain(cleanups) {
        if let Work::Layer(layer) = &step.work
            && let Some(lack) = layer.provisioner.lack()
        {
            diagnostics.push(lack.at(step.span));
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
