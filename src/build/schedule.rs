//! Which build runs when: side by side, each after the one that it starts from.

use super::event::Event;
use super::run::{self, Finished};
use super::signals::StopSignals;
use super::{BuildError, Environment, Outcome, tests_of_image, trees};
use crate::plan::Plan;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, watch};

/// How old a tree is when the kernel has long written it out (`dirty_expire_centisecs` is 30 s).
const SETTLE_AFTER: Duration = Duration::from_secs(120);

/// How long results are shared after the builds before anybody wonders.
const QUIET: Duration = Duration::from_secs(1);

/// How a build is doing, for those that start from it.
#[derive(Clone)]
enum State {
    Running,
    Failed,
    Finished(Arc<Finished>),
}

/// Runs all builds of a plan. One that fails does not stop the others. A signal to stop
/// cancels all of them; a second one ends the process at once.
pub fn run(environment: Environment, plan: Plan) -> Result<Vec<Outcome>, BuildError> {
    let environment = Arc::new(environment);
    let plan = Arc::new(plan);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(BuildError::file("start threads for", "builds"))?;
    tests_of_image::announce(&environment, &plan);
    sweep(&environment)?;
    settle_trees(&environment);
    let outcomes = runtime.block_on(async {
        let signals = tokio::spawn(cancel_on_signals(Arc::clone(&environment)));
        let outcomes = run_builds(&environment, &plan).await;
        finish_sharing(&environment).await;
        signals.abort();
        outcomes
    });
    Ok(outcomes)
}

/// Makes the trees of earlier runs outlive a start of the machine, beside the builds: nothing waits
/// for the disk. A run that ends before is no harm, the next one does it.
fn settle_trees(environment: &Environment) {
    let store = environment.store.clone();
    let now = SystemTime::from(environment.now);
    std::thread::spawn(move || {
        // Trees that are not settled are unpacked again after a start of the machine.
        let _ = store.settle(now.checked_sub(SETTLE_AFTER).unwrap_or(now));
    });
}

/// Removes what killed builds have left behind.
fn sweep(environment: &Environment) -> Result<(), BuildError> {
    let dead = environment.store.sweep()?;
    if !dead.is_empty() {
        trees::discard(environment, dead);
    }
    Ok(())
}

async fn run_builds(environment: &Arc<Environment>, plan: &Arc<Plan>) -> Vec<Outcome> {
    let permits = environment
        .parallel_builds
        .unwrap_or(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
    let states: Vec<_> = plan
        .builds
        .iter()
        .map(|_| watch::channel(State::Running))
        .collect();
    let receivers: Vec<_> = states
        .iter()
        .map(|(_, receiver)| receiver.clone())
        .collect();
    let mut tasks = Vec::with_capacity(states.len());
    for (index, (sender, _)) in states.into_iter().enumerate() {
        let environment = Arc::clone(environment);
        let plan = Arc::clone(plan);
        let permits = Arc::clone(&permits);
        let dependency = plan.builds.get(index).and_then(|build| build.depends_on);
        let dependency = dependency.and_then(|index| receivers.get(index).cloned());
        let mounted = plan.builds.get(index).map(|build| &build.mounts_from);
        let mounted = mounted.into_iter().flatten().filter_map(|index| {
            let receiver = receivers.get(*index).cloned()?;
            Some((*index, receiver))
        });
        let mounted: Vec<_> = mounted.collect();
        tasks.push(tokio::spawn(async move {
            let begin = Instant::now();
            let dependency = match dependency {
                Some(receiver) => Some(wait_for(receiver).await),
                None => None,
            };
            let mut failed = None;
            for (index, receiver) in mounted {
                if !matches!(wait_for(receiver).await, State::Finished(_)) {
                    failed = failed.or(Some(index));
                }
            }
            // Taken only now, so that a build that waits does not keep others from running.
            let _permit = permits.acquire().await;
            let worker = {
                let plan = Arc::clone(&plan);
                tokio::task::spawn_blocking(move || {
                    run_one(&environment, &plan, index, dependency, failed)
                })
            };
            let result = worker
                .await
                .unwrap_or(Err(BuildError::Internal("the thread of a build panicked")))
                .map(Arc::new);
            let state = result
                .as_ref()
                .map_or(State::Failed, |it| State::Finished(Arc::clone(it)));
            sender.send_replace(state);
            Outcome {
                name: plan
                    .builds
                    .get(index)
                    .map(|build| build.name.clone())
                    .unwrap_or_default(),
                result: result.map(|finished| finished.built.clone()),
                seconds: begin.elapsed().as_secs_f64(),
            }
        }));
    }
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        if let Ok(outcome) = task.await {
            outcomes.push(outcome);
        }
    }
    outcomes
}

/// Waits until results are shared: that may take longer than all builds, and can be interrupted.
async fn finish_sharing(environment: &Arc<Environment>) {
    let sharing = Arc::clone(environment);
    let mut finished = tokio::task::spawn_blocking(move || sharing.cache.finish());
    // A panic in there has been told.
    if tokio::time::timeout(QUIET, &mut finished).await.is_err() {
        environment.emit(Event::Notice {
            build: None,
            level: super::event::Level::Info,
            text: "the builds have ended; their results are still being shared".to_owned(),
        });
        let _ = finished.await;
    }
}

/// Waits until a build has ended.
async fn wait_for(mut receiver: watch::Receiver<State>) -> State {
    loop {
        let state = receiver.borrow_and_update().clone();
        if !matches!(state, State::Running) {
            return state;
        }
        if receiver.changed().await.is_err() {
            return State::Failed;
        }
    }
}

fn run_one(
    environment: &Arc<Environment>,
    plan: &Plan,
    index: usize,
    dependency: Option<State>,
    failed: Option<usize>,
) -> Result<Finished, BuildError> {
    let build = plan
        .builds
        .get(index)
        .ok_or(BuildError::Internal("a build is missing"))?;
    let failed = match dependency {
        Some(State::Finished(_)) | None => failed,
        Some(_) => build.depends_on.or(failed),
    };
    match (dependency, failed) {
        (None, None) => run::run(environment, plan, build, None),
        (Some(State::Finished(finished)), None) => {
            run::run(environment, plan, build, finished.image.as_ref())
        }
        _ => {
            let name = failed
                .and_then(|index| plan.builds.get(index))
                .map(|build| build.name.clone())
                .unwrap_or_default();
            let error = BuildError::Dependency { name };
            environment.emit(Event::BuildFailed {
                build: build.name.clone(),
                error: super::failure::text(plan, build, &error),
                reason: super::failure::one_line(&error),
                seconds: 0.0,
            });
            Err(error)
        }
    }
}

/// Cancels the run at the first signal, ends the process at the second.
async fn cancel_on_signals(environment: Arc<Environment>) {
    let Ok(mut signals) = StopSignals::listen() else {
        // Without handlers the default applies: the process ends, and its helpers with it.
        return;
    };
    let mut count = 0;
    loop {
        signals.next().await;
        count += 1;
        if count > 1 {
            std::process::exit(1);
        }
        environment.events.emit(Event::Notice {
            build: None,
            level: super::event::Level::Warning,
            text: "interrupted: stopping all steps and cleaning up; once more to end at once"
                .to_owned(),
        });
        environment.cancel.cancel();
    }
}
