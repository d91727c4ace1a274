//! Plans: what a template resolves to.
//!
//! A *plan* is a list of builds, each with a base, steps, image configuration and post-processors,
//! all options decoded and checked. Making one reads files but changes nothing; whatever is wrong
//! in a template is found here, all of it at once, before anything runs.

mod config;
mod dependencies;
pub mod key;
pub mod lock;
pub mod packer_components;
pub mod plugins;
mod select;
mod step;

pub use packer_components::Group;
pub use step::{LayerStep, Step, Work};

use crate::base::{self, Base};
use crate::diagnostic::{Colours, Diagnostic, Diagnostics, SourceSpan, Sources, did_you_mean};
use crate::image::{ConfigChanges, Image};
use crate::imageless::{self, Imageless};
use crate::mask::{Masker, Secrets};
use crate::postprocess::{self, PostProcessor};
use crate::store::Platform;
use crate::template::gotemplate::GoTemplateData;
use crate::template::{
    self, Arguments, Body, Component, RequiredPlugin, ScopeNames, SourceUse, Template, Value,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What planning takes besides the template.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// What to build for.
    pub platform: Platform,
    /// Globs over build names; empty for all.
    pub only: Vec<String>,
    /// Globs over build names and post-processors.
    pub except: Vec<String>,
    /// When the run began.
    pub now: jiff::Timestamp,
}

/// What a template resolves to.
#[derive(Debug)]
pub struct Plan {
    /// The builds, in the template's order.
    pub builds: Vec<PlannedBuild>,
    /// What is built for.
    pub platform: Platform,
    /// Strings that must be shown nowhere.
    pub secrets: Secrets,
    /// Hides them.
    pub masker: Masker,
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
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What runs when a step has failed, on what it left.
    pub error_cleanup: Option<Step>,
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
    /// What the template changes in the base's configuration.
    pub changes: ConfigChanges,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl PlannedBuild {
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
        if diagnostics.has_errors() {
            return Err((diagnostics, template.sources().clone()));
        }
        let plan = Self {
            builds,
            platform: settings.platform.clone(),
            secrets: template.secrets().clone(),
            masker: Masker::of(template.secrets()),
            template,
            settings,
        };
        Ok((plan, diagnostics))
    }

    /// The platform in words, as `linux/amd64`.
    pub fn platform_name(&self) -> String {
        format!("{}/{}", self.platform.os, self.platform.architecture)
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

    /// The texts that spans point into.
    pub fn sources(&self) -> &Sources {
        self.template.sources()
    }

    /// Evaluates the options of a post-processor now that the artifact named `id` is there, and its
    /// image if it is one; an error is the rendered diagnostics.
    pub fn post_processor(
        &self,
        build: &PlannedBuild,
        planned: &PlannedPostProcessor,
        id: &str,
        image: Option<&Image>,
    ) -> Result<Box<dyn PostProcessor>, String> {
        let diagnostics = Diagnostics::new();
        let digests = image.map(|image| {
            let config = image.config_descriptor.digest.to_string();
            (image.manifest.digest.to_string(), config)
        });
        let digests = digests.as_ref();
        let known = known_later(id, digests.map(|(a, b)| (a.as_str(), b.as_str())));
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

/// The names of one build as expressions and Go templates see them.
#[derive(Clone, Copy)]
struct Names<'a> {
    build_name: Option<&'a str>,
    source_type: &'a str,
    source_name: &'a str,
    local_name: &'a str,
    /// Whether its expressions leave data sources alone.
    without_data: bool,
}

impl<'a> Names<'a> {
    fn of(build: &'a PlannedBuild) -> Self {
        Self {
            build_name: build.build_name.as_deref(),
            source_type: &build.source_type,
            source_name: &build.source_name,
            local_name: &build.local_name,
            without_data: false,
        }
    }

    fn of_use(block: &'a template::Build, source: &'a SourceUse) -> Self {
        Self {
            build_name: block.name.as_deref(),
            source_type: &source.kind,
            source_name: &source.source_name,
            local_name: source.name(),
            without_data: false,
        }
    }

    /// The build's name: `[BUILD.]TYPE.SOURCE`.
    fn full(&self) -> String {
        let source = format!("{}.{}", self.source_type, self.local_name);
        match self.build_name {
            Some(build) => format!("{build}.{source}"),
            None => source,
        }
    }

    /// The scope of expressions; `build` are the attributes of the object of that name that are
    /// known by now.
    fn scope(&self, build: BTreeMap<String, Value>) -> ScopeNames {
        ScopeNames {
            build_name: Some(self.build_name.unwrap_or_default().to_owned()),
            source: Some((self.source_type.to_owned(), self.local_name.to_owned())),
            without_data: self.without_data,
            build,
        }
    }

    fn go_template(&self, template: &Template, settings: &Settings) -> GoTemplateData {
        GoTemplateData {
            fields: BTreeMap::new(),
            build_name: self.source_name.to_owned(),
            build_type: self.source_type.to_owned(),
            working_folder: settings.working_folder.display().to_string(),
            now: settings.now,
            random: template.random(),
        }
        .with("BuildName", self.source_name)
        .with("BuilderType", self.source_type)
    }
}

/// The attributes of `build` that are known when its artifact is there: those of an image have the
/// digests of its manifest and configuration too. Before that they are what Packer shows for them,
/// so that options can be checked.
fn known_later(id: &str, digests: Option<(&str, &str)>) -> BTreeMap<String, Value> {
    let of_image = digests.map(|(digest, config)| [("Digest", digest), ("ImageSha256", config)]);
    let names = of_image.into_iter().flatten().chain([("ID", id)]);
    names
        .map(|(name, value)| (name.to_owned(), Value::string(value)))
        .collect()
}

/// Says that a component of that type does not exist, and which one may be meant.
fn report_unknown(
    group: Group,
    kind: &str,
    place: SourceSpan,
    kinds: &[&str],
    diagnostics: &Diagnostics,
) {
    let known = format!("{group}s are {}", kinds.join(", "));
    let error = match packer_components::plugin_of(group, kind) {
        // Nobody misspelt it, so the nearest name would mislead.
        Some(_) => Diagnostic::error(format!("Packer's {group} {kind:?} is not supported yet")),
        None => Diagnostic::error(format!("there is no {group} of type {kind:?}"))
            .help_maybe(did_you_mean(kind, kinds.iter().copied())),
    };
    diagnostics.push(error.at(place).help(known));
}

/// Ends the decoding of a body; says whether it went without an error.
fn finish(arguments: Arguments<'_>, diagnostics: &Diagnostics, before: usize) -> bool {
    arguments.finish();
    diagnostics.error_count() == before
}

/// Plans all builds; with them come the names of all, also of those that cannot be planned: after
/// an error, or because they need data sources that are not asked.
///
/// Data sources are asked for the builds that are selected, and for those that they start from.
fn plan_builds(
    template: &Template,
    settings: &Settings,
    diagnostics: &Diagnostics,
) -> (Vec<PlannedBuild>, Vec<String>) {
    let blocks = template.builds().iter();
    let uses: Vec<(&template::Build, &SourceUse)> = blocks
        .flat_map(|block| block.uses.iter().map(move |source| (block, source)))
        .collect();
    let names: Vec<Names<'_>> = uses
        .iter()
        .map(|(block, source)| Names::of_use(block, source))
        .collect();
    let full_names: Vec<String> = names.iter().map(Names::full).collect();
    let mut is_needed = match template.has_data_sources() && !diagnostics.has_errors() {
        true => select::asked(&full_names, settings),
        false => vec![false; names.len()],
    };
    loop {
        let planned: Vec<Option<PlannedBuild>> = uses
            .iter()
            .zip(&names)
            .zip(&is_needed)
            .map(|(((block, source), names), is_needed)| {
                let names = Names {
                    without_data: !is_needed,
                    ..*names
                };
                plan_build(template, settings, &names, block, source, diagnostics)
            })
            .collect();
        let bases = planned.iter().zip(&is_needed).filter(|(_, it)| **it);
        let bases = bases.filter_map(|(build, _)| build.as_ref()?.image()?.base.depends_on());
        let found: Vec<usize> = bases
            .flat_map(|name| dependencies::matching(&names, name))
            .filter(|index| !is_needed[*index])
            .collect();
        if found.is_empty() || diagnostics.has_errors() {
            return (planned.into_iter().flatten().collect(), full_names);
        }
        found.into_iter().for_each(|index| is_needed[index] = true);
    }
}

/// Plans one use of a source by a `build` block; none after an error.
fn plan_build(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    block: &template::Build,
    source: &SourceUse,
    diagnostics: &Diagnostics,
) -> Option<PlannedBuild> {
    let name = names.full();
    let before = diagnostics.error_count();

    let product = if imageless::kinds().contains(&source.kind.as_str()) {
        plan_imageless(template, settings, names, block, source, diagnostics)
    } else {
        plan_image(template, settings, names, block, source, diagnostics)
    };
    if let Some(test) = block.tests.first() {
        diagnostics.push(
            Diagnostic::error("test blocks are not supported yet")
                .at(test.header())
                .help("try the image with `hardtack run`, or test it in a shell provisioner"),
        );
    }
    // Without an image there is nothing for a command in the sandbox to run on.
    let is_imageless = imageless::kinds().contains(&source.kind.as_str());
    let plan_step = |component: &Component, before: &[Step]| {
        if is_imageless && !step::report_no_image(component, source, diagnostics) {
            return None;
        }
        step::plan_step(template, settings, names, component, before, diagnostics)
    };
    let mut steps = Vec::new();
    for component in block.provisioners.iter().filter(|it| it.applies_to(source)) {
        let planned = plan_step(component, &steps);
        steps.extend(planned);
    }
    let cleanup = block.error_cleanup.as_ref();
    let error_cleanup = cleanup
        .filter(|it| it.applies_to(source))
        .and_then(|component| plan_step(component, &steps));
    let mut chains = Vec::new();
    for chain in &block.post_processors {
        let mut planned = Vec::new();
        for component in chain.iter().filter(|it| it.applies_to(source)) {
            // As in Packer, leaving one out leaves out the rest of its chain.
            if select::is_excepted(component, &settings.except) {
                break;
            }
            let digests = (!is_imageless).then_some(("<unknown>", "<unknown>"));
            let later = known_later("<unknown>", digests);
            let prepared =
                prepare_post_processor(template, settings, names, component, later, diagnostics);
            if is_imageless && prepared.is_some_and(|it| it.needs_image()) {
                diagnostics.push(
                    Diagnostic::error(format!(
                        "{} works on images, and the source {} makes none",
                        component.kind, source.kind
                    ))
                    .at(component.kind_span)
                    .help(format!(
                        "leave it out with `except = [{:?}]`",
                        source.full_name()
                    )),
                );
            }
            planned.push(PlannedPostProcessor {
                name: component.display_name(),
                span: component.kind_span,
                keep_input: component.keep_input_artifact,
                component: component.clone(),
            });
        }
        if !planned.is_empty() {
            chains.push(planned);
        }
    }
    let product = product?;
    (diagnostics.error_count() == before).then(|| PlannedBuild {
        name,
        source_type: source.kind.clone(),
        source_name: source.source_name.clone(),
        local_name: source.name().to_owned(),
        span: block.span,
        source_span: source.reference,
        product,
        depends_on: None,
        steps,
        error_cleanup,
        post_processors: chains,
        build_name: block.name.clone(),
    })
}

/// Plans what a source makes that has a base; none after an error.
fn plan_image(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    block: &template::Build,
    source: &SourceUse,
    diagnostics: &Diagnostics,
) -> Option<Product> {
    let scope = template.scope(&names.scope(BTreeMap::new()));
    let open = |body| {
        template
            .arguments(body, &scope, diagnostics)
            .rendering(names.go_template(template, settings))
    };
    let mut changes = ConfigChanges::default();
    let mut annotations = BTreeMap::new();
    let context = base::PrepareContext {
        working_folder: settings.working_folder.clone(),
        platform: settings.platform.clone(),
    };
    let base = if base::kinds().contains(&source.kind.as_str()) {
        let arguments = open(&source.body);
        config::decode_blocks(&arguments, &mut changes, &mut annotations);
        let base = base::prepare(&source.kind, &arguments, &context);
        arguments.finish();
        base
    } else {
        report_unknown(
            Group::Source,
            &source.kind,
            source.reference,
            &Group::Source.built_in(),
            diagnostics,
        );
        None
    };
    for block in &block.config {
        let arguments = open(block);
        config::decode(&arguments, &mut changes, &mut annotations);
        arguments.finish();
    }
    let place = block.config.first().map_or(source.reference, Body::header);
    let masker = Masker::of(template.secrets());
    config::warn_of_secrets(&changes, &annotations, &masker, place, diagnostics);
    let base = base?;
    Some(Product::Image(Box::new(PlannedImage {
        base,
        changes,
        annotations,
    })))
}

/// Plans what a source makes that has no image; none after an error.
fn plan_imageless(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    block: &template::Build,
    source: &SourceUse,
    diagnostics: &Diagnostics,
) -> Option<Product> {
    let scope = template.scope(&names.scope(BTreeMap::new()));
    let arguments = template
        .arguments(&source.body, &scope, diagnostics)
        .rendering(names.go_template(template, settings));
    let context = imageless::PrepareContext {
        working_folder: settings.working_folder.clone(),
    };
    let prepared = imageless::prepare(&source.kind, &arguments, &context);
    arguments.finish();
    // Checked all the same, and without effect: another source of the build may make an image.
    for block in &block.config {
        let arguments = template.arguments(block, &scope, diagnostics);
        config::decode(
            &arguments,
            &mut ConfigChanges::default(),
            &mut BTreeMap::new(),
        );
        arguments.finish();
    }
    prepared.map(Product::Imageless)
}

fn prepare_post_processor(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    component: &Component,
    build: BTreeMap<String, Value>,
    diagnostics: &Diagnostics,
) -> Option<Box<dyn PostProcessor>> {
    let before = diagnostics.error_count();
    let kinds = postprocess::kinds();
    if !kinds.contains(&component.kind.as_str()) {
        let place = component.kind_span;
        report_unknown(
            Group::PostProcessor,
            &component.kind,
            place,
            &kinds,
            diagnostics,
        );
        return None;
    }
    let scope = template.scope(&names.scope(build));
    let arguments = template
        .arguments(&component.body, &scope, diagnostics)
        .rendering(names.go_template(template, settings));
    let context = postprocess::PrepareContext {
        working_folder: settings.working_folder.clone(),
        go_template: names.go_template(template, settings),
    };
    let prepared = postprocess::prepare(&component.kind, &arguments, &context);
    let is_right = finish(arguments, diagnostics, before);
    prepared.filter(|_| is_right)
}

fn report_duplicates(builds: &[PlannedBuild], diagnostics: &Diagnostics) {
    let mut seen: BTreeMap<&str, SourceSpan> = BTreeMap::new();
    for build in builds {
        if let Some(first) = seen.insert(&build.name, build.source_span) {
            diagnostics.push(
                Diagnostic::error(format!("two builds are named {}", build.name))
                    .at_with(build.source_span, "the second one")
                    .note(first, "the first one")
                    .help(
                        "give the build blocks, or the use of the source in one of them, a `name`",
                    ),
            );
        }
    }
}
