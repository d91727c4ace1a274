//! How a function is declared, and how a call is checked against its declaration.
//!
//! A signature is the name, the parameters and the result type; what a function computes is in the
//! file of its category.

use super::{FunctionContext, FunctionError};
use crate::template::convert::convert;
use crate::template::value::{Number, Type, Value};
use std::sync::Arc;

/// The most elements a function gives back.
pub(super) const MAX_ELEMENTS: usize = 1_000_000;

/// The most bytes of text a function reads or gives back.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 20;

/// The most nested values that are looked at in the arguments of one call. Values share their
/// parts, so that a small template can hold a value that is endless when it is walked through.
const MAX_NESTED_VALUES: usize = 2_000_000;

/// The deepest nesting of an argument: what works on values calls itself for their parts.
const MAX_DEPTH: usize = 256;

/// What computes a function from checked arguments.
type Implementation = fn(&Arguments<'_>, &FunctionContext<'_>) -> Result<Value, FunctionError>;

/// The kinds of values that parameters take and functions give; a form of [`Type`] that constants can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Anything,
    Bool,
    Number,
    String,
    AnyList,
    AnySet,
    BoolList,
    NumberList,
    StringList,
    StringSet,
}

impl Kind {
    fn to_type(self) -> Type {
        match self {
            Kind::Anything => Type::Dynamic,
            Kind::Bool => Type::Bool,
            Kind::Number => Type::Number,
            Kind::String => Type::String,
            Kind::AnyList => Type::List(Box::new(Type::Dynamic)),
            Kind::AnySet => Type::Set(Box::new(Type::Dynamic)),
            Kind::BoolList => Type::List(Box::new(Type::Bool)),
            Kind::NumberList => Type::List(Box::new(Type::Number)),
            Kind::StringList => Type::List(Box::new(Type::String)),
            Kind::StringSet => Type::Set(Box::new(Type::String)),
        }
    }
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    name: &'static str,
    kind: Kind,
    allows_null: bool,
    allows_unknown: bool,
}

impl Parameter {
    /// A parameter that takes neither null nor, as long as the rest of the call is fine, unknown.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Parameter {
        Parameter {
            name,
            kind,
            allows_null: false,
            allows_unknown: false,
        }
    }

    /// Lets the function see null.
    pub(super) const fn or_null(mut self) -> Parameter {
        self.allows_null = true;
        self
    }

    /// Lets the function see what is unknown.
    pub(super) const fn or_unknown(mut self) -> Parameter {
        self.allows_unknown = true;
        self
    }
}

/// A function of the language.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) changes_each_run: bool,
    pub(super) gives_secret: bool,
    parameters: &'static [Parameter],
    variadic: Option<Parameter>,
    result: Kind,
    looks_inside: bool,
    implementation: Implementation,
}

impl Function {
    /// A function without parameters.
    pub(super) const fn new(
        name: &'static str,
        result: Kind,
        implementation: Implementation,
    ) -> Function {
        Function {
            name,
            changes_each_run: false,
            gives_secret: false,
            parameters: &[],
            variadic: None,
            result,
            looks_inside: false,
            implementation,
        }
    }

    /// Declares the parameters.
    pub(super) const fn parameters(mut self, parameters: &'static [Parameter]) -> Function {
        self.parameters = parameters;
        self
    }

    /// Declares what any number of further arguments are.
    pub(super) const fn variadic(mut self, parameter: Parameter) -> Function {
        self.variadic = Some(parameter);
        self
    }

    /// The result depends on what is inside of the arguments: it is unknown as long as anything in
    /// them is.
    pub(super) const fn looks_inside(mut self) -> Function {
        self.looks_inside = true;
        self
    }

    /// The result is another one in another run.
    pub(super) const fn changes_each_run(mut self) -> Function {
        self.changes_each_run = true;
        self
    }

    /// The result comes from a secret store, and no output may show it.
    pub(super) const fn gives_secret(mut self) -> Function {
        self.gives_secret = true;
        self
    }

    /// Checks and converts the arguments, then computes the result.
    pub(super) fn call(
        &self,
        given: &[Value],
        context: &FunctionContext<'_>,
    ) -> Result<Value, FunctionError> {
        self.check_count(given.len())?;
        let mut budget = MAX_NESTED_VALUES;
        let mut is_unknown = false;
        let mut converted = Vec::with_capacity(given.len());
        for (index, value) in given.iter().enumerate() {
            let Some(parameter) = self.parameters.get(index).or(self.variadic.as_ref()) else {
                continue;
            };
            // Conversion walks through the value, so its size comes first.
            let known_inside = is_known_inside(value, &mut budget, MAX_DEPTH).ok_or_else(|| {
                FunctionError::at(
                    index,
                    format!(
                        "the value of {:?} is too large or too deeply nested",
                        parameter.name
                    ),
                )
            })?;
            let value = convert(value, &parameter.kind.to_type()).map_err(|error| {
                FunctionError::at(index, about_parameter(parameter, &error.to_string()))
            })?;
            if value.is_null() && !parameter.allows_null {
                return Err(FunctionError::at(
                    index,
                    about_parameter(parameter, "argument must not be null"),
                ));
            }
            is_unknown |= if self.looks_inside {
                !known_inside
            } else {
                value.is_unknown() && !parameter.allows_unknown
            };
            converted.push(value);
        }
        if is_unknown {
            return Ok(Value::Unknown(self.result.to_type()));
        }
        let arguments = Arguments { values: &converted };
        (self.implementation)(&arguments, context).map_err(|error| self.name_the_parameter(error))
    }

    fn check_count(&self, given: usize) -> Result<(), FunctionError> {
        let wanted = self.parameters.len();
        let arguments = if wanted == 1 { "argument" } else { "arguments" };
        if let Some(missing) = self.parameters.get(given) {
            let least = if self.variadic.is_some() {
                " at least"
            } else {
                ""
            };
            return Err(FunctionError::new(format!(
                "not enough function arguments: {:?} expects{least} {wanted} {arguments}, the one for {:?} is missing",
                self.name, missing.name
            )));
        }
        if given > wanted && self.variadic.is_none() {
            let expects = if wanted == 0 {
                "expects no arguments".to_owned()
            } else {
                format!("expects only {wanted} {arguments}")
            };
            return Err(FunctionError::new(format!(
                "too many function arguments: {:?} {expects}",
                self.name
            )));
        }
        Ok(())
    }

    fn name_the_parameter(&self, error: FunctionError) -> FunctionError {
        let parameter = error
            .argument
            .and_then(|index| self.parameters.get(index).or(self.variadic.as_ref()));
        match parameter {
            Some(parameter) => FunctionError {
                message: about_parameter(parameter, &error.message),
                ..error
            },
            None => error,
        }
    }
}

fn about_parameter(parameter: &Parameter, what: &str) -> String {
    format!("invalid value for {:?} parameter: {what}", parameter.name)
}

/// Whether a value is known to its last part; nothing if it has more parts, or is deeper, than
/// allowed.
fn is_known_inside(value: &Value, budget: &mut usize, depth: usize) -> Option<bool> {
    *budget = budget.checked_sub(1)?;
    let depth = depth.checked_sub(1)?;
    let mut known = !value.is_unknown();
    if let Some(elements) = value.as_elements() {
        for element in elements.iter() {
            known &= is_known_inside(element, budget, depth)?;
        }
    }
    if let Some(entries) = value.as_entries() {
        for entry in entries.values() {
            known &= is_known_inside(entry, budget, depth)?;
        }
    }
    Some(known)
}

/// Arguments that have been counted and converted.
pub(super) struct Arguments<'a> {
    values: &'a [Value],
}

impl<'a> Arguments<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The arguments from `index` on.
    pub(super) fn from(&self, index: usize) -> &'a [Value] {
        self.values.get(index..).unwrap_or_default()
    }

    /// An argument as it is.
    pub(super) fn value(&self, index: usize) -> Result<&'a Value, FunctionError> {
        self.values
            .get(index)
            .ok_or_else(|| FunctionError::at(index, "is missing"))
    }

    /// A string.
    pub(super) fn string(&self, index: usize) -> Result<&'a str, FunctionError> {
        self.value(index)?
            .as_str()
            .ok_or_else(|| FunctionError::at(index, "a string is required"))
    }

    /// A number.
    pub(super) fn number(&self, index: usize) -> Result<&'a Number, FunctionError> {
        match self.value(index)? {
            Value::Number(number) => Ok(number),
            _ => Err(FunctionError::at(index, "a number is required")),
        }
    }

    /// A number without a fraction.
    pub(super) fn whole_number(&self, index: usize) -> Result<i64, FunctionError> {
        self.number(index)?.to_i64().ok_or_else(|| {
            FunctionError::at(
                index,
                format!(
                    "value must be a whole number, between {} and {}",
                    i64::MIN,
                    i64::MAX
                ),
            )
        })
    }

    /// The elements of a list, a set or a tuple.
    pub(super) fn elements(&self, index: usize) -> Result<&'a Arc<Vec<Value>>, FunctionError> {
        let value = self.value(index)?;
        value.as_elements().ok_or_else(|| {
            FunctionError::at(
                index,
                format!(
                    "a list, a set or a tuple is required, not {}",
                    value.type_name()
                ),
            )
        })
    }
}

/// Refuses to make a text longer than [`MAX_TEXT_BYTES`].
pub(super) fn check_text_size(bytes: Option<usize>) -> Result<(), FunctionError> {
    match bytes {
        Some(bytes) if bytes <= MAX_TEXT_BYTES => Ok(()),
        _ => Err(FunctionError::new(format!(
            "the result would be longer than {} MiB",
            MAX_TEXT_BYTES >> 20
        ))),
    }
}

/// Refuses to make a collection of more than [`MAX_ELEMENTS`].
pub(super) fn check_element_count(elements: Option<usize>) -> Result<(), FunctionError> {
    match elements {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
        _ => Err(FunctionError::new(format!(
            "the result would have more than {MAX_ELEMENTS} elements"
        ))),
    }
}
