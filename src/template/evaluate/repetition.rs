//! For expressions, and iteration over collections.

use super::{ELEMENT_COST, Evaluated, Evaluation};
use crate::diagnostic::{Diagnostic, SourceSpan};
use crate::template::scope::Scope;
use crate::template::syntax::{Expression, For};
use crate::template::value::{Number, Type, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

impl Evaluation {
    pub(super) fn for_expression(&self, repetition: &For, scope: &Scope) -> Evaluated {
        let place = repetition.collection.span;
        let collection = self.expression(&repetition.collection, scope)?;
        let Some(items) = self.items(&collection, place)? else {
            return Ok(Value::Unknown(Type::Dynamic));
        };
        let mut output = match &repetition.key {
            None => Output::Elements(Vec::new()),
            Some(_) if repetition.groups => Output::Groups(BTreeMap::new()),
            Some(_) => Output::Attributes(BTreeMap::new()),
        };
        let key_name = repetition.key_name.as_ref().map(|name| &name.text);
        let value_name = &repetition.value_name.text;
        for (key, value) in items {
            self.charge(ELEMENT_COST, place)?;
            let scope = match key_name {
                Some(name) => scope
                    .with(name.clone(), key)
                    .with(value_name.clone(), value),
                None => scope.with(value_name.clone(), value),
            };
            if let Some(condition) = &repetition.condition {
                let included = self.expression(condition, &scope)?;
                match self.truth(&included, condition.span)? {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Ok(Value::Unknown(Type::Dynamic)),
                }
            }
            let key = match &repetition.key {
                None => None,
                Some(expression) => {
                    let key = self.expression(expression, &scope)?;
                    match self.key(&key, expression.span)? {
                        Some(key) => Some((key, expression)),
                        None => return Ok(Value::Unknown(Type::Dynamic)),
                    }
                }
            };
            let value = self.expression(&repetition.value, &scope)?;
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
                            .at(expression.span)
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
        place: SourceSpan,
    ) -> Result<Option<Vec<(Value, Value)>>, Diagnostic> {
        match collection {
            Value::Unknown(_) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("null cannot be iterated over").at(place)),
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
                Err(Diagnostic::error(message).at(place))
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
