//! `hcp_packer_registry` blocks: checked, so that a template stays right for Packer, and otherwise
//! without effect.

use super::arguments::Arguments;
use super::body::Body;
use super::scope::Scope;
use crate::diagnostic::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;

/// The longest description.
const MAX_DESCRIPTION: usize = 255;

/// Checks a block, and says that it has no effect.
pub(super) fn check(body: &Body, scope: &Scope, diagnostics: &Diagnostics) {
    diagnostics.push(
        Diagnostic::warning("the HCP registry is not supported; this block is ignored")
            .at(body.header()),
    );
    let arguments = Arguments::open(body, scope, diagnostics);
    let name: Option<String> = arguments.optional("bucket_name");
    if let Some(name) = name.filter(|name| !is_bucket_name(name)) {
        arguments.error(
            arguments.span("bucket_name"),
            format!("{name:?} is no name of a bucket"),
            &["it has 3 to 36 letters, digits and hyphens"],
        );
    }
    let description: Option<String> = arguments.optional("description");
    if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        arguments.error(
            arguments.span("description"),
            format!("a description has at most {MAX_DESCRIPTION} characters"),
            &[],
        );
    }
    for labels in ["bucket_labels", "build_labels", "labels"] {
        let _labels: Option<BTreeMap<String, String>> = arguments.optional(labels);
    }
    let _channels: Option<Vec<String>> = arguments.optional("channels");
    arguments.finish();
}

fn is_bucket_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (3..=36).contains(&name.len()) && name.bytes().all(is_letter)
}
