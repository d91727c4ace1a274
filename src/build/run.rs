//! One build from its base to its post-processors.

use super::chain::{Blob, Chain, Link};
use super::event::{Event, Level};
use super::failure::{self, Failure};
use super::others::OtherImage;
use super::step::Bench;
use super::{
    BuildError, Built, BuiltLayer, Environment, again, assemble, kept, lookup, post, root_archive,
    steps, tests_of_image,
};
use crate::base::{Outcome, ResolvedBase};
use crate::image::Image;
use crate::image::config::ContainerConfig;
use crate::imageless::Imageless;
use crate::plan::{Plan, PlannedBuild, PlannedImage, Product};
use crate::postprocess::Artifact;
use crate::provision::StartState;
use crate::store::Platform;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// A build that ended well, with what the builds that start from it need.
pub struct Finished {
    /// What is reported.
    pub built: Built,
    /// The image; none if it makes none.
    pub image: Option<Image>,
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
    let result = match &build.product {
        Product::Image(planned) => again::run(environment, &build.name, |is_again| {
            let order = (environment, plan, build);
            if !is_again || dependency.is_none() {
                return image_and_outputs(order, planned, dependency, begin);
            }
            // What was promised wrongly may be below.
            let below = image_below(order)?;
            image_and_outputs(order, planned, below.as_ref(), begin)
        }),
        Product::Imageless(imageless) => without_image(environment, plan, build, imageless, begin),
    };
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

/// What is built, and with what.
pub type Order<'a> = (&'a Arc<Environment>, &'a Plan, &'a PlannedBuild);

fn image_and_outputs(
    order: Order<'_>,
    planned: &PlannedImage,
    dependency: Option<&Image>,
    begin: Instant,
) -> Result<Finished, Failure> {
    let (environment, plan, build) = order;
    let Made {
        image,
        base,
        layers,
        cached,
        root_archive,
    } = image(order, planned, dependency, begin)?;
    let digest = image.manifest.digest;
    let own = match planned.base.outcome() {
        Outcome::Image => Artifact::image(digest, &build.name),
        Outcome::Committed => {
            Artifact::committed(digest, image.config_descriptor.digest, &build.name)
        }
        Outcome::RootArchive { path } => Artifact::container(root_archive.map(|it| (&*path, it))),
        Outcome::Nothing => Artifact::container(None),
    };
    let is_left = planned.base.outcome().is_image();
    let left = is_left.then_some(&image);
    let artifacts =
        post::run(environment, plan, build, own, left, Some(&base)).map_err(|error| {
            let text = failure::text(plan, build, &error);
            Box::new((error, text))
        })?;
    let built = Built {
        digest: left.map(|image| image.manifest.digest),
        config: left.map(|image| image.config_descriptor.digest),
        layers,
        artifacts,
    };
    if cached < build.steps.len() {
        kept::forget(environment, &build.name);
    }
    // Only now: the registry may have got the layers with the image.
    environment.cache.succeeded(&build.name);
    finished(environment, build, &built, cached, begin);
    let image = Some(image);
    Ok(Finished { built, image })
}

/// The image that a build starts from, made once more with all that it needs; not its outputs.
pub fn image_below(order: Order<'_>) -> Result<Option<Image>, Failure> {
    let (environment, plan, build) = order;
    let mut made: BTreeMap<usize, Image> = BTreeMap::new();
    for index in plan.needed_by(build) {
        let Some(below) = plan.builds.get(index) else {
            continue;
        };
        if let Some(planned) = below.image() {
            let base = below.depends_on.and_then(|index| made.get(&index));
            let order = (environment, plan, below);
            let image = image(order, planned, base, Instant::now())?.image;
            made.insert(index, image);
        }
    }
    Ok(build.depends_on.and_then(|index| made.remove(&index)))
}

/// An image that was made.
struct Made {
    image: Image,
    /// What it stands on.
    base: ResolvedBase,
    /// Its layers, with those of the base.
    layers: Vec<BuiltLayer>,
    /// How many steps came from the store.
    cached: usize,
    /// A tar of its files, where one is asked for.
    root_archive: Option<PathBuf>,
}

/// Makes an image, and the archive of its files if that is what is asked for.
fn image(
    order: Order<'_>,
    planned: &PlannedImage,
    dependency: Option<&Image>,
    begin: Instant,
) -> Result<Made, Failure> {
    let (environment, plan, build) = order;
    let fail = |error: BuildError| {
        let text = failure::text(plan, build, &error);
        Box::new((error, text))
    };
    let (base, chain) = foundation(order, planned, dependency, begin).map_err(fail)?;
    let start = start(planned, &base);
    let bench = Bench {
        environment,
        plan,
        build,
        start: &start,
        epoch: base.epoch,
        platform: &planned.platform,
    };
    let done = steps::run(&bench, chain)?;
    let layers = done.chain.finish().map_err(fail)?;
    let image =
        assemble::image(environment, planned, &base, &layers, &done.history).map_err(fail)?;
    tests_of_image::run(environment, plan, build, &image).map_err(fail)?;
    let root_archive = match planned.base.outcome() {
        Outcome::RootArchive { path } => {
            let chain = Chain::of(&image);
            let written = root_archive::write(environment, &chain, base.epoch, &path);
            Some(written.map_err(fail)?)
        }
        outcome => {
            if outcome.is_image() {
                let now = environment.now.to_string();
                let store = &environment.store;
                let named = store.set_reference(&build.name, &image.manifest, Some(&now));
                named.map_err(|error| fail(error.into()))?;
            }
            None
        }
    };
    let other = OtherImage {
        diff_ids: image.diff_ids(),
        layers: image.layers.clone(),
    };
    environment.others.add(&build.name, other);
    Ok(Made {
        image,
        base,
        layers,
        cached: done.cached,
        root_archive,
    })
}

/// What the steps of a build stand on: its base, and the layers of that.
pub fn foundation(
    (environment, _, build): Order<'_>,
    planned: &PlannedImage,
    dependency: Option<&Image>,
    begin: Instant,
) -> Result<(ResolvedBase, Chain), BuildError> {
    let output = |line: &str| {
        environment.emit(Event::Notice {
            build: Some(build.name.clone()),
            level: Level::Info,
            text: line.to_owned(),
        });
    };
    let base = lookup::resolve_base(environment, planned, dependency, &output)?;
    environment.emit(Event::BaseResolved {
        build: build.name.clone(),
        base: planned.base.description(),
        digest: base.image.as_ref().map(|image| image.manifest.digest),
        seconds: begin.elapsed().as_secs_f64(),
    });
    for layer in &base.layers {
        environment.cache.made(&build.name, layer.key);
    }
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
    Ok((base, chain))
}

/// What a command of a step finds when it starts on a base.
pub fn start(planned: &PlannedImage, base: &ResolvedBase) -> StartState {
    let config = base.image.as_ref().map(|image| &image.config.config);
    lookup::start_state(
        config.unwrap_or(&ContainerConfig::default()),
        planned.base.start(),
    )
}

/// Builds from a source that makes no image: its own artifact first, as in Packer, so that the
/// provisioners find it.
fn without_image(
    environment: &Arc<Environment>,
    plan: &Plan,
    build: &PlannedBuild,
    imageless: &Imageless,
    begin: Instant,
) -> Result<Finished, Failure> {
    let fail = |error: BuildError| {
        let text = failure::text(plan, build, &error);
        Box::new((error, text))
    };
    let own = imageless
        .make(&environment.working_folder)
        .map_err(|error| fail(error.into()))?;
    let bench = Bench {
        environment,
        plan,
        build,
        // Nothing runs inside an image.
        start: &StartState::default(),
        epoch: 0,
        platform: &Platform::host(),
    };
    let done = steps::run(&bench, Chain::default())?;
    let artifacts = post::run(environment, plan, build, own, None, None).map_err(fail)?;
    let built = Built {
        digest: None,
        config: None,
        layers: Vec::new(),
        artifacts,
    };
    finished(environment, build, &built, done.cached, begin);
    Ok(Finished { built, image: None })
}

/// Tells what a build left.
fn finished(
    environment: &Environment,
    build: &PlannedBuild,
    built: &Built,
    cached: usize,
    begin: Instant,
) {
    for artifact in &built.artifacts {
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
    let size = |built: &BuiltLayer| built.layer.size;
    environment.emit(Event::BuildFinished {
        build: build.name.clone(),
        digest: built.digest,
        bytes: built.layers.iter().map(size).sum(),
        cached,
        steps: build.steps.len(),
        seconds: begin.elapsed().as_secs_f64(),
    });
}
