//! The functions of Go templates: Go's own, and those of Packer's components.

use super::GoTemplateData;
use super::value::Value;
use crate::diagnostic::nearest;
use crate::template::functions::{self as library, FunctionContext};
use crate::template::{PACKER_VERSION, value};
use regex::Regex;
use std::cmp::Ordering;
use std::path::Path;

type Called = Result<Value, String>;

/// The names of all functions, and of those that are refused with a reason.
const NAMES: [&str; 42] = [
    "and",
    "aws_secretsmanager",
    "build",
    "build_name",
    "build_type",
    "call",
    "clean_resource_name",
    "consul_key",
    "env",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "isotime",
    "js",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "packer_version",
    "print",
    "printf",
    "println",
    "pwd",
    "replace",
    "replace_all",
    "sed",
    "slice",
    "split",
    "strftime",
    "template_dir",
    "timestamp",
    "title",
    "upper",
    "urlquery",
    "user",
    "uuid",
    "vault",
];

/// Whether the result of a function differs in each run.
pub(super) fn changes_each_run(name: &str) -> bool {
    matches!(name, "timestamp" | "isotime" | "strftime" | "uuid")
}

/// The truth at which `and` and `or` stop; none for other functions.
pub(super) fn short_circuit(name: &str) -> Option<bool> {
    match name {
        "and" => Some(false),
        "or" => Some(true),
        _ => None,
    }
}

/// Calls a function; an error is the message.
pub(super) fn call(name: &str, arguments: &[Value], data: &GoTemplateData) -> Called {
    if let Some(instead) = refused(name, arguments) {
        return Err(instead);
    }
    match name {
        "not" => one(name, arguments, "a value").map(|value| Value::Bool(!value.truth())),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => comparison(name, arguments),
        "len" => length(arguments),
        "index" => index(arguments),
        "slice" => slice(arguments),
        "print" => Ok(Value::Text(print(arguments))),
        "println" => {
            let texts: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            Ok(Value::Text(texts.join(" ") + "\n"))
        }
        "printf" => printf(arguments),
        "html" => Ok(Value::Text(html(&print(arguments)))),
        "js" => Ok(Value::Text(js(&print(arguments)))),
        "urlquery" => language("urlencode", &[text_value(&print(arguments))], data),
        _ => component_function(name, arguments, data),
    }
}

/// The functions of Packer's components.
fn component_function(name: &str, arguments: &[Value], data: &GoTemplateData) -> Called {
    let texts: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let text = |text: &str| Ok(Value::Text(text.to_owned()));
    match (name, texts.as_slice()) {
        ("build_name", []) => text(&data.build_name),
        ("build_type", []) => text(&data.build_type),
        ("pwd", []) => text(&data.working_folder),
        ("packer_version", []) => text(PACKER_VERSION),
        ("timestamp", []) => text(&data.now.as_second().to_string()),
        ("isotime", []) => text(&data.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("isotime", [layout]) => language("legacy_isotime", &[text_value(layout)], data),
        ("strftime", [format]) => language("legacy_strftime", &[text_value(format)], data),
        ("uuid", []) => language("uuidv4", &[], data),
        ("upper" | "lower" | "title", [text]) => language(name, &[text_value(text)], data),
        ("clean_resource_name", [name]) => {
            let clean = |char: char| {
                if char.is_ascii_alphanumeric() {
                    char
                } else {
                    '-'
                }
            };
            text(&name.chars().map(clean).collect::<String>())
        }
        ("replace_all", [old, new, within]) => text(&bounded(within, old, new, usize::MAX)?),
        ("replace", [old, new, count, within]) => {
            let count: i64 = count
                .parse()
                .map_err(|_| "`replace` takes how often as its third value".to_owned())?;
            // Negative is always, as in Go.
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            text(&bounded(within, old, new, count)?)
        }
        ("split", [within, separator, position]) => {
            let parts: Vec<&str> = match separator.is_empty() {
                true => within.split("").filter(|part| !part.is_empty()).collect(),
                false => within.split(separator).collect(),
            };
            let part = position
                .parse::<usize>()
                .ok()
                .and_then(|position| parts.get(position));
            part.map(|part| Value::Text((*part).to_owned()))
                .ok_or_else(|| {
                    format!(
                        "`split` has no part {position}: the text has {} of them, from 0 on",
                        parts.len()
                    )
                })
        }
        ("sed", [command, within]) => sed(command, within).map(Value::Text),
        _ => Err(match expected(name) {
            Some(expected) => format!("`{{{{ {name} }}}}` takes {expected}"),
            None => unknown(name),
        }),
    }
}

/// What a function takes that was called with something else.
fn expected(name: &str) -> Option<&'static str> {
    Some(match name {
        "build_name" | "build_type" | "pwd" | "packer_version" | "timestamp" | "uuid" => {
            "no arguments"
        }
        "isotime" => "no arguments, or a layout",
        "strftime" => "a format",
        "upper" | "lower" | "title" | "clean_resource_name" => "a text",
        "replace" => "the old text, the new one, how often (-1: always) and a text",
        "replace_all" => "the old text, the new one and a text",
        "split" => "a text, a separator and a position",
        "sed" => "a command `s/…/…/` and a text",
        _ => return None,
    })
}

fn unknown(name: &str) -> String {
    let help = match nearest(name, NAMES) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "functions of templates in HCL are called in `${…}`".to_owned(),
    };
    format!("there is no function `{name}` in `{{{{ … }}}}`; {help}")
}

/// What to write instead of a function that belongs to templates in JSON.
fn refused(name: &str, arguments: &[Value]) -> Option<String> {
    let argument = match arguments.first() {
        Some(Value::Text(text)) => text.as_str(),
        _ => "NAME",
    };
    let instead = match name {
        "user" => format!("${{var.{argument}}}"),
        "build" => format!("${{build.{argument}}}"),
        "env" => format!("env({argument:?}) in the default of a variable"),
        "template_dir" => "${path.root}".to_owned(),
        "vault" => "${vault(PATH, KEY)}".to_owned(),
        "consul_key" => format!("${{consul_key({argument:?})}}"),
        "aws_secretsmanager" => "${aws_secretsmanager(NAME, KEY)}".to_owned(),
        "call" => return Some("`call` has no functions to call here".to_owned()),
        _ => return None,
    };
    Some(format!(
        "`{{{{ {name} }}}}` belongs to templates in JSON; write {instead}"
    ))
}

fn one<'a>(name: &str, arguments: &'a [Value], expected: &str) -> Result<&'a Value, String> {
    match arguments {
        [value] => Ok(value),
        _ => Err(format!("`{{{{ {name} }}}}` takes {expected}")),
    }
}

fn comparison(name: &str, arguments: &[Value]) -> Called {
    let (first, others) = match arguments.split_first() {
        Some((first, others)) if !others.is_empty() => (first, others),
        _ => return Err(format!("`{name}` takes two values")),
    };
    if name != "eq" && others.len() > 1 {
        return Err(format!("`{name}` takes two values"));
    }
    for other in others {
        let order = compare(first, other, name)?;
        let holds = match name {
            "eq" => order == Some(Ordering::Equal),
            "ne" => order != Some(Ordering::Equal),
            "lt" => order == Some(Ordering::Less),
            "le" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            "gt" => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        };
        if holds {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn compare(left: &Value, right: &Value, name: &str) -> Result<Option<Ordering>, String> {
    let equality = matches!(name, "eq" | "ne");
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Bool(left), Value::Bool(right)) if equality => Some(left.cmp(right)),
        (Value::Nil, Value::Nil) if equality => Some(Ordering::Equal),
        (Value::Nil, _) | (_, Value::Nil) if equality => None,
        _ => {
            return Err(format!(
                "`{name}` cannot compare {} with {}",
                left.described(),
                right.described()
            ));
        }
    })
}

fn length(arguments: &[Value]) -> Called {
    let length = match one("len", arguments, "a text")? {
        Value::Text(text) => text.len(),
        Value::Map(entries) => entries.len(),
        other => return Err(format!("{} has no length", other.described())),
    };
    Ok(Value::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(arguments: &[Value]) -> Called {
    match arguments {
        [value] => Ok(value.clone()),
        [Value::Map(entries), Value::Text(name)] => Ok(entries
            .get(name)
            .map_or(Value::Text(String::new()), |value| {
                Value::Text(value.clone())
            })),
        [Value::Text(text), Value::Integer(position)] => {
            let byte = usize::try_from(*position)
                .ok()
                .and_then(|position| text.as_bytes().get(position));
            byte.map(|byte| Value::Integer(i64::from(*byte)))
                .ok_or_else(|| format!("the index {position} is out of range"))
        }
        _ => Err(
            "`index` takes the data and the name of a field, or a text and a position".to_owned(),
        ),
    }
}

fn slice(arguments: &[Value]) -> Called {
    let wrong = || "`slice` takes a text and one or two positions".to_owned();
    let Some((Value::Text(text), positions)) = arguments.split_first() else {
        return Err(wrong());
    };
    let mut bounds = [0, text.len()];
    if positions.len() > bounds.len() {
        return Err(wrong());
    }
    for (bound, position) in bounds.iter_mut().zip(positions) {
        match position {
            Value::Integer(position) => *bound = usize::try_from(*position).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    let [start, end] = bounds;
    text.get(start..end)
        .map(|part| Value::Text(part.to_owned()))
        .ok_or_else(|| format!("the positions {start} and {end} are out of range"))
}

/// Go's Sprint: blanks between values of which neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut before: Option<&Value> = None;
    for value in arguments {
        if let Some(before) = before
            && !matches!(before, Value::Text(_))
            && !matches!(value, Value::Text(_))
        {
            output.push(' ');
        }
        output.push_str(&value.to_string());
        before = Some(value);
    }
    output
}

/// The verbs are those of the language's `format()`, which are Go's.
fn printf(arguments: &[Value]) -> Called {
    let values: Vec<value::Value> = arguments
        .iter()
        .map(|value| match value {
            Value::Nil => value::Value::NULL,
            Value::Bool(bool) => value::Value::Bool(*bool),
            Value::Integer(integer) => value::Number::from(*integer).into(),
            Value::Float(float) => value::Number::parse(&float.to_string())
                .map_or_else(|| text_value(&float.to_string()), Into::into),
            Value::Text(text) => text_value(text),
            map @ Value::Map(_) => text_value(&map.to_string()),
        })
        .collect();
    let context = FunctionContext {
        template_folder: Path::new(""),
        working_folder: Path::new(""),
        home: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        random: &|bytes| bytes.fill(0),
        services: None,
    };
    let result = library::call("format", &values, &context).map_err(|error| error.message)?;
    Ok(Value::Text(result.as_str().unwrap_or("").to_owned()))
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' => {
                escaped.push_str(&format!("\\u{:04X}", u32::from(char)));
            }
            char if char < ' ' => escaped.push_str(&format!("\\u{:04X}", u32::from(char))),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `s/PATTERN/REPLACEMENT/` with any character instead of `/`, and the flag `g`.
fn sed(command: &str, text: &str) -> Result<String, String> {
    let wrong = || format!("`sed` knows only commands such as s/a/b/ and s/a/b/g, not {command:?}");
    let rest = command.strip_prefix('s').ok_or_else(wrong)?;
    let separator = rest.chars().next().ok_or_else(wrong)?;
    let parts: Vec<&str> = rest.split(separator).collect();
    let [_, pattern, replacement, flags] = parts.as_slice() else {
        return Err(wrong());
    };
    let all = match *flags {
        "" => false,
        "g" => true,
        _ => return Err(wrong()),
    };
    let pattern =
        Regex::new(pattern).map_err(|error| format!("`sed`: a wrong pattern: {error}"))?;
    let replacement = replacement.replace('$', "$$");
    let replacement = Regex::new(r"\\(\d)")
        .map_or(replacement.clone(), |groups| {
            groups.replace_all(&replacement, "$${$1}").into_owned()
        })
        .replace('&', "${0}");
    let limit = usize::from(!all);
    let lines = text
        .split('\n')
        .map(|line| pattern.replacen(line, limit, replacement.as_str()));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Replaces a text within another; refuses what would grow without bounds.
fn bounded(text: &str, old: &str, new: &str, count: usize) -> Result<String, String> {
    let found = text.matches(old).take(count).count();
    if found.saturating_mul(new.len()) > super::render::MAX_OUTPUT {
        return Err("the text grows too large".to_owned());
    }
    Ok(text.replacen(old, new, count))
}

fn text_value(text: &str) -> value::Value {
    value::Value::string(text)
}

/// The language's function of the same meaning.
fn language(function: &str, arguments: &[value::Value], data: &GoTemplateData) -> Called {
    let folder = Path::new(&data.working_folder);
    let context = FunctionContext {
        template_folder: folder,
        working_folder: folder,
        home: None,
        now: data.now,
        random: &*data.random,
        services: None,
    };
    let result = library::call(function, arguments, &context).map_err(|error| error.message)?;
    Ok(Value::Text(result.as_str().unwrap_or("").to_owned()))
}
