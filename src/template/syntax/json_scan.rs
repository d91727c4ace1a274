//! JSON with places: what a JSON text says and where, in the order of the text.
//!
//! Like HCL's own reader, it takes any JSON value, keeps a property that is written twice, and
//! keeps numbers exact. Mistakes end the reading.

use super::MAX_DEPTH;
use super::places::Places;
use crate::diagnostic::{Diagnostic, FileId, SourceSpan};
use crate::template::value::Number;
use std::ops::Range;
use std::sync::Arc;

/// A JSON value.
#[derive(Debug)]
pub(super) struct JsonValue {
    pub(super) kind: JsonKind,
    pub(super) span: SourceSpan,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum JsonKind {
    Null,
    Bool(bool),
    Number(Number),
    String(JsonText),
    Array(Vec<JsonValue>),
    Object(Vec<Property>),
}

/// One property of an object.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: JsonText,
    pub(super) value: JsonValue,
}

/// A decoded string.
#[derive(Debug)]
pub(super) struct JsonText {
    pub(super) text: Arc<str>,
    /// The place with its quotes.
    pub(super) span: SourceSpan,
    /// The places of the text's bytes.
    pub(super) places: Places,
}

/// Reads a text that is one JSON value.
pub(super) fn scan_json(file: FileId, text: &str) -> Result<JsonValue, Diagnostic> {
    let mut reader = Reader {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
    };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let value = reader.value()?;
    reader.skip_blanks();
    if reader.at < text.len() {
        return Err(reader.unexpected("the end of the text"));
    }
    Ok(value)
}

type Read<T> = Result<T, Diagnostic>;

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Read<JsonValue> {
        self.skip_blanks();
        let start = self.at;
        let kind = match self.byte() {
            Some(b'{') => self.deeper(Reader::object)?,
            Some(b'[') => self.deeper(Reader::array)?,
            Some(b'"') => JsonKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => JsonKind::Number(self.number()?),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            _ => return Err(self.unexpected("a JSON value")),
        };
        Ok(JsonValue {
            kind,
            span: self.span(start..self.at),
        })
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read<JsonKind>) -> Read<JsonKind> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error("this is nested too deeply")
                .at(self.span(self.at..self.at + 1))
                .help(format!("JSON can be nested {MAX_DEPTH} levels deep")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn object(&mut self) -> Read<JsonKind> {
        let opening = self.at;
        self.at += 1;
        let mut properties = Vec::new();
        loop {
            self.skip_blanks();
            match self.byte() {
                Some(b'}') if properties.is_empty() => break,
                Some(b'"') => {}
                None => return Err(self.not_closed(opening)),
                Some(b'}') => return Err(self.trailing_comma()),
                _ => return Err(self.unexpected("the name of a property, in double quotes")),
            }
            let name = self.string()?;
            self.skip_blanks();
            if self.byte() != Some(b':') {
                return Err(self.unexpected("`:` and the property's value"));
            }
            self.at += 1;
            let value = self.value()?;
            properties.push(Property { name, value });
            self.skip_blanks();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                None => return Err(self.not_closed(opening)),
                _ => return Err(self.unexpected("`,` and another property, or `}`")),
            }
        }
        self.at += 1;
        Ok(JsonKind::Object(properties))
    }

    fn array(&mut self) -> Read<JsonKind> {
        let opening = self.at;
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            self.skip_blanks();
            match self.byte() {
                Some(b']') if elements.is_empty() => break,
                Some(b']') => return Err(self.trailing_comma()),
                None => return Err(self.not_closed(opening)),
                _ => {}
            }
            elements.push(self.value()?);
            self.skip_blanks();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                None => return Err(self.not_closed(opening)),
                _ => return Err(self.unexpected("`,` and another element, or `]`")),
            }
        }
        self.at += 1;
        Ok(JsonKind::Array(elements))
    }

    fn word(&mut self) -> Read<JsonKind> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let kind = match &rest[..length] {
            b"null" => JsonKind::Null,
            b"true" => JsonKind::Bool(true),
            b"false" => JsonKind::Bool(false),
            _ => {
                return Err(Diagnostic::error("this is no JSON value")
                    .at(self.span(self.at..self.at + length))
                    .help("expressions are written as strings: \"${…}\""));
            }
        };
        self.at += length;
        Ok(kind)
    }

    fn number(&mut self) -> Read<Number> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let place = self.span(start..start + length);
        let text = self.text.get(start..start + length).unwrap_or("");
        if !is_number(text) {
            return Err(Diagnostic::error("this is no JSON number").at(place));
        }
        self.at += length;
        Number::parse(text).ok_or_else(|| {
            Diagnostic::error("this number is out of range")
                .at(place)
                .help("numbers reach from 1e-1000 to 1e1000")
        })
    }

    fn string(&mut self) -> Read<JsonText> {
        let start = self.at;
        let content = start + 1;
        let rest = &self.bytes[content..];
        let plain = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let length = plain.ok_or_else(|| self.string_not_closed(start))?;
        if rest.get(length) == Some(&b'"') {
            let text = self.text.get(content..content + length).unwrap_or("");
            self.at = content + length + 1;
            return Ok(JsonText {
                text: Arc::from(text),
                span: self.span(start..self.at),
                places: Places::Plain {
                    file: self.file,
                    start: content,
                },
            });
        }
        self.at = content;
        let mut text = String::new();
        let mut offsets = Vec::new();
        loop {
            let at = self.at;
            let Some(char) = self.text.get(at..).and_then(|rest| rest.chars().next()) else {
                return Err(self.string_not_closed(start));
            };
            let decoded = match char {
                '"' => break,
                '\\' => self.escape()?,
                '\n' | '\r' => return Err(self.string_not_closed(start)),
                other if other < ' ' => {
                    return Err(Diagnostic::error(
                        "a control character must be escaped in a string",
                    )
                    .at(self.span(at..at + 1)));
                }
                other => {
                    self.at += other.len_utf8();
                    other
                }
            };
            text.push(decoded);
            offsets.resize(text.len(), at);
        }
        offsets.push(self.at);
        self.at += 1;
        Ok(JsonText {
            text: Arc::from(text),
            span: self.span(start..self.at),
            places: Places::Decoded {
                file: self.file,
                offsets: Arc::from(offsets),
            },
        })
    }

    /// The character of the escape sequence at hand.
    fn escape(&mut self) -> Read<char> {
        let start = self.at;
        let kind = self.bytes.get(start + 1).copied();
        self.at += 2;
        Ok(match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hexadecimal(start)?;
                let is_leading = (0xd800..0xdc00).contains(&first);
                if is_leading && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hexadecimal(back)?;
                    if (0xdc00..0xe000).contains(&second) {
                        let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(scalar).unwrap_or('\u{fffd}'));
                    }
                    self.at = back;
                }
                // Half of a pair by itself, as Go decodes it.
                char::from_u32(first).unwrap_or('\u{fffd}')
            }
            _ => {
                self.at = start;
                let end = (start + 2).min(self.bytes.len());
                return Err(Diagnostic::error("this is no escape sequence of JSON")
                    .at(self.span(start..end))
                    .help("a backslash itself is written \\\\"));
            }
        })
    }

    /// Four hexadecimal digits at hand.
    fn hexadecimal(&mut self, start: usize) -> Read<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let number = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        number.ok_or_else(|| {
            Diagnostic::error("\\u is followed by four hexadecimal digits")
                .at(self.span(start..start + 2))
        })
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn span(&self, range: Range<usize>) -> SourceSpan {
        SourceSpan::new(self.file, range.start..range.end.min(self.bytes.len()))
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let rest = self.text.get(self.at..).unwrap_or("");
        let Some(char) = rest.chars().next() else {
            return Diagnostic::error(format!("expected {expected}, found the end of the text"))
                .at(self.span(self.at..self.at));
        };
        let error = Diagnostic::error(format!("expected {expected}, found {char:?}"))
            .at(self.span(self.at..self.at + char.len_utf8()));
        match char {
            '#' | '/' => error.help("JSON has no comments; a property named \"//\" is one"),
            '\'' => error.help("strings are written in \"double quotes\""),
            _ => error,
        }
    }

    fn trailing_comma(&self) -> Diagnostic {
        Diagnostic::error("JSON has no comma after the last element")
            .at(self.span(self.at..self.at + 1))
    }

    fn not_closed(&self, opening: usize) -> Diagnostic {
        Diagnostic::error("this bracket is not closed").at(self.span(opening..opening + 1))
    }

    fn string_not_closed(&self, start: usize) -> Diagnostic {
        Diagnostic::error("this string is not closed on its line")
            .at(self.span(start..start + 1))
            .help("write \\n for a new line")
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}
