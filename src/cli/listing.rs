//! Listings of a template's names and values, in the words and with the spaces of Packer's
//! `inspect` and console.

use crate::template::{self, Build, Template, Value};
use std::borrow::Borrow;
use std::fmt::Write as _;

/// The values of variables and locals.
pub fn values(template: &Template) -> String {
    let mut text = String::from("> input-variables:\n\n");
    write_values("var", template.variables(), &mut text);
    text.push_str("\n> local-variables:\n\n");
    write_values("local", template.locals(), &mut text);
    text
}

/// The builds with their sources, provisioners and post-processors.
pub fn builds(template: &Template) -> String {
    let mut text = String::from("> builds:\n");
    for (index, build) in template.builds().iter().enumerate() {
        let name = match &build.name {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("<unnamed build {index}>"),
        };
        write_build(&name, build, &mut text);
    }
    text
}

fn write_values<'t>(
    kind: &str,
    values: impl Iterator<Item = (&'t str, impl Borrow<Value>)>,
    text: &mut String,
) {
    for (name, value) in values {
        let value = template::go_quoted(&template::display(value.borrow()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{kind}.{name}: {value}");
    }
}

fn write_build(name: &str, build: &Build, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\n  > {name}:\n\n");
    if let Some(description) = build.description.as_ref().filter(|it| !it.is_empty()) {
        let _ = write!(text, "  > Description: {description}\n\n");
    }
    text.push_str("    sources:\n");
    if build.uses.is_empty() {
        text.push_str("\n      <no source>\n");
    }
    for source in &build.uses {
        let _ = write!(text, "\n      {}.{}\n", source.kind, source.source_name);
    }
    text.push_str("\n    provisioners:\n\n");
    if build.provisioners.is_empty() {
        text.push_str("      <no provisioner>\n");
    }
    for provisioner in &build.provisioners {
        let _ = writeln!(text, "      {}", provisioner.display_name());
    }
    // Packer has none, so its listing stays as it is without them.
    if !build.tests.is_empty() {
        text.push_str("\n    tests:\n\n");
    }
    for test in build.tests.iter().filter_map(|test| test.name.as_ref()) {
        let _ = writeln!(text, "      {test}");
    }
    text.push_str("\n    post-processors:\n");
    if build.post_processors.is_empty() {
        text.push_str("\n      <no post-processor>\n");
    }
    for (index, chain) in build.post_processors.iter().enumerate() {
        let _ = write!(text, "\n      {index}:\n");
        for post_processor in chain {
            let _ = writeln!(text, "        {}", post_processor.display_name());
        }
    }
}
