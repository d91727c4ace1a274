//! Planning: the builds of a template, each component decoded and checked.

use super::names::{ImageNames, Names, UNKNOWN, build_values};
use super::{
    Group, PlannedBuild, PlannedImage, PlannedPostProcessor, Product, Settings, Step, config,
    dependencies, packer_components, select, step, test_blocks,
};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, did_you_mean};
use crate::image::ConfigChanges;
use crate::mask::Masker;
use crate::postprocess::{self, PostProcessor};
use crate::template::{self, Arguments, Body, Component, SourceUse, Template, Value};
use crate::{base, imageless};
use std::collections::BTreeMap;

/// Says that a component of that type does not exist, and which one may be meant.
pub fn report_unknown(
    group: Group,
    kind: &str,
    place: SourceSpan,
    kinds: &[&str],
    diagnostics: &Diagnostics,
) {
    if let Some(refusal) = packer_components::refusal(group, kind) {
        diagnostics.push(
            Diagnostic::error(format!("the {group} {kind} {}", refusal.reason))
                .at(place)
                .help(refusal.instead),
        );
        return;
    }
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
pub fn finish(arguments: Arguments<'_>, diagnostics: &Diagnostics, before: usize) -> bool {
    arguments.finish();
    diagnostics.error_count() == before
}

/// Plans all builds; with them come the names of all, also of those that cannot be planned: after
/// an error, or because they need data sources that are not asked.
///
/// Data sources are asked for the builds that are selected, and for those that they start from.
pub fn plan_builds(
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
        let mounted = planned.iter().zip(&is_needed).filter(|(_, it)| **it);
        let mounted = mounted.filter_map(|(build, _)| build.as_ref());
        let mounted = mounted
            .flat_map(dependencies::mounted)
            .map(|(name, _)| name);
        let found: Vec<usize> = bases
            .chain(mounted)
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
    let base = match &product {
        Some(Product::Image(image)) => Some(&image.base),
        _ => None,
    };
    let start = base.and_then(|base| base.start()).cloned();
    let start = start.unwrap_or_default();
    let makes_image = base.is_none_or(|base| base.outcome().is_image());
    // Without an image there is nothing for a command in the sandbox to run on.
    let is_imageless = imageless::kinds().contains(&source.kind.as_str());
    let plan_step = |component: &Component, before: &[Step]| {
        if is_imageless && !step::report_no_image(component, source, diagnostics) {
            return None;
        }
        step::plan_step(
            (template, settings),
            names,
            component,
            before,
            &start,
            diagnostics,
        )
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
    let own_tests = block.tests.iter().filter(|it| it.applies_to(source));
    let tests = match is_imageless {
        true => {
            own_tests.for_each(|test| test_blocks::report_no_image(test, source, diagnostics));
            Vec::new()
        }
        false => {
            let scope = template.scope(&names.scope(build_values(&name, None, settings)));
            test_blocks::decode(template, &scope, own_tests, diagnostics)
        }
    };
    let mut chains = Vec::new();
    for chain in &block.post_processors {
        let mut planned = Vec::new();
        let (mut has_names, mut has_image) = (false, !is_imageless && makes_image);
        for component in chain.iter().filter(|it| it.applies_to(source)) {
            // As in Packer, leaving one out leaves out the rest of its chain.
            if select::is_excepted(component, &settings.except) {
                break;
            }
            let unknown = (!is_imageless).then(|| ImageNames::unknown(&source.kind));
            let later = build_values(UNKNOWN, unknown.as_ref(), settings);
            let prepared =
                prepare_post_processor(template, settings, names, component, later, diagnostics);
            let prepared = prepared.as_deref();
            if prepared.is_some_and(PostProcessor::needs_names) && !has_names {
                diagnostics.push(
                    Diagnostic::error(format!("{} has no names to push", component.kind))
                        .at(component.kind_span)
                        .help(
                            "put it behind a docker-tag or docker-import in one `post-processors` block",
                        ),
                );
            }
            has_image |= prepared.is_some_and(PostProcessor::gives_image);
            has_names |= prepared.is_some_and(PostProcessor::gives_names);
            if !has_image && prepared.is_some_and(PostProcessor::needs_image) {
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
                pushes: prepared.map(PostProcessor::pushes).unwrap_or_default(),
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
        mounts_from: Vec::new(),
        steps,
        error_cleanup,
        tests,
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
        go_template: names.go_template(template, settings),
    };
    let base = if base::kinds().contains(&source.kind.as_str()) {
        let arguments = open(&source.body);
        let base = base::prepare(&source.kind, &arguments, &context);
        if let Some(base) = &base {
            changes = base.changes();
        }
        config::decode_blocks(&arguments, &mut changes, &mut annotations);
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
    let platform = base.platform().unwrap_or(&settings.platform).clone();
    Some(Product::Image(Box::new(PlannedImage {
        base,
        platform,
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

pub fn prepare_post_processor(
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

pub fn report_duplicates(builds: &[PlannedBuild], diagnostics: &Diagnostics) {
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
