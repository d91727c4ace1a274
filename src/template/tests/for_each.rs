//! `for_each` of sources and builds.

use super::{errors_of, load_with, show};
use crate::diagnostic::{Colours, Diagnostics};
use crate::template::{ScopeNames, Template, Value};

fn loaded(template: &str) -> Template {
    match load_with(template, &[], &[]) {
        Ok(loaded) => loaded.template,
        Err(error) => panic!("{}", error.diagnostics.render(&error.sources, Colours::Off)),
    }
}

/// Each run of the template's builds, by name, with the value of the source's argument `x`.
fn runs(template: &Template) -> Vec<String> {
    let mut runs = Vec::new();
    for build in template.builds() {
        for source in &build.uses {
            let scope = template.scope(&ScopeNames {
                source: Some((source.kind.clone(), source.name().to_owned())),
                ..ScopeNames::default()
            });
            let diagnostics = Diagnostics::new();
            let arguments = template.arguments(&source.body, &scope, &diagnostics);
            let value: Option<Value> = arguments.optional("x");
            arguments.finish();
            assert!(!diagnostics.has_errors());
            let value = value.map_or_else(|| "-".to_owned(), |value| show(&value));
            let name = build.name.as_deref().unwrap_or("");
            runs.push(format!("{name}:{} {value}", source.full_name()));
        }
    }
    runs
}

#[test]
fn sources() {
    for (text, expected) in [
        (
            r#"
source "oci" "base" {
  for_each = { a = 1, "22.04" = 2 }
  x        = "${each.key}/${each.value}/${source.name}"
}
build { sources = ["source.oci.base"] }
build {
  name = "one"
  sources = ["oci.base-22.04"]
}
build {
  name = "own"
  source "oci.base" { name = "n${each.value}" }
}
"#,
            &[
                ":oci.base-22.04 \"22.04/2/base-22.04\"",
                ":oci.base-a \"a/1/base-a\"",
                "one:oci.base-22.04 \"22.04/2/base-22.04\"",
                "own:oci.n2 \"22.04/2/n2\"",
                "own:oci.n1 \"a/1/n1\"",
            ][..],
        ),
        (
            r#"
locals { names = ["x", "y"] }
source "oci" "base" {
  for_each = local.names
  x        = each.value
}
build {
  for_each = convert(local.names, set(string))
  sources  = ["oci.base-${each.key}"]
}
build {
  for_each = ["p", "q"]
  name     = "web"
  sources  = ["oci.base"]
}
build {
  for_each = { only = "oci.base-x" }
  name     = "${each.key}-mine"
  sources  = [each.value]
}
"#,
            &[
                "x:oci.base-x \"x\"",
                "y:oci.base-y \"y\"",
                "web-p:oci.base-x \"x\"",
                "web-p:oci.base-y \"y\"",
                "web-q:oci.base-x \"x\"",
                "web-q:oci.base-y \"y\"",
                "only-mine:oci.base-x \"x\"",
            ],
        ),
        (
            r#"
source "oci" "base" { for_each = {} }
build { sources = ["oci.base"] }
"#,
            &[],
        ),
    ] {
        assert_eq!(runs(&loaded(text)), expected);
    }
}

#[test]
fn each_is_known_in_all_of_a_build() {
    let template = loaded(
        r#"
source "oci" "base" {}
build {
  for_each = { a = { port = 1 } }
  sources  = ["oci.base"]
  provisioner "shell" {
    override = { base = { inline = ["over ${each.key}"] } }
  }
  dynamic "provisioner" {
    for_each = [each.value.port]
    labels   = ["shell"]
    content { inline = ["${each.key} ${provisioner.value}"] }
  }
  post-processors {
    dynamic "post-processor" {
      for_each = ["m"]
      labels   = ["manifest"]
      content { inline = ["${each.key} ${post-processor.value}"] }
    }
  }
}
"#,
    );
    let build = &template.builds()[0];
    let components = build.provisioners.iter().chain(&build.post_processors[0]);
    let lines: Vec<String> = components
        .map(|component| {
            let scope = template.scope(&ScopeNames {
                source: Some(("oci".to_owned(), "base".to_owned())),
                ..ScopeNames::default()
            });
            let diagnostics = Diagnostics::new();
            let arguments = template.arguments(&component.body, &scope, &diagnostics);
            let lines: Vec<String> = arguments.required("inline").unwrap_or_default();
            lines.join(";")
        })
        .collect();
    assert_eq!(lines, ["over a", "a 1", "a m"]);
}

#[test]
fn errors() {
    for (text, expected) in [
        (
            "source \"oci\" \"b\" { for_each = [\"a\", \"a\"] }",
            "`for_each` has the key \"a\" twice",
        ),
        (
            "source \"oci\" \"b\" { for_each = [1] }",
            "`for_each` cannot take a number as a key",
        ),
        (
            "source \"oci\" \"b\" { for_each = \"a\" }",
            "`for_each` cannot be a string",
        ),
        (
            "source \"oci\" \"b\" { for_each = null }",
            "`for_each` cannot be null",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a,b\"] }",
            "the key \"a,b\" of `for_each` cannot be part of a name",
        ),
        (
            "source \"oci\" \"b\" { for_each = { \"\" = 1 } }",
            "the key \"\" of `for_each` cannot be part of a name",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a\"] }\nsource \"oci\" \"b-a\" {}",
            "source `oci.b-a` is declared twice",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a-c\"] }\nsource \"oci\" \"b-a\" { for_each = [\"c\"] }",
            "source `oci.b-a-c` is declared twice",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a\"] }\nbuild { sources = [\"oci.b-x\"] }",
            "did you mean `oci.b-a`?",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a\"] }\nbuild { sources = [\"oci.b\", \"oci.b-a\"] }",
            "`oci.b-a` is built twice",
        ),
        (
            "source \"oci\" \"b\" { for_each = [\"a\", \"c\"] }\nbuild {\n  source \"oci.b\" { name = \"x\" }\n}",
            "`oci.x` is built twice",
        ),
        (
            "source \"oci\" \"b\" {}\nbuild {\n  source \"oci.b\" { for_each = [\"a\"] }\n}",
            "`for_each` makes several of a source where that is declared",
        ),
        (
            "source \"oci\" \"b\" {}\nbuild {\n  sources = [\"oci.b\"]\n  name = each.key\n}",
            "`each` is known only within blocks that have `for_each`",
        ),
        (
            "source \"oci\" \"b\" { for_each = nope }",
            "there is no variable named `nope`",
        ),
    ] {
        let shown = errors_of(text, &[], &[]);
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}
