//! Functions on sequences and on collections of any kind; those on maps alone are in `maps.rs`,
//! those on sets alone in `sets.rs`.

use super::signature::{Arguments, Function, Kind, Parameter, check_element_count};
use super::{FunctionContext, FunctionError, strings};
use crate::template::convert::convert;
use crate::template::unify::{unify, unify_values};
use crate::template::value::{Number, Type, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The most numbers that `range` gives, as in Packer.
const MAX_RANGE: usize = 1024;

const LIST: Parameter = Parameter::new("list", Kind::Anything);
const BOOLS: &[Parameter] = &[Parameter::new("list", Kind::BoolList)];
const STRINGS: &[Parameter] = &[Parameter::new("list", Kind::StringList)];
const VALUES: Parameter = Parameter::new("vals", Kind::Anything)
    .or_null()
    .or_unknown();

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("alltrue", Kind::Bool, alltrue)
        .parameters(BOOLS)
        .looks_inside(),
    Function::new("anytrue", Kind::Bool, anytrue)
        .parameters(BOOLS)
        .looks_inside(),
    Function::new("chunklist", Kind::AnyList, chunklist).parameters(&[
        Parameter::new("list", Kind::AnyList),
        Parameter::new("size", Kind::Number),
    ]),
    Function::new("coalesce", Kind::Anything, coalesce).variadic(VALUES),
    Function::new("coalescelist", Kind::Anything, coalescelist).variadic(VALUES),
    Function::new("compact", Kind::StringList, compact)
        .parameters(STRINGS)
        .looks_inside(),
    Function::new("concat", Kind::Anything, concat)
        .variadic(Parameter::new("seqs", Kind::Anything)),
    Function::new("contains", Kind::Bool, contains)
        .parameters(&[LIST, Parameter::new("value", Kind::Anything).or_null()]),
    Function::new("distinct", Kind::AnyList, distinct)
        .parameters(&[Parameter::new("list", Kind::AnyList)])
        .looks_inside(),
    Function::new("element", Kind::Anything, element)
        .parameters(&[LIST, Parameter::new("index", Kind::Number)]),
    Function::new("flatten", Kind::Anything, flatten)
        .parameters(&[LIST])
        .looks_inside(),
    Function::new("index", Kind::Number, index)
        .parameters(&[LIST, Parameter::new("value", Kind::Anything)])
        .looks_inside(),
    Function::new("length", Kind::Number, length)
        .parameters(&[Parameter::new("value", Kind::Anything)]),
    Function::new("range", Kind::NumberList, range)
        .variadic(Parameter::new("params", Kind::Number)),
    Function::new("reverse", Kind::Anything, reverse).parameters(&[LIST]),
    Function::new("slice", Kind::Anything, slice).parameters(&[
        LIST,
        Parameter::new("start_index", Kind::Number),
        Parameter::new("end_index", Kind::Number),
    ]),
    Function::new("sort", Kind::StringList, sort)
        .parameters(STRINGS)
        .looks_inside(),
];

type Outcome = Result<Value, FunctionError>;

fn alltrue(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let mut elements = arguments.elements(0)?.iter();
    Ok(Value::Bool(
        elements.all(|element| *element == Value::Bool(true)),
    ))
}

fn anytrue(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let mut elements = arguments.elements(0)?.iter();
    Ok(Value::Bool(
        elements.any(|element| *element == Value::Bool(true)),
    ))
}

fn chunklist(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let list = arguments.value(0)?;
    let elements = arguments.elements(0)?;
    let Ok(size) = usize::try_from(arguments.whole_number(1)?) else {
        return Err(FunctionError::at(1, "the size argument must be positive"));
    };
    let list_type = list.type_of();
    let Type::List(element_type) = &list_type else {
        return Err(FunctionError::at(0, "a list is required"));
    };
    let chunks = match size {
        _ if elements.is_empty() => Vec::new(),
        0 => vec![list.clone()],
        size => elements
            .chunks(size)
            .map(|chunk| Value::list((**element_type).clone(), chunk.to_vec()))
            .collect(),
    };
    Ok(Value::list(list_type, chunks))
}

fn coalesce(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let values = arguments.from(0);
    let (_, unified) = unify_values(values)
        .filter(|_| !values.is_empty())
        .ok_or_else(|| FunctionError::new("all arguments must have the same type"))?;
    unified
        .into_iter()
        .find(|value| !value.is_null() && value.as_str() != Some(""))
        .ok_or_else(|| FunctionError::new("no non-null, non-empty-string arguments"))
}

fn coalescelist(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let values = arguments.from(0);
    if values.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    for (index, value) in values.iter().enumerate() {
        match value {
            Value::List(_, elements) | Value::Tuple(elements) if elements.is_empty() => {}
            Value::List(..) | Value::Tuple(_) => return Ok(value.clone()),
            Value::Null(Type::List(_) | Type::Tuple(_)) => {}
            // It may turn out to be empty, and which one follows is not known then.
            Value::Unknown(_) => return Ok(Value::Unknown(Type::Dynamic)),
            _ => {
                return Err(FunctionError::at(
                    index,
                    "coalescelist arguments must be lists or tuples",
                ));
            }
        }
    }
    Err(FunctionError::new("no non-null arguments"))
}

fn compact(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let elements = arguments.elements(0)?.iter();
    let kept = elements.filter(|element| element.as_str().is_some_and(|text| !text.is_empty()));
    Ok(Value::list(Type::String, kept.cloned().collect()))
}

fn concat(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let sequences = arguments.from(0);
    if sequences.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    let mut total = Some(0_usize);
    for (index, sequence) in sequences.iter().enumerate() {
        let (Value::List(_, elements) | Value::Tuple(elements)) = sequence else {
            return Err(FunctionError::at(
                index,
                format!(
                    "all arguments must be lists or tuples; got {}",
                    sequence.type_name()
                ),
            ));
        };
        total = total.and_then(|total| total.checked_add(elements.len()));
        check_element_count(total)?;
    }
    // Lists of types that fit each other give a list, everything else a tuple.
    let list_types: Option<Vec<Type>> = sequences
        .iter()
        .map(|sequence| matches!(sequence, Value::List(..)).then(|| sequence.type_of()))
        .collect();
    let Some(Type::List(unified)) = list_types.and_then(|types| unify(&types)) else {
        let elements = sequences.iter().filter_map(Value::as_elements);
        return Ok(Value::tuple(
            elements
                .flat_map(|elements| elements.iter().cloned())
                .collect(),
        ));
    };
    let target = Type::List(unified.clone());
    let mut joined = Vec::with_capacity(total.unwrap_or_default());
    for (index, sequence) in sequences.iter().enumerate() {
        let list = convert(sequence, &target)
            .map_err(|error| FunctionError::at(index, error.to_string()))?;
        joined.extend(
            list.as_elements()
                .into_iter()
                .flat_map(|list| list.iter())
                .cloned(),
        );
    }
    Ok(Value::list(*unified, joined))
}

fn contains(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let given = arguments.value(0)?;
    let Some(elements) = given.as_elements() else {
        return Err(FunctionError::at(
            0,
            format!(
                "argument must be list, tuple, or set, not {}",
                given.type_name()
            ),
        ));
    };
    let wanted = arguments.value(1)?;
    let mut is_certain = true;
    for element in elements.iter() {
        match wanted.equals(element) {
            Some(true) => return Ok(Value::Bool(true)),
            Some(false) => {}
            None => is_certain = false,
        }
    }
    Ok(if is_certain {
        Value::Bool(false)
    } else {
        Value::Unknown(Type::Bool)
    })
}

fn distinct(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let mut seen = BTreeSet::new();
    let kept: Vec<Value> = arguments
        .elements(0)?
        .iter()
        .filter(|element| seen.insert(Ordered(element)))
        .cloned()
        .collect();
    match arguments.value(0)? {
        Value::List(element_type, _) => Ok(Value::list(element_type.clone(), kept)),
        _ => Err(FunctionError::at(0, "a list is required")),
    }
}

/// A value by the order of sets, in which equal values are those that compare equal.
struct Ordered<'a>(&'a Value);

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ordered<'_> {}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(other.0)
    }
}

fn element(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (Value::List(_, elements) | Value::Tuple(elements)) = arguments.value(0)? else {
        return Err(FunctionError::at(
            0,
            format!(
                "cannot read elements from {}",
                arguments.value(0)?.type_name()
            ),
        ));
    };
    let index = arguments.whole_number(1)?;
    let wrapped = i64::try_from(elements.len())
        .ok()
        .and_then(|length| index.checked_rem_euclid(length));
    let found = wrapped
        .and_then(|index| usize::try_from(index).ok())
        .and_then(|index| elements.get(index));
    found
        .cloned()
        .ok_or_else(|| FunctionError::new("cannot use element function with an empty list"))
}

fn flatten(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    if arguments.value(0)?.as_elements().is_none() {
        return Err(FunctionError::at(
            0,
            "can only flatten lists, sets and tuples",
        ));
    }
    let mut flat = Vec::new();
    flatten_into(arguments.value(0)?, &mut flat)?;
    Ok(Value::tuple(flat))
}

fn flatten_into(value: &Value, flat: &mut Vec<Value>) -> Result<(), FunctionError> {
    match value.as_elements() {
        Some(elements) => elements
            .iter()
            .try_for_each(|element| flatten_into(element, flat)),
        None => {
            flat.push(value.clone());
            check_element_count(Some(flat.len()))
        }
    }
}

fn index(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (Value::List(_, elements) | Value::Tuple(elements)) = arguments.value(0)? else {
        return Err(FunctionError::at(0, "argument must be a list or tuple"));
    };
    if elements.is_empty() {
        return Err(FunctionError::at(0, "cannot search an empty list"));
    }
    let wanted = arguments.value(1)?;
    elements
        .iter()
        .position(|element| element.equals(wanted) == Some(true))
        .map(|position| Value::Number(Number::from(position)))
        .ok_or_else(|| FunctionError::new("item not found"))
}

fn length(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let value = arguments.value(0)?;
    let count = if let Some(text) = value.as_str() {
        strings::length(text)
    } else if let Some(elements) = value.as_elements() {
        elements.len()
    } else if let Some(entries) = value.as_entries() {
        entries.len()
    } else {
        return Err(FunctionError::at(
            0,
            "argument must be a string, a collection type, or a structural type",
        ));
    };
    Ok(Value::Number(Number::from(count)))
}

fn range(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let zero = Number::from(0_i64);
    let (start, end) = match arguments.len() {
        1 => (&zero, arguments.number(0)?),
        2 | 3 => (arguments.number(0)?, arguments.number(1)?),
        _ => {
            return Err(FunctionError::new("must have one, two, or three arguments"));
        }
    };
    let step = if arguments.len() == 3 {
        arguments.number(2)?.clone()
    } else {
        Number::from(if end < start { -1_i64 } else { 1 })
    };
    if start == end {
        return Ok(Value::list(Type::Number, Vec::new()));
    }
    if step.is_zero() {
        return Err(FunctionError::at(2, "step must not be zero"));
    }
    let falls = step.is_negative();
    if falls && end > start {
        return Err(FunctionError::at(
            1,
            "end must be less than start when step is negative",
        ));
    }
    if !falls && end < start {
        return Err(FunctionError::at(
            1,
            "end must be greater than start when step is positive",
        ));
    }
    let mut numbers = Vec::new();
    let mut number = start.clone();
    while if falls { number > *end } else { number < *end } {
        if numbers.len() >= MAX_RANGE {
            return Err(FunctionError::new(format!(
                "more than {MAX_RANGE} values were generated; either decrease the difference between start and end or use a smaller step"
            )));
        }
        let next = number.add(&step);
        numbers.push(Value::Number(number));
        number = next.map_err(|error| FunctionError::new(error.to_string()))?;
    }
    Ok(Value::list(Type::Number, numbers))
}

fn reverse(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let given = arguments.value(0)?;
    let reversed = |elements: &[Value]| elements.iter().rev().cloned().collect::<Vec<_>>();
    match given {
        Value::Tuple(elements) => Ok(Value::tuple(reversed(elements))),
        Value::List(element_type, elements) | Value::Set(element_type, elements) => {
            Ok(Value::list(element_type.clone(), reversed(elements)))
        }
        other => Err(FunctionError::at(
            0,
            format!(
                "can only reverse list or tuple values, not {}",
                other.type_name()
            ),
        )),
    }
}

fn slice(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let given = arguments.value(0)?;
    let elements = match given {
        Value::List(_, elements) | Value::Tuple(elements) => elements,
        Value::Set(..) => {
            return Err(FunctionError::at(
                0,
                "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the ordering of the result is not important",
            ));
        }
        _ => return Err(FunctionError::at(0, "must be a list or tuple value")),
    };
    let (start, end) = (
        slice_index(arguments, 1, "start", elements.len())?,
        slice_index(arguments, 2, "end", elements.len())?,
    );
    let Some(kept) = elements.get(start..end) else {
        return Err(FunctionError::at(
            1,
            "start index must not be greater than end index",
        ));
    };
    Ok(match given {
        Value::List(element_type, _) => Value::list(element_type.clone(), kept.to_vec()),
        _ => Value::tuple(kept.to_vec()),
    })
}

fn slice_index(
    arguments: &Arguments<'_>,
    argument: usize,
    name: &str,
    length: usize,
) -> Result<usize, FunctionError> {
    let index = arguments.whole_number(argument)?;
    match usize::try_from(index) {
        Ok(index) if index <= length => Ok(index),
        Ok(_) => Err(FunctionError::at(
            argument,
            format!("{name} index must not be greater than the length of the list"),
        )),
        Err(_) => Err(FunctionError::at(
            argument,
            format!("{name} index must not be less than zero"),
        )),
    }
}

fn sort(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let mut elements = arguments.elements(0)?.to_vec();
    if let Some(position) = elements.iter().position(Value::is_null) {
        return Err(FunctionError::at(
            0,
            format!("given list element {position} is null; a null string cannot be sorted"),
        ));
    }
    elements.sort_by(Value::compare);
    Ok(Value::list(Type::String, elements))
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
alltrue([true, "true"]) = true
alltrue([true, false]) = false
alltrue([]) = true
alltrue([true, null]) = false
alltrue(["yes"]) = error: invalid value for "list" parameter
anytrue([false, "true"]) = true
anytrue([]) = false
anytrue([null, false]) = false
chunklist(["a", "b", "c", "d", "e"], 2) = [["a","b"],["c","d"],["e"]]
chunklist(["a", 1], 1) = [["a"],["1"]]
chunklist([], 2) = []
chunklist(["a", "b"], 0) = [["a","b"]]
chunklist(["a"], -1) = error: the size argument must be positive
chunklist(["a"], 1e30) = error: whole number
coalesce("", null, "x") = "x"
coalesce(null, 1, "x") = "1"
coalesce(0, 1) = 0
coalesce(false, true) = false
coalesce([], [1]) = []
coalesce("", "") = error: no non-null, non-empty-string arguments
coalesce(null, null) = error: no non-null, non-empty-string arguments
coalesce() = error: all arguments must have the same type
coalesce(1, [1]) = error: all arguments must have the same type
coalescelist([], ["a"], ["b"]) = ["a"]
coalescelist([], []) = error: no non-null arguments
coalescelist("a") = error: coalescelist arguments must be lists or tuples
coalescelist() = error: at least one argument is required
compact(["", null, "a", 1]) = ["a","1"]
compact([]) = []
concat(["a"], [1], []) = ["a",1]
concat([]) = []
concat() = error: at least one argument is required
concat(["a"], "b") = error: all arguments must be lists or tuples; got string
contains([1, 2], 2) = true
contains([1, 2], "1") = false
contains(["a", null], null) = ~ true
contains([], "a") = false
contains([[1]], [1]) = true
contains("abc", "a") = error: argument must be list, tuple, or set
distinct(["a", "b", "a"]) = ["a","b"]
distinct([1, "1", 2, 1]) = ["1","2"]
distinct([[1], [1], [2]]) = [[1],[2]]
distinct([]) = []
element(["a", "b", "c"], 4) = "b"
element(["a"], -1) = "a"
element(["a", "b", "c"], -1) = ~ "c"
element([], 0) = error: cannot use element function with an empty list
element(["a"], 0.5) = error: whole number
element("a", 0) = error: cannot read elements from string
flatten([[1, [2]], 3, null, []]) = [1,2,3,null]
flatten([[], [[]]]) = []
flatten([{"a": [1]}]) = [{"a":[1]}]
flatten("a") = error: can only flatten lists, sets and tuples
index(["a", "b"], "b") = 1
index(["a"], "x") = error: item not found
index([], "x") = error: cannot search an empty list
index({"a": 1}, "x") = error: argument must be a list or tuple
index([1], "1") = error: item not found
length("👩‍👩‍👧é") = 2
length("e\u0301") = 1
length("\r\n") = 1
length("") = 0
length([1, null]) = 2
length({"a": 1}) = 1
length(1) = error: argument must be a string, a collection type, or a structural type
length(null) = error: argument must not be null
range(3) = [0,1,2]
range(-3) = [0,-1,-2]
range(1, 4) = [1,2,3]
range(4, 1) = [4,3,2]
range(1, 8, 2) = [1,3,5,7]
range(4, 1, -2) = [4,2]
range(0, 1, 0.25) = [0,0.25,0.5,0.75]
range(0, 1, 0.1) = ~ [0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9]
range(0) = []
range(1, 1) = []
range(0, 0, 0) = []
range(1, 2, 0) = error: step must not be zero
range(1, 2, -1) = error: end must be less than start when step is negative
range(2, 1, 1) = error: end must be greater than start when step is positive
range(100000) = error: more than 1024 values were generated
range(0, 1e900, 1e-900) = ~ error: more than 1024 values
range() = error: must have one, two, or three arguments
reverse([1, "a"]) = ["a",1]
reverse([]) = []
reverse("abc") = error: can only reverse list or tuple values, not string
slice(["a", "b", "c"], 1, 2) = ["b"]
slice(["a", "b"], 0, 2) = ["a","b"]
slice(["a"], 1, 1) = []
slice(["a"], 1, 0) = error: start index must not be greater than end index
slice(["a"], 0, 2) = error: end index must not be greater than the length of the list
slice(["a"], -1, 1) = error: start index must not be less than zero
slice("abc", 0, 1) = error: must be a list or tuple value
sort(["b", "B", "a", "é", "Z", "_"]) = ["B","Z","_","a","b","é"]
sort([10, 9, "8"]) = ["10","8","9"]
sort(["a", null]) = error: given list element 1 is null
"#;
}
