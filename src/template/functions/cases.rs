//! The tables of cases of all functions, and what checks them: this library, and Packer where it is
//! installed.
//!
//! A case is a line `name(arguments) = result`, with arguments and result in JSON. An error is
//! `error: ` and a part of its message. `~` before the result marks where Packer 1.6.6, the one that
//! is compared with, behaves otherwise: later versions do not, or it is a limit of ours.

use super::*;
use crate::template::value::Type;
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// Functions that Packer 1.6.6 lacks, that worked otherwise then, or that ask a service.
const NEWER_THAN_1_6_6: &[&str] = &[
    "alltrue",
    "anytrue",
    "aws_secretsmanager",
    "aws_secretsmanager_raw",
    "base64gzip",
    "consul_key",
    "endswith",
    "filebase64",
    "index",
    "legacy_isotime",
    "legacy_strftime",
    "regex",
    "regexall",
    "rfc3339_parse",
    "startswith",
    "strcontains",
    "sum",
    "textdecodebase64",
    "textencodebase64",
    "timestamp",
    "unix_timestamp_parse",
    "vault",
];

/// A context of which nothing depends on the machine.
pub(super) fn context() -> FunctionContext<'static> {
    FunctionContext {
        template_folder: Path::new("/does/not/exist/template"),
        working_folder: Path::new("/does/not/exist"),
        home: Some(Path::new("/home/somebody")),
        now: Timestamp::constant(1_514_934_721, 0),
        random: &|bytes| bytes.fill(0x5a),
        services: Some(&crate::template::tests::FakeServices),
    }
}

/// Calls a function in that context.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, FunctionError> {
    super::call(name, arguments, &context())
}

struct Case {
    line: &'static str,
    name: &'static str,
    arguments: &'static str,
    expected: &'static str,
    packer_agrees: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    [
        collections::tests::CASES,
        contextual::tests::CASES,
        cryptography::tests::CASES,
        dates::tests::CASES,
        encoding::tests::CASES,
        files::tests::CASES,
        hashes::tests::CASES,
        maps::tests::CASES,
        network::tests::CASES,
        numeric::tests::CASES,
        patterns::tests::CASES,
        sets::tests::CASES,
        strings::tests::CASES,
        uuids::tests::CASES,
        super::format_text::tests::CASES,
        super::yaml_decode::tests::CASES,
        super::yaml_encode::tests::CASES,
        super::yaml_scalars::tests::CASES,
    ]
    .into_iter()
    .flat_map(str::lines)
    .filter(|line| !line.is_empty())
    .map(|line| {
        let (call, expected) = line.rsplit_once(") = ").expect(line);
        let (name, arguments) = call.split_once('(').expect(line);
        let differing = expected.strip_prefix("~ ");
        Case {
            line,
            name,
            arguments,
            expected: differing.unwrap_or(expected),
            packer_agrees: differing.is_none() && !NEWER_THAN_1_6_6.contains(&name),
        }
    })
}

/// The expected result, in the one form of JSON that results have.
fn normalised(expected: &str) -> String {
    json_text::encode(&json_text::decode(expected).expect(expected)).unwrap()
}

#[test]
fn every_case_holds() {
    let mut wrong = String::new();
    for case in cases() {
        let arguments = json_text::decode(&format!("[{}]", case.arguments)).expect(case.line);
        let result = call(case.name, arguments.as_elements().unwrap())
            .and_then(|value| json_text::encode(&value));
        let holds = match (case.expected.strip_prefix("error: "), &result) {
            (None, Ok(text)) => *text == normalised(case.expected),
            (Some(part), Err(error)) => error.message.contains(part),
            _ => false,
        };
        if !holds {
            wrong += &format!("{}\n  but it is {result:?}\n", case.line);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_function_has_a_case() {
    let covered: std::collections::BTreeSet<&str> = cases().map(|case| case.name).collect();
    let elsewhere = ["base64gzip", "filebase64", "uuidv4"];
    let missing: Vec<&str> = names()
        .filter(|name| !covered.contains(name) && !elsewhere.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Asks Packer for all results at once; without Packer there is nothing to compare.
#[test]
fn packer_agrees() {
    let asked: Vec<Case> = cases().filter(|case| case.packer_agrees).collect();
    let expressions: Vec<String> = asked
        .iter()
        .map(|case| {
            let arguments = case.arguments.replace("${", "$${").replace("%{", "%%{");
            format!("try(jsonencode({}({arguments})), \"error\")", case.name)
        })
        .collect();
    let Ok(mut packer) = Command::new("packer")
        .args(["console", "--config-type=hcl2"])
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        assert!(std::env::var_os("CI").is_none(), "packer is not installed");
        eprintln!("packer is not installed: nothing is compared");
        return;
    };
    let mut input = packer.stdin.take().unwrap();
    writeln!(input, "jsonencode([{}])", expressions.join(", ")).unwrap();
    drop(input);
    let output = packer.wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let answers = json_text::decode(&output).expect(&output);
    let answers = answers.as_elements().unwrap();
    assert_eq!(answers.len(), asked.len());
    let mut wrong = String::new();
    for (case, answer) in asked.iter().zip(answers.iter()) {
        let answer = answer.as_str().unwrap();
        let expected = if case.expected.starts_with("error: ") {
            "error".to_owned()
        } else {
            normalised(case.expected)
        };
        if answer != expected {
            wrong += &format!("{}\n  but Packer says {answer}\n", case.line);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn unknown_arguments_give_unknown_results() {
    let unknown = || Value::Unknown(Type::String);
    let list = |value: Value| Value::list(Type::String, vec!["a".into(), value]);
    for (name, arguments, expected) in [
        ("upper", vec![unknown()], Value::Unknown(Type::String)),
        ("length", vec![unknown()], Value::Unknown(Type::Number)),
        ("length", vec![list(unknown())], number(2)),
        (
            "element",
            vec![list(unknown()), Value::string("0")],
            "a".into(),
        ),
        (
            "join",
            vec![",".into(), list(unknown())],
            Value::Unknown(Type::String),
        ),
        (
            "jsonencode",
            vec![Value::tuple(vec![unknown()])],
            Value::Unknown(Type::String),
        ),
        ("coalesce", vec!["a".into(), unknown()], "a".into()),
        ("coalesce", vec!["".into(), unknown()], unknown()),
        ("contains", vec![list(unknown()), "a".into()], true.into()),
        (
            "contains",
            vec![list(unknown()), "b".into()],
            Value::Unknown(Type::Bool),
        ),
    ] {
        assert_eq!(call(name, &arguments), Ok(expected), "{name} {arguments:?}");
    }
}

#[test]
fn typed_collections_keep_their_type() {
    let set = Value::set(Type::String, vec!["b".into(), "a".into()]);
    let map = Value::map(
        Type::String,
        [("k".into(), Value::string("v"))].into_iter().collect(),
    );
    let strings =
        |texts: &[&str]| Value::list(Type::String, texts.iter().map(Value::string).collect());
    for (name, arguments, expected) in [
        ("reverse", vec![set.clone()], strings(&["b", "a"])),
        ("sort", vec![set.clone()], strings(&["a", "b"])),
        ("keys", vec![map.clone()], strings(&["k"])),
        ("values", vec![map.clone()], strings(&["v"])),
        ("merge", vec![map.clone(), map.clone()], map.clone()),
        (
            "lookup",
            vec![map.clone(), "x".into(), Value::Bool(true)],
            "true".into(),
        ),
        (
            "concat",
            vec![strings(&["a"]), strings(&["b"])],
            strings(&["a", "b"]),
        ),
        (
            "zipmap",
            vec![strings(&["k"]), strings(&["v"])],
            map.clone(),
        ),
    ] {
        assert_eq!(call(name, &arguments), Ok(expected), "{name} {arguments:?}");
    }
    assert!(call("slice", &[set.clone(), number(0), number(1)]).is_err());
    let product = call("setproduct", &[set.clone(), strings(&["x"])]).unwrap();
    assert!(matches!(product, Value::Set(..)), "{product:?}");
}

fn number(number: i64) -> Value {
    Value::Number(crate::template::value::Number::from(number))
}

#[test]
fn results_are_limited() {
    let long = Value::string("x".repeat(1 << 20));
    let many = Value::list(Type::String, vec![long.clone(); 100]);
    let numbers = Value::tuple(vec![number(1); 1000]);
    // Ten levels of ten times the same: ten thousand million values when walked through.
    let shared = (0..10).fold(numbers.clone(), |inner, _| Value::tuple(vec![inner; 10]));
    let parameters = || "x".repeat(70);
    for (name, arguments) in [
        ("join", vec!["".into(), many.clone()]),
        ("jsonencode", vec![many.clone()]),
        (
            "format",
            vec![Value::string("%[1]s".repeat(70)), long.clone()],
        ),
        ("formatlist", vec![Value::string("%s %[1]s"), many.clone()]),
        (
            "replace",
            vec![parameters().into(), "x".into(), long.clone()],
        ),
        (
            "regex_replace",
            vec![parameters().into(), "x".into(), long.clone()],
        ),
        (
            "regex_replace",
            vec![long.clone(), "(x+)".into(), "$1".repeat(70).into()],
        ),
        ("indent", vec![number(1 << 40), "a\nb".into()]),
        (
            "setproduct",
            vec![numbers.clone(), numbers.clone(), numbers.clone()],
        ),
        ("flatten", vec![shared.clone()]),
        ("jsonencode", vec![shared.clone()]),
        ("length", vec![shared.clone()]),
        ("regexall", vec!["".into(), "x".repeat(1 << 21).into()]),
        ("split", vec!["".into(), "x".repeat(1 << 21).into()]),
    ] {
        assert!(call(name, &arguments).is_err(), "{name} has no limit");
    }
}

#[test]
fn names_and_marks() {
    let all: Vec<&str> = names().collect();
    assert!(all.is_sorted());
    let changing: Vec<&str> = names().filter(|name| changes_each_run(name)).collect();
    assert_eq!(
        changing,
        [
            "bcrypt",
            "legacy_isotime",
            "legacy_strftime",
            "timestamp",
            "uuidv4"
        ]
    );
    let secret: Vec<&str> = names().filter(|name| gives_secret(name)).collect();
    assert_eq!(
        secret,
        ["aws_secretsmanager", "aws_secretsmanager_raw", "vault"]
    );
    // With `try`, `can`, `convert` and `templatefile`, which the evaluator has, these are the 103
    // functions of Packer 1.16.
    assert_eq!(all.len(), 99);
    assert!(exists("upper") && !exists("uper"));
    let error = call("uper", &[]).unwrap_err();
    assert!(error.message.contains("no function named"), "{error}");
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(String::new()),
        Just("10.0.0.0/8".to_owned()),
        Just("2018-01-02T23:12:01Z".to_owned()),
        Just("%[1]-08.3f%s%d%v%q".to_owned()),
        Just("{a,b}/**/[x]".to_owned()),
        Just("(?P<x>a)|b*".to_owned()),
        Just("\"a\",b\n1,2".to_owned()),
        "[-+0-9.eE]{1,8}",
        "[a-zA-Z0-9%{}\\[\\]()*'$/,:. é👩\\-]{0,12}",
        any::<String>(),
    ];
    let integer = prop_oneof![any::<i64>(), -3_i64..70, Just(i64::MAX), Just(i64::MIN),];
    let leaf = prop_oneof![
        4 => text.prop_map(Value::string),
        2 => integer.prop_map(number),
        1 => any::<f64>().prop_filter_map("not finite", |float| {
            crate::template::value::Number::parse(&format!("{float}")).map(Value::Number)
        }),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::NULL),
        1 => Just(Value::Null(Type::List(Box::new(Type::String)))),
        1 => Just(Value::Unknown(Type::String)),
        1 => Just(Value::Unknown(Type::Dynamic)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(Value::object),
            prop::collection::vec("[a-c]{0,2}", 0..4).prop_map(|texts| {
                Value::list(Type::String, texts.into_iter().map(Value::string).collect())
            }),
            prop::collection::vec(-3_i64..3, 0..4).prop_map(|numbers| {
                Value::set(Type::Number, numbers.into_iter().map(number).collect())
            }),
            prop::collection::btree_map("[a-c]", -3_i64..3, 0..3).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, entry)| (key.into(), number(entry)));
                Value::map(Type::Number, entries.collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    /// Whatever the arguments, a call ends with a value or an error, and twice with the same one.
    #[test]
    fn no_call_panics(
        name in prop::sample::select(names().collect::<Vec<_>>()),
        arguments in prop::collection::vec(any_value(), 0..4),
    ) {
        prop_assert_eq!(call(name, &arguments), call(name, &arguments));
    }
}
