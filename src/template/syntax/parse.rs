//! The parser of the native syntax: bodies, and the cursor that all its parts share.
//!
//! It reports every mistake of a text: after one, it goes on with the next argument or block.

use super::places::Places;
use super::scan::{Start, Token, TokenKind, scan};
use super::{Attribute, Block, Body, Expression, Item, MAX_DEPTH, Name, Syntax};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, Sources};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The mistakes after which the rest of a text is not read.
const MAX_MISTAKES: usize = 20;

/// Parses a file. What is wrong with it is reported, and left out of the body.
pub(in crate::template) fn parse_body(
    file: FileId,
    sources: &Sources,
    diagnostics: &Diagnostics,
) -> Body {
    let text = sources.text(file);
    let mut parser = Parser::new(
        text,
        Start::Code,
        Places::Plain { file, start: 0 },
        diagnostics,
    );
    parser.file_body()
}

/// Parses a text that is one expression; the first mistake is the error.
pub(in crate::template) fn parse_expression(
    file: FileId,
    text: &str,
) -> Result<Expression, Diagnostic> {
    expression_at(text, Places::Plain { file, start: 0 })
}

/// Parses a text that is one template, as a template file is.
pub(in crate::template) fn parse_template(
    file: FileId,
    text: &str,
) -> Result<Expression, Diagnostic> {
    let places = Places::Plain { file, start: 0 };
    template_at(text, places)
}

pub(super) fn expression_at(text: &str, places: Places) -> Result<Expression, Diagnostic> {
    first_mistake(text, Start::Code, places, |parser| {
        parser.newlines_count = false;
        let expression = parser.expression()?;
        if parser.peek() != TokenKind::End {
            return Err(parser.unexpected("the end of the expression"));
        }
        Ok(expression)
    })
}

pub(super) fn template_at(text: &str, places: Places) -> Result<Expression, Diagnostic> {
    first_mistake(text, Start::Template, places, |parser| {
        parser.whole_template()
    })
}

fn first_mistake(
    text: &str,
    start: Start,
    places: Places,
    parse: impl FnOnce(&mut Parser<'_>) -> Parsed<Expression>,
) -> Result<Expression, Diagnostic> {
    let diagnostics = Diagnostics::new();
    let whole = places.span(0..text.len());
    let parsed = parse(&mut Parser::new(text, start, places, &diagnostics));
    let mistake = diagnostics.into_vec().into_iter().next();
    match (parsed, mistake) {
        (Ok(expression), None) => Ok(expression),
        (_, Some(mistake)) => Err(mistake),
        (Err(Reported), None) => Err(Diagnostic::error("invalid syntax").at(whole)),
    }
}

/// A mistake that has been reported.
#[derive(Debug)]
pub(super) struct Reported;

pub(super) type Parsed<T> = Result<T, Reported>;

/// A position in the tokens of a text.
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    places: Places,
    diagnostics: &'a Diagnostics,
    /// Whether the end of a line means something, which it does not within parentheses.
    pub(super) newlines_count: bool,
    depth: usize,
    /// Whether it was said that the text ends within a block.
    is_cut_off: bool,
    mistakes: usize,
}

impl<'a> Parser<'a> {
    fn new(
        text: &'a str,
        start: Start,
        places: Places,
        diagnostics: &'a Diagnostics,
    ) -> Parser<'a> {
        Parser {
            text,
            tokens: scan(text, start),
            at: 0,
            places,
            diagnostics,
            newlines_count: true,
            depth: 0,
            is_cut_off: false,
            mistakes: 0,
        }
    }

    fn file_body(&mut self) -> Body {
        let mut items = Items::default();
        loop {
            self.skip_newlines();
            if self.peek() == TokenKind::End {
                return items.into_body();
            }
            let start = self.at;
            if self.item(&mut items).is_err() {
                self.recover(start);
                // A brace too many would stop here again and again.
                if self.at == start || self.peek() == TokenKind::CloseBrace {
                    self.at += 1;
                }
            }
        }
    }

    /// One argument or block with the end of its line.
    fn item(&mut self, items: &mut Items) -> Parsed<()> {
        let kind = self.name_of_item()?;
        match self.peek() {
            TokenKind::Assign => {
                self.advance();
                let value = self.expression()?;
                self.add_attribute(items, kind, value);
                self.end_of_item("an argument")
            }
            TokenKind::OpenBrace | TokenKind::OpenQuote | TokenKind::Identifier => {
                let block = self.block(kind)?;
                items.list.push(Item::Block(block));
                self.end_of_item("a block")
            }
            TokenKind::Colon => Err(self.report(
                Diagnostic::error("an argument is set with `=`, not with `:`").at(self.here()),
            )),
            _ => Err(self.report(
                Diagnostic::error(format!(
                    "this is neither an argument nor a block: {}",
                    self.found()
                ))
                .at(self.here())
                .help(format!(
                    "write `{0} = …` for an argument, `{0} {{ … }}` for a block",
                    kind.text
                )),
            )),
        }
    }

    fn name_of_item(&mut self) -> Parsed<Name> {
        match self.peek() {
            TokenKind::Identifier => Ok(self.name()),
            TokenKind::OpenQuote => Err(self.report(
                Diagnostic::error("the name of an argument or block is written without quotes")
                    .at(self.here()),
            )),
            TokenKind::CloseBrace => {
                Err(self.report(Diagnostic::error("this brace closes nothing").at(self.here())))
            }
            _ => Err(self.unexpected("the name of an argument or block")),
        }
    }

    fn add_attribute(&mut self, items: &mut Items, name: Name, value: Expression) {
        if let Some(first) = items.names.get(&name.text) {
            let twice = Diagnostic::error(format!("`{}` is set twice", name.text))
                .at(name.span)
                .note(*first, "first here");
            self.report(twice);
            return;
        }
        items.names.insert(name.text.clone(), name.span);
        let value = Arc::new(value);
        items.list.push(Item::Attribute(Attribute { name, value }));
    }

    fn end_of_item(&mut self, what: &str) -> Parsed<()> {
        match self.peek() {
            TokenKind::Newline => {
                self.advance();
                Ok(())
            }
            TokenKind::End => Ok(()),
            TokenKind::Comma => Err(self.report(
                Diagnostic::error(format!("{what} ends with its line, without a comma"))
                    .at(self.here()),
            )),
            _ => Err(self.unexpected(&format!("the end of the line, since {what} ends with it"))),
        }
    }

    fn block(&mut self, kind: Name) -> Parsed<Block> {
        let mut labels = Vec::new();
        loop {
            match self.peek() {
                TokenKind::Identifier => labels.push(self.name()),
                TokenKind::OpenQuote => labels.push(self.quoted_label()?),
                TokenKind::OpenBrace => break,
                _ => {
                    return Err(self.unexpected(&format!(
                        "`{{` or another label of this `{}` block",
                        kind.text
                    )));
                }
            }
        }
        let opening = self.advance();
        let body = self.deeper(|parser| parser.block_body(opening))?;
        let body = Arc::new(body);
        Ok(Block { kind, labels, body })
    }

    /// The inside of a block and its closing brace.
    fn block_body(&mut self, opening: SourceSpan) -> Parsed<Body> {
        let mut items = Items::default();
        if !matches!(self.peek(), TokenKind::Newline | TokenKind::End) {
            self.single_line(&mut items)?;
            return Ok(items.into_body());
        }
        loop {
            self.skip_newlines();
            match self.peek() {
                TokenKind::CloseBrace => {
                    self.advance();
                    return Ok(items.into_body());
                }
                TokenKind::End => return Err(self.not_closed(opening)),
                _ => {}
            }
            let start = self.at;
            if self.item(&mut items).is_err() {
                self.recover(start);
            }
        }
    }

    fn not_closed(&mut self, opening: SourceSpan) -> Reported {
        // The blocks around it are not closed either then.
        if !std::mem::replace(&mut self.is_cut_off, true) {
            self.report(Diagnostic::error("this brace is not closed").at(opening));
        }
        Reported
    }

    /// The inside of a block on one line: an argument at most.
    fn single_line(&mut self, items: &mut Items) -> Parsed<()> {
        if self.peek() == TokenKind::CloseBrace {
            self.advance();
            return Ok(());
        }
        let name = self.name_of_item()?;
        if self.peek() != TokenKind::Assign {
            return Err(self.not_on_one_line());
        }
        self.advance();
        let value = self.expression()?;
        self.add_attribute(items, name, value);
        if self.peek() != TokenKind::CloseBrace {
            return Err(self.not_on_one_line());
        }
        self.advance();
        Ok(())
    }

    fn not_on_one_line(&mut self) -> Reported {
        let place = self.here();
        self.report(
            Diagnostic::error("a block on one line holds one argument at most, and no blocks")
                .at(place)
                .help("give each argument a line of its own, and the closing brace too"),
        )
    }

    /// Goes to the end of the line on which the item that began at a token ends.
    fn recover(&mut self, start: usize) {
        let mut open = Vec::new();
        let mut index = start;
        while let Some(token) = self.tokens.get(index) {
            match token.kind {
                TokenKind::OpenBrace
                | TokenKind::OpenBracket
                | TokenKind::OpenParenthesis
                | TokenKind::Interpolation
                | TokenKind::Directive => open.push(token.kind),
                TokenKind::CloseBrace => {
                    let brace = open.iter().rposition(|kind| *kind == TokenKind::OpenBrace);
                    match brace {
                        Some(brace) => open.truncate(brace),
                        // It closes the block around the item.
                        None if index >= self.at => break,
                        None => open.clear(),
                    }
                }
                TokenKind::CloseBracket | TokenKind::CloseParenthesis | TokenKind::SequenceEnd => {
                    open.pop();
                }
                TokenKind::End => break,
                TokenKind::Newline | TokenKind::Comment
                    if open.is_empty() && index >= self.at && self.ends_line(token) =>
                {
                    break;
                }
                _ => {}
            }
            index += 1;
        }
        self.at = index.max(self.at);
    }

    /// Runs a part of the parser one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let place = self.here();
            return Err(self.report(
                Diagnostic::error("this is nested too deeply")
                    .at(place)
                    .help(format!(
                        "blocks and expressions can be nested {MAX_DEPTH} levels deep"
                    )),
            ));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Runs a part of the parser in which the end of a line means something, or nothing.
    pub(super) fn with_newlines<T>(
        &mut self,
        newlines_count: bool,
        parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>,
    ) -> Parsed<T> {
        let before = std::mem::replace(&mut self.newlines_count, newlines_count);
        let parsed = parse(self);
        self.newlines_count = before;
        parsed
    }

    /// The kind of the next token that counts; the one at hand is then that token.
    pub(super) fn peek(&mut self) -> TokenKind {
        loop {
            let Some(token) = self.tokens.get(self.at) else {
                return TokenKind::End;
            };
            match token.kind {
                TokenKind::Comment if self.newlines_count && self.ends_line(token) => {
                    return TokenKind::Newline;
                }
                TokenKind::Comment => {}
                TokenKind::Newline if !self.newlines_count => {}
                kind => return kind,
            }
            self.at += 1;
        }
    }

    /// The kind of the token after the one at hand.
    pub(super) fn peek_second(&mut self) -> TokenKind {
        self.peek();
        let at = self.at;
        self.at += 1;
        let kind = self.peek();
        self.at = at;
        kind
    }

    /// The kind of the token at hand, whatever it is.
    pub(super) fn raw_kind(&self) -> TokenKind {
        self.tokens
            .get(self.at)
            .map_or(TokenKind::End, |token| token.kind)
    }

    fn ends_line(&self, token: &Token) -> bool {
        self.text
            .get(token.range.clone())
            .is_some_and(|text| text.ends_with('\n'))
    }

    /// Goes behind the token at hand, and gives its place.
    pub(super) fn advance(&mut self) -> SourceSpan {
        let place = self.here();
        if self.raw_kind() != TokenKind::End {
            self.at += 1;
        }
        place
    }

    /// The place of the token at hand.
    pub(super) fn here(&self) -> SourceSpan {
        self.places.span(self.range())
    }

    /// The bytes of the token at hand.
    pub(super) fn range(&self) -> Range<usize> {
        self.tokens
            .get(self.at)
            .map_or(self.text.len()..self.text.len(), |token| {
                token.range.clone()
            })
    }

    /// The place of bytes of the text.
    pub(super) fn place(&self, range: Range<usize>) -> SourceSpan {
        self.places.span(range)
    }

    /// The text of the token at hand.
    pub(super) fn token_text(&self) -> &'a str {
        self.text.get(self.range()).unwrap_or("")
    }

    /// Goes behind the identifier at hand.
    pub(super) fn name(&mut self) -> Name {
        let text = Arc::from(self.token_text());
        let span = self.advance();
        Name { text, span }
    }

    /// Goes behind the next token, which must be of this kind.
    pub(super) fn expect(&mut self, kind: TokenKind, what: &str) -> Parsed<SourceSpan> {
        if self.peek() == kind {
            return Ok(self.advance());
        }
        Err(self.unexpected(what))
    }

    pub(super) fn skip_newlines(&mut self) {
        while self.peek() == TokenKind::Newline {
            self.advance();
        }
    }

    /// Reports a mistake. After too many of them, the text counts as read to its end.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        match self.mistakes.cmp(&MAX_MISTAKES) {
            Ordering::Less => self.diagnostics.push(diagnostic),
            Ordering::Equal => {
                let place = self.here();
                self.diagnostics.push(
                    Diagnostic::error("there are too many mistakes; what follows is not read")
                        .at(place),
                );
                self.give_up();
            }
            Ordering::Greater => {}
        }
        self.mistakes += 1;
        Reported
    }

    /// Counts the text as read to its end, and all that follows from that as said.
    fn give_up(&mut self) {
        self.is_cut_off = true;
        self.mistakes = MAX_MISTAKES;
        self.at = self.tokens.len().saturating_sub(1);
    }

    /// Reports that a sequence of a quoted string ends neither where it should nor on its line.
    /// What follows has been split into tokens as if it were within the sequence.
    pub(super) fn sequence_not_closed(&mut self, opening: SourceSpan) -> Reported {
        self.report(Diagnostic::error("this sequence is not closed with `}`").at(opening));
        self.give_up();
        self.mistakes += 1;
        Reported
    }

    /// Whether a line ends between two tokens.
    pub(super) fn has_line_end(&self, tokens: Range<usize>) -> bool {
        let tokens = self.tokens.get(tokens).unwrap_or_default();
        tokens.iter().any(|token| token.kind == TokenKind::Newline)
    }

    /// The place of the token at hand among the tokens.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes behind the line that was meant to close a heredoc whose first line is wrong, if there
    /// is one.
    pub(super) fn skip_heredoc(&mut self) {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let line = rest.iter().take_while(|one| one.kind != TokenKind::Newline);
        let mut names =
            line.filter(|one| matches!(one.kind, TokenKind::Identifier | TokenKind::QuotedLiteral));
        let Some(name) = names.next() else { return };
        let name = self.text.get(name.range.clone());
        let closing = rest.windows(3).position(|three| {
            let [before, marker, after] = three else {
                return false;
            };
            before.kind == TokenKind::Newline
                && self.text.get(marker.range.clone()) == name
                && matches!(after.kind, TokenKind::Newline | TokenKind::End)
        });
        if let Some(closing) = closing {
            self.at += closing + 2;
        }
    }

    /// Reports that something else stands at hand.
    pub(super) fn unexpected(&mut self, expected: &str) -> Reported {
        let place = self.here();
        let text = self.token_text();
        let found = self.found();
        let error = Diagnostic::error(format!("expected {expected}, found {found}")).at(place);
        let help = match (self.raw_kind(), text) {
            (TokenKind::Invalid, "'" | "`" | "\u{201c}" | "\u{201d}" | "\u{2018}" | "\u{2019}") => {
                Some("strings are written in \"double quotes\"")
            }
            (TokenKind::Invalid, ";") => {
                Some("arguments and blocks end with their line, without a semicolon")
            }
            (TokenKind::Invalid, text) if text.starts_with("/*") => {
                Some("this comment is not closed with `*/`")
            }
            (TokenKind::Invalid, "&" | "|" | "^" | "~") => {
                Some("there are no operators on bits; the logical ones are `&&`, `||` and `!`")
            }
            _ => None,
        };
        self.report(error.help_maybe(help.map(str::to_owned)))
    }

    /// What stands at hand, in words.
    fn found(&self) -> String {
        let text = self.token_text();
        match self.raw_kind() {
            TokenKind::End => "the end of the text".to_owned(),
            TokenKind::Newline | TokenKind::Comment if text.ends_with('\n') => {
                "the end of the line".to_owned()
            }
            TokenKind::Invalid if text.chars().count() > 1 => "an unfinished comment".to_owned(),
            TokenKind::OpenHeredoc => "a heredoc".to_owned(),
            TokenKind::OpenQuote => "a string".to_owned(),
            TokenKind::Invalid if text.chars().any(char::is_control) => {
                format!("{text:?}")
            }
            _ => format!("`{text}`"),
        }
    }
}

/// The items of a body while it is parsed.
#[derive(Default)]
struct Items {
    list: Vec<Item>,
    /// The arguments and where they are named.
    names: BTreeMap<Arc<str>, SourceSpan>,
}

impl Items {
    fn into_body(self) -> Body {
        Body {
            items: self.list,
            syntax: Syntax::Native,
        }
    }
}
