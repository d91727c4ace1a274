//! Attribute access, indexing and splats.

use super::{ELEMENT_COST, Evaluated, Evaluation};
use crate::diagnostic::{Diagnostic, SourceSpan, did_you_mean};
use crate::template::convert;
use crate::template::data::DataSources;
use crate::template::graph::Node;
use crate::template::scope::{Reach, Scope};
use crate::template::syntax::{ExpressionKind, Name, Step, StepKind, Traversal};
use crate::template::value::{Type, Value};
use std::slice;
use std::sync::Arc;

impl Evaluation {
    pub(super) fn traversal(&self, traversal: &Traversal, scope: &Scope) -> Evaluated {
        let Traversal { root, steps } = traversal;
        if let ExpressionKind::Variable(root) = &root.kind
            && scope.reach() == Reach::Everything
            && scope.bound(root).is_none()
            && let Some((value, rest)) = self.global(root, steps, scope)
        {
            return self.apply(value?, rest, scope);
        }
        let value = self.expression(root, scope)?;
        self.apply(value, steps, scope)
    }

    /// A variable, local or data source, looked up by its name alone, so that a reference does not
    /// copy all of them; with it come the steps that are left.
    fn global<'s>(
        &self,
        root: &str,
        steps: &'s [Step],
        scope: &Scope,
    ) -> Option<(Evaluated, &'s [Step])> {
        let (first, rest) = steps.split_first()?;
        let StepKind::Attribute(name) = &first.kind else {
            return None;
        };
        let globals = scope.globals();
        let graph = &globals.graph;
        match root {
            "var" => {
                let value = globals.variables.get(&name.text);
                let value = value.map(|value| value.get().cloned());
                let value = match value {
                    Some(value) => Ok(value.unwrap_or(Value::Unknown(Type::Dynamic))),
                    None => Err(undeclared(root, name, globals.variables.keys())),
                };
                Some((value, rest))
            }
            "local" => {
                let value = self.node(&Node::Local(name.text.clone()), scope);
                let value = value
                    .unwrap_or_else(|| Err(undeclared(root, name, graph.declared_locals().keys())));
                Some((value, rest))
            }
            "data" => {
                let (second, rest) = rest.split_first()?;
                let StepKind::Attribute(second) = &second.kind else {
                    return None;
                };
                let node = Node::Data(name.text.clone(), second.text.clone());
                let value = self.node(&node, scope);
                let value = value
                    .unwrap_or_else(|| Err(undeclared_data(name, second, graph.data_sources())));
                Some((value, rest))
            }
            _ => None,
        }
    }

    fn apply(&self, mut value: Value, mut steps: &[Step], scope: &Scope) -> Evaluated {
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            value = match &step.kind {
                StepKind::Attribute(name) => self.attribute(&value, &name.text, step.span)?,
                StepKind::LegacyIndex(index) => {
                    let index = Value::Number(index.clone());
                    self.index(&value, &index, step.span)?
                }
                StepKind::Index(expression) => {
                    let index = self.expression(expression, scope)?;
                    self.index(&value, &index, expression.span)?
                }
                StepKind::FullSplat => return self.splat(&value, rest, scope, step.span),
                StepKind::AttributeSplat => {
                    let inner = rest.iter().take_while(|step| is_attribute(step)).count();
                    let (inner, outer) = rest.split_at(inner);
                    steps = outer;
                    self.splat(&value, inner, scope, step.span)?
                }
            };
        }
        Ok(value)
    }

    /// Applies steps to each element. Null has no elements, and anything else that is no
    /// sequence is the only element.
    fn splat(&self, value: &Value, steps: &[Step], scope: &Scope, place: SourceSpan) -> Evaluated {
        let elements = match value {
            Value::Null(_) => &[],
            Value::Unknown(_) => return Ok(Value::Unknown(Type::Dynamic)),
            other => match other.as_elements() {
                Some(elements) => elements.as_slice(),
                None => slice::from_ref(other),
            },
        };
        self.charge(elements.len().saturating_mul(ELEMENT_COST), place)?;
        let results = elements
            .iter()
            .map(|element| self.apply(element.clone(), steps, scope));
        let results: Vec<Value> = results.collect::<Result<_, _>>()?;
        if matches!(value, Value::List(..) | Value::Set(..))
            && let Some(first) = results.first()
        {
            self.charge_elements(&results, place)?;
            let element = first.type_of();
            if results.iter().all(|result| result.type_of() == element) {
                return Ok(Value::list(element, results));
            }
        }
        Ok(Value::tuple(results))
    }

    fn attribute(&self, value: &Value, name: &str, place: SourceSpan) -> Evaluated {
        match value {
            Value::Unknown(Type::Object(attributes)) if !attributes.contains_key(name) => Err(
                no_attribute(name, attributes.keys().map(|name| &**name), place),
            ),
            Value::Unknown(Type::Object(attributes)) => Ok(Value::Unknown(
                attributes.get(name).cloned().unwrap_or(Type::Dynamic),
            )),
            Value::Unknown(Type::Map(element)) => Ok(Value::Unknown((**element).clone())),
            Value::Unknown(Type::Dynamic) => Ok(Value::Unknown(Type::Dynamic)),
            Value::Null(_) => Err(Diagnostic::error("null has no attributes")
                .at_with(place, "the value before this is null")),
            Value::Object(attributes) => attributes
                .get(name)
                .cloned()
                .ok_or_else(|| no_attribute(name, attributes.keys().map(|name| &**name), place)),
            Value::Map(_, entries) => entries
                .get(name)
                .cloned()
                .ok_or_else(|| no_element(name, entries.keys().map(|name| &**name), place)),
            other => {
                let message = format!("{} has no attributes", other.described());
                let error = Diagnostic::error(message).at(place);
                Err(match other.as_elements() {
                    Some(_) => error.help(format!(
                        "for the attribute of each element write `[*].{name}`, of one `[0].{name}`"
                    )),
                    None => error,
                })
            }
        }
    }

    fn index(&self, value: &Value, index: &Value, place: SourceSpan) -> Evaluated {
        if value.is_null() {
            return Err(Diagnostic::error("null has no elements")
                .at_with(place, "the value before this is null"));
        }
        if index.is_null() {
            return Err(Diagnostic::error("an index must not be null").at(place));
        }
        match value {
            Value::Unknown(Type::List(element) | Type::Map(element)) => {
                Ok(Value::Unknown((**element).clone()))
            }
            Value::Unknown(Type::Dynamic | Type::Tuple(_) | Type::Object(_)) => {
                Ok(Value::Unknown(Type::Dynamic))
            }
            Value::List(element, _) if index.is_unknown() => Ok(Value::Unknown(element.clone())),
            Value::Map(element, _) if index.is_unknown() => Ok(Value::Unknown(element.clone())),
            Value::Tuple(_) | Value::Object(_) if index.is_unknown() => {
                Ok(Value::Unknown(Type::Dynamic))
            }
            Value::List(_, elements) | Value::Tuple(elements) => element_at(elements, index, place),
            Value::Map(_, entries) | Value::Object(entries) => {
                let key = convert::to_string(index).map_err(|error| {
                    Diagnostic::error(format!("this is no key: {error}")).at(place)
                })?;
                entries
                    .get(&key)
                    .cloned()
                    .ok_or_else(|| no_element(&key, entries.keys().map(|name| &**name), place))
            }
            Value::Set(..) => Err(
                Diagnostic::error("a set has no order, so no element by index")
                    .at(place)
                    .help("iterate over it with a for expression"),
            ),
            other => {
                let message = format!("{} has no elements", other.described());
                Err(Diagnostic::error(message).at(place))
            }
        }
    }
}

fn undeclared<'a>(
    root: &str,
    name: &Name,
    declared: impl Iterator<Item = &'a Arc<str>>,
) -> Diagnostic {
    let Name { text, span } = name;
    let what = if root == "var" { "variable" } else { "local" };
    let suggestion = did_you_mean(text, declared.map(|name| &**name));
    let help = suggestion.unwrap_or_else(|| match root {
        "var" => format!("declare it: variable {text:?} {{}}"),
        _ => format!("declare it: locals {{ {text} = … }}"),
    });
    Diagnostic::error(format!("{what} `{text}` is not declared"))
        .at(*span)
        .help(help)
}

fn undeclared_data(kind: &Name, name: &Name, declared: &DataSources) -> Diagnostic {
    let (kind_text, name_text) = (&kind.text, &name.text);
    let all: Vec<String> = declared
        .names()
        .map(|(kind, name)| format!("{kind}.{name}"))
        .collect();
    let written = format!("{kind_text}.{name_text}");
    let help = did_you_mean(&written, all.iter().map(String::as_str))
        .unwrap_or_else(|| format!("declare it: data {kind_text:?} {name_text:?} {{ … }}"));
    Diagnostic::error(format!("data source `{written}` is not declared"))
        .at(kind.span.to(name.span))
        .help(help)
}

/// What an attribute splat takes along.
fn is_attribute(step: &Step) -> bool {
    matches!(step.kind, StepKind::Attribute(_) | StepKind::LegacyIndex(_))
}

fn element_at(elements: &[Value], index: &Value, place: SourceSpan) -> Evaluated {
    let number = convert::to_number(index)
        .map_err(|error| Diagnostic::error(format!("this is no index: {error}")).at(place))?;
    if !number.is_integer() {
        return Err(Diagnostic::error("an index must be a whole number").at(place));
    }
    number
        .to_usize()
        .and_then(|index| elements.get(index))
        .cloned()
        .ok_or_else(|| {
            Diagnostic::error(format!("the index {number} is out of range"))
                .at(place)
                .help(match elements.len() {
                    0 => "there are no elements".to_owned(),
                    1 => "there is one element, with the index 0".to_owned(),
                    length => format!("there are {length} elements, from 0 to {}", length - 1),
                })
        })
}

fn no_attribute<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    place: SourceSpan,
) -> Diagnostic {
    let message = format!("this object has no attribute named `{name}`");
    Diagnostic::error(message)
        .at(place)
        .help_maybe(known_names(name, known))
}

fn no_element<'a>(
    key: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    place: SourceSpan,
) -> Diagnostic {
    let message = format!("there is no element with the key {key:?}");
    Diagnostic::error(message)
        .at(place)
        .help_maybe(known_names(key, known))
}

/// The nearest name, or all names if they are few.
fn known_names<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    did_you_mean(name, known.clone()).or_else(|| {
        let names: Vec<&str> = known.take(11).collect();
        match names.len() {
            0 => Some("it is empty".to_owned()),
            1..=10 => Some(format!("it has {}", names.join(", "))),
            _ => None,
        }
    })
}
