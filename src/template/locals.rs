//! Locals: named expressions. The order in which they are evaluated is [`graph`](super::graph)'s.

use super::arguments::Arguments;
use super::body::Body;
use super::evaluate::{TooLarge, check_size};
use super::scope::Scope;
use super::syntax::{Block, Expression};
use super::value::Value;
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

impl Local {
    /// The value; none after an error. A sensitive one becomes one of the scope's secrets.
    pub(super) fn evaluate(
        &self,
        name: &str,
        scope: &Scope,
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
            scope.globals().secrets.add(&value);
        }
        Some(value)
    }

    /// The place of its name.
    pub(super) fn place(&self) -> SourceSpan {
        self.name_span
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
