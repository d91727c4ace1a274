//! Evaluation of expressions: the syntax tree and a scope in, a value or a diagnostic out.
//!
//! Semantics are those of HCL 2 with cty's values. An unknown operand makes the result unknown.
//! What one expression may cost is bounded: each step and each element that it makes is charged to
//! a budget.

mod calls;
mod operators;
mod repetition;
mod text;
mod text_literals;
mod traversal;

use super::convert;
use super::scope::{Reach, Scope};
use super::value::{Number, Type, Value};
use crate::diagnostic::{Diagnostic, FileId, SourceSpan, did_you_mean};
use hcl::edit::Span;
use hcl::edit::expr::{Array, Conditional, Expression, Object, ObjectKey};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cost at which an expression is given up: it bounds the time to seconds and the memory to a
/// few hundred megabytes.
const BUDGET: usize = 10_000_000;

/// The cost of an element of a new collection; one evaluated node costs 1.
const ELEMENT_COST: usize = 2;

/// The bytes of a new string that cost 1.
const BYTES_PER_COST: usize = 32;

/// How deeply values may be nested: as deep as the program's stack can follow with ease.
const MAX_VALUE_DEPTH: usize = 200;

pub(super) type Evaluated = Result<Value, Diagnostic>;

/// The evaluation of one expression of one source text.
pub(super) struct Evaluation<'a> {
    file: FileId,
    text: &'a str,
    spent: Cell<usize>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(file: FileId, text: &'a str) -> Evaluation<'a> {
        Evaluation {
            file,
            text,
            spent: Cell::new(0),
        }
    }

    /// Evaluates an expression.
    pub(super) fn expression(&self, expression: &Expression, scope: &Scope) -> Evaluated {
        self.charge(1, expression)?;
        match expression {
            Expression::Null(_) => Ok(Value::NULL),
            Expression::Bool(bool) => Ok(Value::Bool(*bool.value())),
            Expression::Number(_) => self.number_literal(expression),
            Expression::String(string) => Ok(Value::string(string.value())),
            Expression::Array(array) => self.array(array, scope),
            Expression::Object(object) => self.object(object, scope),
            Expression::StringTemplate(template) => {
                self.text_template(template, text::Form::Quoted, expression, scope)
            }
            Expression::HeredocTemplate(heredoc) => {
                self.text_template(&heredoc.template, text::Form::Heredoc, expression, scope)
            }
            Expression::Parenthesis(inner) => self.expression(inner.inner(), scope),
            Expression::Variable(name) => self.variable(name.as_str(), expression, scope),
            Expression::Conditional(conditional) => {
                self.conditional(conditional, expression, scope)
            }
            Expression::UnaryOp(operation) => self.unary(operation, scope),
            Expression::BinaryOp(operation) => self.binary(operation, expression, scope),
            Expression::Traversal(traversal) => self.traversal(traversal, scope),
            Expression::ForExpr(repetition) => self.for_expression(repetition, scope),
            Expression::FuncCall(call) => self.call(call, expression, scope),
        }
    }

    /// The literal's own text, since the parser has rounded the number already.
    fn number_literal(&self, expression: &Expression) -> Evaluated {
        let span = self.span(expression);
        let text = self.text.get(span.range()).unwrap_or("");
        let digits: String = text.chars().filter(|char| !char.is_whitespace()).collect();
        Number::parse(&digits).map(Value::Number).ok_or_else(|| {
            Diagnostic::error("this number is out of range")
                .at(span)
                .help("numbers reach from 1e-1000 to 1e1000")
        })
    }

    fn array(&self, array: &Array, scope: &Scope) -> Evaluated {
        let elements = array.iter().map(|element| self.expression(element, scope));
        Ok(Value::tuple(elements.collect::<Result<_, _>>()?))
    }

    fn object(&self, object: &Object, scope: &Scope) -> Evaluated {
        let mut attributes = BTreeMap::new();
        let mut keys_known = true;
        for (key, value) in object.iter() {
            let value = self.expression(value.expr(), scope)?;
            match self.object_key(key, scope)? {
                Some(key) => {
                    attributes.insert(key, value);
                }
                None => keys_known = false,
            }
        }
        if !keys_known {
            return Ok(Value::Unknown(Type::Dynamic));
        }
        Ok(Value::Object(Arc::new(attributes)))
    }

    /// The name of an attribute; `None` if it is not known yet.
    fn object_key(&self, key: &ObjectKey, scope: &Scope) -> Result<Option<Arc<str>>, Diagnostic> {
        let expression = match key {
            ObjectKey::Ident(name) => return Ok(Some(Arc::from(name.as_str()))),
            // A keyword is a name here, like any other.
            ObjectKey::Expression(Expression::Null(_)) => return Ok(Some(Arc::from("null"))),
            ObjectKey::Expression(expression) => expression,
        };
        match expression {
            Expression::Variable(name) => return Ok(Some(Arc::from(name.as_str()))),
            Expression::Traversal(_) => {
                return Err(Diagnostic::error("this key is ambiguous")
                    .at(self.span(expression))
                    .help(
                        "put it in parentheses if it is a reference, in quotes if it is a name",
                    ));
            }
            _ => {}
        }
        let value = self.expression(expression, scope)?;
        self.key(&value, expression)
    }

    /// A value as the key of a map or an object; `None` if it is not known yet.
    fn key(&self, value: &Value, node: &impl Span) -> Result<Option<Arc<str>>, Diagnostic> {
        match value {
            Value::Unknown(_) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("a key must not be null").at(self.span(node))),
            other => convert::to_string(other).map(Some).map_err(|error| {
                Diagnostic::error(format!("this cannot be a key: {error}")).at(self.span(node))
            }),
        }
    }

    /// The branch that is not taken is evaluated too, since both have to share a type; its errors
    /// do not count.
    fn conditional(
        &self,
        conditional: &Conditional,
        expression: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let condition = self.expression(&conditional.cond_expr, scope)?;
        let Some(condition) = self.truth(&condition, &conditional.cond_expr)? else {
            let yes = self.expression(&conditional.true_expr, scope)?.type_of();
            let no = self.expression(&conditional.false_expr, scope)?.type_of();
            return Ok(Value::Unknown(
                convert::unify(&[yes, no]).unwrap_or(Type::Dynamic),
            ));
        };
        let (taken, left) = if condition {
            (&conditional.true_expr, &conditional.false_expr)
        } else {
            (&conditional.false_expr, &conditional.true_expr)
        };
        let value = self.expression(taken, scope)?;
        let Ok(other) = self.expression(left, scope) else {
            return Ok(value);
        };
        if is_untyped(&other) || have_same_primitive_type(&value, &other) {
            return Ok(value);
        }
        let (value_type, other_type) = (value.type_of(), other.type_of());
        if is_untyped(&value) {
            return Ok(if value.is_null() {
                Value::Null(other_type)
            } else {
                value
            });
        }
        let unified = convert::unify(&[value_type, other_type]);
        unified
            .and_then(|unified| convert::convert(&value, &unified).ok())
            .ok_or_else(|| {
                Diagnostic::error("the two results of a conditional must have one type")
                    .at(self.span(expression))
                    .note(self.span(taken), format!("this is {}", value.described()))
                    .note(self.span(left), format!("this is {}", other.described()))
            })
    }

    /// A reference to a name as a whole.
    fn variable(&self, name: &str, node: &impl Span, scope: &Scope) -> Evaluated {
        if let Some(value) = scope.bound(name) {
            return Ok(value.clone());
        }
        let globals = scope.globals();
        match name {
            _ if scope.reach() != Reach::Everything => {}
            "path" => return Ok(globals.path.clone()),
            "packer" => return Ok(globals.packer.clone()),
            "var" | "local" => {
                let names = if name == "var" {
                    &globals.variables
                } else {
                    &globals.locals
                };
                return Ok(Value::object(names.iter().map(|(name, value)| {
                    (
                        name.clone(),
                        value
                            .get()
                            .cloned()
                            .unwrap_or(Value::Unknown(Type::Dynamic)),
                    )
                })));
            }
            _ => {}
        }
        Err(self.no_such_variable(name, node, scope))
    }

    fn no_such_variable(&self, name: &str, node: &impl Span, scope: &Scope) -> Diagnostic {
        let missing =
            Diagnostic::error(format!("there is no variable named `{name}`")).at(self.span(node));
        if scope.reach() != Reach::Everything {
            let bound: Vec<&str> = scope.bound_names().collect();
            return match bound.as_slice() {
                [] => missing.help("only constants can be used here"),
                names => missing.help(format!("only these can be used here: {}", names.join(", "))),
            };
        }
        let globals = scope.globals();
        match name {
            "source" => {
                return missing.help(
                    "`source` is known only within sources, provisioners and post-processors",
                );
            }
            "build" => {
                return missing
                    .help("`build` is known only within provisioners and post-processors");
            }
            "data" => return missing.help("data sources are not supported yet"),
            _ => {}
        }
        if globals.variables.contains_key(name) {
            return missing.help(format!("did you mean `var.{name}`?"));
        }
        if globals.locals.contains_key(name) {
            return missing.help(format!("did you mean `local.{name}`?"));
        }
        let roots = ["var", "local", "path", "packer"];
        missing.help_maybe(did_you_mean(name, scope.bound_names().chain(roots)))
    }

    /// A value as a bool; `None` if it is not known yet.
    fn truth(&self, value: &Value, node: &impl Span) -> Result<Option<bool>, Diagnostic> {
        match value {
            Value::Unknown(Type::Bool | Type::Dynamic | Type::String) => Ok(None),
            Value::Null(_) => {
                Err(Diagnostic::error("a bool is required, not null").at(self.span(node)))
            }
            other => convert::to_bool(other)
                .map(Some)
                .map_err(|error| self.not_convertible(&error, other, node)),
        }
    }

    fn not_convertible(
        &self,
        error: &convert::ConvertError,
        value: &Value,
        node: &impl Span,
    ) -> Diagnostic {
        Diagnostic::error(error.to_string())
            .at_with(self.span(node), format!("this is {}", value.described()))
    }

    fn span(&self, node: &impl Span) -> SourceSpan {
        SourceSpan::new(self.file, node.span().unwrap_or(0..0))
    }

    fn charge(&self, cost: usize, node: &impl Span) -> Result<(), Diagnostic> {
        let spent = self.spent.get().saturating_add(cost);
        self.spent.set(spent);
        if spent <= BUDGET {
            return Ok(());
        }
        Err(Diagnostic::error("this expression is too expensive")
            .at(self.span(node))
            .help("it takes too many steps or makes too large a value"))
    }

    fn charge_text(&self, text: &str, node: &impl Span) -> Result<(), Diagnostic> {
        self.charge(text.len() / BYTES_PER_COST, node)
    }

    /// Charges for a value that is going to be walked through as a whole. Values share their
    /// parts, so that one that is small in memory can be endless to walk through.
    fn charge_value(&self, value: &Value, node: &impl Span) -> Result<(), Diagnostic> {
        let allowed = BUDGET.saturating_sub(self.spent.get());
        match measure(value, allowed) {
            Ok(size) => self.charge(size, node),
            Err(TooLarge::Deep) => Err(Diagnostic::error("this value is nested too deeply")
                .at(self.span(node))
                .help(format!(
                    "values can be nested {MAX_VALUE_DEPTH} levels deep"
                ))),
            Err(TooLarge::Big) => self.charge(BUDGET, node),
        }
    }
}

/// Why a value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// Nested too deeply.
    Deep,
    /// Too many elements in all.
    Big,
}

/// Checks that a value which other expressions are going to use can be walked through.
pub(super) fn check_size(value: &Value) -> Result<(), TooLarge> {
    measure(value, BUDGET / 10).map(|_| ())
}

/// The cost of walking through a value; gives up where it exceeds what is allowed.
fn measure(value: &Value, allowed: usize) -> Result<usize, TooLarge> {
    fn walk(value: &Value, depth: usize, left: &mut usize) -> Result<(), TooLarge> {
        if depth > MAX_VALUE_DEPTH {
            return Err(TooLarge::Deep);
        }
        let cost = 1 + value.as_str().map_or(0, |text| text.len() / BYTES_PER_COST);
        *left = left.checked_sub(cost).ok_or(TooLarge::Big)?;
        if let Some(elements) = value.as_elements() {
            elements
                .iter()
                .try_for_each(|element| walk(element, depth + 1, left))
        } else if let Some(entries) = value.as_entries() {
            entries
                .values()
                .try_for_each(|element| walk(element, depth + 1, left))
        } else {
            Ok(())
        }
    }
    let mut left = allowed;
    walk(value, 0, &mut left)?;
    Ok(allowed - left)
}

/// Whether a value says nothing about its type.
fn is_untyped(value: &Value) -> bool {
    matches!(
        value,
        Value::Null(Type::Dynamic) | Value::Unknown(Type::Dynamic)
    )
}

fn have_same_primitive_type(a: &Value, b: &Value) -> bool {
    matches!(
        (a, b),
        (Value::String(_), Value::String(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::Bool(_), Value::Bool(_))
    )
}

#[cfg(test)]
mod tests;
