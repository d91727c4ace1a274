//! Secrets: the texts of a template that no output may show.

use super::value::Value;
use crate::mask;

/// The shortest text inside of a JSON text that counts as a secret: others are words like `true`.
const SHORTEST_PART: usize = 4;

/// Every text that occurs in a sensitive value, or that came from a secret store. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    texts: mask::Secrets,
}

impl Secrets {
    /// Adds every string anywhere inside a value.
    pub(super) fn add(&self, value: &Value) {
        if let Value::String(text) = value {
            self.texts.add(text);
        } else if let Some(elements) = value.as_elements() {
            elements.iter().for_each(|element| self.add(element));
        } else if let Some(entries) = value.as_entries() {
            entries.values().for_each(|element| self.add(element));
        }
    }

    /// Adds what a secret store gave: the text and, if it is JSON, the strings inside of it, since a
    /// template will take them out.
    pub(super) fn add_from_store(&self, value: &Value) {
        self.add(value);
        if let Some(content) = value
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
        {
            self.add_parts(&content);
        }
    }

    fn add_parts(&self, content: &serde_json::Value) {
        match content {
            serde_json::Value::String(text) if text.chars().count() >= SHORTEST_PART => {
                self.texts.add(text);
            }
            serde_json::Value::Array(elements) => {
                elements.iter().for_each(|element| self.add_parts(element));
            }
            serde_json::Value::Object(entries) => {
                entries.values().for_each(|entry| self.add_parts(entry));
            }
            _ => {}
        }
    }

    /// The texts, for maskers.
    pub(super) fn texts(&self) -> &mask::Secrets {
        &self.texts
    }
}
