//! Expansion of `dynamic` blocks.
//!
//! `dynamic "tag" { for_each = …, content { … } }` stands for one `tag` block for each element.

use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan};
use crate::template::body::{BodyLabel, header, labels};
use crate::template::convert;
use crate::template::scope::Scope;
use crate::template::value::{Number, Value};
use hcl::edit::Span;
use hcl::edit::expr::Expression;
use hcl::edit::structure::{Block, Body, Structure};
use std::sync::Arc;

/// A block as it counts: written, or made by a `dynamic` block.
pub(super) struct Occurrence<'a> {
    pub(super) header: SourceSpan,
    pub(super) labels: Vec<BodyLabel>,
    pub(super) content: &'a Body,
    pub(super) scope: Scope,
    /// The iterator's name and value, if it was made by a `dynamic` block.
    pub(super) iterator: Option<(Arc<str>, Value)>,
}

/// The type of the block, or of the blocks that a `dynamic` block makes.
pub(super) fn block_name(block: &Block) -> &str {
    match (block.ident.as_str(), block.labels.first()) {
        ("dynamic", Some(label)) => label.as_str(),
        (name, _) => name,
    }
}

/// The blocks that a block stands for: itself, or those that it makes.
pub(super) fn occurrences<'a>(
    file: FileId,
    block: &'a Block,
    scope: &Scope,
    diagnostics: &Diagnostics,
) -> Vec<Occurrence<'a>> {
    if block.ident.as_str() != "dynamic" {
        return vec![Occurrence {
            header: header(file, block),
            labels: labels(file, block),
            content: &block.body,
            scope: scope.clone(),
            iterator: None,
        }];
    }
    match expand(file, block, scope) {
        Ok(Some(made)) => return made,
        // What is unknown because of an error that was reported is no other error.
        Ok(None) if diagnostics.has_errors() => {}
        Ok(None) => diagnostics.push(
            Diagnostic::error("`for_each` must be known before the build runs")
                .at(header(file, block)),
        ),
        Err(diagnostic) => diagnostics.push(diagnostic),
    }
    Vec::new()
}

/// The blocks that a `dynamic` block makes; none if its elements are not known.
fn expand<'a>(
    file: FileId,
    block: &'a Block,
    scope: &Scope,
) -> Result<Option<Vec<Occurrence<'a>>>, Diagnostic> {
    let place = header(file, block);
    let span = |node: &dyn Span| SourceSpan::new(file, node.span().unwrap_or(0..0));
    let [name] = block.labels.as_slice() else {
        return Err(
            Diagnostic::error("a `dynamic` block has one label, the type of its blocks").at(place),
        );
    };
    let name = name.as_str();
    let Parts {
        for_each,
        iterator,
        label_list,
        content,
    } = Parts::of(file, block)?;
    let iterator: Arc<str> = match iterator {
        None => Arc::from(name),
        Some(Expression::Variable(name)) => Arc::from(name.as_str()),
        Some(other) => {
            return Err(Diagnostic::error("`iterator` is a plain name").at(span(other)));
        }
    };
    let collection = scope.evaluate(file, for_each)?;
    if collection.is_unknown() {
        return Ok(None);
    }
    let mut made = Vec::new();
    for (key, value) in items(&collection, span(for_each))? {
        let item = Value::object([("key", key), ("value", value)]);
        let scope = scope.with(iterator.clone(), item.clone());
        let labels = match label_list {
            None => Vec::new(),
            Some(expression) => label_values(file, expression, &scope, span(expression))?,
        };
        made.push(Occurrence {
            header: place,
            labels,
            content,
            scope,
            iterator: Some((iterator.clone(), item)),
        });
    }
    Ok(Some(made))
}

struct Parts<'a> {
    for_each: &'a Expression,
    iterator: Option<&'a Expression>,
    label_list: Option<&'a Expression>,
    content: &'a Body,
}

impl<'a> Parts<'a> {
    fn of(file: FileId, block: &'a Block) -> Result<Parts<'a>, Diagnostic> {
        let (mut for_each, mut iterator, mut label_list, mut content) = (None, None, None, None);
        for structure in block.body.iter() {
            match structure {
                Structure::Attribute(attribute) => match attribute.key.as_str() {
                    "for_each" => for_each = Some(&attribute.value),
                    "iterator" => iterator = Some(&attribute.value),
                    "labels" => label_list = Some(&attribute.value),
                    name => {
                        let span = SourceSpan::new(file, attribute.key.span().unwrap_or(0..0));
                        return Err(Diagnostic::error(format!(
                            "there is no argument `{name}` here"
                        ))
                        .at(span)
                        .help("a `dynamic` block takes for_each, iterator, labels and content"));
                    }
                },
                Structure::Block(inner) if inner.ident.as_str() == "content" => {
                    if content.is_some() {
                        return Err(Diagnostic::error(
                            "there can be only one `content` block here",
                        )
                        .at(header(file, inner)));
                    }
                    content = Some(&inner.body);
                }
                Structure::Block(inner) => {
                    let name = inner.ident.as_str();
                    return Err(
                        Diagnostic::error(format!("there is no block `{name}` here"))
                            .at(header(file, inner))
                            .help("what is to be repeated goes into the `content` block"),
                    );
                }
            }
        }
        let missing = |what: &str| {
            Diagnostic::error(format!("`{what}` is required in a `dynamic` block"))
                .at(header(file, block))
        };
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

fn label_values(
    file: FileId,
    expression: &Expression,
    scope: &Scope,
    span: SourceSpan,
) -> Result<Vec<BodyLabel>, Diagnostic> {
    let refused = || Diagnostic::error("`labels` must be a list of strings").at(span);
    let value = scope.evaluate(file, expression)?;
    let elements = value.as_elements().ok_or_else(refused)?;
    let texts = elements.iter().map(convert::to_string);
    texts
        .map(|text| {
            text.map(|text| BodyLabel {
                text: text.to_string(),
                span,
            })
        })
        .collect::<Result<_, _>>()
        .map_err(|_| refused())
}
