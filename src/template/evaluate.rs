//! Evaluation of expressions: the syntax tree and a scope in, a value or a diagnostic out.
//!
//! Semantics are those of HCL 2 with cty's values. An unknown operand makes the result unknown.
//! What one expression may cost is bounded: each step and each element that it makes is charged to
//! a budget.

mod calls;
mod operators;
mod repetition;
mod text;
mod traversal;

use super::convert;
use super::graph::Node;
use super::scope::{Reach, Scope};
use super::syntax::{Conditional, Expression, ExpressionKind, ObjectItem, ObjectKey};
use super::unify::unify;
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, SourceSpan, did_you_mean};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The cost at which an expression is given up: it bounds the time to a second and the memory to a
/// hundred megabytes.
const BUDGET: usize = 3_000_000;

/// The cost at which a template is given up: it bounds what all of its values take together.
const TEMPLATE_BUDGET: usize = 20_000_000;

/// The cost of the largest value that others can refer to.
const LARGEST_VALUE: usize = 1_000_000;

/// The cost of an element of a new collection; one evaluated node costs 1.
const ELEMENT_COST: usize = 2;

/// The bytes of a new string that cost 1.
const BYTES_PER_COST: usize = 20;

/// How often values are walked through until they have one type.
const UNIFYING_WALKS: usize = 4;

/// How deeply values may be nested: as deep as the program's stack can follow with ease.
const MAX_VALUE_DEPTH: usize = 200;

pub(super) type Evaluated = Result<Value, Diagnostic>;

/// The evaluation of one expression.
#[derive(Default)]
pub(super) struct Evaluation {
    spent: Cell<usize>,
    failure: RefCell<Option<Diagnostic>>,
}

impl Evaluation {
    /// The error of a data source that was asked, whatever the expression made of it.
    pub(super) fn into_failure(self) -> Option<Diagnostic> {
        self.failure.into_inner()
    }

    /// Evaluates an expression whose value leaves the evaluation, and charges the template for
    /// it.
    pub(super) fn whole(&self, expression: &Expression, scope: &Scope) -> Evaluated {
        let spent = &scope.globals().spent;
        if spent.load(Ordering::Relaxed) > TEMPLATE_BUDGET {
            // Without a place, so that it is said once.
            return Err(Diagnostic::error("this template is too expensive")
                .help("its expressions take too many steps or make too large values in all"));
        }
        let value = self.expression(expression, scope);
        let value = value.and_then(|value| {
            self.charge_value(&value, expression.span)?;
            Ok(value)
        });
        spent.fetch_add(self.spent.get().min(BUDGET), Ordering::Relaxed);
        value
    }

    /// Evaluates an expression.
    pub(super) fn expression(&self, expression: &Expression, scope: &Scope) -> Evaluated {
        self.charge(1, expression.span)?;
        match &expression.kind {
            ExpressionKind::Null => Ok(Value::NULL),
            ExpressionKind::Bool(bool) => Ok(Value::Bool(*bool)),
            ExpressionKind::Number(number) => Ok(Value::Number(number.clone())),
            ExpressionKind::Text(text) => Ok(Value::string(text)),
            ExpressionKind::Template(template) => self.text_template(template, scope),
            ExpressionKind::JsonString(string) => self.expression(&string.template, scope),
            ExpressionKind::Tuple(elements) => self.tuple(elements, scope),
            ExpressionKind::Object(items) => self.object(items, scope),
            ExpressionKind::Parenthesis(inner) => self.expression(inner, scope),
            ExpressionKind::Variable(name) => self.variable(name, expression.span, scope),
            ExpressionKind::Traversal(traversal) => self.traversal(traversal, scope),
            ExpressionKind::Call(call) => self.call(call, expression.span, scope),
            ExpressionKind::Conditional(conditional) => {
                self.conditional(conditional, expression.span, scope)
            }
            ExpressionKind::Unary(operator, operand) => self.unary(*operator, operand, scope),
            ExpressionKind::Binary(binary) => self.binary(binary, scope),
            ExpressionKind::For(repetition) => self.for_expression(repetition, scope),
        }
    }

    fn tuple(&self, elements: &[Expression], scope: &Scope) -> Evaluated {
        let elements = elements
            .iter()
            .map(|element| self.expression(element, scope));
        Ok(Value::tuple(elements.collect::<Result<_, _>>()?))
    }

    /// Of items with the same key the last one counts.
    fn object(&self, items: &[ObjectItem], scope: &Scope) -> Evaluated {
        let mut attributes = BTreeMap::new();
        let mut keys_known = true;
        for ObjectItem { key, value } in items {
            let value = self.expression(value, scope)?;
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
            ObjectKey::Name(name) => return Ok(Some(name.text.clone())),
            ObjectKey::Expression(expression) => expression,
        };
        if let ExpressionKind::Traversal(_) = expression.kind {
            return Err(Diagnostic::error("this key is ambiguous")
                .at(expression.span)
                .help("put it in parentheses if it is a reference, in quotes if it is a name"));
        }
        let value = self.expression(expression, scope)?;
        self.key(&value, expression.span)
    }

    /// A value as the key of a map or an object; `None` if it is not known yet.
    fn key(&self, value: &Value, place: SourceSpan) -> Result<Option<Arc<str>>, Diagnostic> {
        match value {
            Value::Unknown(_) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("a key must not be null").at(place)),
            other => convert::to_string(other).map(Some).map_err(|error| {
                Diagnostic::error(format!("this cannot be a key: {error}")).at(place)
            }),
        }
    }

    /// The branch that is not taken is evaluated too, since both have to share a type; its errors
    /// do not count.
    fn conditional(
        &self,
        conditional: &Conditional,
        place: SourceSpan,
        scope: &Scope,
    ) -> Evaluated {
        let condition = self.expression(&conditional.condition, scope)?;
        let Some(condition) = self.truth(&condition, conditional.condition.span)? else {
            let yes = self.type_of_part(&conditional.yes, scope)?;
            let no = self.type_of_part(&conditional.no, scope)?;
            return Ok(Value::Unknown(unify(&[yes, no]).unwrap_or(Type::Dynamic)));
        };
        let (taken, left) = if condition {
            (&conditional.yes, &conditional.no)
        } else {
            (&conditional.no, &conditional.yes)
        };
        let value = self.expression(taken, scope)?;
        let Ok(other) = self.expression(left, scope) else {
            return Ok(value);
        };
        if is_untyped(&other) || have_same_primitive_type(&value, &other) {
            return Ok(value);
        }
        for _ in 0..UNIFYING_WALKS {
            self.charge_value(&value, taken.span)?;
            self.charge_value(&other, left.span)?;
        }
        let (value_type, other_type) = (value.type_of(), other.type_of());
        if is_untyped(&value) {
            return Ok(if value.is_null() {
                Value::Null(other_type)
            } else {
                value
            });
        }
        let unified = unify(&[value_type, other_type]);
        unified
            .and_then(|unified| convert::convert(&value, &unified).ok())
            .ok_or_else(|| {
                Diagnostic::error("the two results of a conditional must have one type")
                    .at(place)
                    .note(taken.span, format!("this is {}", value.described()))
                    .note(left.span, format!("this is {}", other.described()))
            })
    }

    fn type_of_part(&self, part: &Expression, scope: &Scope) -> Result<Type, Diagnostic> {
        let value = self.expression(part, scope)?;
        self.charge_value(&value, part.span)?;
        Ok(value.type_of())
    }

    /// A reference to a name as a whole.
    fn variable(&self, name: &str, place: SourceSpan, scope: &Scope) -> Evaluated {
        if let Some(value) = scope.bound(name) {
            return Ok(value.clone());
        }
        let globals = scope.globals();
        match name {
            _ if scope.reach() != Reach::Everything => {}
            "path" => return Ok(globals.path.clone()),
            "packer" => return Ok(globals.packer.clone()),
            "var" => {
                let names = globals.variables.iter();
                return Ok(Value::object(names.map(|(name, value)| {
                    let value = value.get().cloned();
                    (name.clone(), value.unwrap_or(Value::Unknown(Type::Dynamic)))
                })));
            }
            "local" => {
                let names = globals.graph.declared_locals().keys();
                let values = names.map(|name| {
                    let value = self.node(&Node::Local(name.clone()), scope);
                    Ok((name.clone(), value.transpose()?))
                });
                let values: Vec<_> = values.collect::<Result<_, Diagnostic>>()?;
                return Ok(Value::object(
                    values
                        .into_iter()
                        .filter_map(|(name, value)| Some((name, value?))),
                ));
            }
            "data" => return self.all_data(scope),
            _ => {}
        }
        Err(self.no_such_variable(name, place, scope))
    }

    fn no_such_variable(&self, name: &str, place: SourceSpan, scope: &Scope) -> Diagnostic {
        let missing = Diagnostic::error(format!("there is no variable named `{name}`")).at(place);
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
            "each" => {
                return missing.help("`each` is known only within blocks that have `for_each`");
            }
            "build" => {
                return missing
                    .help("`build` is known only within provisioners and post-processors");
            }
            _ => {}
        }
        if globals.variables.contains_key(name) {
            return missing.help(format!("did you mean `var.{name}`?"));
        }
        if globals.graph.declared_locals().contains_key(name) {
            return missing.help(format!("did you mean `local.{name}`?"));
        }
        let roots = ["var", "local", "data", "path", "packer"];
        missing.help_maybe(did_you_mean(name, scope.bound_names().chain(roots)))
    }

    /// The value of a local or a data source; `None` if there is no such one.
    fn node(&self, node: &Node, scope: &Scope) -> Option<Evaluated> {
        let value = scope.globals().graph.value(node, scope)?;
        Some(value.inspect_err(|failure| {
            self.failure
                .borrow_mut()
                .get_or_insert_with(|| failure.clone());
        }))
    }

    /// All data sources, as an object of the types.
    fn all_data(&self, scope: &Scope) -> Evaluated {
        let mut kinds = BTreeMap::<Arc<str>, BTreeMap<Arc<str>, Value>>::new();
        for (kind, name) in scope.globals().graph.data_sources().names() {
            let node = Node::Data(kind.clone(), name.clone());
            if let Some(value) = self.node(&node, scope) {
                kinds
                    .entry(kind.clone())
                    .or_default()
                    .insert(name.clone(), value?);
            }
        }
        let kinds = kinds.into_iter();
        Ok(Value::object(kinds.map(|(kind, sources)| {
            (kind, Value::Object(Arc::new(sources)))
        })))
    }

    /// A value as a bool; `None` if it is not known yet.
    fn truth(&self, value: &Value, place: SourceSpan) -> Result<Option<bool>, Diagnostic> {
        match value {
            Value::Unknown(Type::Bool | Type::Dynamic | Type::String) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("a bool is required, not null").at(place)),
            other => convert::to_bool(other)
                .map(Some)
                .map_err(|error| self.not_convertible(&error, other, place)),
        }
    }

    fn not_convertible(
        &self,
        error: &convert::ConvertError,
        value: &Value,
        place: SourceSpan,
    ) -> Diagnostic {
        Diagnostic::error(error.to_string())
            .at_with(place, format!("this is {}", value.described()))
    }

    fn charge(&self, cost: usize, place: SourceSpan) -> Result<(), Diagnostic> {
        let spent = self.spent.get().saturating_add(cost);
        self.spent.set(spent);
        if spent <= BUDGET {
            return Ok(());
        }
        Err(Diagnostic::error("this expression is too expensive")
            .at(place)
            .help("it takes too many steps or makes too large a value"))
    }

    fn charge_text(&self, text: &str, place: SourceSpan) -> Result<(), Diagnostic> {
        self.charge(text.len() / BYTES_PER_COST, place)
    }

    fn charge_elements(&self, elements: &[Value], place: SourceSpan) -> Result<(), Diagnostic> {
        let mut elements = elements.iter();
        elements.try_for_each(|element| self.charge_value(element, place))
    }

    /// Charges for a value that is going to be walked through as a whole. Values share their
    /// parts, so that one that is small in memory can be endless to walk through.
    fn charge_value(&self, value: &Value, place: SourceSpan) -> Result<(), Diagnostic> {
        let allowed = BUDGET.saturating_sub(self.spent.get());
        match measure(value, allowed) {
            Ok(size) => self.charge(size, place),
            Err(TooLarge::Deep) => Err(Diagnostic::error("this value is nested too deeply")
                .at(place)
                .help(format!(
                    "values can be nested {MAX_VALUE_DEPTH} levels deep"
                ))),
            Err(TooLarge::Big) => self.charge(BUDGET, place),
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
    measure(value, LARGEST_VALUE).map(|_| ())
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
