//! Arguments: a body opened for reading, with a scope to evaluate it in.
//!
//! A reader asks for each argument and block that it knows, by name and type, and calls
//! [`finish`](Arguments::finish). Whatever is wrong becomes a diagnostic at the right place; the
//! reader sees only values that fit.

mod dynamic;
mod rendering;

use super::body::Body;
use super::decode::{FromValue, from_any_value};
use super::gotemplate::GoTemplateData;
use super::scope::Scope;
use super::syntax::{self, Expression, Name, Syntax};
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, did_you_mean};
use dynamic::{DYNAMIC, Occurrence, block_name, occurrences};
use rendering::Unrendered;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A body that is being read.
pub struct Arguments<'a> {
    scope: Scope,
    diagnostics: &'a Diagnostics,
    header: SourceSpan,
    labels: Vec<Name>,
    /// Those that the body brings with it, for the bodies inside.
    names: Vec<(Arc<str>, Value)>,
    attributes: BTreeMap<Arc<str>, Attribute>,
    contents: Vec<Arc<syntax::Body>>,
    /// What Go templates in strings can refer to; none if strings are taken as they are.
    go_templates: Option<Arc<GoTemplateData>>,
    asked_attributes: RefCell<BTreeSet<String>>,
    failed_attributes: RefCell<BTreeSet<String>>,
    asked_blocks: RefCell<BTreeSet<String>>,
}

/// What reading an argument gives.
enum Read<T> {
    Value(T),
    /// Not written, or null.
    Nothing,
    /// Wrong, and reported; or not known, since data sources are not asked.
    Failed,
}

struct Attribute {
    /// The name and the value.
    span: SourceSpan,
    name: SourceSpan,
    given: Given,
    syntax: Syntax,
}

enum Given {
    Expression(Arc<Expression>),
    Value(Value),
}

impl<'a> Arguments<'a> {
    /// Opens a body. The scope's source, if it has one, picks the overrides.
    pub(super) fn open(body: &Body, scope: &Scope, diagnostics: &'a Diagnostics) -> Arguments<'a> {
        let mut scope = scope.clone();
        for (name, value) in &body.names {
            scope = scope.with(name.clone(), value.clone());
        }
        let contents = body.parts.clone();
        let labels = body.labels.clone();
        let mut arguments = Arguments::of(contents, scope, diagnostics, body.header, labels);
        arguments.names.clone_from(&body.names);
        for name in body.taken {
            arguments.attributes.remove(*name);
        }
        arguments.apply_overrides(body);
        arguments
    }

    fn of(
        contents: Vec<Arc<syntax::Body>>,
        scope: Scope,
        diagnostics: &'a Diagnostics,
        header: SourceSpan,
        labels: Vec<Name>,
    ) -> Arguments<'a> {
        let mut attributes = BTreeMap::<Arc<str>, Attribute>::new();
        for content in &contents {
            for attribute in content.attributes() {
                let name = &attribute.name;
                if content.syntax == Syntax::Json && &*name.text == DYNAMIC {
                    continue;
                }
                if let Some(first) = attributes.get(&name.text)
                    && content.syntax == Syntax::Json
                {
                    // The native syntax's parser has looked already.
                    diagnostics.push(
                        Diagnostic::error(format!("`{}` is set twice", name.text))
                            .at(name.span)
                            .note(first.name, "first here"),
                    );
                }
                let read = Attribute {
                    span: attribute.span(),
                    name: name.span,
                    given: Given::Expression(attribute.value.clone()),
                    syntax: content.syntax,
                };
                attributes.insert(name.text.clone(), read);
            }
        }
        Arguments {
            scope,
            diagnostics,
            header,
            labels,
            names: Vec::new(),
            attributes,
            contents,
            go_templates: None,
            asked_attributes: RefCell::default(),
            failed_attributes: RefCell::default(),
            asked_blocks: RefCell::default(),
        }
    }

    /// These arguments with the Go templates in strings rendered, also in nested blocks.
    pub fn rendering(mut self, data: GoTemplateData) -> Arguments<'a> {
        self.go_templates = Some(Arc::new(data));
        self
    }

    fn apply_overrides(&mut self, body: &Body) {
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
                given: Given::Value(value.clone()),
                syntax: Syntax::Native,
            };
            self.attributes.insert(name.clone(), attribute);
        }
    }

    /// An argument that may be left out. None also if it is null, if it has a wrong type, which is
    /// reported, and if it needs a data source that is not asked.
    pub fn optional<T: FromValue>(&self, name: &str) -> Option<T> {
        match self.read(name) {
            Read::Value(decoded) => Some(decoded),
            Read::Nothing | Read::Failed => None,
        }
    }

    /// Like [`optional`](Arguments::optional), without rendering Go templates: for those that
    /// refer to what is only known later.
    pub fn unrendered<T: FromValue>(&self, name: &str) -> Option<T> {
        match self.decoded(name, None) {
            Read::Value(decoded) => Some(decoded),
            Read::Nothing | Read::Failed => None,
        }
    }

    /// An argument that must be given. None if it is missing or wrong, which is reported, and if it
    /// needs a data source that is not asked.
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

    /// Whether one of these arguments was asked for and is wrong, which has been reported, or not
    /// known yet: then it is not said to be missing.
    pub fn any_failed(&self, names: &[&str]) -> bool {
        let failed = self.failed_attributes.borrow();
        names.iter().any(|name| failed.contains(*name))
    }

    /// Whether a block is written. Does not count as asking for it.
    pub fn has_block(&self, name: &str) -> bool {
        let is_property = self
            .attributes
            .get(name)
            .is_some_and(|attribute| attribute.syntax == Syntax::Json);
        is_property
            || self
                .written_blocks()
                .iter()
                .any(|block| block_name(block) == name)
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
        self.labels.get(index).map(|label| &*label.text)
    }

    /// The place of a label, or of the header if there is no such label.
    pub fn label_span(&self, index: usize) -> SourceSpan {
        self.labels
            .get(index)
            .map_or(self.header, |label| label.span)
    }

    /// The nested blocks of a type in order, `dynamic` ones expanded. One with labels is reported.
    pub fn blocks(&self, name: &str) -> Vec<Arguments<'a>> {
        self.labelled_blocks(name, 0)
    }

    /// The nested blocks of a type with this many labels each, which the reader checks.
    pub fn labelled_blocks(&self, name: &str, labels: usize) -> Vec<Arguments<'a>> {
        let occurrences = self.occurrences(&[(name, labels)]).into_iter();
        occurrences
            .map(|(_, occurrence)| {
                let Occurrence {
                    header,
                    labels,
                    content,
                    scope,
                    ..
                } = occurrence;
                let nested = Arguments::of(vec![content], scope, self.diagnostics, header, labels);
                Arguments {
                    go_templates: self.go_templates.clone(),
                    ..nested
                }
            })
            .collect()
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
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.keys().map(|name| &**name)
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
            let is_json = attribute.syntax == Syntax::Json;
            if attributes.contains(&**name) || (is_json && blocks.contains(&**name)) {
                continue;
            }
            let error = Diagnostic::error(format!("there is no argument `{name}` here"));
            self.diagnostics.push(error.at(attribute.name).help_maybe(
                if blocks.contains(&**name) {
                    Some(format!("it is a block: write `{name} {{ … }}`"))
                } else {
                    did_you_mean(name, attributes.iter().map(String::as_str))
                },
            ));
        }
        for block in self.written_blocks() {
            let name = block_name(&block);
            if blocks.contains(name) {
                continue;
            }
            let error = Diagnostic::error(format!("there is no block `{name}` here"));
            self.diagnostics.push(error.at(block.header()).help_maybe(
                if attributes.contains(name) {
                    Some(format!("it is an argument: write `{name} = …`"))
                } else {
                    did_you_mean(name, blocks.iter().map(String::as_str))
                },
            ));
        }
    }

    /// The expression of an argument, for those that are no values, such as types.
    pub(super) fn expression(&self, name: &str) -> Option<Arc<Expression>> {
        self.asked_attributes.borrow_mut().insert(name.to_owned());
        match &self.attributes.get(name)?.given {
            Given::Expression(expression) => Some(expression.clone()),
            Given::Value(_) => None,
        }
    }

    /// The value of an argument, also null. None if it is not written or cannot be evaluated.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.asked_attributes.borrow_mut().insert(name.to_owned());
        self.value_of(self.attributes.get(name)?)
    }

    /// The nested blocks of a type, with this many labels each, in order, to be kept and read
    /// later.
    pub(super) fn bodies(&self, name: &str, labels: usize) -> Vec<Body> {
        self.bodies_of(&[(name, labels)])
            .into_iter()
            .map(|(_, body)| body)
            .collect()
    }

    /// The nested blocks of several types in order, each with its type.
    pub(super) fn bodies_of(&self, types: &[(&str, usize)]) -> Vec<(Arc<str>, Body)> {
        let occurrences = self.occurrences(types).into_iter();
        occurrences
            .map(|(kind, occurrence)| {
                let Occurrence {
                    header,
                    labels,
                    content,
                    iterator,
                    ..
                } = occurrence;
                let mut body = Body::of_content(header, labels, content);
                body.names.clone_from(&self.names);
                body.names.extend(iterator);
                (kind, body)
            })
            .collect()
    }

    /// The blocks of some types, given with the number of their labels, each with its type.
    fn occurrences(&self, types: &[(&str, usize)]) -> Vec<(Arc<str>, Occurrence)> {
        let names = types.iter().map(|(name, _)| (*name).to_owned());
        self.asked_blocks.borrow_mut().extend(names);
        let mut asked = types.to_vec();
        asked.push((DYNAMIC, 1));
        let mut found = Vec::new();
        for content in &self.contents {
            for block in content.blocks(&asked, self.diagnostics) {
                let kind: Arc<str> = Arc::from(block_name(&block));
                if !types.iter().any(|(name, _)| **name == *kind) {
                    continue;
                }
                let made = occurrences(&block, &self.scope, self.diagnostics);
                if types.contains(&(&*kind, 0)) {
                    self.refuse_labels(&kind, &made);
                }
                found.extend(made.into_iter().map(|made| (kind.clone(), made)));
            }
        }
        found
    }

    fn refuse_labels(&self, kind: &str, blocks: &[Occurrence]) {
        let labelled = blocks.iter().filter_map(|block| block.labels.first());
        for label in labelled {
            self.report(
                Diagnostic::error(format!("a `{kind}` block has no labels")).at(label.span),
            );
        }
    }

    /// The blocks that are written as such, and those that are `dynamic` in JSON.
    fn written_blocks(&self) -> Vec<syntax::Block> {
        let unheard = Diagnostics::new();
        let mut found = Vec::new();
        for content in &self.contents {
            match content.syntax {
                Syntax::Native => found.extend(content.written_blocks().cloned()),
                Syntax::Json => {
                    let blocks = content.blocks(&[(DYNAMIC, 1)], &unheard);
                    found.extend(blocks.into_iter().map(Cow::into_owned));
                }
            }
        }
        found
    }

    fn read<T: FromValue>(&self, name: &str) -> Read<T> {
        self.decoded(name, self.go_templates.as_deref())
    }

    fn decoded<T: FromValue>(&self, name: &str, go_templates: Option<&GoTemplateData>) -> Read<T> {
        let read = self.try_to_read(name, go_templates);
        if matches!(read, Read::Failed) {
            self.failed_attributes.borrow_mut().insert(name.to_owned());
        }
        read
    }

    fn try_to_read<T: FromValue>(
        &self,
        name: &str,
        go_templates: Option<&GoTemplateData>,
    ) -> Read<T> {
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
        let value = match go_templates.map(|data| rendering::rendered(&value, data)) {
            None => value,
            Some(Ok(rendered)) => rendered,
            Some(Err(unrendered)) => {
                self.report_unrendered(name, attribute, &unrendered);
                return Read::Failed;
            }
        };
        from_any_value(&value).map_or_else(
            |message| {
                // What is unknown because of an error that was reported, or because it is not asked
                // for, is no other error.
                let is_excused = self.diagnostics.has_errors() || self.scope.has_unasked();
                if !value.is_wholly_known() && is_excused {
                    return Read::Failed;
                }
                let message = format!("`{name}`: {message}");
                self.report(Diagnostic::error(message).at(self.value_span(attribute)));
                Read::Failed
            },
            Read::Value,
        )
    }

    fn report_unrendered(&self, name: &str, attribute: &Attribute, unrendered: &Unrendered) {
        let Unrendered { text, error } = unrendered;
        let sources = &self.scope.globals().sources;
        let place = match &attribute.given {
            Given::Expression(expression) => {
                rendering::place_within(expression, text, error.offset, sources)
            }
            Given::Value(_) => None,
        };
        let message = format!("`{name}`: {error}");
        let help = "`{{ … }}` in a string is a Go template; `{{ \"{{\" }}` stands for `{{`";
        self.report(
            Diagnostic::error(message)
                .at(place.unwrap_or_else(|| self.value_span(attribute)))
                .help(help),
        );
    }

    fn value_of(&self, attribute: &Attribute) -> Option<Value> {
        match &attribute.given {
            Given::Value(value) => Some(value.clone()),
            Given::Expression(expression) => match self.scope.evaluate(expression) {
                Ok(value) => Some(value),
                Err(diagnostic) => {
                    self.diagnostics.push(diagnostic);
                    None
                }
            },
        }
    }

    fn value_span(&self, attribute: &Attribute) -> SourceSpan {
        match &attribute.given {
            Given::Expression(expression) => expression.span,
            Given::Value(_) => attribute.span,
        }
    }
}
