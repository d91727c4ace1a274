//! Plans: what a template resolves to.
//!
//! A *plan* is a list of builds, each with a base, steps, image configuration and post-processors,
//! all options decoded and checked. Making one reads files but changes nothing; whatever is wrong
//! in a template is found here, all of it at once, before anything runs.

mod config;
mod dependencies;
pub mod key;
mod select;
mod step;

pub use step::Step;

use crate::base::{self, Base};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap, SourceSpan};
use crate::image::{ConfigChanges, Image};
use crate::postprocess::{self, PostProcessor};
use crate::template::gotemplate::GoTemplateData;
use crate::template::value::Value;
use crate::template::{self, Component, ScopeNames, Template};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What planning takes besides the template.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// The architecture to build for, as OCI names it.
    pub architecture: String,
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
    /// As `linux/amd64`.
    pub platform: String,
    /// Strings that must be shown nowhere.
    pub secrets: Vec<String>,
    /// Warnings, ready to be shown.
    pub warnings: Vec<Diagnostic>,
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
    /// Where the first layers come from.
    pub base: Box<dyn Base>,
    /// The build that the base is the result of, by its place in the plan.
    pub depends_on: Option<usize>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the template changes in the base's configuration.
    pub changes: ConfigChanges,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The chains of post-processors.
    pub post_processors: Vec<Vec<PlannedPostProcessor>>,
    /// The `build` block's own name.
    build_name: Option<String>,
}

/// One post-processor, checked; its options are evaluated again when the image is known.
#[derive(Debug)]
pub struct PlannedPostProcessor {
    /// The type, and the name if it has one.
    pub name: String,
    /// What the template says of its input artifact.
    pub keep_input: Option<bool>,
    component: Component,
}

impl Plan {
    /// Makes a plan of all builds of `template` that `settings` select.
    pub fn new(template: Template, settings: Settings) -> Result<Self, (Diagnostics, SourceMap)> {
        let mut diagnostics = Diagnostics::default();
        let mut builds = Vec::new();
        for block in template.builds() {
            for source in &block.uses {
                if let Some(build) =
                    plan_build(&template, &settings, block, source, &mut diagnostics)
                {
                    builds.push(build);
                }
            }
        }
        report_duplicates(&builds, &mut diagnostics);
        dependencies::resolve(&mut builds, &mut diagnostics);
        let builds = select::select(builds, &settings, &mut diagnostics);
        let mut warnings = template.warnings().to_vec();
        if diagnostics.has_errors() {
            return Err((diagnostics, template.source_map().clone()));
        }
        warnings.extend(diagnostics.into_iter());
        Ok(Self {
            builds,
            platform: format!("linux/{}", settings.architecture),
            secrets: template.secrets().to_vec(),
            warnings,
            template,
            settings,
        })
    }

    /// The texts that spans point into.
    pub fn source_map(&self) -> &SourceMap {
        self.template.source_map()
    }

    /// Evaluates the options of a post-processor now that the image is known; an error is the
    /// rendered diagnostics.
    pub fn post_processor(
        &self,
        build: &PlannedBuild,
        planned: &PlannedPostProcessor,
        image: &Image,
    ) -> Result<Box<dyn PostProcessor>, String> {
        let mut diagnostics = Diagnostics::default();
        let known = [
            ("ID", image.digest().to_string()),
            ("ImageSha256", image.config_digest().to_string()),
            ("Digest", image.digest().to_string()),
        ];
        let known = known.map(|(name, value)| (name.into(), Value::from(value)));
        let prepared = prepare_post_processor(
            &self.template,
            &self.settings,
            &Names::of(build),
            &planned.component,
            known.into(),
            &mut diagnostics,
        );
        prepared.ok_or_else(|| diagnostics.render(self.source_map(), false))
    }
}

/// The names of one build as expressions and Go templates see them.
struct Names<'a> {
    build_name: Option<&'a str>,
    source_type: &'a str,
    source_name: &'a str,
    local_name: &'a str,
}

impl<'a> Names<'a> {
    fn of(build: &'a PlannedBuild) -> Self {
        Self {
            build_name: build.build_name.as_deref(),
            source_type: &build.source_type,
            source_name: &build.source_name,
            local_name: &build.local_name,
        }
    }

    /// The scope of expressions; `build` are the attributes of the object of that name that are
    /// known by now.
    fn scope(&self, build: BTreeMap<std::sync::Arc<str>, Value>) -> ScopeNames<'a> {
        ScopeNames {
            build_name: self.build_name,
            source: Some((self.source_type, self.local_name)),
            build,
        }
    }

    fn go_template(&self, settings: &Settings) -> GoTemplateData {
        GoTemplateData::new(settings.now, &settings.working_folder)
            .with("BuildName", self.source_name)
            .with("BuilderType", self.source_type)
    }

    /// The name that `only`, `except` and `override` of a component go by.
    fn selector(&self) -> String {
        format!("{}.{}", self.source_type, self.local_name)
    }
}

/// Plans one use of a source by a `build` block; none after an error.
fn plan_build(
    template: &Template,
    settings: &Settings,
    block: &template::Build,
    source: &template::SourceUse,
    diagnostics: &mut Diagnostics,
) -> Option<PlannedBuild> {
    let names = Names {
        build_name: block.name.as_deref(),
        source_type: &source.kind,
        source_name: &source.source_name,
        local_name: &source.local_name,
    };
    let name = match names.build_name {
        Some(build) => format!("{build}.{}", names.selector()),
        None => names.selector(),
    };
    let scope = names.scope(BTreeMap::new());

    let mut changes = ConfigChanges::default();
    let mut annotations = BTreeMap::new();
    let mut arguments = template.source_arguments(source, &scope, diagnostics);
    config::decode_blocks(&mut arguments, &mut changes, &mut annotations);
    let context = base::PrepareContext {
        working_folder: settings.working_folder.clone(),
        architecture: settings.architecture.clone(),
    };
    let base = if base::kinds().contains(&source.kind.as_str()) {
        let base = base::prepare(&source.kind, &mut arguments, &context);
        arguments.finish();
        base
    } else {
        arguments.unknown_kind("source", &base::kinds());
        None
    };
    for block in &block.config {
        let mut arguments = template.block_arguments(block, &scope, diagnostics);
        config::decode(&mut arguments, &mut changes, &mut annotations);
        arguments.finish();
    }

    let mut steps = Vec::new();
    let mut complete = true;
    for component in block.provisioners.iter().filter(|it| it.applies_to(&names.selector())) {
        match step::plan_step(template, settings, &names, component, &steps, diagnostics) {
            Some(step) => steps.push(step),
            None => complete = false,
        }
    }
    let mut chains = Vec::new();
    for chain in &block.post_processors {
        let mut planned = Vec::new();
        for component in chain.iter().filter(|it| it.applies_to(&names.selector())) {
            // As in Packer, leaving one out leaves out the rest of its chain.
            if select::is_excepted(component, &settings.except) {
                break;
            }
            let later = BTreeMap::from(
                ["ID", "ImageSha256", "Digest"]
                    .map(|name| (name.into(), Value::unknown_string())),
            );
            let prepared = prepare_post_processor(
                template, settings, &names, component, later, diagnostics,
            );
            complete &= prepared.is_some();
            planned.push(PlannedPostProcessor {
                name: component.display_name(),
                keep_input: component.keep_input_artifact,
                component: component.clone(),
            });
        }
        if !planned.is_empty() {
            chains.push(planned);
        }
    }
    let base = base?;
    complete.then(|| PlannedBuild {
        name,
        source_type: source.kind.clone(),
        source_name: source.source_name.clone(),
        local_name: source.local_name.clone(),
        span: block.span,
        source_span: source.span,
        base,
        depends_on: None,
        steps,
        changes,
        annotations,
        post_processors: chains,
        build_name: block.name.clone(),
    })
}

fn prepare_post_processor(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    component: &Component,
    build: BTreeMap<std::sync::Arc<str>, Value>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn PostProcessor>> {
    let scope = names.scope(build);
    let mut arguments = template.arguments(component, &scope, diagnostics);
    if !postprocess::kinds().contains(&component.kind.as_str()) {
        arguments.unknown_kind("post-processor", &postprocess::kinds());
        return None;
    }
    let context = postprocess::PrepareContext {
        working_folder: settings.working_folder.clone(),
        go_template: names.go_template(settings),
    };
    let prepared = postprocess::prepare(&component.kind, &mut arguments, &context);
    let valid = arguments.finish();
    prepared.filter(|_| valid)
}

fn report_duplicates(builds: &[PlannedBuild], diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<&str, SourceSpan> = BTreeMap::new();
    for build in builds {
        if let Some(first) = seen.insert(&build.name, build.source_span) {
            diagnostics.push(
                Diagnostic::error(format!("two builds are named {}", build.name))
                    .with_label(build.source_span, "the second one")
                    .with_secondary_label(first, "the first one")
                    .with_help("give the build blocks, or the use of the source in one of them, a `name`"),
            );
        }
    }
}
