//! String templates: quoted strings and heredocs with interpolations and directives.

use super::text_literals::TextLiterals;
use super::{ELEMENT_COST, Evaluated, Evaluation};
use crate::diagnostic::Diagnostic;
use crate::template::convert;
use crate::template::scope::Scope;
use crate::template::value::{Type, Value};
use hcl::edit::Span;
use hcl::edit::expr::Expression;
use hcl::edit::template::{Directive, Element, ForDirective, IfDirective, Template};
use std::sync::Arc;

/// How a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum Form {
    /// In quotes, with escapes.
    Quoted,
    /// As a heredoc.
    Heredoc,
    /// As a file of its own.
    File,
}

/// What rendering goes on with.
enum Rendered {
    /// The text was written.
    Known,
    /// Some part is not known yet, and so is the whole.
    Unknown,
}

impl Evaluation<'_> {
    /// Evaluates a template. One that is a single interpolation keeps the type of its value.
    pub(in crate::template) fn text_template(
        &self,
        template: &Template,
        form: Form,
        node: &impl Span,
        scope: &Scope,
    ) -> Evaluated {
        if let Some(Element::Interpolation(interpolation)) = template.as_single_element() {
            return self.expression(&interpolation.expr, scope);
        }
        let flush = form == Form::Heredoc && self.is_flush_heredoc(node);
        let literals = TextLiterals::new(template, form, flush, self.text);
        let mut output = String::new();
        Ok(
            match self.render(template, &literals, &mut output, scope)? {
                Rendered::Known => Value::string(output),
                Rendered::Unknown => Value::Unknown(Type::String),
            },
        )
    }

    fn is_flush_heredoc(&self, node: &impl Span) -> bool {
        let start = node.span().map_or(0, |span| span.start);
        self.text
            .get(start..)
            .is_some_and(|text| text.starts_with("<<-"))
    }

    fn render(
        &self,
        template: &Template,
        literals: &TextLiterals,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        for element in template.iter() {
            let rendered = match element {
                Element::Literal(literal) => {
                    let text = literals.get(literal);
                    self.charge_text(text, literal)?;
                    output.push_str(text);
                    Rendered::Known
                }
                Element::Interpolation(interpolation) => {
                    let value = self.expression(&interpolation.expr, scope)?;
                    match self.interpolated(&value, &interpolation.expr)? {
                        Some(text) => {
                            self.charge_text(&text, interpolation)?;
                            output.push_str(&text);
                            Rendered::Known
                        }
                        None => Rendered::Unknown,
                    }
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => {
                        self.if_directive(directive, literals, output, scope)?
                    }
                    Directive::For(directive) => {
                        self.for_directive(directive, literals, output, scope)?
                    }
                },
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
                .at_with(self.span(expression), "this is null")),
            other => convert::to_string(other).map(Some).map_err(|_| {
                let message = format!("{} cannot be part of a string", other.described());
                Diagnostic::error(message)
                    .at(self.span(expression))
                    .help("`jsonencode(…)` or `join(\", \", …)` make a string of a collection")
            }),
        }
    }

    fn if_directive(
        &self,
        directive: &IfDirective,
        literals: &TextLiterals,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        let expression = &directive.if_expr.cond_expr;
        let condition = self.expression(expression, scope)?;
        match (self.truth(&condition, expression)?, &directive.else_expr) {
            (None, _) => Ok(Rendered::Unknown),
            (Some(true), _) => self.render(&directive.if_expr.template, literals, output, scope),
            (Some(false), Some(otherwise)) => {
                self.render(&otherwise.template, literals, output, scope)
            }
            (Some(false), None) => Ok(Rendered::Known),
        }
    }

    fn for_directive(
        &self,
        directive: &ForDirective,
        literals: &TextLiterals,
        output: &mut String,
        scope: &Scope,
    ) -> Result<Rendered, Diagnostic> {
        let repetition = &directive.for_expr;
        let collection = self.expression(&repetition.collection_expr, scope)?;
        let Some(items) = self.items(&collection, &repetition.collection_expr)? else {
            return Ok(Rendered::Unknown);
        };
        for (key, value) in items {
            self.charge(ELEMENT_COST, &repetition.collection_expr)?;
            let mut scope = scope.clone();
            if let Some(name) = &repetition.key_var {
                scope = scope.with(name.as_str(), key);
            }
            scope = scope.with(repetition.value_var.as_str(), value);
            if let Rendered::Unknown =
                self.render(&repetition.template, literals, output, &scope)?
            {
                return Ok(Rendered::Unknown);
            }
        }
        Ok(Rendered::Known)
    }
}
