//! Parsing of strings: quoted ones, heredocs and template files.
//!
//! A template is read as the flat sequence of its literals and markers, in which a literal that
//! spans lines is one piece for each line. That is what HCL does, and the reason for two effects
//! on which templates rely: a strip marker takes only the blanks of the one piece beside it, and
//! in a `<<-` heredoc a line after a stripped newline keeps its indentation.

use super::parse::{Parsed, Parser};
use super::scan::TokenKind;
use super::{Element, Expression, ExpressionKind, ForDirective, IfDirective, Name, Template};
use crate::diagnostic::{Diagnostic, SourceSpan};
use std::ops::Range;
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;

/// A part of the flat sequence.
#[derive(Debug)]
enum Piece {
    /// At most one line.
    Literal { text: String, span: SourceSpan },
    /// An interpolation or a directive.
    Marker {
        marker: Marker,
        span: SourceSpan,
        strips_before: bool,
        strips_after: bool,
    },
}

#[derive(Debug)]
enum Marker {
    Interpolation(Expression),
    If(Expression),
    Else,
    EndIf,
    For {
        key_name: Option<Name>,
        value_name: Name,
        collection: Expression,
    },
    EndFor,
}

impl Parser<'_> {
    /// A quoted string.
    pub(super) fn quoted(&mut self) -> Parsed<Expression> {
        let opening = self.advance();
        let mut pieces = Vec::new();
        loop {
            match self.raw_kind() {
                TokenKind::CloseQuote => break,
                TokenKind::QuotedLiteral => {
                    let text = self.unescaped()?;
                    let span = self.advance();
                    pieces.push(Piece::Literal { text, span });
                }
                TokenKind::Interpolation | TokenKind::Directive => pieces.push(self.marker()?),
                _ => {
                    let place = opening.to(self.here());
                    return Err(self.report(
                        Diagnostic::error("this string is not closed on its line")
                            .at(place)
                            .help("write \\n for a new line, or a heredoc: <<EOT"),
                    ));
                }
            }
        }
        let span = opening.to(self.advance());
        self.template(pieces, span)
    }

    /// The text of a label: a quoted string without interpolations.
    pub(super) fn quoted_label(&mut self) -> Parsed<Name> {
        let label = self.quoted()?;
        match label.kind {
            ExpressionKind::Text(text) => Ok(Name {
                text,
                span: label.span,
            }),
            _ => Err(self.report(
                Diagnostic::error("a label is plain text, without interpolations").at(label.span),
            )),
        }
    }

    /// A heredoc.
    pub(super) fn heredoc(&mut self) -> Parsed<Expression> {
        let is_flush = self.token_text().starts_with("<<-");
        let opening = self.advance();
        let mut pieces = Vec::new();
        loop {
            match self.raw_kind() {
                TokenKind::CloseHeredoc => break,
                TokenKind::StringLiteral => pieces.push(self.line_literal()),
                TokenKind::Interpolation | TokenKind::Directive => pieces.push(self.marker()?),
                _ => {
                    return Err(self.report(
                        Diagnostic::error("this heredoc is not closed")
                            .at(opening)
                            .help("it ends with a line that holds its name and nothing else"),
                    ));
                }
            }
        }
        let span = opening.to(self.advance());
        strip(&mut pieces);
        if is_flush {
            dedent(&mut pieces);
        }
        self.tree(pieces, span)
    }

    /// A text that is a template as a whole.
    pub(super) fn whole_template(&mut self) -> Parsed<Expression> {
        let mut pieces = Vec::new();
        let start = self.here();
        loop {
            match self.raw_kind() {
                TokenKind::End => break,
                TokenKind::StringLiteral => pieces.push(self.line_literal()),
                TokenKind::Interpolation | TokenKind::Directive => pieces.push(self.marker()?),
                _ => return Err(self.unexpected("the text of a template")),
            }
        }
        let span = start.to(self.here());
        self.template(pieces, span)
    }

    fn line_literal(&mut self) -> Piece {
        let text = self.token_text();
        let text = text.replace("$${", "${").replace("%%{", "%{");
        let span = self.advance();
        Piece::Literal { text, span }
    }

    /// An interpolation or directive, up to its closing brace.
    fn marker(&mut self) -> Parsed<Piece> {
        let is_directive = self.raw_kind() == TokenKind::Directive;
        let strips_before = self.token_text().ends_with('~');
        let start = self.position();
        let opening = self.advance();
        self.deeper(|parser| {
            parser.with_newlines(false, |parser| {
                let marker = if is_directive {
                    parser.directive()?
                } else {
                    Marker::Interpolation(parser.expression()?)
                };
                if parser.peek() != TokenKind::SequenceEnd {
                    if parser.raw_kind() == TokenKind::End {
                        return Err(parser.report(
                            Diagnostic::error("this sequence is not closed with `}`").at(opening),
                        ));
                    }
                    if parser.has_line_end(start..parser.position()) {
                        return Err(parser.sequence_not_closed(opening));
                    }
                    return Err(parser.unexpected("`}` at the end of this sequence"));
                }
                let strips_after = parser.token_text().starts_with('~');
                let span = opening.to(parser.advance());
                Ok(Piece::Marker {
                    marker,
                    span,
                    strips_before,
                    strips_after,
                })
            })
        })
    }

    fn directive(&mut self) -> Parsed<Marker> {
        if self.peek() != TokenKind::Identifier {
            return Err(self.unexpected("`if`, `else`, `endif`, `for` or `endfor`"));
        }
        let keyword = self.name();
        Ok(match &*keyword.text {
            "if" => Marker::If(self.expression()?),
            "else" => Marker::Else,
            "endif" => Marker::EndIf,
            "for" => {
                let (key_name, value_name) = self.for_names()?;
                let collection = self.expression()?;
                Marker::For {
                    key_name,
                    value_name,
                    collection,
                }
            }
            "endfor" => Marker::EndFor,
            other => {
                return Err(self.report(
                    Diagnostic::error(format!("there is no directive `{other}`"))
                        .at(keyword.span)
                        .help(
                            "directives are if, else, endif, for and endfor; `%%{` stands for `%{`",
                        ),
                ));
            }
        })
    }

    /// The quoted literal at hand, its escapes decoded.
    fn unescaped(&mut self) -> Parsed<String> {
        let written = self.token_text();
        if !written.contains(['\\', '$', '%']) {
            return Ok(written.to_owned());
        }
        let start = self.range().start;
        let mut text = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(char) = rest.chars().next() {
            let at = start + written.len() - rest.len();
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                text.push_str(&rest[1..3]);
                rest = &rest[3..];
                continue;
            }
            if char != '\\' {
                text.push(char);
                rest = &rest[char.len_utf8()..];
                continue;
            }
            let (decoded, length) = match escape(rest) {
                Ok(escape) => escape,
                Err(length) => return Err(self.bad_escape(at..at + length)),
            };
            text.push(decoded);
            rest = &rest[length..];
        }
        Ok(text)
    }

    fn bad_escape(&mut self, range: Range<usize>) -> super::parse::Reported {
        let place = self.place(range);
        self.report(
            Diagnostic::error("this is no escape sequence")
                .at(place)
                .help("there are \\n, \\r, \\t, \\\", \\\\, \\uNNNN and \\UNNNNNNNN; a backslash itself is \\\\"),
        )
    }

    fn template(&mut self, mut pieces: Vec<Piece>, span: SourceSpan) -> Parsed<Expression> {
        strip(&mut pieces);
        self.tree(pieces, span)
    }

    /// The pieces as an expression.
    fn tree(&mut self, pieces: Vec<Piece>, span: SourceSpan) -> Parsed<Expression> {
        let has_markers = pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Marker { .. }));
        if !has_markers {
            let texts = pieces.into_iter().map(|piece| match piece {
                Piece::Literal { text, .. } => text,
                Piece::Marker { .. } => String::new(),
            });
            let kind = ExpressionKind::Text(texts.collect::<String>().into());
            return Ok(Expression { kind, span });
        }
        let mut pieces = Pieces {
            rest: pieces.into_iter(),
        };
        let (template, end) = self.elements(&mut pieces)?;
        if let Some(end) = end {
            let message = match end.kind {
                EndKind::Else | EndKind::EndIf => "there is no `if` before this",
                EndKind::EndFor => "there is no `for` before this",
            };
            return Err(self.report(Diagnostic::error(message).at(end.span)));
        }
        let kind = ExpressionKind::Template(template);
        Ok(Expression { kind, span })
    }

    /// The elements up to the end of the directive around them, or of the template.
    fn elements(&mut self, pieces: &mut Pieces) -> Parsed<(Template, Option<End>)> {
        let mut elements = Vec::new();
        let mut literal: Option<(String, SourceSpan)> = None;
        let end = loop {
            let Some(piece) = pieces.rest.next() else {
                break None;
            };
            let (marker, span) = match piece {
                Piece::Literal { text, span } => {
                    literal = Some(match literal.take() {
                        None => (text, span),
                        Some((before, first)) => (before + &text, first.to(span)),
                    });
                    continue;
                }
                Piece::Marker { marker, span, .. } => (marker, span),
            };
            add_literal(&mut elements, literal.take());
            let kind = match marker {
                Marker::Interpolation(expression) => {
                    elements.push(Element::Interpolation(expression));
                    continue;
                }
                Marker::If(condition) => {
                    let directive =
                        self.deeper(|parser| parser.if_directive(condition, span, pieces))?;
                    elements.push(directive);
                    continue;
                }
                Marker::For {
                    key_name,
                    value_name,
                    collection,
                } => {
                    let content = self.deeper(|parser| parser.for_content(span, pieces))?;
                    elements.push(Element::For(Box::new(ForDirective {
                        key_name,
                        value_name,
                        collection,
                        content,
                    })));
                    continue;
                }
                Marker::Else => EndKind::Else,
                Marker::EndIf => EndKind::EndIf,
                Marker::EndFor => EndKind::EndFor,
            };
            break Some(End { kind, span });
        };
        add_literal(&mut elements, literal);
        Ok((Template { elements }, end))
    }

    fn if_directive(
        &mut self,
        condition: Expression,
        opening: SourceSpan,
        pieces: &mut Pieces,
    ) -> Parsed<Element> {
        let (yes, end) = self.elements(pieces)?;
        let (no, end) = match end {
            Some(End {
                kind: EndKind::Else,
                ..
            }) => {
                let (no, end) = self.elements(pieces)?;
                (Some(no), end)
            }
            end => (None, end),
        };
        self.expect_end(end, EndKind::EndIf, opening)?;
        Ok(Element::If(Box::new(IfDirective { condition, yes, no })))
    }

    fn for_content(&mut self, opening: SourceSpan, pieces: &mut Pieces) -> Parsed<Template> {
        let (content, end) = self.elements(pieces)?;
        self.expect_end(end, EndKind::EndFor, opening)?;
        Ok(content)
    }

    fn expect_end(&mut self, end: Option<End>, kind: EndKind, opening: SourceSpan) -> Parsed<()> {
        let name = match kind {
            EndKind::EndFor => "endfor",
            _ => "endif",
        };
        match end {
            Some(end) if end.kind == kind => Ok(()),
            Some(end) => Err(self.report(
                Diagnostic::error(format!("expected `{name}` here"))
                    .at(end.span)
                    .note(opening, "for this"),
            )),
            None => Err(self
                .report(Diagnostic::error(format!("this directive has no `{name}`")).at(opening))),
        }
    }
}

/// The pieces that are still to be read.
struct Pieces {
    rest: std::vec::IntoIter<Piece>,
}

/// What ends the elements of a directive.
struct End {
    kind: EndKind,
    span: SourceSpan,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EndKind {
    Else,
    EndIf,
    EndFor,
}

fn add_literal(elements: &mut Vec<Element>, literal: Option<(String, SourceSpan)>) {
    if let Some((text, span)) = literal {
        let text = Arc::from(text);
        elements.push(Element::Literal { text, span });
    }
}

/// The character of the escape sequence that a text begins with, and the sequence's length; the
/// length alone if there is no such sequence.
fn escape(text: &str) -> Result<(char, usize), usize> {
    let mut chars = text.chars();
    chars.next();
    let Some(kind) = chars.next() else {
        return Err(1);
    };
    let digits = match kind {
        'n' => return Ok(('\n', 2)),
        'r' => return Ok(('\r', 2)),
        't' => return Ok(('\t', 2)),
        '"' => return Ok(('"', 2)),
        '\\' => return Ok(('\\', 2)),
        'u' => 4,
        'U' => 8,
        other => return Err(1 + other.len_utf8()),
    };
    text.get(2..2 + digits)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .and_then(char::from_u32)
        .map(|decoded| (decoded, 2 + digits))
        .ok_or(2)
}

/// Takes the blanks beside strip markers away.
fn strip(pieces: &mut [Piece]) {
    for index in 0..pieces.len() {
        let Some(Piece::Marker {
            strips_before,
            strips_after,
            ..
        }) = pieces.get(index)
        else {
            continue;
        };
        let (before, after) = (*strips_before, *strips_after);
        if before
            && let Some(previous) = index.checked_sub(1)
            && let Some(Piece::Literal { text, .. }) = pieces.get_mut(previous)
        {
            text.truncate(text.trim_end().len());
        }
        if after && let Some(Piece::Literal { text, .. }) = pieces.get_mut(index + 1) {
            *text = text.trim_start().to_owned();
        }
    }
}

/// Takes away the indentation that all lines have in common.
fn dedent(pieces: &mut [Piece]) {
    let mut common: Option<usize> = None;
    let mut line_starts = Vec::new();
    let mut at_line_start = true;
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Literal { text, .. } = piece else {
            if at_line_start {
                common = Some(0);
            }
            at_line_start = false;
            continue;
        };
        if at_line_start {
            let unindented = text.trim_start();
            let is_blank_line = unindented.is_empty() && text.ends_with('\n');
            if !is_blank_line {
                let indentation = text.get(..text.len() - unindented.len()).unwrap_or("");
                let width = indentation.graphemes(true).count();
                common = Some(common.map_or(width, |common| common.min(width)));
                line_starts.push(index);
            }
        }
        at_line_start = text.ends_with('\n');
    }
    let Some(common) = common.filter(|common| *common > 0) else {
        return;
    };
    for index in line_starts {
        if let Some(Piece::Literal { text, .. }) = pieces.get_mut(index) {
            *text = text.graphemes(true).skip(common).collect();
        }
    }
}
