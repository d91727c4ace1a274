//! The post-processors of a build: chains of artifacts.
//!
//! As in Packer, every chain starts from the build's own artifact, and each post-processor of a
//! chain gets the one before's. A failing chain does not stop the others, but the build fails.
//! The image itself is never destroyed: it stays in the store by name and digest, and
//! `keep_input_artifact = false` only leaves it out of the list of artifacts.

use super::event::Event;
use super::{BuildError, Environment, host, outputs};
use crate::base::ResolvedBase;
use crate::image::Image;
use crate::plan::{Plan, PlannedBuild, PlannedPostProcessor};
use crate::postprocess::{Artifact, Context, PostProcessError};
use crate::provision::Said;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs all chains; gives the artifacts that are left, in Packer's order: the build's own, then
/// for each chain what it kept on the way and its last.
pub fn run(
    environment: &Environment,
    plan: &Plan,
    build: &PlannedBuild,
    own: Artifact,
    image: Option<&Image>,
    base: Option<&ResolvedBase>,
) -> Result<Vec<Artifact>, BuildError> {
    let mut keep_own = build.post_processors.is_empty();
    let mut artifacts = Vec::new();
    let mut failure = None;
    for chain in &build.post_processors {
        match run_chain(environment, (plan, build), (image, base), &own, chain) {
            Ok((kept_own, made)) => {
                keep_own |= kept_own;
                artifacts.extend(made);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    if keep_own {
        artifacts.insert(0, own);
    }
    Ok(artifacts)
}

/// Runs one chain; says whether the build's own artifact is kept, and what the chain left.
fn run_chain(
    environment: &Environment,
    (plan, build): (&Plan, &PlannedBuild),
    (image, base): (Option<&Image>, Option<&ResolvedBase>),
    own: &Artifact,
    chain: &[PlannedPostProcessor],
) -> Result<(bool, Vec<Artifact>), BuildError> {
    let mut keep_own = true;
    let mut left: Vec<Artifact> = Vec::new();
    let mut current = own.clone();
    for (index, planned) in chain.iter().enumerate() {
        let begin = Instant::now();
        environment.emit(Event::PostProcessorStarted {
            build: build.name.clone(),
            post_processor: planned.name.clone(),
        });
        // Its options may name the image's digest, which is only known now.
        let ready = plan
            .post_processor(build, planned, &own.id(), image, base)
            .map_err(BuildError::Options)?;
        let say = |said: Said<'_>| {
            let build = build.name.clone();
            let post_processor = planned.name.clone();
            environment.emit(match said {
                Said::Note(text) => Event::PostProcessorNote {
                    build,
                    post_processor,
                    text: text.to_owned(),
                },
                Said::Line(stream, line) => Event::PostProcessorOutput {
                    build,
                    post_processor,
                    stream: host::log_stream(stream),
                    line: line.to_owned(),
                },
            });
        };
        let context = Context {
            store: &environment.store,
            registries: &environment.registries,
            image,
            build_name: &build.name,
            source_name: &build.source_name,
            source_type: &build.source_type,
            working_folder: &environment.working_folder,
            run_id: &environment.run_id,
            now: environment.now,
            cancel: &environment.cancel,
            force: environment.force,
            masker: &plan.masker,
            joint: &environment.joint,
            partners: &|name| plan.partners(name),
            say: &say,
        };
        let failed = |source: PostProcessError| BuildError::PostProcessor {
            name: planned.name.clone(),
            span: planned.span,
            source: Box::new(source),
        };
        if let Some(image) = image.filter(|_| ready.needs_layers()) {
            outputs::fetch_layers(environment, image, &say, failed)?;
        }
        let made = ready.run(&current, &context).map_err(|error| match image {
            Some(image) => outputs::blame(environment, image, failed(error)),
            None => failed(error),
        })?;
        let keep = ready.needs_input() || planned.keep_input.unwrap_or(true);
        if index == 0 {
            keep_own = keep;
        } else if keep {
            left.push(current);
        } else {
            // What this one did not pass on and the user does not want kept.
            let passed_on = |file: &PathBuf| made.files.contains(file);
            for file in current.files.iter().filter(|file| !passed_on(file)) {
                remove(file)?;
            }
        }
        environment.emit(Event::PostProcessorFinished {
            build: build.name.clone(),
            post_processor: planned.name.clone(),
            seconds: begin.elapsed().as_secs_f64(),
        });
        current = made;
    }
    // A chain that only passes the image on has made nothing new.
    if current != *own {
        left.push(current);
    }
    Ok((keep_own, left))
}

/// Removes a file of an artifact; a device that an archive was written to is none of it.
fn remove(file: &Path) -> Result<(), BuildError> {
    match fs::symlink_metadata(file) {
        Ok(found) if found.is_file() => {
            fs::remove_file(file).map_err(BuildError::file("remove", file))
        }
        _ => Ok(()),
    }
}
