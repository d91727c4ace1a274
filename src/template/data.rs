//! Data sources: values that a template gets from elsewhere, by `data` blocks.
//!
//! A data source is checked whenever a template is loaded, and asked only when something needs its
//! value; which one refers to which is [`graph`](super::graph)'s.

mod http;

use super::arguments::Arguments;
use super::body::Body;
use super::scope::Scope;
use super::syntax::{Block, Expression};
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, did_you_mean};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The types of data sources that there are.
const KINDS: [&str; 2] = ["http", "null"];

/// Data sources of Packer and its common plugins that are not there.
const UNSUPPORTED: [&str; 17] = [
    "amazon-ami",
    "amazon-parameterstore",
    "amazon-secretsmanager",
    "external",
    "external-raw",
    "git-commit",
    "git-repository",
    "git-tree",
    "googlecompute-image",
    "googlecompute-secretsmanager",
    "hcp-packer-artifact",
    "hcp-packer-image",
    "hcp-packer-iteration",
    "hcp-packer-version",
    "ibmcloud-image",
    "oracle-oci-image",
    "sshkey",
];

/// A declared data source.
#[derive(Debug)]
pub(super) struct DataSource {
    /// None if there is no such type, which has been reported.
    kind: Option<Kind>,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Null,
}

/// Data sources by type and name.
#[derive(Debug, Default)]
pub(super) struct DataSources {
    by_kind: BTreeMap<Arc<str>, BTreeMap<Arc<str>, DataSource>>,
}

impl DataSources {
    /// Takes over a `data` block; its labels are the type and the name.
    pub(super) fn declare(&mut self, block: &Block, diagnostics: &Diagnostics) {
        let [kind_label, name] = block.labels.as_slice() else {
            return;
        };
        let kind = match &*kind_label.text {
            "http" => Some(Kind::Http),
            "null" => Some(Kind::Null),
            other => {
                let known = format!("data sources are {}", KINDS.join(" and "));
                let error = if UNSUPPORTED.contains(&other) {
                    Diagnostic::error(format!("the data source {other:?} is not supported"))
                } else {
                    Diagnostic::error(format!("there is no data source of type {other:?}"))
                        .help_maybe(did_you_mean(other, KINDS))
                };
                diagnostics.push(error.at(kind_label.span).help(known));
                None
            }
        };
        let source = DataSource {
            kind,
            body: Body::new(block),
        };
        let same_kind = self.by_kind.entry(kind_label.text.clone()).or_default();
        match same_kind.entry(name.text.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(source);
            }
            Entry::Occupied(entry) => diagnostics.push(
                Diagnostic::error(format!(
                    "data source `{}.{}` is declared twice",
                    kind_label.text, name.text
                ))
                .at(source.body.header())
                .note(entry.get().body.header(), "first here"),
            ),
        }
    }

    /// A data source by type and name.
    pub(super) fn get(&self, kind: &str, name: &str) -> Option<&DataSource> {
        self.by_kind.get(kind)?.get(name)
    }

    /// All types and names.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let kinds = self.by_kind.iter();
        kinds.flat_map(|(kind, sources)| sources.keys().map(move |name| (kind, name)))
    }
}

impl DataSource {
    /// The place of its header.
    pub(super) fn place(&self) -> SourceSpan {
        self.body.header()
    }

    /// Whether its value comes from outside.
    pub(super) fn asks(&self) -> bool {
        self.kind == Some(Kind::Http)
    }

    /// The expressions in its body.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        let mut expressions = Vec::new();
        for part in &self.body.parts {
            part.each_value(&mut |expression| expressions.push(expression));
        }
        expressions
    }

    /// Checks the arguments, and gives the value as far as it is known without asking; none after
    /// an error. `scope` is one that does not ask either.
    pub(super) fn check(&self, scope: &Scope, diagnostics: &Diagnostics) -> Option<Value> {
        self.read(scope, diagnostics, |_| {
            Some(Value::Unknown(http::answer_type()))
        })
    }

    /// The value, asked for; none after an error.
    pub(super) fn ask(&self, scope: &Scope, diagnostics: &Diagnostics) -> Option<Value> {
        let services = &scope.globals().world.services;
        self.read(scope, diagnostics, |question| {
            match question?.ask(&**services) {
                Ok(value) => Some(value),
                Err(error) => {
                    let [kind, name] = [0, 1].map(|label| self.body.label(label).unwrap_or(""));
                    diagnostics.push(
                        Diagnostic::error(format!(
                            "data source `{kind}.{name}`: {}",
                            error.message
                        ))
                        .at(self.body.header())
                        .help_maybe(error.help),
                    );
                    None
                }
            }
        })
    }

    fn read(
        &self,
        scope: &Scope,
        diagnostics: &Diagnostics,
        ask: impl FnOnce(Option<http::Question>) -> Option<Value>,
    ) -> Option<Value> {
        let arguments = Arguments::open(&self.body, scope, diagnostics);
        let before = diagnostics.error_count();
        match self.kind? {
            Kind::Null => {
                let input = read_input(&arguments);
                arguments.finish();
                (diagnostics.error_count() == before).then(|| Value::object([("output", input)]))
            }
            Kind::Http => {
                let question = http::Question::read(&arguments);
                arguments.finish();
                if diagnostics.error_count() > before {
                    return None;
                }
                ask(question)
            }
        }
    }
}

/// What the data source `null` gives back; it may be unknown.
fn read_input(arguments: &Arguments<'_>) -> Value {
    match arguments.value("input") {
        Some(value) if value.is_unknown() => Value::Unknown(Type::String),
        _ => Value::string(arguments.optional::<String>("input").unwrap_or_default()),
    }
}
