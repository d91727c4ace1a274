//! Values as JSON text, in the form of cty: no spaces, sorted names, exact numbers, and `<`, `>`
//! and `&` escaped so that the text may stand in HTML.

use super::FunctionError;
use super::signature::check_text_size;
use crate::template::value::{Number, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// The JSON text of a value that is wholly known.
pub(super) fn encode(value: &Value) -> Result<String, FunctionError> {
    let mut text = String::new();
    write_value(value, &mut text)?;
    check_text_size(Some(text.len()))?;
    Ok(text)
}

fn write_value(value: &Value, text: &mut String) -> Result<(), FunctionError> {
    check_text_size(Some(text.len()))?;
    match value {
        Value::Null(_) => text.push_str("null"),
        Value::Bool(bool) => text.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) if number.decimal().is_none() => {
            return Err(FunctionError::at(0, "JSON has no infinite numbers"));
        }
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => write_string(string, text),
        Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(element, text)?;
            }
            text.push(']');
        }
        Value::Map(_, entries) | Value::Object(entries) => {
            text.push('{');
            for (index, (name, entry)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write_value(entry, text)?;
            }
            text.push('}');
        }
        Value::Unknown(_) => return Err(FunctionError::new("value is not known")),
    }
    Ok(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for letter in string.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}

/// Reads JSON: arrays become tuples, objects become objects, numbers stay exact.
///
/// # Errors
/// Text that is not JSON, with its line and column; nesting beyond 128; a number out of range; an
/// object that has a name twice with values of different types (of the same type the last wins).
pub(super) fn decode(text: &str) -> Result<Value, FunctionError> {
    let whole: &RawValue = serde_json::from_str(text).map_err(not_json)?;
    decode_value(whole.get(), 0)
}

fn decode_value(text: &str, depth: usize) -> Result<Value, FunctionError> {
    if depth > MAX_DEPTH {
        return Err(FunctionError::new(format!(
            "the JSON is nested more than {MAX_DEPTH} levels deep"
        )));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text).map_err(not_json)?;
            let mut attributes: BTreeMap<Arc<str>, Value> = BTreeMap::new();
            for (name, member) in members.0 {
                let value = decode_value(member.get(), depth + 1)?;
                let Value::String(name) = Value::string(name) else {
                    continue;
                };
                if let Some(earlier) = attributes.get(&name)
                    && earlier.type_of() != value.type_of()
                {
                    return Err(FunctionError::new(format!(
                        "duplicate {name:?} property in JSON object"
                    )));
                }
                attributes.insert(name, value);
            }
            Ok(Value::object(attributes))
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
            let decoded = elements
                .iter()
                .map(|element| decode_value(element.get(), depth + 1));
            Ok(Value::tuple(decoded.collect::<Result<_, _>>()?))
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(text).map_err(not_json)?;
            Ok(Value::string(string))
        }
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'n') => Ok(Value::NULL),
        _ => Number::parse(text).map(Value::Number).ok_or_else(|| {
            FunctionError::new(format!("the number {text} in the JSON is too large"))
        }),
    }
}

fn not_json(error: serde_json::Error) -> FunctionError {
    FunctionError::new(format!("not valid JSON: {error}"))
}

/// The members of a JSON object in their order, with repetitions.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
