//! Texts and what is wrong with them: where, and each mistake once.

use super::*;
use crate::diagnostic::{Diagnostics, Sources};
use std::fmt::Write as _;

/// The mistakes of a text, each as `LINE:COLUMN summary`.
fn mistakes(name: &str, text: &str) -> Vec<String> {
    let mut sources = Sources::new();
    let file = sources.add(name, text);
    let diagnostics = Diagnostics::new();
    if name.ends_with(".json") {
        parse_json_body(file, &sources, Strings::Templates, &diagnostics);
    } else {
        parse_body(file, &sources, &diagnostics);
    }
    let told = diagnostics.into_vec().into_iter().map(|mistake| {
        let place = mistake
            .labels
            .first()
            .map(|label| sources.locate(label.span));
        let place = place.unwrap_or_default();
        let place = place
            .strip_prefix(&format!("{name}:"))
            .unwrap_or(&place)
            .to_owned();
        format!("{place} {}", mistake.summary)
    });
    told.collect()
}

#[track_caller]
fn check(name: &str, cases: &[(&str, &[&str])]) {
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = mistakes(name, text);
        if found != *expected {
            let _ = writeln!(wrong, "{text:?}\n  gives {found:#?}\n  not {expected:#?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_right() {
    for text in [
        "",
        "\n\n",
        "a = 1",
        "a = 1 # b",
        "a = 1 // b",
        "/* a\nb */ a = /* b */ 1 /* c */\n",
        "a {}\n",
        "a { b = 1 }\n",
        "a { /* c */ b = 1 /* c */ }\n",
        "a { # c\n}\n",
        "a b \"c\" d {\n}\n",
        "a = <<E\nE\n",
        "a = <<E\nx\nE",
        "a = <<E\r\nx\r\nE\r\n",
        "a = <<-E\n  x\n   E  \n",
        "a = <<E\n${1}\n%{ if true }x%{ endif }\nE\n",
        "a = f(<<E\nx\nE\n, 1)\n",
        "a = \"$$${\"\n",
        "a = \"%%{ $ % $$ %% $x %x\"\n",
        "a = \"${\"nested ${\"twice\"}\"}\"\n",
        "a = \"\\n\\r\\t\\\"\\\\\\u00e9\\U0001F600\"\n",
        "a = (\n1\n+\n2\n?\n3\n:\n4\n)\n",
        "a = (true\n? 1\n: 2)\n",
        "a = [\n1\n,\n2,\n]\n",
        "a = {\n\n  b = 1 # c\n  c : 2,\n\n  \"d\" = 3\n  (\"e\") = 4\n  null = 5\n  true = 6, 7 = 8\n}\n",
        "a = {\nfor k, v in b : k => v... if true\n}\n",
        "a = [for\nv\nin\nb\n:\nv\n]\n",
        "for = in\n",
        "a = for.if.else\n",
        "a = - - !b\n",
        "a = b.0.1.c.*.d.0[*].e[0][\"f\"]\n",
        "a = b.*.*\n",
        "a = f()\n",
        "a = f(b...)\n",
        "a = f(\n  b,\n  c,\n)\n",
        "a = n::f(1)\n",
        "größe-2_x = ñ\n",
        "e\u{301} = 1\n",
        "a = \"%{ if true ~} x %{~ else ~} y %{~ endif }\"\n",
        "a = \"%{ for k, v in b }${k}%{ endfor }\"\n",
        "\u{feff}a = 1\n",
        "a = 1\r\nb = 2\r\n",
        "a = 1e5 + 1.5E-3 + 0.0\n",
    ] {
        let found = mistakes("t.hcl", text);
        assert!(found.is_empty(), "{text:?}: {found:?}");
    }
}

#[test]
fn each_mistake_is_told_once_and_the_rest_is_read() {
    check(
        "t.hcl",
        &[
            (
                "a = \nb = 2\nc = *\n",
                &[
                    "1:5 expected an expression, found the end of the line",
                    "3:5 expected an expression, found `*`",
                ],
            ),
            (
                "a {\n  b = 1 2\n  c = [1 2]\n  d = {e 1}\n  e = f(1 2)\n}\nz = !\n",
                &[
                    "2:9 expected the end of the line, since an argument ends with it, found `2`",
                    "3:10 expected `,` and another element, or `]`, found `2`",
                    "4:10 expected `=` and the value of this key, found `1`",
                    "5:11 expected `,` and another argument, or `)`, found `2`",
                    "7:6 expected an expression, found the end of the line",
                ],
            ),
            (
                "a = \"x\nb = 1\nc = \"y\n",
                &[
                    "1:5 this string is not closed on its line",
                    "3:5 this string is not closed on its line",
                ],
            ),
            (
                "a = \"${b\nb = 1\n",
                &["1:6 this sequence is not closed with `}`"],
            ),
            (
                "a {\n  b = \"${b\n  c = 1\n}\nd {\n}\n",
                &["2:8 this sequence is not closed with `}`"],
            ),
            (
                "a = \"${}\"\nb = \"${1 2}\"\n",
                &[
                    "1:8 expected an expression, found `}`",
                    "2:10 expected `}` at the end of this sequence, found `2`",
                ],
            ),
            ("a = (1\nb = 2\n\nc = 3\n", &["2:1 expected `)`, found `b`"]),
            (
                "a = [1,\n  2\n\nc = 3\n",
                &["4:1 expected `,` and another element, or `]`, found `c`"],
            ),
            (
                "a {\n  b = [1,\n}\nc {\n  d = *\n}\n",
                &[
                    "3:1 expected an expression, found `}`",
                    "5:7 expected an expression, found `*`",
                ],
            ),
            (
                "a {\n  b = {\n    c = 1\n}\n",
                &["1:3 this brace is not closed"],
            ),
            ("a {\n", &["1:3 this brace is not closed"]),
            ("a {\n  b {\n    c {\n", &["3:7 this brace is not closed"]),
            (
                "a {\n}\n}\nb = *\n",
                &[
                    "3:1 this brace closes nothing",
                    "4:5 expected an expression, found `*`",
                ],
            ),
            (
                "a\n",
                &["1:2 this is neither an argument nor a block: the end of the line"],
            ),
            (
                "a b\n",
                &["1:4 expected `{` or another label of this `a` block, found the end of the line"],
            ),
            (
                "a b = 1\nc = *\n",
                &[
                    "1:5 expected `{` or another label of this `a` block, found `=`",
                    "2:5 expected an expression, found `*`",
                ],
            ),
            (
                "\"a\" = 1\n",
                &["1:1 the name of an argument or block is written without quotes"],
            ),
            (
                "1 = 2\n",
                &["1:1 expected the name of an argument or block, found `1`"],
            ),
            ("a: 1\n", &["1:2 an argument is set with `=`, not with `:`"]),
            (
                "a = 1, b = 2\n",
                &["1:6 an argument ends with its line, without a comma"],
            ),
            (
                "a = 1;\n",
                &["1:6 expected the end of the line, since an argument ends with it, found `;`"],
            ),
            ("a = 'x'\n", &["1:5 expected an expression, found `'`"]),
            (
                "a { b = 1, c = 2 }\nd = *\n",
                &[
                    "1:10 a block on one line holds one argument at most, and no blocks",
                    "2:5 expected an expression, found `*`",
                ],
            ),
            (
                "a { b {} }\n",
                &["1:7 a block on one line holds one argument at most, and no blocks"],
            ),
            (
                "a {\n  b = 1 }\nc = *\n",
                &[
                    "2:9 expected the end of the line, since an argument ends with it, found `}`",
                    "3:5 expected an expression, found `*`",
                ],
            ),
            (
                "a \"b${c}\" {\n}\n",
                &["1:3 a label is plain text, without interpolations"],
            ),
            ("a = 1\na = 2\n", &["2:1 `a` is set twice"]),
            (
                "a = /* b\nc = 1\n",
                &["1:5 expected an expression, found an unfinished comment"],
            ),
            ("a = <<E\nx\n", &["1:5 this heredoc is not closed"]),
            (
                "a = <<E x\nE\n",
                &["1:5 this heredoc has no name on its first line, or more than that"],
            ),
            (
                "a = <<\"E\"\nE\nb = *\n",
                &[
                    "1:5 this heredoc has no name on its first line, or more than that",
                    "3:5 expected an expression, found `*`",
                ],
            ),
            (
                "a = <<~E\nE\n",
                &["1:5 this heredoc has no name on its first line, or more than that"],
            ),
            (
                "a = \"\\x \\q\"\nb = \"\\u12\"\nc = \"\\uD800\"\n",
                &[
                    "1:6 this is no escape sequence",
                    "2:6 this is no escape sequence",
                    "3:6 this is no escape sequence",
                ],
            ),
            (
                "a = \"%{ if true }x\"\n",
                &["1:6 this directive has no `endif`"],
            ),
            (
                "a = \"%{ else }\"\nb = \"%{ endif }\"\n",
                &[
                    "1:6 there is no `if` before this",
                    "2:6 there is no `if` before this",
                ],
            ),
            (
                "a = \"%{ for x in b }%{ endif }\"\n",
                &["1:21 expected `endfor` here"],
            ),
            (
                "a = \"%{ unless b }\"\n",
                &["1:9 there is no directive `unless`"],
            ),
            (
                "a = b ? c\nd = 1\n",
                &[
                    "1:10 expected `:` and the other result of this conditional, found the end of the line",
                ],
            ),
            (
                "a = b.\nc = b.1x\nd = b.1e5\n",
                &[
                    "1:7 expected the name of an attribute, found the end of the line",
                    "2:8 expected the end of the line, since an argument ends with it, found `x`",
                    "3:7 an index behind a dot is made of digits",
                ],
            ),
            ("a = b[\nc = 1\n", &["2:3 expected `]`, found `=`"]),
            ("a = b[]\n", &["1:7 expected an expression, found `]`"]),
            (
                "a = f(\nb = 1\n",
                &["2:3 expected `,` and another argument, or `)`, found `=`"],
            ),
            (
                "a = f(b..., c)\n",
                &["1:11 expected `,` and another argument, or `)`, found `,`"],
            ),
            (
                "a = [for x in b]\nc = {for x in b : x}\nd = [for x in b : x => x]\ne = [for x b : x]\n",
                &[
                    "1:16 expected `:` and what to make of each item, found `]`",
                    "2:20 expected `=>`, since a for expression in braces makes keys and values, found `}`",
                    "3:21 a for expression in brackets has no keys",
                    "4:12 expected `in` and the collection to iterate over, found `b`",
                ],
            ),
            (
                "a = [for x in b : x...]\n",
                &["1:20 only a for expression with keys can group values"],
            ),
            (
                "a = {b}\nc = {b = }\nd = {b = 1 c = 2}\n",
                &[
                    "1:7 expected `=` and the value of this key, found `}`",
                    "2:10 expected an expression, found `}`",
                    "3:12 expected `,`, the end of the line or `}` after this item, found `c`",
                ],
            ),
            ("a = 1e99999\n", &["1:5 this number is out of range"]),
            (
                "a = 1 & 2\nb = ~1\nc = 1 === 2\n",
                &[
                    "1:7 expected the end of the line, since an argument ends with it, found `&`",
                    "2:5 expected an expression, found `~`",
                    "3:9 expected an expression, found `=`",
                ],
            ),
            (
                "a = b = c\n",
                &["1:7 expected the end of the line, since an argument ends with it, found `=`"],
            ),
            ("a = $b\n", &["1:5 expected an expression, found `$`"]),
            (
                "a = \u{a0}1\n",
                &["1:5 expected an expression, found `\u{a0}`"],
            ),
            (
                "a = 1\0\n",
                &[
                    "1:6 expected the end of the line, since an argument ends with it, found \"\\0\"",
                ],
            ),
        ],
    );
}

#[test]
fn mistakes_in_json() {
    check(
        "t.json",
        &[
            (
                "{\"a\": [1, {\"b\": \"\\u00e9\\ud83d\\ude00\\/\"}], \"//\": 1, \"a\": 1e5}",
                &[],
            ),
            ("\u{feff}{}\r\n", &[]),
            ("[{}, {\"a\": 1}]", &[]),
            (
                "",
                &["1:1 expected a JSON value, found the end of the text"],
            ),
            ("1", &["1:1 a file in JSON is one object"]),
            ("[1]", &["1:2 a file in JSON is one object"]),
            ("{", &["1:1 this bracket is not closed"]),
            (
                "{\"a\"",
                &["1:5 expected `:` and the property's value, found the end of the text"],
            ),
            (
                "{\"a\":",
                &["1:6 expected a JSON value, found the end of the text"],
            ),
            (
                "{\"a\": 1,}",
                &["1:9 JSON has no comma after the last element"],
            ),
            (
                "{\"a\": [1,]}",
                &["1:10 JSON has no comma after the last element"],
            ),
            (
                "{\"a\": [1 2]}",
                &["1:10 expected `,` and another element, or `]`, found '2'"],
            ),
            (
                "{a: 1}",
                &["1:2 expected the name of a property, in double quotes, found 'a'"],
            ),
            (
                "{'a': 1}",
                &["1:2 expected the name of a property, in double quotes, found '\\''"],
            ),
            ("{\"a\": True}", &["1:7 this is no JSON value"]),
            ("{\"a\": nul}", &["1:7 this is no JSON value"]),
            ("{\"a\": 01}", &["1:7 this is no JSON number"]),
            ("{\"a\": +1}", &["1:7 expected a JSON value, found '+'"]),
            ("{\"a\": 1.}", &["1:7 this is no JSON number"]),
            ("{\"a\": .5}", &["1:7 expected a JSON value, found '.'"]),
            ("{\"a\": 1e}", &["1:7 this is no JSON number"]),
            ("{\"a\": 1e99999}", &["1:7 this number is out of range"]),
            ("{\"a\": NaN}", &["1:7 this is no JSON value"]),
            (
                "{\"a\": \"b\n\"}",
                &["1:7 this string is not closed on its line"],
            ),
            (
                "{\"a\": \"b\t\"}",
                &["1:9 a control character must be escaped in a string"],
            ),
            (
                "{\"a\": \"b",
                &["1:7 this string is not closed on its line"],
            ),
            (
                "{\"a\": \"\\x\"}",
                &["1:8 this is no escape sequence of JSON"],
            ),
            (
                "{\"a\": \"\\u12\"}",
                &["1:8 \\u is followed by four hexadecimal digits"],
            ),
            ("{\"a\": \"\\", &["1:8 this is no escape sequence of JSON"]),
            ("{} {}", &["1:4 expected the end of the text, found '{'"]),
            ("// c\n{}", &["1:1 expected a JSON value, found '/'"]),
            ("{} # c", &["1:4 expected the end of the text, found '#'"]),
            (
                "{\"a\": \"${\", \"b\": \"${1 2}\"}",
                &[
                    "1:10 expected an expression, found the end of the text",
                    "1:23 expected `}` at the end of this sequence, found `2`",
                ],
            ),
            (
                "{\"a\": \"é\\n${*}\"}",
                &["1:13 expected an expression, found `*`"],
            ),
            (
                "{\"a\": \"\\u00e9${*}\"}",
                &["1:16 expected an expression, found `*`"],
            ),
            (
                "{\"a\": \"%{ if true }\"}",
                &["1:8 this directive has no `endif`"],
            ),
        ],
    );
}
