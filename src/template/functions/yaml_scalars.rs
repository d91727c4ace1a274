//! YAML scalars: what the text of one means, by YAML 1.1 as Packer's library has it.
//!
//! `yes`, `on` and `y` are true; numbers may have underscores, and are binary with `0b` but
//! hexadecimal and octal only where they are tagged; times become text.

use super::FunctionError;
use crate::template::value::{Number, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// What a tag says about a scalar; `None` is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    None,
    Str,
    Bool,
    Int,
    Float,
    Null,
    Timestamp,
    Binary,
}

impl Tag {
    /// The tag of that name below `tag:yaml.org,2002:`.
    pub(super) fn named(name: &str) -> Option<Tag> {
        Some(match name {
            "str" => Tag::Str,
            "bool" => Tag::Bool,
            "int" => Tag::Int,
            "float" => Tag::Float,
            "null" => Tag::Null,
            "timestamp" => Tag::Timestamp,
            "binary" => Tag::Binary,
            _ => return None,
        })
    }
}

/// The value of a scalar.
pub(super) fn resolve(tag: Tag, text: &str, quoted: bool) -> Result<Value, FunctionError> {
    let is_text = matches!(tag, Tag::Str | Tag::Binary);
    if !is_text && begins_like_a_value(text) {
        if quoted {
            return Ok(Value::string(text));
        }
        if let Some(value) = named(text)? {
            return Ok(value);
        }
        if let Some(value) = number_or_time(tag, text)? {
            return Ok(value);
        }
    }
    let wrong = |what: &str| {
        Err(FunctionError::at(
            0,
            format!("{text:?} is tagged as {what}, which it is not"),
        ))
    };
    match tag {
        Tag::None | Tag::Str => Ok(Value::string(text)),
        Tag::Binary if STANDARD.decode(text.replace(['\r', '\n'], "")).is_err() => wrong("base64"),
        Tag::Binary => Ok(Value::string(text)),
        Tag::Bool => wrong("a bool"),
        Tag::Null => Ok(Value::NULL),
        Tag::Timestamp => wrong("a time"),
        Tag::Int | Tag::Float => match tagged_number(text)? {
            Some(number) => Ok(Value::Number(number)),
            None => wrong("a number"),
        },
    }
}

/// Whether the first letter is one that anything but a string begins with.
fn begins_like_a_value(text: &str) -> bool {
    let first = text.chars().next();
    first.is_none_or(|first| first.is_ascii_digit() || "+-.yYnNtTfFoO~".contains(first))
}

/// The values that are words.
fn named(text: &str) -> Result<Option<Value>, FunctionError> {
    Ok(Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => Value::NULL,
        ".nan" | ".NaN" | ".NAN" => {
            return Err(FunctionError::at(0, format!("{text} is not a number")));
        }
        _ => {
            let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
            if !matches!(unsigned, ".inf" | ".Inf" | ".INF") {
                return Ok(None);
            }
            Value::Number(Number::infinity(text.starts_with('-')))
        }
    }))
}

fn number_or_time(tag: Tag, text: &str) -> Result<Option<Value>, FunctionError> {
    if text.starts_with('.') {
        return Ok(decimal(text)?.map(Value::Number));
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
        return Ok(None);
    }
    if matches!(tag, Tag::None | Tag::Timestamp)
        && let Some(time) = time(text)
    {
        return Ok(Some(Value::string(time)));
    }
    let plain = text.replace('_', "");
    if let Some(number) = decimal(&plain)? {
        return Ok(Some(Value::Number(number)));
    }
    if !plain.starts_with("0b") && !plain.starts_with("-0b") {
        return Ok(None);
    }
    match whole(&plain) {
        Some(number) => Ok(Some(Value::Number(number))),
        None => Err(FunctionError::at(
            0,
            format!("{text:?} begins like a binary number but is none"),
        )),
    }
}

/// A decimal number; none if the text is not one.
fn decimal(text: &str) -> Result<Option<Number>, FunctionError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => {
            are_digits(whole) && are_digits(part) && whole.len() + part.len() > 0
        }
        None => are_digits(mantissa) && !mantissa.is_empty(),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        are_digits(digits) && !digits.is_empty()
    });
    if !is_mantissa || !is_exponent {
        return Ok(None);
    }
    match Number::parse(text) {
        Some(number) => Ok(Some(number)),
        None => Err(FunctionError::at(
            0,
            format!("the number {text} is too large"),
        )),
    }
}

fn tagged_number(text: &str) -> Result<Option<Number>, FunctionError> {
    let plain = text.replace('_', "");
    match decimal(&plain)? {
        Some(number) => Ok(Some(number)),
        None => Ok(whole(&plain)),
    }
}

/// A whole number of 64 bits with the prefix of its base.
fn whole(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = match unsigned.get(..2)? {
        "0b" | "0B" => 2,
        "0o" | "0O" => 8,
        "0x" | "0X" => 16,
        _ => return None,
    };
    let digits = unsigned.get(2..)?;
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    let number = Number::parse(&magnitude.to_string())?;
    match negative {
        false => Some(number),
        true if magnitude <= 1 << 63 => Some(number.negate()),
        true => None,
    }
}

/// A time in the form of RFC 3339; none if the text is not a time.
///
/// `2001-2-3`, `2001-2-3 4:5:6.7`, and `2001-2-3T4:5:6.7+01:00` or with `Z`.
fn time(text: &str) -> Option<String> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    let month = digits(after(&mut rest, '-')?, 1, 2)?;
    let day = digits(after(&mut rest, '-')?, 1, 2)?;
    let date = Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()?;
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let has_zone = !rest.starts_with(' ');
    rest = rest.strip_prefix([' ', 'T', 't'])?;
    let hour = digits(&mut rest, 1, 2)?;
    let minute = digits(after(&mut rest, ':')?, 1, 2)?;
    let second = digits(after(&mut rest, ':')?, 1, 2)?;
    let time = Time::new(
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        0,
    )
    .ok()?;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
        if end.len() == fraction.len() {
            return None;
        }
        rest = end;
    }
    let zone = match (has_zone, rest) {
        (false, "") | (true, "Z") => "Z".to_owned(),
        (true, rest) => zone(rest)?,
        _ => return None,
    };
    Some(format!("{date}T{time}{zone}"))
}

/// The zone `±HH:MM`, as RFC 3339 writes it.
fn zone(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix(['+', '-'])?;
    let hours = digits(&mut rest, 2, 2)?;
    let minutes = digits(after(&mut rest, ':')?, 2, 2)?;
    if !rest.is_empty() || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Offset::from_seconds(seconds).ok()?;
    Some(match seconds {
        0 => "Z".to_owned(),
        _ => text.to_owned(),
    })
}

fn after<'a, 't>(rest: &'a mut &'t str, separator: char) -> Option<&'a mut &'t str> {
    *rest = rest.strip_prefix(separator)?;
    Some(rest)
}

/// Takes a number of `least` to `most` digits from the front.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let found = rest.bytes().take_while(u8::is_ascii_digit).count();
    let count = found.min(most);
    if count < least {
        return None;
    }
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    number.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r##"
yamldecode("[yes, Yes, YES, y, Y, on, On, ON, true, True, TRUE, yEs, tRUE]") = [true,true,true,true,true,true,true,true,true,true,true,"yEs","tRUE"]
yamldecode("[no, No, NO, n, N, off, Off, OFF, false, False, FALSE, nO]") = [false,false,false,false,false,false,false,false,false,false,false,"nO"]
yamldecode("[~, null, Null, NULL, nULL, ~x]") = [null,null,null,null,"nULL","~x"]
yamldecode("[0b11, -0b1, 0b1_1, 0o17, 017, 08, 0x1F, +0x1f, 1_000, 1__0, 1_, _1, +12, -12, 00012]") = [3,-1,3,"0o17",17,8,"0x1F","+0x1f",1000,10,1,"_1",12,-12,12]
yamldecode("-0") = ~ 0
yamldecode("[.5, -.5e3, +.5, 1e3, 1E3, 1., 12e03, 1_0.5_0, .5_0, 1e, 0x, ., ..5, 0.10]") = [0.5,-500,0.5,1000,1000,1,12000,10.5,".5_0","1e","0x",".","..5",0.1]
yamldecode("[12:30:45, 1.2.3, 1-2, 99999999999999999999]") = ["12:30:45","1.2.3","1-2",99999999999999999999]
yamldecode("a: 0b12") = error: begins like a binary number but is none
yamldecode("a: .nan") = error: .nan is not a number
yamldecode("a: '.nan'") = {"a":".nan"}
yamldecode("a: 1e2000") = ~ error: the number 1e2000 is too large
yamldecode("a: 2001-12-14t21:59:43.10-05:00\nb: 2001-1-2\nc: 2001-12-14 21:59:43.10") = {"a":"2001-12-14T21:59:43-05:00","b":"2001-01-02T00:00:00Z","c":"2001-12-14T21:59:43Z"}
yamldecode("- 2001-12-14T21:59:43Z\n- 2001-12-14T21:59:43+01:00\n- 2001-02-30\n- 2001-1-2T3:4:5Z\n- 20011-1-1\n- 2001-12-14 1:2\n- 2001-1-2T24:00:00Z\n- 0000-1-1\n- 2001-12-14 21:59:43.10 -5") = ["2001-12-14T21:59:43Z","2001-12-14T21:59:43+01:00","2001-02-30","2001-01-02T03:04:05Z","20011-1-1","2001-12-14 1:2","2001-1-2T24:00:00Z","0000-01-01T00:00:00Z","2001-12-14 21:59:43.10 -5"]
yamldecode("- 2001-1-2T3:4:5+00:00\n- 2001-1-2T3:4:5-00:00\n- 2001-1-2T3:4:60Z\n- 2001-1-2T3:4:5.Z\n- 2001-1-2T3:4:5z\n- 2001-1-2 3:4:5Z\n- 2001-123-1\n- 2001-1-2T3:4:5.123456789Z") = ["2001-01-02T03:04:05Z","2001-01-02T03:04:05Z","2001-1-2T3:4:60Z","2001-1-2T3:4:5.Z","2001-1-2T3:4:5z","2001-1-2 3:4:5Z","2001-123-1","2001-01-02T03:04:05Z"]
yamldecode("2001-1-2T3:4:5.123456789012Z") = ~ "2001-01-02T03:04:05Z"
yamldecode("'2001-1-2'") = "2001-1-2"
yamldecode("a: |-\n  yes\nb: |-\n  1.50\nc: |-\n  ~\nd: >-\n  0x1f\ne: |-\n  2001-1-2") = {"a":"true","b":"1.5","c":null,"d":"0x1f","e":"2001-01-02T00:00:00Z"}
yamldecode("a: !!float 1\nb: !!str 1\nc: !!binary aGk=\nd: !!int \"12\"\ne: !!str yes") = {"a":1,"b":"1","c":"aGk=","d":"12","e":"yes"}
yamldecode("a: !!bool yes\nb: !!null x\nc: !!timestamp 2001-1-2\nd: !!float 1_0.5\ne: !!str\nf:") = {"a":true,"b":null,"c":"2001-01-02T00:00:00Z","d":10.5,"e":"","f":null}
yamldecode("- !!int 0x1F\n- !!int -0x1F\n- !!int 0b11\n- !!int 2001-1-2x") = error: "2001-1-2x" is tagged as a number
yamldecode("- !!int 0x1F\n- !!int -0x1F\n- !!int 0b11\n- !!int +0x1f\n- !!int 0xffffffffffffffff") = [31,-31,3,31,18446744073709551615]
yamldecode("!!int x") = error: "x" is tagged as a number
yamldecode("!!int 0x1ffffffffffffffff") = error: is tagged as a number
yamldecode("!!bool maybe") = error: "maybe" is tagged as a bool
yamldecode("!!timestamp later") = error: "later" is tagged as a time
yamldecode("!!binary a") = error: "a" is tagged as base64
"##;
}
