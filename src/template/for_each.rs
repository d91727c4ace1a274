//! `for_each` of `source` and `build` blocks: one block that stands for several.
//!
//! Each *instance* has a key, which becomes part of its name, and `each.key` and `each.value` in
//! the scope of its body.

use super::arguments::Arguments;
use super::body::Body;
use super::scope::Scope;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The argument that makes several of a block.
pub(super) const FOR_EACH: &str = "for_each";

/// One of the blocks that a block stands for.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// None if the block stands for itself alone.
    pub(super) key: Option<Arc<str>>,
    pub(super) body: Body,
}

/// The blocks that a block stands for; none after an error.
pub(super) fn instances(body: &Body, scope: &Scope, diagnostics: &Diagnostics) -> Vec<Instance> {
    let arguments = Arguments::open(body, scope, diagnostics);
    if !arguments.has(FOR_EACH) {
        return vec![Instance {
            key: None,
            body: body.clone(),
        }];
    }
    let span = arguments.span(FOR_EACH);
    let Some(collection) = arguments.value(FOR_EACH) else {
        return Vec::new();
    };
    if !collection.is_wholly_known() {
        // What is unknown because of an error that was reported, or because it is not asked for,
        // is no other error.
        if !diagnostics.has_errors() && !scope.has_unasked() {
            diagnostics
                .push(Diagnostic::error("`for_each` must be known before the build runs").at(span));
        }
        return Vec::new();
    }
    match keys(&collection, span) {
        Ok(keys) => keys
            .into_iter()
            .map(|(key, value)| {
                let mut body = body.clone();
                let each = Value::object([("key", Value::String(key.clone())), ("value", value)]);
                body.names.push((Arc::from("each"), each));
                body.taken = &[FOR_EACH];
                Instance {
                    key: Some(key),
                    body,
                }
            })
            .collect(),
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            Vec::new()
        }
    }
}

/// The keys and values of a collection. Those of a set or a list of strings are the same.
fn keys(collection: &Value, span: SourceSpan) -> Result<Vec<(Arc<str>, Value)>, Diagnostic> {
    let refused = |message: String| {
        Diagnostic::error(message)
            .at(span)
            .help("write a map, whose keys become part of names, or distinct strings")
    };
    let pairs: Vec<(Arc<str>, Value)> = if let Some(entries) = collection.as_entries() {
        let entries = entries.iter();
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    } else if let Some(elements) = collection.as_elements() {
        let mut seen = BTreeSet::new();
        let mut pairs = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            let Value::String(key) = element else {
                let message = format!("`for_each` cannot take {} as a key", element.described());
                return Err(refused(message));
            };
            if !seen.insert(key.clone()) {
                return Err(refused(format!("`for_each` has the key {key:?} twice")));
            }
            pairs.push((key.clone(), element.clone()));
        }
        pairs
    } else {
        return Err(refused(format!(
            "`for_each` cannot be {}",
            collection.described()
        )));
    };
    // A name has to be a pattern for itself alone, and one word of a list with commas.
    let is_letter =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '+');
    match pairs
        .iter()
        .find(|(key, _)| key.is_empty() || !key.chars().all(is_letter))
    {
        Some((key, _)) => Err(Diagnostic::error(format!(
            "the key {key:?} of `for_each` cannot be part of a name"
        ))
        .at(span)
        .help("keys are made of letters, digits, `-`, `_`, `.` and `+`")),
        None => Ok(pairs),
    }
}
