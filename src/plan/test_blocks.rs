//! Tests: the `test` blocks of a build, or of a file of their own, decoded.

use crate::check::{self, Test};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::template::{Component, Scope, SourceUse, Template};
use std::collections::BTreeMap;

/// Decodes tests in one scope; those with mistakes are reported and left out.
pub fn decode<'c>(
    template: &Template,
    scope: &Scope,
    components: impl Iterator<Item = &'c Component>,
    diagnostics: &Diagnostics,
) -> Vec<Test> {
    let mut seen: BTreeMap<String, SourceSpan> = BTreeMap::new();
    let mut tests = Vec::new();
    for component in components {
        let before = diagnostics.error_count();
        let name = component.name.clone().unwrap_or_default();
        if let Some(first) = seen.insert(name.clone(), component.kind_span) {
            diagnostics.push(
                Diagnostic::error(format!("two tests are named {name:?}"))
                    .at_with(component.kind_span, "the second one")
                    .note(first, "the first one"),
            );
        }
        let arguments = template.arguments(&component.body, scope, diagnostics);
        let test = check::decode(&arguments, &name, component.kind_span);
        arguments.finish();
        if diagnostics.error_count() == before {
            tests.push(test);
        }
    }
    tests
}

/// Decodes the tests of a file that is no template.
pub fn decode_file(template: &Template, diagnostics: &Diagnostics) -> Vec<Test> {
    for component in template.tests() {
        if !component.only.is_empty() || !component.except.is_empty() {
            diagnostics.push(
                Diagnostic::error(
                    "`only` and `except` choose sources of a build, and here is none",
                )
                .at(component.kind_span),
            );
        }
    }
    let scope = template.scope(&Default::default());
    decode(template, &scope, template.tests().iter(), diagnostics)
}

/// Reports tests that are in no build of a template that is to be built.
pub fn refuse_outside_of_builds(template: &Template, diagnostics: &Diagnostics) {
    for test in template.tests() {
        diagnostics.push(
            Diagnostic::error("a test belongs in a `build` block")
                .at(test.body.header())
                .help("or put it into a file of its own, for `hardtack test IMAGE FILE`"),
        );
    }
}

/// Reports a test of a source that makes no image.
pub fn report_no_image(test: &Component, source: &SourceUse, diagnostics: &Diagnostics) {
    diagnostics.push(
        Diagnostic::error(format!(
            "there is nothing to test: the source {} makes no image",
            source.full_name()
        ))
        .at_with(test.body.header(), "tests an image")
        .note(source.reference, "makes none")
        .help(format!(
            "leave it out with `except = [{:?}]`",
            source.full_name()
        )),
    );
}
