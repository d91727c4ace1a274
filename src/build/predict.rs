//! Forecasts: what a build would do with each step, and why. Runs no step.

use super::lookup::{self, Ground};
use super::others::OtherImage;
use super::{BuildError, Environment, failure, tests_of_image};
use crate::base::ResolvedBase;
use crate::digest::{DiffId, StepKey};
use crate::image::config::ContainerConfig;
use crate::plan::key::KeyMaterial;
use crate::plan::{LayerStep, Plan, PlannedBuild, PlannedImage, Step, Work};
use crate::store::StepLookup;

/// What would happen to one step.
#[derive(Clone, Debug, PartialEq)]
pub enum StepForecast {
    /// The store has its result.
    Hit {
        /// Its key.
        key: StepKey,
        /// Its layer; none if the step changes nothing.
        layer: Option<DiffId>,
        /// The repository that says so; none if it ran here.
        source: Option<String>,
    },
    /// It would run.
    Miss {
        /// Its key.
        key: StepKey,
        /// Why: what changed since it was last built, or that it never was.
        reasons: Vec<String>,
    },
    /// It works on the host, each time.
    Host,
    /// Its key depends on what a step before it will yield.
    Unknown,
}

/// What would happen to a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// One for each step.
    pub steps: Vec<StepForecast>,
    /// One for each test of the image.
    pub tests: Vec<StepForecast>,
}

/// Says what each build would do with its steps.
///
/// A base that has to be made or unpacked first is made, as a build would; one that is the result
/// of another build is known only if all of that build's steps are.
///
/// An error comes with the whole message for the user.
pub fn forecast(
    environment: &Environment,
    plan: &Plan,
) -> Result<Vec<Forecast>, Box<(BuildError, String)>> {
    let mut outlooks: Vec<Option<Outlook>> = plan.builds.iter().map(|_| None).collect();
    for index in 0..plan.builds.len() {
        let Some(build) = plan.builds.get(index) else {
            continue;
        };
        let mut way = plan.needed_by(build);
        way.push(index);
        way.retain(|index| outlooks.get(*index).is_some_and(Option::is_none));
        for index in way {
            let Some(build) = plan.builds.get(index) else {
                continue;
            };
            let below = build
                .depends_on
                .and_then(|below| outlooks.get(below)?.as_ref());
            let outlook = outlook(environment, plan, build, below).map_err(|error| {
                let text = failure::text(plan, build, &error);
                Box::new((error, text))
            })?;
            if let Some(result) = &outlook.result {
                let image = OtherImage {
                    diff_ids: result.layers.clone(),
                    layers: Vec::new(),
                };
                environment.others.add(&build.name, image);
            }
            if let Some(place) = outlooks.get_mut(index) {
                *place = Some(outlook);
            }
        }
    }
    let mut forecasts = Vec::with_capacity(outlooks.len());
    for (outlook, build) in outlooks.into_iter().zip(&plan.builds) {
        let (steps, result) = match outlook {
            Some(outlook) => (outlook.steps, outlook.result),
            None => (Vec::new(), None),
        };
        let tests = tests(environment, plan, build, result.as_ref()).map_err(|error| {
            let text = failure::text(plan, build, &error);
            Box::new((error, text))
        })?;
        forecasts.push(Forecast { steps, tests });
    }
    Ok(forecasts)
}

/// Looks at one build, with the outlook of the one that it starts from.
fn outlook(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    below: Option<&Outlook>,
) -> Result<Outlook, BuildError> {
    let Some(planned) = build.image() else {
        return Ok(Outlook {
            steps: vec![StepForecast::Host; build.steps.len()],
            result: None,
        });
    };
    match below {
        None => {
            let base = lookup::resolve_base(environment, planned, None, &|_| {})?;
            look(environment, plan, build, planned, Foundation::of(&base))
        }
        Some(Outlook {
            result: Some(result),
            ..
        }) => look(environment, plan, build, planned, result.clone()),
        Some(Outlook { result: None, .. }) => Ok(Outlook {
            steps: build.steps.iter().map(later_forecast).collect(),
            result: None,
        }),
    }
}

/// What a build would do, and what would come of it.
struct Outlook {
    steps: Vec<StepForecast>,
    /// None if a step must run before that is known.
    result: Option<Foundation>,
}

/// What the steps of a build stand on: all of an image that their keys depend on.
#[derive(Clone)]
struct Foundation {
    layers: Vec<DiffId>,
    config: ContainerConfig,
    epoch: i64,
}

impl Foundation {
    fn of(base: &ResolvedBase) -> Self {
        let image = base.image.as_ref();
        Self {
            layers: base.diff_ids(),
            config: image.map_or_else(ContainerConfig::default, |it| it.config.config.clone()),
            epoch: base.epoch,
        }
    }
}

fn look(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    planned: &PlannedImage,
    mut foundation: Foundation,
) -> Result<Outlook, BuildError> {
    let start = lookup::start_state(&foundation.config, planned.base.start());
    let mut steps = Vec::with_capacity(build.steps.len());
    for step in &build.steps {
        let Work::Layer(layer_step) = &step.work else {
            steps.push(StepForecast::Host);
            continue;
        };
        let ground = Ground {
            layers: &foundation.layers,
            start: &start,
            epoch: foundation.epoch,
            platform: &planned.platform,
        };
        let mut mounted = layer_step.mounts.iter();
        if mounted.any(|mount| {
            let build = mount.kind.image_of();
            build.is_some_and(|build| environment.others.get(build).is_none())
        }) {
            // What it mounts is not known yet.
            let later = build.steps.iter().skip(steps.len());
            steps.extend(later.map(later_forecast));
            return Ok(Outlook {
                steps,
                result: None,
            });
        }
        let material = lookup::material(environment, plan, layer_step, &ground)?;
        let key = material.key();
        let Some(hit) = lookup::found(environment, layer_step, &material)? else {
            let reasons = reasons(environment, build, step, layer_step, &material)?;
            steps.push(StepForecast::Miss { key, reasons });
            // It runs for its effect on the host; what it does to the image is known.
            if layer_step.provisioner.changes_host()
                && !environment.no_cache
                && let StepLookup::Hit(record) = environment.store.step(&key)?
            {
                let layer = record.layer.map(|layer| layer.diff_id);
                foundation.layers.extend(layer);
                continue;
            }
            // What it will yield decides about all that follow.
            let later = build.steps.iter().skip(steps.len());
            steps.extend(later.map(later_forecast));
            return Ok(Outlook {
                steps,
                result: None,
            });
        };
        let layer = hit.record.layer.map(|layer| layer.diff_id);
        foundation.layers.extend(layer);
        steps.push(StepForecast::Hit {
            key,
            layer,
            source: hit.record.source,
        });
    }
    planned.changes.apply(&mut foundation.config)?;
    Ok(Outlook {
        steps,
        result: Some(foundation),
    })
}

/// Looks at the tests of a build, of whose image `result` is what is known.
fn tests(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    result: Option<&Foundation>,
) -> Result<Vec<StepForecast>, BuildError> {
    let (Some(result), Some(planned)) = (result, build.image()) else {
        return Ok(vec![StepForecast::Unknown; build.tests.len()]);
    };
    let mut forecasts = Vec::with_capacity(build.tests.len());
    for test in &build.tests {
        let (layers, config) = (&result.layers, &result.config);
        let material =
            tests_of_image::material(test, layers, config, &planned.platform, &plan.masker);
        let key = material.key();
        let has_passed = !environment.no_cache && environment.cache.known(&key)?.is_some();
        forecasts.push(match has_passed {
            true => StepForecast::Hit {
                key,
                layer: None,
                source: None,
            },
            false => StepForecast::Miss {
                key,
                reasons: vec![match environment.no_cache {
                    true => "--no-cache".to_owned(),
                    false => "it has not passed with this image".to_owned(),
                }],
            },
        });
    }
    Ok(forecasts)
}

/// What can be said of a step after one whose result is not known.
fn later_forecast(step: &Step) -> StepForecast {
    match step.work {
        Work::Layer(_) => StepForecast::Unknown,
        Work::Host(_) => StepForecast::Host,
    }
}

fn reasons(
    environment: &Environment,
    build: &PlannedBuild,
    step: &Step,
    layer_step: &LayerStep,
    material: &KeyMaterial,
) -> Result<Vec<String>, BuildError> {
    if environment.no_cache {
        return Ok(vec!["--no-cache".to_owned()]);
    }
    if !layer_step.cache {
        return Ok(vec!["cache = false".to_owned()]);
    }
    if layer_step.provisioner.changes_host() {
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
