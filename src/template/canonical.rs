//! The canonical form of a text: what `fmt` writes.
//!
//! Only blanks change: indentation, the blanks between tokens, and the alignment of `=` and of
//! comments over neighbouring lines. The rules are those of HCL's own formatter. It works on tokens,
//! without a syntax tree, so that it is of use while a text is still wrong.

use super::files::NamedText;
use super::syntax::{Start, Token, TokenKind, parse_body, scan};
use crate::diagnostic::{Diagnostics, Sources};
use unicode_segmentation::UnicodeSegmentation;

/// The columns of one level of indentation.
const INDENTATION: usize = 2;

/// The canonical form of a text in the native syntax, if its syntax is right.
pub fn format(text: NamedText) -> Result<String, (Sources, Diagnostics)> {
    let formatted = canonical_form(&text.text);
    let diagnostics = Diagnostics::new();
    let mut sources = Sources::new();
    let file = sources.add(text.name, text.text);
    parse_body(file, &sources, &diagnostics);
    match diagnostics.has_errors() {
        true => Err((sources, diagnostics)),
        false => Ok(formatted),
    }
}

/// The canonical form of a text in the native syntax, whether that is right or not.
pub fn canonical_form(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tokens = scan(text, Start::Code);
    let mut lines = lines(text, &tokens);
    indent(&mut lines);
    for line in &mut lines {
        space(&mut line.lead);
        if let Some(first) = line.assignment.first_mut() {
            first.blanks = 1;
        }
        space(&mut line.assignment);
    }
    align(&mut lines, &ASSIGNMENTS);
    align(&mut lines, &COMMENTS);
    let mut formatted = String::with_capacity(text.len() + text.len() / 8);
    for line in &lines {
        for piece in [&line.lead, &line.assignment, &line.comment]
            .into_iter()
            .flatten()
        {
            formatted.extend(std::iter::repeat_n(' ', piece.blanks));
            formatted.push_str(piece.text);
        }
    }
    // HCL's formatter leaves the blanks after the last token alone.
    let last = tokens.iter().rfind(|token| token.kind != TokenKind::End);
    let end = last.map_or(0, |token| token.range.end);
    let blanks = text.get(end..).unwrap_or_default().chars();
    let blanks = blanks.filter(|blank| matches!(blank, ' ' | '\t')).count();
    formatted.extend(std::iter::repeat_n(' ', blanks));
    formatted
}

/// A token and the blanks before it.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    kind: TokenKind,
    text: &'a str,
    blanks: usize,
}

/// What ends with the end of a line: a heredoc and all its lines are one.
#[derive(Debug, Default)]
struct Line<'a> {
    lead: Vec<Piece<'a>>,
    /// From the `=` of an assignment on, if its value ends on this line.
    assignment: Vec<Piece<'a>>,
    /// The comment behind something else.
    comment: Vec<Piece<'a>>,
}

fn lines<'a>(text: &'a str, tokens: &[Token]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut current = Vec::new();
    for token in tokens {
        let piece = Piece {
            kind: token.kind,
            text: text.get(token.range.clone()).unwrap_or(""),
            blanks: 0,
        };
        match token.kind {
            TokenKind::End => {}
            TokenKind::Newline => {
                current.push(piece);
                lines.push(line(std::mem::take(&mut current)));
            }
            TokenKind::Comment if piece.text.ends_with('\n') => {
                current.push(piece);
                lines.push(line(std::mem::take(&mut current)));
            }
            _ => current.push(piece),
        }
    }
    lines.push(line(current));
    lines
}

fn line(mut lead: Vec<Piece<'_>>) -> Line<'_> {
    let has_comment = lead.len() > 1
        && lead
            .last()
            .is_some_and(|last| last.kind == TokenKind::Comment);
    let comment = match has_comment {
        true => lead.split_off(lead.len() - 1),
        false => Vec::new(),
    };
    let assign = lead
        .iter()
        .skip(1)
        .position(|piece| piece.kind == TokenKind::Assign)
        .map(|index| index + 1);
    // A value that opens more brackets than it closes goes on in the next line.
    let assignment = match assign {
        Some(assign) if brackets(&lead[assign..]) == 0 => lead.split_off(assign),
        _ => Vec::new(),
    };
    Line {
        lead,
        assignment,
        comment,
    }
}

/// How many more brackets are opened than closed.
fn brackets(pieces: &[Piece<'_>]) -> isize {
    pieces.iter().map(|piece| bracket(piece.kind)).sum()
}

fn bracket(kind: TokenKind) -> isize {
    match kind {
        TokenKind::OpenBrace
        | TokenKind::OpenBracket
        | TokenKind::OpenParenthesis
        | TokenKind::Interpolation
        | TokenKind::Directive => 1,
        TokenKind::CloseBrace
        | TokenKind::CloseBracket
        | TokenKind::CloseParenthesis
        | TokenKind::SequenceEnd => -1,
        _ => 0,
    }
}

/// Indents each line by the lines before it that opened brackets. However many brackets a line
/// opens, they count as one level.
fn indent(lines: &mut [Line<'_>]) {
    let mut levels: Vec<isize> = Vec::new();
    for line in lines {
        let lead = match line
            .lead
            .iter()
            .position(|piece| piece.kind == TokenKind::OpenHeredoc)
        {
            Some(heredoc) => &line.lead[..heredoc],
            None => &line.lead[..],
        };
        let opened = brackets(lead) + brackets(&line.assignment);
        let Some(first) = line.lead.first_mut() else {
            continue;
        };
        if first.kind == TokenKind::Newline {
            continue;
        }
        let mut closed = -opened;
        while closed > 0
            && let Some(level) = levels.last_mut()
        {
            if closed < *level {
                *level -= closed;
                break;
            }
            closed -= *level;
            levels.pop();
        }
        first.blanks = INDENTATION * levels.len();
        if opened > 0 {
            levels.push(opened);
        }
    }
}

/// Sets the blanks between the tokens of a line.
fn space(pieces: &mut [Piece<'_>]) {
    for index in 1..pieces.len() {
        let before = index.checked_sub(2).map(|before| pieces[before].kind);
        let (subject, after) = (pieces[index - 1], pieces[index]);
        pieces[index].blanks = usize::from(is_space_between(before, subject, after));
    }
}

/// Whether there is a blank between `subject` and `after`; `before` is what is before both.
fn is_space_between(before: Option<TokenKind>, subject: Piece<'_>, after: Piece<'_>) -> bool {
    use TokenKind as Kind;
    match (subject.kind, after.kind) {
        (_, Kind::Newline) => false,
        (Kind::Identifier, Kind::OpenParenthesis) => false,
        (Kind::Identifier, Kind::DoubleColon) | (Kind::DoubleColon, Kind::Identifier) => false,
        (Kind::Dot, _) | (_, Kind::Dot) => false,
        (_, Kind::Comma | Kind::Ellipsis) => false,
        (Kind::Comma, _) => true,
        (Kind::QuotedLiteral | Kind::StringLiteral | Kind::OpenQuote | Kind::OpenHeredoc, _)
        | (_, Kind::QuotedLiteral | Kind::StringLiteral | Kind::CloseQuote | Kind::CloseHeredoc) => {
            false
        }
        // `[for x in [a]: x]`: no index of something named `in`.
        (Kind::Identifier, _) if subject.text == "in" && before == Some(Kind::Identifier) => true,
        (Kind::Identifier | Kind::Number, Kind::OpenBracket) => false,
        (subject, Kind::OpenBracket) if bracket(subject) < 0 => false,
        (Kind::Minus, _) => before.is_some_and(ends_operand),
        (Kind::OpenBrace, Kind::CloseBrace) => false,
        (Kind::OpenBrace, _) | (_, Kind::CloseBrace) => true,
        (Kind::Interpolation | Kind::Directive, Kind::OpenBrace) => true,
        (Kind::CloseBrace, Kind::SequenceEnd) => true,
        (Kind::SequenceEnd, Kind::Interpolation | Kind::Directive) => false,
        (subject, _) if bracket(subject) > 0 => false,
        (_, after) if bracket(after) < 0 => false,
        _ => true,
    }
}

/// Whether a minus behind this subtracts: what is before it could be the end of an operand.
fn ends_operand(kind: TokenKind) -> bool {
    use TokenKind as Kind;
    !matches!(
        kind,
        Kind::OpenParenthesis
            | Kind::OpenBrace
            | Kind::OpenBracket
            | Kind::Assign
            | Kind::Colon
            | Kind::Comma
            | Kind::Question
            | Kind::Plus
            | Kind::Star
            | Kind::Slash
            | Kind::Percent
            | Kind::Minus
            | Kind::Equal
            | Kind::NotEqual
            | Kind::Greater
            | Kind::GreaterOrEqual
            | Kind::Less
            | Kind::LessOrEqual
            | Kind::And
            | Kind::Or
            | Kind::Bang
    )
}

/// A part of lines that is aligned over neighbouring lines.
struct Column {
    part: for<'l, 'a> fn(&'l mut Line<'a>) -> &'l mut Vec<Piece<'a>>,
    columns_before: fn(&Line<'_>) -> usize,
}

const ASSIGNMENTS: Column = Column {
    part: |line| &mut line.assignment,
    columns_before: |line| columns(&line.lead),
};

const COMMENTS: Column = Column {
    part: |line| &mut line.comment,
    columns_before: |line| columns(&line.lead) + columns(&line.assignment),
};

/// Aligns one part of the lines, in each run of lines that have it.
fn align(lines: &mut [Line<'_>], column: &Column) {
    let mut rest = lines;
    while !rest.is_empty() {
        let ending = rest
            .iter_mut()
            .position(|line| (column.part)(line).is_empty());
        let run = ending.unwrap_or(rest.len());
        let (run_lines, behind) = rest.split_at_mut(run);
        let widths = run_lines.iter().map(|line| (column.columns_before)(line));
        let widths: Vec<usize> = widths.collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (line, width) in run_lines.iter_mut().zip(widths) {
            if let Some(first) = (column.part)(line).first_mut() {
                first.blanks = widest - width + 1;
            }
        }
        // The line that ended the run has no such part.
        rest = behind.get_mut(1..).unwrap_or_default();
    }
}

fn columns(pieces: &[Piece<'_>]) -> usize {
    let width = |piece: &Piece<'_>| match piece.text.is_ascii() {
        // Only a line's end within a token would be one grapheme of two bytes.
        true if !piece.text.contains('\r') => piece.text.len(),
        _ => piece.text.graphemes(true).count(),
    };
    pieces.iter().map(|piece| piece.blanks + width(piece)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("", ""),
            ("# c  ", "# c  "),
            ("a=1  ", "a = 1  "),
            ("a=1", "a = 1"),
            (
                "a  =  1 # c\nlonger=2# d\n",
                "a      = 1 # c\nlonger = 2 # d\n",
            ),
            ("a=1\n\nlonger=2\n", "a = 1\n\nlonger = 2\n"),
            (
                "x{\na=[\n1,2]\nbb=2\n}\n",
                "x {\n  a = [\n  1, 2]\n  bb = 2\n}\n",
            ),
            ("a=[[\n1\n],[\n2]]\n", "a = [[\n  1\n  ], [\n2]]\n"),
            ("x  \"y\"{}\n", "x \"y\" {}\n"),
            ("a={b=1}\n", "a = { b = 1 }\n"),
            ("a=-1- -b\n", "a = -1 - -b\n"),
            ("a=f (x , y ...)\n", "a = f(x, y...)\n"),
            ("a=[for x in[1]:x]\n", "a = [for x in [1] : x]\n"),
            ("a=\"${ x }-${ {} }\"\n", "a = \"${x}-${ {} }\"\n"),
            (
                "a=<<E\n   x ${ y }\n E\nb = 1\n",
                "a = <<E\n   x ${y}\n E\nb = 1\n",
            ),
            ("  # alone\n", "# alone\n"),
            ("}\n}\n a=1\n", "}\n}\na = 1\n"),
        ] {
            assert_eq!(canonical_form(text), expected, "{text:?}");
        }
    }

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        let tokens = scan(text, Start::Code).into_iter();
        tokens.map(|it| (it.kind, &text[it.range])).collect()
    }

    /// Texts that are made of what matters to the formatter.
    fn texts() -> impl Strategy<Value = String> {
        let words = [
            "a", "in", "for", " ", "  ", "\n", "=", "=>", "{", "}", "[", "]", "(", ")", "\"", "${",
            "%{", "~}", "<<E\n", "E\n", "# c\n", "/* d */", "-", "1", ".", ",", "...", "?", ":",
            "!", "é", "\t", "\r\n", "'",
        ];
        let words = proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60);
        words.prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn nothing_but_blanks_changes(text in texts()) {
            let formatted = canonical_form(&text);
            let syntax_errors = |text: &str| {
                let text = NamedText { name: "t".to_owned(), text: text.to_owned() };
                format(text).is_err()
            };
            // What is no token yet may be one without the blanks around it.
            if !syntax_errors(&text) {
                prop_assert_eq!(kinds(&formatted), kinds(&text));
                prop_assert_eq!(canonical_form(&formatted), formatted.clone());
                prop_assert!(!syntax_errors(&formatted));
            }
        }
    }
}
