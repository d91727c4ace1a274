//! Changing calls: what makes an argument differ in each run.
//!
//! They are found in the text of expressions: calls such as `timestamp()`, directly or through
//! locals and data sources, and Go templates such as `{{ timestamp }}` inside strings. What a variable was set to
//! is not looked at: whoever sets it decides when it changes.

use super::body::Body;
use super::functions;
use super::gotemplate;
use super::graph::{Graph, Node};
use super::references::references;
use super::syntax::{Element, Expression, ExpressionKind, Item, StepKind, Traversal};
use crate::diagnostic::SourceSpan;
use std::collections::{BTreeMap, BTreeSet};

/// Something in an argument that differs in each run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangingCall {
    /// As it is written: `timestamp()`, `{{ uuid }}`.
    pub written: String,
    /// Where the argument has it, or the local or data source that does.
    pub span: SourceSpan,
    /// Where it stands, if that is not in the argument.
    pub origin: Option<SourceSpan>,
}

/// The changing calls of locals and data sources; those without any are left out.
pub(super) type Changing = BTreeMap<Node, Vec<ChangingCall>>;

/// Finds the changing calls of all locals and data sources.
pub(super) fn of_graph(graph: &Graph) -> Changing {
    let mut found = Changing::new();
    for (node, expressions) in graph.sorted() {
        let calls: BTreeSet<ChangingCall> = expressions
            .into_iter()
            .flat_map(|expression| of_expression(expression, &found))
            .collect();
        if !calls.is_empty() {
            found.insert(node.clone(), calls.into_iter().collect());
        }
    }
    found
}

/// Finds the changing calls in the arguments and blocks of a body, except `without`.
pub(super) fn of_body(body: &Body, changing: &Changing, without: &[&str]) -> Vec<ChangingCall> {
    let mut found = BTreeSet::new();
    for part in &body.parts {
        for item in &part.items {
            match item {
                Item::Attribute(attribute) if without.contains(&&*attribute.name.text) => {}
                Item::Attribute(attribute) => {
                    found.extend(of_expression(&attribute.value, changing));
                }
                Item::Block(block) => block.body.each_value(&mut |value| {
                    found.extend(of_expression(value, changing));
                }),
            }
        }
    }
    found.into_iter().collect()
}

fn of_expression(expression: &Expression, changing: &Changing) -> Vec<ChangingCall> {
    let mut found = Vec::new();
    collect(expression, &mut found);
    let locals = references(expression, "local").names.into_iter();
    let locals = locals.map(|it| (Node::Local(it.name), it.span));
    let data = references(expression, "data").names.into_iter();
    let data = data.filter_map(|it| Some((Node::Data(it.name, it.second?), it.span)));
    for (node, span) in locals.chain(data) {
        let calls = changing.get(&node).into_iter().flatten();
        found.extend(calls.map(|call| ChangingCall {
            written: call.written.clone(),
            span,
            origin: call.origin.or(Some(call.span)),
        }));
    }
    found.sort();
    found.dedup();
    found
}

fn collect(expression: &Expression, found: &mut Vec<ChangingCall>) {
    match &expression.kind {
        ExpressionKind::Call(call) if functions::changes_each_run(&call.name.text) => {
            found.push(ChangingCall {
                written: format!("{}()", call.name.text),
                span: call.name.span,
                origin: None,
            });
        }
        ExpressionKind::Traversal(traversal) if names_the_run(traversal) => {
            found.push(ChangingCall {
                written: "build.PackerRunUUID".to_owned(),
                span: expression.span,
                origin: None,
            });
        }
        ExpressionKind::Text(text) => found.extend(in_literal(text, expression.span)),
        ExpressionKind::Template(template) => {
            for element in &template.elements {
                if let Element::Literal { text, span } = element {
                    found.extend(in_literal(text, *span));
                }
            }
        }
        _ => {}
    }
    expression.each_part(&mut |part| collect(part, found));
}

/// Whether it is `build.PackerRunUUID`.
fn names_the_run(traversal: &Traversal) -> bool {
    let step = traversal.steps.first().map(|step| &step.kind);
    matches!(&traversal.root.kind, ExpressionKind::Variable(name) if &**name == "build")
        && matches!(step, Some(StepKind::Attribute(name)) if &*name.text == "PackerRunUUID")
}

fn in_literal(text: &str, span: SourceSpan) -> Option<ChangingCall> {
    let written = gotemplate::changing_actions(text).into_iter().next()?;
    Some(ChangingCall {
        written,
        span,
        origin: None,
    })
}
