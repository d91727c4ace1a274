//! Lookup: a step's key, and whether the store has its result.
//!
//! The same code serves a build and `hardtack plan`, so that a forecast cannot differ from what
//! happens.

use super::event::{Event, Level};
use super::{BuildError, Environment};
use crate::base::{self, ResolvedBase};
use crate::digest::{DiffId, StepKey};
use crate::image::Image;
use crate::plan::key::{Ingredients, KeyMaterial};
use crate::plan::{Plan, PlannedBuild, Step};
use crate::provision::{StartState, input};
use crate::store::{StepLookup, StepRecord};
use std::collections::BTreeMap;

/// What a step stands on.
pub struct Ground<'a> {
    /// The diffIDs of all layers below, lowest first.
    pub layers: &'a [DiffId],
    /// What a command finds when it starts.
    pub start: &'a StartState,
    /// Seconds since 1970.
    pub epoch: i64,
}

/// Puts together what a step's key depends on; reads and digests its host files.
pub fn material(
    plan: &Plan,
    step: &Step,
    ground: &Ground<'_>,
) -> Result<KeyMaterial, BuildError> {
    let mut inputs = BTreeMap::new();
    for one in step.provisioner.inputs().iter().chain(&step.inputs) {
        inputs.extend(input::digest(one)?);
    }
    Ok(KeyMaterial::new(Ingredients {
        layers: ground.layers,
        start: ground.start,
        provisioner: step.provisioner.kind(),
        options: step.provisioner.key_material(),
        inputs,
        network: step.network.name(),
        platform: &plan.platform_name(),
        epoch: ground.epoch,
        secrets: &plan.secrets,
    }))
}

/// Gives the result of an earlier run with this key, if one may be used.
pub fn cached(
    environment: &Environment,
    step: &Step,
    key: &StepKey,
) -> Result<Option<StepRecord>, BuildError> {
    if environment.no_cache || !step.cache || step.provisioner.changes_host() {
        return Ok(None);
    }
    Ok(match environment.store.step(key)? {
        StepLookup::Hit(record) => Some(record),
        StepLookup::Miss => None,
        StepLookup::Discarded { reason } => {
            environment.emit(Event::Notice { build: None, level: Level::Warning, text: reason });
            None
        }
    })
}

/// Resolves the base of a build.
pub fn resolve_base(
    environment: &Environment,
    build: &PlannedBuild,
    dependency: Option<&Image>,
    output: &(dyn Fn(&str) + Sync),
) -> Result<ResolvedBase, BuildError> {
    let context = base::Context {
        store: &environment.store,
        sandbox: &environment.sandbox,
        cancel: &environment.cancel,
        threads: environment.threads,
        now: environment.now,
        source_date_epoch: environment.source_date_epoch,
        no_cache: environment.no_cache,
        output,
    };
    build
        .base
        .resolve(&context, dependency)
        .map_err(|source| BuildError::Base { base: build.base.description(), source })
}

/// What a command finds when it starts on `base`.
pub fn start_state(base: &ResolvedBase) -> StartState {
    base.image.as_ref().map_or_else(StartState::default, |image| StartState {
        environment: environment_of(image),
        user: image.config.config.user.clone().unwrap_or_default(),
        workdir: image.config.config.working_dir.clone().unwrap_or_default(),
    })
}

/// The environment variables of an image's configuration.
pub fn environment_of(image: &Image) -> Vec<(String, String)> {
    let pairs = image.config.config.env.iter().flatten();
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

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

/// Says what a build would do with each step; runs nothing.
///
/// A base that is made by a program (`debootstrap`) and has not been made yet would have to be
/// made first: `base` is then none.
pub fn forecast(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    base: Option<&ResolvedBase>,
) -> Result<Forecast, BuildError> {
    let mut steps = Vec::with_capacity(build.steps.len());
    let Some(base) = base else {
        steps.resize(build.steps.len(), StepForecast::Unknown);
        return Ok(Forecast { steps });
    };
    let start = start_state(base);
    let mut layers = base.diff_ids();
    for step in &build.steps {
        let ground = Ground { layers: &layers, start: &start, epoch: base.epoch };
        let material = material(plan, step, &ground)?;
        let key = material.key();
        if let Some(record) = cached(environment, step, &key)? {
            let layer = record.layer.map(|layer| layer.diff_id);
            layers.extend(layer);
            steps.push(StepForecast::Hit { key, layer });
            continue;
        }
        let reasons = reasons(environment, build, step, &material)?;
        steps.push(StepForecast::Miss { key, reasons });
        steps.resize(build.steps.len(), StepForecast::Unknown);
    }
    steps.truncate(build.steps.len());
    Ok(Forecast { steps })
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
