//! Builds: the `build` blocks of a template, checked, with bodies still to be evaluated.

use super::arguments::Arguments;
use super::body::Body;
use super::component::{Component, ComponentGroup};
use super::for_each::{FOR_EACH, Instance, instances};
use super::references::references;
use super::registry;
use super::scope::Scope;
use super::sources::{DeclaredSource, DeclaredSources};
use super::syntax::{self, ExpressionKind, Item};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, did_you_mean};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A `build` block.
#[derive(Clone, Debug)]
pub struct Build {
    /// Its name, the first part of the names of its runs.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The place of its header.
    pub span: SourceSpan,
    /// The sources that it builds from, one run for each.
    pub uses: Vec<SourceUse>,
    /// The provisioners, in order.
    pub provisioners: Vec<Component>,
    /// What runs when provisioning has failed.
    pub error_cleanup: Option<Component>,
    /// Chains of post-processors; each begins with the image that was built.
    pub post_processors: Vec<Vec<Component>>,
    /// The image's configuration.
    pub config: Vec<Body>,
    /// The tests of the image.
    pub tests: Vec<Component>,
}

/// One use of a source by a build.
#[derive(Clone, Debug)]
pub struct SourceUse {
    /// The source's type.
    pub kind: String,
    /// The source's name.
    pub source_name: String,
    /// The name that this use has instead.
    pub local_name: Option<String>,
    /// The place that refers to the source.
    pub reference: SourceSpan,
    /// The source's arguments, with those that this use adds.
    pub body: Body,
}

impl SourceUse {
    /// The name of this use: its own, or else the source's.
    pub fn name(&self) -> &str {
        self.local_name.as_deref().unwrap_or(&self.source_name)
    }

    /// `TYPE.NAME`, as `only` and `except` refer to it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.kind, self.name())
    }
}

/// Reads a `build` block: one build, or several by `for_each`.
pub(super) fn decode(
    body: &Body,
    declared: &DeclaredSources,
    scope: &Scope,
    diagnostics: &Diagnostics,
) -> Vec<Build> {
    let instances = instances(body, scope, diagnostics).into_iter();
    instances
        .map(|instance| decode_one(&instance, declared, scope, diagnostics))
        .collect()
}

fn decode_one(
    Instance { key, body }: &Instance,
    declared: &DeclaredSources,
    scope: &Scope,
    diagnostics: &Diagnostics,
) -> Build {
    let arguments = Arguments::open(body, scope, diagnostics);
    let decoder = Decoder {
        declared,
        scope,
        diagnostics,
    };
    let mut uses = decoder.listed_uses(&arguments);
    for source in arguments.bodies("source", 1) {
        uses.extend(decoder.nested_uses(&source));
    }
    if uses.is_empty() && !arguments.has("sources") && !arguments.has_block("source") {
        arguments.report(
            Diagnostic::error("this build has no source")
                .at(body.header())
                .help("add `sources = [\"source.TYPE.NAME\"]`"),
        );
    }
    decoder.report_duplicates(&uses);
    let components = |name: &str, group| -> Vec<Component> {
        let bodies = arguments.bodies(name, 1).into_iter();
        bodies
            .filter_map(|body| Component::decode(body, group, scope, diagnostics))
            .collect()
    };
    let provisioners = components("provisioner", ComponentGroup::Provisioner);
    let mut cleanups =
        components("error-cleanup-provisioner", ComponentGroup::Provisioner).into_iter();
    let error_cleanup = cleanups.next();
    if let (Some(first), Some(second)) = (&error_cleanup, cleanups.next()) {
        diagnostics.push(
            Diagnostic::error("a build can have only one error-cleanup-provisioner")
                .at(second.body.header())
                .note(first.body.header(), "first here"),
        );
    }
    let post_processors = decoder.chains(&arguments);
    let tests = components("test", ComponentGroup::Test);
    if arguments.has_block("hcp_packer_registry") {
        for body in arguments.bodies("hcp_packer_registry", 0) {
            registry::check(&body, scope, diagnostics);
        }
    }
    if !diagnostics.has_errors() {
        let chained = post_processors.iter().flatten();
        let all = provisioners.iter().chain(&error_cleanup).chain(chained);
        let all = all.chain(&tests);
        all.for_each(|component| decoder.warn_of_useless(component, &uses));
    }
    let build = Build {
        name: build_name(&arguments, key.as_deref()),
        description: arguments.optional("description"),
        span: body.header(),
        uses,
        provisioners,
        error_cleanup,
        post_processors,
        config: arguments.bodies("config", 0),
        tests,
    };
    arguments.finish();
    build
}

/// The build's name. That of one of several ends in its key, unless the template has made up its
/// own from `each`.
fn build_name(arguments: &Arguments<'_>, key: Option<&str>) -> Option<String> {
    let name: Option<String> = arguments.optional("name");
    let Some(key) = key else {
        return name;
    };
    let written = arguments.expression("name");
    let has_own = written.is_some_and(|it| {
        let found = references(&it, "each");
        found.whole || !found.names.is_empty()
    });
    Some(match name {
        Some(name) if has_own => name,
        Some(name) => format!("{name}-{key}"),
        None => key.to_owned(),
    })
}

struct Decoder<'a> {
    declared: &'a DeclaredSources,
    scope: &'a Scope,
    diagnostics: &'a Diagnostics,
}

impl Decoder<'_> {
    /// The sources named by `sources = […]`.
    fn listed_uses(&self, arguments: &Arguments<'_>) -> Vec<SourceUse> {
        let references: Vec<String> = arguments.optional("sources").unwrap_or_default();
        let whole = arguments.span("sources");
        // Each element's own place, where the list is written out.
        let list = arguments.expression("sources");
        let places: Vec<SourceSpan> = match list.as_deref().map(|list| &list.kind) {
            Some(ExpressionKind::Tuple(elements)) => {
                elements.iter().map(|element| element.span).collect()
            }
            _ => Vec::new(),
        };
        let uses = references
            .iter()
            .enumerate()
            .flat_map(|(index, reference)| {
                let place = places.get(index).copied().unwrap_or(whole);
                let found = self.resolve(reference, place).iter();
                found.map(move |source| SourceUse {
                    kind: source.kind.clone(),
                    source_name: source.name.clone(),
                    local_name: None,
                    reference: place,
                    body: source.body.clone(),
                })
            });
        uses.collect()
    }

    /// A `source "TYPE.NAME" {}` block within a build.
    fn nested_uses(&self, nested: &Body) -> Vec<SourceUse> {
        let [label] = nested.labels.as_slice() else {
            self.diagnostics.push(
                Diagnostic::error("a source within a build has one label")
                    .at(nested.header)
                    .help("write `source \"TYPE.NAME\" { … }`"),
            );
            return Vec::new();
        };
        if nested
            .parts
            .iter()
            .any(|part| part.attribute(FOR_EACH).is_some())
        {
            self.diagnostics.push(
                Diagnostic::error("`for_each` makes several of a source where that is declared")
                    .at(nested.attribute_span(FOR_EACH))
                    .help("move it to the `source` block outside of the build, or use `dynamic \"source\"`"),
            );
            return Vec::new();
        }
        let found = self.resolve(&label.text, label.span).iter();
        found
            .map(|source| {
                let mut added = nested.clone();
                // `each` of the source is nearer than that of the build.
                added.names.extend(source.body.names.iter().cloned());
                let local_name = self.take_name(&mut added);
                let mut body = source.body.clone();
                for part in &added.parts {
                    self.report_collisions(&source.body, part);
                }
                body.parts.extend(added.parts);
                body.names = added.names;
                SourceUse {
                    kind: source.kind.clone(),
                    source_name: source.name.clone(),
                    local_name,
                    reference: label.span,
                    body,
                }
            })
            .collect()
    }

    /// Takes the use's own name out of its arguments.
    fn take_name(&self, nested: &mut Body) -> Option<String> {
        let name = Arguments::open(nested, self.scope, self.diagnostics).optional("name");
        for part in &mut nested.parts {
            let items = &mut Arc::make_mut(part).items;
            items.retain(|item| match item {
                Item::Attribute(attribute) => &*attribute.name.text != "name",
                Item::Block(_) => true,
            });
        }
        name
    }

    fn report_collisions(&self, declared: &Body, added: &syntax::Body) {
        for attribute in added.attributes() {
            let name = &attribute.name;
            for part in &declared.parts {
                if let Some(first) = part.attribute(&name.text) {
                    self.diagnostics.push(
                        Diagnostic::error(format!("`{}` is set by the source already", name.text))
                            .at(name.span)
                            .note(first.name.span, "set here")
                            .help("a build can add arguments to a source, not replace them"),
                    );
                }
            }
        }
    }

    /// The sources that a reference means.
    fn resolve(&self, reference: &str, place: SourceSpan) -> &[DeclaredSource] {
        let plain = reference
            .strip_prefix("source.")
            .or_else(|| reference.strip_prefix("sources."))
            .unwrap_or(reference);
        let parts = plain.split_once('.');
        let parts = parts.filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
        if let Some(found) = parts.and_then(|(kind, name)| self.declared.find(kind, name)) {
            return found;
        }
        if parts.is_none_or(|(_, name)| name.contains('.')) {
            self.diagnostics.push(
                Diagnostic::error(format!("{reference:?} does not refer to a source"))
                    .at(place)
                    .help("write \"source.TYPE.NAME\""),
            );
            return &[];
        }
        let names = self.declared.names();
        let help = did_you_mean(plain, names.iter().map(String::as_str)).unwrap_or_else(|| {
            let (kind, name) = parts.unwrap_or_default();
            format!("declare it: source {kind:?} {name:?} {{}}")
        });
        self.diagnostics.push(
            Diagnostic::error(format!("source `{plain}` is not declared"))
                .at(place)
                .help(help),
        );
        &[]
    }

    fn report_duplicates(&self, uses: &[SourceUse]) {
        let mut seen = BTreeMap::<String, SourceSpan>::new();
        for source in uses {
            if let Some(first) = seen.get(&source.full_name()) {
                self.diagnostics.push(
                    Diagnostic::error(format!("`{}` is built twice", source.full_name()))
                        .at(source.reference)
                        .note(*first, "first here")
                        .help("give one of them another `name` in a `source` block"),
                );
            } else {
                seen.insert(source.full_name(), source.reference);
            }
        }
    }

    /// Warns of names that none of the build's sources has.
    fn warn_of_useless(&self, component: &Component, uses: &[SourceUse]) {
        let full_names: Vec<String> = uses.iter().map(SourceUse::full_name).collect();
        let names: Vec<&str> = uses.iter().map(SourceUse::name).collect();
        let warn = |argument: &str, name: &str, known: Vec<&str>| {
            let place = component.body.attribute_span(argument);
            let warning = format!(
                "`{argument}` of this {} names {name:?}, which is none of the build's sources",
                component.kind
            );
            // Without its type the name is near to none of those that have one.
            let with_type = known
                .iter()
                .find(|it| it.split_once('.').is_some_and(|(_, it)| it == name));
            let help = match with_type {
                Some(full) => Some(format!("write {full:?}")),
                None => did_you_mean(name, known),
            };
            self.diagnostics
                .push(Diagnostic::warning(warning).at(place).help_maybe(help));
        };
        for (argument, given) in [("only", &component.only), ("except", &component.except)] {
            for name in given.iter().filter(|name| !full_names.contains(name)) {
                warn(
                    argument,
                    name,
                    full_names.iter().map(String::as_str).collect(),
                );
            }
        }
        for name in component.body.overridden_sources() {
            if !names.contains(&name) {
                warn("override", name, names.clone());
            }
        }
    }

    /// The chains, those of one post-processor and those of several in the order of the text.
    fn chains(&self, arguments: &Arguments<'_>) -> Vec<Vec<Component>> {
        let mut chains = Vec::new();
        let decode = |body| {
            let group = ComponentGroup::PostProcessor;
            Component::decode(body, group, self.scope, self.diagnostics)
        };
        for (name, body) in arguments.bodies_of(&[("post-processor", 1), ("post-processors", 0)]) {
            if &*name == "post-processor" {
                chains.extend(decode(body).map(|component| vec![component]));
                continue;
            }
            let chain_arguments = Arguments::open(&body, self.scope, self.diagnostics);
            let bodies = chain_arguments.bodies("post-processor", 1);
            let chain: Vec<Component> = bodies.into_iter().filter_map(decode).collect();
            chain_arguments.finish();
            if !chain.is_empty() {
                chains.push(chain);
            }
        }
        chains
    }
}
