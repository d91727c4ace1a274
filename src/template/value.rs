//! Values and types of the template language, as HashiCorp's cty defines them.
//!
//! Conversion between types is [`convert`](super::convert)'s.

pub use super::number::Number;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// Not known yet, or anything (`any` in a type constraint).
    Dynamic,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(T)`
    List(Box<Type>),
    /// `set(T)`
    Set(Box<Type>),
    /// `map(T)`
    Map(Box<Type>),
    /// `tuple([T, …])`
    Tuple(Vec<Type>),
    /// `object({…})`
    Object(BTreeMap<Arc<str>, Type>),
}

/// A value. Collections share their content, so that a clone is cheap.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The absence of a value of some type.
    Null(Type),
    /// A value that is only known later.
    Unknown(Type),
    /// true or false
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, in Unicode normalisation form C.
    String(Arc<str>),
    /// Elements of one type, in order.
    List(Type, Arc<Vec<Value>>),
    /// Distinct elements of one type, in cty's order.
    Set(Type, Arc<Vec<Value>>),
    /// Values of one type by key, in the order of the keys' bytes.
    Map(Type, Arc<BTreeMap<Arc<str>, Value>>),
    /// Elements of any type, in order.
    Tuple(Arc<Vec<Value>>),
    /// Values of any type by attribute name.
    Object(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Type {
    /// Whether this is bool, number or string.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }

    /// Whether some part of the type is not fixed.
    pub fn has_dynamic(&self) -> bool {
        match self {
            Type::Dynamic => true,
            Type::Bool | Type::Number | Type::String => false,
            Type::List(element) | Type::Set(element) | Type::Map(element) => element.has_dynamic(),
            Type::Tuple(elements) => elements.iter().any(Type::has_dynamic),
            Type::Object(attributes) => attributes.values().any(Type::has_dynamic),
        }
    }
}

/// The name that messages use, as cty's: `list of string`, `object`.
impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dynamic => formatter.write_str("dynamic"),
            Type::Bool => formatter.write_str("bool"),
            Type::Number => formatter.write_str("number"),
            Type::String => formatter.write_str("string"),
            Type::List(element) => write!(formatter, "list of {}", ElementName(element)),
            Type::Set(element) => write!(formatter, "set of {}", ElementName(element)),
            Type::Map(element) => write!(formatter, "map of {}", ElementName(element)),
            Type::Tuple(_) => formatter.write_str("tuple"),
            Type::Object(_) => formatter.write_str("object"),
        }
    }
}

/// An element type inside a collection's name, where "dynamic" reads badly.
struct ElementName<'a>(&'a Type);

impl fmt::Display for ElementName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Type::Dynamic => formatter.write_str("any type"),
            other => other.fmt(formatter),
        }
    }
}

impl Value {
    /// A null of no particular type: the literal `null`.
    pub const NULL: Value = Value::Null(Type::Dynamic);

    /// A string, brought into normalisation form C.
    pub fn string(text: impl AsRef<str>) -> Value {
        let text = text.as_ref();
        match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => Value::String(Arc::from(text)),
            _ => Value::String(Arc::from(text.nfc().collect::<String>())),
        }
    }

    /// A list; every element must be of the given type already.
    pub fn list(element: Type, elements: Vec<Value>) -> Value {
        Value::List(element, Arc::new(elements))
    }

    /// A set; every element must be of the given type already. Sorts, and drops repetitions.
    pub fn set(element: Type, mut elements: Vec<Value>) -> Value {
        elements.sort_by(Value::compare);
        elements.dedup_by(|a, b| a.compare(b) == Ordering::Equal);
        Value::Set(element, Arc::new(elements))
    }

    /// A map; every value must be of the given type already.
    pub fn map(element: Type, elements: BTreeMap<Arc<str>, Value>) -> Value {
        Value::Map(element, Arc::new(elements))
    }

    /// A tuple.
    pub fn tuple(elements: Vec<Value>) -> Value {
        Value::Tuple(Arc::new(elements))
    }

    /// An object.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Value)>) -> Value {
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Value::Object(Arc::new(attributes.collect()))
    }

    /// The type of this value.
    pub fn type_of(&self) -> Type {
        match self {
            Value::Null(null_type) => null_type.clone(),
            Value::Unknown(unknown_type) => unknown_type.clone(),
            Value::Bool(_) => Type::Bool,
            Value::Number(_) => Type::Number,
            Value::String(_) => Type::String,
            Value::List(element, _) => Type::List(Box::new(element.clone())),
            Value::Set(element, _) => Type::Set(Box::new(element.clone())),
            Value::Map(element, _) => Type::Map(Box::new(element.clone())),
            Value::Tuple(elements) => Type::Tuple(elements.iter().map(Value::type_of).collect()),
            Value::Object(attributes) => Type::Object(
                attributes
                    .iter()
                    .map(|(name, value)| (name.clone(), value.type_of()))
                    .collect(),
            ),
        }
    }

    /// The name of the value's type, for messages.
    pub fn type_name(&self) -> String {
        match self {
            // Their types are built from all their elements only to be called by one word.
            Value::Tuple(_) => "tuple".to_owned(),
            Value::Object(_) => "object".to_owned(),
            Value::Null(Type::Dynamic) => "null".to_owned(),
            other => other.type_of().to_string(),
        }
    }

    /// The kind of value with an article, for messages: `a string`, `an object`, `null`.
    pub fn described(&self) -> String {
        match self {
            Value::Null(_) => "null".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            other => format!("a {}", other.type_name()),
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null(_))
    }

    /// Whether this very value is unknown; its elements may still be.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Value::Unknown(_))
    }

    /// Whether this value and everything in it is known.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Value::Unknown(_) => false,
            Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
                elements.iter().all(Value::is_wholly_known)
            }
            Value::Map(_, elements) | Value::Object(elements) => {
                elements.values().all(Value::is_wholly_known)
            }
            Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if this is a list, a set or a tuple.
    pub fn as_elements(&self) -> Option<&Arc<Vec<Value>>> {
        match self {
            Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
                Some(elements)
            }
            _ => None,
        }
    }

    /// The entries, if this is a map or an object.
    pub fn as_entries(&self) -> Option<&Arc<BTreeMap<Arc<str>, Value>>> {
        match self {
            Value::Map(_, entries) | Value::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The language's `==`: no conversion, and only null equals null. `None` if the answer depends
    /// on something unknown.
    pub fn equals(&self, other: &Value) -> Option<bool> {
        match (self, other) {
            (Value::Unknown(_), _) | (_, Value::Unknown(_)) => None,
            (Value::Null(_), Value::Null(_)) => Some(true),
            (Value::Bool(a), Value::Bool(b)) => Some(a == b),
            (Value::Number(a), Value::Number(b)) => Some(a == b),
            (Value::String(a), Value::String(b)) => Some(a == b),
            (Value::List(a_type, a), Value::List(b_type, b))
            | (Value::Set(a_type, a), Value::Set(b_type, b)) => {
                if a_type == b_type {
                    equal_elements(a, b)
                } else {
                    Some(false)
                }
            }
            (Value::Tuple(a), Value::Tuple(b)) => equal_elements(a, b),
            (Value::Map(a_type, a), Value::Map(b_type, b)) => {
                if a_type == b_type {
                    equal_entries(a, b)
                } else {
                    Some(false)
                }
            }
            (Value::Object(a), Value::Object(b)) => equal_entries(a, b),
            _ => Some(false),
        }
    }

    /// A total order: numbers by size, strings by bytes, false before true, collections element by
    /// element, and different kinds in a fixed order. It is the order of sets.
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Null(a), Value::Null(b)) | (Value::Unknown(a), Value::Unknown(b)) => a.cmp(b),
            (Value::List(_, a), Value::List(_, b))
            | (Value::Set(_, a), Value::Set(_, b))
            | (Value::Tuple(a), Value::Tuple(b)) => compare_all(a.iter(), b.iter(), Value::compare),
            (Value::Map(_, a), Value::Map(_, b)) | (Value::Object(a), Value::Object(b)) => {
                compare_all(a.iter(), b.iter(), |a, b| {
                    a.0.cmp(b.0).then_with(|| a.1.compare(b.1))
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Bool(_) => 0,
            Value::Number(_) => 1,
            Value::String(_) => 2,
            Value::List(..) => 3,
            Value::Set(..) => 4,
            Value::Tuple(_) => 5,
            Value::Map(..) => 6,
            Value::Object(_) => 7,
            Value::Null(_) => 8,
            Value::Unknown(_) => 9,
        }
    }
}

fn equal_elements(a: &[Value], b: &[Value]) -> Option<bool> {
    if a.len() != b.len() {
        return Some(false);
    }
    all_equal(a.iter().zip(b))
}

fn equal_entries(a: &BTreeMap<Arc<str>, Value>, b: &BTreeMap<Arc<str>, Value>) -> Option<bool> {
    if a.len() != b.len() || !a.keys().eq(b.keys()) {
        return Some(false);
    }
    all_equal(a.values().zip(b.values()))
}

fn all_equal<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Option<bool> {
    let mut certain = true;
    for (a, b) in pairs {
        match a.equals(b) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => certain = false,
        }
    }
    certain.then_some(true)
}

fn compare_all<T>(
    mut a: impl Iterator<Item = T>,
    mut b: impl Iterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Value {
        Value::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::string(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::string(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_normalised() {
        assert_eq!(Value::string("e\u{301}"), Value::string("\u{e9}"));
    }

    #[test]
    fn sets_are_sorted_and_distinct() {
        let number = |n: i64| Value::Number(Number::from(n));
        let set = Value::set(Type::Number, vec![number(10), number(9), number(10)]);
        assert_eq!(
            set.as_elements().unwrap().as_slice(),
            [number(9), number(10)]
        );
    }

    #[test]
    fn equality_converts_nothing() {
        let one = Value::Number(Number::from(1));
        assert_eq!(one.equals(&Value::string("1")), Some(false));
        assert_eq!(one.equals(&Value::NULL), Some(false));
        assert_eq!(Value::NULL.equals(&Value::Null(Type::String)), Some(true));
        assert_eq!(one.equals(&Value::Unknown(Type::Number)), None);
        let known = Value::tuple(vec![one.clone(), Value::Bool(true)]);
        let partly = Value::tuple(vec![Value::Unknown(Type::Number), Value::Bool(false)]);
        assert_eq!(known.equals(&partly), Some(false));
    }

    #[test]
    fn type_names() {
        let list = Type::List(Box::new(Type::Map(Box::new(Type::Dynamic))));
        assert_eq!(list.to_string(), "list of map of any type");
    }
}
