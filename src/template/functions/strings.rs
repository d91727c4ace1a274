//! Functions on text: case, trimming, searching, cutting, joining; formatting is in
//! `format_text.rs`, regular expressions are in `patterns.rs`.
//!
//! A character, where a function counts them, is a grapheme cluster: what a reader sees as one.

use super::format_text::{format, formatlist};
use super::letter_case;
use super::signature::{
    Arguments, Function, Kind, Parameter, check_element_count, check_text_size,
};
use super::{FunctionContext, FunctionError};
use crate::template::value::{Type, Value};
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

const TEXT: &[Parameter] = &[Parameter::new("str", Kind::String)];
const FORMAT: &[Parameter] = &[Parameter::new("format", Kind::String)];
const FORMATTED: Parameter = Parameter::new("args", Kind::Anything).or_null();

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("chomp", Kind::String, chomp).parameters(TEXT),
    Function::new("endswith", Kind::Bool, endswith).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("suffix", Kind::String),
    ]),
    Function::new("format", Kind::String, format)
        .parameters(FORMAT)
        .variadic(FORMATTED)
        .looks_inside(),
    Function::new("formatlist", Kind::StringList, formatlist)
        .parameters(FORMAT)
        .variadic(FORMATTED)
        .looks_inside(),
    Function::new("indent", Kind::String, indent).parameters(&[
        Parameter::new("spaces", Kind::Number),
        Parameter::new("str", Kind::String),
    ]),
    Function::new("join", Kind::String, join)
        .parameters(&[Parameter::new("separator", Kind::String)])
        .variadic(Parameter::new("lists", Kind::StringList))
        .looks_inside(),
    Function::new("lower", Kind::String, lower).parameters(TEXT),
    Function::new("replace", Kind::String, replace).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("substr", Kind::String),
        Parameter::new("replace", Kind::String),
    ]),
    Function::new("split", Kind::StringList, split).parameters(&[
        Parameter::new("separator", Kind::String),
        Parameter::new("str", Kind::String),
    ]),
    Function::new("startswith", Kind::Bool, startswith).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("prefix", Kind::String),
    ]),
    Function::new("strcontains", Kind::Bool, strcontains).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("substr", Kind::String),
    ]),
    Function::new("strrev", Kind::String, strrev).parameters(TEXT),
    Function::new("substr", Kind::String, substr).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("offset", Kind::Number),
        Parameter::new("length", Kind::Number),
    ]),
    Function::new("title", Kind::String, title).parameters(TEXT),
    Function::new("trim", Kind::String, trim).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("cutset", Kind::String),
    ]),
    Function::new("trimprefix", Kind::String, trimprefix).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("prefix", Kind::String),
    ]),
    Function::new("trimspace", Kind::String, trimspace).parameters(TEXT),
    Function::new("trimsuffix", Kind::String, trimsuffix).parameters(&[
        Parameter::new("str", Kind::String),
        Parameter::new("suffix", Kind::String),
    ]),
    Function::new("upper", Kind::String, upper).parameters(TEXT),
];

/// The number of characters.
pub(super) fn length(text: &str) -> usize {
    text.graphemes(true).count()
}

type Outcome = Result<Value, FunctionError>;

fn chomp(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let text = arguments.string(0)?;
    Ok(Value::string(text.trim_end_matches(['\r', '\n'])))
}

fn startswith(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, prefix) = (arguments.string(0)?, arguments.string(1)?);
    Ok(Value::Bool(text.starts_with(prefix)))
}

fn endswith(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, suffix) = (arguments.string(0)?, arguments.string(1)?);
    Ok(Value::Bool(text.ends_with(suffix)))
}

fn strcontains(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, part) = (arguments.string(0)?, arguments.string(1)?);
    Ok(Value::Bool(text.contains(part)))
}

fn indent(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let Ok(spaces) = usize::try_from(arguments.whole_number(0)?) else {
        return Err(FunctionError::at(0, "must not be negative"));
    };
    let text = arguments.string(1)?;
    let lines = text.matches('\n').count();
    if lines == 0 {
        return arguments.value(1).cloned();
    }
    let added = lines.checked_mul(spaces);
    check_text_size(added.and_then(|added| added.checked_add(text.len())))?;
    let line_start = format!("\n{}", " ".repeat(spaces));
    Ok(Value::string(text.replace('\n', &line_start)))
}

fn join(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let separator = arguments.string(0)?;
    let lists = arguments.from(1);
    if lists.is_empty() {
        return Err(FunctionError::new("at least one list is required"));
    }
    let mut parts = Vec::new();
    let mut bytes = Some(0_usize);
    for list in 0..lists.len() {
        let elements = arguments.elements(list + 1)?;
        for (position, element) in elements.iter().enumerate() {
            let Some(text) = element.as_str() else {
                let place = if lists.len() > 1 {
                    format!("element {position} of list {}", list + 1)
                } else {
                    format!("element {position}")
                };
                return Err(FunctionError::at(
                    list + 1,
                    format!("{place} is null; cannot concatenate null values"),
                ));
            };
            bytes = bytes.and_then(|bytes| bytes.checked_add(text.len() + separator.len()));
            check_text_size(bytes)?;
            parts.push(text);
        }
    }
    Ok(Value::string(parts.join(separator)))
}

fn split(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (separator, text) = (arguments.string(0)?, arguments.string(1)?);
    let mut parts = Vec::new();
    let mut push = |part: &str| {
        parts.push(Value::string(part));
        check_element_count(Some(parts.len()))
    };
    if separator.is_empty() {
        // Between all characters, which are code points here.
        for (start, letter) in text.char_indices() {
            push(
                text.get(start..start + letter.len_utf8())
                    .unwrap_or_default(),
            )?;
        }
    } else {
        for part in text.split(separator) {
            push(part)?;
        }
    }
    Ok(Value::list(Type::String, parts))
}

fn replace(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, old, new) = (
        arguments.string(0)?,
        arguments.string(1)?,
        arguments.string(2)?,
    );
    let count = text.matches(old).count();
    let added = count.checked_mul(new.len());
    check_text_size(added.and_then(|added| added.checked_add(text.len())))?;
    Ok(Value::string(text.replace(old, new)))
}

fn strrev(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let text = arguments.string(0)?;
    Ok(Value::string(
        text.graphemes(true).rev().collect::<String>(),
    ))
}

fn substr(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let text = arguments.string(0)?;
    let (mut offset, wanted) = (arguments.whole_number(1)?, arguments.whole_number(2)?);
    if offset < 0 {
        let total = i64::try_from(length(text)).unwrap_or(i64::MAX);
        offset = offset.saturating_add(total);
    } else if wanted == 0 {
        return Ok(Value::string(""));
    }
    let skipped = usize::try_from(offset).unwrap_or(0);
    let rest = text.graphemes(true).skip(skipped);
    // A length of 0 after a negative offset means the whole rest: as in Packer.
    Ok(Value::string(match usize::try_from(wanted) {
        Ok(wanted @ 1..) => rest.take(wanted).collect::<String>(),
        _ => rest.collect(),
    }))
}

fn trim(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, cut) = (arguments.string(0)?, arguments.string(1)?);
    let cut: HashSet<char> = cut.chars().collect();
    Ok(Value::string(
        text.trim_matches(|letter| cut.contains(&letter)),
    ))
}

fn trimspace(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(arguments.string(0)?.trim()))
}

fn trimprefix(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, prefix) = (arguments.string(0)?, arguments.string(1)?);
    Ok(Value::string(text.strip_prefix(prefix).unwrap_or(text)))
}

fn trimsuffix(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let (text, suffix) = (arguments.string(0)?, arguments.string(1)?);
    Ok(Value::string(text.strip_suffix(suffix).unwrap_or(text)))
}

fn upper(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(letter_case::upper(arguments.string(0)?)))
}

fn lower(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(letter_case::lower(arguments.string(0)?)))
}

fn title(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(letter_case::title(arguments.string(0)?)))
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
chomp("a\r\n\n") = "a"
chomp("a\n b") = "a\n b"
chomp("a\r") = "a"
chomp("") = ""
endswith("hello", "lo") = true
endswith("hello", "x") = false
startswith("hello", "he") = true
startswith("hello", "") = true
strcontains("hello", "ell") = true
strcontains("hello", "L") = false
indent(2, "a\nb\n\nc") = "a\n  b\n  \n  c"
indent(4, "a") = "a"
indent(1e18, "a\nb") = ~ error: would be longer than
indent(-1, "a\nb") = ~ error: must not be negative
join(", ", ["a", 1, true]) = "a, 1, true"
join("-", ["a"], [], ["b", "c"]) = "a-b-c"
join(",", []) = ""
join(",") = error: at least one list is required
join(",", ["a", null]) = error: element 1 is null; cannot concatenate null values
join(",", ["b"], [null]) = error: element 0 of list 2 is null
join(",", "a") = error: invalid value for "lists" parameter
join(",", [["a"]]) = error: invalid value for "lists" parameter
lower("HÄLLO") = "hällo"
lower("İΣ") = "iσ"
upper("ß") = "ß"
upper("ŉᾀǆﬁ") = "ŉᾈǄﬁ"
upper("straße é") = "STRAßE É"
upper(true) = "TRUE"
title("ǆ o'hare a_b 1st quick-brown") = "ǅ O'Hare A_b 1st Quick-Brown"
title("héllo wörld ärger") = "Héllo Wörld Ärger"
title("a\u00a0b—c") = "A\u00a0B—c"
replace("a.b.c", ".", "-") = "a-b-c"
replace("abc", "", "-") = "-a-b-c-"
replace("a/b/", "/b/", "x") = "ax"
replace("abc", "b", "") = "ac"
split(",", "a,b,,c") = ["a","b","","c"]
split(",", "") = [""]
split("", "añb") = ["a","ñ","b"]
split("", "") = []
split(", ", "a, b") = ["a","b"]
strrev("héllo") = "olléh"
strrev("a👩‍👩‍👧b") = "b👩‍👩‍👧a"
strrev("🇩🇪🇫🇷") = "🇫🇷🇩🇪"
substr("hello world", 1, 4) = "ello"
substr("hello", -3, 2) = "ll"
substr("hello", 1, 0) = ""
substr("hello", -3, 0) = "llo"
substr("hello", 10, 2) = ""
substr("hello", 5, 2) = ""
substr("hello", -10, 2) = "he"
substr("hello", 1, -1) = "ello"
substr("hello", 0, 100) = "hello"
substr("🤔🤷a👩‍👩‍👧", 2, 2) = "a👩‍👩‍👧"
substr("hello", 0.5, 1) = error: whole number
substr("", 0, 1) = ""
trim("?!hello?!", "!?") = "hello"
trim("hello", "") = "hello"
trimprefix("helloworld", "hello") = "world"
trimprefix("aab", "a") = "ab"
trimprefix("helloworld", "cat") = "helloworld"
trimspace("\u2003 a b\t\r\n") = "a b"
trimsuffix("helloworld", "world") = "hello"
"#;
}
