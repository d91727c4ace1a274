//! Functions on sets: `setintersection`, `setproduct`, `setunion`.
//!
//! A set is sorted, so that what is made of it has one order.

use super::signature::{Arguments, Function, Kind, Parameter, check_element_count};
use super::{FunctionContext, FunctionError};
use crate::template::convert::convert;
use crate::template::unify::{unify, unify_values};
use crate::template::value::{Type, Value};
use std::sync::Arc;

const FIRST_SET: &[Parameter] = &[Parameter::new("first_set", Kind::AnySet)];
const OTHER_SETS: Parameter = Parameter::new("other_sets", Kind::AnySet);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("setintersection", Kind::AnySet, setintersection)
        .parameters(FIRST_SET)
        .variadic(OTHER_SETS)
        .looks_inside(),
    Function::new("setproduct", Kind::Anything, setproduct)
        .variadic(Parameter::new("sets", Kind::Anything)),
    Function::new("setunion", Kind::AnySet, setunion)
        .parameters(FIRST_SET)
        .variadic(OTHER_SETS)
        .looks_inside(),
];

fn setunion(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let (element_type, sets) = sets_of_one_type(arguments)?;
    let elements: Vec<Value> = sets.iter().flat_map(|set| set.iter().cloned()).collect();
    check_element_count(Some(elements.len()))?;
    Ok(Value::set(element_type, elements))
}

fn setintersection(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let (element_type, sets) = sets_of_one_type(arguments)?;
    let Some((first, others)) = sets.split_first() else {
        return Err(FunctionError::new("at least one set is required"));
    };
    let is_in = |set: &[Value], wanted: &Value| {
        let found = set.binary_search_by(|element| element.compare(wanted));
        found.is_ok()
    };
    let common = first
        .iter()
        .filter(|element| others.iter().all(|set| is_in(set, element)))
        .cloned()
        .collect();
    Ok(Value::set(element_type, common))
}

/// The type of the elements, and the elements of each set.
type SetsOfOneType = (Type, Vec<Arc<Vec<Value>>>);

/// All arguments as sets of the one type that they share.
fn sets_of_one_type(arguments: &Arguments<'_>) -> Result<SetsOfOneType, FunctionError> {
    let element_types: Vec<Type> = arguments
        .from(0)
        .iter()
        .filter_map(|set| match set {
            // An empty set of no type fits every other.
            Value::Set(Type::Dynamic, elements) if elements.is_empty() => None,
            Value::Set(element_type, _) => Some(element_type.clone()),
            _ => None,
        })
        .collect();
    let element_type = if element_types.is_empty() {
        Type::Dynamic
    } else {
        unify(&element_types).ok_or_else(|| {
            FunctionError::new("given sets must all have compatible element types")
        })?
    };
    let target = Type::Set(Box::new(element_type.clone()));
    let mut sets = Vec::with_capacity(arguments.len());
    for (index, set) in arguments.from(0).iter().enumerate() {
        let converted =
            convert(set, &target).map_err(|error| FunctionError::at(index, error.to_string()))?;
        sets.extend(converted.as_elements().cloned());
    }
    Ok((element_type, sets))
}

fn setproduct(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let given = arguments.from(0);
    if given.len() < 2 {
        return Err(FunctionError::new("at least two arguments are required"));
    }
    let mut factors = Vec::with_capacity(given.len());
    for (index, factor) in given.iter().enumerate() {
        factors.push(factor_of(factor).map_err(|why| FunctionError::at(index, why))?);
    }
    let total = factors.iter().try_fold(1_usize, |total, (_, elements)| {
        total.checked_mul(elements.len())
    });
    // An empty factor makes the product empty, however large the others are.
    let total = if factors.iter().any(|(_, elements)| elements.is_empty()) {
        0
    } else {
        check_element_count(total.and_then(|total| total.checked_mul(factors.len())))?;
        total.unwrap_or_default()
    };
    let types = factors.iter().map(|(element_type, _)| element_type.clone());
    let tuple_type = Type::Tuple(types.collect());
    let tuples = (0..total).map(|number| tuple(number, &factors)).collect();
    let has_set = given.iter().any(|factor| matches!(factor, Value::Set(..)));
    Ok(if has_set {
        Value::set(tuple_type, tuples)
    } else {
        Value::list(tuple_type, tuples)
    })
}

/// A factor of a product: its elements, of one type.
type Factor = (Type, Vec<Value>);

fn factor_of(value: &Value) -> Result<Factor, &'static str> {
    match value {
        Value::Set(element_type, elements) | Value::List(element_type, elements) => {
            Ok((element_type.clone(), elements.to_vec()))
        }
        Value::Tuple(elements) => {
            unify_values(elements).ok_or("all elements must be of the same type")
        }
        _ => Err("a set or a list is required"),
    }
}

/// The tuple with a given position in the product; the last factor changes fastest.
fn tuple(position: usize, factors: &[Factor]) -> Value {
    let mut rest = position;
    let mut elements: Vec<Value> = factors
        .iter()
        .rev()
        .filter_map(|(_, elements)| {
            let index = rest.checked_rem(elements.len())?;
            rest /= elements.len();
            elements.get(index).cloned()
        })
        .collect();
    elements.reverse();
    Value::tuple(elements)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cmp::Ordering;

    pub(in super::super) const CASES: &str = r#"
setintersection(["a", "b"], ["b", "c"], ["b", "a"]) = ["b"]
setintersection(["b", "a", "b"]) = ["a","b"]
setintersection([1, 2], ["2", 3]) = ["2"]
setintersection([], ["a"]) = []
setintersection(["a"], [[1]]) = error: given sets must all have compatible element types
setintersection("a") = error: invalid value for "first_set" parameter
setunion(["b", "a"], ["b", "c"]) = ["a","b","c"]
setunion([10, 9], [9, 1]) = [1,9,10]
setunion([1], ["a"]) = ["1","a"]
setunion([]) = []
setunion([], []) = []
setunion() = error: not enough function arguments
setproduct(["a", "b"], [1, 2]) = [["a",1],["a",2],["b",1],["b",2]]
setproduct(["a"], ["b"], ["c"]) = [["a","b","c"]]
setproduct(["a", 1], [true]) = [["a",true],["1",true]]
setproduct(["a"], []) = []
setproduct(["a"]) = error: at least two arguments are required
setproduct(["a"], "b") = error: a set or a list is required
setproduct(["a", [1]], ["b"]) = error: all elements must be of the same type
"#;

    #[test]
    fn products_of_sets_are_sets() {
        let set = Value::set(Type::String, vec!["b".into(), "a".into()]);
        let context_free = tuple(1, &[factor_of(&set).unwrap(), factor_of(&set).unwrap()]);
        assert_eq!(
            context_free.compare(&Value::tuple(vec!["a".into(), "b".into()])),
            Ordering::Equal
        );
    }
}
