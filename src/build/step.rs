//! One step: found in the store, or run in the sandbox and turned into a layer.

use super::chain::{Blob, Chain, Link, Origin};
use super::event::{Event, LayerSummary, Level, StepPlace};
use super::lookup::{self, Ground};
use super::packing::{Job, Packing};
use super::{BuildError, Environment, host, mounts, requirements, trees};
use crate::cache::Hit;
use crate::digest::ChainId;
use crate::plan::key::KeyMaterial;
use crate::plan::{LayerStep, Plan, PlannedBuild, Step};
use crate::provision::{HostContext, REQUIREMENT, Said, StartState};
use crate::sandbox::emulation;
use crate::sandbox::{
    Action, LineSplitter, OpenRoot, OutputStream, StepOutcome, StepReport, StepSpec,
};
use crate::store::{Platform, Scratch, StepRecord};
use std::collections::VecDeque;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many of a step's last lines are kept for the record.
const KEPT_LINES: usize = 20;
/// How much of one line is kept.
const KEPT_LINE_LENGTH: usize = 4096;

/// What all steps of a build stand on and what they need to know.
pub struct Bench<'a> {
    /// What all builds share.
    pub environment: &'a Arc<Environment>,
    /// The plan.
    pub plan: &'a Plan,
    /// The build.
    pub build: &'a PlannedBuild,
    /// What a command finds when it starts.
    pub start: &'a StartState,
    /// Seconds since 1970.
    pub epoch: i64,
    /// What is built for.
    pub platform: &'a Platform,
}

/// A step that has failed.
pub struct StepFailure {
    /// Why.
    pub error: Box<BuildError>,
    /// What it left, if somebody wants to see it: a folder with `fs`, an overlay's upper.
    pub left: Option<Scratch>,
}

impl<E: Into<BuildError>> From<E> for StepFailure {
    fn from(error: E) -> Self {
        Self {
            error: Box::new(error.into()),
            left: None,
        }
    }
}

impl Bench<'_> {
    /// Names a step for events.
    pub fn place(&self, step: &Step) -> StepPlace {
        StepPlace {
            build: self.build.name.clone(),
            step: step.index + 1,
            steps: self.build.steps.len(),
            name: step.name.clone(),
        }
    }

    /// Brings one step's layer onto the chain; says whether it came from the store.
    pub fn step(
        &self,
        step: &Step,
        layer: &LayerStep,
        chain: &mut Chain,
    ) -> Result<bool, StepFailure> {
        let environment = self.environment;
        let layers = chain.diff_ids();
        let ground = Ground {
            layers: &layers,
            start: self.start,
            epoch: self.epoch,
            platform: self.platform,
        };
        let material = lookup::material(environment, self.plan, layer, &ground)?;
        let key = material.key();
        let is_shared = lookup::is_shared(layer, &material);
        if let Some(hit) = lookup::known(environment, layer, &key)? {
            self.take(step, hit, is_shared, chain);
            self.remember(step, &material)?;
            return Ok(true);
        }
        let lock = trees::lock(environment, "step", &key.0.hex(), || {
            environment.emit(Event::StepWaiting {
                place: self.place(step),
                cache: None,
            });
        })?;
        // Whoever held the lock has probably left the result.
        if let Some(hit) = lookup::found(environment, layer, &material)? {
            self.take(step, hit, is_shared, chain);
            self.remember(step, &material)?;
            return Ok(true);
        }

        environment.emit(Event::StepStarted {
            place: self.place(step),
            key: Some(key),
        });
        let begin = Instant::now();
        let trees = trees::materialise(environment, chain)?;
        let place = self.place(step);
        let (report, tree, log) = self.attempts(step, &place, || {
            self.attempt(step, layer, &place, &trees, true)
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        if environment.no_cache {
            environment.cache.replace(&key);
        }
        let summary = report.diff_id.map(|diff_id| LayerSummary {
            diff_id,
            bytes: Some(report.tar_size),
        });
        match report.diff_id {
            None => {
                trees::discard(environment, vec![tree]);
                environment.store.put_step(&StepRecord {
                    key,
                    layer: None,
                    provisioner: step.name.clone(),
                    log,
                    created: environment.now.to_string(),
                    seconds,
                    epoch: None,
                    source: None,
                    private: !is_shared,
                    shared: Vec::new(),
                })?;
                if is_shared {
                    environment.cache.made(&self.build.name, key);
                }
            }
            Some(diff_id) => {
                let namespace = environment.sandbox.get()?.tree_namespace();
                let name = ChainId::of(&layers)
                    .map_or(ChainId::base(diff_id), |below| below.child(diff_id));
                let tree = trees::commit(environment, tree, &namespace, &name)?;
                let job = Job {
                    tree,
                    diff_id,
                    epoch: self.epoch,
                    key,
                    provisioner: step.name.clone(),
                    log,
                    seconds,
                    lock,
                    shared_by: is_shared.then(|| self.build.name.clone()),
                };
                chain.push(Link {
                    diff_id,
                    blob: Blob::Packing(Packing::start(environment, job)),
                    origin: Some(Origin {
                        step: step.name.clone(),
                        key,
                        cached: false,
                    }),
                });
            }
        }
        self.remember(step, &material)?;
        environment.emit(Event::StepFinished {
            place: self.place(step),
            layer: summary,
            seconds,
        });
        Ok(false)
    }

    /// Keeps what the key was made of, so that a later miss can be explained.
    fn remember(&self, step: &Step, material: &KeyMaterial) -> Result<(), BuildError> {
        let store = &self.environment.store;
        let document = material.document();
        if store.history(&self.build.name, &step.id)?.as_ref() != Some(document) {
            store.put_history(&self.build.name, &step.id, document.clone())?;
        }
        Ok(())
    }

    /// Puts the layer of an earlier run onto the chain.
    fn take(&self, step: &Step, hit: Hit, is_shared: bool, chain: &mut Chain) {
        let Hit { record, from } = hit;
        let key = record.key;
        let environment = self.environment;
        environment.store.use_step(&key, environment.now.into());
        if is_shared {
            environment.cache.made(&self.build.name, key);
        }
        let summary = record.layer.as_ref().map(|layer| LayerSummary {
            diff_id: layer.diff_id,
            bytes: None,
        });
        environment.emit(Event::StepCached {
            place: self.place(step),
            key,
            layer: summary,
            from: from.map(|repository| repository.to_string()),
        });
        if let Some(layer) = record.layer {
            chain.push(Link {
                diff_id: layer.diff_id,
                blob: Blob::Stored(layer),
                origin: Some(Origin {
                    step: step.name.clone(),
                    key,
                    cached: true,
                }),
            });
        }
    }

    /// Runs an error-cleanup-provisioner on what a failed step left, on top of the layers below.
    pub fn on_failed(
        &self,
        cleanup: &Step,
        layer: &LayerStep,
        place: &StepPlace,
        chain: &Chain,
        left: Option<&Scratch>,
    ) -> Result<(), BuildError> {
        let environment = self.environment;
        environment.emit(Event::StepStarted {
            place: place.clone(),
            key: None,
        });
        let begin = Instant::now();
        let mut trees = trees::materialise(environment, chain)?;
        let upper = left.map(|left| left.path().join("fs"));
        trees.extend(upper.filter(|upper| upper.is_dir()));
        let attempts = self.attempts(cleanup, place, || {
            self.attempt(cleanup, layer, place, &trees, false)
        });
        let (_, tree, _) = attempts.map_err(|failure| *failure.error)?;
        trees::discard(environment, vec![tree]);
        environment.emit(Event::StepFinished {
            place: place.clone(),
            layer: None,
            seconds: begin.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    /// Makes attempts at a step until one succeeds or its retries are used up; gives the last
    /// failure then.
    pub fn attempts<T>(
        &self,
        step: &Step,
        place: &StepPlace,
        mut attempt: impl FnMut() -> Result<T, StepFailure>,
    ) -> Result<T, StepFailure> {
        let mut number = 1;
        loop {
            if let Some(pause) = step.pause_before {
                self.pause(pause)?;
            }
            match attempt() {
                Err(failure) if number <= step.max_retries && failure.error.is_worth_a_retry() => {
                    number += 1;
                    self.environment.emit(Event::StepRetried {
                        place: place.clone(),
                        attempt: number,
                        reason: failure.error.to_string(),
                    });
                    trees::discard(self.environment, failure.left.into_iter().collect());
                }
                result => return result,
            }
        }
    }

    /// Waits, unless the run is cancelled.
    fn pause(&self, duration: Duration) -> Result<(), BuildError> {
        if self.environment.cancel.wait(duration) {
            Err(BuildError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Runs a step once, on a fresh upper; gives what came of it with its last lines. Without
    /// `keep_upper` the caller drops the upper, whatever came of it.
    fn attempt(
        &self,
        step: &Step,
        layer: &LayerStep,
        place: &StepPlace,
        trees: &[PathBuf],
        keep_upper: bool,
    ) -> Result<(StepReport, Scratch, String), StepFailure> {
        let environment = self.environment;
        let files = environment.store.scratch()?;
        let tree = environment.store.scratch()?;
        if let Some(requirement) = layer.provisioner.requirement() {
            let folder = requirements::folder(environment, requirement)?;
            let link = files.path().join(REQUIREMENT);
            symlink(folder, &link).map_err(BuildError::file("create", &link))?;
        }
        let actions = layer.provisioner.actions(files.path(), self.start)?;
        if actions.iter().any(Action::runs_program) {
            emulation::check(self.platform)?;
        }
        let mut furnished = mounts::root(
            environment,
            &self.plan.given,
            Some(layer),
            trees.to_vec(),
            tree.path().to_owned(),
            &|cache| {
                environment.emit(Event::StepWaiting {
                    place: place.clone(),
                    cache: Some(cache.to_owned()),
                });
            },
        )?;
        if !keep_upper {
            // What is dropped in any case need not be searched.
            furnished.root.secrets.clear();
        }
        let spec = StepSpec {
            root: furnished.root.clone(),
            actions,
            timeout: step.timeout,
            epoch: self.epoch,
            keep_failed: keep_upper,
        };
        let lines = Mutex::new(LastLines::default());
        let masker = &self.plan.masker;
        let mut splitter = LineSplitter::default();
        let say = |stream: OutputStream, line: &str| {
            // The store keeps the last lines, and must not keep what is sensitive.
            let line = masker.mask(line).into_owned();
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(&line);
            environment.emit(Event::StepOutput {
                place: place.clone(),
                stream: host::log_stream(stream),
                line,
            });
        };
        let mut emit =
            |stream: OutputStream, line: &[u8]| say(stream, &String::from_utf8_lossy(line));
        let mut output =
            |stream: OutputStream, bytes: &[u8]| splitter.feed(stream, bytes, &mut emit);
        let sandbox = environment.sandbox.get()?;
        let (report, visited) = match layer.provisioner.visitor() {
            None => {
                let report = sandbox.run_step(&spec, &mut output, &environment.cancel);
                (report, Ok(()))
            }
            Some(visitor) => {
                let visit = |root: &OpenRoot| {
                    let context = HostContext {
                        working_folder: &environment.working_folder,
                        run_id: &environment.run_id,
                        cancel: root.closed(),
                        operator: &*environment.operator,
                        say: &|said| match said {
                            Said::Line(stream, line) => say(stream, line),
                            Said::Note(_) => environment.emit(host::event(self, place, said)),
                        },
                    };
                    let visited = visitor.visit(root, self.start, files.path(), &context);
                    (visited.is_ok(), visited)
                };
                let cancel = &environment.cancel;
                match sandbox.run_open_step(&spec, visit, &mut output, cancel) {
                    Ok((report, visited)) => (Ok(report), visited),
                    Err(error) => (Err(error), Ok(())),
                }
            }
        };
        splitter.finish(&mut emit);
        let lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        for note in report.iter().flat_map(|report| &report.notes) {
            environment.note(note);
        }
        for reached in report.iter().flat_map(|report| &report.reached) {
            environment.emit(Event::Notice {
                build: Some(self.build.name.clone()),
                level: Level::Warning,
                text: reached.clone(),
            });
        }
        let result = match report {
            Ok(report) => match report.outcome {
                StepOutcome::Done => Ok(report),
                StepOutcome::Abandoned => Err(match visited {
                    Err(error) => error.into(),
                    Ok(()) => BuildError::Interrupted,
                }),
                StepOutcome::Failed { code, ref allowed } => Err(BuildError::Exit {
                    code,
                    allowed: allowed.clone(),
                }),
                StepOutcome::KilledAtLimit => Err(BuildError::KilledAtLimit {
                    limit: layer.limits.memory.unwrap_or_default(),
                }),
                StepOutcome::TimedOut => Err(BuildError::TimedOut {
                    limit: step.timeout.unwrap_or_default(),
                }),
                StepOutcome::Cancelled => Err(BuildError::Interrupted),
            },
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(report) => Ok((report, tree, lines.text())),
            Err(error) if keep_upper => Err(StepFailure {
                error: Box::new(error),
                left: Some(tree),
            }),
            Err(error) => {
                trees::discard(environment, vec![tree]);
                Err(error.into())
            }
        }
    }
}

/// The last lines that a step wrote.
#[derive(Default)]
struct LastLines(VecDeque<String>);

impl LastLines {
    fn push(&mut self, line: &str) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        let end = line.floor_char_boundary(KEPT_LINE_LENGTH);
        self.0.push_back(line[..end].to_owned());
    }

    fn text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }
}
