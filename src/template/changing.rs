//! Changing calls: what makes an argument differ in each run.
//!
//! They are found in the text of expressions: calls such as `timestamp()`, directly or through
//! locals, and Go templates such as `{{ timestamp }}` inside strings. What a variable was set to
//! is not looked at: whoever sets it decides when it changes.

use super::body::Body;
use super::functions;
use super::locals::Locals;
use super::references::references;
use crate::diagnostic::{FileId, SourceSpan};
use hcl::edit::Span;
use hcl::edit::expr::{Expression, FuncCall};
use hcl::edit::template::Element;
use hcl::edit::visit::{Visit, visit_element, visit_expr, visit_func_call};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Something in an argument that differs in each run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangingCall {
    /// As it is written: `timestamp()`, `{{ uuid }}`.
    pub written: String,
    /// Where the argument has it, or the local that does.
    pub span: SourceSpan,
    /// Where it stands, if that is in a local.
    pub origin: Option<SourceSpan>,
}

/// The changing calls of all locals, by the local's name; those without any are left out.
pub(super) type ChangingLocals = BTreeMap<Arc<str>, Vec<ChangingCall>>;

/// Finds the changing calls of all locals.
pub(super) fn of_locals(locals: &Locals) -> ChangingLocals {
    let mut found = ChangingLocals::new();
    // Each round goes one reference further; without circles there are no more rounds than locals.
    for _ in 0..=locals.len() {
        let before = found.values().map(Vec::len).sum::<usize>();
        for (name, local) in locals {
            if let Some((file, expression)) = local.expression() {
                let calls = of_expression(file, expression, &found);
                if !calls.is_empty() {
                    found.insert(name.clone(), calls);
                }
            }
        }
        if found.values().map(Vec::len).sum::<usize>() == before {
            break;
        }
    }
    found
}

/// Finds the changing calls in the arguments and blocks of a body, except `without`.
pub(super) fn of_body(body: &Body, locals: &ChangingLocals, without: &[&str]) -> Vec<ChangingCall> {
    let mut found = BTreeSet::new();
    for part in &body.parts {
        let mut expressions = Expressions(Vec::new());
        for attribute in part.content.attributes() {
            if !without.contains(&attribute.key.as_str()) {
                expressions.0.push(&attribute.value);
            }
        }
        for block in part.content.blocks() {
            expressions.add(&block.body);
        }
        for expression in expressions.0 {
            found.extend(of_expression(part.file, expression, locals));
        }
    }
    found.into_iter().collect()
}

struct Expressions<'a>(Vec<&'a Expression>);

impl<'a> Expressions<'a> {
    fn add(&mut self, body: &'a hcl::edit::structure::Body) {
        self.0.extend(body.attributes().map(|it| &it.value));
        for block in body.blocks() {
            self.add(&block.body);
        }
    }
}

fn of_expression(
    file: FileId,
    expression: &Expression,
    locals: &ChangingLocals,
) -> Vec<ChangingCall> {
    let mut collector = Collector {
        file,
        found: Vec::new(),
    };
    collector.visit_expr(expression);
    let mut found = collector.found;
    for reference in references(file, expression, "local").names {
        let calls = locals.get(reference.name.as_str()).into_iter().flatten();
        found.extend(calls.map(|call| ChangingCall {
            written: call.written.clone(),
            span: reference.span,
            origin: call.origin.or(Some(call.span)),
        }));
    }
    found.sort();
    found.dedup();
    found
}

struct Collector {
    file: FileId,
    found: Vec<ChangingCall>,
}

impl Collector {
    fn push(&mut self, written: String, place: Option<Range<usize>>) {
        self.found.push(ChangingCall {
            written,
            span: SourceSpan::new(self.file, place.unwrap_or(0..0)),
            origin: None,
        });
    }

    fn literal(&mut self, text: &str, place: Option<Range<usize>>) {
        // Go's own; `timestamp` and `isotime` tell the time at which the run began.
        static CHANGING: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"\{\{-?\s*(timestamp|isotime|strftime|uuid)\b[^}]*\}\}").ok()
        });
        if let Some(found) = CHANGING.as_ref().and_then(|pattern| pattern.find(text)) {
            self.push(found.as_str().to_owned(), place);
        }
    }
}

impl Visit for Collector {
    fn visit_func_call(&mut self, node: &FuncCall) {
        let name = node.name.name.as_str();
        if node.name.namespace.is_empty() && functions::changes_each_run(name) {
            let place = node.name.name.span().or_else(|| node.span());
            self.push(format!("{name}()"), place);
        }
        visit_func_call(self, node);
    }

    fn visit_expr(&mut self, node: &Expression) {
        if let Expression::String(text) = node {
            self.literal(text.as_str(), node.span());
        }
        visit_expr(self, node);
    }

    fn visit_element(&mut self, node: &Element) {
        if let Element::Literal(text) = node {
            self.literal(text.as_str(), text.span());
        }
        visit_element(self, node);
    }
}
