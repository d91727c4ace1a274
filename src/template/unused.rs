//! Warnings of what a template declares and nothing refers to.

use super::graph::{Graph, Node};
use super::references::references;
use super::syntax::{Body, Expression, Item};
use super::variables::Variables;
use crate::diagnostic::{Diagnostic, Diagnostics, Topic};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is referred to.
#[derive(Default)]
struct Used {
    variables: BTreeSet<Arc<str>>,
    nodes: BTreeSet<Node>,
    all_variables: bool,
    all_locals: bool,
    all_data: bool,
}

/// Warns of variables, locals and data sources that nothing in `files`, the whole template, refers
/// to. That a variable's own rules do is no use.
pub(super) fn warn(
    files: &[Body],
    variables: &Variables,
    graph: &Graph,
    diagnostics: &Diagnostics,
) {
    let mut used = Used::default();
    for item in files.iter().flat_map(|file| &file.items) {
        match item {
            Item::Block(block) if is_declaration(&block.kind.text) => {}
            Item::Block(block) => block.body.each_value(&mut |value| used.collect(value)),
            Item::Attribute(attribute) if is_declaration(&attribute.name.text) => {}
            Item::Attribute(attribute) => used.collect(&attribute.value),
        }
    }
    let warn = |what: &str, name: &dyn std::fmt::Display, place, help: &str| {
        diagnostics.push(
            Diagnostic::warning(format!("{what} `{name}` is never used"))
                .at(place)
                .help(help)
                .about(Topic::Unused),
        );
    };
    for (name, variable) in variables {
        if !used.all_variables && !used.variables.contains(name) {
            warn(
                "variable",
                name,
                variable.place(),
                "remove it, or refer to it",
            );
        }
    }
    for (name, local) in graph.declared_locals() {
        if !used.all_locals && !used.nodes.contains(&Node::Local(name.clone())) {
            warn("local", name, local.place(), "remove it, or refer to it");
        }
    }
    for (kind, name) in graph.data_sources().names() {
        let node = Node::Data(kind.clone(), name.clone());
        let Some(source) = graph.data_sources().get(kind, name) else {
            continue;
        };
        if !used.all_data && !used.nodes.contains(&node) {
            let name = format!("{kind}.{name}");
            warn(
                "data source",
                &name,
                source.place(),
                "it is not asked either",
            );
        }
    }
}

/// Whether a block declares variables: nothing in it refers to anything but itself.
fn is_declaration(kind: &str) -> bool {
    matches!(kind, "variable" | "variables")
}

impl Used {
    fn collect(&mut self, expression: &Expression) {
        let variables = references(expression, "var");
        self.all_variables |= variables.whole;
        self.variables
            .extend(variables.names.into_iter().map(|it| it.name));
        let locals = references(expression, "local");
        self.all_locals |= locals.whole;
        let locals = locals.names.into_iter().map(|it| Node::Local(it.name));
        self.nodes.extend(locals);
        let data = references(expression, "data");
        self.all_data |= data.whole;
        for reference in data.names {
            match reference.second {
                Some(second) => {
                    self.nodes.insert(Node::Data(reference.name, second));
                }
                None => self.all_data = true,
            }
        }
    }
}
