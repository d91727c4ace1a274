//! The literal parts of a string template, after strip markers and indentation.
//!
//! A template is seen here as the flat sequence of its literals and markers, in which a literal
//! that spans lines is one piece for each line. That is what HCL's scanner sees, and the reason
//! for two effects on which templates rely: a strip marker takes only the blanks of the one piece
//! beside it, and in a `<<-` heredoc a line after a stripped newline keeps its indentation.

use super::text::Form;
use hcl::edit::template::{Directive, Element, Strip, Template};
use hcl::edit::{Span, Spanned};
use std::borrow::Cow;
use std::collections::BTreeMap;
use unicode_segmentation::UnicodeSegmentation;

/// The texts of the literals that differ from what the parser gives, by where they begin.
pub(super) struct TextLiterals {
    texts: BTreeMap<usize, String>,
}

impl TextLiterals {
    /// Works out the literals of a template; `source` is the text that it was parsed from.
    pub(super) fn new(template: &Template, form: Form, flush: bool, source: &str) -> TextLiterals {
        if !flush && !has_markers(template) {
            return TextLiterals { texts: BTreeMap::new() };
        }
        let mut pieces = Pieces { form, source, list: Vec::new() };
        pieces.template(template);
        let mut pieces = pieces.list;
        strip(&mut pieces);
        if flush {
            dedent(&mut pieces);
        }
        let mut texts = BTreeMap::<usize, String>::new();
        for piece in pieces {
            if let Piece::Literal { start, text } = piece {
                texts.entry(start).or_default().push_str(&text);
            }
        }
        TextLiterals { texts }
    }

    /// The text of a literal.
    pub(super) fn get<'a>(&'a self, literal: &'a Spanned<String>) -> &'a str {
        let start = literal.span().map(|span| span.start);
        start.and_then(|start| self.texts.get(&start)).map_or(literal.as_str(), String::as_str)
    }
}

/// A part of the flat sequence.
enum Piece<'a> {
    /// At most one line of the literal that begins at this byte.
    Literal { start: usize, text: Cow<'a, str> },
    /// An interpolation or a directive.
    Marker { strips_before: bool, strips_after: bool },
}

struct Pieces<'a> {
    form: Form,
    source: &'a str,
    list: Vec<Piece<'a>>,
}

impl<'a> Pieces<'a> {
    fn template(&mut self, template: &'a Template) {
        for element in template.iter() {
            match element {
                Element::Literal(literal) => self.literal(literal),
                Element::Interpolation(interpolation) => self.marker(interpolation.strip),
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => {
                        self.marker(directive.if_expr.strip);
                        self.template(&directive.if_expr.template);
                        if let Some(otherwise) = &directive.else_expr {
                            self.marker(otherwise.strip);
                            self.template(&otherwise.template);
                        }
                        self.marker(directive.endif_expr.strip);
                    }
                    Directive::For(directive) => {
                        self.marker(directive.for_expr.strip);
                        self.template(&directive.for_expr.template);
                        self.marker(directive.endfor_expr.strip);
                    }
                },
            }
        }
    }

    fn marker(&mut self, strip: Strip) {
        self.list.push(Piece::Marker {
            strips_before: matches!(strip, Strip::Start | Strip::Both),
            strips_after: matches!(strip, Strip::End | Strip::Both),
        });
    }

    fn literal(&mut self, literal: &'a Spanned<String>) {
        let Some(span) = literal.span() else { return };
        let start = span.start;
        if self.form == Form::Quoted {
            self.list.push(Piece::Literal { start, text: Cow::Borrowed(literal.as_str()) });
            return;
        }
        // The parser has already taken the indentation of a heredoc's outermost lines away.
        let written = self.source.get(span).unwrap_or("");
        for line in written.split_inclusive('\n') {
            let text = if line.contains("$${") || line.contains("%%{") {
                Cow::Owned(line.replace("$${", "${").replace("%%{", "%{"))
            } else {
                Cow::Borrowed(line)
            };
            self.list.push(Piece::Literal { start, text });
        }
    }
}

fn has_markers(template: &Template) -> bool {
    template.iter().any(|element| match element {
        Element::Literal(_) => false,
        Element::Interpolation(interpolation) => interpolation.strip != Strip::None,
        Element::Directive(directive) => match &**directive {
            Directive::If(directive) => {
                directive.if_expr.strip != Strip::None
                    || directive.endif_expr.strip != Strip::None
                    || has_markers(&directive.if_expr.template)
                    || directive.else_expr.as_ref().is_some_and(|otherwise| {
                        otherwise.strip != Strip::None || has_markers(&otherwise.template)
                    })
            }
            Directive::For(directive) => {
                directive.for_expr.strip != Strip::None
                    || directive.endfor_expr.strip != Strip::None
                    || has_markers(&directive.for_expr.template)
            }
        },
    })
}

/// Takes the blanks beside strip markers away.
fn strip(pieces: &mut [Piece<'_>]) {
    for index in 0..pieces.len() {
        let Some(Piece::Marker { strips_before, strips_after }) = pieces.get(index) else {
            continue;
        };
        let (before, after) = (*strips_before, *strips_after);
        if before
            && let Some(previous) = index.checked_sub(1)
            && let Some(Piece::Literal { text, .. }) = pieces.get_mut(previous)
        {
            *text = Cow::Owned(text.trim_end().to_owned());
        }
        if after && let Some(Piece::Literal { text, .. }) = pieces.get_mut(index + 1) {
            *text = Cow::Owned(text.trim_start().to_owned());
        }
    }
}

/// Takes away the indentation that all lines have in common.
fn dedent(pieces: &mut [Piece<'_>]) {
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
    let Some(common) = common.filter(|common| *common > 0) else { return };
    for index in line_starts {
        if let Some(Piece::Literal { text, .. }) = pieces.get_mut(index) {
            *text = Cow::Owned(text.graphemes(true).skip(common).collect());
        }
    }
}
