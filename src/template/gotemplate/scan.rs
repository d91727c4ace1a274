//! The scanner: a text as literal text and actions, and an action as tokens.

use super::error::GoTemplateError;
use super::value::Value;
use std::ops::Range;

/// A part of a text.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action(Action),
}

/// `{{ … }}`
#[derive(Debug)]
pub(super) struct Action {
    pub(super) tokens: Vec<Token>,
    /// The bytes of the text, the braces included.
    pub(super) range: Range<usize>,
}

/// A token of an action.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) offset: usize,
    /// Whether it stands right behind the token before it.
    pub(super) joined: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A keyword or a function's name.
    Name(String),
    /// `.`
    Dot,
    /// `.Name`
    Field(String),
    /// `$` or `$name`
    Variable(String),
    Literal(Value),
    Pipe,
    Declare,
    Assign,
    Comma,
    Open,
    Close,
}

/// Splits a text into its parts.
pub(super) fn scan(text: &str) -> Result<Vec<Piece>, GoTemplateError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trims = false;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        let literal = &text[at..start];
        let inside = start + 2;
        let trims_before = is_trim_marker(text, inside);
        push_text(&mut pieces, literal, trims, trims_before);
        let mut scanner = Scanner {
            text,
            at: if trims_before { inside + 1 } else { inside },
            start,
        };
        let (tokens, trims_after) = scanner.action()?;
        at = scanner.at;
        trims = trims_after;
        if let Some(tokens) = tokens {
            let range = start..at;
            pieces.push(Piece::Action(Action { tokens, range }));
        }
    }
    push_text(&mut pieces, text.get(at..).unwrap_or(""), trims, false);
    Ok(pieces)
}

/// `-` and a blank right behind the opening braces.
fn is_trim_marker(text: &str, at: usize) -> bool {
    let mut chars = text.get(at..).unwrap_or("").chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_blank)
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trims_start: bool, trims_end: bool) {
    let text = if trims_start {
        text.trim_start_matches(is_blank)
    } else {
        text
    };
    let text = if trims_end {
        text.trim_end_matches(is_blank)
    } else {
        text
    };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Where the action begins.
    start: usize,
}

impl Scanner<'_> {
    /// The tokens of an action, none of a comment, and whether it trims the text behind it.
    fn action(&mut self) -> Result<(Option<Vec<Token>>, bool), GoTemplateError> {
        let mut tokens = Vec::new();
        let mut joined = false;
        if self.rest().trim_start_matches(is_blank).starts_with("/*") {
            return self.comment();
        }
        loop {
            let blanks = self.rest().len() - self.rest().trim_start_matches(is_blank).len();
            if blanks > 0 {
                joined = false;
                if self.rest()[blanks..].starts_with("-}}") {
                    self.at += blanks + 3;
                    return Ok((Some(tokens), true));
                }
            }
            self.at += blanks;
            if self.rest().starts_with("}}") {
                self.at += 2;
                return Ok((Some(tokens), false));
            }
            let offset = self.at;
            let kind = self.token()?;
            tokens.push(Token {
                kind,
                offset,
                joined,
            });
            joined = true;
        }
    }

    fn comment(&mut self) -> Result<(Option<Vec<Token>>, bool), GoTemplateError> {
        let end = self.rest().find("*/");
        let Some(end) = end else {
            return Err(self.unclosed());
        };
        self.at += end + 2;
        for (closing, trims) in [
            ("}}", false),
            (" -}}", true),
            ("\t-}}", true),
            ("\n-}}", true),
        ] {
            if self.rest().starts_with(closing) {
                self.at += closing.len();
                return Ok((None, trims));
            }
        }
        Err(GoTemplateError::new(
            self.start,
            "a comment ends with `*/}}`, without anything between",
        ))
    }

    fn token(&mut self) -> Result<TokenKind, GoTemplateError> {
        let Some(first) = self.rest().chars().next() else {
            return Err(self.unclosed());
        };
        let second = self.rest().chars().nth(1);
        Ok(match first {
            '|' => self.mark(TokenKind::Pipe, 1),
            '(' => self.mark(TokenKind::Open, 1),
            ')' => self.mark(TokenKind::Close, 1),
            ',' => self.mark(TokenKind::Comma, 1),
            ':' if second == Some('=') => self.mark(TokenKind::Declare, 2),
            '=' => self.mark(TokenKind::Assign, 1),
            '"' => TokenKind::Literal(Value::Text(self.quoted('"')?)),
            '\'' => self.character()?,
            '`' => {
                let content = self.rest().get(1..).and_then(|rest| rest.split_once('`'));
                let Some((content, _)) = content else {
                    return Err(self.unclosed_quote());
                };
                let content = content.to_owned();
                self.at += content.len() + 2;
                TokenKind::Literal(Value::Text(content))
            }
            '$' => {
                self.at += 1;
                TokenKind::Variable(self.word())
            }
            '.' if !second.is_some_and(|char| char.is_ascii_digit()) => {
                self.at += 1;
                match self.word() {
                    word if word.is_empty() => TokenKind::Dot,
                    word => TokenKind::Field(word),
                }
            }
            '0'..='9' | '.' | '-' | '+' => self.number()?,
            char if char.is_alphabetic() || char == '_' => match &*self.word() {
                "true" => TokenKind::Literal(Value::Bool(true)),
                "false" => TokenKind::Literal(Value::Bool(false)),
                "nil" => TokenKind::Literal(Value::Nil),
                word => TokenKind::Name(word.to_owned()),
            },
            other => {
                return Err(GoTemplateError::new(
                    self.at,
                    format!("`{other}` has no meaning within `{{{{ … }}}}`"),
                ));
            }
        })
    }

    fn mark(&mut self, kind: TokenKind, length: usize) -> TokenKind {
        self.at += length;
        kind
    }

    fn word(&mut self) -> String {
        let word: String = self
            .rest()
            .chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect();
        self.at += word.len();
        word
    }

    fn number(&mut self) -> Result<TokenKind, GoTemplateError> {
        let start = self.at;
        let mut before = ' ';
        let written: String = self
            .rest()
            .chars()
            .take_while(|char| {
                let is_sign = matches!(char, '+' | '-');
                let taken = char.is_alphanumeric()
                    || matches!(char, '_' | '.')
                    || (is_sign && matches!(before, ' ' | 'e' | 'E'));
                before = *char;
                taken
            })
            .collect();
        self.at += written.len();
        let number = parse_number(&written.replace('_', ""));
        number
            .map(TokenKind::Literal)
            .ok_or_else(|| GoTemplateError::new(start, format!("`{written}` is no number")))
    }

    fn character(&mut self) -> Result<TokenKind, GoTemplateError> {
        let start = self.at;
        let text = self.quoted('\'')?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => Ok(TokenKind::Literal(Value::Integer(i64::from(u32::from(
                char,
            ))))),
            _ => Err(GoTemplateError::new(
                start,
                "one character stands between single quotes; texts are in double quotes",
            )),
        }
    }

    /// A text in quotes, with Go's escapes.
    fn quoted(&mut self, quote: char) -> Result<String, GoTemplateError> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(char) = self.rest().chars().next() else {
                return Err(self.unclosed_quote());
            };
            let at = self.at;
            self.at += char.len_utf8();
            match char {
                '\n' => return Err(self.unclosed_quote()),
                '\\' => {
                    text.push(self.escape().ok_or_else(|| {
                        GoTemplateError::new(at, "this is no escape sequence of Go")
                    })?)
                }
                char if char == quote => return Ok(text),
                char => text.push(char),
            }
        }
    }

    /// The character of an escape sequence, from behind its backslash on.
    fn escape(&mut self) -> Option<char> {
        let kind = self.rest().chars().next()?;
        self.at += kind.len_utf8();
        let digits = match kind {
            'a' => return Some('\u{7}'),
            'b' => return Some('\u{8}'),
            'f' => return Some('\u{c}'),
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'v' => return Some('\u{b}'),
            '\\' | '\'' | '"' => return Some(kind),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return None,
        };
        let written = self.rest().get(..digits)?;
        let is_plain = written.bytes().all(|byte| byte.is_ascii_hexdigit());
        let decoded = u32::from_str_radix(written, 16).ok().filter(|_| is_plain)?;
        self.at += digits;
        char::from_u32(decoded)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn unclosed(&self) -> GoTemplateError {
        GoTemplateError::new(self.start, "`{{` is not closed by `}}`")
    }

    fn unclosed_quote(&self) -> GoTemplateError {
        GoTemplateError::new(self.start, "a quote is not closed within `{{ … }}`")
    }
}

fn parse_number(written: &str) -> Option<Value> {
    let (negative, unsigned) = match written.as_bytes().first()? {
        b'-' => (true, written.get(1..)?),
        b'+' => (false, written.get(1..)?),
        _ => (false, written),
    };
    let radix = |radix, digits: &str| {
        let sign = if negative { "-" } else { "" };
        i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
    };
    let lower = unsigned.to_ascii_lowercase();
    let integer = match lower.as_bytes() {
        [b'0', b'x', ..] => return radix(16, lower.get(2..)?).map(Value::Integer),
        [b'0', b'o', ..] => return radix(8, lower.get(2..)?).map(Value::Integer),
        [b'0', b'b', ..] => return radix(2, lower.get(2..)?).map(Value::Integer),
        [b'0', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => {
            return radix(8, lower.get(1..)?).map(Value::Integer);
        }
        _ => radix(10, &lower),
    };
    if let Some(integer) = integer {
        return Some(Value::Integer(integer));
    }
    let is_float = lower.starts_with(|char: char| char.is_ascii_digit() || char == '.')
        && lower
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    let float: f64 = lower.parse().ok().filter(|_| is_float)?;
    Some(Value::Float(if negative { -float } else { float }))
}
