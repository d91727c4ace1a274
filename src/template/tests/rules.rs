//! The rules of blocks and their arguments: what is right, and what is refused with which words.
//! Where the rule is older than Packer 1.6.6, `packer validate` agrees about each template.

use super::{errors_of, show, variable};
use crate::template::tests::load_with;

/// Checks templates, each with a part of the error; empty for none.
fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        let shown = errors_of(template, &[], &[]);
        let expected = match *expected {
            "" => "no errors",
            other => other,
        };
        assert!(shown.contains(expected), "{template}\n{shown}");
        // Whatever is wrong has a place.
        assert_eq!(
            shown.contains("error: "),
            shown.contains("t.pkr.hcl:"),
            "{shown}"
        );
    }
}

#[test]
fn types_of_variables() {
    for (declaration, expected) in [
        ("type = string\n default = 1", "\"1\""),
        (
            "type = number\n default = \"0x10\"",
            "error: a number is required",
        ),
        ("type = bool\n default = \"true\"", "true"),
        (
            "type = bool\n default = \"yes\"",
            "error: a bool is required",
        ),
        ("type = any\n default = [1, \"a\"]", "[1, \"a\"]"),
        ("type = list(any)\n default = [1, \"a\"]", "[\"1\", \"a\"]"),
        (
            "type = set(string)\n default = [\"b\", \"a\", \"b\"]",
            "[\"a\", \"b\"]",
        ),
        ("type = map(number)\n default = { a = \"1\" }", "{a = 1}"),
        (
            "type = tuple([string, number])\n default = [1, \"2\"]",
            "[\"1\", 2]",
        ),
        ("type = tuple([string, number])\n default = [1]", "error: "),
        (
            "type = object({ a = string })\n default = { a = 1, b = 2 }",
            "{a = \"1\"}",
        ),
        ("type = object({ a = string })\n default = {}", "error: "),
        (
            "type = object({ a = optional(string), b = optional(number, 5) })\n default = {}",
            "{a = null, b = 5}",
        ),
        (
            "type = optional(string)\n default = null",
            "error: optional(…) is only for attributes",
        ),
        ("type = map\n default = {}", "error: "),
        ("type = \"string\"\n default = 1", "error: "),
        (
            "type = strin\n default = 1",
            "error: there is no type `strin`",
        ),
        ("type = string\n default = null", "null"),
        ("default = null", "null"),
        ("default = env(\"HOME_TOWN\")", "\"Ulm\""),
        ("default = env(\"NOT_SET\")", "\"\""),
        ("default = env(1, 2)", "error: "),
        ("default = 1 + 2", "3"),
        ("default = \"a${1}\"", "\"a1\""),
        (
            "default = lower(\"A\")",
            "error: functions cannot be called here",
        ),
        (
            "default = path.root",
            "error: there is no variable named `path`",
        ),
        (
            "default = var.other",
            "error: there is no variable named `var`",
        ),
    ] {
        let template = format!("variable \"x\" {{\n {declaration}\n}}\n");
        let value = variable(load_with(&template, &[], &[]), "x");
        match expected.starts_with("error: ") {
            true => {
                let shown = errors_of(&template, &[], &[]);
                let part = expected.trim_start_matches("error: ");
                assert!(shown.contains("error: ") && shown.contains(part), "{shown}");
            }
            false => assert_eq!(value.as_deref(), Some(expected), "{template}"),
        }
    }
}

#[test]
fn the_default_decides_the_type_of_what_is_given() {
    // What is empty or null has no type to decide, so that the text stays one.
    for (default, given, expected) in [
        ("\"a\"", "[1]", Some("\"[1]\"")),
        ("1", "2", Some("2")),
        ("1", "a", None),
        ("true", "false", Some("false")),
        ("[1]", "[\"2\"]", Some("[2]")),
        ("[1]", "a", None),
        ("[]", "[1]", Some("\"[1]\"")),
        ("{}", "{}", Some("\"{}\"")),
        ("null", "[1]", Some("\"[1]\"")),
    ] {
        let template = format!("variables {{\n x = {default}\n}}\n");
        let argument = format!("x={given}");
        let value = variable(load_with(&template, &[], &[&argument]), "x");
        assert_eq!(value.as_deref(), expected, "{default} {given}");
    }
}

#[test]
fn declarations_of_variables() {
    check(&[
        (
            "variable \"x\" { default = 1 }\nvariables { x = 2 }",
            "variable `x` is declared twice",
        ),
        ("variables {\n x = 1\n x = 2\n}", "`x` is set twice"),
        ("variables {}", ""),
        (
            "variable \"x-y\" { default = 1 }\nlocals { z = var.x-y }",
            "",
        ),
        ("variable \"ü\" { default = 1 }", ""),
        (
            "variable \"x.y\" { default = 1 }",
            "cannot be the name of a variable",
        ),
        (
            "variable \"1x\" { default = 1 }",
            "cannot be the name of a variable",
        ),
        (
            "variable \"x\" \"y\" { default = 1 }",
            "a `variable` block has one label",
        ),
        ("variable \"x\" {}", "variable `x` has no value"),
        (
            "variable \"x\" { type = string }",
            "variable `x` has no value",
        ),
        (
            "variable \"x\" {\n default = 1\n description = []\n}",
            "`description`",
        ),
        (
            "variable \"x\" {\n default = 1\n sensitive = \"true\"\n}",
            "",
        ),
        (
            "variable \"x\" {\n default = 1\n sensitive = \"abc\"\n}",
            "`sensitive`: a bool is required",
        ),
        (
            "variable \"x\" {\n default = 1\n sensitiv = true\n}",
            "did you mean `sensitive`?",
        ),
        (
            "variable \"x\" {\n default = 1\n validations {}\n}",
            "did you mean `validation`?",
        ),
    ]);
}

#[test]
fn rules_of_variables() {
    for (body, expected) in [
        (
            "condition = var.x == \"a\"\n error_message = \"It is.\"",
            "",
        ),
        (
            "condition = var.x == \"b\"\n error_message = \"It is.\"",
            "invalid value for variable `x` by default",
        ),
        (
            "condition = length(var.x) == 1\n error_message = \"Is it?\"",
            "",
        ),
        (
            "condition = \"${var.x == \"a\"}\"\n error_message = \"1 it is!\"",
            "",
        ),
        (
            "condition = var.x\n error_message = \"It is.\"",
            "a condition must be a bool",
        ),
        (
            "condition = var.x == \"a\" ? null : true\n error_message = \"It is.\"",
            "a condition must be a bool, not null",
        ),
        (
            "condition = true\n error_message = \"It is.\"",
            "this rule does not check its variable",
        ),
        (
            "condition = null\n error_message = \"It is.\"",
            "this rule does not check its variable",
        ),
        (
            "condition = var.x == var.y\n error_message = \"It is.\"",
            "a rule can refer to its own variable only",
        ),
        (
            "condition = var.x == local.y\n error_message = \"It is.\"",
            "there is no variable named `local`",
        ),
        (
            "condition = var.x == \"a\"\n error_message = \"it is.\"",
            "an error_message is made of full sentences",
        ),
        (
            "condition = var.x == \"a\"\n error_message = \"It is\"",
            "an error_message is made of full sentences",
        ),
        (
            "condition = var.x == \"a\"\n error_message = \"\"",
            "an error_message is made of full sentences",
        ),
        ("condition = var.x == \"a\"", "`error_message` is required"),
        ("error_message = \"It is.\"", "`condition` is required"),
        (
            "condition = var.x == \"a\"\n error_message = \"It is.\"\n x = 1",
            "there is no argument `x` here",
        ),
    ] {
        let template =
            format!("variable \"x\" {{\n default = \"a\"\n validation {{\n {body}\n }}\n}}\n");
        check(&[(&template, expected)]);
    }
    // The value that wins is checked, not the default.
    let template = "variable \"x\" {\n default = \"a\"\n validation {\n condition = var.x == \"b\"\n error_message = \"It is.\"\n }\n}\n";
    let value = variable(load_with(template, &["x = \"b\""], &[]), "x");
    assert_eq!(value.as_deref(), Some("\"b\""));
    let shown = errors_of(template, &["x = \"b\""], &["x=c"]);
    assert!(
        shown.contains("invalid value for variable `x` on the command line"),
        "{shown}"
    );
    let shown = errors_of(template, &["x = \"c\""], &[]);
    assert!(
        shown.contains("invalid value for variable `x` in a variable file"),
        "{shown}"
    );
}

#[test]
fn locals() {
    check(&[
        (
            "locals { a = 1 }\nlocals { a = 2 }",
            "local `a` is declared twice",
        ),
        (
            "locals { a = 1 }\nlocal \"a\" { expression = 2 }",
            "local `a` is declared twice",
        ),
        ("local \"a\" { expression = null }", ""),
        ("local \"a\" {\n expression = 1\n sensitive = true\n}", ""),
        (
            "local \"a\" {\n expression = 1\n nope = true\n}",
            "there is no argument `nope` here",
        ),
        (
            "local \"a\" \"b\" { expression = 1 }",
            "a `local` block has one label",
        ),
        (
            "locals { a = local.aa }\nlocals { ab = 1 }",
            "did you mean `a`?",
        ),
        (
            "locals { a = source.name }",
            "`source` is known only within",
        ),
        ("locals { a = build.name }", "`build` is known only within"),
        ("locals { a = packer.version }", ""),
        ("locals { a = packer.versoin }", "did you mean `version`?"),
        ("locals { a = path.home }", "it has cwd, root"),
    ]);
    let loaded = load_with(
        "locals { a = [local.b, path.cwd, path.root] }\nlocals { b = packer.version }",
        &[],
        &[],
    );
    let loaded = loaded.unwrap().template;
    let values: Vec<String> = loaded.locals().map(|(_, value)| show(&value)).collect();
    assert_eq!(
        values,
        ["[\"1.16.0\", \"/work\", \"templates\"]", "\"1.16.0\""]
    );
}

#[test]
fn packer_blocks() {
    check(&[
        ("packer { required_version = \">= 1.0.0\" }", ""),
        (
            "packer { required_version = \"< 1.0.0\" }",
            "the template wants Packer < 1.0.0",
        ),
        (
            "packer { required_version = \">= 1\" }\npacker { required_version = \"< 1.7\" }",
            "the template wants Packer < 1.7",
        ),
        (
            "packer { required_version = 1 }",
            "the template wants Packer 1,",
        ),
        (
            "packer { required_version = var.v }\nvariable \"v\" { default = \"1\" }",
            "only constants can be used here",
        ),
        (
            "packer { required_version = lower(\"1\") }",
            "functions cannot be called here",
        ),
        ("packer { foo = 1 }", "there is no argument `foo` here"),
        ("packer \"x\" {}", "a `packer` block has no labels"),
    ]);
    for (plugin, expected) in [
        (
            "{ version = \">= 1.0\", source = \"github.com/hashicorp/docker\" }",
            "",
        ),
        (
            "{ version = \"~> 1, != 1.2.3\", source = \"github.com/a/b/c\" }",
            "",
        ),
        (
            "\">= 1.0\"",
            "an object with `version` and `source` is required",
        ),
        ("{ version = \">= 1.0\" }", "`source` is required"),
        (
            "{ source = \"github.com/hashicorp/docker\" }",
            "`version` is required",
        ),
        (
            "{ version = 1, source = \"github.com/hashicorp/docker\" }",
            "`version` is required, as a string",
        ),
        (
            "{ version = \"new\", source = \"github.com/hashicorp/docker\" }",
            "\"new\" is no version constraint",
        ),
        (
            "{ version = \">= 1.0.0-dev\", source = \"github.com/hashicorp/docker\" }",
            "asks for a prerelease",
        ),
        (
            "{ version = \">= 1.0\", source = \"hashicorp/docker\" }",
            "is no plugin source",
        ),
        (
            "{ version = \">= 1.0\", source = \"github.com/hashicorp/packer-docker\" }",
            "without `packer-`",
        ),
        (
            "{ version = \">= 1.0\", source = \"github.com/hashicorp/docker\", x = 1 }",
            "there is no argument `x` here",
        ),
    ] {
        let template = format!("packer {{\n required_plugins {{\n docker = {plugin}\n }}\n}}\n");
        check(&[(&template, expected)]);
    }
}

#[test]
fn builds_and_their_sources() {
    for (body, expected) in [
        ("sources = [\"source.null.a\"]", ""),
        ("sources = [\"sources.null.a\"]", ""),
        ("sources = [\"null.${local.name}\"]", ""),
        ("sources = [local.name]", "\"a\" does not refer to a source"),
        (
            "sources = [\"null.zz\"]",
            "source `null.zz` is not declared",
        ),
        ("sources = [1]", "\"1\" does not refer to a source"),
        ("sources = \"null.a\"", "`sources`: a list is required"),
        (
            "sources = [\"null.a\", \"null.a\"]",
            "`null.a` is built twice",
        ),
        (
            "sources = [\"null.a\"]\n source \"null.a\" {}",
            "`null.a` is built twice",
        ),
        (
            "sources = [\"null.a\"]\n source \"null.a\" { name = \"b\" }",
            "",
        ),
        ("source \"source.null.a\" { name = \"b\" }", ""),
        (
            "source \"null.a\" { x = 2 }",
            "`x` is set by the source already",
        ),
        ("source \"null.a\" { y = 2 }", ""),
        (
            "source \"null\" \"a\" {}",
            "a source within a build has one label",
        ),
        ("name = \"x\"", "this build has no source"),
        (
            "name = \"a b.${local.name}\"\n description = local.name\n sources = [\"null.a\"]",
            "",
        ),
        (
            "sources = [\"null.a\"]\n dynamic \"source\" {\n for_each = [\"b\", \"c\"]\n labels = [\"null.a\"]\n content { name = source.value }\n }",
            "",
        ),
        (
            "sources = [\"null.a\"]\n descriptio = \"d\"",
            "did you mean `description`?",
        ),
        (
            "sources = [\"null.a\"]\n provisionr \"x\" {}",
            "did you mean `provisioner`?",
        ),
        (
            "sources = [\"null.a\"]\n hcp_packer_registry { bucket_name = \"a-1\" }",
            "",
        ),
        (
            "sources = [\"null.a\"]\n hcp_packer_registry { bucket_name = \"a_1\" }",
            "\"a_1\" is no name of a bucket",
        ),
        (
            "sources = [\"null.a\"]\n hcp_packer_registry {\n bucket_labels = { a = \"b\" }\n channels = [\"x\"]\n}",
            "",
        ),
        (
            "sources = [\"null.a\"]\n hcp_packer_registry { bucket_labels = [1] }",
            "`bucket_labels`: a map is required",
        ),
        (
            "sources = [\"null.a\"]\n hcp_packer_registry { bucket = 1 }",
            "there is no argument `bucket` here",
        ),
    ] {
        let template = format!(
            "locals {{\n name = \"a\"\n}}\nsource \"null\" \"a\" {{ x = 1 }}\nbuild {{\n {body}\n}}\n"
        );
        check(&[(&template, expected)]);
    }
    check(&[
        ("communicator \"ssh\" \"x\" { foo = 1 }", ""),
        ("hcp_packer_registry { description = \"d\" }", ""),
        ("source \"null\" { }", "a `source` block has two labels"),
        ("dynamic \"build\" {}", "`dynamic` works inside"),
    ]);
}

#[test]
fn arguments_that_all_components_share() {
    for (body, expected) in [
        ("provisioner \"s\" { name = \"x\" }", ""),
        (
            "provisioner { inline = [] }",
            "a provisioner has one label, its type",
        ),
        (
            "provisioner \"s\" {\n only = [\"null.a\"]\n except = [\"null.b\"]\n }",
            "cannot be given together",
        ),
        (
            "provisioner \"s\" { only = \"null.a\" }",
            "`only`: a list is required",
        ),
        (
            "provisioner \"s\" {\n pause_before = \"5s\"\n timeout = \"1h5m\"\n max_retries = \"3\"\n continue_on_error = true\n }",
            "",
        ),
        (
            "provisioner \"s\" { pause_before = 5 }",
            "`pause_before`: a duration is required",
        ),
        (
            "provisioner \"s\" { timeout = \"5 days\" }",
            "is no duration",
        ),
        (
            "provisioner \"s\" { max_retries = 1.5 }",
            "`max_retries`: a whole number",
        ),
        ("provisioner \"s\" { override = { a = { x = 1 } } }", ""),
        (
            "provisioner \"s\" { override = \"a\" }",
            "`override` holds arguments by the name of the source",
        ),
        (
            "provisioner \"s\" { override = { a = 1 } }",
            "`override` holds arguments by the name of the source",
        ),
        (
            "error-cleanup-provisioner \"s\" {}\n error-cleanup-provisioner \"s\" {}",
            "only one error-cleanup-provisioner",
        ),
        (
            "post-processor \"m\" {\n keep_input_artifact = true\n name = \"m\"\n only = [\"null.a\"]\n }",
            "",
        ),
        (
            "post-processors {\n post-processor \"m\" {}\n post-processor \"c\" {}\n }",
            "",
        ),
        ("post-processors {}", ""),
        (
            "post-processors {\n provisioner \"s\" {}\n }",
            "there is no block `provisioner` here",
        ),
        ("post-processors { x = 1 }", "there is no argument `x` here"),
        (
            "dynamic \"post-processors\" {\n for_each = [1, 2]\n content {\n post-processor \"m\" {}\n }\n }",
            "",
        ),
        (
            "dynamic \"post-processor\" {\n for_each = [1]\n labels = [\"m\"]\n content {}\n }",
            "",
        ),
        (
            "dynamic \"provisioner\" {\n for_each = [1]\n content {}\n }",
            "a provisioner has one label, its type",
        ),
        (
            "dynamic \"provisioner\" {\n for_each = [1]\n iterator = it\n labels = [\"s${it.key}\"]\n content {}\n }",
            "",
        ),
        (
            "dynamic \"provisioner\" {\n labels = [\"s\"]\n content {}\n }",
            "`for_each` is required",
        ),
    ] {
        let template =
            format!("source \"null\" \"a\" {{}}\nbuild {{\n sources = [\"null.a\"]\n {body}\n}}\n");
        check(&[(&template, expected)]);
    }
}
