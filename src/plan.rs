//! Plans: what a template resolves to.
//!
//! A *plan* is a list of builds, each with a base, steps, image configuration and post-processors,
//! all options decoded and checked. Making one reads files but changes nothing; whatever is wrong
//! in a template is found here, all of it at once, before anything runs.

mod config;
mod dependencies;
pub mod key;
mod limits;
pub mod lock;
mod mount;
mod names;
pub mod packer_components;
mod planning;
pub mod plugins;
mod pushes;
mod sandboxed;
pub mod secret;
mod select;
pub mod shard;
mod sharing;
mod step;
pub mod test_blocks;

pub use mount::{StepMount, StepMountKind};
pub use packer_components::Group;
pub use shard::{Costs, Shard};
pub use step::{LayerStep, Step, Work};

use crate::base::{Base, ResolvedBase};
use crate::cache::Sharing;
use crate::check::Test;
use crate::diagnostic::{Colours, Diagnostic, Diagnostics, SourceSpan, Sources};
use crate::image::{ConfigChanges, Image};
use crate::imageless::Imageless;
use crate::mask::{Masker, Secrets};
use crate::postprocess::{PostProcessor, PushedName};
use crate::provision::Caller;
use crate::store::Platform;
use crate::template::{Component, RequiredPlugin, Template};
use names::{Names, build_values};
use planning::{plan_builds, prepare_post_processor, report_duplicates};
use secret::Given;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What planning takes besides the template.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// What programs of the host find in their surroundings.
    pub caller: Arc<Caller>,
    /// What to build for where the template does not say.
    pub platform: Platform,
    /// Globs over build names; empty for all.
    pub only: Vec<String>,
    /// Globs over build names and post-processors.
    pub except: Vec<String>,
    /// Which part of the builds; none for all.
    pub shard: Option<Shard>,
    /// How long builds take, as far as that is known, to make parts of one length.
    pub costs: Costs,
    /// When the run began.
    pub now: jiff::Timestamp,
    /// Names the run: `build.PackerRunUUID`.
    pub run_id: String,
}

/// What a template resolves to.
#[derive(Debug)]
pub struct Plan {
    /// The builds, in the template's order.
    pub builds: Vec<PlannedBuild>,
    /// With whom results of steps are shared.
    pub sharing: Sharing,
    /// Strings that must be shown nowhere.
    pub secrets: Secrets,
    /// Hides them.
    pub masker: Masker,
    /// What steps are given at run time; empty where nothing is built.
    pub given: Given,
    template: Template,
    settings: Settings,
}

/// One build: a source with the steps of one `build` block.
#[derive(Debug)]
pub struct PlannedBuild {
    /// `[BUILD.]TYPE.SOURCE`.
    pub name: String,
    /// The source's type.
    pub source_type: String,
    /// The source's name as its `source` block gives it.
    pub source_name: String,
    /// The name that a `build` block gives the source, else the source's.
    pub local_name: String,
    /// The `build` block.
    pub span: SourceSpan,
    /// The place that names the source.
    pub source_span: SourceSpan,
    /// What is built.
    pub product: Product,
    /// The build that the base is the result of, by its place in the plan.
    pub depends_on: Option<usize>,
    /// The builds whose images its steps mount, by their places in the plan.
    pub mounts_from: Vec<usize>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What runs when a step has failed, on what it left.
    pub error_cleanup: Option<Step>,
    /// What the image must fulfil before anything is done with it.
    pub tests: Vec<Test>,
    /// The chains of post-processors.
    pub post_processors: Vec<Vec<PlannedPostProcessor>>,
    /// The `build` block's own name.
    build_name: Option<String>,
}

/// What a build makes.
#[derive(Debug)]
pub enum Product {
    /// An image.
    Image(Box<PlannedImage>),
    /// No image.
    Imageless(Imageless),
}

/// An image to be built.
#[derive(Debug)]
pub struct PlannedImage {
    /// Where the first layers come from.
    pub base: Box<dyn Base>,
    /// What is built for.
    pub platform: Platform,
    /// What the template changes in the base's configuration.
    pub changes: ConfigChanges,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl PlannedBuild {
    /// The places of the builds that must have ended before this one begins.
    pub fn needs(&self) -> Vec<usize> {
        let mounted = self.mounts_from.iter().copied();
        self.depends_on.into_iter().chain(mounted).collect()
    }

    /// What it makes an image of; none if it makes none.
    pub fn image(&self) -> Option<&PlannedImage> {
        match &self.product {
            Product::Image(image) => Some(image),
            Product::Imageless(_) => None,
        }
    }

    /// What it starts from, in a few words.
    pub fn description(&self) -> String {
        match &self.product {
            Product::Image(image) => image.base.description(),
            Product::Imageless(imageless) => imageless.description(),
        }
    }
}

/// One post-processor, checked; its options are evaluated again when the image is known.
#[derive(Debug)]
pub struct PlannedPostProcessor {
    /// The type, and the name if it has one.
    pub name: String,
    /// The post-processor's block.
    pub span: SourceSpan,
    /// What the template says of its input artifact.
    pub keep_input: Option<bool>,
    /// The names in registries that it gives.
    pub pushes: Vec<PushedName>,
    component: Component,
}

impl Plan {
    /// Makes a plan of all builds of `template` that `settings` select; with it come warnings.
    ///
    /// `diagnostics` are those of loading. With errors among them there is no plan, but the
    /// components are checked all the same, so that the user learns all that is wrong at once.
    pub fn new(
        template: Template,
        settings: Settings,
        diagnostics: Diagnostics,
    ) -> Result<(Self, Diagnostics), (Diagnostics, Sources)> {
        if template.builds().is_empty() {
            diagnostics.push(
                Diagnostic::error("there is no build block, so there is nothing to build")
                    .help("add `build { sources = [\"source.TYPE.NAME\"] }`"),
            );
        }
        plugins::check(&template, &diagnostics);
        test_blocks::refuse_outside_of_builds(&template, &diagnostics);
        let sharing = sharing::read(&template, &diagnostics);
        let (mut builds, names) = plan_builds(&template, &settings, &diagnostics);
        report_duplicates(&builds, &diagnostics);
        // A name that belongs to a build with mistakes is not unknown, nor is one of a build that
        // depends on data sources which are not asked.
        if !diagnostics.has_errors() && builds.len() == names.len() {
            dependencies::resolve(&mut builds, &diagnostics);
        }
        if diagnostics.has_errors() {
            return Err((diagnostics, template.sources().clone()));
        }
        let builds = select::select(builds, &names, template.builds(), &settings, &diagnostics);
        pushes::warn_of_rivals(&builds, &diagnostics);
        step::warn_of_lacks(&builds, &diagnostics);
        if diagnostics.has_errors() {
            return Err((diagnostics, template.sources().clone()));
        }
        let plan = Self {
            builds,
            sharing,
            secrets: template.secrets().clone(),
            masker: Masker::of(template.secrets()),
            given: Given::default(),
            template,
            settings,
        };
        Ok((plan, diagnostics))
    }

    /// The places of the builds that must have ended before `build` begins, each after those that it
    /// needs itself. There are no circles.
    pub fn needed_by(&self, build: &PlannedBuild) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        // What a build needs, and how much of it has been looked at.
        let mut way: Vec<(Option<usize>, Vec<usize>)> = vec![(None, build.needs())];
        while let Some((index, mut left)) = way.pop() {
            let Some(next) = left.pop() else {
                order.extend(index);
                continue;
            };
            way.push((index, left));
            // The bound only ends the walk.
            if !order.contains(&next) && way.len() <= self.builds.len() {
                let needs = self.builds.get(next).map(PlannedBuild::needs);
                way.push((Some(next), needs.unwrap_or_default()));
            }
        }
        order
    }

    /// The plugins that the template asks for.
    pub fn required_plugins(&self) -> &[RequiredPlugin] {
        self.template.required_plugins()
    }

    /// Whether a step asks the operator.
    pub fn asks(&self) -> bool {
        let steps = self.builds.iter().flat_map(|build| &build.steps);
        steps.into_iter().any(|step| match &step.work {
            Work::Host(provisioner) => provisioner.asks(),
            Work::Layer(_) => false,
        })
    }

    /// The builds that a name can mean: the full name wins over `TYPE.SOURCE`, that over the name of
    /// a build block or a source alone.
    pub fn matching(&self, name: &str) -> Vec<&PlannedBuild> {
        let names: Vec<Names<'_>> = self.builds.iter().map(Names::of).collect();
        let found = dependencies::matching(&names, name).into_iter();
        found.filter_map(|index| self.builds.get(index)).collect()
    }

    /// The texts that spans point into.
    pub fn sources(&self) -> &Sources {
        self.template.sources()
    }

    /// The builds whose images become part of the index `name`.
    pub fn partners(&self, name: &str) -> BTreeSet<String> {
        pushes::partners(&self.builds, name)
    }

    /// Evaluates the options of a post-processor now that the artifact named `id` is there, its image
    /// if it is one, and what it was built on; an error is the rendered diagnostics.
    pub fn post_processor(
        &self,
        build: &PlannedBuild,
        planned: &PlannedPostProcessor,
        id: &str,
        image: Option<&Image>,
        base: Option<&ResolvedBase>,
    ) -> Result<Box<dyn PostProcessor>, String> {
        let diagnostics = Diagnostics::new();
        let names = names::image_names(build, image, base);
        let known = build_values(id, names.as_ref(), &self.settings);
        let prepared = prepare_post_processor(
            &self.template,
            &self.settings,
            &Names::of(build),
            &planned.component,
            known,
            &diagnostics,
        );
        prepared.ok_or_else(|| diagnostics.render(self.sources(), Colours::Off))
    }
}
