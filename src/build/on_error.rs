//! What happens when a step has failed: `-on-error`.
//!
//! Packer asks this because a machine still runs. Here nothing runs any more and nothing has to be
//! taken down: the steps before the failed one are in the store, and what the failed step left is
//! kept to be looked at. So `cleanup` and `run-cleanup-provisioner` are the same, `abort` differs in that the
//! error-cleanup-provisioner is left out, and `ask` can run the step again, or show what it left.

use super::chain::Chain;
use super::event::{Event, Level};
use super::step::Bench;
use super::{failure, state};
use crate::plan::Step;
use crate::store::Scratch;

/// The value of `-on-error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
    /// Run the error-cleanup-provisioner, and fail
    #[default]
    Cleanup,
    /// Fail at once
    Abort,
    /// Ask what to do; the step can be run again
    Ask,
    /// The same as cleanup
    RunCleanupProvisioner,
}

/// What is done about a failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The error-cleanup-provisioner runs, then the build fails.
    CleanUp,
    /// The build fails.
    Abort,
    /// The step runs again.
    Retry,
}

/// Decides what is done about `step`, which has failed on `chain` and has left `left`.
pub fn decide(bench: &Bench<'_>, step: &Step, chain: &Chain, left: Option<&Scratch>) -> Decision {
    let environment = bench.environment;
    if environment.cancel.is_cancelled() {
        return Decision::Abort;
    }
    match environment.on_error {
        OnError::Cleanup | OnError::RunCleanupProvisioner => Decision::CleanUp,
        OnError::Abort => {
            if bench.build.error_cleanup.is_some() {
                environment.emit(Event::Notice {
                    build: Some(bench.build.name.clone()),
                    level: Level::Info,
                    text: "-on-error=abort: the error-cleanup-provisioner does not run".to_owned(),
                });
            }
            Decision::Abort
        }
        OnError::Ask => ask(bench, step, chain, left),
    }
}

fn ask(bench: &Bench<'_>, step: &Step, chain: &Chain, left: Option<&Scratch>) -> Decision {
    let environment = bench.environment;
    // What cannot be looked at is not offered.
    let left = left.filter(|_| environment.operator.is_at_terminal());
    let choices = match left {
        None => "[a] abort without cleanup, or [r] retry step?",
        Some(_) => "[a] abort without cleanup, [r] retry step, or [s] open a shell in it?",
    };
    let question = format!(
        "{}: step {} ({}) failed\n[c] Clean up and exit, {choices}",
        bench.build.name,
        step.index + 1,
        step.name
    );
    loop {
        let answer = environment.operator.ask(&question, &environment.cancel);
        // Whoever is not there cannot choose.
        let Some(answer) = answer else {
            return Decision::CleanUp;
        };
        let is_shell = answer.trim().eq_ignore_ascii_case("s");
        if let (true, Some(left)) = (is_shell, left) {
            if let Err(error) = state::show_left(bench, step, chain, left) {
                environment.emit(Event::Notice {
                    build: Some(bench.build.name.clone()),
                    level: Level::Warning,
                    text: failure::one_line(&error),
                });
            }
            continue;
        }
        match decision(&answer) {
            Some(decision) => return decision,
            None => environment.emit(Event::Notice {
                build: Some(bench.build.name.clone()),
                level: Level::Warning,
                text: format!("{:?} is none of the letters", answer.trim()),
            }),
        }
    }
}

/// What an answer means; none if it means nothing. As in Packer, there is no default.
fn decision(answer: &str) -> Option<Decision> {
    match answer.trim().to_ascii_lowercase().as_str() {
        "c" => Some(Decision::CleanUp),
        "a" => Some(Decision::Abort),
        "r" => Some(Decision::Retry),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_single_letters() {
        for (answer, expected) in [
            ("c", Some(Decision::CleanUp)),
            (" A\n", Some(Decision::Abort)),
            ("r", Some(Decision::Retry)),
            ("", None),
            ("retry", None),
        ] {
            assert_eq!(decision(answer), expected, "{answer:?}");
        }
    }
}
