//! The `cache` block of a template's `hardtack` block: with whom results are shared.
//!
//! ```hcl
//! hardtack {
//!   cache {
//!     from = ["registry.example/team/cache"]
//!     to   = ["registry.example/team/cache"]
//!     mode = "max"
//!   }
//! }
//! ```

use crate::cache::{Mode, Sharing};
use crate::diagnostic::Diagnostics;
use crate::registry::{ReferenceError, Repository};
use crate::template::{Arguments, ScopeNames, Template};

/// Reads all `hardtack` blocks of a template.
pub fn read(template: &Template, diagnostics: &Diagnostics) -> Sharing {
    let scope = template.scope(&ScopeNames::default());
    let mut found = None;
    for body in template.settings() {
        let settings = template.arguments(body, &scope, diagnostics);
        for block in settings.blocks("cache") {
            if found.is_some() {
                block.error(
                    block.header(),
                    "this template has a second cache block",
                    &["put all repositories into the lists of one"],
                );
            }
            found = Some(cache(block));
        }
        settings.finish();
    }
    found.unwrap_or_default()
}

fn cache(block: Arguments<'_>) -> Sharing {
    let mode = match block.optional::<String>("mode").as_deref() {
        None | Some("min") => Mode::Min,
        Some("max") => Mode::Max,
        Some(other) => {
            block.error(
                block.span("mode"),
                format!("there is no cache mode {other:?}"),
                &["\"min\" shares the steps of builds that ended well, \"max\" each step at once"],
            );
            Mode::Min
        }
    };
    let sharing = Sharing {
        from: repositories(&block, "from"),
        to: repositories(&block, "to"),
        mode,
    };
    block.finish();
    sharing
}

/// The repositories in a list, each once.
fn repositories(block: &Arguments<'_>, name: &str) -> Vec<Repository> {
    let mut repositories = Vec::new();
    for text in block.optional::<Vec<String>>(name).unwrap_or_default() {
        match text.parse::<Repository>() {
            Ok(repository) if repositories.contains(&repository) => {}
            Ok(repository) => repositories.push(repository),
            Err(ReferenceError { text, reason }) => block.error(
                block.span(name),
                format!("{text:?} is no repository: {reason}"),
                &["write it like \"registry.example/team/cache\", without a tag"],
            ),
        }
    }
    repositories
}
