//! Components: provisioners, post-processors and tests, with the arguments that all of them share.

use super::arguments::Arguments;
use super::body::{Body, Overrides};
use super::build::SourceUse;
use super::scope::Scope;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use std::time::Duration;

/// A provisioner, a post-processor or a test of a build.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its type, such as `shell`; of a test always `test`.
    pub kind: String,
    /// The place of its label: its type, or a test's name.
    pub kind_span: SourceSpan,
    /// The name that the command line can refer to.
    pub name: Option<String>,
    /// The sources that it is for, as `TYPE.NAME`; all if empty.
    pub only: Vec<String>,
    /// The sources that it is not for, as `TYPE.NAME`.
    pub except: Vec<String>,
    /// How long to wait before it runs.
    pub pause_before: Option<Duration>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How often it is run again when it fails.
    pub max_retries: u32,
    /// Whether the build goes on when it has failed.
    pub continue_on_error: bool,
    /// Whether what it was given is kept; none means as its type does by default.
    pub keep_input_artifact: Option<bool>,
    /// Its own arguments.
    pub body: Body,
}

/// What a component does in a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComponentGroup {
    Provisioner,
    PostProcessor,
    Test,
}

impl ComponentGroup {
    fn name(self) -> &'static str {
        match self {
            ComponentGroup::Provisioner => "provisioner",
            ComponentGroup::PostProcessor => "post-processor",
            ComponentGroup::Test => "test",
        }
    }

    /// What its label is.
    fn label(self) -> &'static str {
        match self {
            ComponentGroup::Provisioner | ComponentGroup::PostProcessor => "type",
            ComponentGroup::Test => "name",
        }
    }

    /// The arguments that all components of the group have.
    fn shared_arguments(self) -> &'static [&'static str] {
        match self {
            ComponentGroup::Provisioner => &[
                "name",
                "only",
                "except",
                "override",
                "pause_before",
                "timeout",
                "max_retries",
                "continue_on_error",
            ],
            ComponentGroup::PostProcessor => &["name", "only", "except", "keep_input_artifact"],
            ComponentGroup::Test => &["only", "except"],
        }
    }
}

impl Component {
    /// Whether it is for this source.
    pub fn applies_to(&self, source: &SourceUse) -> bool {
        let name = source.full_name();
        (self.only.is_empty() || self.only.contains(&name)) && !self.except.contains(&name)
    }

    /// `TYPE.NAME` if it has a name, else `TYPE`.
    pub fn display_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{}.{name}", self.kind),
            None => self.kind.clone(),
        }
    }

    /// Reads what all components share; the rest stays in the body.
    pub(super) fn decode(
        mut body: Body,
        group: ComponentGroup,
        scope: &Scope,
        diagnostics: &Diagnostics,
    ) -> Option<Component> {
        let [label] = body.labels.as_slice() else {
            diagnostics.push(
                Diagnostic::error(format!(
                    "a {} has one label, its {}",
                    group.name(),
                    group.label()
                ))
                .at(body.header)
                .help(format!(
                    "write `{} \"{}\" {{ … }}`",
                    group.name(),
                    group.label().to_uppercase()
                )),
            );
            return None;
        };
        let (label, kind_span) = (label.text.to_string(), label.span);
        let arguments = Arguments::open(&body, scope, diagnostics);
        let only: Vec<String> = arguments.optional("only").unwrap_or_default();
        let except: Vec<String> = arguments.optional("except").unwrap_or_default();
        if !only.is_empty() && !except.is_empty() {
            diagnostics.push(
                Diagnostic::error("`only` and `except` cannot be given together")
                    .at(arguments.span("except"))
                    .note(arguments.span("only"), ""),
            );
        }
        let (kind, name) = match group {
            ComponentGroup::Test => (group.name().to_owned(), Some(label)),
            ComponentGroup::Provisioner | ComponentGroup::PostProcessor => {
                (label, arguments.optional("name"))
            }
        };
        let mut component = Component {
            kind,
            kind_span,
            name,
            only,
            except,
            pause_before: None,
            timeout: None,
            max_retries: 0,
            continue_on_error: false,
            keep_input_artifact: None,
            body: body.clone(),
        };
        let mut overrides = None;
        match group {
            ComponentGroup::Test => {}
            ComponentGroup::PostProcessor => {
                component.keep_input_artifact = arguments.optional("keep_input_artifact");
            }
            ComponentGroup::Provisioner => {
                component.pause_before = arguments.optional("pause_before");
                component.timeout = arguments.optional("timeout");
                component.max_retries = arguments.optional("max_retries").unwrap_or(0);
                component.continue_on_error =
                    arguments.optional("continue_on_error").unwrap_or(false);
                overrides = read_overrides(&arguments, diagnostics);
            }
        }
        body.overrides = overrides;
        body.taken = group.shared_arguments();
        component.body = body;
        Some(component)
    }
}

fn read_overrides(arguments: &Arguments<'_>, diagnostics: &Diagnostics) -> Option<Overrides> {
    let value: Value = arguments.optional("override")?;
    let span = arguments.span("override");
    let by_source = value.as_entries().cloned();
    let by_source = by_source.filter(|entries| {
        entries
            .values()
            .all(|arguments| arguments.as_entries().is_some())
    });
    if by_source.is_none() {
        diagnostics.push(
            Diagnostic::error("`override` holds arguments by the name of the source")
                .at(span)
                .help("write `override = { SOURCE = { ARGUMENT = … } }`"),
        );
    }
    by_source.map(|by_source| Overrides { span, by_source })
}
