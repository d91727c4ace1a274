//! Expressions and their values, compared with those of Packer's console.

use crate::diagnostic::Colours;
use crate::template::Template;
use crate::template::tests::{load_with, show};
use proptest::prelude::*;
use std::sync::LazyLock;

const NAMES: &str = r#"
variable "count" { default = 3 }
locals {
  l    = [{ n = "p", t = ["u"] }, { n = "q", t = ["v", "w"] }]
  o    = { b = 2, a = 1 }
  none = null
  s    = "str"
  set  = convert([3, 1, 2, 1], set(number))
  list = convert(["a", "b"], list(string))
  map  = convert({ x = 1 }, map(string))
}
"#;

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| template(NAMES));

fn template(text: &str) -> Template {
    match load_with(text, &[], &[]) {
        Ok(loaded) => loaded.template,
        Err(error) => panic!("{}", error.diagnostics.render(&error.sources, Colours::Off)),
    }
}

/// The value of an expression, or the summary of what is wrong with it.
fn evaluate(text: &str) -> String {
    match TEMPLATE.evaluate(text) {
        Ok(value) => show(&value),
        Err((_, diagnostics)) => {
            let summaries = diagnostics
                .into_vec()
                .into_iter()
                .map(|error| error.summary);
            format!("error: {}", summaries.collect::<String>())
        }
    }
}

fn rendered(text: &str) -> String {
    match TEMPLATE.evaluate(text) {
        Ok(value) => show(&value),
        Err((sources, diagnostics)) => diagnostics.render(&sources, Colours::Off),
    }
}

#[test]
fn operators() {
    for (text, expected) in [
        ("1 + 2 * 3", "7"),
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("10 / 4", "2.5"),
        ("10 / 3 * 3 == 10", "true"),
        ("0.1 + 0.2", "0.3"),
        ("\"1\" + 2", "3"),
        ("1 < \"2\"", "true"),
        ("18446744073709551615 + 1", "18446744073709551616"),
        ("99999999999999999999", "99999999999999999999"),
        (
            "\"${1e21} ${1e-7}\"",
            "\"1000000000000000000000 0.0000001\"",
        ),
        ("1 == 1.0", "true"),
        ("1 == \"1\"", "false"),
        ("null == null", "true"),
        ("[1] == [\"1\"]", "false"),
        ("{ a = 1 } == { a = 1 }", "true"),
        ("local.set == local.set", "true"),
        ("!\"true\"", "false"),
        ("-\"5\"", "-5"),
        ("- 5", "-5"),
        ("true && false || true", "true"),
        (
            "1e300 * 1e300 * 1e300 * 1e300",
            "error: the result is out of range",
        ),
        ("null + 1", "error: a number is required, not null"),
        ("[] + 1", "error: a number is required"),
        ("!1", "error: a bool is required"),
        ("true || nope", "error: there is no variable named `nope`"),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

/// What `packer console` 1.6.6 answers.
#[test]
fn infinities() {
    for (text, expected) in [
        ("1 / 0", "+Inf"),
        ("-1 / 0", "-Inf"),
        ("5 % 0", "5"),
        ("\"x${1 / 0}\"", "\"x+Inf\""),
        ("\"-inf\" * 1", "-Inf"),
        ("1 / 0 == 1 / 0", "true"),
        ("1 / 0 > 1e1000", "true"),
        ("{ (1 / 0) = 1 }", "{+Inf = 1}"),
        ("floor(1 / 0)", "+Inf"),
        ("ceil(-1 / 0)", "-Inf"),
        ("abs(-1 / 0)", "+Inf"),
        ("max(1, 1 / 0)", "+Inf"),
        ("min(1, 1 / 0)", "1"),
        ("log(0, 10)", "-Inf"),
        ("log(1 / 0, 2)", "+Inf"),
        ("pow(10, 400)", "+Inf"),
        ("pow(0, -1)", "+Inf"),
        ("sum([1, 1 / 0])", "+Inf"),
        ("range(0, 1 / 0, 1 / 0)", "[0]"),
        ("range(1 / 0, 1 / 0)", "[]"),
        (
            "format(\"%v %g %s %q\", 1 / 0, 1 / 0, 1 / 0, 1 / 0)",
            "\"+Inf +Inf +Inf \\\"+Inf\\\"\"",
        ),
        ("format(\"%6.1f|%05f\", 1 / 0, -1 / 0)", "\"  +Inf| -Inf\""),
        ("yamldecode(\"[.inf, -.INF]\")", "[+Inf, -Inf]"),
        ("yamlencode(1 / 0)", "\"+Inf\\n...\\n\""),
        (
            "0 / 0",
            "error: zero cannot be divided by zero, nor infinity by infinity",
        ),
        (
            "1 / 0 - 1 / 0",
            "error: infinity cannot be subtracted from itself",
        ),
        (
            "0 * (1 / 0)",
            "error: zero cannot be multiplied by infinity",
        ),
        (
            "5 % (1 / 0)",
            "error: there is no remainder of a division by infinity",
        ),
        ("log(1, 1)", "error: log(): there is no such number"),
        ("pow(-1, 0.5)", "error: pow(): there is no such number"),
        (
            "range(1 / 0)",
            "error: range(): more than 1024 values were generated; either decrease the difference between start and end or use a smaller step",
        ),
        ("[1, 2][1 / 0]", "error: an index must be a whole number"),
        (
            "jsonencode([1 / 0])",
            "error: jsonencode(): invalid value for \"val\" parameter: JSON has no infinite numbers",
        ),
        (
            "format(\"%d\", 1 / 0)",
            "error: format(): unsupported value for \"%d\" at 0: an integer is required",
        ),
        (
            "signum(1 / 0)",
            "error: signum(): invalid value for \"num\" parameter: value must be a whole number, between -9223372036854775808 and 9223372036854775807",
        ),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn conditionals_share_a_type() {
    for (text, expected) in [
        ("true ? 1 : \"a\"", "\"1\""),
        ("false ? 1 : \"a\"", "\"a\""),
        ("true ? [1] : [\"a\"]", "[\"1\"]"),
        ("true ? [1] : [1, \"a\"]", "[\"1\"]"),
        ("true ? null : 1", "null"),
        ("true ? { a = 1 } : { b = \"x\" }", "{a = \"1\"}"),
        ("true ? 1 : nope", "1"),
        ("\"true\" ? 1 : 2", "1"),
        (
            "true ? 1 : [1]",
            "error: the two results of a conditional must have one type",
        ),
        ("1 ? 2 : 3", "error: a bool is required"),
        ("null ? 2 : 3", "error: a bool is required, not null"),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn repetitions() {
    for (text, expected) in [
        ("[for k, v in local.o : \"${k}${v}\"]", "[\"a1\", \"b2\"]"),
        ("{ for k, v in local.o : v => k }", "{1 = \"a\", 2 = \"b\"}"),
        (
            "[for x in [\"a\", \"b\", \"c\"] : x if x != \"b\"]",
            "[\"a\", \"c\"]",
        ),
        (
            "{ for x in [\"a\", \"b\", \"a\"] : x => x... }",
            "{a = [\"a\", \"a\"], b = [\"b\"]}",
        ),
        (
            "{ for x in [\"a\", \"a\"] : x => x }",
            "error: two items have the key \"a\"",
        ),
        ("[for i, x in [\"a\", \"b\"] : i]", "[0, 1]"),
        (
            "[for k, v in local.set : \"${k}${v}\"]",
            "[\"11\", \"22\", \"33\"]",
        ),
        ("[for x in [1] : [for y in [2] : x + y]]", "[[3]]"),
        ("[for x in null : x]", "error: null cannot be iterated over"),
        (
            "[for x in \"a\" : x]",
            "error: a string cannot be iterated over",
        ),
        (
            "[for x in [1] : x if null]",
            "error: a bool is required, not null",
        ),
        (
            "{ for x in [null] : x => 1 }",
            "error: a key must not be null",
        ),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn traversals() {
    for (text, expected) in [
        ("local.l[*].n", "[\"p\", \"q\"]"),
        ("local.l.*.n", "[\"p\", \"q\"]"),
        ("local.l[*].t[0]", "[\"u\", \"v\"]"),
        ("local.l.*.t[0]", "[\"u\"]"),
        ("local.l[1].t.1", "\"w\""),
        ("local.l.1.n", "\"q\""),
        ("local.none[*]", "[]"),
        ("local.s[*]", "[\"str\"]"),
        ("local.o[*].a", "[1]"),
        ("local.l[\"0\"].n", "\"p\""),
        ("local.o[\"a\"]", "1"),
        ("local[\"s\"]", "\"str\""),
        ("var[\"count\"]", "3"),
        ("local.map.x", "\"1\""),
        ("[1, \"a\", true][1]", "\"a\""),
        ("{ a = 1 }.a", "1"),
        ("path.cwd", "\"/work\""),
        ("path.root", "\"templates\""),
        ("packer.version", "\"1.16.0\""),
        ("local.l[2]", "error: the index 2 is out of range"),
        ("local.l[-1]", "error: the index -1 is out of range"),
        ("local.l[0.5]", "error: an index must be a whole number"),
        ("local.o.c", "error: this object has no attribute named `c`"),
        (
            "local.map.y",
            "error: there is no element with the key \"y\"",
        ),
        ("local.s.x", "error: a string has no attributes"),
        ("local.l.n", "error: a tuple has no attributes"),
        ("local.none.x", "error: null has no attributes"),
        ("local.none[0]", "error: null has no elements"),
        (
            "local.set[0]",
            "error: a set has no order, so no element by index",
        ),
        ("local.nope", "error: local `nope` is not declared"),
        ("var.nope", "error: variable `nope` is not declared"),
        (
            "path.nope",
            "error: this object has no attribute named `nope`",
        ),
        ("source.name", "error: there is no variable named `source`"),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn string_templates() {
    for (text, expected) in [
        ("\"${1}\"", "1"),
        ("\"${[1]}\"", "[1]"),
        ("\"a${1}${true}\"", "\"a1true\""),
        (
            "\"$${x} %%{y} \\u00e9 \\\"q\\\" \\\\\"",
            "\"${x} %{y} \u{e9} \\\"q\\\" \\\\\"",
        ),
        ("\"a ${~ 1 ~} b\"", "\"a1b\""),
        ("\"%{ if true }y%{ else }n%{ endif }\"", "\"y\""),
        ("\"%{ if false }y%{ endif }\"", "\"\""),
        (
            "\"%{ for k, v in local.o }${k}=${v};%{ endfor }\"",
            "\"a=1;b=2;\"",
        ),
        (
            "\"%{ for x in [\"a\", \"b\"] ~}  ${x}  %{~ endfor }\"",
            "\"ab\"",
        ),
        ("\"a${null}\"", "error: null cannot be part of a string"),
        ("\"a${[1]}\"", "error: a tuple cannot be part of a string"),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn heredocs() {
    for (text, expected) in [
        (
            "<<-EOT\n      %{ for x in [\"a\", \"b\"] ~}\n      item ${x}\n      %{ endfor ~}\n      end\n    EOT\n",
            "      item a\n      item b\n      end\n",
        ),
        (
            "<<-EOT\n    one\n      two\n\n    three\n    EOT\n",
            "one\n  two\n\nthree\n",
        ),
        (
            "<<EOT\n  keep $${x} %%{y}\n    \\n\nEOT\n",
            "  keep ${x} %{y}\n    \\n\n",
        ),
        ("<<-EOT\n    ${\"x\"} a\n      b\n    EOT\n", "x a\n  b\n"),
        (
            "<<-EOT\n      a\n    ${~ \"x\" ~}\n      b\n    EOT\n",
            "      a\nx      b\n",
        ),
        (
            "<<-EOT\n    %{ if true }yes%{ else }no%{ endif }\n    %{~ if false }\n    never\n    %{~ endif }\n    z\n    EOT\n",
            "    yes\n\n    z\n",
        ),
        ("<<-EOT\n\ttab\n\t  two\n\tEOT\n", "tab\n  two\n"),
        ("<<EOT\nEOT\n", ""),
        ("<<-EOT\n  $${a}\n  EOT\n", "${a}\n"),
    ] {
        let template = template(&format!("locals {{\n  text = {text}}}\n"));
        let value: Vec<String> = template
            .locals()
            .filter_map(|(_, value)| value.as_str().map(str::to_owned))
            .collect();
        assert_eq!(value, [expected], "{text}");
    }
}

#[test]
fn objects_and_calls() {
    for (text, expected) in [
        ("{ \"a\" = 1, b : 2 }", "{a = 1, b = 2}"),
        ("{ (local.s) = 1, 2 = 3 }", "{2 = 3, str = 1}"),
        ("{ \"${local.s}x\" = 1 }", "{strx = 1}"),
        ("try(local.o.c, \"d\")", "\"d\""),
        (
            "try(local.o.c)",
            "error: try(): no argument could be evaluated",
        ),
        ("can(local.o.c)", "false"),
        ("can(local.o.a)", "true"),
        ("max([1, 5, 3]...)", "5"),
        ("upper(1)", "\"1\""),
        ("convert(\"5\", number) + 1", "6"),
        ("convert([1, 2], list(string))", "[\"1\", \"2\"]"),
        (
            "convert(\"x\", number)",
            "error: convert(): a number is required",
        ),
        ("convert(1, nope)", "error: there is no type `nope`"),
        ("nosuch(1)", "error: there is no function named `nosuch`"),
        (
            "a::upper(1)",
            "error: there is no function named `a::upper`",
        ),
        (
            "max(1...)",
            "error: only a list, a tuple or a set can be expanded",
        ),
        (
            "env(\"HOME\")",
            "error: env() can only be called in the default of a variable",
        ),
        (
            "templatefile(\"/nonexistent/x\", {})",
            "error: templatefile(): cannot read /nonexistent/x: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn template_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pkrtpl.hcl");
    let call = |names: &str| {
        let path = file.display();
        evaluate(&format!("templatefile(\"{path}\", {names})")).replace(&path.to_string(), "F")
    };
    std::fs::write(&file, "%{ for x in names ~}\n${upper(x)}\n%{ endfor ~}\n").unwrap();
    assert_eq!(call("{ names = [\"a\", \"b\"] }"), "\"A\\nB\\n\"");
    assert_eq!(
        call("{}"),
        "error: templatefile(): F:1:13: there is no variable named `names`"
    );
    std::fs::write(&file, "ok\n${").unwrap();
    assert!(
        call("{}").starts_with("error: templatefile(): F:2:3: "),
        "{}",
        call("{}")
    );
    std::fs::write(&file, "${templatefile(\"x\", {})}").unwrap();
    assert!(
        call("{}").contains("cannot call it again"),
        "{}",
        call("{}")
    );
}

#[test]
fn unknown_values_spread() {
    use crate::template::{ScopeNames, Type, Value};
    use std::collections::BTreeMap;
    let scope = TEMPLATE.scope(&ScopeNames {
        build_name: Some("b".to_owned()),
        source: None,
        without_data: false,
        build: BTreeMap::from([("ID".to_owned(), Value::Unknown(Type::String))]),
    });
    for (text, expected) in [
        ("build.name", "\"b\""),
        ("build.ID", "unknown"),
        ("\"x-${build.ID}\"", "unknown"),
        ("[build.ID, 1]", "[unknown, 1]"),
        ("build.ID == \"a\"", "unknown"),
        ("build.ID + 1", "unknown"),
        ("build.ID == \"a\" ? 1 : 2", "unknown"),
        ("upper(build.ID)", "unknown"),
        ("[for x in [build.ID] : x]", "[unknown]"),
        ("{ for x in [build.ID] : x => 1 }", "unknown"),
        ("length([build.ID])", "1"),
    ] {
        let file = crate::diagnostic::Sources::new().add("t", text);
        let expression = crate::template::syntax::parse_expression(file, text).unwrap();
        let value = scope.evaluate(&expression).map(|value| show(&value));
        assert_eq!(value.as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn errors_point_at_the_fault() {
    insta::assert_snapshot!(rendered("local.l[0].nme"), @r#"
        error: this object has no attribute named `nme`
         --> <expression>:1:11
          |
        1 | local.l[0].nme
          |           ^^^^
          |
          = help: it has n, t
        "#);
    insta::assert_snapshot!(rendered("true ? { a = 1 } : \"text\""), @r#"
        error: the two results of a conditional must have one type
         --> <expression>:1:1
          |
        1 | true ? { a = 1 } : "text"
          | ^^^^^^^---------^^^------
          |        |           |
          |        |           this is a string
          |        this is an object
        "#);
    insta::assert_snapshot!(rendered("upper(\"a\", \"b\")"), @r#"
        error: upper(): too many function arguments: "upper" expects only 1 argument
         --> <expression>:1:1
          |
        1 | upper("a", "b")
          | ^^^^^^^^^^^^^^^
        "#);
    insta::assert_snapshot!(rendered("try(local.o.c, var.cuont)"), @r#"
        error: try(): no argument could be evaluated
         --> <expression>:1:1
          |
        1 | try(local.o.c, var.cuont)
          | ^^^ ---------  --------- variable `cuont` is not declared
          |     |
          |     this object has no attribute named `c`
        "#);
    insta::assert_snapshot!(rendered("count + 1"), @r#"
        error: there is no variable named `count`
         --> <expression>:1:1
          |
        1 | count + 1
          | ^^^^^
          |
          = help: did you mean `var.count`?
        "#);
}

#[test]
fn no_expression_is_endless() {
    let doubled = "[for a in range(1000): [for b in range(1000): [for c in range(1000): a]]]";
    assert_eq!(evaluate(doubled), "error: this expression is too expensive");
    let mut locals = "locals {\n  x0 = [\"x\"]\n".to_owned();
    for level in 1..64 {
        let below = level - 1;
        locals += &format!("  x{level} = [local.x{below}, local.x{below}]\n");
    }
    let error = load_with(&(locals + "}"), &[], &[]).unwrap_err();
    let text = error.diagnostics.render(&error.sources, Colours::Off);
    assert!(text.contains("the value of local `x"), "{text}");
    assert!(text.contains("is too large"), "{text}");
}

#[test]
fn long_chains_need_no_deep_stack() {
    let mut locals = "locals {\n  x0 = 0\n".to_owned();
    for level in 1..5000 {
        locals += &format!("  x{level} = local.x{} + 1\n", level - 1);
    }
    assert!(load_with(&(locals + "}"), &[], &[]).is_ok());
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    assert!(!evaluate(&deep).starts_with("error"));
    let sum = vec!["1"; 120].join(" + ");
    assert_eq!(evaluate(&sum), "120");
}

fn expression_text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "0",
        "1e99",
        "null",
        "true",
        "\"a\"",
        "\"1\"",
        "local.l",
        "local.o",
        "local.set",
        "local.map",
        "local.none",
        "var.count",
        "x",
        "[]",
        "{}",
        "\"%{ if true }a%{ endif ~} b\"",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||"];
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(operators),
                inner.clone()
            )
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[for x in {a} : {b}]")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("{{ for k, x in {a} : k => {b}... }}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.clone().prop_map(|a| format!("{a}[*].n")),
            inner.clone().prop_map(|a| format!("\"x ${{~ {a} ~}} y\"")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{ ({a}) = {b} }}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("try({a}, {b})")),
            inner
                .clone()
                .prop_map(|a| format!("convert({a}, list(any))")),
            inner.prop_map(|a| format!("!{a}")),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(text in expression_text()) {
        prop_assert!(!rendered(&text).is_empty());
    }

    #[test]
    fn no_text_panics(text in "[a-z0-9 .\"${}%~\\[\\](),:?*+/!<>=-]{0,40}") {
        prop_assert!(!rendered(&text).is_empty());
    }

    #[test]
    fn no_template_panics(
        text in "(build|variable|locals|source|dynamic|\"x\"|\\{|\\}|\n|a = 1| |default|type = ){0,20}",
    ) {
        let _outcome = load_with(&text, &[], &["x=1"]).map_err(|error| {
            error.diagnostics.render(&error.sources, Colours::Off)
        });
    }
}
