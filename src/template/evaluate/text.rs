//! String templates: quoted strings and heredocs with interpolations and directives.

use super::{ELEMENT_COST, Evaluated, Evaluation};
use crate::diagnostic::Diagnostic;
use crate::template::convert;
use crate::template::scope::Scope;
use crate::template::syntax::{Element, Expression, ForDirective, IfDirective, Template};
use crate::template::value::{Type, Value};
use std::sync::Arc;

/// What rendering goes on with.
enum Rendered {
    /// The text was written.
    Known,
    /// Some part is not known yet, and so is the whole.
    Unknown,
}

impl Evaluation {
    /// Evaluates a template. One that is a single interpolation keeps the type of its value.
    pub(super) fn text_template(&self, template: &Template, scope: &Scope) -> Evaluated {
        if let [Element::Interpolation(expression)] = template.elements.as_slice() {
            return self.expression(expression, scope);
        }
        let mut output = String::new();
        Ok(match self.render(template, &mut output, scope)? {
            Rendered::Known => Value::string(output),
            Rendered::Unknown => Value::Unknown(Type::String),
        })
    }

    fn render(
        &self,
        template: &Template,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        for element in &template.elements {
            let rendered = match element {
                Element::Literal { text, span } => {
                    self.charge_text(text, *span)?;
                    output.push_str(text);
                    Rendered::Known
                }
                Element::Interpolation(expression) => {
                    let value = self.expression(expression, scope)?;
                    match self.interpolated(&value, expression)? {
                        Some(text) => {
                            self.charge_text(&text, expression.span)?;
                            output.push_str(&text);
                            Rendered::Known
                        }
                        None => Rendered::Unknown,
                    }
                }
                Element::If(directive) => self.if_directive(directive, output, scope)?,
                Element::For(directive) => self.for_directive(directive, output, scope)?,
            };
            if let Rendered::Unknown = rendered {
                return Ok(Rendered::Unknown);
            }
        }
        Ok(Rendered::Known)
    }

    /// A value as part of a text; `None` if it is not known yet.
    fn interpolated(
        &self,
        value: &Value,
        expression: &Expression,
    ) -> Result<Option<Arc<str>>, Diagnostic> {
        match value {
            Value::Unknown(_) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("null cannot be part of a string")
                .at_with(expression.span, "this is null")),
            other => convert::to_string(other).map(Some).map_err(|_| {
                let message = format!("{} cannot be part of a string", other.described());
                Diagnostic::error(message)
                    .at(expression.span)
                    .help("`jsonencode(…)` or `join(\", \", …)` make a string of a collection")
            }),
        }
    }

    fn if_directive(
        &self,
        directive: &IfDirective,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        let IfDirective { condition, yes, no } = directive;
        let value = self.expression(condition, scope)?;
        match (self.truth(&value, condition.span)?, no) {
            (None, _) => Ok(Rendered::Unknown),
            (Some(true), _) => self.render(yes, output, scope),
            (Some(false), Some(no)) => self.render(no, output, scope),
            (Some(false), None) => Ok(Rendered::Known),
        }
    }

    fn for_directive(
        &self,
        directive: &ForDirective,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        let place = directive.collection.span;
        let collection = self.expression(&directive.collection, scope)?;
        let Some(items) = self.items(&collection, place)? else {
            return Ok(Rendered::Unknown);
        };
        for (key, value) in items {
            self.charge(ELEMENT_COST, place)?;
            let mut scope = scope.clone();
            if let Some(name) = &directive.key_name {
                scope = scope.with(name.text.clone(), key);
            }
            scope = scope.with(directive.value_name.text.clone(), value);
            if let Rendered::Unknown = self.render(&directive.content, output, &scope)? {
                return Ok(Rendered::Unknown);
            }
        }
        Ok(Rendered::Known)
    }
}
