//! The tests of an image, each in a root of its own: after the last step, before anything is done
//! with the image.
//!
//! That a test has passed is kept like the result of a step, under a key made of its content, the
//! layers and the configuration. A failure is kept nowhere.

use super::event::Event;
use super::lookup::start_state;
use super::try_image::{open_trees, unpack_image};
use super::{BuildError, Environment};
use crate::check::{self, Findings, Outcome, Test, TestResult};
use crate::diagnostic::Sources;
use crate::digest::DiffId;
use crate::image::Image;
use crate::image::config::ContainerConfig;
use crate::mask::Masker;
use crate::plan::key::{Ingredients, KeyMaterial};
use crate::plan::{Plan, PlannedBuild};
use crate::provision::StartState;
use crate::sandbox::emulation;
use crate::store::{Platform, StepRecord};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// What records call the kind of step that a test is.
const KIND: &str = "test";

/// Notes all tests as not run yet, so that a report names those that never do.
pub fn announce(environment: &Environment, plan: &Plan) {
    let reason = match environment.skip_tests {
        true => "--skip-tests",
        false => "the build failed before its tests",
    };
    for build in plan.builds.iter().filter(|build| !build.tests.is_empty()) {
        let results = skipped(&build.tests, reason, &plan.masker);
        environment.test_results.set(&build.name, results);
    }
}

/// Results of tests whose turn never comes, as the run is interrupted or the sandbox fails.
pub fn skipped_tests(tests: &[Test], masker: &Masker) -> Vec<TestResult> {
    skipped(tests, "the tests were stopped before it ended", masker)
}

fn skipped(tests: &[Test], reason: &str, masker: &Masker) -> Vec<TestResult> {
    let result = |test: &Test| TestResult {
        name: masker.mask_neutral(&test.name).into_owned(),
        outcome: Outcome::Skipped {
            reason: reason.to_owned(),
        },
        seconds: 0.0,
    };
    tests.iter().map(result).collect()
}

/// Runs the tests of a build on its image; errors when one fails, after all of them have run.
pub fn run(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    image: &Image,
) -> Result<(), BuildError> {
    if environment.skip_tests || build.tests.is_empty() {
        return Ok(());
    }
    let mut subject = Subject::new(environment, image);
    let mut results = Vec::with_capacity(build.tests.len());
    // What an interruption, or a sandbox that fails, leaves out.
    let missed = skipped_tests(&build.tests, &plan.masker);
    environment.test_results.set(&build.name, missed);
    // Told as each comes: what has failed has failed, whatever becomes of the rest.
    let mut keep = |index: usize, result: TestResult| {
        environment
            .test_results
            .put(&build.name, index, result.clone());
        results.push(result);
    };
    for (index, test) in build.tests.iter().enumerate() {
        let key = subject.material(test, &plan.masker).key();
        let (build, name) = (build.name.clone(), test.name.clone());
        if !environment.no_cache
            && let Some(hit) = environment.cache.known(&key)?
        {
            environment.store.use_step(&key, environment.now.into());
            environment.emit(Event::TestCached {
                build,
                test: name.clone(),
                key,
            });
            let result = TestResult {
                name: plan.masker.mask_neutral(&name).into_owned(),
                outcome: Outcome::Cached,
                seconds: hit.record.seconds,
            };
            keep(index, result);
            continue;
        }
        environment.emit(Event::TestStarted {
            build: build.clone(),
            test: name.clone(),
        });
        let result = subject.run(test, plan.sources(), &plan.masker)?;
        environment.emit(event(build, name, &result));
        if !result.has_failed() {
            let now = environment.now.to_string();
            let record = StepRecord::passed_test(key, &result.name, now, result.seconds);
            environment.store.put_step(&record)?;
        }
        keep(index, result);
    }
    verdict(&results)
}

/// Runs tests on an image that is there already; none of the results is kept. `told` gets each as
/// it comes, also when those after it cannot run.
pub fn try_tests(
    environment: &Environment,
    image: &Image,
    tests: &[Test],
    sources: &Sources,
    masker: &Masker,
    told: &mut dyn FnMut(TestResult),
) -> Result<(), BuildError> {
    let mut subject = Subject::new(environment, image);
    for test in tests {
        told(subject.run(test, sources, masker)?);
    }
    Ok(())
}

/// What a test's result depends on, on an image of these layers.
pub fn material(
    test: &Test,
    layers: &[DiffId],
    config: &ContainerConfig,
    platform: &Platform,
    masker: &Masker,
) -> KeyMaterial {
    KeyMaterial::new(Ingredients {
        layers,
        start: &StartState::default(),
        provisioner: KIND,
        options: json!({ "format": check::FORMAT, "test": test, "config": config }),
        mounts: Vec::new(),
        inputs: BTreeMap::new(),
        network: test.network.name(),
        platform: &platform.to_string(),
        epoch: 0,
        masker,
    })
}

/// An image that is tested.
struct Subject<'a> {
    environment: &'a Environment,
    image: &'a Image,
    platform: Platform,
    start: StartState,
    /// The trees of its layers, once a test has needed them.
    trees: Option<Vec<PathBuf>>,
}

impl<'a> Subject<'a> {
    fn new(environment: &'a Environment, image: &'a Image) -> Self {
        Self {
            environment,
            image,
            platform: image.config.platform(),
            start: start_state(&image.config.config, None),
            trees: None,
        }
    }

    fn material(&self, test: &Test, masker: &Masker) -> KeyMaterial {
        let layers: Vec<DiffId> = self.image.layers.iter().map(|it| it.diff_id).collect();
        let config = &self.image.config.config;
        material(test, &layers, config, &self.platform, masker)
    }

    fn run(
        &mut self,
        test: &Test,
        sources: &Sources,
        masker: &Masker,
    ) -> Result<TestResult, BuildError> {
        if test.runs_program() {
            emulation::check(&self.platform)?;
        }
        if test.needs_root() && self.trees.is_none() {
            self.trees = Some(unpack_image(self.environment, self.image)?);
        }
        let begin = Instant::now();
        let Findings { faults, output } = self.findings(test)?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(TestResult::of(
            &test.name, &faults, output, seconds, sources, masker,
        ))
    }

    fn findings(&self, test: &Test) -> Result<Findings, BuildError> {
        let (config, start) = (&self.image.config.config, &self.start);
        let trees = self.trees.as_ref().filter(|_| test.needs_root());
        let Some(trees) = trees else {
            return Ok(check::run(test, config, start, None)?);
        };
        let visit = |root: &_| check::run(test, config, start, Some(root));
        Ok(open_trees(self.environment, trees, test.network, visit)??)
    }
}

fn event(build: String, test: String, result: &TestResult) -> Event {
    let seconds = result.seconds;
    match &result.outcome {
        Outcome::Failed { failures, output } => Event::TestFailed {
            build,
            test,
            failures: failures.iter().map(ToString::to_string).collect(),
            output: output.clone(),
            seconds,
        },
        _ => Event::TestPassed {
            build,
            test,
            seconds,
        },
    }
}

fn verdict(results: &[TestResult]) -> Result<(), BuildError> {
    let failed: Vec<&TestResult> = results.iter().filter(|it| it.has_failed()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let reports: Vec<String> = failed.iter().map(|it| it.report() + "\n").collect();
    Err(BuildError::Tests {
        failed: failed.iter().map(|it| it.name.clone()).collect(),
        total: results.len(),
        report: reports.concat(),
    })
}
