//! The functions that ask services: Vault, Consul and AWS Secrets Manager.
//!
//! They say what is asked and what is made of the answer; how a service is reached is the business
//! of the run's [`Services`](crate::template::services::Services).

use super::json_text;
use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError};
use crate::template::services::Services;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("aws_secretsmanager", Kind::String, aws_secretsmanager)
        .parameters(&[Parameter::new("name", Kind::String)])
        .variadic(Parameter::new("key", Kind::String).or_null())
        .gives_secret(),
    Function::new(
        "aws_secretsmanager_raw",
        Kind::String,
        aws_secretsmanager_raw,
    )
    .parameters(&[Parameter::new("name", Kind::String)])
    .gives_secret(),
    Function::new("consul_key", Kind::String, consul_key)
        .parameters(&[Parameter::new("key", Kind::String)]),
    Function::new("vault", Kind::String, vault)
        .parameters(&[
            Parameter::new("path", Kind::String),
            Parameter::new("key", Kind::String),
        ])
        .gives_secret(),
];

fn vault(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let text = services(context)?.vault(arguments.string(0)?, arguments.string(1)?)?;
    Ok(Value::string(text))
}

fn consul_key(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let text = services(context)?.consul_key(arguments.string(0)?)?;
    Ok(Value::string(text))
}

fn aws_secretsmanager_raw(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    Ok(Value::string(aws_secret(arguments, context)?))
}

/// A secret that is JSON gives the value of a key; without a key it must have only one.
fn aws_secretsmanager(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let key = match arguments.from(1) {
        [] => None,
        [key] => key.as_str().filter(|key| !key.is_empty()),
        _ => {
            return Err(FunctionError::at(
                2,
                "only the name of a secret and one key can be given",
            ));
        }
    };
    let text = aws_secret(arguments, context)?;
    let Ok(content) = json_text::decode(&text) else {
        return Ok(Value::string(text));
    };
    let name = arguments.string(0)?;
    let Some(entries) = content.as_entries() else {
        return Err(FunctionError::at(
            0,
            format!(
                "the secret {name:?} is JSON without keys: {}; aws_secretsmanager_raw gives it as it is",
                content.described()
            ),
        ));
    };
    let value = match key {
        Some(key) => entries
            .get(key)
            .ok_or_else(|| FunctionError::at(1, format!("the secret {name:?} has no key {key:?}"))),
        None if entries.len() > 1 => Err(FunctionError::at(
            0,
            format!(
                "the secret {name:?} has several keys, name the one to take as second argument"
            ),
        )),
        None => (entries.values().next())
            .ok_or_else(|| FunctionError::at(0, format!("the secret {name:?} has no keys"))),
    }?;
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(number) => Ok(Value::string(number.to_string())),
        other => Err(FunctionError::at(
            0,
            format!(
                "the value in the secret {name:?} is {}, not a string or number",
                other.described()
            ),
        )),
    }
}

fn aws_secret(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<String, FunctionError> {
    let name = arguments.string(0)?;
    if name.is_empty() {
        return Err(FunctionError::at(0, "the name of a secret is required"));
    }
    Ok(services(context)?.aws_secret(name)?)
}

fn services<'a>(context: &FunctionContext<'a>) -> Result<&'a dyn Services, FunctionError> {
    context
        .services
        .ok_or_else(|| FunctionError::new("services cannot be asked here"))
}

#[cfg(test)]
pub(super) mod tests {
    /// The fake Secrets Manager gives the name of a secret as its text.
    pub(in super::super) const CASES: &str = r#"
vault("secret/data/app", "password") = "vault secret/data/app password"
vault("sealed", "password") = error: sealed
vault("secret", null) = error: must not be null
consul_key("app/version") = "consul app/version"
aws_secretsmanager_raw("{\"a\":\"b\"}") = "{\"a\":\"b\"}"
aws_secretsmanager_raw("") = error: the name of a secret is required
aws_secretsmanager("plain") = "plain"
aws_secretsmanager("plain", "ignored") = "plain"
aws_secretsmanager("{\"a\":\"b\"}") = "b"
aws_secretsmanager("{\"a\":\"b\"}", null) = "b"
aws_secretsmanager("{\"a\":\"b\"}", "") = "b"
aws_secretsmanager("{\"a\":\"b\"}", "c") = error: has no key "c"
aws_secretsmanager("{\"a\":\"b\",\"c\":\"d\"}", "c") = "d"
aws_secretsmanager("{\"a\":\"b\",\"c\":\"d\"}") = error: has several keys
aws_secretsmanager("{\"a\":\"b\"}", "a", "x") = error: only the name of a secret and one key
aws_secretsmanager("{\"a\":5432}") = "5432"
aws_secretsmanager("{\"a\":5.5}") = "5.5"
aws_secretsmanager("{\"a\":12345678901234567890}") = "12345678901234567890"
aws_secretsmanager("{\"a\":true}") = error: is a bool, not a string or number
aws_secretsmanager("{}") = error: has no keys
aws_secretsmanager("[1]") = error: is JSON without keys
aws_secretsmanager("12") = error: is JSON without keys
aws_secretsmanager("") = error: the name of a secret is required
"#;
}
