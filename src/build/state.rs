//! States: the root of a build at one moment, opened to look at.
//!
//! A *moment* lies before or after a step, or is what a failed step has left. The steps below it are
//! found in the cache as a build would find them, and those that are not run; what is changed in
//! the root is thrown away.

use super::chain::Chain;
use super::event::{Event, Level};
use super::failure::{self, Failure};
use super::run::{self, Order};
use super::step::{Bench, StepFailure};
use super::{BuildError, Environment, kept, mounts, trees};
use crate::digest::ChainId;
use crate::plan::{Plan, PlannedBuild, Step, Work};
use crate::provision::StartState;
use crate::sandbox::{OpenRoot, SandboxError, attach};
use crate::store::Scratch;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Shells that an image may have, the most comfortable first.
const SHELLS: [&str; 4] = ["/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh"];

/// A moment of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the step with this index.
    Before(usize),
    /// After the step with this index.
    After(usize),
    /// After all steps.
    End,
    /// As the step that has failed last has left it.
    Failed,
}

/// A root at a moment.
pub struct State<'a> {
    /// The root.
    pub root: &'a OpenRoot,
    /// How commands of steps start in it.
    pub start: &'a StartState,
    /// What it is, in a few words.
    pub description: &'a str,
    /// What is mounted in it and keeps what is changed: caches, and volumes of the host.
    pub lasting: &'a [&'a str],
}

/// Opens the root of a build as it is at `moment`; an error comes with the message for the user.
pub fn open<T: Send>(
    environment: &Arc<Environment>,
    plan: &Plan,
    build: &PlannedBuild,
    moment: Moment,
    visit: impl FnOnce(&State<'_>) -> Result<T, SandboxError> + Send,
) -> Result<T, Failure> {
    let order: Order<'_> = (environment, plan, build);
    let fail = |error: BuildError| {
        let text = failure::text(plan, build, &error);
        Box::new((error, text))
    };
    let planned = build.image().ok_or_else(|| fail(BuildError::NoRoot))?;
    let below = run::image_below(order)?;
    let (base, mut chain) =
        run::foundation(order, planned, below.as_ref(), Instant::now()).map_err(fail)?;
    let start = run::start(planned, &base);
    let bench = Bench {
        environment,
        plan,
        build,
        start: &start,
        epoch: base.epoch,
        platform: &planned.platform,
    };
    let (step, lowers, _lock) = match moment {
        Moment::Failed => failed(&bench).map_err(fail)?,
        _ => {
            let (count, step) = match moment {
                Moment::Before(index) => (index, build.steps.get(index)),
                Moment::After(index) => (index.saturating_add(1), build.steps.get(index)),
                Moment::End | Moment::Failed => (build.steps.len(), build.steps.last()),
            };
            let steps = build.steps.get(..count).unwrap_or(&build.steps);
            for step in steps {
                run_missing(&bench, step, &mut chain).map_err(|(error, is_kept)| {
                    let text = failure::step_text(plan, build, step, &error, is_kept);
                    Box::new((error, text))
                })?;
            }
            let lowers = trees::materialise(environment, &chain).map_err(fail)?;
            // What was run now is there for the build, too.
            chain.finish().map_err(fail)?;
            (step, lowers, None)
        }
    };
    let description = description(build, moment, step);
    let scratch = environment
        .store
        .scratch()
        .map_err(|error| fail(error.into()))?;
    let layer = step.and_then(|step| match &step.work {
        Work::Layer(layer) => Some(layer),
        Work::Host(_) => None,
    });
    let path = scratch.path().to_owned();
    let waiting = |cache: &str| tell_of_wait(environment, build, cache);
    let furnished =
        mounts::root(environment, &plan.given, layer, lowers, path, &waiting).map_err(fail)?;
    let lasting: Vec<&str> = furnished.lasting().collect();
    let visit = |root: &OpenRoot| {
        visit(&State {
            root,
            start: &start,
            description: &description,
            lasting: &lasting,
        })
    };
    let opened = environment
        .sandbox
        .get()
        .and_then(|sandbox| sandbox.open(&furnished.root, visit, &environment.cancel));
    opened
        .and_then(|visited| visited)
        .map_err(|error| fail(error.into()))
}

/// The best shell that a root has; none if it has none.
pub fn shell(root: &OpenRoot) -> Result<Option<&'static str>, SandboxError> {
    for shell in SHELLS {
        if root.look(shell, true)?.is_some() {
            return Ok(Some(shell));
        }
    }
    Ok(None)
}

/// Lets the operator look at what a step that has just failed has left.
pub fn show_left(
    bench: &Bench<'_>,
    step: &Step,
    chain: &Chain,
    left: &Scratch,
) -> Result<(), BuildError> {
    let environment = bench.environment;
    let mut lowers = trees::materialise(environment, chain)?;
    lowers.push(left.path().join("fs"));
    let layer = match &step.work {
        Work::Layer(layer) => Some(layer),
        Work::Host(_) => None,
    };
    let scratch = environment.store.scratch()?;
    let path = scratch.path().to_owned();
    let given = &bench.plan.given;
    let waiting = |cache: &str| tell_of_wait(environment, bench.build, cache);
    let furnished = mounts::root(environment, given, layer, lowers, path, &waiting)?;
    let visit = |root: &OpenRoot| match shell(root)? {
        None => Err(SandboxError::Work("this root has no shell".to_owned())),
        Some(shell) => {
            let command = bench.start.command([shell]);
            attach::run(root, &command, &environment.cancel).map(drop)
        }
    };
    let sandbox = environment.sandbox.get()?;
    Ok(sandbox.open(&furnished.root, visit, &environment.cancel)??)
}

/// Says why nothing happens while a step of another run has a cache for itself.
fn tell_of_wait(environment: &Environment, build: &PlannedBuild, cache: &str) {
    environment.emit(Event::Notice {
        build: Some(build.name.clone()),
        level: Level::Info,
        text: format!("waiting for the cache {cache:?}, which another step has"),
    });
}

/// Brings a step's layer onto the chain. What works on this host is no part of a root.
///
/// An error says whether what the step has left is kept.
fn run_missing(
    bench: &Bench<'_>,
    step: &Step,
    chain: &mut Chain,
) -> Result<(), (BuildError, bool)> {
    let Work::Layer(layer) = &step.work else {
        return Ok(());
    };
    if layer.provisioner.changes_host() {
        return Ok(());
    }
    match bench.step(step, layer, chain) {
        Ok(_) => Ok(()),
        Err(StepFailure { error, left }) => {
            let is_kept = left.is_some_and(|left| kept::keep(bench, step, chain, &error, left));
            Err((*error, is_kept))
        }
    }
}

type Opened<'a> = (
    Option<&'a Step>,
    Vec<PathBuf>,
    Option<crate::store::LockGuard>,
);

/// What the last failed step of the build has left, on the layers that it ran on.
fn failed<'a>(bench: &Bench<'a>) -> Result<Opened<'a>, BuildError> {
    let environment = bench.environment;
    let store = &environment.store;
    let name = &bench.build.name;
    let lock = trees::lock(environment, kept::LOCK, name, || {})?;
    let namespace = environment.sandbox.get()?.tree_namespace();
    let kept = store.failed_step(&namespace, name)?;
    let (upper, record) = kept.ok_or(BuildError::NothingFailed)?;
    let mut lowers = Vec::with_capacity(record.layers.len() + 1);
    let mut below: Option<ChainId> = None;
    for diff_id in &record.layers {
        let chain = below.map_or(ChainId::base(*diff_id), |below| below.child(*diff_id));
        let tree = store.tree(&namespace, &chain)?;
        lowers.push(tree.ok_or(BuildError::TreeMissing { diff_id: *diff_id })?);
        below = Some(chain);
    }
    lowers.push(upper);
    let step = bench.build.steps.iter().find(|it| it.id == record.step);
    Ok((step, lowers, Some(lock)))
}

fn description(build: &PlannedBuild, moment: Moment, step: Option<&Step>) -> String {
    let name = &build.name;
    let count = build.steps.len();
    let step = step.map(|step| format!("step {} of {count} ({})", step.index + 1, step.name));
    match (moment, step) {
        (Moment::Before(_), Some(step)) => format!("{name} before {step}"),
        (Moment::After(_), Some(step)) => format!("{name} after {step}"),
        (Moment::Failed, Some(step)) => format!("{name} as {step} has left it"),
        (Moment::Failed, None) => format!("{name} as a step that is gone has left it"),
        (_, None) => format!("{name}, which has no steps"),
        (Moment::End, Some(_)) => format!("{name} after all steps"),
    }
}
