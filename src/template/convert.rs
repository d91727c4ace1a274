//! Conversion of values, by cty's rules.
//!
//! A conversion keeps the meaning of a value and changes its type: `"1"` to the number 1, a tuple
//! to a list.

use super::number::Number;
use super::unify::unify_values;
use super::value::{Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a value does not fit a type. Its text is a sentence without a full stop, like
/// `element 0: a number is required`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .path.iter().rev().map(|step| format!("{step}: ")).collect::<String>())]
pub struct ConvertError {
    /// Where inside the value, innermost first.
    path: Vec<String>,
    message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> ConvertError {
        ConvertError {
            path: Vec::new(),
            message: message.into(),
        }
    }

    fn inside(mut self, step: String) -> ConvertError {
        self.path.push(step);
        self
    }
}

/// Converts a value to a type; a part that is [`Type::Dynamic`] takes anything. An unknown value
/// stays unknown, null stays null, of the new type.
pub fn convert(value: &Value, target: &Type) -> Result<Value, ConvertError> {
    match (target, value) {
        (Type::Dynamic, _) => Ok(value.clone()),
        (_, Value::Null(_)) => Ok(Value::Null(target.clone())),
        (_, Value::Unknown(source)) => {
            if is_possible(source, target) {
                Ok(Value::Unknown(target.clone()))
            } else {
                Err(mismatch(target))
            }
        }
        (Type::String, _) => to_string(value).map(Value::String),
        (Type::Number, _) => to_number(value).map(Value::Number),
        (Type::Bool, _) => to_bool(value).map(Value::Bool),
        (Type::List(element), _) => {
            if matches!(value, Value::List(own, _) if own == &**element) {
                return Ok(value.clone());
            }
            let (element, elements) = to_elements(value, element, target)?;
            Ok(Value::list(element, elements))
        }
        (Type::Set(element), _) => {
            if matches!(value, Value::Set(own, _) if own == &**element) {
                return Ok(value.clone());
            }
            let (element, elements) = to_elements(value, element, target)?;
            Ok(Value::set(element, elements))
        }
        (Type::Map(element), _) => to_map(value, element),
        (Type::Tuple(types), Value::Tuple(elements)) => {
            if types.len() != elements.len() {
                let message = format!("a tuple of {} elements is required", types.len());
                return Err(ConvertError::new(message));
            }
            let converted =
                elements
                    .iter()
                    .zip(types)
                    .enumerate()
                    .map(|(index, (value, target))| {
                        convert(value, target).map_err(|error| error.inside(element_name(index)))
                    });
            Ok(Value::tuple(converted.collect::<Result<_, _>>()?))
        }
        (Type::Object(types), Value::Object(entries) | Value::Map(_, entries)) => {
            to_object(entries, types)
        }
        _ => Err(mismatch(target)),
    }
}

/// The text of a string, number or bool.
pub fn to_string(value: &Value) -> Result<Arc<str>, ConvertError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(Arc::from(number.to_string())),
        Value::Bool(true) => Ok(Arc::from("true")),
        Value::Bool(false) => Ok(Arc::from("false")),
        _ => Err(mismatch(&Type::String)),
    }
}

/// The number, also of a string that holds one.
pub fn to_number(value: &Value) -> Result<Number, ConvertError> {
    match value {
        Value::Number(number) => Ok(number.clone()),
        Value::String(text) => Number::from_text(text).ok_or_else(|| mismatch(&Type::Number)),
        _ => Err(mismatch(&Type::Number)),
    }
}

/// The truth value, also of the strings `true`, `false`, `1` and `0`.
pub fn to_bool(value: &Value) -> Result<bool, ConvertError> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        Value::String(text) => match &**text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other if other.eq_ignore_ascii_case("true") || other.eq_ignore_ascii_case("false") => {
                let lower = other.to_ascii_lowercase();
                Err(ConvertError::new(format!(
                    "a bool is required; it is written {lower:?}"
                )))
            }
            _ => Err(mismatch(&Type::Bool)),
        },
        _ => Err(mismatch(&Type::Bool)),
    }
}

/// Whether every value of the source type converts to the target type.
pub(super) fn is_safe(source: &Type, target: &Type) -> bool {
    match (source, target) {
        _ if source == target => true,
        (_, Type::Dynamic) => true,
        (Type::Number | Type::Bool, Type::String) => true,
        (Type::List(source), Type::List(target) | Type::Set(target))
        | (Type::Set(source), Type::Set(target) | Type::List(target))
        | (Type::Map(source), Type::Map(target)) => is_safe(source, target),
        (Type::Tuple(elements), Type::List(target) | Type::Set(target)) => {
            elements.iter().all(|source| is_safe(source, target))
        }
        (Type::Object(attributes), Type::Map(target)) => {
            attributes.values().all(|source| is_safe(source, target))
        }
        _ => false,
    }
}

/// Whether some value of the source type may convert to the target type.
fn is_possible(source: &Type, target: &Type) -> bool {
    match (source, target) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => true,
        (Type::String, Type::Number | Type::Bool) => true,
        (Type::List(source) | Type::Set(source), Type::List(target) | Type::Set(target))
        | (Type::Map(source), Type::Map(target)) => is_possible(source, target),
        (Type::Tuple(elements), Type::List(target) | Type::Set(target)) => {
            elements.iter().all(|source| is_possible(source, target))
        }
        (Type::Tuple(sources), Type::Tuple(targets)) => {
            sources.len() == targets.len()
                && sources
                    .iter()
                    .zip(targets)
                    .all(|(source, target)| is_possible(source, target))
        }
        (Type::Object(attributes), Type::Map(target)) => attributes
            .values()
            .all(|source| is_possible(source, target)),
        (Type::Object(sources), Type::Object(targets)) => targets.iter().all(|(name, target)| {
            sources
                .get(name)
                .is_some_and(|source| is_possible(source, target))
        }),
        (Type::Map(source), Type::Object(targets)) => {
            targets.values().all(|target| is_possible(source, target))
        }
        _ => is_safe(source, target),
    }
}

fn to_elements(
    value: &Value,
    element: &Type,
    target: &Type,
) -> Result<(Type, Vec<Value>), ConvertError> {
    let elements = value.as_elements().ok_or_else(|| mismatch(target))?;
    let converted: Vec<Value> = elements
        .iter()
        .enumerate()
        .map(|(index, value)| {
            convert(value, element).map_err(|error| error.inside(element_name(index)))
        })
        .collect::<Result<_, _>>()?;
    settle(element, converted)
}

fn to_map(value: &Value, element: &Type) -> Result<Value, ConvertError> {
    if matches!(value, Value::Map(own, _) if own == element) {
        return Ok(value.clone());
    }
    let target = || Type::Map(Box::new(element.clone()));
    let entries = value.as_entries().ok_or_else(|| mismatch(&target()))?;
    let converted: Vec<Value> = entries
        .iter()
        .map(|(key, value)| {
            convert(value, element).map_err(|error| error.inside(format!("element {key:?}")))
        })
        .collect::<Result<_, _>>()?;
    let (element, converted) = settle(element, converted)?;
    Ok(Value::map(
        element,
        entries.keys().cloned().zip(converted).collect(),
    ))
}

/// The one type that the elements of a collection have; found by unification if it was left open.
fn settle(element: &Type, converted: Vec<Value>) -> Result<(Type, Vec<Value>), ConvertError> {
    if !element.has_dynamic() {
        return Ok((element.clone(), converted));
    }
    unify_values(&converted)
        .ok_or_else(|| ConvertError::new("all elements must have the same type"))
}

fn to_object(
    entries: &BTreeMap<Arc<str>, Value>,
    types: &BTreeMap<Arc<str>, Type>,
) -> Result<Value, ConvertError> {
    let mut converted = BTreeMap::new();
    for (name, target) in types {
        let Some(value) = entries.get(name) else {
            return Err(ConvertError::new(format!("attribute {name:?} is required")));
        };
        let value =
            convert(value, target).map_err(|error| error.inside(format!("attribute {name:?}")))?;
        converted.insert(name.clone(), value);
    }
    Ok(Value::Object(Arc::new(converted)))
}

fn element_name(index: usize) -> String {
    format!("element {index}")
}

fn mismatch(target: &Type) -> ConvertError {
    let article = if matches!(target, Type::Object(_)) {
        "an"
    } else {
        "a"
    };
    ConvertError::new(format!("{article} {target} is required"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: i64) -> Value {
        Value::Number(Number::from(value))
    }

    fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    #[test]
    fn primitives_convert_through_text() {
        for (value, target, expected) in [
            (
                Value::string("1.50"),
                Type::Number,
                Some(Value::Number(Number::parse("1.5").unwrap())),
            ),
            (number(3), Type::String, Some(Value::string("3"))),
            (Value::Bool(true), Type::String, Some(Value::string("true"))),
            (Value::string("1"), Type::Bool, Some(Value::Bool(true))),
            (Value::string("yes"), Type::Bool, None),
            (number(1), Type::Bool, None),
            (Value::string(""), Type::Number, None),
            (Value::NULL, Type::Number, Some(Value::Null(Type::Number))),
        ] {
            assert_eq!(
                convert(&value, &target).ok(),
                expected,
                "{value:?} to {target}"
            );
        }
    }

    #[test]
    fn errors_name_the_place() {
        let value = Value::object([("a", Value::tuple(vec![number(1), Value::string("x")]))]);
        let target = Type::Map(Box::new(list(Type::Number)));
        let error = convert(&value, &target).unwrap_err();
        assert_eq!(
            error.to_string(),
            "element \"a\": element 1: a number is required"
        );
    }

    #[test]
    fn open_element_types_are_settled() {
        let tuple = Value::tuple(vec![number(1), Value::string("a")]);
        let converted = convert(&tuple, &list(Type::Dynamic)).unwrap();
        assert_eq!(converted.type_of(), list(Type::String));
    }
}
