//! Lookup: a step's key, and whether its result is known.
//!
//! The same code serves a build and `hardtack plan`, so that a forecast cannot differ from what
//! happens.

use super::{BuildError, Environment, requirements};
use crate::base::{self, ResolvedBase, StartChanges, UploadOwner};
use crate::cache::Hit;
use crate::digest::{DiffId, StepKey};
use crate::image::Image;
use crate::image::config::ContainerConfig;
use crate::plan::key::{Ingredients, KeyMaterial};
use crate::plan::{LayerStep, Plan, PlannedImage};
use crate::provision::{StartState, input};
use crate::store::Platform;
use serde_json::json;
use std::collections::BTreeMap;

/// What a step stands on.
pub struct Ground<'a> {
    /// The diffIDs of all layers below, lowest first.
    pub layers: &'a [DiffId],
    /// What a command finds when it starts.
    pub start: &'a StartState,
    /// Seconds since 1970.
    pub epoch: i64,
    /// What is built for.
    pub platform: &'a Platform,
}

/// Puts together what a step's key depends on; reads and digests its host files.
pub fn material(
    environment: &Environment,
    plan: &Plan,
    step: &LayerStep,
    ground: &Ground<'_>,
) -> Result<KeyMaterial, BuildError> {
    let mut inputs = BTreeMap::new();
    for one in step.provisioner.inputs().iter().chain(&step.inputs) {
        inputs.extend(input::digest(one)?);
    }
    if let Some(requirement) = step.provisioner.requirement() {
        let content = requirements::content(environment, requirement)?;
        inputs.insert(
            format!("required by {}", requirement.name()?.file),
            content.digest.to_string(),
        );
    }
    let mut mounts = Vec::with_capacity(step.mounts.len());
    for mount in &step.mounts {
        let mut material = mount.key_material();
        if let Some(build) = mount.kind.image_of() {
            let image = environment.others.get(build);
            let image = image.ok_or(BuildError::Internal("an image to mount is not known"))?;
            material["layers"] = json!(image.diff_ids);
        }
        mounts.push(material);
    }
    Ok(KeyMaterial::new(Ingredients {
        layers: ground.layers,
        start: ground.start,
        provisioner: step.provisioner.kind(),
        options: step.provisioner.key_material(),
        inputs,
        mounts,
        network: step.network.name(),
        platform: &ground.platform.to_string(),
        epoch: ground.epoch,
        masker: &plan.masker,
    }))
}

/// Gives the result of an earlier run with this key, if the store has one that may be used.
pub fn known(
    environment: &Environment,
    step: &LayerStep,
    key: &StepKey,
) -> Result<Option<Hit>, BuildError> {
    if environment.no_cache || !is_kept(step) {
        return Ok(None);
    }
    Ok(environment.cache.known(key)?)
}

/// Gives the result of an earlier run, also one of another machine. To be asked when the store has
/// none.
pub fn found(
    environment: &Environment,
    step: &LayerStep,
    material: &KeyMaterial,
) -> Result<Option<Hit>, BuildError> {
    let key = material.key();
    let known = known(environment, step, &key)?;
    if known.is_some() || environment.no_cache || !is_shared(step, material) {
        return Ok(known);
    }
    Ok(environment.cache.ask(&key)?)
}

/// Whether a step's result is used again at all.
fn is_kept(step: &LayerStep) -> bool {
    step.cache && !step.provisioner.changes_host()
}

/// Whether a step's result may be known to others: not if its key depends on a secret.
pub fn is_shared(step: &LayerStep, material: &KeyMaterial) -> bool {
    is_kept(step) && !material.has_secrets()
}

/// Resolves the base of an image.
pub fn resolve_base(
    environment: &Environment,
    planned: &PlannedImage,
    dependency: Option<&Image>,
    output: &(dyn Fn(&str) + Sync),
) -> Result<ResolvedBase, BuildError> {
    let context = base::Context {
        store: &environment.store,
        cache: &environment.cache,
        registries: &environment.registries,
        pins: &environment.pins,
        sandbox: &environment.sandbox,
        cancel: &environment.cancel,
        threads: environment.threads,
        now: environment.now,
        source_date_epoch: environment.source_date_epoch,
        no_cache: environment.no_cache,
        output,
    };
    planned
        .base
        .resolve(&context, dependency)
        .map_err(|source| BuildError::Base {
            base: planned.base.description(),
            source,
        })
}

/// What a command finds when it starts in an image with this configuration, with what a source
/// changes about it.
pub fn start_state(config: &ContainerConfig, changes: Option<&StartChanges>) -> StartState {
    let user = config.user.clone().unwrap_or_default();
    let mut start = StartState {
        environment: environment_of(config),
        workdir: config.working_dir.clone().unwrap_or_default(),
        user: user.clone(),
        upload_owner: String::new(),
    };
    let Some(changes) = changes else {
        return start;
    };
    for (name, value) in &changes.env {
        start.environment.retain(|(known, _)| known != name);
        start.environment.push((name.clone(), value.clone()));
    }
    if let Some(user) = &changes.user {
        start.user.clone_from(user);
    }
    if let Some(workdir) = &changes.workdir {
        start.workdir.clone_from(workdir);
    }
    match &changes.upload_owner {
        UploadOwner::Root => {}
        UploadOwner::ImageUser => start.upload_owner = with_group(&user),
        UploadOwner::Named(name) => start.upload_owner = with_group(name),
    }
    start
}

/// The owner that `chown USER` gives a file of root's, as Packer does: without a group it keeps its
/// own.
fn with_group(user: &str) -> String {
    match user.is_empty() || user.contains(':') {
        true => user.to_owned(),
        false => format!("{user}:0"),
    }
}

/// The environment variables of an image's configuration.
pub fn environment_of(config: &ContainerConfig) -> Vec<(String, String)> {
    let pairs = config.env.iter().flatten();
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
