//! Expansion of `dynamic` blocks.
//!
//! `dynamic "tag" { for_each = …, content { … } }` stands for one `tag` block for each element.

use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::template::convert;
use crate::template::scope::Scope;
use crate::template::syntax::{Block, Body, Expression, ExpressionKind, Name, Syntax};
use crate::template::value::{Number, Value};
use std::sync::Arc;

/// The type of blocks that make others.
pub(super) const DYNAMIC: &str = "dynamic";

/// A block as it counts: written, or made by a `dynamic` block.
pub(super) struct Occurrence {
    pub(super) header: SourceSpan,
    pub(super) labels: Vec<Name>,
    pub(super) content: Arc<Body>,
    pub(super) scope: Scope,
    /// The iterator's name and value, if it was made by a `dynamic` block.
    pub(super) iterator: Option<(Arc<str>, Value)>,
}

/// The type of the block, or of the blocks that a `dynamic` block makes.
pub(super) fn block_name(block: &Block) -> &str {
    match (&*block.kind.text, block.labels.first()) {
        (DYNAMIC, Some(label)) => &label.text,
        (name, _) => name,
    }
}

/// The blocks that a block stands for: itself, or those that it makes.
pub(super) fn occurrences(
    block: &Block,
    scope: &Scope,
    diagnostics: &Diagnostics,
) -> Vec<Occurrence> {
    if &*block.kind.text != DYNAMIC {
        return vec![Occurrence {
            header: block.header(),
            labels: block.labels.clone(),
            content: block.body.clone(),
            scope: scope.clone(),
            iterator: None,
        }];
    }
    match expand(block, scope, diagnostics) {
        Ok(Some(made)) => return made,
        // What is unknown because of an error that was reported, or because it is not asked for,
        // is no other error.
        Ok(None) if diagnostics.has_errors() || scope.has_unasked() => {}
        Ok(None) => diagnostics.push(
            Diagnostic::error("`for_each` and `labels` must be known before the build runs")
                .at(block.header()),
        ),
        Err(diagnostic) => diagnostics.push(diagnostic),
    }
    Vec::new()
}

/// The blocks that a `dynamic` block makes; none if its elements or labels are not known.
fn expand(
    block: &Block,
    scope: &Scope,
    diagnostics: &Diagnostics,
) -> Result<Option<Vec<Occurrence>>, Diagnostic> {
    let place = block.header();
    let [name] = block.labels.as_slice() else {
        return Err(
            Diagnostic::error("a `dynamic` block has one label, the type of its blocks").at(place),
        );
    };
    let Parts {
        for_each,
        iterator,
        label_list,
        content,
    } = Parts::of(block, diagnostics)?;
    let iterator = match iterator {
        None => name.text.clone(),
        Some(expression) => plain_name(expression)?,
    };
    let collection = scope.evaluate(for_each)?;
    if collection.is_unknown() {
        return Ok(None);
    }
    let mut made = Vec::new();
    for (key, value) in items(&collection, for_each.span)? {
        let item = Value::object([("key", key), ("value", value)]);
        let scope = scope.with(iterator.clone(), item.clone());
        let labels = match label_list {
            None => Vec::new(),
            Some(expression) => match label_values(expression, &scope)? {
                Some(labels) => labels,
                None => return Ok(None),
            },
        };
        made.push(Occurrence {
            header: place,
            labels,
            content: content.clone(),
            scope,
            iterator: Some((iterator.clone(), item)),
        });
    }
    Ok(Some(made))
}

/// A name that is written as one.
fn plain_name(expression: &Expression) -> Result<Arc<str>, Diagnostic> {
    let name = match &expression.kind {
        ExpressionKind::Variable(name) => Some(name),
        ExpressionKind::JsonString(string) => Some(&string.text),
        _ => None,
    };
    name.cloned()
        .ok_or_else(|| Diagnostic::error("`iterator` is a plain name").at(expression.span))
}

struct Parts<'a> {
    for_each: &'a Expression,
    iterator: Option<&'a Expression>,
    label_list: Option<&'a Expression>,
    content: Arc<Body>,
}

impl<'a> Parts<'a> {
    fn of(block: &'a Block, diagnostics: &Diagnostics) -> Result<Parts<'a>, Diagnostic> {
        let body = &*block.body;
        let (mut for_each, mut iterator, mut label_list) = (None, None, None);
        for attribute in body.attributes() {
            match &*attribute.name.text {
                "for_each" => for_each = Some(&*attribute.value),
                "iterator" => iterator = Some(&*attribute.value),
                "labels" => label_list = Some(&*attribute.value),
                "content" if body.syntax == Syntax::Json => {}
                name => {
                    return Err(
                        Diagnostic::error(format!("there is no argument `{name}` here"))
                            .at(attribute.name.span)
                            .help("a `dynamic` block takes for_each, iterator, labels and content"),
                    );
                }
            }
        }
        let other = body.written_blocks().find(|it| &*it.kind.text != "content");
        if let Some(other) = other {
            let name = &other.kind.text;
            return Err(
                Diagnostic::error(format!("there is no block `{name}` here"))
                    .at(other.header())
                    .help("what is to be repeated goes into the `content` block"),
            );
        }
        let contents = body.blocks(&[("content", 0)], diagnostics);
        if let [_, second, ..] = contents.as_slice() {
            return Err(
                Diagnostic::error("there can be only one `content` block here").at(second.header()),
            );
        }
        let missing = |what: &str| {
            Diagnostic::error(format!("`{what}` is required in a `dynamic` block"))
                .at(block.header())
        };
        let content = contents.first().map(|content| content.body.clone());
        Ok(Parts {
            for_each: for_each.ok_or_else(|| missing("for_each"))?,
            iterator,
            label_list,
            content: content.ok_or_else(|| missing("content"))?,
        })
    }
}

fn items(collection: &Value, place: SourceSpan) -> Result<Vec<(Value, Value)>, Diagnostic> {
    if let Value::Set(_, elements) = collection {
        return Ok(elements
            .iter()
            .map(|value| (value.clone(), value.clone()))
            .collect());
    }
    if let Some(elements) = collection.as_elements() {
        let items = elements.iter().enumerate();
        return Ok(items
            .map(|(index, value)| (Number::from(index).into(), value.clone()))
            .collect());
    }
    if let Some(entries) = collection.as_entries() {
        let items = entries.iter();
        return Ok(items
            .map(|(key, value)| (Value::String(key.clone()), value.clone()))
            .collect());
    }
    Err(match collection {
        Value::Null(_) => Diagnostic::error("`for_each` must not be null"),
        other => Diagnostic::error(format!("{} cannot be iterated over", other.described())),
    }
    .at(place))
}

/// The labels of a block; none if they are not known.
fn label_values(expression: &Expression, scope: &Scope) -> Result<Option<Vec<Name>>, Diagnostic> {
    let span = expression.span;
    let refused = || Diagnostic::error("`labels` must be a list of strings").at(span);
    let value = scope.evaluate(expression)?;
    if !value.is_wholly_known() {
        return Ok(None);
    }
    let elements = value.as_elements().ok_or_else(refused)?;
    let texts = elements.iter().map(convert::to_string);
    texts
        .map(|text| text.map(|text| Name { text, span }))
        .collect::<Result<_, _>>()
        .map(Some)
        .map_err(|_| refused())
}
