//! Parsing of source texts into syntax trees, with errors as diagnostics.

use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, Sources};
use hcl::edit::expr::Expression;
use hcl::edit::parser;
use hcl::edit::structure::Body;

/// Parses a file; an error is reported, and is the only one of this file.
pub(super) fn parse_body(
    file: FileId,
    sources: &Sources,
    diagnostics: &Diagnostics,
) -> Option<Body> {
    match parser::parse_body(sources.text(file)) {
        Ok(body) => Some(body),
        Err(error) => {
            diagnostics.push(syntax_error(file, &error));
            None
        }
    }
}

/// Parses a text that is one expression.
pub(super) fn parse_expression(file: FileId, text: &str) -> Result<Expression, Diagnostic> {
    parser::parse_expr(text).map_err(|error| syntax_error(file, &error))
}

fn syntax_error(file: FileId, error: &parser::Error) -> Diagnostic {
    let offset = error.location().offset();
    let mut parts = error.message().splitn(2, "; ");
    let what = parts
        .next()
        .filter(|what| !what.is_empty())
        .unwrap_or("invalid syntax");
    let expected = parts.next().unwrap_or("");
    let error = Diagnostic::error(format!("syntax error: {what}")).at_with(
        SourceSpan::new(file, offset..offset.saturating_add(1)),
        expected,
    );
    if what == "invalid attribute" && expected == "expected `=`" {
        return error.help("a block on one line holds one argument at most, and no blocks");
    }
    error
}
