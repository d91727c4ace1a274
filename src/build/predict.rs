//! Forecasts: what a build would do with each step, and why. Runs no step.

use super::lookup::{self, Ground};
use super::{BuildError, Environment};
use crate::base::ResolvedBase;
use crate::digest::{DiffId, StepKey};
use crate::plan::key::KeyMaterial;
use crate::plan::{Plan, PlannedBuild, Step};

/// What would happen to one step.
#[derive(Clone, Debug, PartialEq)]
pub enum StepForecast {
    /// The store has its result.
    Hit {
        /// Its key.
        key: StepKey,
        /// Its layer; none if the step changes nothing.
        layer: Option<DiffId>,
    },
    /// It would run.
    Miss {
        /// Its key.
        key: StepKey,
        /// Why: what changed since it was last built, or that it never was.
        reasons: Vec<String>,
    },
    /// Its key depends on what a step before it will yield.
    Unknown,
}

/// What would happen to a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// One for each step.
    pub steps: Vec<StepForecast>,
}

/// Says what each build would do with its steps.
///
/// A base that has to be made or unpacked first is made, as a build would; one that is the result
/// of another build is known only if all of that build's steps are.
pub fn forecast(environment: &Environment, plan: &Plan) -> Result<Vec<Forecast>, BuildError> {
    let mut forecasts = Vec::with_capacity(plan.builds.len());
    for build in &plan.builds {
        let steps = if build.depends_on.is_some() {
            vec![StepForecast::Unknown; build.steps.len()]
        } else {
            let base = lookup::resolve_base(environment, build, None, &|_| {})?;
            steps(environment, plan, build, &base)?
        };
        forecasts.push(Forecast { steps });
    }
    Ok(forecasts)
}

fn steps(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    base: &ResolvedBase,
) -> Result<Vec<StepForecast>, BuildError> {
    let start = lookup::start_state(base);
    let mut layers = base.diff_ids();
    let mut steps = Vec::with_capacity(build.steps.len());
    for step in &build.steps {
        let ground = Ground {
            layers: &layers,
            start: &start,
            epoch: base.epoch,
        };
        let material = lookup::material(plan, step, &ground)?;
        let key = material.key();
        let Some(record) = lookup::cached(environment, step, &key)? else {
            let reasons = reasons(environment, build, step, &material)?;
            steps.push(StepForecast::Miss { key, reasons });
            // What it will yield decides about all that follow.
            steps.resize(build.steps.len(), StepForecast::Unknown);
            break;
        };
        let layer = record.layer.map(|layer| layer.diff_id);
        layers.extend(layer);
        steps.push(StepForecast::Hit { key, layer });
    }
    Ok(steps)
}

fn reasons(
    environment: &Environment,
    build: &PlannedBuild,
    step: &Step,
    material: &KeyMaterial,
) -> Result<Vec<String>, BuildError> {
    if environment.no_cache {
        return Ok(vec!["--no-cache".to_owned()]);
    }
    if !step.cache {
        return Ok(vec!["cache = false".to_owned()]);
    }
    if step.provisioner.changes_host() {
        return Ok(vec!["it has an effect on the host".to_owned()]);
    }
    let Some(older) = environment.store.history(&build.name, &step.id)? else {
        return Ok(vec!["it has not been built before".to_owned()]);
    };
    let reasons = material.differences(&older);
    Ok(if reasons.is_empty() {
        vec!["its result is no longer in the store".to_owned()]
    } else {
        reasons
    })
}
