//! Values and types of the template language, as HashiCorp's cty defines them.

use bigdecimal::BigDecimal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A number: exact, never a binary float.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub BigDecimal);

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
