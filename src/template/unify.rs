//! Unification, by cty's rules: the type that several values can share.

use super::convert::{convert, is_safe};
use super::value::{Type, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The type that values of all these types can be converted to without loss, or `None`.
pub fn unify(types: &[Type]) -> Option<Type> {
    Unification::default().unify(types)
}

/// Brings values to one type that they share, as [`unify`] does; `None` if there is none.
pub fn unify_values(values: &[Value]) -> Option<(Type, Vec<Value>)> {
    let types: Vec<Type> = values.iter().map(Value::type_of).collect();
    let unified = if types.is_empty() {
        Type::Dynamic
    } else {
        unify_ignoring_nulls(values, &types)?
    };
    let converted = values.iter().map(|value| convert(value, &unified).ok());
    Some((unified.clone(), converted.collect::<Option<_>>()?))
}

/// A null of no type takes the type of the others.
fn unify_ignoring_nulls(values: &[Value], types: &[Type]) -> Option<Type> {
    let typed: Vec<Type> = values
        .iter()
        .zip(types)
        .filter(|(value, _)| !matches!(value, Value::Null(Type::Dynamic)))
        .map(|(_, value_type)| value_type.clone())
        .collect();
    if typed.is_empty() {
        Some(Type::Dynamic)
    } else {
        unify(&typed)
    }
}

/// One search for a type.
///
/// Structures are tried column by column, and if that fails as collections of one type, so the
/// same types come up again and again: without a memory, the time doubles with each level.
#[derive(Default)]
struct Unification<'a> {
    known: BTreeMap<Vec<&'a Type>, Option<Type>>,
}

impl<'a> Unification<'a> {
    fn unify(&mut self, types: impl IntoIterator<Item = &'a Type>) -> Option<Type> {
        let mut seen = BTreeSet::new();
        let types: Vec<&Type> = types.into_iter().filter(|one| seen.insert(*one)).collect();
        let first = *types.first()?;
        if types.len() == 1 {
            return Some(first.clone());
        }
        if types.contains(&&Type::Dynamic) {
            return Some(Type::Dynamic);
        }
        if let Some(known) = self.known.get(&types) {
            return known.clone();
        }
        let unified = self.structure(&types).or_else(|| {
            let mut targets = types.iter();
            let target = targets.find(|target| types.iter().all(|source| is_safe(source, target)));
            target.map(|target| (*target).clone())
        });
        self.known.insert(types, unified.clone());
        unified
    }

    fn structure(&mut self, types: &[&'a Type]) -> Option<Type> {
        let all = |fits: fn(&Type) -> bool| types.iter().all(|one| fits(one));
        if all(|one| matches!(one, Type::List(_) | Type::Tuple(_))) {
            let tuple = self.tuple(types);
            return tuple.or_else(|| Some(Type::List(Box::new(self.element(types)?))));
        }
        if all(|one| matches!(one, Type::Set(_))) {
            return Some(Type::Set(Box::new(self.element(types)?)));
        }
        if all(|one| matches!(one, Type::Map(_) | Type::Object(_))) {
            let object = self.object(types);
            return object.or_else(|| Some(Type::Map(Box::new(self.element(types)?))));
        }
        None
    }

    /// The type of the elements of all these collections.
    fn element(&mut self, types: &[&'a Type]) -> Option<Type> {
        self.unify(types.iter().flat_map(|one| element_types(one)))
    }

    /// Tuples of one length unify element by element.
    fn tuple(&mut self, types: &[&'a Type]) -> Option<Type> {
        let tuples = types.iter().map(|one| match one {
            Type::Tuple(elements) => Some(elements),
            _ => None,
        });
        let tuples: Vec<&'a Vec<Type>> = tuples.collect::<Option<_>>()?;
        let length = tuples.first()?.len();
        if tuples.iter().any(|elements| elements.len() != length) {
            return None;
        }
        let columns = (0..length)
            .map(|index| self.unify(tuples.iter().filter_map(|elements| elements.get(index))));
        Some(Type::Tuple(columns.collect::<Option<_>>()?))
    }

    /// Objects with the same attributes unify attribute by attribute.
    fn object(&mut self, types: &[&'a Type]) -> Option<Type> {
        let objects = types.iter().map(|one| match one {
            Type::Object(attributes) => Some(attributes),
            _ => None,
        });
        let objects: Vec<&'a BTreeMap<Arc<str>, Type>> = objects.collect::<Option<_>>()?;
        let first = *objects.first()?;
        if objects
            .iter()
            .any(|attributes| !attributes.keys().eq(first.keys()))
        {
            return None;
        }
        let attributes = first.keys().map(|name| {
            let column = objects.iter().filter_map(|attributes| attributes.get(name));
            Some((name.clone(), self.unify(column)?))
        });
        Some(Type::Object(attributes.collect::<Option<_>>()?))
    }
}

fn element_types(collection: &Type) -> Vec<&Type> {
    match collection {
        Type::List(element) | Type::Set(element) | Type::Map(element) => vec![element],
        Type::Tuple(elements) => elements.iter().collect(),
        Type::Object(attributes) => attributes.values().collect(),
        Type::Dynamic | Type::Bool | Type::Number | Type::String => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    #[test]
    fn unification() {
        let tuple = |types: &[Type]| Type::Tuple(types.to_vec());
        let object = |pairs: &[(&str, Type)]| {
            Type::Object(
                pairs
                    .iter()
                    .map(|(k, v)| (Arc::from(*k), v.clone()))
                    .collect(),
            )
        };
        use Type::{Bool, Number, String};
        for (types, expected) in [
            (vec![Number, String], Some(String)),
            (vec![Number, Bool], None),
            (
                vec![tuple(&[Number]), tuple(&[String])],
                Some(tuple(&[String])),
            ),
            (
                vec![tuple(&[Number]), tuple(&[String, String])],
                Some(list(String)),
            ),
            (vec![tuple(&[Number]), list(String)], Some(list(String))),
            (
                vec![object(&[("a", Number)]), object(&[("a", String)])],
                Some(object(&[("a", String)])),
            ),
            (
                vec![object(&[("a", Number)]), object(&[("b", String)])],
                Some(Type::Map(Box::new(String))),
            ),
            (vec![tuple(&[Number]), Number], None),
        ] {
            assert_eq!(unify(&types), expected, "{types:?}");
        }
    }

    #[test]
    fn deep_types_that_share_nothing_are_soon_given_up() {
        let tuple = |inner| Type::Tuple(vec![inner]);
        let object = |inner| Type::Object(BTreeMap::from([(Arc::from("a"), inner)]));
        for wrap in [&tuple as &dyn Fn(Type) -> Type, &object] {
            let deep = |innermost| (0..60).fold(innermost, |inner, _| wrap(inner));
            assert_eq!(unify(&[deep(Type::Number), deep(Type::Bool)]), None);
        }
    }
}
