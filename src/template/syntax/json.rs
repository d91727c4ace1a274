//! The JSON syntax: JSON texts as the same tree that the native syntax becomes.
//!
//! A string is a template, and each property an argument. Which properties stand for blocks only
//! the reader of a body knows; it asks with [`Body::blocks`].

use super::json_scan::{JsonKind, JsonText, JsonValue, Property, scan_json};
use super::parse::{expression_at, template_at};
use super::{
    Attribute, Body, Expression, ExpressionKind, Item, JsonString, Name, ObjectItem, ObjectKey,
    Syntax,
};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, Sources};
use std::sync::Arc;

/// What the strings of a JSON text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum Strings {
    /// Templates, as in template files.
    Templates,
    /// Just texts, as in variable files.
    Texts,
}

/// Parses a file in JSON. What is wrong with it is reported.
pub(in crate::template) fn parse_json_body(
    file: FileId,
    sources: &Sources,
    strings: Strings,
    diagnostics: &Diagnostics,
) -> Body {
    let empty = Body {
        items: Vec::new(),
        syntax: Syntax::Json,
    };
    let value = match scan_json(file, sources.text(file)) {
        Ok(value) => value,
        Err(error) => {
            diagnostics.push(error);
            return empty;
        }
    };
    let reader = Reader {
        strings,
        diagnostics,
    };
    match value.kind {
        JsonKind::Object(properties) => reader.body(properties),
        // HCL takes a list of objects too: they count as one.
        JsonKind::Array(elements) => {
            let mut body = empty;
            for element in elements {
                match element.kind {
                    JsonKind::Object(properties) => {
                        body.items.extend(reader.body(properties).items);
                    }
                    _ => diagnostics.push(not_an_object(element.span)),
                }
            }
            body
        }
        _ => {
            diagnostics.push(not_an_object(value.span));
            empty
        }
    }
}

fn not_an_object(place: SourceSpan) -> Diagnostic {
    Diagnostic::error("a file in JSON is one object").at(place)
}

impl JsonString {
    /// The text as an expression, which it is where no value is wanted, such as a type.
    pub(in crate::template) fn as_expression(&self) -> Result<Expression, Diagnostic> {
        expression_at(&self.text, self.places.clone())
    }
}

struct Reader<'a> {
    strings: Strings,
    diagnostics: &'a Diagnostics,
}

impl Reader<'_> {
    fn body(&self, properties: Vec<Property>) -> Body {
        let items = properties.into_iter().map(|property| {
            let name = Name {
                text: property.name.text,
                span: property.name.span,
            };
            let value = Arc::new(self.expression(property.value));
            Item::Attribute(Attribute { name, value })
        });
        Body {
            items: items.collect(),
            syntax: Syntax::Json,
        }
    }

    fn expression(&self, value: JsonValue) -> Expression {
        let kind = match value.kind {
            JsonKind::Null => ExpressionKind::Null,
            JsonKind::Bool(bool) => ExpressionKind::Bool(bool),
            JsonKind::Number(number) => ExpressionKind::Number(number),
            JsonKind::String(text) => self.string(text),
            JsonKind::Array(elements) => {
                let elements = elements.into_iter().map(|element| self.expression(element));
                ExpressionKind::Tuple(elements.collect())
            }
            JsonKind::Object(properties) => {
                let items = properties.into_iter().map(|property| {
                    let span = property.name.span;
                    let kind = self.string(property.name);
                    ObjectItem {
                        key: ObjectKey::Expression(Expression { kind, span }),
                        value: self.expression(property.value),
                    }
                });
                ExpressionKind::Object(items.collect())
            }
        };
        Expression {
            kind,
            span: value.span,
        }
    }

    fn string(&self, text: JsonText) -> ExpressionKind {
        let JsonText { text, span, places } = text;
        let is_template =
            self.strings == Strings::Templates && (text.contains("${") || text.contains("%{"));
        let template = if is_template {
            template_at(&text, places.clone()).unwrap_or_else(|error| {
                self.diagnostics.push(error);
                Expression {
                    kind: ExpressionKind::Null,
                    span,
                }
            })
        } else {
            Expression {
                kind: ExpressionKind::Text(text.clone()),
                span,
            }
        };
        ExpressionKind::JsonString(Box::new(JsonString {
            text,
            template,
            places,
        }))
    }
}
