//! What the user is told when a build fails: where in the template, why, and what to do next.

use super::BuildError;
use crate::diagnostic::{Colours, Diagnostic, SourceSpan};
use crate::plan::{Plan, PlannedBuild, Step, Work};
use std::error::Error;

/// An error and the whole message for the user.
pub type Failure = Box<(BuildError, String)>;

/// The message for an error that is not one of a step.
pub fn text(plan: &Plan, build: &PlannedBuild, error: &BuildError) -> String {
    if let BuildError::Tests { report, .. } = error {
        let summary = Diagnostic::error(one_line(error))
            .help("nothing was done with the image, and the build's name stands for what it stood for before")
            .help(format!(
                "`hardtack shell PATH --build {}` opens a shell in what was tested",
                build.name
            ));
        return report.clone() + &summary.render(plan.sources(), Colours::Off);
    }
    let (span, label) = match error {
        BuildError::Base { .. } | BuildError::Dependency { .. } => {
            (build.source_span, format!("the source of {}", build.name))
        }
        BuildError::PostProcessor { span, .. } => (*span, format!("of {}", build.name)),
        _ => (build.span, format!("in {}", build.name)),
    };
    render(plan, error, span, &label, hints(error))
}

/// The message for an error of a step; `is_kept` says whether what it has left can be looked at.
pub fn step_text(
    plan: &Plan,
    build: &PlannedBuild,
    step: &Step,
    error: &BuildError,
    is_kept: bool,
) -> String {
    // What is to be mended is the step, not what has cleaned up after it.
    let first = match error {
        BuildError::Cleanup { original, .. } => original,
        error => error,
    };
    let of_step = match (first, &step.work) {
        (BuildError::Exit { code, .. }, Work::Layer(layer)) => layer.provisioner.hint(*code),
        _ => None,
    };
    let mut help = of_step.map_or_else(|| hints(first), |hint| vec![hint]);
    if first.is_worth_a_retry() {
        help.push(match step.index {
            0 => "mend the step and run the same command again".to_owned(),
            1 => "mend the step and run the same command again: the step before it is kept"
                .to_owned(),
            count => format!(
                "mend the step and run the same command again: the {count} steps before it are kept"
            ),
        });
    }
    if is_kept {
        help.push(format!(
            "`hardtack shell PATH --failed --build {}` shows what it has left",
            build.name
        ));
    }
    let label = format!(
        "step {} of {} of {}",
        step.index + 1,
        build.steps.len(),
        build.name
    );
    render(plan, error, step.span, &label, help)
}

/// The error and its causes in one line.
pub fn one_line(error: &BuildError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn render(
    plan: &Plan,
    error: &BuildError,
    span: SourceSpan,
    label: &str,
    help: Vec<String>,
) -> String {
    let mut diagnostic = Diagnostic::error(one_line(error)).at_with(span, label);
    for line in help {
        diagnostic = diagnostic.help(line);
    }
    diagnostic.render(plan.sources(), Colours::Off)
}

fn indented(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What to do about an error that has a known remedy.
fn hints(error: &BuildError) -> Vec<String> {
    use crate::base::BaseError;
    use crate::postprocess::PostProcessError;
    let mut hints = Vec::new();
    match error {
        BuildError::Base {
            source: BaseError::MissingProgram { remedy, .. },
            ..
        } => {
            hints.push((*remedy).to_owned());
        }
        BuildError::Base {
            source: BaseError::ProgramFailed { lines, .. },
            ..
        } => {
            hints.push(format!(
                "the last lines that it wrote:\n{}",
                indented(lines)
            ));
        }
        BuildError::Base {
            source: BaseError::Name { .. },
            ..
        } => {
            hints.push("`hardtack images` lists the names that there are".to_owned());
        }
        BuildError::Base {
            source: BaseError::NotLocked { .. },
            ..
        } => {
            hints.push("run `hardtack init`, or build without --locked".to_owned());
        }
        BuildError::Base {
            source: BaseError::UnknownReference { reference },
            ..
        } => {
            hints.push(format!(
                "it was looked for in the registry {}, since the store has no image of that name; `hardtack images` lists those",
                reference.repository.registry
            ));
        }
        BuildError::Base {
            source: BaseError::Sandbox(source),
            ..
        }
        | BuildError::Sandbox(source)
        | BuildError::Unpack { source, .. } => hints.extend(source.hint()),
        BuildError::PostProcessor { source, .. }
            if matches!(**source, PostProcessError::NoFiles { .. }) =>
        {
            hints.push(
                "put it into a `post-processors` block, after one that writes files, as oci-archive"
                    .to_owned(),
            );
        }
        BuildError::NothingFailed => hints.push(
            "a step that fails is kept until its build succeeds or it is pruned, but nothing is kept of one that has left a secret, or that works on this host; `--before STEP` opens the state that a step begins with"
                .to_owned(),
        ),
        BuildError::Exit { code: 127, .. } => hints.push(
            "a shell step needs /bin/sh and the commands that it names inside the base".to_owned(),
        ),
        error => hints.extend(error.hint()),
    }
    hints
}
