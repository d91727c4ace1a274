//! For expressions, and iteration over collections.

use super::{ELEMENT_COST, Evaluated, Evaluation};
use crate::diagnostic::Diagnostic;
use crate::template::scope::Scope;
use crate::template::value::{Number, Type, Value};
use hcl::edit::Span;
use hcl::edit::expr::{Expression, ForExpr};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

impl Evaluation<'_> {
    pub(super) fn for_expression(&self, repetition: &ForExpr, scope: &Scope) -> Evaluated {
        let intro = &repetition.intro;
        let collection = self.expression(&intro.collection_expr, scope)?;
        let Some(items) = self.items(&collection, &intro.collection_expr)? else {
            return Ok(Value::Unknown(Type::Dynamic));
        };
        let mut output = match &repetition.key_expr {
            None => Output::Elements(Vec::new()),
            Some(_) if repetition.grouping => Output::Groups(BTreeMap::new()),
            Some(_) => Output::Attributes(BTreeMap::new()),
        };
        let key_name = intro
            .key_var
            .as_ref()
            .map(|name| Arc::<str>::from(name.as_str()));
        let value_name = Arc::<str>::from(intro.value_var.as_str());
        for (key, value) in items {
            self.charge(ELEMENT_COST, &intro.collection_expr)?;
            let scope = match &key_name {
                Some(name) => scope
                    .with(name.clone(), key)
                    .with(value_name.clone(), value),
                None => scope.with(value_name.clone(), value),
            };
            if let Some(condition) = &repetition.cond {
                let included = self.expression(&condition.expr, &scope)?;
                match self.truth(&included, &condition.expr)? {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Ok(Value::Unknown(Type::Dynamic)),
                }
            }
            let key = match &repetition.key_expr {
                None => None,
                Some(expression) => {
                    let key = self.expression(expression, &scope)?;
                    match self.key(&key, expression)? {
                        Some(key) => Some((key, expression)),
                        None => return Ok(Value::Unknown(Type::Dynamic)),
                    }
                }
            };
            let value = self.expression(&repetition.value_expr, &scope)?;
            self.add(&mut output, key, value)?;
        }
        Ok(output.into_value())
    }

    fn add(
        &self,
        output: &mut Output,
        key: Option<(Arc<str>, &Expression)>,
        value: Value,
    ) -> Result<(), Diagnostic> {
        match (output, key) {
            (Output::Elements(elements), _) => elements.push(value),
            (Output::Groups(groups), Some((key, _))) => groups.entry(key).or_default().push(value),
            (Output::Attributes(attributes), Some((key, expression))) => {
                match attributes.entry(key) {
                    Entry::Vacant(entry) => {
                        entry.insert(value);
                    }
                    Entry::Occupied(entry) => {
                        let message = format!("two items have the key {:?}", entry.key());
                        return Err(Diagnostic::error(message)
                            .at(self.span(expression))
                            .help("`...` after the value groups the values of one key"));
                    }
                }
            }
            // An output with keys is only made where there is a key expression.
            (Output::Groups(_) | Output::Attributes(_), None) => {}
        }
        Ok(())
    }

    /// The keys and values to iterate over; `None` if they are not known yet.
    pub(super) fn items(
        &self,
        collection: &Value,
        node: &impl Span,
    ) -> Result<Option<Vec<(Value, Value)>>, Diagnostic> {
        match collection {
            Value::Unknown(_) => Ok(None),
            Value::Null(_) => {
                Err(Diagnostic::error("null cannot be iterated over").at(self.span(node)))
            }
            Value::Set(_, elements) => Ok(Some(
                elements
                    .iter()
                    .map(|value| (value.clone(), value.clone()))
                    .collect(),
            )),
            Value::List(_, elements) | Value::Tuple(elements) => {
                let items = elements.iter().enumerate();
                Ok(Some(
                    items
                        .map(|(index, value)| (Number::from(index).into(), value.clone()))
                        .collect(),
                ))
            }
            Value::Map(_, entries) | Value::Object(entries) => {
                let items = entries.iter();
                Ok(Some(
                    items
                        .map(|(key, value)| (Value::String(key.clone()), value.clone()))
                        .collect(),
                ))
            }
            other => {
                let message = format!("{} cannot be iterated over", other.described());
                Err(Diagnostic::error(message).at(self.span(node)))
            }
        }
    }
}

/// What a for expression has made so far.
enum Output {
    Elements(Vec<Value>),
    Attributes(BTreeMap<Arc<str>, Value>),
    Groups(BTreeMap<Arc<str>, Vec<Value>>),
}

impl Output {
    fn into_value(self) -> Value {
        match self {
            Output::Elements(elements) => Value::tuple(elements),
            Output::Attributes(attributes) => Value::Object(Arc::new(attributes)),
            Output::Groups(groups) => Value::object(
                groups
                    .into_iter()
                    .map(|(key, values)| (key, Value::tuple(values))),
            ),
        }
    }
}
