//! The steps of a build: one after the other, each with its retries, and what follows a failure.

use super::assemble::StepHistory;
use super::chain::Chain;
use super::event::{Event, Level, StepPlace};
use super::failure::{self, Failure};
use super::on_error::{self, Decision};
use super::step::{Bench, StepFailure};
use super::{BuildError, again, host, kept, trees};
use crate::plan::{Step, Work};
use crate::store::Scratch;
use std::time::Instant;

/// All steps of a build, run.
pub struct Done {
    /// The layers, with those of the base.
    pub chain: Chain,
    /// What the image's history says, for each step that works on the image.
    pub history: Vec<StepHistory>,
    /// How many came from the store.
    pub cached: usize,
}

/// Runs all steps on the layers of `chain`.
pub fn run(bench: &Bench<'_>, chain: Chain) -> Result<Done, Failure> {
    let mut done = Done {
        chain,
        history: Vec::with_capacity(bench.build.steps.len()),
        cached: 0,
    };
    for step in &bench.build.steps {
        if let Err(Stopped { error, is_kept }) = run_one(bench, step, &mut done) {
            let text = failure::step_text(bench.plan, bench.build, step, &error, is_kept);
            // What has been built so far is kept, so that the next run begins here.
            let _ = done.chain.finish();
            return Err(Box::new((error, text)));
        }
    }
    Ok(done)
}

/// Why a build does not go on after a step.
struct Stopped {
    error: BuildError,
    /// Whether what the step has left can be looked at.
    is_kept: bool,
}

impl From<BuildError> for Stopped {
    fn from(error: BuildError) -> Self {
        Self {
            error,
            is_kept: false,
        }
    }
}

/// Runs one step, again for as long as the user wants it again.
fn run_one(bench: &Bench<'_>, step: &Step, done: &mut Done) -> Result<(), Stopped> {
    let environment = bench.environment;
    loop {
        if environment.debug {
            pause(bench, step)?;
        }
        let begin = Instant::now();
        let layers_before = done.chain.links().len();
        let result = match &step.work {
            Work::Layer(layer) => bench.step(step, layer, &mut done.chain),
            Work::Host(provisioner) => {
                let result = host::step(bench, step, &bench.place(step), &**provisioner);
                result.map(|()| false).map_err(StepFailure::from)
            }
        };
        let has_failed = match result {
            Ok(hit) => {
                done.cached += usize::from(hit);
                false
            }
            // The step has not failed: what it stands on is not there.
            Err(StepFailure { error, .. })
                if again::promised_layer(environment, &error).is_some() =>
            {
                return Err((*error).into());
            }
            Err(StepFailure { error, left }) => {
                environment.emit(Event::StepFailed {
                    place: bench.place(step),
                    reason: failure::one_line(&error),
                    seconds: begin.elapsed().as_secs_f64(),
                });
                if !(step.continue_on_error && error.is_worth_a_retry()) {
                    let decision = on_error::decide(bench, step, &done.chain, left.as_ref());
                    let result = match decision {
                        Decision::CleanUp => clean_up(bench, step, &done.chain, left.as_ref()),
                        Decision::Abort | Decision::Retry => Ok(()),
                    };
                    if decision == Decision::Retry {
                        trees::discard(environment, left.into_iter().collect());
                        continue;
                    }
                    let is_kept =
                        left.is_some_and(|left| kept::keep(bench, step, &done.chain, &error, left));
                    let error = match result {
                        Ok(()) => *error,
                        Err(cleanup) => BuildError::Cleanup {
                            cleanup: Box::new(cleanup),
                            original: error,
                        },
                    };
                    return Err(Stopped { error, is_kept });
                }
                trees::discard(environment, left.into_iter().collect());
                true
            }
        };
        if has_failed {
            environment.emit(Event::Notice {
                build: Some(bench.build.name.clone()),
                level: Level::Warning,
                text: format!(
                    "step {} ({}) failed; the build goes on without its changes, as continue_on_error says",
                    step.index + 1,
                    step.name
                ),
            });
        }
        if matches!(step.work, Work::Layer(_)) {
            done.history.push(StepHistory {
                created_by: step.history.clone(),
                has_layer: done.chain.links().len() > layers_before,
            });
        }
        return Ok(());
    }
}

/// Waits for Enter before a step, as `-debug` asks for.
fn pause(bench: &Bench<'_>, step: &Step) -> Result<(), BuildError> {
    let environment = bench.environment;
    let question = format!(
        "{}: pausing before step {} ({}). Press enter to continue.",
        bench.build.name,
        step.index + 1,
        step.name
    );
    // Where nobody can answer there is nothing to wait for, as in Packer.
    let _ = environment.operator.ask(&question, &environment.cancel);
    if environment.cancel.is_cancelled() {
        return Err(BuildError::Interrupted);
    }
    Ok(())
}

/// Runs the error-cleanup-provisioner on what a failed step left. Whatever it changes is dropped.
fn clean_up(
    bench: &Bench<'_>,
    failed: &Step,
    chain: &Chain,
    left: Option<&Scratch>,
) -> Result<(), BuildError> {
    let Some(cleanup) = &bench.build.error_cleanup else {
        return Ok(());
    };
    let place = StepPlace {
        name: format!("error-cleanup-provisioner {}", cleanup.name),
        ..bench.place(failed)
    };
    match &cleanup.work {
        Work::Layer(layer) => bench.on_failed(cleanup, layer, &place, chain, left),
        Work::Host(provisioner) => host::step(bench, cleanup, &place, &**provisioner),
    }
}
