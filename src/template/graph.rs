//! The graph of locals and data sources: who refers to whom, and the values of all.
//!
//! Every node is checked while the template is loaded; what comes from outside is unknown then. A
//! *question* is a node that needs an answer from outside: a data source that asks the network, or
//! a local or data source that refers to one. It is answered when something first needs it, so
//! that data sources which nothing needs are not asked. Nothing here recurses: a chain of
//! references can be as long as a template.

mod order;

use super::data::DataSources;
use super::locals::Locals;
use super::references::references;
use super::scope::Scope;
use super::syntax::Expression;
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use order::Order;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A local or a data source, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Local(Arc<str>),
    /// Type and name.
    Data(Arc<str>, Arc<str>),
}

/// As expressions refer to it.
impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Local(name) => write!(formatter, "local.{name}"),
            Node::Data(kind, name) => write!(formatter, "data.{kind}.{name}"),
        }
    }
}

/// All locals and data sources.
#[derive(Debug, Default)]
pub(super) struct Graph {
    locals: Locals,
    data: DataSources,
    places: BTreeMap<Node, usize>,
    entries: Vec<Entry>,
    /// The places of the entries, each after those that it refers to.
    order: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    /// The places of those that it refers to, each with a place in the text.
    references: Vec<(usize, SourceSpan)>,
    /// Whether it is a question.
    is_question: bool,
    /// The value as far as it is known without asking; unknown after an error.
    checked: OnceLock<Value>,
    /// The answer; none after an error, which has been reported.
    answer: OnceLock<Option<Value>>,
}

impl Graph {
    /// Finds out who refers to whom. Circles are reported.
    pub(super) fn new(locals: Locals, data: DataSources, diagnostics: &Diagnostics) -> Graph {
        let local_nodes = locals.keys().map(|name| Node::Local(name.clone()));
        let data_nodes = data
            .names()
            .map(|(kind, name)| Node::Data(kind.clone(), name.clone()));
        let nodes: Vec<Node> = local_nodes.chain(data_nodes).collect();
        let mut graph = Graph {
            places: nodes.iter().cloned().zip(0..).collect(),
            locals,
            data,
            entries: Vec::with_capacity(nodes.len()),
            order: Vec::new(),
        };
        for node in nodes {
            let mut found = Vec::new();
            for expression in graph.expressions(&node) {
                graph.collect_references(expression, &mut found);
            }
            graph.entries.push(Entry {
                is_question: graph.asks_itself(&node),
                node,
                references: found,
                checked: OnceLock::new(),
                answer: OnceLock::new(),
            });
        }
        graph.order = Order::of(&graph, diagnostics);
        for place in graph.order.clone() {
            let references = &graph.entries[place].references;
            let reaches_question = references
                .iter()
                .any(|(place, _)| graph.entries[*place].is_question);
            graph.entries[place].is_question |= reaches_question;
        }
        graph
    }

    /// Checks every node, and gives it the value that is known without asking.
    pub(super) fn check(&self, scope: &Scope, diagnostics: &Diagnostics) {
        for place in &self.order {
            let entry = &self.entries[*place];
            let value = match &entry.node {
                Node::Local(name) => self
                    .locals
                    .get(name)
                    .and_then(|local| local.evaluate(name, scope, diagnostics)),
                Node::Data(kind, name) => self
                    .data
                    .get(kind, name)
                    .and_then(|source| source.check(scope, diagnostics)),
            };
            // What failed is unknown, so that those which refer to it do not fail as well.
            let _already_set = entry
                .checked
                .set(value.unwrap_or(Value::Unknown(Type::Dynamic)));
        }
    }

    /// The value of a node, as `scope` may know it; none if there is no such node.
    pub(super) fn value(&self, node: &Node, scope: &Scope) -> Option<Result<Value, Diagnostic>> {
        let place = *self.places.get(node)?;
        let entry = self.entries.get(place)?;
        if entry.is_question && scope.asks() {
            if entry.answer.get().is_none()
                && let Err(diagnostic) = self.answer(place, scope)
            {
                return Some(Err(diagnostic));
            }
            return Some(Ok(entry.answered()));
        }
        Some(Ok(entry.known()))
    }

    /// The values of the locals by name, without asking for more.
    pub(super) fn locals(&self) -> impl Iterator<Item = (&Arc<str>, Value)> {
        self.locals.keys().map(|name| {
            let place = self.places.get(&Node::Local(name.clone()));
            let entry = place.and_then(|place| self.entries.get(*place));
            let value = entry.map(|entry| match entry.answer.get() {
                Some(Some(answer)) => answer.clone(),
                _ => entry.known(),
            });
            (name, value.unwrap_or(Value::Unknown(Type::Dynamic)))
        })
    }

    /// The declared locals.
    pub(super) fn declared_locals(&self) -> &Locals {
        &self.locals
    }

    /// The declared data sources.
    pub(super) fn data_sources(&self) -> &DataSources {
        &self.data
    }

    /// Whether there is any question.
    pub(super) fn has_questions(&self) -> bool {
        self.entries.iter().any(|entry| entry.is_question)
    }

    /// Each node with the expressions that make its value, those first that others refer to.
    pub(super) fn sorted(&self) -> impl Iterator<Item = (&Node, Vec<&Expression>)> {
        let nodes = self.order.iter().map(|place| &self.entries[*place].node);
        nodes.map(|node| (node, self.expressions(node)))
    }

    /// Answers a question, and first those that it refers to. The error is the first new one.
    fn answer(&self, place: usize, scope: &Scope) -> Result<(), Diagnostic> {
        let mut needed = BTreeSet::new();
        let mut left = vec![place];
        while let Some(place) = left.pop() {
            let entry = &self.entries[place];
            if entry.is_question && entry.answer.get().is_none() && needed.insert(place) {
                left.extend(entry.references.iter().map(|(place, _)| *place));
            }
        }
        let scope = scope.outermost();
        let mut result = Ok(());
        for place in self.order.iter().filter(|place| needed.contains(place)) {
            let entry = &self.entries[*place];
            let has_failed = |(place, _): &(usize, SourceSpan)| {
                matches!(self.entries[*place].answer.get(), Some(None))
            };
            let diagnostics = Diagnostics::new();
            let value = if entry.references.iter().any(has_failed) {
                None
            } else {
                match &entry.node {
                    Node::Local(name) => self
                        .locals
                        .get(name)
                        .and_then(|local| local.evaluate(name, &scope, &diagnostics)),
                    Node::Data(kind, name) => self
                        .data
                        .get(kind, name)
                        .and_then(|source| source.ask(&scope, &diagnostics)),
                }
            };
            let _already_set = entry.answer.set(value);
            let mut errors = diagnostics.into_vec().into_iter();
            if let (true, Some(error)) = (result.is_ok(), errors.next()) {
                result = Err(error);
            }
        }
        result
    }

    fn asks_itself(&self, node: &Node) -> bool {
        match node {
            Node::Local(_) => false,
            Node::Data(kind, name) => {
                let source = self.data.get(kind, name);
                source.is_some_and(|source| source.asks())
            }
        }
    }

    fn expressions(&self, node: &Node) -> Vec<&Expression> {
        match node {
            Node::Local(name) => {
                let local = self.locals.get(name);
                local
                    .and_then(|local| local.expression())
                    .into_iter()
                    .collect()
            }
            Node::Data(kind, name) => {
                let source = self.data.get(kind, name);
                source
                    .map(|source| source.expressions())
                    .unwrap_or_default()
            }
        }
    }

    fn collect_references(&self, expression: &Expression, found: &mut Vec<(usize, SourceSpan)>) {
        // What is not declared is reported where it is evaluated.
        let locals = references(expression, "local");
        for reference in locals.names {
            let place = self.places.get(&Node::Local(reference.name));
            found.extend(place.map(|place| (*place, reference.span)));
        }
        let data = references(expression, "data");
        let mut whole_data = data.whole;
        for reference in data.names {
            match reference.second {
                None => whole_data = true,
                Some(second) => {
                    let place = self.places.get(&Node::Data(reference.name, second));
                    found.extend(place.map(|place| (*place, reference.span)));
                }
            }
        }
        if !locals.whole && !whole_data {
            return;
        }
        for (node, place) in &self.places {
            let is_meant = match node {
                Node::Local(_) => locals.whole,
                Node::Data(..) => whole_data,
            };
            if is_meant {
                found.push((*place, expression.span));
            }
        }
    }
}

impl Entry {
    fn known(&self) -> Value {
        let checked = self.checked.get().cloned();
        checked.unwrap_or(Value::Unknown(Type::Dynamic))
    }

    fn answered(&self) -> Value {
        let answer = self.answer.get().cloned().flatten();
        answer.unwrap_or(Value::Unknown(Type::Dynamic))
    }
}
