//! Arguments: a body opened for reading, with a scope to evaluate it in.
//!
//! A reader asks for each argument and block that it knows, by name and type, and calls
//! [`finish`](Arguments::finish). Whatever is wrong becomes a diagnostic at the right place; the
//! reader sees only values that fit.

mod dynamic;

use super::body::{Body, BodyLabel, header};
use super::decode::{FromValue, from_any_value};
use super::scope::Scope;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, did_you_mean};
use dynamic::{Occurrence, occurrences};
use hcl::edit::Span;
use hcl::edit::expr::Expression;
use hcl::edit::structure::{self, Block, Structure};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A body that is being read.
pub struct Arguments<'a> {
    scope: Scope,
    diagnostics: &'a Diagnostics,
    header: SourceSpan,
    labels: Vec<BodyLabel>,
    attributes: BTreeMap<&'a str, Attribute<'a>>,
    blocks: Vec<(FileId, &'a Block)>,
    asked_attributes: RefCell<BTreeSet<String>>,
    failed_attributes: RefCell<BTreeSet<String>>,
    asked_blocks: RefCell<BTreeSet<String>>,
}

/// What reading an argument gives.
enum Read<T> {
    Value(T),
    /// Not written, or null.
    Nothing,
    /// Wrong, and reported.
    Failed,
}

#[derive(Clone, Copy)]
struct Attribute<'a> {
    /// The name and the value.
    span: SourceSpan,
    name: SourceSpan,
    given: Given<'a>,
}

#[derive(Clone, Copy)]
enum Given<'a> {
    Expression(FileId, &'a Expression),
    Value(&'a Value),
}

impl<'a> Arguments<'a> {
    /// Opens a body. The scope's source, if it has one, picks the overrides.
    pub(super) fn open(
        body: &'a Body,
        scope: &Scope,
        diagnostics: &'a Diagnostics,
    ) -> Arguments<'a> {
        let mut scope = scope.clone();
        for (name, value) in &body.names {
            scope = scope.with(name.clone(), value.clone());
        }
        let contents = body.parts.iter().map(|part| (part.file, &*part.content));
        let labels = body.labels.clone();
        let mut arguments = Arguments::of(contents, scope, diagnostics, body.header, labels);
        for name in body.taken {
            arguments.attributes.remove(name);
        }
        arguments.apply_overrides(body);
        arguments
    }

    fn of(
        contents: impl Iterator<Item = (FileId, &'a structure::Body)>,
        scope: Scope,
        diagnostics: &'a Diagnostics,
        header: SourceSpan,
        labels: Vec<BodyLabel>,
    ) -> Arguments<'a> {
        let mut attributes = BTreeMap::new();
        let mut blocks = Vec::new();
        for (file, content) in contents {
            for structure in content.iter() {
                match structure {
                    Structure::Attribute(attribute) => {
                        let span =
                            |node: &dyn Span| SourceSpan::new(file, node.span().unwrap_or(0..0));
                        let name = span(&attribute.key);
                        let attribute_read = Attribute {
                            span: name.to(span(&attribute.value)),
                            name,
                            given: Given::Expression(file, &attribute.value),
                        };
                        attributes.insert(attribute.key.as_str(), attribute_read);
                    }
                    Structure::Block(block) => blocks.push((file, block)),
                }
            }
        }
        Arguments {
            scope,
            diagnostics,
            header,
            labels,
            attributes,
            blocks,
            asked_attributes: RefCell::default(),
            failed_attributes: RefCell::default(),
            asked_blocks: RefCell::default(),
        }
    }

    fn apply_overrides(&mut self, body: &'a Body) {
        let Some(overrides) = &body.overrides else {
            return;
        };
        let source = self
            .scope
            .bound("source")
            .and_then(Value::as_entries)
            .cloned();
        let name = source
            .as_ref()
            .and_then(|source| source.get("name"))
            .and_then(Value::as_str);
        let Some(entries) = name
            .and_then(|name| overrides.by_source.get(name))
            .and_then(Value::as_entries)
        else {
            return;
        };
        for (name, value) in entries.iter() {
            let span = overrides.span;
            let attribute = Attribute {
                span,
                name: span,
                given: Given::Value(value),
            };
            self.attributes.insert(name, attribute);
        }
    }

    /// An argument that may be left out. None also if it is null, and if it has a wrong type,
    /// which is reported.
    pub fn optional<T: FromValue>(&self, name: &str) -> Option<T> {
        match self.read(name) {
            Read::Value(decoded) => Some(decoded),
            Read::Nothing | Read::Failed => None,
        }
    }

    /// An argument that must be given. None if it is missing or wrong, which is reported.
    pub fn required<T: FromValue>(&self, name: &str) -> Option<T> {
        match self.read(name) {
            Read::Value(decoded) => Some(decoded),
            Read::Failed => None,
            Read::Nothing => {
                let message = if self.has(name) {
                    format!("`{name}` is required, and it is null here")
                } else {
                    format!("`{name}` is required")
                };
                self.report(Diagnostic::error(message).at(self.span(name)));
                None
            }
        }
    }

    /// Whether an argument is written, be it null. Does not count as asking for it.
    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    /// Whether one of these arguments was asked for and is wrong, which has been reported: then
    /// it is not said to be missing.
    pub fn any_failed(&self, names: &[&str]) -> bool {
        let failed = self.failed_attributes.borrow();
        names.iter().any(|name| failed.contains(*name))
    }

    /// Whether a block is written. Does not count as asking for it.
    pub fn has_block(&self, name: &str) -> bool {
        self.blocks
            .iter()
            .any(|(_, block)| dynamic::block_name(block) == name)
    }

    /// The place of an argument, or of the block's header if it is not written.
    pub fn span(&self, name: &str) -> SourceSpan {
        self.attributes
            .get(name)
            .map_or(self.header, |attribute| attribute.span)
    }

    /// The place of the block's type and labels.
    pub fn header(&self) -> SourceSpan {
        self.header
    }

    /// The text of a label.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index).map(|label| label.text.as_str())
    }

    /// The place of a label, or of the header if there is no such label.
    pub fn label_span(&self, index: usize) -> SourceSpan {
        self.labels
            .get(index)
            .map_or(self.header, |label| label.span)
    }

    /// The nested blocks of a type in order, `dynamic` ones expanded.
    pub fn blocks(&self, name: &str) -> Vec<Arguments<'a>> {
        self.asked_blocks.borrow_mut().insert(name.to_owned());
        let mut found = Vec::new();
        for (file, block) in &self.blocks {
            if dynamic::block_name(block) != name {
                continue;
            }
            for occurrence in occurrences(*file, block, &self.scope, self.diagnostics) {
                let content = [(*file, occurrence.content)].into_iter();
                let Occurrence {
                    scope,
                    header,
                    labels,
                    ..
                } = occurrence;
                found.push(Arguments::of(
                    content,
                    scope,
                    self.diagnostics,
                    header,
                    labels,
                ));
            }
        }
        found
    }

    /// The nested block of a type; a second one is reported.
    pub fn block(&self, name: &str) -> Option<Arguments<'a>> {
        let mut blocks = self.blocks(name).into_iter();
        let first = blocks.next()?;
        if let Some(second) = blocks.next() {
            let message = format!("there can be only one `{name}` block here");
            self.diagnostics.push(
                Diagnostic::error(message)
                    .at(second.header)
                    .note(first.header, "first here"),
            );
        }
        Some(first)
    }

    /// The names of all arguments that are written, sorted; for blocks whose names are free.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.attributes.keys().copied()
    }

    /// Reports an error.
    pub fn error(&self, place: SourceSpan, summary: impl Into<String>, help: &[&str]) {
        let error = Diagnostic::error(summary).at(place);
        self.report(help.iter().fold(error, |error, line| error.help(*line)));
    }

    /// Reports a warning.
    pub fn warning(&self, place: SourceSpan, summary: impl Into<String>, help: &[&str]) {
        let warning = Diagnostic::warning(summary).at(place);
        self.report(
            help.iter()
                .fold(warning, |warning, line| warning.help(*line)),
        );
    }

    /// Reports anything.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports every argument and block that was not asked for.
    pub fn finish(self) {
        let attributes = self.asked_attributes.borrow();
        let blocks = self.asked_blocks.borrow();
        for (name, attribute) in &self.attributes {
            if attributes.contains(*name) {
                continue;
            }
            let error = Diagnostic::error(format!("there is no argument `{name}` here"));
            self.diagnostics.push(
                error
                    .at(attribute.name)
                    .help_maybe(if blocks.contains(*name) {
                        Some(format!("it is a block: write `{name} {{ … }}`"))
                    } else {
                        did_you_mean(name, attributes.iter().map(String::as_str))
                    }),
            );
        }
        for (file, block) in &self.blocks {
            let name = dynamic::block_name(block);
            if blocks.contains(name) {
                continue;
            }
            let error = Diagnostic::error(format!("there is no block `{name}` here"));
            self.diagnostics
                .push(
                    error
                        .at(header(*file, block))
                        .help_maybe(if attributes.contains(name) {
                            Some(format!("it is an argument: write `{name} = …`"))
                        } else {
                            did_you_mean(name, blocks.iter().map(String::as_str))
                        }),
                );
        }
    }

    /// The expression of an argument, for those that are no values, such as types.
    pub(super) fn expression(&self, name: &str) -> Option<(FileId, &'a Expression)> {
        self.asked_attributes.borrow_mut().insert(name.to_owned());
        match self.attributes.get(name)?.given {
            Given::Expression(file, expression) => Some((file, expression)),
            Given::Value(_) => None,
        }
    }

    /// The value of an argument, also null. None if it is not written or cannot be evaluated.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.asked_attributes.borrow_mut().insert(name.to_owned());
        self.value_of(self.attributes.get(name)?)
    }

    /// The nested blocks of a type in order, to be kept and read later.
    pub(super) fn bodies(&self, name: &str) -> Vec<Body> {
        self.bodies_of(&[name])
            .into_iter()
            .map(|(_, body)| body)
            .collect()
    }

    /// The nested blocks of several types in order, each with its type.
    pub(super) fn bodies_of(&self, names: &[&str]) -> Vec<(&'a str, Body)> {
        self.asked_blocks
            .borrow_mut()
            .extend(names.iter().map(|name| (*name).to_owned()));
        let mut found = Vec::new();
        for (file, block) in &self.blocks {
            let name = dynamic::block_name(block);
            if !names.contains(&name) {
                continue;
            }
            for occurrence in occurrences(*file, block, &self.scope, self.diagnostics) {
                let content = Arc::new(occurrence.content.clone());
                let Occurrence {
                    header,
                    labels,
                    iterator,
                    ..
                } = occurrence;
                let mut body = Body::of_content(*file, header, labels, content);
                body.names.extend(iterator);
                found.push((name, body));
            }
        }
        found
    }

    fn read<T: FromValue>(&self, name: &str) -> Read<T> {
        let read = self.try_to_read(name);
        if matches!(read, Read::Failed) {
            self.failed_attributes.borrow_mut().insert(name.to_owned());
        }
        read
    }

    fn try_to_read<T: FromValue>(&self, name: &str) -> Read<T> {
        self.asked_attributes.borrow_mut().insert(name.to_owned());
        let Some(attribute) = self.attributes.get(name) else {
            return Read::Nothing;
        };
        let Some(value) = self.value_of(attribute) else {
            return Read::Failed;
        };
        if value.is_null() {
            return Read::Nothing;
        }
        from_any_value(&value).map_or_else(
            |message| {
                // What is unknown because of an error that was reported is no other error.
                if !value.is_wholly_known() && self.diagnostics.has_errors() {
                    return Read::Failed;
                }
                let message = format!("`{name}`: {message}");
                self.report(Diagnostic::error(message).at(self.value_span(attribute)));
                Read::Failed
            },
            Read::Value,
        )
    }

    fn value_of(&self, attribute: &Attribute<'_>) -> Option<Value> {
        match attribute.given {
            Given::Value(value) => Some(value.clone()),
            Given::Expression(file, expression) => match self.scope.evaluate(file, expression) {
                Ok(value) => Some(value),
                Err(diagnostic) => {
                    self.diagnostics.push(diagnostic);
                    None
                }
            },
        }
    }

    fn value_span(&self, attribute: &Attribute<'_>) -> SourceSpan {
        match attribute.given {
            Given::Expression(file, expression) => {
                SourceSpan::new(file, expression.span().unwrap_or(0..0))
            }
            Given::Value(_) => attribute.span,
        }
    }
}
