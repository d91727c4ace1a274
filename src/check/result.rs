//! Results: what became of tests, as texts that can be shown, kept and sent.

use super::Fault;
use crate::diagnostic::{Colours, Diagnostic, Sources};
use crate::mask::Masker;
use crate::text;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Wall-clock seconds; of a result that was kept, those that it took then.
    pub seconds: f64,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// All is as expected.
    Passed,
    /// It has passed before with the same image.
    Cached,
    /// Something is not as expected.
    Failed {
        /// All that is not.
        failures: Vec<Failure>,
        /// The last lines that its commands wrote.
        output: Vec<String>,
    },
    /// It did not run.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// A check that failed. Its texts hold no secrets, and do nothing to a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What was looked at.
    pub check: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// Where the expectation is written: `file:line:column`.
    pub place: String,
    /// The whole message with the lines of the file, ready to be shown.
    #[serde(skip)]
    pub message: String,
}

impl TestResult {
    /// The result of a test that ran.
    pub fn of(
        name: &str,
        faults: &[Fault],
        output: Vec<String>,
        seconds: f64,
        sources: &Sources,
        masker: &Masker,
    ) -> Self {
        let masked = |text: &str| masker.mask_neutral(text).into_owned();
        let failures: Vec<Failure> = faults
            .iter()
            .map(|fault| Failure {
                check: masked(&fault.what),
                expected: masked(&fault.expected),
                found: masked(&fault.found),
                place: masked(&sources.locate(fault.place)),
                message: masked(
                    &Diagnostic::error(format!("test {name:?}: {fault}"))
                        .at(fault.place)
                        .render(sources, Colours::Off),
                ),
            })
            .collect();
        let outcome = match failures.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed {
                failures,
                output: output.iter().map(|line| masked(line)).collect(),
            },
        };
        Self {
            name: masked(name),
            outcome,
            seconds,
        }
    }

    /// Whether something is not as expected.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// All failures in full, and what its commands wrote; empty if there are none.
    pub fn report(&self) -> String {
        let Outcome::Failed { failures, output } = &self.outcome else {
            return String::new();
        };
        let mut report = String::new();
        for failure in failures {
            report.push_str(failure.message.trim_end());
            report.push('\n');
        }
        if !output.is_empty() {
            report.push_str("  the last lines that its commands wrote:\n");
            for line in output {
                report.push_str("    ");
                report.push_str(line);
                report.push('\n');
            }
        }
        text::neutralise(&report).into_owned()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            expected,
            found,
            place,
            ..
        } = self;
        write!(
            formatter,
            "{check}: expected {expected}, found {found} ({place})"
        )
    }
}

/// What became of the tests of each build of a run. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Results(Arc<Mutex<BTreeMap<String, Vec<TestResult>>>>);

impl Results {
    /// Tells what became of all tests of a build; what was told before is replaced.
    pub fn set(&self, build: &str, results: Vec<TestResult>) {
        self.lock().insert(build.to_owned(), results);
    }

    /// Tells what became of one of the tests of a build, all of which have been told of.
    pub fn put(&self, build: &str, index: usize, result: TestResult) {
        let mut results = self.lock();
        let of_build = results.get_mut(build);
        if let Some(place) = of_build.and_then(|results| results.get_mut(index)) {
            *place = result;
        }
    }

    /// The results by build.
    pub fn by_build(&self) -> BTreeMap<String, Vec<TestResult>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<TestResult>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_before_the_others_are_there() {
        let result = |name: &str, outcome| TestResult {
            name: name.to_owned(),
            outcome,
            seconds: 0.0,
        };
        let skipped = || Outcome::Skipped {
            reason: "stopped".to_owned(),
        };
        let results = Results::default();
        results.set(
            "web",
            vec![result("fails", skipped()), result("slow", skipped())],
        );
        let failed = Outcome::Failed {
            failures: Vec::new(),
            output: Vec::new(),
        };
        results.put("web", 0, result("fails", failed));
        let known = &results.by_build()["web"];
        assert!(known[0].has_failed());
        assert_eq!(known[1].outcome, skipped());
    }
}
