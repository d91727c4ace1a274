//! One build from its base to its post-processors.

use super::chain::{Blob, Chain, Link};
use super::event::{Event, Level};
use super::step::Bench;
use super::{BuildError, Built, Environment, assemble, failure, lookup, post};
use crate::image::Image;
use crate::plan::{Plan, PlannedBuild};
use std::sync::Arc;
use std::time::Instant;

/// A build that ended well, with what the builds that start from it need.
pub struct Finished {
    /// What is reported.
    pub built: Built,
    /// The image.
    pub image: Image,
}

/// Runs one build; all that there is to say about it goes into events.
pub fn run(
    environment: &Arc<Environment>,
    plan: &Plan,
    build: &PlannedBuild,
    dependency: Option<&Image>,
) -> Result<Finished, BuildError> {
    let begin = Instant::now();
    environment.emit(Event::BuildStarted {
        build: build.name.clone(),
        steps: build.steps.len(),
    });
    let result = layers_and_image(environment, plan, build, dependency, begin);
    result.map_err(|failure| {
        let (error, text) = *failure;
        environment.emit(Event::BuildFailed {
            build: build.name.clone(),
            error: text,
            reason: failure::one_line(&error),
            seconds: begin.elapsed().as_secs_f64(),
        });
        error
    })
}

/// An error and the whole message for the user.
type Failure = Box<(BuildError, String)>;

fn layers_and_image(
    environment: &Arc<Environment>,
    plan: &Plan,
    build: &PlannedBuild,
    dependency: Option<&Image>,
    begin: Instant,
) -> Result<Finished, Failure> {
    let fail = |error: BuildError| {
        let text = failure::text(plan, build, &error);
        Box::new((error, text))
    };
    let output = |line: &str| {
        environment.emit(Event::Notice {
            build: Some(build.name.clone()),
            level: Level::Info,
            text: line.to_owned(),
        });
    };
    let base = lookup::resolve_base(environment, build, dependency, &output).map_err(fail)?;
    environment.emit(Event::BaseResolved {
        build: build.name.clone(),
        base: build.base.description(),
        digest: base.image.as_ref().map(|image| image.manifest.digest),
        seconds: begin.elapsed().as_secs_f64(),
    });

    let mut chain = Chain::default();
    let base_layers = base
        .image
        .iter()
        .flat_map(|image| &image.layers)
        .chain(base.layers.iter().map(|layer| &layer.layer));
    for layer in base_layers {
        chain.push(Link {
            diff_id: layer.diff_id,
            blob: Blob::Stored(layer.clone()),
            origin: None,
        });
    }
    let start = base
        .image
        .as_ref()
        .map(|image| lookup::start_state(&image.config.config))
        .unwrap_or_default();
    let bench = Bench {
        environment,
        plan,
        build,
        start: &start,
        epoch: base.epoch,
    };
    let mut cached = 0;
    let mut history = Vec::with_capacity(build.steps.len());
    for step in &build.steps {
        let step_begin = Instant::now();
        let layers_before = chain.links().len();
        match bench.step(step, &mut chain) {
            Ok(hit) => cached += usize::from(hit),
            Err(error) => {
                environment.emit(Event::StepFailed {
                    place: bench.place(step),
                    reason: failure::one_line(&error),
                    seconds: step_begin.elapsed().as_secs_f64(),
                });
                if !(step.continue_on_error && error.is_worth_a_retry()) {
                    let text = failure::step_text(plan, build, step, &error);
                    // What has been built so far is kept, so that the next run begins here.
                    let _ = chain.finish();
                    return Err(Box::new((error, text)));
                }
                environment.emit(Event::Notice {
                    build: Some(build.name.clone()),
                    level: Level::Warning,
                    text: format!(
                        "step {} ({}) failed; the build goes on without its changes, as continue_on_error says",
                        step.index + 1,
                        step.name
                    ),
                });
            }
        }
        history.push(assemble::StepHistory {
            created_by: step.history.clone(),
            has_layer: chain.links().len() > layers_before,
        });
    }
    let layers = chain.finish().map_err(fail)?;
    let image =
        assemble::image(environment, plan, build, &base, &layers, &history).map_err(fail)?;
    let artifacts = post::run(environment, plan, build, &image).map_err(fail)?;
    for artifact in &artifacts {
        environment.emit(Event::Artifact {
            build: build.name.clone(),
            kind: artifact.kind.to_owned(),
            value: artifact.value.clone(),
            builder_id: artifact.builder_id(),
            id: artifact.id(),
            description: artifact.description(),
            files: artifact
                .files
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
        });
    }
    environment.emit(Event::BuildFinished {
        build: build.name.clone(),
        digest: Some(image.manifest.digest),
        bytes: layers.iter().map(|built| built.layer.size).sum(),
        cached,
        steps: build.steps.len(),
        seconds: begin.elapsed().as_secs_f64(),
    });
    let built = Built {
        digest: image.manifest.digest,
        config: image.config_descriptor.digest,
        layers,
        artifacts,
    };
    Ok(Finished { built, image })
}
