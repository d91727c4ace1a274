//! `packer` blocks: the versions that a template asks for.

use super::arguments::Arguments;
use super::body::Body;
use super::scope::Scope;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};

/// The version of Packer whose dialect this is: `packer.version`.
pub const PACKER_VERSION: &str = "1.16.0";

/// Checks a `packer` block. Plugins are not installed: what they do is built in, or refused where
/// it is used.
pub(super) fn check(body: &Body, scope: &Scope, diagnostics: &Diagnostics) {
    let arguments = Arguments::open(body, scope, diagnostics);
    if let Some(text) = arguments.optional::<String>("required_version") {
        let place = arguments.span("required_version");
        if !is_constraint(&text) {
            arguments.error(
                place,
                format!("{text:?} is no version constraint"),
                &["write it like \">= 1.7.0, < 2.0.0\""],
            );
        } else if !admits(&text, PACKER_VERSION) {
            arguments.error(
                place,
                format!("the template wants Packer {text}, and this is the language of {PACKER_VERSION}"),
                &["the constraint is compared with the version of Packer whose templates hardtack reads"],
            );
        }
    }
    for plugins in arguments.blocks("required_plugins") {
        for name in plugins.names() {
            check_plugin(&plugins, name);
        }
        plugins.finish();
    }
    arguments.finish();
}

/// A plugin that a template asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredPlugin {
    /// What the template calls it.
    pub name: String,
    /// Where Packer would take it from, as `github.com/hashicorp/docker`.
    pub source: String,
    /// Which versions would do.
    pub version: String,
    /// The place that asks for it.
    pub span: SourceSpan,
}

/// The plugins that `packer` blocks ask for, in the order of the text. Those that [`check`] refuses
/// are left out.
pub(super) fn required_plugins(blocks: &[Body], scope: &Scope) -> Vec<RequiredPlugin> {
    // They have been reported already.
    let ignored = Diagnostics::new();
    let mut plugins = Vec::new();
    for body in blocks {
        let arguments = Arguments::open(body, scope, &ignored);
        for block in arguments.blocks("required_plugins") {
            for name in block.names() {
                let entries = block.value(name).and_then(|it| it.as_entries().cloned());
                let text = |key: &str| {
                    let entry = entries.as_ref()?.get(key)?;
                    entry.as_str().map(str::to_owned)
                };
                if let (Some(source), Some(version)) = (text("source"), text("version")) {
                    plugins.push(RequiredPlugin {
                        name: name.to_owned(),
                        source,
                        version,
                        span: block.span(name),
                    });
                }
            }
        }
    }
    plugins
}

fn check_plugin(plugins: &Arguments<'_>, name: &str) {
    let Some(value) = plugins.value(name) else {
        return;
    };
    let place = plugins.span(name);
    let refuse = |message: &str| {
        plugins.report(
            Diagnostic::error(format!("plugin `{name}`: {message}"))
                .at(place)
                .help("write `{ version = \">= 1.0.0\", source = \"github.com/OWNER/NAME\" }`"),
        );
    };
    let Some(entries) = value.as_entries() else {
        return refuse("an object with `version` and `source` is required");
    };
    if let Some(other) = entries
        .keys()
        .find(|key| !matches!(&***key, "version" | "source"))
    {
        return refuse(&format!("there is no argument `{other}` here"));
    }
    let text = |key: &str| entries.get(key).and_then(Value::as_str);
    let (version, source) = match (text("version"), text("source")) {
        (None, _) => return refuse("`version` is required, as a string"),
        (_, None) => return refuse("`source` is required, as a string"),
        (Some(version), Some(source)) => (version, source),
    };
    if !is_constraint(version) {
        return refuse(&format!("{version:?} is no version constraint"));
    }
    if version
        .split(',')
        .any(|one| operator(one.trim()).1.contains('-'))
    {
        return refuse(&format!(
            "{version:?} asks for a prerelease, which plugins have not"
        ));
    }
    if let Some(reason) = wrong_source(source) {
        refuse(&format!("{source:?} is no plugin source: {reason}"));
    }
}

/// Why a text is not the source of a plugin, as `github.com/hashicorp/docker` is one.
fn wrong_source(source: &str) -> Option<&'static str> {
    let parts: Vec<&str> = source.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let is_word = |part: &&str| {
        let mut letters = part.chars();
        !part.is_empty()
            && letters
                .all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':'))
    };
    if source.contains("://") {
        Some("it is written without a scheme")
    } else if parts.len() < 3 {
        Some("it has a host and at least two more parts")
    } else if !parts.iter().all(is_word) {
        Some("its parts are made of letters, digits, `-`, `_` and `.`")
    } else if name.to_lowercase().starts_with("packer-") {
        Some("the name is written without `packer-`")
    } else {
        None
    }
}

/// Whether all of a list of constraints hold for `version`, which is three numbers.
///
/// A prerelease is only admitted by naming it, so constraints with one never hold here.
fn admits(constraints: &str, version: &str) -> bool {
    let version = numbers(version);
    constraints.split(',').all(|one| {
        let (operator, wanted) = operator(one.trim());
        if wanted.contains('-') {
            return operator == "!=";
        }
        let given = wanted.split('.').count();
        let wanted = numbers(wanted);
        match operator {
            "!=" => version != wanted,
            ">" => version > wanted,
            ">=" => version >= wanted,
            "<" => version < wanted,
            "<=" => version <= wanted,
            // All parts but the last of those given are fixed.
            "~>" => {
                version >= wanted
                    && version
                        .iter()
                        .zip(&wanted)
                        .take(given.max(2) - 1)
                        .all(|(a, b)| a == b)
            }
            _ => version == wanted,
        }
    })
}

/// The first three numbers of a version; those that are not given are 0.
fn numbers(version: &str) -> [u64; 3] {
    let version = version.strip_prefix('v').unwrap_or(version);
    let version = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = [0; 3];
    for (number, text) in numbers.iter_mut().zip(version.split('.')) {
        *number = text.parse().unwrap_or(u64::MAX);
    }
    numbers
}

/// A constraint's operator and its version; without one it is `=`.
fn operator(constraint: &str) -> (&'static str, &str) {
    ["!=", ">=", "<=", "~>", "=", ">", "<"]
        .into_iter()
        .find_map(|operator| Some((operator, constraint.strip_prefix(operator)?.trim())))
        .unwrap_or(("=", constraint))
}

/// Whether a text is a list of constraints, such as `>= 1.7, < 2`.
fn is_constraint(text: &str) -> bool {
    text.split(',')
        .all(|one| is_version(operator(one.trim()).1))
}

/// Whether a text is a version: numbers, perhaps a prerelease and build metadata.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, metadata) = text.split_once('+').unwrap_or((text, "0"));
    let (numbers, prerelease) = text.split_once('-').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'~'))
    };
    numbers
        .split('.')
        .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        && is_label(metadata)
        && is_label(prerelease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        for (text, expected) in [
            (">= 1.7.0", true),
            ("~> 1", true),
            (">=1.7,<2.0.0-beta1", true),
            ("1.2.3+build.5", true),
            ("!= v1.0", true),
            ("", false),
            ("latest", false),
            (">= 1.7 < 2", false),
            ("> 1..2", false),
            (">> 1", false),
        ] {
            assert_eq!(is_constraint(text), expected, "{text}");
        }
    }

    #[test]
    fn plugin_sources() {
        for (text, is_right) in [
            ("github.com/hashicorp/docker", true),
            ("github.com/Hashicorp/Docker", true),
            ("example.com:8080/a/b/c", true),
            ("hashicorp/docker", false),
            ("docker", false),
            ("github.com//docker", false),
            ("github.com/hashicorp/", false),
            ("https://github.com/hashicorp/docker", false),
            ("github.com/hashicorp/packer-plugin-docker", false),
            ("github.com/hashi corp/docker", false),
        ] {
            assert_eq!(wrong_source(text).is_none(), is_right, "{text}");
        }
    }

    #[test]
    fn what_constraints_admit() {
        for (text, expected) in [
            (">= 1.7.0", true),
            ("~> 1.7", true),
            ("~> 1.16.0", true),
            ("~> 1.15.0", false),
            ("~> 1", true),
            ("1.16", true),
            ("= v1.16.0", true),
            ("1.16.1", false),
            ("!= 1.16.0", false),
            (">= 1.7, < 1.16", false),
            ("> 1.15.9, <= 1.16.0", true),
            (">= 99", false),
            (">= 1.16.0-beta1", false),
        ] {
            assert_eq!(admits(text, "1.16.0"), expected, "{text}");
        }
    }
}
