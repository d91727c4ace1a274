//! Step keys: the digest of all that a step depends on.
//!
//! | value | in the key as | why, or why not |
//! |---|---|---|
//! | key format | `format` | a change of this table starts afresh |
//! | layers below | `parent.layers`, their diffIDs | the parent counts by content, so a step that runs again and yields the same layer lets every later step hit |
//! | base configuration | `parent.environment`, `.user`, `.workdir`, `.upload_owner` | the part that a command can see; labels or ports it cannot |
//! | provisioner | `provisioner`, `options` | fully rendered, in the provisioner's own words |
//! | host files | `inputs`: path, type, permission bits, link target, bytes | never times or owners: a fresh clone hits |
//! | `inputs = [...]` | `inputs` too | what a step reads without naming it in an option |
//! | mounts | `mounts`: kind, target, owner and mode; the files of this host are in `inputs` | never what a cache holds |
//! | network | `network` | a step without network can yield something else |
//! | platform | `platform` | the same script gives other bytes |
//! | source date epoch | `epoch` | it is written into the layer |
//! | sensitive values | their digest | they decide the result, but must not lie in a file |
//! | timeout, limits, retries, pause, cache | no | they decide whether there is a result, not which |
//! | names of builds and steps | no | the same step of two builds runs once (Packer's `PACKER_BUILD_NAME` is part of the options) |
//! | isolation, thread count, host | no | the result is the same by construction |
//!
//! What it cannot see: what a command downloads. Such a step is repeated only when something in
//! this table changes, or with `--no-cache` or `cache = false`.

use crate::digest::{DiffId, Digest, StepKey};
use crate::mask::Masker;
use crate::provision::StartState;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Goes up when this table, or the way a layer's bytes are written, changes.
pub const FORMAT: u32 = 1;

/// What a step's key depends on, as a document that can be compared with an older one.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyMaterial(Value);

/// The ingredients of a key; see the table above.
#[derive(Debug)]
pub struct Ingredients<'a> {
    /// The diffIDs of all layers below, lowest first.
    pub layers: &'a [DiffId],
    /// What a command finds when it starts.
    pub start: &'a StartState,
    /// The provisioner's type.
    pub provisioner: &'a str,
    /// The provisioner's rendered options.
    pub options: Value,
    /// The entries of all host files.
    pub inputs: BTreeMap<String, String>,
    /// What each `mount` block says.
    pub mounts: Vec<Value>,
    /// `host`, `none` or `user`.
    pub network: &'a str,
    /// As `linux/amd64`.
    pub platform: &'a str,
    /// Seconds since 1970.
    pub epoch: i64,
    /// Finds what must not lie in a file.
    pub masker: &'a Masker,
}

impl KeyMaterial {
    /// Puts the ingredients together.
    pub fn new(ingredients: Ingredients<'_>) -> Self {
        let mut document = json!({
            "format": FORMAT,
            "parent": {
                "layers": ingredients.layers,
                "environment": ingredients.start.environment,
                "user": ingredients.start.user,
                "workdir": ingredients.start.workdir,
            },
            "provisioner": ingredients.provisioner,
            "options": ingredients.options,
            "inputs": ingredients.inputs,
            "network": ingredients.network,
            "platform": ingredients.platform,
            "epoch": ingredients.epoch,
        });
        let upload_owner = &ingredients.start.upload_owner;
        if !upload_owner.is_empty() {
            document["parent"]["upload_owner"] = json!(upload_owner);
        }
        // Steps without mounts have the keys that they had before there were any.
        if !ingredients.mounts.is_empty() {
            document["mounts"] = Value::Array(ingredients.mounts);
        }
        hide(&mut document, ingredients.masker);
        Self(document)
    }

    /// The key: the digest of the document's canonical form (no white space, members sorted).
    pub fn key(&self) -> StepKey {
        let mut text = String::new();
        write_canonical(&self.0, &mut text);
        StepKey(Digest::of(text))
    }

    /// The material of a document that was kept.
    pub fn of_document(document: Value) -> Self {
        Self(document)
    }

    /// Whether something sensitive is part of it, if only as a digest.
    ///
    /// A key that depends on a secret is no name to show to others: who knows all the rest could
    /// try out secrets until the key is the same.
    pub fn has_secrets(&self) -> bool {
        let mut waiting = vec![&self.0];
        while let Some(value) = waiting.pop() {
            match value {
                Value::Object(members) if members.len() == 1 && members.contains_key(HIDDEN) => {
                    return true;
                }
                Value::Object(members) => {
                    let is_hidden = |name: &String| name.starts_with(HIDDEN_NAME);
                    if members.keys().any(is_hidden) {
                        return true;
                    }
                    waiting.extend(members.values());
                }
                Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
        false
    }

    /// The document, to be kept for a later comparison.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// Names what differs between `older`, the document of an earlier run, and this one: one short
    /// phrase for each difference, in a fixed order.
    pub fn differences(&self, older: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare(older, &self.0, &mut Vec::new(), &mut found);
        found
    }
}

/// The only member of what stands for a sensitive text.
const HIDDEN: &str = "sensitive";
/// Begins what stands for a sensitive name.
const HIDDEN_NAME: &str = "sensitive ";

/// Replaces every string that contains a secret by the digest of the string.
fn hide(value: &mut Value, masker: &Masker) {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let is_secret = |text: &str| masker.mask(text) != text;
    match value {
        Value::String(text) if is_secret(text) => {
            *value = json!({ HIDDEN: digest(text) });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, masker)),
        Value::Object(members) => {
            // Names of variables and paths of files can be secret too.
            let names: Vec<String> = members.keys().filter(|it| is_secret(it)).cloned().collect();
            for name in names {
                if let Some(member) = members.remove(&name) {
                    members.insert(format!("{HIDDEN_NAME}{}", digest(&name)), member);
                }
            }
            members.values_mut().for_each(|member| hide(member, masker));
        }
        _ => {}
    }
}

/// Writes `value` so that equal documents give equal bytes, whatever order a map has.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(member, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// One part of the way to a value in a document.
#[derive(Clone, Debug)]
enum Part {
    Member(String),
    Item(usize),
}

fn compare(older: &Value, newer: &Value, path: &mut Vec<Part>, found: &mut Vec<String>) {
    match (older, newer) {
        (older, newer) if older == newer => {}
        (Value::Object(a), Value::Object(b)) if !is_hidden(a) && !is_hidden(b) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                path.push(Part::Member(name.clone()));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => compare(a, b, path, found),
                    (Some(_), None) => found.push(phrase(path, "removed")),
                    (None, Some(_)) => found.push(phrase(path, "added")),
                    (None, None) => {}
                }
                path.pop();
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && !is_layers(path) => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                path.push(Part::Item(index));
                compare(a, b, path, found);
                path.pop();
            }
        }
        _ => found.push(phrase(path, "changed")),
    }
}

fn is_hidden(members: &Map<String, Value>) -> bool {
    members.len() == 1 && members.contains_key("sensitive")
}

fn is_layers(path: &[Part]) -> bool {
    matches!(path, [Part::Member(parent), Part::Member(layers)] if parent == "parent" && layers == "layers")
}

/// Names a place of the document in the user's words.
fn phrase(path: &[Part], verb: &str) -> String {
    match path {
        [Part::Member(parent), Part::Member(layers), ..]
            if parent == "parent" && layers == "layers" =>
        {
            "the layers below changed".to_owned()
        }
        [Part::Member(parent), Part::Member(what), ..] if parent == "parent" => {
            format!("the base's {what} {verb}")
        }
        [Part::Member(inputs), Part::Member(file), ..] if inputs == "inputs" => {
            // The place in the option tells files of one name apart, and the user nothing.
            let name = file
                .split_once("] ")
                .map_or(file.as_str(), |(_, name)| name);
            format!("file {name} {verb}")
        }
        [Part::Member(options), rest @ ..] if options == "options" && !rest.is_empty() => {
            format!("option {} {verb}", dotted(rest))
        }
        [Part::Member(format)] if format == "format" => {
            "this version of hardtack writes layers in another way".to_owned()
        }
        path => format!("{} {verb}", dotted(path)),
    }
}

fn dotted(path: &[Part]) -> String {
    let mut text = String::new();
    for part in path {
        match part {
            Part::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Part::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    fn material<'a>(change: impl FnOnce(&mut Ingredients<'a>)) -> KeyMaterial {
        static START: StartState = StartState {
            environment: Vec::new(),
            user: String::new(),
            workdir: String::new(),
            upload_owner: String::new(),
        };
        static NO_SECRETS: LazyLock<Masker> = LazyLock::new(Masker::default);
        static LAYERS: LazyLock<[DiffId; 1]> = LazyLock::new(|| [DiffId(Digest::of("base"))]);
        let mut ingredients = Ingredients {
            layers: LAYERS.as_slice(),
            start: &START,
            provisioner: "shell",
            options: json!({ "scripts": [{ "inline": "echo hunter2" }], "binary": false }),
            inputs: BTreeMap::from([("a/b".to_owned(), "file 0644 x".to_owned())]),
            mounts: Vec::new(),
            network: "host",
            platform: "linux/amd64",
            epoch: 0,
            masker: &NO_SECRETS,
        };
        change(&mut ingredients);
        KeyMaterial::new(ingredients)
    }

    #[test]
    fn the_key_format_is_frozen() {
        let key = material(|_| {}).key().to_string();
        insta::assert_snapshot!(key, @"sha256:0754da9646e720901b87de4f8084ab64db489729fcb7ce272aa7bc5e7d9c9afd");
    }

    #[test]
    fn every_ingredient_counts() {
        let other = StartState {
            user: "app".into(),
            ..StartState::default()
        };
        let owned = StartState {
            upload_owner: "app".into(),
            ..StartState::default()
        };
        let keys = [
            material(|_| {}),
            material(|it| it.layers = &[]),
            material(|it| it.start = &other),
            material(|it| it.start = &owned),
            material(|it| it.provisioner = "file"),
            material(|it| it.options = json!({})),
            material(|it| it.inputs.clear()),
            material(|it| it.network = "none"),
            material(|it| it.mounts = vec![json!({ "kind": "tmpfs", "target": "/x" })]),
            material(|it| it.platform = "linux/arm64"),
            material(|it| it.epoch = 1),
        ]
        .map(|material| material.key());
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_secret_decides_the_key_but_is_not_in_the_document() {
        let masker = Masker::new(["hunter2"]);
        let hidden = material(|it| {
            it.inputs = BTreeMap::from([("hunter2/a".to_owned(), String::new())]);
            it.masker = &masker;
        });
        assert!(!hidden.document().to_string().contains("hunter2"));
        let other = material(|it| {
            it.options = json!({ "scripts": [{ "inline": "echo hunter2!" }], "binary": false });
            it.masker = &masker;
        });
        assert_ne!(hidden.key(), other.key());
    }

    #[test]
    fn differences_are_named_in_the_users_words() {
        let old = material(|_| {});
        let new = material(|it| {
            it.layers = &[];
            it.options = json!({ "scripts": [{ "inline": "echo" }], "binary": true });
            it.inputs = BTreeMap::from([
                ("a/b".to_owned(), "file 0644 y".to_owned()),
                ("a/c".to_owned(), "file 0644 z".to_owned()),
            ]);
        });
        assert_eq!(
            new.differences(old.document()),
            [
                "file a/b changed",
                "file a/c added",
                "option binary changed",
                "option scripts[0].inline changed",
                "the layers below changed",
            ]
        );
        assert!(new.differences(new.document()).is_empty());
    }
}
