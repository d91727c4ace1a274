//! `format` and `formatlist`: a format string's verbs, and what each makes of a value.
//!
//! A verb is `%`, flags, a width, a precision, an argument's position and a letter, as in
//! `%-8.3[2]f`. Numbers are laid out as by Go; width counts characters as a reader sees them.

use super::digits::{self, Layout};
use super::json_text;
use super::signature::{Arguments, check_text_size};
use super::strings::length;
use super::{FunctionContext, FunctionError};
use crate::template::convert::{ConvertError, to_bool, to_number, to_string};
use crate::template::value::{Number, Type, Value};
use bigdecimal::num_bigint::Sign;
use unicode_segmentation::UnicodeSegmentation;

/// The largest width and precision, as in Go.
const MAX_WIDTH: usize = 1_000_000;

/// `format(format, args...)`
pub(super) fn format(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let values: Vec<&Value> = arguments.from(1).iter().collect();
    Ok(Value::string(formatted(arguments.string(0)?, &values)?))
}

/// `formatlist(format, args...)`: sequences are gone through side by side, all else repeats.
pub(super) fn formatlist(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let text = arguments.string(0)?;
    let values = arguments.from(1);
    let mut chosen: Option<(usize, usize)> = None;
    for (index, value) in values.iter().enumerate() {
        let Some(elements) = value.as_elements() else {
            continue;
        };
        let (first, length) = *chosen.get_or_insert((index, elements.len()));
        if elements.len() != length {
            return Err(FunctionError::at(
                index + 1,
                format!(
                    "argument {} has length {}, which is inconsistent with argument {} of length {length}",
                    index + 1,
                    elements.len(),
                    first + 1
                ),
            ));
        }
    }
    let rounds = chosen.map_or(1, |(_, length)| length);
    let mut results = Vec::with_capacity(rounds);
    let mut bytes = 0_usize;
    for round in 0..rounds {
        let of_round: Vec<&Value> = values
            .iter()
            .map(|value| match value.as_elements() {
                Some(elements) => elements.get(round).unwrap_or(value),
                None => value,
            })
            .collect();
        let result = formatted(text, &of_round).map_err(|error| {
            if values.iter().all(|value| value.as_elements().is_none()) {
                return error;
            }
            FunctionError::new(format!(
                "error on format iteration {round}: {}",
                error.message
            ))
        })?;
        bytes = bytes.saturating_add(result.len());
        check_text_size(Some(bytes))?;
        results.push(Value::string(result));
    }
    Ok(Value::list(Type::String, results))
}

/// A verb of a format string.
#[derive(Default)]
struct Verb<'a> {
    raw: &'a str,
    offset: usize,
    zero: bool,
    sharp: bool,
    minus: bool,
    plus: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
    argument: usize,
    letter: char,
}

fn formatted(text: &str, values: &[&Value]) -> Result<String, FunctionError> {
    let mut result = String::new();
    let mut next_argument = 1;
    let mut highest = 0;
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        let literal = rest.find('%').unwrap_or(rest.len());
        result.push_str(&rest[..literal]);
        position += literal;
        let Some(after) = rest.get(literal + 1..) else {
            break;
        };
        if after.starts_with('%') {
            result.push('%');
            position += 2;
            continue;
        }
        let verb = read_verb(text, position, next_argument)?;
        highest = highest.max(verb.argument);
        next_argument = verb.argument.saturating_add(1);
        position += verb.raw.len();
        result.push_str(&verb.apply(values)?);
        check_text_size(Some(result.len()))?;
    }
    if highest < values.len() {
        let message = if highest == 0 {
            "too many arguments; no verbs in format string".to_owned()
        } else {
            format!("too many arguments; only {highest} used by format string")
        };
        return Err(FunctionError::at(highest + 1, message));
    }
    Ok(result)
}

/// Reads the verb whose `%` is at `offset`.
fn read_verb(text: &str, offset: usize, next: usize) -> Result<Verb<'_>, FunctionError> {
    let mut letters = text
        .char_indices()
        .skip_while(|(position, _)| *position <= offset)
        .peekable();
    let mut verb = Verb {
        offset,
        argument: next,
        ..Verb::default()
    };
    while let Some((_, flag)) = letters.next_if(|(_, letter)| "0#-+ ".contains(*letter)) {
        match flag {
            '0' => verb.zero = true,
            '#' => verb.sharp = true,
            '-' => verb.minus = true,
            '+' => verb.plus = true,
            _ => verb.space = true,
        }
    }
    if matches!(letters.peek(), Some((_, '1'..='9'))) {
        verb.width = Some(read_number(&mut letters)?);
    }
    if letters.next_if(|(_, letter)| *letter == '.').is_some() {
        verb.precision = Some(read_number(&mut letters)?);
    }
    if letters.next_if(|(_, letter)| *letter == '[').is_some() {
        if !matches!(letters.peek(), Some((_, '1'..='9'))) {
            return Err(unexpected(letters.peek().copied(), text));
        }
        verb.argument = read_number(&mut letters)?;
        if letters.next_if(|(_, letter)| *letter == ']').is_none() {
            return Err(unexpected(letters.peek().copied(), text));
        }
    }
    match letters.next() {
        Some((position, letter)) if letter.is_ascii_alphabetic() => {
            verb.letter = letter;
            verb.raw = text.get(offset..=position).unwrap_or_default();
            Ok(verb)
        }
        other => Err(unexpected(other, text)),
    }
}

fn read_number(
    letters: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
) -> Result<usize, FunctionError> {
    let mut number = 0_usize;
    while let Some(digit) = letters.peek().and_then(|(_, letter)| letter.to_digit(10)) {
        letters.next();
        number = number.saturating_mul(10).saturating_add(digit as usize);
        if number > MAX_WIDTH {
            return Err(FunctionError::at(
                0,
                format!("a number in a format verb must not be larger than {MAX_WIDTH}"),
            ));
        }
    }
    Ok(number)
}

fn unexpected(found: Option<(usize, char)>, text: &str) -> FunctionError {
    FunctionError::new(match found {
        Some((position, letter)) => {
            format!("unrecognized format character {letter:?} at offset {position}")
        }
        None => format!("invalid format string starting at offset {}", text.len()),
    })
}

impl Verb<'_> {
    fn apply(&self, values: &[&Value]) -> Result<String, FunctionError> {
        let Some(value) = values.get(self.argument - 1) else {
            return Err(FunctionError::new(format!(
                "not enough arguments for {:?} at {}: need index {} but have {} total",
                self.raw,
                self.offset,
                self.argument,
                values.len()
            )));
        };
        if self.letter != 'v' && value.is_null() {
            return Err(self.unsupported("null value cannot be formatted"));
        }
        match self.letter {
            'v' => self.as_it_is(value),
            't' => {
                let bool = to_bool(value).map_err(|error| self.not_convertible(&error))?;
                Ok(bool.to_string())
            }
            'b' | 'd' | 'o' | 'x' | 'X' => {
                let number = to_number(value).map_err(|error| self.not_convertible(&error))?;
                self.integer(&number)
            }
            'e' | 'E' | 'f' | 'g' | 'G' => {
                let number = to_number(value).map_err(|error| self.not_convertible(&error))?;
                Ok(self.fraction(&number))
            }
            's' | 'q' => {
                let text = to_string(value).map_err(|error| self.not_convertible(&error))?;
                let text = match self.precision {
                    // A precision of 0 does not cut: as in cty.
                    Some(most @ 1..) => text.graphemes(true).take(most).collect::<String>(),
                    _ => text.to_string(),
                };
                if self.letter == 'q' {
                    return Ok(self.padded(json_text::encode(&Value::string(text))?));
                }
                Ok(self.padded(text))
            }
            letter => Err(FunctionError::new(format!(
                "unsupported format verb {letter:?} in {:?} at offset {}",
                self.raw, self.offset
            ))),
        }
    }

    fn unsupported(&self, why: &str) -> FunctionError {
        FunctionError::new(format!(
            "unsupported value for {:?} at {}: {why}",
            self.raw, self.offset
        ))
    }

    fn not_convertible(&self, error: &ConvertError) -> FunctionError {
        self.unsupported(&error.to_string())
    }

    fn as_it_is(&self, value: &Value) -> Result<String, FunctionError> {
        Ok(self.padded(match value {
            Value::String(text) if !self.sharp => text.to_string(),
            Value::Number(number) if !self.sharp => match number.printed() {
                None => number.to_string(),
                Some(decimal) => {
                    let sign = if number.is_negative() { "-" } else { "" };
                    let digits = digits::text(&decimal, Layout::Shortest, None);
                    format!("{sign}{digits}")
                }
            },
            other => json_text::encode(other)?,
        }))
    }

    fn padded(&self, text: String) -> String {
        let Some(missing) = self
            .width
            .and_then(|width| width.checked_sub(length(&text)))
        else {
            return text;
        };
        let padding = if self.zero { "0" } else { " " }.repeat(missing);
        if self.minus {
            text + &padding
        } else {
            padding + &text
        }
    }

    fn sign(&self, number: &Number) -> &'static str {
        if number.is_negative() {
            "-"
        } else if self.plus {
            "+"
        } else if self.space {
            " "
        } else {
            ""
        }
    }

    fn fraction(&self, number: &Number) -> String {
        let (layout, precision) = match self.letter {
            'e' | 'E' => (Layout::Exponent, Some(self.precision.unwrap_or(6))),
            'f' => (Layout::Plain, Some(self.precision.unwrap_or(6))),
            _ => (Layout::Shortest, self.precision),
        };
        let Some(decimal) = number.printed() else {
            let text = number.to_string();
            let missing = " ".repeat(self.missing(text.len()));
            return match self.minus {
                true => text + &missing,
                false => missing + &text,
            };
        };
        let mut digits = digits::text(&decimal, layout, precision);
        if self.letter.is_ascii_uppercase() {
            digits.make_ascii_uppercase();
        }
        let sign = self.sign(number);
        let missing = self.missing(sign.len() + digits.len());
        if self.minus {
            format!("{sign}{digits}{}", " ".repeat(missing))
        } else if self.zero {
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{digits}", " ".repeat(missing))
        }
    }

    fn integer(&self, number: &Number) -> Result<String, FunctionError> {
        let Some(decimal) = number.decimal().filter(|decimal| decimal.is_integer()) else {
            return Err(self.unsupported("an integer is required"));
        };
        let (base, prefix) = match self.letter {
            'b' => (2, "0b"),
            'o' => (8, "0"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        let (integer, _) = decimal.with_scale(0).into_bigint_and_exponent();
        let is_zero = integer.sign() == Sign::NoSign;
        if is_zero && self.precision == Some(0) {
            return Ok(String::new());
        }
        let mut digits = integer.magnitude().to_str_radix(base);
        if self.letter == 'X' {
            digits.make_ascii_uppercase();
        }
        let prefix = if self.sharp { prefix } else { "" };
        let sign = self.sign(number);
        let mut zeros = self
            .precision
            .map_or(0, |precision| precision.saturating_sub(digits.len()));
        let missing = self.missing(sign.len() + prefix.len() + zeros + digits.len());
        let (mut left, mut right) = (0, 0);
        if self.minus {
            right = missing;
        } else if self.zero && self.precision.is_none() {
            zeros = missing;
        } else {
            left = missing;
        }
        Ok(format!(
            "{}{sign}{prefix}{}{digits}{}",
            " ".repeat(left),
            "0".repeat(zeros),
            " ".repeat(right)
        ))
    }

    fn missing(&self, length: usize) -> usize {
        self.width.map_or(0, |width| width.saturating_sub(length))
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r##"
format("Hello, %s!", "Ander") = "Hello, Ander!"
format("%%") = "%"
format("100%% %s", "x") = "100% x"
format("%v", 1000000) = "1e+06"
format("%v", 100000) = "100000"
format("%v", 0.1) = "0.1"
format("%v", -0.00001) = "-1e-05"
format("%v", [1, "a", null]) = "[1,\"a\",null]"
format("%v", {"b": 1, "a": [true]}) = "{\"a\":[true],\"b\":1}"
format("%v", null) = "null"
format("%v", true) = "true"
format("%5v|%-5v|%05v", "a", "b", "c") = "    a|b    |0000c"
format("%#v", "a") = "\"a\""
format("%s", null) = error: unsupported value for "%s" at 0: null value cannot be formatted
format("%s", [1]) = error: unsupported value for "%s" at 0
format("%-05sx", "ab") = "ab000x"
format("%.0s|%.1s|%.3s", "ab", "ab", "ab") = "ab|a|ab"
format("%3s|%-3s|", "👩‍👩‍👧", "é") = "  👩‍👩‍👧|é  |"
format("%q", "a<b\"\n") = "\"a\\u003cb\\\"\\n\""
format("%8.1q", "abc") = "     \"a\""
format("%s %s", 1.50, true) = "1.5 true"
format("%.3f", 2.0005) = "2.001"
format("%.2f", 1.005) = "1.00"
format("%f", 0.5) = "0.500000"
format("%.0f", 2.5) = "2"
format("%5.1f|%-8.2e|%+d|%x|%#x|%o|%08b", 3.14159, 12345.678, 5, 255, 255, 8, 5) = "  3.1|1.23e+04|+5|ff|0xff|10|00000101"
format("%+.1f|% d|%+08.2f|%-8.2f|% f", 1, 7, 3.14159, 2, -1) = "+1.0| 7|+0003.14|2.00    |-1.000000"
format("%E", 0.00012) = "1.200000E-04"
format("%g", 1e20) = "1e+20"
format("%g", 123456) = "123456"
format("%.3g|%.10g|%.0g", 123456, 123456, 15) = "1.23e+05|123456|2e+01"
format("%G", 0.00001) = "1E-05"
format("%d", 1.5) = error: unsupported value for "%d" at 0: an integer is required
format("%d", "12") = "12"
format("%d", "x") = error: unsupported value for "%d" at 0: a number is required
format("%d", 100000000000000000000000000000) = "100000000000000000000000000000"
format("%5d|%-5d|%05d|%.5d|%8.5d|%-8.5d|%+5d", 42, 42, -42, 42, 42, 42, 42) = "   42|42   |-0042|00042|   00042|00042   |  +42"
format("%X|%#X|%#o|%#b", 255, -255, 8, 5) = "FF|-0XFF|010|0b101"
format("%.0d", 0) = ""
format("%t|%t", "true", false) = "true|false"
format("%5t", true) = "true"
format("%t", 1) = error: unsupported value for "%t" at 0
format("%[2]s %[1]s", "a", "b") = "b a"
format("%[2]s %s", "a", "b", "c") = "b c"
format("%s") = error: not enough arguments for "%s" at 0: need index 1 but have 0 total
format("%[3]s", "a") = error: need index 3 but have 1 total
format("a", "b") = error: too many arguments; no verbs in format string
format("%s", "b", "c") = error: too many arguments; only 1 used by format string
format("%z", 1) = error: unsupported format verb 'z' in "%z" at offset 0
format("%") = error: invalid format string starting at offset 1
format("é%é", 1) = error: unrecognized format character 'é' at offset 3
format("%[0]s", 1) = error: unrecognized format character '0' at offset 2
format("%[1s", 1) = error: unrecognized format character 's' at offset 3
format("%*d", 1, 2) = error: unrecognized format character '*' at offset 1
format("%2000000d", 1) = ~ error: must not be larger than
format(null) = error: argument must not be null
format(12) = "12"
formatlist("%s-%d", ["a", "b"], [1, 2]) = ["a-1","b-2"]
formatlist("%s-%s", "x", ["a", "b"]) = ["x-a","x-b"]
formatlist("%s", "a") = ["a"]
formatlist("a") = ["a"]
formatlist("%s", []) = []
formatlist("%s %s", ["a"], ["b", "c"]) = error: argument 2 has length 2, which is inconsistent with argument 1 of length 1
formatlist("%d", ["a"]) = error: error on format iteration 0: unsupported value for "%d" at 0
formatlist("%v", [[1], {"a": null}]) = ["[1]","{\"a\":null}"]
formatlist("%v", null) = ["null"]
"##;
}
