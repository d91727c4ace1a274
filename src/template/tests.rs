//! Whole templates: what they load to.

mod data;
mod errors;
mod for_each;
mod limits;
mod rules;
mod unused;

use super::*;
use crate::diagnostic::{Colours, Diagnostics};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn world() -> World {
    World {
        template_folder: PathBuf::new(),
        working_folder: PathBuf::from("/work"),
        home: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(0)),
        environment: BTreeMap::from([
            (
                "PKR_VAR_from_environment".to_owned(),
                "environment".to_owned(),
            ),
            ("HOME_TOWN".to_owned(), "Ulm".to_owned()),
        ]),
        services: Arc::new(FakeServices),
    }
}

/// Services without a network: every answer repeats the question.
pub(super) struct FakeServices;

impl Services for FakeServices {
    fn vault(&self, path: &str, key: &str) -> Result<String, ServiceError> {
        match path {
            "sealed" => Err(ServiceError::new("sealed").help("unseal it")),
            _ => Ok(format!("vault {path} {key}")),
        }
    }

    fn consul_key(&self, key: &str) -> Result<String, ServiceError> {
        Ok(format!("consul {key}"))
    }

    fn aws_secret(&self, name: &str) -> Result<String, ServiceError> {
        Ok(name.to_owned())
    }

    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, ServiceError> {
        Ok(HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: request.url.clone().into_bytes(),
        })
    }
}

/// Loads a template of one file, with variable files and `-var` arguments.
pub(super) fn load_with(
    template: &str,
    variable_files: &[&str],
    arguments: &[&str],
) -> Result<Loaded, LoadError> {
    let named = |name: String, text: &str| NamedText {
        name,
        text: text.to_owned(),
    };
    let texts = TemplateTexts {
        folder: PathBuf::from("templates"),
        templates: vec![named("t.pkr.hcl".to_owned(), template)],
        variable_files: variable_files
            .iter()
            .enumerate()
            .map(|(index, text)| named(format!("{index}.pkrvars.hcl"), text))
            .collect(),
    };
    let arguments: Vec<String> = arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    load_texts(texts, &arguments, true, world())
}

/// The errors of a template, as the user reads them.
fn errors_of(template: &str, variable_files: &[&str], arguments: &[&str]) -> String {
    match load_with(template, variable_files, arguments) {
        Ok(_) => "no errors".to_owned(),
        Err(error) => error.diagnostics.render(&error.sources, Colours::Off),
    }
}

/// The template, which must be without errors.
fn loaded(template: &str) -> Template {
    match load_with(template, &[], &[]) {
        Ok(loaded) => loaded.template,
        Err(error) => panic!("{}", error.diagnostics.render(&error.sources, Colours::Off)),
    }
}

fn variable(loaded: Result<Loaded, LoadError>, wanted: &str) -> Option<String> {
    let template = loaded.ok()?.template;
    let value = template
        .variables()
        .find(|(name, _)| *name == wanted)?
        .1
        .clone();
    Some(show(&value))
}

/// A value in the form of `packer console`, on one line.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null(_) => "null".to_owned(),
        Value::Unknown(_) => "unknown".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
            let elements: Vec<String> = elements.iter().map(show).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Map(_, entries) | Value::Object(entries) => {
            let entry = |(key, value): (&Arc<str>, &Value)| format!("{key} = {}", show(value));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[test]
fn precedence_of_values() {
    let template = r#"variable "x" { default = "default" }"#;
    for (files, arguments, expected) in [
        (&[][..], &[][..], "\"default\""),
        (&["x = \"file\""], &[], "\"file\""),
        (&["x = \"file\"", "x = \"second\""], &[], "\"second\""),
        (&["x = \"file\""], &["x=argument"], "\"argument\""),
        (&[], &["x=a", "x=b=c"], "\"b=c\""),
        (&[], &["x="], "\"\""),
    ] {
        let value = variable(load_with(template, files, arguments), "x");
        assert_eq!(value.as_deref(), Some(expected), "{files:?} {arguments:?}");
    }
    let template = r#"variable "from_environment" { default = "default" }"#;
    let value = variable(load_with(template, &[], &[]), "from_environment");
    assert_eq!(value.as_deref(), Some("\"environment\""));
    let value = variable(
        load_with(template, &["from_environment = \"file\""], &[]),
        "from_environment",
    );
    assert_eq!(value.as_deref(), Some("\"file\""));
}

#[test]
fn values_take_the_type_of_their_variable() {
    for (declaration, argument, expected) in [
        ("type = string", "x=[1]", Some("\"[1]\"")),
        ("type = number", "x=12", Some("12")),
        ("type = number", "x=many", None),
        ("type = bool", "x=true", Some("true")),
        ("type = bool", "x=\"true\"", Some("true")),
        (
            "type = list(string)",
            "x=[1, true]",
            Some("[\"1\", \"true\"]"),
        ),
        ("type = list(string)", "x=a", None),
        ("type = set(number)", "x=[3, 1, \"3\"]", Some("[1, 3]")),
        (
            "type = map(string)",
            "x={b = 2, a = 1}",
            Some("{a = \"1\", b = \"2\"}"),
        ),
        ("type = any", "x=[1]", Some("\"[1]\"")),
        ("", "x=[1]", Some("\"[1]\"")),
        ("default = [\"a\"]", "x=[1]", Some("[\"1\"]")),
        ("default = [\"a\"]", "x=[1, 2]", None),
        ("default = []", "x=a", Some("\"a\"")),
        ("default = true", "x=false", Some("false")),
        ("default = 1", "x=2", Some("2")),
        ("default = null", "x=2", Some("\"2\"")),
        (
            "type = tuple([string, number])",
            "x=[1, \"2\"]",
            Some("[\"1\", 2]"),
        ),
        (
            "type = object({ a = number })",
            "x={a = \"1\", b = 2}",
            Some("{a = 1}"),
        ),
        ("type = object({ a = number })", "x={b = 2}", None),
        (
            "type = object({ a = optional(number), b = optional(string, \"B\") })",
            "x={}",
            Some("{a = null, b = \"B\"}"),
        ),
        (
            "type = list(object({ a = string, b = optional(bool, true) }))",
            "x=[{ a = 1 }, { a = 2, b = false }]",
            Some("[{a = \"1\", b = true}, {a = \"2\", b = false}]"),
        ),
    ] {
        let template = format!("variable \"x\" {{\n{declaration}\n}}");
        let value = variable(load_with(&template, &[], &[argument]), "x");
        assert_eq!(value.as_deref(), expected, "{declaration} {argument}");
    }
}

#[test]
fn the_environment_is_seen_by_defaults_alone() {
    let template = loaded(r#"variable "town" { default = env("HOME_TOWN") }"#);
    assert_eq!(
        template
            .variables()
            .map(|(_, value)| show(value))
            .collect::<String>(),
        "\"Ulm\""
    );
}

#[test]
fn sensitive_values_are_collected() {
    let template = loaded(
        r#"
        variable "token" {
          sensitive = true
          default   = { user = "u1", keys = ["k1", ""], port = 22 }
        }
        local "derived" {
          sensitive  = true
          expression = upper(var.token.user)
        }
        locals { open = "seen" }
        "#,
    );
    let secrets = template.secrets().texts();
    assert_eq!(
        secrets.iter().map(|text| &**text).collect::<Vec<_>>(),
        ["U1", "k1", "u1"]
    );
}

#[test]
fn locals_are_evaluated_in_the_order_of_their_references() {
    let template = loaded(
        r#"
        locals {
          a = "${local.b}!"
          b = local.c["key"]
        }
        local "c" { expression = { key = [for x in local.list : x]... == null ? "" : "deep" } }
        locals { list = ["x"] }
        "#
        .replace(
            "[for x in local.list : x]... == null ? \"\" : \"deep\"",
            "local.list[0]",
        )
        .as_str(),
    );
    let values: Vec<String> = template
        .locals()
        .map(|(name, value)| format!("{name}={}", show(&value)))
        .collect();
    assert_eq!(
        values,
        ["a=\"x!\"", "b=\"x\"", "c={key = \"x\"}", "list=[\"x\"]"]
    );
}

#[test]
fn a_build_is_read() {
    let template = loaded(
        r#"
        locals { packages = { a = "1", b = "2" } }
        source "oci" "base" { image = "debian" }
        source "rootfs" "other" { path = "x.tar" }
        build {
          name    = "web"
          sources = ["source.oci.base", "rootfs.other"]
          source "oci.base" {
            name     = "second"
            platform = "linux/arm64"
          }
          config { user = "app" }
          provisioner "shell" {
            inline       = ["echo ${source.name} of ${build.name}"]
            only         = ["oci.base"]
            timeout      = "1m30s"
            max_retries  = "2"
            override     = { second = { inline = ["echo overridden"] } }
          }
          dynamic "provisioner" {
            for_each = local.packages
            labels   = ["file"]
            iterator = package
            content {
              content     = "${package.key}=${package.value}"
              destination = "/etc/${package.key}"
            }
          }
          error-cleanup-provisioner "shell" { inline = ["false"] }
          post-processor "manifest" { keep_input_artifact = true }
          post-processors {
            post-processor "oci-archive" { path = "a.tar" }
            post-processor "checksum" {}
          }
        }
        "#,
    );
    let [build] = template.builds() else {
        panic!("one build")
    };
    assert_eq!(build.name.as_deref(), Some("web"));
    let uses: Vec<String> = build.uses.iter().map(SourceUse::full_name).collect();
    assert_eq!(uses, ["oci.base", "rootfs.other", "oci.second"]);
    let kinds: Vec<&str> = build
        .provisioners
        .iter()
        .map(|one| one.kind.as_str())
        .collect();
    assert_eq!(kinds, ["shell", "file", "file"]);
    let [shell, file, _] = build.provisioners.as_slice() else {
        panic!("three provisioners")
    };
    assert_eq!(shell.timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(shell.max_retries, 2);
    assert!(shell.applies_to(&build.uses[0]) && !shell.applies_to(&build.uses[1]));
    let chains: Vec<usize> = build.post_processors.iter().map(Vec::len).collect();
    assert_eq!(chains, [1, 2]);
    assert_eq!(build.post_processors[0][0].keep_input_artifact, Some(true));

    let diagnostics = Diagnostics::new();
    let read = |component: &Component, source: &str, argument: &str| -> Option<String> {
        let scope = template.scope(&ScopeNames {
            build_name: build.name.clone(),
            source: Some(("oci".to_owned(), source.to_owned())),
            without_data: false,
            build: BTreeMap::new(),
        });
        let arguments = template.arguments(&component.body, &scope, &diagnostics);
        let value: Value = arguments.required(argument)?;
        Some(show(&value))
    };
    assert_eq!(
        read(shell, "base", "inline").as_deref(),
        Some("[\"echo base of web\"]")
    );
    assert_eq!(
        read(shell, "second", "inline").as_deref(),
        Some("[\"echo overridden\"]")
    );
    assert_eq!(read(file, "base", "content").as_deref(), Some("\"a=1\""));
    let second = template.arguments(
        &build.uses[2].body,
        &template.scope(&ScopeNames::default()),
        &diagnostics,
    );
    assert_eq!(
        second.required::<String>("image").as_deref(),
        Some("debian")
    );
    assert_eq!(
        second.required::<String>("platform").as_deref(),
        Some("linux/arm64")
    );
    second.finish();
    assert_eq!(diagnostics.into_vec(), []);
}

#[test]
fn components_report_through_their_arguments() {
    let template = loaded(
        r#"
source "oci" "base" {
  image  = ["a"]
  porst  = 1
  count  = "many"
  mount  = "x"
  dynamic "volume" {
    for_each = ["/a", "/b"]
    content { path = volume.value }
  }
  volume {}
  labels { a = 1 }
}
build { sources = ["oci.base"] }
"#,
    );
    let diagnostics = Diagnostics::new();
    let scope = template.scope(&ScopeNames::default());
    let arguments = template.arguments(&template.builds()[0].uses[0].body, &scope, &diagnostics);
    assert_eq!(arguments.required::<String>("image"), None);
    assert_eq!(arguments.required::<String>("path"), None);
    assert_eq!(arguments.optional::<u32>("count"), None);
    assert_eq!(arguments.optional::<Vec<String>>("ports"), None);
    assert_eq!(
        arguments.optional::<BTreeMap<String, String>>("labels"),
        None
    );
    assert_eq!(arguments.blocks("mount").len(), 0);
    let mut paths = Vec::new();
    for volume in arguments.blocks("volume") {
        paths.extend(volume.required::<String>("path"));
        volume.finish();
    }
    assert_eq!(paths, ["/a", "/b"]);
    arguments.finish();
    insta::assert_snapshot!(diagnostics.render(template.sources(), Colours::Off), @r#"
        error: `image`: a string is required
         --> t.pkr.hcl:3:12
          |
        3 |   image  = ["a"]
          |            ^^^^^

        error: `path` is required
         --> t.pkr.hcl:2:1
          |
        2 | source "oci" "base" {
          | ^^^^^^^^^^^^^^^^^^^

        error: `count`: a number is required
         --> t.pkr.hcl:5:12
          |
        5 |   count  = "many"
          |            ^^^^^^

        error: `path` is required
          --> t.pkr.hcl:11:3
           |
        11 |   volume {}
           |   ^^^^^^

        error: there is no argument `mount` here
         --> t.pkr.hcl:6:3
          |
        6 |   mount  = "x"
          |   ^^^^^
          |
          = help: it is a block: write `mount { … }`

        error: there is no argument `porst` here
         --> t.pkr.hcl:4:3
          |
        4 |   porst  = 1
          |   ^^^^^
          |
          = help: did you mean `ports`?

        error: there is no block `labels` here
          --> t.pkr.hcl:12:3
           |
        12 |   labels { a = 1 }
           |   ^^^^^^
           |
           = help: it is an argument: write `labels = …`
        "#);
}

#[test]
fn templates_are_shared_between_threads() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Template>();
    is_shareable::<Scope>();
}

#[test]
fn a_large_template_loads() {
    let mut text = String::new();
    for index in 0..1000 {
        let other = (index * 7 + 1) % 1000;
        let reference = if other < index {
            format!("local.l{other}.name")
        } else {
            "\"\"".to_owned()
        };
        text += &format!(
            "locals {{\n  l{index} = {{\n    name = \"n{index}\"\n    other = {reference}\n    list = [1, 2,\n      3]\n    text = \"a ${{upper(\"b\")}} c\"\n  }}\n}}\n\n"
        );
    }
    assert_eq!(text.lines().count(), 10_000);
    let template = loaded(&text);
    assert_eq!(template.locals().count(), 1000);
}

#[test]
fn carriage_returns_are_line_ends() {
    let template = loaded("locals {\r\n  a = 1\r\n  b = <<-EOT\r\n    x\r\n    EOT\r\n}\r\n");
    let values: Vec<String> = template.locals().map(|(_, value)| show(&value)).collect();
    assert_eq!(values, ["1", "\"x\\r\\n\""]);
}

#[test]
fn what_comes_from_a_secret_store_is_a_secret() {
    let template = loaded(
        r#"
locals {
  password = vault("secret/app", "password")
  consul   = consul_key("app")
}
"#,
    );
    let texts = || -> Vec<String> {
        let texts = template.secrets().texts();
        texts.iter().map(|text| text.to_string()).collect()
    };
    assert_eq!(texts(), ["vault secret/app password"]);
    // What is evaluated later counts as well, and JSON is taken apart.
    let masker = crate::mask::Masker::of(template.secrets());
    let json =
        r#"jsondecode(aws_secretsmanager_raw("{\"u\":\"admin\",\"p\":[\"hunter2\",\"on\"]}")).u"#;
    assert!(template.evaluate(json).is_ok());
    assert_eq!(masker.mask("admin is on"), "<sensitive> is on");
    assert!(texts().contains(&"hunter2".to_owned()));
}

#[test]
fn what_a_service_advises_is_told() {
    let error = load_with("locals {\n  a = vault(\"sealed\", \"k\")\n}\n", &[], &[]).unwrap_err();
    let text = error.diagnostics.render(&error.sources, Colours::Off);
    assert!(
        text.contains("vault(): sealed") && text.contains("help: unseal it"),
        "{text}"
    );
}
