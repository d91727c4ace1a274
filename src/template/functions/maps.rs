//! Functions on maps and objects: `keys`, `lookup`, `merge`, `values`, `zipmap`.

use super::signature::{Arguments, Function, Kind, Parameter, check_element_count};
use super::{FunctionContext, FunctionError};
use crate::template::convert::convert;
use crate::template::value::{Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("keys", Kind::Anything, keys)
        .parameters(&[Parameter::new("inputMap", Kind::Anything)]),
    Function::new("lookup", Kind::Anything, lookup).parameters(&[
        Parameter::new("inputMap", Kind::Anything),
        Parameter::new("key", Kind::String),
        Parameter::new("default", Kind::Anything),
    ]),
    Function::new("merge", Kind::Anything, merge)
        .variadic(Parameter::new("maps", Kind::Anything).or_null()),
    Function::new("values", Kind::Anything, values)
        .parameters(&[Parameter::new("mapping", Kind::Anything)]),
    Function::new("zipmap", Kind::Anything, zipmap).parameters(&[
        Parameter::new("keys", Kind::StringList),
        Parameter::new("values", Kind::Anything),
    ]),
];

fn keys(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let given = arguments.value(0)?;
    let Some(entries) = given.as_entries() else {
        return Err(FunctionError::at(0, "must have map or object type"));
    };
    let names = entries
        .keys()
        .map(|name| Value::String(name.clone()))
        .collect();
    Ok(match given {
        Value::Map(..) => Value::list(Type::String, names),
        _ => Value::tuple(names),
    })
}

fn lookup(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let given = arguments.value(0)?;
    let Some(entries) = given.as_entries() else {
        return Err(FunctionError::at(
            0,
            "lookup() requires a map as the first argument",
        ));
    };
    let default = match given {
        Value::Map(element_type, _) => {
            convert(arguments.value(2)?, element_type).map_err(|_| {
                FunctionError::at(
                    2,
                    "the default value must have the same type as the map elements",
                )
            })?
        }
        _ => arguments.value(2)?.clone(),
    };
    let found = entries.get(arguments.string(1)?);
    Ok(found.cloned().unwrap_or(default))
}

fn merge(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let mut merged: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for (index, given) in arguments.from(0).iter().enumerate() {
        if given.is_null() {
            continue;
        }
        let Some(entries) = given.as_entries() else {
            return Err(FunctionError::at(
                index,
                format!(
                    "arguments must be maps or objects, got {}",
                    given.type_name()
                ),
            ));
        };
        let copies = entries
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        merged.extend(copies);
        check_element_count(Some(merged.len()))?;
    }
    // Maps of one type give a map of it, everything else an object.
    let map_types: Option<Vec<&Type>> = arguments
        .from(0)
        .iter()
        .map(|given| match given {
            Value::Map(element_type, _) => Some(element_type),
            Value::Null(Type::Map(element_type)) => Some(&**element_type),
            _ => None,
        })
        .collect();
    Ok(match map_types.as_deref() {
        Some([first, others @ ..]) if others.iter().all(|other| other == first) => {
            Value::map((*first).clone(), merged)
        }
        _ => Value::object(merged),
    })
}

fn values(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    match arguments.value(0)? {
        Value::Map(element_type, entries) => Ok(Value::list(
            element_type.clone(),
            entries.values().cloned().collect(),
        )),
        Value::Object(entries) => Ok(Value::tuple(entries.values().cloned().collect())),
        _ => Err(FunctionError::at(
            0,
            "values() requires a map as the first argument",
        )),
    }
}

fn zipmap(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let keys = arguments.elements(0)?;
    let given = arguments.value(1)?;
    let (Value::List(_, values) | Value::Tuple(values)) = given else {
        return Err(FunctionError::at(
            1,
            "values argument must be a list or tuple value",
        ));
    };
    if keys.len() != values.len() {
        return Err(FunctionError::new(format!(
            "number of keys ({}) does not match number of values ({})",
            keys.len(),
            values.len()
        )));
    }
    let mut zipped: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for (position, (key, value)) in keys.iter().zip(values.iter()).enumerate() {
        match key {
            Value::String(key) => zipped.insert(key.clone(), value.clone()),
            // No key of the result would be known.
            Value::Unknown(_) => return Ok(Value::Unknown(Type::Dynamic)),
            _ => {
                return Err(FunctionError::at(
                    0,
                    format!("keys list has null value at index {position}"),
                ));
            }
        };
    }
    Ok(match given {
        Value::List(element_type, _) => Value::map(element_type.clone(), zipped),
        _ => Value::object(zipped),
    })
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
keys({"b": 1, "a": "x", "B": null}) = ["B","a","b"]
keys({}) = []
keys("a") = error: invalid value for "inputMap" parameter: must have map or object type
lookup({"a": 1}, "a", 2) = 1
lookup({"a": 1}, "b", "x") = "x"
lookup({"a": 1}, "b", null) = error: invalid value for "default" parameter: argument must not be null
lookup({"a": 1}, "b") = error: not enough function arguments
lookup(["a"], "b", 1) = error: lookup() requires a map as the first argument
lookup({"1": "x"}, 1, "") = "x"
merge({"a": 1}, {"b": 2, "a": 3}) = {"a":3,"b":2}
merge({"a": 1}, null) = {"a":1}
merge() = ~ {}
merge({"a": 1}, ["x"]) = error: arguments must be maps or objects
merge({"a": {"x": 1}}, {"a": {"y": 2}}) = {"a":{"y":2}}
values({"b": 1, "a": "x"}) = ["x",1]
values({}) = []
values([1]) = error: values() requires a map as the first argument
zipmap(["b", "a"], [1, "x"]) = {"a":"x","b":1}
zipmap(["a", "a"], [1, 2]) = {"a":2}
zipmap([1], ["x"]) = {"1":"x"}
zipmap([], []) = {}
zipmap(["a"], []) = error: number of keys (1) does not match number of values (0)
zipmap([null], [1]) = error: keys list has null value at index 0
zipmap(["a"], "x") = error: values argument must be a list or tuple value
"#;
}
