//! History: the key material that a step had when it was last built.
//!
//! It answers one question, "which input changed?", and nothing depends on it: what is lost or
//! damaged reads as "never built".

use super::inventory::Notes;
use super::write::{self, Durability};
use super::{Store, StoreError};
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::path::PathBuf;

const MATERIAL_LIMIT: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Entry {
    build: String,
    step: String,
    material: Value,
}

impl Store {
    /// The key material of the step `step` of the build `build` when it was last built.
    pub fn history(&self, build: &str, step: &str) -> Result<Option<Value>, StoreError> {
        let text = match write::read_limited(&self.history_path(build, step), MATERIAL_LIMIT) {
            Ok(text) => text,
            Err(StoreError::TooLarge { .. }) => return Ok(None),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice::<Entry>(&text)
            .ok()
            .filter(|entry| entry.build == build && entry.step == step)
            .map(|entry| entry.material))
    }

    /// The key material of all steps that were ever built, with their builds and names, sorted.
    /// What is damaged is left out.
    pub fn histories(&self) -> Result<Vec<(String, String, Value)>, StoreError> {
        let mut found = Vec::new();
        for file in self.files(Notes::History)? {
            let Ok(text) = write::read_limited(&file.path, MATERIAL_LIMIT) else {
                continue;
            };
            if let Ok(entry) = serde_json::from_slice::<Entry>(&text) {
                found.push((entry.build, entry.step, entry.material));
            }
        }
        found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        Ok(found)
    }

    /// Keeps the key material of a step that was just built.
    pub fn put_history(&self, build: &str, step: &str, material: Value) -> Result<(), StoreError> {
        let path = self.history_path(build, step);
        let entry = Entry {
            build: build.to_owned(),
            step: step.to_owned(),
            material,
        };
        let text = serde_json::to_vec(&entry).map_err(|source| StoreError::Syntax {
            path: path.clone(),
            source,
        })?;
        write::write_atomically(&self.folder("tmp"), &path, &text, Durability::Lazy)
    }

    /// A fixed-length file name: names of builds and steps are the user's.
    fn history_path(&self, build: &str, step: &str) -> PathBuf {
        let name = Digest::of(format!("{}:{build}{step}", build.len())).hex();
        self.folder("history").join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    #[test]
    fn the_last_material_is_kept_for_each_step() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put_history("ab", "c", json!({"x": 1})).unwrap();
        store.put_history("a", "bc", json!({"x": 2})).unwrap();
        store.put_history("../a/\0", "b", json!(null)).unwrap();
        store.put_history("ab", "c", json!({"x": 3})).unwrap();
        assert_eq!(store.history("ab", "c").unwrap(), Some(json!({"x": 3})));
        assert_eq!(store.history("a", "bc").unwrap(), Some(json!({"x": 2})));
        assert_eq!(store.history("a", "b").unwrap(), None);
        let all = store.histories().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1], ("a".to_owned(), "bc".to_owned(), json!({"x": 2})));
        fs::write(store.history_path("a", "bc"), b"{").unwrap();
        assert_eq!(store.history("a", "bc").unwrap(), None);
    }
}
