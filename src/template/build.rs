//! Builds: the `build` blocks of a template, checked, with bodies still to be evaluated.

use super::arguments::Arguments;
use super::body::Body;
use super::component::{Component, ComponentGroup};
use super::scope::Scope;
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
    pub tests: Vec<Body>,
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

/// The declared sources, by type and name.
pub(super) type DeclaredSources = BTreeMap<(String, String), Body>;

/// Reads a `build` block.
pub(super) fn decode(
    body: &Body,
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
        uses.extend(decoder.nested_use(source));
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
    if arguments.has_block("hcp_packer_registry") {
        for registry in arguments.bodies("hcp_packer_registry", 0) {
            diagnostics.push(
                Diagnostic::warning("the HCP registry is not supported; this block is ignored")
                    .at(registry.header()),
            );
        }
    }
    let build = Build {
        name: arguments.optional("name"),
        description: arguments.optional("description"),
        span: body.header(),
        uses,
        provisioners,
        error_cleanup,
        post_processors,
        config: arguments.bodies("config", 0),
        tests: arguments.bodies("test", 0),
    };
    arguments.finish();
    build
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
            .filter_map(|(index, reference)| {
                let place = places.get(index).copied().unwrap_or(whole);
                let (kind, name, body) = self.resolve(reference, place)?;
                Some(SourceUse {
                    kind,
                    source_name: name,
                    local_name: None,
                    reference: place,
                    body: body.clone(),
                })
            });
        uses.collect()
    }

    /// A `source "TYPE.NAME" {}` block within a build.
    fn nested_use(&self, mut nested: Body) -> Option<SourceUse> {
        let [label] = nested.labels.as_slice() else {
            self.diagnostics.push(
                Diagnostic::error("a source within a build has one label")
                    .at(nested.header)
                    .help("write `source \"TYPE.NAME\" { … }`"),
            );
            return None;
        };
        let (kind, name, declared) = self.resolve(&label.text, label.span)?;
        let reference = label.span;
        let local_name = self.take_name(&mut nested);
        let mut body = declared.clone();
        for part in &nested.parts {
            self.report_collisions(declared, part);
        }
        body.parts.extend(nested.parts);
        body.names.extend(nested.names);
        Some(SourceUse {
            kind,
            source_name: name,
            local_name,
            reference,
            body,
        })
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

    fn resolve(&self, reference: &str, place: SourceSpan) -> Option<(String, String, &Body)> {
        let plain = reference
            .strip_prefix("source.")
            .or_else(|| reference.strip_prefix("sources."))
            .unwrap_or(reference);
        let Some((kind, name)) = plain
            .split_once('.')
            .filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('.'))
        else {
            self.diagnostics.push(
                Diagnostic::error(format!("{reference:?} does not refer to a source"))
                    .at(place)
                    .help("write \"source.TYPE.NAME\""),
            );
            return None;
        };
        let key = (kind.to_owned(), name.to_owned());
        let Some(body) = self.declared.get(&key) else {
            let names: Vec<String> = self
                .declared
                .keys()
                .map(|(kind, name)| format!("{kind}.{name}"))
                .collect();
            let known = names.iter().map(String::as_str);
            let help = did_you_mean(plain, known)
                .unwrap_or_else(|| format!("declare it: source {kind:?} {name:?} {{}}"));
            self.diagnostics.push(
                Diagnostic::error(format!("source `{plain}` is not declared"))
                    .at(place)
                    .help(help),
            );
            return None;
        };
        Some((key.0, key.1, body))
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
            let mut bodies = chain_arguments.bodies("post-processor", 1);
            for inner in &mut bodies {
                inner.names.splice(0..0, body.names.iter().cloned());
            }
            let chain: Vec<Component> = bodies.into_iter().filter_map(decode).collect();
            chain_arguments.finish();
            if !chain.is_empty() {
                chains.push(chain);
            }
        }
        chains
    }
}
