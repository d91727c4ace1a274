//! Kept: what a failed step has left, so that `hardtack shell --failed` can show it.
//!
//! It is for people alone: whatever goes wrong with it, the build fails with what the step failed
//! with.

use super::chain::Chain;
use super::step::Bench;
use super::{BuildError, Environment, failure, trees};
use crate::plan::Step;
use crate::store::{FailedStep, Scratch};

/// The kind of the lock that is held while somebody looks at a failed step.
pub const LOCK: &str = "failed";

/// Keeps what `step` has left, or drops it where nobody could learn anything from it; says whether
/// it is kept.
pub fn keep(
    bench: &Bench<'_>,
    step: &Step,
    chain: &Chain,
    error: &BuildError,
    left: Scratch,
) -> bool {
    let environment = bench.environment;
    let is_telling = error.is_worth_a_retry() || matches!(error, BuildError::Provision(_));
    let is_there = left.path().join("fs").is_dir();
    if !is_telling || !is_there || error.is_of_host() {
        trees::discard(environment, vec![left]);
        return false;
    }
    let record = FailedStep {
        build: bench.build.name.clone(),
        step: step.id.clone(),
        layers: chain.diff_ids(),
        reason: bench
            .plan
            .masker
            .mask(&failure::one_line(error))
            .into_owned(),
        at: environment.now.to_string(),
    };
    let Ok(sandbox) = environment.sandbox.get() else {
        return false;
    };
    let store = &environment.store;
    // Somebody may be looking at the one before.
    let Ok(Some(_lock)) = store.try_lock(LOCK, &bench.build.name) else {
        trees::discard(environment, vec![left]);
        return false;
    };
    let result = store.keep_failed(left, &sandbox.tree_namespace(), &record);
    let is_kept = result.is_ok();
    trees::discard(environment, result.into_iter().flatten().collect());
    is_kept
}

/// Drops what was kept of a failed step of a build that has succeeded.
pub fn forget(environment: &Environment, build: &str) {
    // Where no sandbox was needed, nothing was run, and it stays for a time.
    let Ok(sandbox) = environment.sandbox.get() else {
        return;
    };
    let store = &environment.store;
    let namespace = sandbox.tree_namespace();
    let is_kept = store.failed_step(&namespace, build);
    if !is_kept.is_ok_and(|kept| kept.is_some()) {
        return;
    }
    if let Ok(Some(_lock)) = store.try_lock(LOCK, build)
        && let Ok(older) = store.forget_failed(&namespace, build)
    {
        trees::discard(environment, older.into_iter().collect());
    }
}
