//! `data` blocks: what is asked, when, and what is wrong with them.

use super::{show, world};
use crate::diagnostic::{Colours, Diagnostics};
use crate::template::services::{HttpRequest, HttpResponse, ServiceError, Services};
use crate::template::{
    LoadError, Loaded, NamedText, ScopeNames, Template, TemplateTexts, World, load_texts,
};
use std::sync::{Arc, Mutex};

/// A web server that answers each path with itself, and remembers what it was asked.
#[derive(Default)]
struct WebServer {
    asked: Mutex<Vec<HttpRequest>>,
}

impl WebServer {
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.url.clone()).collect()
    }
}

impl Services for WebServer {
    fn vault(&self, _path: &str, _key: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("no vault"))
    }

    fn consul_key(&self, _key: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("no consul"))
    }

    fn aws_secret(&self, _name: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("no aws"))
    }

    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, ServiceError> {
        self.asked.lock().unwrap().push(request.clone());
        if request.url.ends_with("/down") {
            return Err(ServiceError::new("nobody there").help("start it"));
        }
        let path = request.url.strip_prefix("http://h/").unwrap_or_default();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Ok(HttpResponse {
            status: if path == "missing" { 404 } else { 200 },
            headers: vec![
                header("content-type", "text/plain"),
                header("set-cookie", "a"),
                header("set-cookie", "b"),
            ],
            body: path.as_bytes().to_vec(),
        })
    }
}

fn load(template: &str, asks: bool, server: &Arc<WebServer>) -> Result<Loaded, LoadError> {
    let text = NamedText {
        name: "t.pkr.hcl".to_owned(),
        text: template.to_owned(),
    };
    let texts = TemplateTexts {
        templates: vec![text],
        ..TemplateTexts::default()
    };
    let world = World {
        services: server.clone(),
        ..world()
    };
    load_texts(texts, &[], asks, world)
}

fn loaded(template: &str, asks: bool, server: &Arc<WebServer>) -> Template {
    match load(template, asks, server) {
        Ok(loaded) => loaded.template,
        Err(error) => panic!("{}", error.diagnostics.render(&error.sources, Colours::Off)),
    }
}

fn errors(template: &str) -> String {
    match load(template, true, &Arc::default()) {
        Ok(_) => "no errors".to_owned(),
        Err(error) => error.diagnostics.render(&error.sources, Colours::Off),
    }
}

fn evaluated(template: &Template, text: &str) -> String {
    match template.evaluate(text) {
        Ok(value) => show(&value),
        Err((sources, diagnostics)) => diagnostics.render(&sources, Colours::Off),
    }
}

const CHAIN: &str = r#"
variable "host" { default = "h" }
locals {
  base    = "http://${var.host}"
  derived = upper(data.http.first.body)
  plain   = "plain"
}
data "http" "first" {
  url             = "${local.base}/first"
  request_headers = { Accept = "text/plain" }
}
data "null" "wrapped" { input = "<${data.http.first.body}>" }
data "null" "constant" { input = local.plain }
data "http" "second" {
  url          = "${local.base}/second/${local.derived}"
  method       = "POST"
  request_body = data.null.wrapped.output
}
data "http" "other" { url = "http://h/other" }
"#;

#[test]
fn data_sources_and_locals_are_one_graph() {
    let server = Arc::new(WebServer::default());
    let template = loaded(CHAIN, true, &server);
    assert_eq!(server.asked(), Vec::<String>::new(), "nothing needs them");
    assert_eq!(
        evaluated(&template, "data.http.second.body"),
        "\"second/FIRST\""
    );
    assert_eq!(server.asked(), ["http://h/first", "http://h/second/FIRST"]);
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked[0].method, "GET");
    assert_eq!(
        asked[0].headers,
        [("Accept".to_owned(), "text/plain".to_owned())]
    );
    assert_eq!(asked[1].method, "POST");
    assert_eq!(asked[1].body, b"<first>");
    for (text, expected) in [
        ("data.http.first.url", "\"http://h/first\""),
        (
            "data.http.first.request_headers",
            "{Content-Type = \"text/plain\", Set-Cookie = \"a,b\"}",
        ),
        ("data.null.wrapped.output", "\"<first>\""),
        ("data.null.constant", "{output = \"plain\"}"),
        ("local.derived", "\"FIRST\""),
        ("local[\"derived\"]", "\"FIRST\""),
        ("data[\"http\"].first.body", "\"first\""),
        (
            "[for name, it in data.null : it.output]",
            "[\"plain\", \"<first>\"]",
        ),
    ] {
        assert_eq!(evaluated(&template, text), expected, "{text}");
    }
}

#[test]
fn answers_are_unknown_where_nobody_asks() {
    let server = Arc::new(WebServer::default());
    let template = loaded(CHAIN, false, &server);
    for (text, expected) in [
        ("data.http.first.body", "unknown"),
        ("local.derived", "unknown"),
        ("data.null.wrapped.output", "unknown"),
        ("data.null.constant.output", "\"plain\""),
        ("local.base", "\"http://h\""),
    ] {
        assert_eq!(evaluated(&template, text), expected, "{text}");
    }
    let error = evaluated(&template, "data.http.first.bdy");
    assert!(error.contains("did you mean `body`?"), "{error}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn a_build_block_asks_for_what_it_needs_itself() {
    let text = r#"
data "http" "a" { url = "http://h/a" }
data "http" "b" { url = "http://h/b" }
data "http" "c" { url = "http://h/c" }
source "null" "x" {}
build {
  name    = data.http.a.body
  sources = ["null.x"]
  dynamic "provisioner" {
    for_each = [data.http.b.body]
    labels   = [provisioner.value]
    content { inline = [data.http.c.body] }
  }
}
"#;
    let server = Arc::new(WebServer::default());
    let template = loaded(text, true, &server);
    assert_eq!(server.asked(), ["http://h/b", "http://h/a"]);
    let build = &template.builds()[0];
    assert_eq!(build.name.as_deref(), Some("a"));
    assert_eq!(build.provisioners[0].kind, "b");

    // Without asking the block says nothing, and nothing is wrong.
    let template = loaded(text, false, &server);
    assert!(template.builds()[0].provisioners.is_empty());
    assert_eq!(server.asked().len(), 2);

    let diagnostics = Diagnostics::new();
    let template = loaded(text, true, &server);
    let component = &template.builds()[0].provisioners[0];
    for (without_data, expected) in [(true, None), (false, Some(vec!["c".to_owned()]))] {
        let scope = template.scope(&ScopeNames {
            without_data,
            ..ScopeNames::default()
        });
        let arguments = template.arguments(&component.body, &scope, &diagnostics);
        assert_eq!(arguments.required::<Vec<String>>("inline"), expected);
        assert!(diagnostics.is_empty());
    }
}

#[test]
fn a_failure_has_the_place_of_the_block_and_is_told_once() {
    let server = Arc::new(WebServer::default());
    let template = loaded(
        r#"
data "http" "down" { url = "http://h/down" }
data "http" "after" { url = "http://h/${data.http.down.body}" }
data "http" "missing" { url = "http://h/missing" }
locals { after = "${data.http.after.body}!" }
"#,
        true,
        &server,
    );
    // `try` does not make up for it: nobody meant to build without the value.
    let error = evaluated(&template, "try(local.after, \"else\")");
    insta::assert_snapshot!(error, @r#"
        error: data source `http.down`: nobody there
         --> t.pkr.hcl:2:1
          |
        2 | data "http" "down" { url = "http://h/down" }
          | ^^^^^^^^^^^^^^^^^^
          |
          = help: start it
    "#);
    assert_eq!(evaluated(&template, "local.after"), "unknown");
    assert_eq!(server.asked(), ["http://h/down"]);
    let error = evaluated(&template, "data.http.missing.body");
    assert!(
        error.contains(
            "data source `http.missing`: http://h/missing was answered with the status 404"
        ),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_blocks_is_told_without_asking() {
    insta::assert_snapshot!(errors(
        r#"
data "http" "a" {}
data "http" "b" {
  url     = "ftp://h"
  method  = "get"
  headers = {}
}
data "null" "c" { input = [] }
data "null" "c" {}
data "amazon-ami" "d" { filters = {} }
data "htp" "e" {}
locals {
  one   = data.htp.e.anything
  two   = data.http.z.body
  three = data.null.c.outptu
  four  = data.http
  five  = dta.http.b.body
}
"#
    ), @r#"
        error: data source `null.c` is declared twice
         --> t.pkr.hcl:9:1
          |
        8 | data "null" "c" { input = [] }
          | --------------- first here
        9 | data "null" "c" {}
          | ^^^^^^^^^^^^^^^

        error: the data source "amazon-ami" is not supported
          --> t.pkr.hcl:10:6
           |
        10 | data "amazon-ami" "d" { filters = {} }
           |      ^^^^^^^^^^^^
           |
           = help: data sources are http and null

        error: there is no data source of type "htp"
          --> t.pkr.hcl:11:6
           |
        11 | data "htp" "e" {}
           |      ^^^^^
           |
           = help: did you mean `http`?
           = help: data sources are http and null

        error: there is no variable named `dta`
          --> t.pkr.hcl:17:11
           |
        17 |   five  = dta.http.b.body
           |           ^^^
           |
           = help: did you mean `data`?

        error: `url` is required
         --> t.pkr.hcl:2:1
          |
        2 | data "http" "a" {}
          | ^^^^^^^^^^^^^^^

        error: "ftp://h" is not an address of a web server
         --> t.pkr.hcl:4:3
          |
        4 |   url     = "ftp://h"
          |   ^^^^^^^^^^^^^^^^^^^
          |
          = help: it begins with http:// or https://

        error: the method cannot be "get"
         --> t.pkr.hcl:5:3
          |
        5 |   method  = "get"
          |   ^^^^^^^^^^^^^^^
          |
          = help: methods are GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH

        error: there is no argument `headers` here
         --> t.pkr.hcl:6:3
          |
        6 |   headers = {}
          |   ^^^^^^^

        error: `input`: a string is required
         --> t.pkr.hcl:8:27
          |
        8 | data "null" "c" { input = [] }
          |                           ^^

        error: data source `http.z` is not declared
          --> t.pkr.hcl:14:16
           |
        14 |   two   = data.http.z.body
           |                ^^^^^^
           |
           = help: did you mean `http.a`?
    "#);
}

#[test]
fn circles_are_told_with_the_whole_way() {
    insta::assert_snapshot!(errors(
        r#"
locals { address = "http://h/${data.null.part.output}" }
data "null" "part" { input = data.http.page.body }
data "http" "page" { url = local.address }
data "null" "self" { input = data.null.self.output }
"#
    ), @r#"
        error: data sources and locals refer to each other in a circle: local.address -> data.null.part -> data.http.page -> local.address
         --> t.pkr.hcl:2:32
          |
        2 | locals { address = "http://h/${data.null.part.output}" }
          |                                ^^^^^^^^^^^^^^^^^^^^^
        3 | data "null" "part" { input = data.http.page.body }
          |                              -------------------
        4 | data "http" "page" { url = local.address }
          |                            -------------

        error: data source `null.self` refers to itself
         --> t.pkr.hcl:5:30
          |
        5 | data "null" "self" { input = data.null.self.output }
          |                              ^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_chain_can_be_as_long_as_a_template() {
    let mut text = String::from(
        "data \"http\" \"first\" { url = \"http://h/x\" }\nlocals {\n  l0 = data.http.first.body\n",
    );
    for index in 1..5000 {
        text += &format!("  l{index} = local.l{}\n", index - 1);
    }
    let server = Arc::new(WebServer::default());
    let template = loaded(&(text + "}\n"), true, &server);
    assert_eq!(evaluated(&template, "local.l4999"), "\"x\"");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn sensitive_answers_are_secrets_when_they_come() {
    let server = Arc::new(WebServer::default());
    let template = loaded(
        "data \"http\" \"a\" { url = \"http://h/hunter2\" }\nlocal \"password\" {\n  expression = data.http.a.body\n  sensitive = true\n}\n",
        true,
        &server,
    );
    assert!(template.secrets().texts().is_empty());
    assert_eq!(evaluated(&template, "local.password"), "\"hunter2\"");
    assert_eq!(template.secrets().texts().len(), 1);
}

#[test]
fn what_changes_is_found_through_data_sources() {
    let server = Arc::new(WebServer::default());
    let template = loaded(
        r#"
data "null" "now" { input = local.time }
locals { time = timestamp() }
source "null" "x" {}
build {
  sources = ["null.x"]
  provisioner "shell" { inline = [data.null.now.output] }
}
"#,
        true,
        &server,
    );
    let calls = template.changing_calls(&template.builds()[0].provisioners[0]);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].written, "timestamp()");
}
