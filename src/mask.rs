//! Masking: sensitive values are replaced wherever they would be shown.

use std::borrow::Cow;

/// What is shown instead, as in Packer.
const MASK: &str = "<sensitive>";

/// Replaces sensitive strings.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// The longest first, so that no part of one is left over.
    secrets: Vec<String>,
}

impl Masker {
    /// Masks `secrets`. The lines of one that has several are masked too, since output comes in
    /// lines; empty strings are left out.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all = Vec::new();
        for secret in secrets {
            if secret.contains('\n') {
                all.extend(
                    secret
                        .lines()
                        .filter(|line| line.len() > 3)
                        .map(str::to_owned),
                );
            }
            all.push(secret);
        }
        all.retain(|secret| !secret.trim().is_empty());
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { secrets: all }
    }

    /// Replaces every sensitive string in `text`.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MASK));
            }
        }
        text
    }

    /// Replaces every sensitive string in the strings of a JSON document.
    pub fn mask_json(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = masked;
                }
            }
            serde_json::Value::Array(items) => {
                items.iter_mut().for_each(|item| self.mask_json(item));
            }
            serde_json::Value::Object(members) => {
                members
                    .values_mut()
                    .for_each(|member| self.mask_json(member));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_longest_first() {
        let secrets = ["pass", "password", "", " ", "key\nline two of it\n"].map(str::to_owned);
        let masker = Masker::new(secrets);
        for (text, expected) in [
            ("nothing here", "nothing here"),
            ("my password is pass", "my <sensitive> is <sensitive>"),
            ("line two of it", "<sensitive>"),
            ("", ""),
        ] {
            assert_eq!(masker.mask(text), expected);
        }
        let mut json = serde_json::json!({ "a": ["password"], "b": 1 });
        masker.mask_json(&mut json);
        assert_eq!(json, serde_json::json!({ "a": ["<sensitive>"], "b": 1 }));
    }
}
