//! Regular expressions: `regex`, `regexall`, `regex_replace`, in the syntax of RE2.
//!
//! What a match gives depends on the pattern: its text without groups, a tuple of the groups, or an
//! object of the named ones.

use super::pattern_syntax::rewrite;
use super::signature::{
    Arguments, Function, Kind, MAX_TEXT_BYTES, Parameter, check_element_count, check_text_size,
};
use super::{FunctionContext, FunctionError};
use crate::template::value::{Type, Value};
use regex::{Captures, Regex, RegexBuilder};
use std::sync::Arc;

/// The most memory a compiled pattern may take; bounds repetitions within repetitions.
const MAX_COMPILED_BYTES: usize = 4 << 20;

const PATTERN_AND_TEXT: &[Parameter] = &[
    Parameter::new("pattern", Kind::String),
    Parameter::new("string", Kind::String),
];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regex", Kind::Anything, regex).parameters(PATTERN_AND_TEXT),
    Function::new("regex_replace", Kind::String, regex_replace).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("pattern", Kind::String),
        Parameter::new("replace", Kind::String),
    ]),
    Function::new("regexall", Kind::AnyList, regexall).parameters(PATTERN_AND_TEXT),
];

/// What a match of a pattern turns into.
enum Shape {
    Text,
    Tuple(usize),
    Object(Vec<Arc<str>>),
}

fn regex(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let pattern = compile(arguments, 0)?;
    let shape = Shape::of(&pattern)?;
    let captures = pattern
        .captures(arguments.string(1)?)
        .ok_or_else(|| FunctionError::new("pattern did not match any part of the given string"))?;
    Ok(shape.value(&captures))
}

fn regexall(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let pattern = compile(arguments, 0)?;
    let shape = Shape::of(&pattern)?;
    let mut matches = Vec::new();
    let mut bytes = 0_usize;
    for captures in all_captures(&pattern, arguments.string(1)?) {
        check_element_count(Some(matches.len() + captures.len()))?;
        bytes = bytes.saturating_add(captures.iter().flatten().map(|group| group.len()).sum());
        check_text_size(Some(bytes))?;
        matches.push(shape.value(&captures));
    }
    Ok(Value::list(shape.to_type(), matches))
}

fn regex_replace(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let text = arguments.string(0)?;
    let pattern = compile(arguments, 1)?;
    let replacement = arguments.string(2)?;
    let mut result = String::new();
    let mut copied = 0;
    for captures in all_captures(&pattern, text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        result.push_str(text.get(copied..whole.start()).unwrap_or_default());
        expand(replacement, &captures, &mut result)?;
        copied = whole.end();
    }
    result.push_str(text.get(copied..).unwrap_or_default());
    check_text_size(Some(result.len()))?;
    Ok(Value::string(result))
}

/// All matches, without the empty ones that directly follow another match: as in Go.
fn all_captures<'t>(pattern: &Regex, text: &'t str) -> impl Iterator<Item = Captures<'t>> {
    let mut last_end = None;
    pattern.captures_iter(text).filter(move |captures| {
        let Some(whole) = captures.get(0) else {
            return false;
        };
        let repeats = whole.is_empty() && last_end == Some(whole.start());
        last_end = Some(whole.end());
        !repeats
    })
}

/// Appends a replacement text: `$1`, `${1}`, `$name` and `${name}` stand for groups, `$$` for `$`.
///
/// A name without braces is as long as possible, as in Go: `$1x` is the group `1x`.
fn expand(
    replacement: &str,
    captures: &Captures<'_>,
    result: &mut String,
) -> Result<(), FunctionError> {
    let mut rest = replacement;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = group_reference(rest) {
            let group = match name.parse() {
                Ok(index) => captures.get(index),
                Err(_) => captures.name(name),
            };
            result.push_str(group.map_or("", |group| group.as_str()));
            rest = after;
        } else {
            result.push('$');
        }
        check_text_size(Some(result.len()))?;
    }
    result.push_str(rest);
    check_text_size(Some(result.len()))
}

/// The name after a `$`, and what follows it.
fn group_reference(text: &str) -> Option<(&str, &str)> {
    let (braced, name_on) = match text.strip_prefix('{') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let end = name_on
        .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(name_on.len());
    let (name, after) = name_on.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced {
        return Some((name, after.strip_prefix('}')?));
    }
    Some((name, after))
}

fn compile(arguments: &Arguments<'_>, index: usize) -> Result<Regex, FunctionError> {
    let pattern = arguments.string(index)?;
    RegexBuilder::new(&rewrite(pattern))
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(1000)
        .build()
        .map_err(|error| {
            FunctionError::at(index, format!("invalid regexp pattern: {}", reason(&error)))
        })
}

/// The last line of a syntax error says what is wrong; the others draw the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl Shape {
    fn of(pattern: &Regex) -> Result<Shape, FunctionError> {
        let groups = pattern.captures_len() - 1;
        let names: Vec<Arc<str>> = pattern.capture_names().flatten().map(Arc::from).collect();
        if groups == 0 {
            Ok(Shape::Text)
        } else if names.is_empty() {
            Ok(Shape::Tuple(groups))
        } else if names.len() == groups {
            Ok(Shape::Object(names))
        } else {
            Err(FunctionError::at(
                0,
                "invalid regexp pattern: cannot mix both named and unnamed capture groups",
            ))
        }
    }

    fn to_type(&self) -> Type {
        match self {
            Shape::Text => Type::String,
            Shape::Tuple(groups) => Type::Tuple(vec![Type::String; *groups]),
            Shape::Object(names) => Type::Object(
                names
                    .iter()
                    .map(|name| (name.clone(), Type::String))
                    .collect(),
            ),
        }
    }

    fn value(&self, captures: &Captures<'_>) -> Value {
        // A group that took no part in the match is null.
        let group = |index| {
            captures
                .get(index)
                .map_or(Value::Null(Type::String), |group| {
                    Value::string(group.as_str())
                })
        };
        match self {
            Shape::Text => group(0),
            Shape::Tuple(groups) => Value::tuple((1..=*groups).map(group).collect()),
            Shape::Object(names) => {
                let groups = names.iter().enumerate();
                Value::object(groups.map(|(index, name)| (name.clone(), group(index + 1))))
            }
        }
    }
}

// Larger would let one match of a pattern fill the memory.
const _: () = assert!(MAX_COMPILED_BYTES < MAX_TEXT_BYTES);

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
regex("[a-z]+", "53453453.345345aaabbbccc23454") = "aaabbbccc"
regex("(\\d\\d\\d\\d)-(\\d\\d)-(\\d\\d)", "2019-02-01") = ["2019","02","01"]
regex("^(?:(?P<scheme>[^:/?#]+):)?(?://(?P<authority>[^/?#]*))?", "https://terraform.io/docs/") = {"authority":"terraform.io","scheme":"https"}
regex("(?P<a>x)?y", "y") = {"a":null}
regex("(x)?(y)", "y") = [null,"y"]
regex("[a-z]+", "53453") = error: pattern did not match any part of the given string
regex("(?P<a>x)(y)", "xy") = error: cannot mix both named and unnamed capture groups
regex("(", "x") = error: invalid value for "pattern" parameter: invalid regexp pattern
regex("(?=x)", "x") = error: invalid regexp pattern
regex("\\p{Greek}+", "abγδ") = "γδ"
regex("(?i)ABC", "xabc") = "abc"
regex("a{0,1000}", "aaa") = "aaa"
regex("((a{1,1000}){1,1000}){1,1000}", "a") = error: invalid regexp pattern
regex("", "abc") = ""
regexall("[a-z]+", "1234abcd5678efgh9") = ["abcd","efgh"]
regexall("[a-z]+", "123") = []
regexall("([a-z])(\\d)", "a1b2") = [["a","1"],["b","2"]]
regexall("(?P<k>\\w)=(?P<v>\\w)", "a=1,b=2") = [{"k":"a","v":"1"},{"k":"b","v":"2"}]
regexall("a*", "baac") = ["","aa",""]
regexall("x*", "") = [""]
regex_replace("hello world", "o", "0") = "hell0 w0rld"
regex_replace("hello world", "(\\w+) (\\w+)", "$2 ${1}") = "world hello"
regex_replace("abc", "b", "$$") = "a$c"
regex_replace("abc", "(b)", "$1x") = "ac"
regex_replace("abc", "(b)", "$1$") = "ab$c"
regex_replace("abc", "(?P<m>b)", "[$m]") = "a[b]c"
regex_replace("abc", "x*", "-") = "-a-b-c-"
regex_replace("baac", "a*", "-") = "-b-c-"
regex_replace("a٣3é_b", "\\d", "-") = "a٣-é_b"
regex_replace("a٣3é_b", "\\w", "-") = "-٣-é--"
regex_replace("a٣3é_b", "\\W", "-") = "a-3-_b"
regex_replace("é\u00a0b", "\\s|\\b", "-") = "é\u00a0-b-"
regex_replace("a1 b", "[^\\d\\s]", "-") = "-1 -"
regex_replace("a1 b", "[\\D]", "-") = "-1--"
regex_replace("a<b>", "\\<|\\>", "-") = "a-b-"
regex_replace("a.*b", "\\Q.*\\E", "-") = "a-b"
regex_replace("a{x}b{", "{x}|b{", "-") = "a--"
regex_replace("aab", "a{2}", "-") = "-b"
regex_replace("éγxB", "\\x{e9}|\\p{Greek}|\\x78|\\pL", "-") = "----"
regex_replace("a", "\\p{", "-") = error: invalid regexp pattern
regex_replace("a", "\\p", "-") = error: invalid regexp pattern
regex_replace("a[b]&~", "[][]|[&&~~]", "-") = "a-b---"
regex_replace("aZ9-", "[[:alpha:]9]", "-") = "----"
regex_replace("+,-.", "[+--]", "x") = "xxx."
regex_replace("ab", "[a", "-") = error: invalid regexp pattern
regex_replace("ab", "a\\", "-") = error: invalid regexp pattern
regex_replace("abc", "(", "") = ~ error: 
"#;
}
