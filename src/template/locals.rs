//! Locals: named expressions, evaluated in the order of their references.

use super::arguments::Arguments;
use super::body::Body;
use super::evaluate::{TooLarge, check_size};
use super::references::references;
use super::scope::Scope;
use super::secrets::Secrets;
use super::syntax::{Block, Expression};
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// A declared local.
#[derive(Debug)]
pub(super) struct Local {
    name_span: SourceSpan,
    source: LocalSource,
}

#[derive(Debug)]
enum LocalSource {
    /// `name = expression` in a `locals` block.
    Expression(Arc<Expression>),
    /// A `local` block.
    Block(Body),
}

/// Locals by name.
pub(super) type Locals = BTreeMap<Arc<str>, Local>;

/// Takes over the locals of a `locals` block.
pub(super) fn declare_all(block: &Block, locals: &mut Locals, diagnostics: &Diagnostics) {
    for attribute in block.body.attributes() {
        let local = Local {
            name_span: attribute.name.span,
            source: LocalSource::Expression(attribute.value.clone()),
        };
        declare(&attribute.name.text, local, locals, diagnostics);
    }
    for inner in block.body.written_blocks() {
        diagnostics.push(
            Diagnostic::error("a `locals` block holds only arguments")
                .at(inner.header())
                .help("for a map write `name = { … }`"),
        );
    }
}

/// Takes over a `local` block; its label is the name.
pub(super) fn declare_one(block: &Block, locals: &mut Locals, diagnostics: &Diagnostics) {
    let Some(label) = block.labels.first() else {
        return;
    };
    let local = Local {
        name_span: label.span,
        source: LocalSource::Block(Body::new(block)),
    };
    declare(&label.text, local, locals, diagnostics);
}

fn declare(name: &str, local: Local, locals: &mut Locals, diagnostics: &Diagnostics) {
    match locals.entry(Arc::from(name)) {
        Entry::Vacant(entry) => {
            entry.insert(local);
        }
        Entry::Occupied(entry) => diagnostics.push(
            Diagnostic::error(format!("local `{name}` is declared twice"))
                .at(local.name_span)
                .note(entry.get().name_span, "first here"),
        ),
    }
}

/// Evaluates all locals, and sets them in the scope's globals.
pub(super) fn evaluate(
    locals: &Locals,
    scope: &Scope,
    secrets: &mut Secrets,
    diagnostics: &Diagnostics,
) {
    let mut order = Order {
        locals,
        states: BTreeMap::new(),
        sorted: Vec::new(),
        diagnostics,
    };
    for name in locals.keys() {
        order.visit(name);
    }
    for name in order.sorted {
        let Some(local) = locals.get(name) else {
            continue;
        };
        let value = local.evaluate(name, scope, secrets, diagnostics);
        if let Some(cell) = scope.globals().locals.get(name) {
            // A failed local is unknown, so that those which refer to it do not fail as well.
            let _already_set = cell.set(value.unwrap_or(Value::Unknown(Type::Dynamic)));
        }
    }
}

impl Local {
    fn evaluate(
        &self,
        name: &str,
        scope: &Scope,
        secrets: &mut Secrets,
        diagnostics: &Diagnostics,
    ) -> Option<Value> {
        let (value, sensitive) = match &self.source {
            LocalSource::Expression(expression) => match scope.evaluate(expression) {
                Ok(value) => (Some(value), false),
                Err(diagnostic) => {
                    diagnostics.push(diagnostic);
                    (None, false)
                }
            },
            LocalSource::Block(body) => {
                let arguments = Arguments::open(body, scope, diagnostics);
                let sensitive = arguments.optional("sensitive").unwrap_or(false);
                let value = if arguments.has("expression") {
                    // Null is a value here.
                    arguments.value("expression")
                } else {
                    arguments.required("expression")
                };
                arguments.finish();
                (value, sensitive)
            }
        };
        let value = value?;
        if let Err(reason) = check_size(&value) {
            diagnostics.push(too_large(&format!("local `{name}`"), reason).at(self.name_span));
            return None;
        }
        if sensitive {
            secrets.add(&value);
        }
        Some(value)
    }

    /// The expression that the value comes from.
    pub(super) fn expression(&self) -> Option<&Expression> {
        match &self.source {
            LocalSource::Expression(expression) => Some(expression),
            LocalSource::Block(body) => {
                let attribute = body.parts.first()?.attribute("expression")?;
                Some(&attribute.value)
            }
        }
    }
}

pub(super) fn too_large(what: &str, reason: TooLarge) -> Diagnostic {
    match reason {
        TooLarge::Deep => Diagnostic::error(format!("the value of {what} is nested too deeply")),
        TooLarge::Big => Diagnostic::error(format!("the value of {what} is too large")),
    }
}

/// Depth-first ordering of the locals: each after those that it refers to.
struct Order<'a> {
    locals: &'a Locals,
    states: BTreeMap<&'a str, State>,
    sorted: Vec<&'a str>,
    diagnostics: &'a Diagnostics,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Entered,
    Done,
}

/// A local on the way down, and what is left to visit below it.
struct Step<'a> {
    name: &'a str,
    /// The places that refer to others, by name.
    pending: std::vec::IntoIter<(&'a str, SourceSpan)>,
    /// The reference that is being followed.
    followed: Option<SourceSpan>,
}

impl<'a> Order<'a> {
    /// Without recursion: a chain of references can be as long as a template.
    fn visit(&mut self, start: &'a str) {
        if self.states.contains_key(start) {
            return;
        }
        let mut path = vec![self.enter(start)];
        while let Some(step) = path.last_mut() {
            let Some((name, span)) = step.pending.next() else {
                self.states.insert(step.name, State::Done);
                self.sorted.push(step.name);
                path.pop();
                continue;
            };
            step.followed = Some(span);
            match self.states.get(name) {
                Some(State::Done) => {}
                Some(State::Entered) => self.report_cycle(&path, name),
                None => {
                    let step = self.enter(name);
                    path.push(step);
                }
            }
        }
    }

    fn enter(&mut self, name: &'a str) -> Step<'a> {
        self.states.insert(name, State::Entered);
        let mut pending = Vec::new();
        let expression = self.locals.get(name).and_then(Local::expression);
        if let Some(expression) = expression {
            let found = references(expression, "local");
            for reference in found.names {
                // One that is not declared is reported where it is evaluated.
                if let Some((name, _)) = self.locals.get_key_value(&reference.name) {
                    pending.push((&**name, reference.span));
                }
            }
            if found.whole {
                let span = expression.span;
                pending.extend(self.locals.keys().map(|name| (&**name, span)));
            }
        }
        Step {
            name,
            pending: pending.into_iter(),
            followed: None,
        }
    }

    fn report_cycle(&self, path: &[Step<'_>], back_to: &str) {
        let start = path
            .iter()
            .position(|step| step.name == back_to)
            .unwrap_or(0);
        let cycle = path.get(start..).unwrap_or_default();
        let mut names: Vec<String> = cycle
            .iter()
            .map(|step| format!("local.{}", step.name))
            .collect();
        names.push(format!("local.{back_to}"));
        let summary = match cycle.len() {
            1 => format!("local `{back_to}` refers to itself"),
            _ => format!(
                "locals refer to each other in a circle: {}",
                names.join(" -> ")
            ),
        };
        let mut error = Diagnostic::error(summary);
        for (index, step) in cycle.iter().enumerate() {
            let Some(span) = step.followed else { continue };
            error = match index {
                0 => error.at(span),
                _ => error.note(span, ""),
            };
        }
        self.diagnostics.push(error);
    }
}
