//! Type constraints: what `type = …` of a variable asks of its value.

use super::convert::{ConvertError, convert};
use super::evaluate::Evaluated;
use super::syntax::{Call, Expression, ExpressionKind, ObjectKey, UnaryOperator};
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, SourceSpan, did_you_mean};
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
    pub(super) fn parse(expression: &Expression) -> Result<TypeConstraint, Diagnostic> {
        let place = expression.span;
        match &expression.kind {
            ExpressionKind::Parenthesis(inner) => TypeConstraint::parse(inner),
            ExpressionKind::JsonString(string) => {
                TypeConstraint::parse(&string.as_expression()?)
            }
            ExpressionKind::Variable(name) => match &**name {
                "any" => Ok(TypeConstraint::Any),
                "bool" => Ok(TypeConstraint::Bool),
                "number" => Ok(TypeConstraint::Number),
                "string" => Ok(TypeConstraint::String),
                name if CONSTRUCTORS.contains(&name) => {
                    Err(Diagnostic::error(format!("the type `{name}` needs an argument"))
                        .at(place)
                        .help(format!("for example `{}`", example(name))))
                }
                name => Err(Diagnostic::error(format!("there is no type `{name}`"))
                    .at(place)
                    .help_maybe(did_you_mean(name, PRIMITIVES.into_iter().chain(CONSTRUCTORS)))),
            },
            ExpressionKind::Call(call) => TypeConstraint::parse_call(call, place),
            ExpressionKind::Text(text) => Err(Diagnostic::error("a type is written without quotes")
                .at(place)
                .help(format!("write `{text}`"))),
            _ => Err(Diagnostic::error("this is no type")
                .at(place)
                .help("types are string, number, bool, any, list(…), set(…), map(…), object({…}) and tuple([…])")),
        }
    }

    fn parse_call(call: &Call, place: SourceSpan) -> Result<TypeConstraint, Diagnostic> {
        let name = &*call.name.text;
        if name == "optional" {
            return Err(
                Diagnostic::error("optional(…) is only for attributes of an object").at(place),
            );
        }
        if !CONSTRUCTORS.contains(&name) {
            let known = PRIMITIVES.into_iter().chain(CONSTRUCTORS);
            return Err(Diagnostic::error(format!("there is no type `{name}(…)`"))
                .at(place)
                .help_maybe(did_you_mean(name, known)));
        }
        let malformed = || {
            Diagnostic::error(format!("the type `{name}` needs exactly one argument"))
                .at(place)
                .help(format!("for example `{}`", example(name)))
        };
        let [argument] = call.arguments.as_slice() else {
            return Err(malformed());
        };
        let element = || TypeConstraint::parse(argument).map(Box::new);
        match (name, &argument.kind) {
            ("list", _) => Ok(TypeConstraint::List(element()?)),
            ("set", _) => Ok(TypeConstraint::Set(element()?)),
            ("map", _) => Ok(TypeConstraint::Map(element()?)),
            ("tuple", ExpressionKind::Tuple(elements)) => {
                let elements = elements.iter().map(TypeConstraint::parse);
                Ok(TypeConstraint::Tuple(elements.collect::<Result<_, _>>()?))
            }
            ("object", ExpressionKind::Object(items)) => {
                let mut constraints = BTreeMap::new();
                for item in items {
                    let name = item.key.name()?;
                    constraints.insert(name, AttributeConstraint::parse(&item.value)?);
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
                let elements = value
                    .as_elements()
                    .map_or(&[][..], |elements| elements.as_slice());
                Value::tuple(
                    elements
                        .iter()
                        .map(|value| element.fill_in(value))
                        .collect(),
                )
            }
            (TypeConstraint::Map(element), Value::Map(_, entries) | Value::Object(entries))
                if element.has_optional() =>
            {
                let filled = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), element.fill_in(value)));
                Value::object(filled)
            }
            (TypeConstraint::Tuple(constraints), Value::Tuple(elements))
                if self.has_optional() && constraints.len() == elements.len() =>
            {
                let pairs = constraints.iter().zip(elements.iter());
                Value::tuple(
                    pairs
                        .map(|(constraint, value)| constraint.fill_in(value))
                        .collect(),
                )
            }
            (
                TypeConstraint::Object(attributes),
                Value::Map(_, entries) | Value::Object(entries),
            ) if self.has_optional() => {
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
    fn parse(expression: &Expression) -> Result<AttributeConstraint, Diagnostic> {
        let call = match &expression.kind {
            ExpressionKind::Call(call) if &*call.name.text == "optional" => call,
            _ => {
                return Ok(AttributeConstraint {
                    constraint: TypeConstraint::parse(expression)?,
                    default: None,
                });
            }
        };
        let (inner, default) = match call.arguments.as_slice() {
            [inner] => (inner, None),
            [inner, default] => (inner, Some(default)),
            _ => {
                return Err(
                    Diagnostic::error("optional(…) takes a type and perhaps a default")
                        .at(expression.span),
                );
            }
        };
        let constraint = TypeConstraint::parse(inner)?;
        let default = match default {
            None => Value::Null(constraint.type_of()),
            Some(default) => constraint.apply(&constant(default)?).map_err(|error| {
                Diagnostic::error(format!("the default does not fit the type: {error}"))
                    .at(default.span)
            })?,
        };
        Ok(AttributeConstraint {
            constraint,
            default: Some(default),
        })
    }
}

impl ObjectKey {
    /// The key where no expression is evaluated.
    fn name(&self) -> Result<Arc<str>, Diagnostic> {
        let expression = match self {
            ObjectKey::Name(name) => return Ok(name.text.clone()),
            ObjectKey::Expression(expression) => expression,
        };
        match &expression.kind {
            ExpressionKind::Text(name) => Ok(name.clone()),
            _ => Err(Diagnostic::error("this is no attribute name").at(expression.span)),
        }
    }
}

/// The value of a default inside a type: literals only.
fn constant(expression: &Expression) -> Evaluated {
    match &expression.kind {
        ExpressionKind::Null => Ok(Value::NULL),
        ExpressionKind::Bool(bool) => Ok(Value::Bool(*bool)),
        ExpressionKind::Text(text) => Ok(Value::string(text)),
        ExpressionKind::Number(number) => Ok(Value::Number(number.clone())),
        ExpressionKind::Parenthesis(inner) => constant(inner),
        ExpressionKind::Unary(UnaryOperator::Negate, operand) => match constant(operand)? {
            Value::Number(number) => Ok(Value::Number(number.negate())),
            _ => Err(no_constant(expression)),
        },
        ExpressionKind::Tuple(elements) => {
            let elements = elements.iter().map(constant);
            Ok(Value::tuple(elements.collect::<Result<_, _>>()?))
        }
        ExpressionKind::Object(items) => {
            let mut constants = BTreeMap::new();
            for item in items {
                constants.insert(item.key.name()?, constant(&item.value)?);
            }
            Ok(Value::Object(Arc::new(constants)))
        }
        _ => Err(no_constant(expression)),
    }
}

fn no_constant(expression: &Expression) -> Diagnostic {
    Diagnostic::error("the default of an attribute must be a constant").at(expression.span)
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
