//! Secrets: the texts that no output may show.

use super::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every text that occurs in a sensitive value.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    texts: BTreeSet<Arc<str>>,
}

impl Secrets {
    /// Adds every string anywhere inside a value. Empty ones would mask everything.
    pub(super) fn add(&mut self, value: &Value) {
        if let Value::String(text) = value {
            if !text.is_empty() {
                self.texts.insert(text.clone());
            }
        } else if let Some(elements) = value.as_elements() {
            elements.iter().for_each(|element| self.add(element));
        } else if let Some(entries) = value.as_entries() {
            entries.values().for_each(|element| self.add(element));
        }
    }

    pub(super) fn texts(&self) -> &BTreeSet<Arc<str>> {
        &self.texts
    }
}
