//! Limits: texts that ask for endless time, memory or stack. Each is answered soon, on a small
//! stack, with a value or one clear error.

use super::load_with;
use crate::diagnostic::Colours;
use crate::template::syntax::MAX_DEPTH;
use crate::template::{Template, display};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::thread;

/// The stack of a thread by default; the main thread has four times as much.
const STACK: usize = 2 << 20;

/// The seconds that the processor may be busy with one text, unoptimised: ten times what any of
/// them takes, so that only what has no end is found.
const TIME: i64 = 20;

/// What loading a template says, its errors rendered: nothing if it has none.
fn said(template: String) -> String {
    on_a_small_stack(move || match load_with(&template, &[], &[]) {
        Ok(_) => String::new(),
        Err(error) => error.diagnostics.render(&error.sources, Colours::Off),
    })
}

/// The result, or how long it took if that was too long. A stack that is too small ends the
/// process, and with it the test.
fn on_a_small_stack(work: impl FnOnce() -> String + Send + 'static) -> String {
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
        let said = work();
        (said, clock_gettime(ClockId::ThreadCPUTime).tv_sec)
    });
    let (said, seconds) = thread.unwrap().join().unwrap();
    if seconds >= TIME {
        return format!("error: took {seconds} s\nerror: {said}");
    }
    said
}

/// Loads templates, each with what its one error must say, or nothing if it has none.
#[track_caller]
fn check<'a>(cases: impl IntoIterator<Item = (String, &'a str)>) {
    let mut wrong = String::new();
    for (template, expected) in cases {
        let said = said(template.clone());
        let is_right = match expected {
            "" => said.is_empty(),
            expected => said.contains(expected),
        };
        let errors = said.matches("error: ").count();
        // What is made of a failed value can fail anew.
        if !is_right || errors > 4 || said.len() > 4000 {
            let _ = writeln!(
                wrong,
                "{template:.200}\n{} bytes and {errors} errors, instead of {expected:?}:\n{said:.600}\n",
                said.len()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A list of 100,000 numbers, and a text of 100,000 digits.
static LARGE: LazyLock<Template> = LazyLock::new(|| {
    let text = r#"locals {
        many = flatten([for i in range(100) : [for j in range(1000) : i * 1000 + j]])
        long = format("%0100000d", 0)
    }
    "#;
    load_with(text, &[], &[]).expect("no mistakes").template
});

/// Evaluates expressions, each with what its error must say, or nothing if it has none.
#[track_caller]
fn check_expressions(cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    LazyLock::force(&LARGE);
    for (text, expected) in cases {
        let owned = (*text).to_owned();
        let said = on_a_small_stack(move || match LARGE.evaluate(&owned) {
            Ok(value) => {
                display(&value);
                String::new()
            }
            Err((sources, diagnostics)) => diagnostics.render(&sources, Colours::Off),
        });
        let is_right = match *expected {
            "" => said.is_empty(),
            expected => said.contains(expected),
        };
        if !is_right {
            let _ = writeln!(
                wrong,
                "{text:.200}\ninstead of {expected:?}:\n{said:.600}\n"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Locals `a0`, `a1`, … of which each is made of the one before.
fn chain(length: usize, first: &str, next: &str) -> String {
    let mut text = format!("locals {{\n  a0 = {first}\n");
    for index in 1..length {
        let next = next.replace('#', &format!("local.a{}", index - 1));
        let _ = writeln!(text, "  a{index} = {next}");
    }
    text.push_str("}\n");
    text
}

#[test]
fn numbers() {
    check_expressions(&[
        ("1e1000000000", "out of range"),
        ("1e-1000000000", "out of range"),
        ("convert(\"1e1000000000\", number)", "required"),
        ("jsondecode(\"1e1000000000\")", "jsondecode"),
        ("yamldecode(\"1e1000000000\")", "too large"),
        ("pow(10, 1000000000)", ""),
        ("pow(2, 1e300)", ""),
        (
            "parseint(\"${join(\"\", [for i in range(1000): \"zzzzzzzzzz\"])}\", 36)",
            "parseint",
        ),
        ("1e1000 * 1e1000", "out of range"),
        ("log(1e1000, 1e-1000)", "no such number"),
        ("1e1000 % 3", ""),
        ("1e1000 % 1e-1000", ""),
        ("1e1000 + 1e-1000", ""),
        ("ceil(1e-1000)", ""),
        ("signum(1e1000)", "whole number"),
        ("[1, 2][1e300]", "out of range"),
        ("\"${1e1000}\"", ""),
    ]);
    let digits = "7".repeat(1_000_000);
    check([
        (format!("locals {{ a = {digits} }}\n"), "out of range"),
        (format!("locals {{ a = 0.{digits} }}\n"), ""),
        (
            format!("locals {{ a = convert(\"{digits}\", number) }}\n"),
            "a number is required",
        ),
        (
            format!("locals {{ a = parseint(\"{digits}\", 10) }}\n"),
            "parseint",
        ),
    ]);
}

#[test]
fn functions_that_make_much() {
    check_expressions(&[
        ("range(1e12)", "range"),
        ("range(0, 1, 0.000000001)", "range"),
        ("format(\"%1000000000d\", 1)", "format"),
        ("format(\"%.1000000000f\", 1)", "format"),
        ("format(\"%*d\", 1000000000, 1)", "format"),
        ("format(\"%99999999999999999999999d\", 1)", "format"),
        ("formatlist(\"%9000d\", range(1000))", ""),
        ("formatlist(\"%9000000d\", range(1000))", "format"),
        ("formatdate(\"YYYY\", \"2020-01-01T00:00:00Z\")", ""),
        (
            "formatdate(join(\"\", [for i in range(1000): \"YYYY\"]), \"2020-01-01T00:00:00Z\")",
            "formatdate",
        ),
        (
            "timeadd(\"2020-01-01T00:00:00Z\", \"99999999999999999999h\")",
            "timeadd",
        ),
        (
            "cidrsubnets(\"10.0.0.0/8\", range(1, 1000)...)",
            "cidrsubnets",
        ),
        ("cidrsubnet(\"10.0.0.0/8\", 1e9, 1e12)", "cidrsubnet"),
        ("cidrhost(\"::/0\", 1e300)", "cidrhost"),
        (
            "setproduct(range(1000), range(1000), range(1000), range(1000))",
            "setproduct",
        ),
        (
            "setproduct(setproduct(range(100), range(100)), setproduct(range(100), range(100)))",
            "setproduct",
        ),
        ("chunklist(range(1000), 1e12)", ""),
        ("chunklist(range(1000), 1)", ""),
        (
            "replace(join(\"\", [for i in range(1000): \"aaaaaaaaaa\"]), \"a\", join(\"\", [for i in range(1000): \"bbbbbbbbbb\"]))",
            "longer than",
        ),
        (
            "replace(replace(replace(replace(join(\"\", [for i in range(1000): \"a\"]), \"a\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"), \"a\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"), \"a\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"), \"a\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\")",
            "replace",
        ),
        ("regex_replace(local.long, \"0*\", local.long)", ""),
        (
            "regex_replace(local.long, \"\", local.long)",
            "regex_replace",
        ),
        ("indent(1e9, \"a\\nb\")", "indent"),
        ("indent(1000000, join(\"\\n\", local.many))", "indent"),
        ("join(join(\"\", local.many), local.many)", "join"),
        ("split(\"\", join(\"\", local.many))", ""),
        ("regex(\"((a{1000}){1000}){1000}\", \"a\")", "regex"),
        ("regex(\"(0*)*b\", local.long)", "regex"),
        (
            "regexall(\"(((((((((a?){9}){9}){9}){9}){9}){9}){9}){9}){9}\", \"a\")",
            "regex",
        ),
        ("regexall(\"\", join(\"\", local.many))", ""),
        (
            "[for i in range(1000): [for j in range(1000): [for k in range(1000): 1]]]",
            "too expensive",
        ),
        (
            "length([for i in local.many: range(1000)])",
            "too expensive",
        ),
        (
            "concat([for i in range(1000): range(1000)]...)",
            "too large",
        ),
        ("flatten([for i in range(1000): range(1000)])", "too large"),
        (
            "merge([for i in range(100): { for j in range(1000): \"k${j}\" => i }]...)",
            "",
        ),
        ("zipmap(local.many, local.many)", ""),
        ("distinct(local.many)", ""),
        ("distinct([for i in range(1000): [i]])", ""),
        ("index(local.many, 99999)", ""),
        ("contains(local.many, 100001)", ""),
        ("reverse(local.many)", ""),
        ("sort([for i in local.many: \"${i}\"])", ""),
        ("setunion(local.many, local.many)", ""),
        ("setintersection(local.many, local.many)", ""),
        (
            "true ? [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]] : [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
            "one type",
        ),
        (
            "coalescelist([for i in range(1000): []]...)",
            "coalescelist",
        ),
        ("substr(\"abc\", 1e300, 1e300)", "substr"),
        ("slice(range(10), 0, 1e300)", "slice"),
        ("element(range(10), 1e300)", "element"),
        ("bcrypt(\"a\", 31)", "bcrypt"),
        ("bcrypt(\"a\", 1e12)", "bcrypt"),
        ("title(local.long)", ""),
        ("textencodebase64(join(\"\", local.many), \"UTF-16\")", ""),
        (
            "yamldecode(\"a: &a [x,x,x,x,x,x,x,x,x,x]\\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]\")",
            "yamldecode",
        ),
        (
            "csvdecode(join(\"\\n\", [for i in range(1000): join(\",\", range(1000))]))",
            "too large",
        ),
        (
            "csvdecode(\"a,b\\n${join(\"\\n\", [for i in local.many: \"1,2\"])}\")",
            "",
        ),
    ]);
}

#[test]
fn values_that_double() {
    let doubled = |first: &str, next: &str| chain(30, first, next);
    check([
        (doubled("[1]", "concat(#, #)"), "more than"),
        (doubled("[1]", "[#, #]"), "too "),
        (doubled("{}", "{ a = #, b = # }"), "too "),
        (doubled("\"a\"", "\"${#}${#}\""), "too "),
        (doubled("\"a\"", "join(\"\", [#, #])"), "too "),
        (doubled("\"a\"", "format(\"%s%s\", #, #)"), "too "),
        (doubled("\"\\\"\"", "jsonencode(#)"), "too "),
        (doubled("\"a\"", "jsonencode([#, #])"), "too "),
        (doubled("\"a\\n\"", "yamlencode([#, #])"), "too "),
        (
            doubled("\"abcabcabc\"", "replace(#, \"a\", #)"),
            "longer than",
        ),
        (doubled("[1]", "flatten([#, #])"), "more than"),
        (doubled("[1]", "setproduct(#, [1, 2])"), "too "),
        (doubled("{ a = 1 }", "merge({ a = # }, { b = # })"), "too "),
        (doubled("[1]", "true ? [#, #] : [#, #]"), "too "),
        (doubled("[1]", "[#, #] == [#, #] ? [#, #] : []"), "too "),
        (doubled("[1]", "[for x in [#, #] : x]"), "too "),
        (doubled("[1]", "[#, #][*]"), "too "),
        (doubled("\"a\"", "base64encode(\"${#}${#}\")"), "too "),
        (doubled("\"a\"", "urlencode(\"${#}é${#}\")"), "too "),
    ]);
}

/// A value can double within one expression as well.
#[test]
fn values_that_double_within_an_expression() {
    let nested = |depth: usize, innermost: &str| {
        let mut text = "locals {\n  a = ".to_owned();
        for level in 0..depth {
            let bound = match level {
                0 => "1".to_owned(),
                _ => format!("v{0}, v{0}", level - 1),
            };
            let _ = write!(text, "[for v{level} in [[{bound}]] : ");
        }
        let last = format!("v{}", depth - 1);
        text.push_str(&innermost.replace('#', &last));
        text.push_str(&"][0]".repeat(depth));
        text.push_str("\n}\n");
        text
    };
    check([
        (nested(45, "#"), "too "),
        (nested(45, "true ? # : [1]"), "too "),
        (nested(45, "# == # ? 1 : 2"), "too "),
        (nested(45, "length(#)"), "too "),
        (nested(45, "convert(#, list(any))"), "too "),
        (nested(45, "#[*]"), "too "),
        (nested(45, "{ (#) = 1 }"), "cannot be a key"),
        (nested(45, "\"${#}\""), "too "),
        (nested(45, "\"a${#}\""), "cannot be part of a string"),
        (nested(45, "# + 1"), "a number is required"),
        (nested(45, "#.b"), "no attributes"),
        (nested(45, "#[\"b\"]"), "no index"),
        (nested(45, "[1, 2][#]"), "no index"),
        (nested(45, "[for x in # : x]"), "too "),
        (nested(45, "can(length(#))"), "too "),
        (nested(45, "try(length(#), 1)"), "too "),
    ]);
}

#[test]
fn depth_of_a_text() {
    let local = |opening: &str, inner: &str, closing: &str, depth: usize| {
        format!(
            "locals {{\n  a = {}{inner}{}\n}}\n",
            opening.repeat(depth),
            closing.repeat(depth)
        )
    };
    let shapes = [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{ a = ", "1", " }"),
        ("{ (try(keys(", "{ a = 1 }", ")[0], 1)) = 1 }"),
        ("-", "1", ""),
        ("!", "true", ""),
        ("\"${", "1", "}\""),
        ("\"a${", "1", "}\""),
        ("abs(", "1", ")"),
        ("try(", "1", ")"),
        ("can(", "1", ")"),
        ("true ? 1 : ", "1", ""),
        ("true ? ", "1", " : 1"),
        ("[for x in [1] : ", "x", "]"),
        ("[for x in ", "[1]", " : x]"),
        ("{ for x in [1] : \"a\" => ", "x", " }"),
        ("[0][", "0", "]"),
        ("1 + 2 * (", "1", ")"),
        ("<<E\n${", "1", "}\nE\n"),
        ("\"%{ if true }", "a", "%{ endif }\""),
        ("\"%{ if false }%{ else }", "a", "%{ endif }\""),
    ];
    for (opening, inner, closing) in shapes {
        let opening = if opening == "\"%{ if true }" || opening == "\"%{ if false }%{ else }" {
            // Directives nest without quotes.
            opening.trim_start_matches('"')
        } else {
            opening
        };
        let is_directive = opening.starts_with('%');
        let text = |depth: usize| match is_directive {
            true => {
                let closing = closing.trim_end_matches('"');
                local(
                    "",
                    &format!(
                        "\"{}{inner}{}\"",
                        opening.repeat(depth),
                        closing.repeat(depth)
                    ),
                    "",
                    0,
                )
            }
            false => local(opening, inner, closing, depth),
        };
        check([
            (text(10), ""),
            (text(1_000), "too deep"),
            (text(10_000), "too deep"),
            (text(100_000), "too deep"),
        ]);
        for depth in [32, 64, MAX_DEPTH / 2, MAX_DEPTH - 2, MAX_DEPTH] {
            let said = said(text(depth));
            let is_fine = said.is_empty() || said.contains("too deep");
            assert!(is_fine, "{opening} {depth}: {said:.500}");
        }
    }
}

#[test]
fn depth_of_blocks() {
    let blocks = |depth| format!("{}{}", "a {\n".repeat(depth), "}\n".repeat(depth));
    for depth in [MAX_DEPTH, 1_000, 100_000] {
        let said = said(blocks(depth));
        let expected = if depth > MAX_DEPTH {
            "too deep"
        } else {
            "no block `a`"
        };
        assert!(said.contains(expected), "{depth}: {said:.500}");
        assert!(said.len() < 1_000, "{depth}: {said:.2000}");
    }
    // Not closed at all.
    let said = said("a {\n".repeat(100_000));
    assert!(said.len() < 1_000, "{said:.2000}");
}

/// Every construct that nests, one in the other.
#[test]
fn depth_of_a_mix() {
    let openings = [
        "(",
        "upper(",
        "{ a = ",
        "[for x in [1] : ",
        "\"a${",
        "true ? 1 : ",
        "-",
        "[1][",
        "<<E\n%{ if true }${",
    ];
    let closings = [")", ")", "}", "]", "}\"", "", "", "]", "}%{ endif }\nE\n"];
    for depth in 1..MAX_DEPTH + 10 {
        let mut text = "1".to_owned();
        for level in 0..depth {
            let shape = level % openings.len();
            text = format!("{}{text}{}", openings[shape], closings[shape]);
        }
        // Its values make no sense; only reading and walking through it are to end well.
        said(format!("locals {{\n  a = try({text}, 1)\n}}\n"));
        said(format!("locals {{\n  a = {text}\n}}\n"));
    }
}

#[test]
fn depth_of_values() {
    check([
        (chain(150, "[]", "[#]"), ""),
        (chain(500, "[]", "[#]"), "too deep"),
        (chain(500, "{}", "{ a = # }"), "too deep"),
        (chain(500, "[]", "[for x in [#] : [x]]"), "too deep"),
        (chain(10_000, "1", "# + 1"), ""),
    ]);
    let brackets = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let maps = |depth| {
        (0..depth)
            .map(|i| format!("{}a:\\n", " ".repeat(i)))
            .collect::<String>()
    };
    for depth in [100, 1_000, 100_000] {
        let expected = if depth > 100 { "levels deep" } else { "" };
        check([
            (
                format!("locals {{ a = jsondecode(\"{}\") }}\n", brackets(depth)),
                expected,
            ),
            (
                format!("locals {{ a = yamldecode(\"{}\") }}\n", brackets(depth)),
                if depth > 100 { "recursion limit" } else { "" },
            ),
            (
                format!(
                    "locals {{ a = jsondecode(\"{}1{}\") }}\n",
                    "{\\\"a\\\":".repeat(depth),
                    "}".repeat(depth)
                ),
                expected,
            ),
            (
                format!(
                    "locals {{ a = yamldecode(\"{}1{}\") }}\n",
                    "- ".repeat(depth),
                    ""
                ),
                expected,
            ),
        ]);
    }
    check([(
        format!("locals {{ a = yamldecode(\"{}\") }}\n", maps(1_000)),
        "levels deep",
    )]);
    check([(
        format!(
            "variable \"a\" {{ type = {}string{} }}\n",
            "list(".repeat(1000),
            ")".repeat(1000)
        ),
        "too deep",
    )]);
}

#[test]
fn long_chains() {
    let count = 20_000;
    let local = |text: String| format!("locals {{\n  b = []\n  a = {text}\n}}\n");
    check([
        (local(format!("1{}", " + 1".repeat(count))), ""),
        (local(format!("1{}", " + 2 * 3".repeat(count))), ""),
        (
            local(format!("true{}", " && true || false".repeat(count))),
            "",
        ),
        (local(format!("[{}]", "1,".repeat(count))), ""),
        (
            local(format!(
                "{{{}}}",
                (0..count).map(|i| format!("k{i} = 1,")).collect::<String>()
            )),
            "",
        ),
        (local(format!("\"{}\"", "${1}".repeat(count))), ""),
        (
            local(format!("\"{}\"", "%{ if true }a%{ endif }".repeat(count))),
            "",
        ),
        (local(format!("length({})", "[],".repeat(count))), "length"),
        (local(format!("concat({})", "[],".repeat(count))), ""),
        (local(format!("local.b{}", "[*]".repeat(count))), "too deep"),
        (local(format!("null{}", ".*".repeat(count))), ""),
        (local(format!("1{}", ".a".repeat(count))), "no attributes"),
        (local(format!("[1]{}", "[0]".repeat(count))), "no elements"),
        (
            local(format!("<<E\n{}E", "  line ${1} text\n".repeat(count))),
            "",
        ),
        (
            local(format!("<<-E\n{}E", "  line ${1} text\n".repeat(count))),
            "",
        ),
        (local(format!("\"{}\"", "\\n".repeat(count))), ""),
        (local(format!("\"{}\"", "$${a".repeat(count))), ""),
        (local(format!("({}1)", "\n".repeat(count))), ""),
        (
            local(format!("[a{}]", "/* a */ ".repeat(count))),
            "no variable",
        ),
    ]);
}

#[test]
fn unfinished_texts() {
    let count = 100_000;
    for text in [
        "\"",
        "${",
        "<<E\n",
        "/*",
        "(",
        "[",
        "{",
        "a = ",
        "a = \"${",
        "%{",
        "a \"b\" {\n",
        "}",
        ")",
        "a\n",
        "'",
        "\"\n",
        "a = <<E\n",
        "x = \"${\"\n",
        "\u{feff}",
        "\0",
        "= ",
        "\\",
        "a = b ? ",
        "\"%{ if",
        "a = [\n",
    ] {
        let said = said(text.repeat(count));
        assert!(!said.contains("took"), "{text:?}: {said:.500}");
        let errors = said.matches("error: ").count();
        assert!(errors <= 21, "{text:?}: {errors} errors: {said:.1500}");
    }
}
