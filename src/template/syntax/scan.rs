//! The scanner: a text as a sequence of tokens, which together cover everything but blanks.
//!
//! Tokens are those of HCL's native syntax. A string is no token: its quotes, its literal parts
//! and the tokens of its interpolations are. Nothing is refused here; what no token begins with
//! becomes an [`Invalid`](TokenKind::Invalid) one.

use std::ops::Range;

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::template) struct Token {
    pub(in crate::template) kind: TokenKind,
    pub(in crate::template) range: Range<usize>,
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum TokenKind {
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    /// `"` at the beginning of a string.
    OpenQuote,
    /// `"` at its end.
    CloseQuote,
    /// `<<NAME` or `<<-NAME` with the end of its line.
    OpenHeredoc,
    /// The name alone on its line, without the line's end.
    CloseHeredoc,
    Star,
    Slash,
    Plus,
    Minus,
    Percent,
    Assign,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Bang,
    Dot,
    Comma,
    Ellipsis,
    FatArrow,
    Question,
    Colon,
    DoubleColon,
    /// `${` or `${~`
    Interpolation,
    /// `%{` or `%{~`
    Directive,
    /// `}` or `~}` at the end of an interpolation or directive.
    SequenceEnd,
    /// A literal part of a quoted string, escapes as written.
    QuotedLiteral,
    /// A literal part of a heredoc or template file: at most one line.
    StringLiteral,
    Number,
    Identifier,
    /// One to the end of the line takes the line's end along.
    Comment,
    Newline,
    /// What no token begins with.
    Invalid,
    End,
}

/// What kind of text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum Start {
    /// Arguments, blocks, expressions.
    Code,
    /// A template by itself, as in a template file.
    Template,
}

/// Splits a text into tokens; the last one is [`End`](TokenKind::End).
pub(in crate::template) fn scan(text: &str, start: Start) -> Vec<Token> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        tokens: Vec::with_capacity(text.len() / 4),
        modes: vec![match start {
            Start::Code => Mode::Code { braces: 0 },
            Start::Template => Mode::Lines { marker: None },
        }],
    };
    if text.starts_with('\u{feff}') {
        scanner.at = '\u{feff}'.len_utf8();
    }
    scanner.run();
    scanner.tokens
}

/// What the bytes at hand are part of.
#[derive(Clone, Debug)]
enum Mode {
    /// Code, within this many braces.
    Code { braces: usize },
    /// A quoted string.
    Quoted,
    /// A heredoc with its marker, or a template file.
    Lines { marker: Option<Range<usize>> },
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    /// The innermost one last; never empty.
    modes: Vec<Mode>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            match self.modes.last().cloned() {
                Some(Mode::Quoted) => self.quoted(),
                Some(Mode::Lines { marker }) => self.line(marker),
                Some(Mode::Code { braces }) => self.code(braces),
                None => self.token(TokenKind::Invalid, 1),
            }
        }
        self.tokens.push(Token {
            kind: TokenKind::End,
            range: self.at..self.at,
        });
    }

    fn token(&mut self, kind: TokenKind, length: usize) {
        let end = (self.at + length).min(self.bytes.len());
        self.tokens.push(Token {
            kind,
            range: self.at..end,
        });
        self.at = end;
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// One token of code.
    fn code(&mut self, braces: usize) {
        use TokenKind as Kind;
        let (kind, length) = match (self.byte(0), self.byte(1)) {
            (b' ' | b'\t', _) => {
                self.at += 1;
                return;
            }
            (b'\r', b'\n') => (Kind::Newline, 2),
            (b'\n', _) => (Kind::Newline, 1),
            (b'#', _) | (b'/', b'/') => (Kind::Comment, self.line_length()),
            (b'/', b'*') => {
                let end = self.rest().get(2..).and_then(|rest| rest.find("*/"));
                match end {
                    Some(end) => (Kind::Comment, end + 4),
                    None => (Kind::Invalid, self.bytes.len() - self.at),
                }
            }
            (b'{', _) => {
                self.set_braces(braces.saturating_add(1));
                (Kind::OpenBrace, 1)
            }
            (b'}', _) if braces > 0 => {
                self.set_braces(braces - 1);
                (Kind::CloseBrace, 1)
            }
            (b'}', _) if self.modes.len() > 1 => {
                self.modes.pop();
                (Kind::SequenceEnd, 1)
            }
            (b'}', _) => (Kind::CloseBrace, 1),
            (b'~', b'}') if braces == 0 && self.modes.len() > 1 => {
                self.modes.pop();
                (Kind::SequenceEnd, 2)
            }
            (b'"', _) => {
                self.modes.push(Mode::Quoted);
                (Kind::OpenQuote, 1)
            }
            (b'<', b'<') => match self.heredoc_opening() {
                Some((length, marker)) => {
                    self.modes.push(Mode::Lines {
                        marker: Some(marker),
                    });
                    (Kind::OpenHeredoc, length)
                }
                None => (Kind::Less, 1),
            },
            (b'[', _) => (Kind::OpenBracket, 1),
            (b']', _) => (Kind::CloseBracket, 1),
            (b'(', _) => (Kind::OpenParenthesis, 1),
            (b')', _) => (Kind::CloseParenthesis, 1),
            (b'=', b'=') => (Kind::Equal, 2),
            (b'=', b'>') => (Kind::FatArrow, 2),
            (b'=', _) => (Kind::Assign, 1),
            (b'!', b'=') => (Kind::NotEqual, 2),
            (b'!', _) => (Kind::Bang, 1),
            (b'<', b'=') => (Kind::LessOrEqual, 2),
            (b'<', _) => (Kind::Less, 1),
            (b'>', b'=') => (Kind::GreaterOrEqual, 2),
            (b'>', _) => (Kind::Greater, 1),
            (b'&', b'&') => (Kind::And, 2),
            (b'|', b'|') => (Kind::Or, 2),
            (b'.', b'.') if self.byte(2) == b'.' => (Kind::Ellipsis, 3),
            (b'.', _) => (Kind::Dot, 1),
            (b',', _) => (Kind::Comma, 1),
            (b'?', _) => (Kind::Question, 1),
            (b':', b':') => (Kind::DoubleColon, 2),
            (b':', _) => (Kind::Colon, 1),
            (b'*', _) => (Kind::Star, 1),
            (b'/', _) => (Kind::Slash, 1),
            (b'+', _) => (Kind::Plus, 1),
            (b'-', _) => (Kind::Minus, 1),
            (b'%', _) => (Kind::Percent, 1),
            (b'0'..=b'9', _) => (Kind::Number, self.number_length()),
            _ => match identifier_length(self.rest()) {
                0 => (
                    Kind::Invalid,
                    self.rest().chars().next().map_or(1, char::len_utf8),
                ),
                length => (Kind::Identifier, length),
            },
        };
        self.token(kind, length);
    }

    fn set_braces(&mut self, count: usize) {
        if let Some(Mode::Code { braces }) = self.modes.last_mut() {
            *braces = count;
        }
    }

    /// The length of the rest of the line, its end included.
    fn line_length(&self) -> usize {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        end.map_or(rest.len(), |end| end + 1)
    }

    fn number_length(&self) -> usize {
        let digits = |from: usize| {
            let rest = self.bytes.get(self.at + from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut length = digits(0);
        if self.byte(length) == b'.' && digits(length + 1) > 0 {
            length += 1 + digits(length + 1);
        }
        if matches!(self.byte(length), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(length + 1), b'+' | b'-'));
            let exponent = digits(length + 1 + sign);
            if exponent > 0 {
                length += 1 + sign + exponent;
            }
        }
        length
    }

    /// The length of `<<NAME` with the end of its line, and where the name is.
    fn heredoc_opening(&self) -> Option<(usize, Range<usize>)> {
        let flush = usize::from(self.byte(2) == b'-');
        let name = identifier_length(self.rest().get(2 + flush..)?);
        let after = 2 + flush + name;
        let line_end = match (self.byte(after), self.byte(after + 1)) {
            (b'\n', _) => 1,
            (b'\r', b'\n') => 2,
            _ => return None,
        };
        let start = self.at + 2 + flush;
        (name > 0).then(|| (after + line_end, start..start + name))
    }

    /// The next part of a quoted string.
    fn quoted(&mut self) {
        match (self.byte(0), self.byte(1)) {
            (b'"', _) => {
                self.modes.pop();
                return self.token(TokenKind::CloseQuote, 1);
            }
            (b'$' | b'%', b'{') => return self.sequence(),
            (b'\n', _) | (b'\r', b'\n') => {
                // The string was not closed; the line's end is code again.
                self.modes.pop();
                let length = if self.byte(0) == b'\r' { 2 } else { 1 };
                return self.token(TokenKind::Newline, length);
            }
            _ => {}
        }
        let mut length = 0;
        loop {
            match (self.byte(length), self.byte(length + 1)) {
                _ if self.at + length >= self.bytes.len() => break,
                (b'"' | b'\n', _) | (b'\r', b'\n') => break,
                (b'\\', b'\n' | b'\r') => length += 1,
                (b'\\', _) => length += 2,
                (b'$' | b'%', b'{') => break,
                (first @ (b'$' | b'%'), second)
                    if first == second && self.byte(length + 2) == b'{' =>
                {
                    length += 3;
                }
                _ => length += 1,
            }
        }
        // A backslash may have taken the first byte of a character along.
        while !self
            .text
            .is_char_boundary((self.at + length).min(self.bytes.len()))
        {
            length += 1;
        }
        self.token(TokenKind::QuotedLiteral, length);
    }

    /// The next part of a heredoc or a template file: the rest of a line, or what is before the
    /// next interpolation.
    fn line(&mut self, marker: Option<Range<usize>>) {
        if let Some(marker) = marker
            && self.is_at_line_start()
            && let Some(length) = self.closing_length(&marker)
        {
            self.modes.pop();
            return self.token(TokenKind::CloseHeredoc, length);
        }
        if matches!((self.byte(0), self.byte(1)), (b'$' | b'%', b'{')) {
            return self.sequence();
        }
        let mut length = 0;
        loop {
            match (self.byte(length), self.byte(length + 1)) {
                _ if self.at + length >= self.bytes.len() => break,
                (b'\n', _) => {
                    length += 1;
                    break;
                }
                (b'$' | b'%', b'{') => break,
                (first @ (b'$' | b'%'), second)
                    if first == second && self.byte(length + 2) == b'{' =>
                {
                    length += 3;
                }
                _ => length += 1,
            }
        }
        self.token(TokenKind::StringLiteral, length);
    }

    fn is_at_line_start(&self) -> bool {
        self.at
            .checked_sub(1)
            .is_none_or(|before| self.bytes.get(before) == Some(&b'\n'))
    }

    /// The length of a line that holds the marker alone, without the line's end.
    fn closing_length(&self, marker: &Range<usize>) -> Option<usize> {
        let marker = self.bytes.get(marker.clone())?;
        let line = &self.bytes[self.at..self.at + self.line_length()];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (line.trim_ascii() == marker).then(|| line.trim_ascii_end().len())
    }

    fn sequence(&mut self) {
        let kind = match self.byte(0) {
            b'$' => TokenKind::Interpolation,
            _ => TokenKind::Directive,
        };
        let length = if self.byte(2) == b'~' { 3 } else { 2 };
        self.modes.push(Mode::Code { braces: 0 });
        self.token(kind, length);
    }
}

/// The length of the name that a text begins with; 0 if there is none.
pub(in crate::template) fn identifier_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, first)) if unicode_ident::is_xid_start(first) || first == '_' => {}
        _ => return 0,
    }
    chars
        .find(|(_, char)| !(unicode_ident::is_xid_continue(*char) || *char == '-'))
        .map_or(text.len(), |(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds and texts of the tokens of a text.
    fn scanned(text: &str, start: Start) -> String {
        let tokens = scan(text, start);
        let shown = tokens
            .iter()
            .map(|token| format!("{:?} {:?}", token.kind, &text[token.range.clone()]));
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn strings_are_split_into_parts() {
        assert_eq!(
            scanned("a = \"x${ {b=1}.b ~}y\\\"$${z}\"\n", Start::Code),
            [
                r#"Identifier "a""#,
                r#"Assign "=""#,
                r#"OpenQuote "\"""#,
                r#"QuotedLiteral "x""#,
                r#"Interpolation "${""#,
                r#"OpenBrace "{""#,
                r#"Identifier "b""#,
                r#"Assign "=""#,
                r#"Number "1""#,
                r#"CloseBrace "}""#,
                r#"Dot ".""#,
                r#"Identifier "b""#,
                r#"SequenceEnd "~}""#,
                r#"QuotedLiteral "y\\\"$${z}""#,
                r#"CloseQuote "\"""#,
                r#"Newline "\n""#,
                r#"End """#,
            ]
            .join("\n")
        );
    }

    #[test]
    fn heredocs_are_split_into_lines() {
        assert_eq!(
            scanned("<<-EOT\n  a\n  ${b}EOT\n  EOT\n)", Start::Code),
            [
                r#"OpenHeredoc "<<-EOT\n""#,
                r#"StringLiteral "  a\n""#,
                r#"StringLiteral "  ""#,
                r#"Interpolation "${""#,
                r#"Identifier "b""#,
                r#"SequenceEnd "}""#,
                r#"StringLiteral "EOT\n""#,
                r#"CloseHeredoc "  EOT""#,
                r#"Newline "\n""#,
                r#"CloseParenthesis ")""#,
                r#"End """#,
            ]
            .join("\n")
        );
    }
}
