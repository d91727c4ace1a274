//! Values as Rust types: what components ask their arguments for.

use super::convert;
use super::duration;
use super::value::{Type, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A Rust type that a value of the language can be taken as.
pub trait FromValue: Sized {
    /// Takes a known value that is not null, by the language's conversions. The error is a
    /// sentence without a full stop: what is required.
    fn from_value(value: &Value) -> Result<Self, String>;

    /// What null means; by default it is refused.
    fn from_null() -> Result<Self, String> {
        Err("a value is required, not null".to_owned())
    }

    /// What a value that is not known yet means; by default it is refused.
    fn from_unknown(_: &Type) -> Result<Self, String> {
        Err("this value is only known while the build runs".to_owned())
    }
}

/// Takes any value: null and unknown values as the type itself says.
pub(super) fn from_any_value<T: FromValue>(value: &Value) -> Result<T, String> {
    match value {
        Value::Null(_) => T::from_null(),
        Value::Unknown(unknown) => T::from_unknown(unknown),
        known => T::from_value(known),
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<String, String> {
        convert::to_string(value).map(|text| text.to_string()).map_err(|error| error.to_string())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<bool, String> {
        convert::to_bool(value).map_err(|error| error.to_string())
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<i64, String> {
        let number = convert::to_number(value).map_err(|error| error.to_string())?;
        number.to_i64().ok_or_else(|| "a whole number is required".to_owned())
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Result<u64, String> {
        let number = convert::to_number(value).map_err(|error| error.to_string())?;
        number.to_u64().ok_or_else(|| "a whole number that is not negative is required".to_owned())
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<u32, String> {
        u32::try_from(u64::from_value(value)?).map_err(|_| "this number is too large".to_owned())
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<f64, String> {
        let number = convert::to_number(value).map_err(|error| error.to_string())?;
        Ok(number.to_f64())
    }
}

/// A duration as Go writes it.
impl FromValue for Duration {
    fn from_value(value: &Value) -> Result<Duration, String> {
        match value {
            Value::String(text) => duration::parse(text).map_err(|error| error.to_string()),
            _ => Err("a duration is required, like \"90s\" or \"5m\"".to_owned()),
        }
    }
}

/// Null is none.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Option<T>, String> {
        T::from_value(value).map(Some)
    }

    fn from_null() -> Result<Option<T>, String> {
        Ok(None)
    }
}

/// Of a list, a tuple or a set.
impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Vec<T>, String> {
        let elements = value.as_elements().ok_or("a list is required")?;
        let decoded = elements.iter().enumerate().map(|(index, element)| {
            from_any_value(element).map_err(|error| format!("element {index}: {error}"))
        });
        decoded.collect()
    }
}

/// Of a map or an object.
impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn from_value(value: &Value) -> Result<BTreeMap<String, T>, String> {
        let entries = value.as_entries().ok_or("a map is required")?;
        let decoded = entries.iter().map(|(key, element)| {
            let decoded = from_any_value(element);
            decoded
                .map(|decoded| (key.to_string(), decoded))
                .map_err(|error| format!("element {key:?}: {error}"))
        });
        decoded.collect()
    }
}

/// Anything, also what is unknown.
impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Value, String> {
        Ok(value.clone())
    }

    fn from_null() -> Result<Value, String> {
        Ok(Value::NULL)
    }

    fn from_unknown(unknown: &Type) -> Result<Value, String> {
        Ok(Value::Unknown(unknown.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::value::Number;

    #[test]
    fn conversions_are_those_of_the_language() {
        let one = Value::Number(Number::from(1));
        assert_eq!(from_any_value(&one), Ok("1".to_owned()));
        assert_eq!(from_any_value(&Value::string("7")), Ok(7u32));
        assert_eq!(from_any_value(&Value::string("true")), Ok(true));
        assert_eq!(from_any_value(&Value::string("5m")), Ok(Duration::from_secs(300)));
        let mixed = Value::tuple(vec![one, Value::Bool(true), Value::string("a")]);
        let expected = ["1", "true", "a"].map(str::to_owned).to_vec();
        assert_eq!(from_any_value(&mixed), Ok(expected));
    }

    #[test]
    fn errors_name_the_element() {
        let list = Value::tuple(vec![Value::string("1"), Value::string("x")]);
        assert_eq!(
            from_any_value::<Vec<u64>>(&list),
            Err("element 1: a number is required".to_owned())
        );
        let list = Value::tuple(vec![Value::NULL]);
        assert_eq!(from_any_value::<Vec<Option<u64>>>(&list), Ok(vec![None]));
        assert!(from_any_value::<Vec<u64>>(&list).is_err());
    }
}
