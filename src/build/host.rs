//! Steps that work on this host: run each time, with nothing of them kept.

use super::BuildError;
use super::event::{Event, LogStream, StepPlace};
use super::step::Bench;
use crate::plan::Step;
use crate::provision::{HostContext, HostProvisioner, ProvisionError, Said};
use crate::sandbox::{Cancel, OutputStream};
use std::time::{Duration, Instant};

/// How often a limit looks whether the run was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a step of the host, with its retries.
pub fn step(
    bench: &Bench<'_>,
    step: &Step,
    place: &StepPlace,
    provisioner: &dyn HostProvisioner,
) -> Result<(), BuildError> {
    let environment = bench.environment;
    environment.emit(Event::StepStarted {
        place: place.clone(),
        key: None,
    });
    let begin = Instant::now();
    let attempts = bench.attempts(step, place, || {
        let work = |cancel: &Cancel| {
            let context = HostContext {
                working_folder: &environment.working_folder,
                run_id: &environment.run_id,
                cancel,
                operator: &*environment.operator,
                say: &|said| environment.emit(event(bench, place, said)),
            };
            provisioner.run(&context)
        };
        match step.timeout {
            None => Ok(work(&environment.cancel)?),
            Some(limit) => match limited(&environment.cancel, limit, work) {
                (Err(ProvisionError::Interrupted), true) => {
                    Err(BuildError::TimedOut { limit }.into())
                }
                (result, _) => Ok(result?),
            },
        }
    });
    attempts.map_err(|failure| *failure.error)?;
    environment.emit(Event::StepFinished {
        place: place.clone(),
        layer: None,
        seconds: begin.elapsed().as_secs_f64(),
    });
    Ok(())
}

/// What is said, as an event.
pub fn event(bench: &Bench<'_>, place: &StepPlace, said: Said<'_>) -> Event {
    let masker = &bench.plan.masker;
    let place = place.clone();
    match said {
        Said::Note(text) => Event::StepNote {
            place,
            text: masker.mask(text).into_owned(),
        },
        Said::Line(stream, line) => Event::StepOutput {
            place,
            stream: log_stream(stream),
            line: masker.mask(line).into_owned(),
        },
    }
}

/// The stream as events name it.
pub fn log_stream(stream: OutputStream) -> LogStream {
    match stream {
        OutputStream::Stdout => LogStream::Stdout,
        OutputStream::Stderr => LogStream::Stderr,
    }
}

/// Does `work`, which is cancelled with `cancel` or when `limit` has passed; says whether it was
/// the limit.
fn limited<T>(cancel: &Cancel, limit: Duration, work: impl FnOnce(&Cancel) -> T) -> (T, bool) {
    let inner = Cancel::default();
    let done = Cancel::default();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let begin = Instant::now();
            loop {
                let left = limit.saturating_sub(begin.elapsed());
                if done.wait(left.min(LOOK_EVERY)) {
                    return false;
                }
                if cancel.is_cancelled() || begin.elapsed() >= limit {
                    inner.cancel();
                    return !cancel.is_cancelled();
                }
            }
        });
        let result = work(&inner);
        done.cancel();
        (result, watcher.join().unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_ends_work_that_waits_and_says_so() {
        let long = Duration::from_secs(600);
        let run = Cancel::default();
        let wait = |cancel: &Cancel| cancel.wait(long);
        assert_eq!(limited(&run, Duration::from_millis(1), wait), (true, true));
        assert_eq!(limited(&run, long, |_| 7), (7, false));
        run.cancel();
        assert_eq!(limited(&run, long, wait), (true, false));
    }
}
