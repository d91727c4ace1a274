//! Values of Go templates.

use std::collections::BTreeMap;
use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// What `.` is at the beginning.
    Map(BTreeMap<String, String>),
}

impl Value {
    /// Whether a condition holds: it is not empty.
    pub(super) fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(bool) => *bool,
            Value::Integer(integer) => *integer != 0,
            Value::Float(float) => *float != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        }
    }

    /// What it is, in words.
    pub(super) fn described(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a bool",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Map(_) => "the data",
        }
    }
}

/// As Go prints it.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => formatter.write_str("<no value>"),
            Value::Bool(bool) => write!(formatter, "{bool}"),
            Value::Integer(integer) => write!(formatter, "{integer}"),
            Value::Float(float) => formatter.write_str(&go_float(*float)),
            Value::Text(text) => formatter.write_str(text),
            Value::Map(entries) => {
                formatter.write_str("map[")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    let blank = if index == 0 { "" } else { " " };
                    write!(formatter, "{blank}{name}:{value}")?;
                }
                formatter.write_str("]")
            }
        }
    }
}

/// Go's `%v`: the shortest digits, with an exponent below -4 and from 21 on.
fn go_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}
