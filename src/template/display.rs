//! Display: how a value looks to a person, as in Packer's console.
//!
//! A string stands for itself, and within a collection it is quoted as Go quotes strings. Attributes
//! that are null are left out, and what is unknown in any part is unknown as a whole.

use super::value::{Number, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What is shown for a value that is not known yet.
const UNKNOWN: &str = "<unknown>";

/// How deep an element is indented below what holds it.
const INDENT: usize = 2;

/// The value as Packer's console shows it, without a line feed at its end.
pub fn display(value: &Value) -> String {
    match value {
        value if !value.is_wholly_known() => UNKNOWN.to_owned(),
        Value::String(text) => text.to_string(),
        other => {
            let mut text = String::new();
            write_value(other, 0, &mut text);
            text
        }
    }
}

/// The text in double quotes, as Go's `%q` writes it.
pub fn go_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        // Writing to a String cannot fail.
        let _ = match character {
            '"' | '\\' => write!(quoted, "\\{character}"),
            '\x07' => write!(quoted, "\\a"),
            '\x08' => write!(quoted, "\\b"),
            '\x0c' => write!(quoted, "\\f"),
            '\n' => write!(quoted, "\\n"),
            '\r' => write!(quoted, "\\r"),
            '\t' => write!(quoted, "\\t"),
            '\x0b' => write!(quoted, "\\v"),
            ..' ' | '\x7f' => write!(quoted, "\\x{:02x}", u32::from(character)),
            ' '..='~' => write!(quoted, "{character}"),
            _ if is_printable(character) => write!(quoted, "{character}"),
            '\u{80}'..='\u{ffff}' => write!(quoted, "\\u{:04x}", u32::from(character)),
            _ => write!(quoted, "\\U{:08x}", u32::from(character)),
        };
    }
    quoted.push('"');
    quoted
}

/// The text as a quoted string of the language, which stands for just that text.
pub fn hcl_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        // Writing to a String cannot fail.
        let _ = match character {
            '"' | '\\' => write!(quoted, "\\{character}"),
            '\n' => write!(quoted, "\\n"),
            '\r' => write!(quoted, "\\r"),
            '\t' => write!(quoted, "\\t"),
            '$' | '%' if rest.peek() == Some(&'{') => write!(quoted, "{character}{character}"),
            _ if character.is_control() => write!(quoted, "\\u{:04x}", u32::from(character)),
            _ => write!(quoted, "{character}"),
        };
    }
    quoted.push('"');
    quoted
}

/// Whether a character beyond ASCII is a letter, mark, number, punctuation or symbol.
fn is_printable(character: char) -> bool {
    // At the beginning of a text, the standard library escapes marks as well.
    let mut text = [0; 8];
    text[0] = b'a';
    let length = character.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..=length])
        .is_ok_and(|text| text.escape_debug().nth(1) == Some(character))
}

fn write_value(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Null(_) => text.push_str("null"),
        Value::Unknown(_) => text.push_str(UNKNOWN),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::String(string) => text.push_str(&go_quoted(string)),
        Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
            write_elements(elements, depth, text);
        }
        Value::Map(_, entries) | Value::Object(entries) => write_entries(entries, depth, text),
    }
}

fn write_elements(elements: &[Value], depth: usize, text: &mut String) {
    if elements.is_empty() {
        text.push_str("[]");
        return;
    }
    text.push_str("[\n");
    for element in elements {
        indent(depth + 1, text);
        write_value(element, depth + 1, text);
        text.push_str(",\n");
    }
    indent(depth, text);
    text.push(']');
}

fn write_entries(entries: &BTreeMap<Arc<str>, Value>, depth: usize, text: &mut String) {
    if entries.values().all(Value::is_null) {
        text.push_str("{}");
        return;
    }
    text.push_str("{\n");
    for (name, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        indent(depth + 1, text);
        text.push_str(&go_quoted(name));
        text.push_str(" = ");
        write_value(value, depth + 1, text);
        text.push('\n');
    }
    indent(depth, text);
    text.push('}');
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', depth * INDENT));
}

/// An integer of 64 bits as it is, and any other number as the shortest text of the nearest float,
/// as Go's `%g` writes it.
fn number_text(number: &Number) -> String {
    match number.to_i64() {
        Some(integer) if number.is_integer() => integer.to_string(),
        _ => float_text(number.to_f64()),
    }
}

fn float_text(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        // Beyond these bounds Go writes an exponent.
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => float.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::value::Type;

    #[test]
    fn numbers_are_gos() {
        for (number, expected) in [
            ("0", "0"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "9.223372036854776e+18"),
            ("123456.5", "123456.5"),
            ("1234567.5", "1.2345675e+06"),
            ("0.0001", "0.0001"),
            ("0.000012345", "1.2345e-05"),
            ("1e400", "+Inf"),
            ("-1e400", "-Inf"),
            ("1e-400", "0"),
        ] {
            let number = Number::parse(number).expect("a number");
            assert_eq!(number_text(&number), expected);
        }
    }

    #[test]
    fn quotes_are_gos() {
        for (text, expected) in [
            ("a\"\\b", r#""a\"\\b""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1f}\u{7f}", r#""\x00\x1f\x7f""#),
            (
                "\u{85}\u{a0}\u{feff}\u{e000}\u{2028}\u{3000}\u{378}",
                r#""\u0085\u00a0\ufeff\ue000\u2028\u3000\u0378""#,
            ),
            ("\u{f0000}", r#""\U000f0000""#),
            (
                "é\u{301}\u{e0100}😀\u{fffd}",
                "\"é\u{301}\u{e0100}😀\u{fffd}\"",
            ),
        ] {
            assert_eq!(go_quoted(text), expected);
        }
    }

    #[test]
    fn collections_are_indented_and_nulls_left_out() {
        let inner = Value::object([("c", Value::tuple(vec![])), ("n", Value::NULL)]);
        let value = Value::object([
            ("a b", inner),
            ("d", Value::object([("e", Value::NULL)])),
            ("l", Value::tuple(vec![Value::NULL, Value::string("x")])),
        ]);
        let expected = "{\n  \"a b\" = {\n    \"c\" = []\n  }\n  \"d\" = {}\n  \"l\" = [\n    null,\n    \"x\",\n  ]\n}";
        assert_eq!(display(&value), expected);
        assert_eq!(display(&Value::string("a\nb")), "a\nb");
        assert_eq!(display(&Value::NULL), "null");
    }

    #[test]
    fn partly_unknown_is_unknown() {
        let value = Value::tuple(vec![Value::Bool(true), Value::Unknown(Type::Dynamic)]);
        assert_eq!(display(&value), "<unknown>");
    }
}
