//! Type constraints: what `type = …` of a variable asks of its value.

use super::convert::{ConvertError, convert};
use super::evaluate::Evaluated;
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, FileId, SourceSpan, did_you_mean};
use hcl::edit::Span;
use hcl::edit::expr::{Expression, FuncCall, ObjectKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A type in which attributes of objects may be optional.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeConstraint {
    /// `any`
    Any,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(T)`
    List(Box<TypeConstraint>),
    /// `set(T)`
    Set(Box<TypeConstraint>),
    /// `map(T)`
    Map(Box<TypeConstraint>),
    /// `tuple([T, …])`
    Tuple(Vec<TypeConstraint>),
    /// `object({…})`
    Object(BTreeMap<Arc<str>, AttributeConstraint>),
}

/// What is asked of an attribute of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeConstraint {
    /// Its type.
    pub constraint: TypeConstraint,
    /// The value it has if it is not given; `None` if it must be given.
    pub default: Option<Value>,
}

const PRIMITIVES: [&str; 4] = ["any", "bool", "number", "string"];
const CONSTRUCTORS: [&str; 5] = ["list", "set", "map", "tuple", "object"];

impl TypeConstraint {
    /// Reads a type expression.
    pub(super) fn parse(
        file: FileId,
        expression: &Expression,
    ) -> Result<TypeConstraint, Diagnostic> {
        let span = || SourceSpan::new(file, expression.span().unwrap_or(0..0));
        match expression {
            Expression::Parenthesis(inner) => TypeConstraint::parse(file, inner.inner()),
            Expression::Variable(name) => match name.as_str() {
                "any" => Ok(TypeConstraint::Any),
                "bool" => Ok(TypeConstraint::Bool),
                "number" => Ok(TypeConstraint::Number),
                "string" => Ok(TypeConstraint::String),
                name if CONSTRUCTORS.contains(&name) => {
                    Err(Diagnostic::error(format!("the type `{name}` needs an argument"))
                        .at(span())
                        .help(format!("for example `{}`", example(name))))
                }
                name => Err(Diagnostic::error(format!("there is no type `{name}`"))
                    .at(span())
                    .help_maybe(did_you_mean(name, PRIMITIVES.into_iter().chain(CONSTRUCTORS)))),
            },
            Expression::FuncCall(call) => TypeConstraint::parse_call(file, call, span()),
            Expression::String(text) => Err(Diagnostic::error("a type is written without quotes")
                .at(span())
                .help(format!("write `{}`", text.value()))),
            _ => Err(Diagnostic::error("this is no type")
                .at(span())
                .help("types are string, number, bool, any, list(…), set(…), map(…), object({…}) and tuple([…])")),
        }
    }

    fn parse_call(
        file: FileId,
        call: &FuncCall,
        span: SourceSpan,
    ) -> Result<TypeConstraint, Diagnostic> {
        let name = call.name.name.as_str();
        if name == "optional" {
            return Err(Diagnostic::error("optional(…) is only for attributes of an object")
                .at(span));
        }
        if !CONSTRUCTORS.contains(&name) {
            let known = PRIMITIVES.into_iter().chain(CONSTRUCTORS);
            return Err(Diagnostic::error(format!("there is no type `{name}(…)`"))
                .at(span)
                .help_maybe(did_you_mean(name, known)));
        }
        let malformed = || {
            Diagnostic::error(format!("the type `{name}` needs exactly one argument"))
                .at(span)
                .help(format!("for example `{}`", example(name)))
        };
        let (1, Some(argument)) = (call.args.len(), call.args.get(0)) else {
            return Err(malformed());
        };
        let element = || TypeConstraint::parse(file, argument).map(Box::new);
        match (name, argument) {
            ("list", _) => Ok(TypeConstraint::List(element()?)),
            ("set", _) => Ok(TypeConstraint::Set(element()?)),
            ("map", _) => Ok(TypeConstraint::Map(element()?)),
            ("tuple", Expression::Array(elements)) => {
                let elements = elements.iter().map(|one| TypeConstraint::parse(file, one));
                Ok(TypeConstraint::Tuple(elements.collect::<Result<_, _>>()?))
            }
            ("object", Expression::Object(attributes)) => {
                let mut constraints = BTreeMap::new();
                for (key, value) in attributes.iter() {
                    let name: Arc<str> = match key {
                        ObjectKey::Ident(name) => Arc::from(name.as_str()),
                        ObjectKey::Expression(Expression::Variable(name)) => {
                            Arc::from(name.as_str())
                        }
                        ObjectKey::Expression(Expression::String(name)) => {
                            Arc::from(name.value().as_str())
                        }
                        ObjectKey::Expression(other) => {
                            let span = SourceSpan::new(file, other.span().unwrap_or(0..0));
                            return Err(Diagnostic::error("this is no attribute name").at(span));
                        }
                    };
                    constraints.insert(name, AttributeConstraint::parse(file, value.expr())?);
                }
                Ok(TypeConstraint::Object(constraints))
            }
            _ => Err(malformed()),
        }
    }

    /// The type without the optional attributes' defaults.
    pub fn type_of(&self) -> Type {
        match self {
            TypeConstraint::Any => Type::Dynamic,
            TypeConstraint::Bool => Type::Bool,
            TypeConstraint::Number => Type::Number,
            TypeConstraint::String => Type::String,
            TypeConstraint::List(element) => Type::List(Box::new(element.type_of())),
            TypeConstraint::Set(element) => Type::Set(Box::new(element.type_of())),
            TypeConstraint::Map(element) => Type::Map(Box::new(element.type_of())),
            TypeConstraint::Tuple(elements) => {
                Type::Tuple(elements.iter().map(TypeConstraint::type_of).collect())
            }
            TypeConstraint::Object(attributes) => Type::Object(
                attributes
                    .iter()
                    .map(|(name, attribute)| (name.clone(), attribute.constraint.type_of()))
                    .collect(),
            ),
        }
    }

    /// Fills in what is optional and not given, and converts the value.
    pub fn apply(&self, value: &Value) -> Result<Value, ConvertError> {
        convert(&self.fill_in(value), &self.type_of())
    }

    fn fill_in(&self, value: &Value) -> Value {
        match (self, value) {
            (
                TypeConstraint::List(element) | TypeConstraint::Set(element),
                Value::List(..) | Value::Set(..) | Value::Tuple(_),
            ) if element.has_optional() => {
                let elements = value.as_elements().map_or(&[][..], |elements| elements.as_slice());
                Value::tuple(elements.iter().map(|value| element.fill_in(value)).collect())
            }
            (TypeConstraint::Map(element), Value::Map(_, entries) | Value::Object(entries))
                if element.has_optional() =>
            {
                let filled = entries.iter().map(|(key, value)| (key.clone(), element.fill_in(value)));
                Value::object(filled)
            }
            (TypeConstraint::Tuple(constraints), Value::Tuple(elements))
                if self.has_optional() && constraints.len() == elements.len() =>
            {
                let pairs = constraints.iter().zip(elements.iter());
                Value::tuple(pairs.map(|(constraint, value)| constraint.fill_in(value)).collect())
            }
            (TypeConstraint::Object(attributes), Value::Map(_, entries) | Value::Object(entries))
                if self.has_optional() =>
            {
                let mut filled = BTreeMap::clone(entries);
                for (name, attribute) in attributes {
                    let given = filled.get(name).filter(|value| {
                        // A default also replaces null.
                        !value.is_null() || attribute.default.is_none()
                    });
                    let value = given.or(attribute.default.as_ref()).cloned();
                    if let Some(value) = value {
                        filled.insert(name.clone(), attribute.constraint.fill_in(&value));
                    }
                }
                Value::Object(Arc::new(filled))
            }
            _ => value.clone(),
        }
    }

    fn has_optional(&self) -> bool {
        match self {
            TypeConstraint::Any
            | TypeConstraint::Bool
            | TypeConstraint::Number
            | TypeConstraint::String => false,
            TypeConstraint::List(element)
            | TypeConstraint::Set(element)
            | TypeConstraint::Map(element) => element.has_optional(),
            TypeConstraint::Tuple(elements) => elements.iter().any(TypeConstraint::has_optional),
            TypeConstraint::Object(attributes) => attributes.values().any(|attribute| {
                attribute.default.is_some() || attribute.constraint.has_optional()
            }),
        }
    }
}

impl AttributeConstraint {
    /// Reads a type, or `optional(type)`, or `optional(type, default)`.
    fn parse(file: FileId, expression: &Expression) -> Result<AttributeConstraint, Diagnostic> {
        let call = match expression {
            Expression::FuncCall(call) if call.name.name.as_str() == "optional" => call,
            other => {
                let constraint = TypeConstraint::parse(file, other)?;
                return Ok(AttributeConstraint { constraint, default: None });
            }
        };
        let (Some(inner), 1 | 2) = (call.args.get(0), call.args.len()) else {
            let span = SourceSpan::new(file, expression.span().unwrap_or(0..0));
            return Err(Diagnostic::error("optional(…) takes a type and perhaps a default").at(span));
        };
        let constraint = TypeConstraint::parse(file, inner)?;
        let default = match call.args.get(1) {
            None => Value::Null(constraint.type_of()),
            Some(default) => {
                let value = constant(file, default)?;
                constraint.apply(&value).map_err(|error| {
                    let span = SourceSpan::new(file, default.span().unwrap_or(0..0));
                    Diagnostic::error(format!("the default does not fit the type: {error}")).at(span)
                })?
            }
        };
        Ok(AttributeConstraint { constraint, default: Some(default) })
    }
}

/// The value of a default inside a type: literals only.
fn constant(file: FileId, expression: &Expression) -> Evaluated {
    let literal = match expression {
        Expression::Null(_) => Some(Value::NULL),
        Expression::Bool(bool) => Some(Value::Bool(*bool.value())),
        Expression::String(text) => Some(Value::string(text.value())),
        Expression::Number(number) => {
            super::value::Number::parse(&number.value().to_string()).map(Value::Number)
        }
        Expression::Array(elements) => {
            let elements = elements.iter().map(|element| constant(file, element));
            Some(Value::tuple(elements.collect::<Result<_, _>>()?))
        }
        Expression::Object(attributes) => {
            let mut constants = BTreeMap::<Arc<str>, Value>::new();
            for (key, value) in attributes.iter() {
                let name = match key {
                    ObjectKey::Ident(name) => name.as_str(),
                    ObjectKey::Expression(Expression::String(name)) => name.value(),
                    ObjectKey::Expression(_) => return Err(no_constant(file, expression)),
                };
                constants.insert(Arc::from(name), constant(file, value.expr())?);
            }
            Some(Value::Object(Arc::new(constants)))
        }
        _ => None,
    };
    literal.ok_or_else(|| no_constant(file, expression))
}

fn no_constant(file: FileId, expression: &Expression) -> Diagnostic {
    let span = SourceSpan::new(file, expression.span().unwrap_or(0..0));
    Diagnostic::error("the default of an attribute must be a constant").at(span)
}

fn example(constructor: &str) -> &'static str {
    match constructor {
        "tuple" => "tuple([string, number])",
        "object" => "object({ name = string })",
        "set" => "set(string)",
        "map" => "map(string)",
        _ => "list(string)",
    }
}
