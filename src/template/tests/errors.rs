//! Errors of whole templates, as the user reads them.

use super::errors_of;

/// The errors of a template.
fn errors(template: &str) -> String {
    errors_of(template, &[], &[])
}

#[test]
fn errors_of_all_kinds_at_once() {
    insta::assert_snapshot!(errors(
        r#"
vriable "a" {}
variable "b" { type = strng }
variable "c" {}
variable "c" {}
variable "d" {
  default = 5
  validation {
    condition     = var.d > 10
    error_message = "Too small."
  }
}
locals {
  x = local.y
  y = local.z + 1
  z = local.x
  bad = 0 / 0
  unused = var.nope
}
source "oci" "base" {}
source "oci" "base" {}
build {
  sources = ["oci.bse", "oci"]
  provisioner {}
  provisioner "shell" {
    only     = ["a"]
    except   = ["b"]
    timeout  = "soon"
  }
}
"#
    ), @r#"
        error: there is no block `vriable` here
         --> t.pkr.hcl:2:1
          |
        2 | vriable "a" {}
          | ^^^^^^^^^^^
          |
          = help: did you mean `variable`?

        error: variable `c` is declared twice
         --> t.pkr.hcl:5:10
          |
        4 | variable "c" {}
          |          --- first here
        5 | variable "c" {}
          |          ^^^

        error: source `oci.base` is declared twice
          --> t.pkr.hcl:21:1
           |
        20 | source "oci" "base" {}
           | ------------------- first here
        21 | source "oci" "base" {}
           | ^^^^^^^^^^^^^^^^^^^

        error: locals refer to each other in a circle: local.x -> local.y -> local.z -> local.x
          --> t.pkr.hcl:14:7
           |
        14 |   x = local.y
           |       ^^^^^^^
        15 |   y = local.z + 1
           |       -------
        16 |   z = local.x
           |       -------

        error: there is no type `strng`
         --> t.pkr.hcl:3:23
          |
        3 | variable "b" { type = strng }
          |                       ^^^^^
          |
          = help: did you mean `string`?

        error: variable `c` has no value
         --> t.pkr.hcl:4:1
          |
        4 | variable "c" {}
          | ^^^^^^^^^^^^
          |
          = help: give it one with `-var c=…`, a -var-file or PKR_VAR_c, or declare a default

        error: invalid value for variable `d` by default
         --> t.pkr.hcl:7:13
          |
        7 |   default = 5
          |             ^ Too small.
        8 |   validation {
        9 |     condition     = var.d > 10
          |                     ---------- this rule does not hold

        error: zero cannot be divided by zero, nor infinity by infinity
          --> t.pkr.hcl:17:9
           |
        17 |   bad = 0 / 0
           |         ^^^^^

        error: variable `nope` is not declared
          --> t.pkr.hcl:18:16
           |
        18 |   unused = var.nope
           |                ^^^^
           |
           = help: declare it: variable "nope" {}

        error: source `oci.bse` is not declared
          --> t.pkr.hcl:23:14
           |
        23 |   sources = ["oci.bse", "oci"]
           |              ^^^^^^^^^
           |
           = help: did you mean `oci.base`?

        error: "oci" does not refer to a source
          --> t.pkr.hcl:23:25
           |
        23 |   sources = ["oci.bse", "oci"]
           |                         ^^^^^
           |
           = help: write "source.TYPE.NAME"

        error: a provisioner has one label, its type
          --> t.pkr.hcl:24:3
           |
        24 |   provisioner {}
           |   ^^^^^^^^^^^
           |
           = help: write `provisioner "TYPE" { … }`

        error: `only` and `except` cannot be given together
          --> t.pkr.hcl:27:5
           |
        26 |     only     = ["a"]
           |     ----------------
        27 |     except   = ["b"]
           |     ^^^^^^^^^^^^^^^^

        error: `timeout`: "soon" is no duration; write it like "90s", "5m" or "1h30m"
          --> t.pkr.hcl:28:16
           |
        28 |     timeout  = "soon"
           |                ^^^^^^
        "#);
}

#[test]
fn errors_of_given_values() {
    insta::assert_snapshot!(errors_of(
        r#"
variable "count" {
  type = number
}
variable "names" {
  type = list(string)
}
"#,
        &["unknown = 1\nnames = [\"a\", upper(\"b\"), var.count]"],
        &["count=many", "nmes=[]", "names"],
    ), @r#"
        warning: variable `unknown` is not declared
         --> 0.pkrvars.hcl:1:1
          |
        1 | unknown = 1
          | ^^^^^^^

        error: variable `nmes` is not declared
         --> <-var nmes>:1:1
          |
        1 | []
          | ^^
          |
          = help: did you mean `names`?

        error: -var needs a name and a value
         --> <-var>:1:1
          |
        1 | names
          | ^^^^^
          |
          = help: write -var NAME=VALUE

        error: the value of variable `count` does not fit its type: a number is required
         --> <-var count>:1:1
          |
        1 | many
          | ^^^^
          |
         ::: t.pkr.hcl:2:10
          |
        2 | variable "count" {
          |          ------- declared here

        error: functions cannot be called here
         --> 0.pkrvars.hcl:2:15
          |
        2 | names = ["a", upper("b"), var.count]
          |               ^^^^^^^^^^
          |
          = help: only constants can be used; a local can call functions
        "#);
}

#[test]
fn errors_of_syntax() {
    insta::assert_snapshot!(errors("build {\n  sources = [\n}\n"), @r#"
        error: expected an expression, found `}`
         --> t.pkr.hcl:3:1
          |
        3 | }
          | ^
        "#);
    insta::assert_snapshot!(errors("locals { a = \"${1 + }\" }"), @r#"
        error: expected an expression, found `}`
         --> t.pkr.hcl:1:21
          |
        1 | locals { a = "${1 + }" }
          |                     ^
        "#);
}

#[test]
fn sensitive_values_are_not_shown_in_errors() {
    let template = r#"
variable "token" {
  type      = list(number)
  sensitive = true
  default   = ["in-default"]
}
"#;
    for (files, arguments) in [
        (&[][..], &[][..]),
        (&["token = [\"in-file\"]"], &[]),
        (&[], &["token=[\"in-argument\"]"]),
        (&[], &["token=in-argument]"]),
    ] {
        let shown = errors_of(template, files, arguments);
        assert!(shown.contains("error: "), "{shown}");
        assert!(!shown.contains("in-"), "{shown}");
    }
}

#[test]
fn what_depends_on_an_error_is_no_error() {
    let shown = errors(
        r#"
locals {
  failed = nope
  also   = upper(local.failed)
}
source "oci" "a" {}
build {
  name    = local.also
  sources = [local.failed]
  dynamic "provisioner" {
    for_each = local.failed
    labels   = ["shell"]
    content {}
  }
}
"#,
    );
    assert_eq!(shown.matches("error: ").count(), 1, "{shown}");
}

#[test]
fn errors_of_blocks() {
    for (template, expected) in [
        ("x = 1", "there is no argument `x` here"),
        ("build \"x\" {}", "a `build` block has no labels"),
        ("variable {}", "a `variable` block has one label"),
        ("source \"oci\" {}", "a `source` block has two labels"),
        ("data \"http\" \"x\" {}", "`url` is required"),
        ("data \"http\" {}", "a `data` block has two labels"),
        (
            "provisioner \"shell\" {}",
            "there is no block `provisioner` here",
        ),
        (
            "variable \"1x\" {}",
            "\"1x\" cannot be the name of a variable",
        ),
        (
            "variable \"x\" { defualt = 1 }",
            "there is no argument `defualt` here",
        ),
        (
            "variable \"x\" { default = upper(\"a\") }",
            "functions cannot be called here",
        ),
        (
            "variable \"x\" { default = var.y }",
            "there is no variable named `var`",
        ),
        (
            "variables {\n x {}\n}",
            "a `variables` block holds only arguments",
        ),
        (
            "locals {\n x {}\n}",
            "a `locals` block holds only arguments",
        ),
        ("local \"x\" {}", "`expression` is required"),
        ("locals { x = local.x }", "local `x` refers to itself"),
        (
            "packer { required_version = \"new\" }",
            "\"new\" is no version constraint",
        ),
        (
            "packer {\n required_plugins { docker = \"1.0\" }\n}",
            "plugin `docker`: an object",
        ),
        ("build {}", "this build has no source"),
        (
            "build { sources = [\"a\"] }",
            "\"a\" does not refer to a source",
        ),
        (
            "build { sources = \"source.a.b\" }",
            "`sources`: a list is required",
        ),
        (
            "build { sources = [\"source.oci.x\"] }",
            "source `oci.x` is not declared",
        ),
    ] {
        let shown = errors(template);
        assert!(
            shown.contains(&format!("error: {expected}")),
            "{template}: {shown}"
        );
    }
}

#[test]
fn errors_of_sources() {
    let source = "source \"oci\" \"a\" { image = \"x\" }\n";
    for (build, expected) in [
        (
            "sources = [\"oci.a\", \"source.oci.a\"]",
            "`oci.a` is built twice",
        ),
        (
            "source \"oci.a\" {\n image = \"y\"\n }",
            "`image` is set by the source already",
        ),
        (
            "source \"oci\" \"a\" {}",
            "a source within a build has one label",
        ),
        (
            "sources = [\"oci.a\"]\nprovisoner \"x\" {}",
            "there is no block `provisoner` here",
        ),
        (
            "sources = [\"oci.a\"]\nprovisioner \"x\" {\n override = 1\n }",
            "`override` holds arguments",
        ),
        (
            "sources = [\"oci.a\"]\nprovisioner \"x\" {\n max_retries = -1\n }",
            "`max_retries`: a whole number",
        ),
        (
            "sources = [\"oci.a\"]\ndynamic \"provisioner\" {\n for_each = [1]\n }",
            "`content` is required",
        ),
        (
            "sources = [\"oci.a\"]\ndynamic \"provisioner\" {\n for_each = 1\n content {}\n }",
            "a number cannot be iterated",
        ),
        (
            "sources = [\"oci.a\"]\npost-processors {\n x = 1\n }",
            "there is no argument `x` here",
        ),
    ] {
        let shown = errors(&format!("{source}build {{\n{build}\n}}\n"));
        assert!(
            shown.contains(&format!("error: {expected}")),
            "{build}: {shown}"
        );
    }
}

#[test]
fn rules_of_variables() {
    let rule = |condition: &str, message: &str| {
        errors(&format!(
            "variable \"x\" {{\n default = \"ab\"\n validation {{\n condition = {condition}\n error_message = \"{message}\"\n }}\n}}"
        ))
    };
    for (condition, message, expected) in [
        ("length(var.x) == 2", "Right.", "no errors"),
        (
            "length(var.x) == 3",
            "Wrong!",
            "invalid value for variable `x` by default",
        ),
        (
            "length(var.x) == 2",
            "no sentence.",
            "an error_message is made of full sentences",
        ),
        (
            "length(var.x) == 2",
            "No end",
            "an error_message is made of full sentences",
        ),
        ("true", "Right.", "this rule does not check its variable"),
        (
            "var.x == var.y",
            "Right.",
            "a rule can refer to its own variable only",
        ),
        (
            "length(var.x)",
            "Right.",
            "a condition must be a bool, not a number",
        ),
        (
            "local.y == var.x",
            "Right.",
            "there is no variable named `local`",
        ),
    ] {
        let shown = rule(condition, message);
        assert!(shown.contains(expected), "{condition}: {shown}");
    }
}
