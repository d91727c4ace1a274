//! The parser: a Go template as a tree.

use super::error::GoTemplateError;
use super::scan::{Action, Piece, Token, TokenKind, scan};
use super::value::Value;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

/// How deeply blocks and parentheses may be nested.
const MAX_DEPTH: usize = 100;

/// A parsed template.
#[derive(Debug)]
pub(super) struct GoTemplate {
    pub(super) nodes: Vec<Node>,
    /// The templates that it defines.
    pub(super) named: BTreeMap<String, Vec<Node>>,
    /// All calls of functions.
    pub(super) calls: Vec<CallSite>,
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct CallSite {
    pub(super) name: String,
    /// The action that it stands in.
    pub(super) action: Range<usize>,
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Output(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        name: String,
        data: Option<Pipeline>,
        offset: usize,
    },
    Break,
    Continue,
}

/// A pipeline and what is rendered when it has a value, or has none.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) yes: Vec<Node>,
    pub(super) no: Vec<Node>,
}

/// Commands of which each gets the result of the one before as its last argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The variables that get the result.
    pub(super) variables: Vec<String>,
    /// Whether the variables are there already.
    pub(super) assigns: bool,
    /// At least one.
    pub(super) commands: Vec<Vec<Operand>>,
    pub(super) offset: usize,
}

/// A word of a command, with the fields that are asked of it.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    pub(super) fields: Vec<String>,
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    /// `$name`; `$` itself has the name "".
    Variable(String),
    Function(String),
    Literal(Value),
    Parenthesis(Box<Pipeline>),
}

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<GoTemplate, GoTemplateError> {
    let mut parser = Parser {
        pieces: scan(text)?.into_iter(),
        named: BTreeMap::new(),
        calls: Vec::new(),
        depth: 0,
        loops: 0,
    };
    let (nodes, end) = parser.nodes()?;
    if let Some(end) = end {
        let name = end.keyword.name();
        return Err(GoTemplateError::new(
            end.offset,
            format!("`{{{{ {name} }}}}` without a block to belong to"),
        ));
    }
    Ok(GoTemplate {
        nodes,
        named: parser.named,
        calls: parser.calls,
    })
}

struct Parser {
    pieces: IntoIter<Piece>,
    named: BTreeMap<String, Vec<Node>>,
    calls: Vec<CallSite>,
    depth: usize,
    /// How many `range` blocks are open.
    loops: usize,
}

/// What ends the nodes of a block.
struct End {
    keyword: EndKeyword,
    /// What follows `else`.
    rest: Words,
    offset: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EndKeyword {
    Else,
    End,
}

impl EndKeyword {
    fn name(self) -> &'static str {
        match self {
            EndKeyword::Else => "else",
            EndKeyword::End => "end",
        }
    }
}

/// The tokens of an action that are still to be read.
struct Words {
    tokens: Peekable<IntoIter<Token>>,
    action: Range<usize>,
}

type Parsed<T> = Result<T, GoTemplateError>;

impl Parser {
    /// The nodes up to an `else` or `end`, or to the end of the text.
    fn nodes(&mut self) -> Parsed<(Vec<Node>, Option<End>)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let Action { tokens, range } = action;
            let offset = range.start;
            let mut words = Words {
                tokens: tokens.into_iter().peekable(),
                action: range,
            };
            let keyword = match words.peek() {
                Some(TokenKind::Name(name)) => name.clone(),
                None => return Err(GoTemplateError::new(offset, "`{{ }}` holds nothing")),
                _ => String::new(),
            };
            let keyword = keyword.as_str();
            if !is_keyword(keyword) {
                let pipeline = self.pipeline(&mut words, 0)?;
                words.expect_end()?;
                nodes.push(Node::Output(pipeline));
                continue;
            }
            words.tokens.next();
            match keyword {
                "if" => nodes.push(Node::If(self.branch(words, offset)?)),
                "with" => nodes.push(Node::With(self.branch(words, offset)?)),
                "range" => {
                    self.loops += 1;
                    let branch = self.branch(words, offset)?;
                    self.loops -= 1;
                    nodes.push(Node::Range(branch));
                }
                "define" => {
                    let name = words.text()?;
                    words.expect_end()?;
                    let content = self.block(offset)?;
                    self.named.insert(name, content);
                }
                "block" => {
                    let name = words.text()?;
                    let data = Some(self.pipeline(&mut words, 0)?);
                    words.expect_end()?;
                    let content = self.block(offset)?;
                    self.named.entry(name.clone()).or_insert(content);
                    nodes.push(Node::Template { name, data, offset });
                }
                "template" => {
                    let name = words.text()?;
                    let data = match words.peek() {
                        None => None,
                        Some(_) => Some(self.pipeline(&mut words, 0)?),
                    };
                    words.expect_end()?;
                    nodes.push(Node::Template { name, data, offset });
                }
                "break" | "continue" => {
                    words.expect_end()?;
                    if self.loops == 0 {
                        return Err(GoTemplateError::new(
                            offset,
                            format!("`{{{{ {keyword} }}}}` is only for the inside of a range"),
                        ));
                    }
                    nodes.push(match keyword {
                        "break" => Node::Break,
                        _ => Node::Continue,
                    });
                }
                _ => {
                    let keyword = match keyword {
                        "else" => EndKeyword::Else,
                        _ => EndKeyword::End,
                    };
                    if keyword == EndKeyword::End {
                        words.expect_end()?;
                    }
                    let end = End {
                        keyword,
                        rest: words,
                        offset,
                    };
                    return Ok((nodes, Some(end)));
                }
            }
        }
        Ok((nodes, None))
    }

    /// The inside of a block without `else`.
    fn block(&mut self, offset: usize) -> Parsed<Vec<Node>> {
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.deeper(offset, Parser::nodes)?;
        self.loops = loops;
        match end {
            Some(End {
                keyword: EndKeyword::End,
                ..
            }) => Ok(nodes),
            Some(end) => Err(GoTemplateError::new(
                end.offset,
                "`{{ else }}` without an `if`",
            )),
            None => Err(no_end(offset)),
        }
    }

    /// The pipeline and the insides of a block that may have `else`.
    fn branch(&mut self, mut words: Words, offset: usize) -> Parsed<Branch> {
        let pipeline = self.pipeline(&mut words, 0)?;
        words.expect_end()?;
        let (yes, end) = self.deeper(offset, Parser::nodes)?;
        let Some(end) = end else {
            return Err(no_end(offset));
        };
        let no = match end.keyword {
            EndKeyword::End => Vec::new(),
            EndKeyword::Else => self.otherwise(end, offset)?,
        };
        Ok(Branch { pipeline, yes, no })
    }

    /// What follows `else`: another `if` or `with`, or nodes up to `end`.
    fn otherwise(&mut self, end: End, offset: usize) -> Parsed<Vec<Node>> {
        let mut words = end.rest;
        let chained = match words.peek() {
            None => None,
            Some(TokenKind::Name(name)) if name == "if" => Some(Node::If as fn(Branch) -> Node),
            Some(TokenKind::Name(name)) if name == "with" => Some(Node::With as fn(Branch) -> Node),
            Some(_) => return words.expect_end().map(|()| Vec::new()),
        };
        if let Some(chained) = chained {
            words.tokens.next();
            let branch = self.deeper(end.offset, |parser| parser.branch(words, offset))?;
            return Ok(vec![chained(branch)]);
        }
        let (nodes, end) = self.deeper(end.offset, Parser::nodes)?;
        match end {
            Some(End {
                keyword: EndKeyword::End,
                ..
            }) => Ok(nodes),
            Some(end) => Err(GoTemplateError::new(end.offset, "a second `{{ else }}`")),
            None => Err(no_end(offset)),
        }
    }

    fn deeper<T>(
        &mut self,
        offset: usize,
        parse: impl FnOnce(&mut Parser) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(GoTemplateError::new(
                offset,
                format!("it is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Commands with pipes between them, and the variables that get the result.
    fn pipeline(&mut self, words: &mut Words, depth: usize) -> Parsed<Pipeline> {
        let offset = words.offset();
        if depth >= MAX_DEPTH {
            return Err(GoTemplateError::new(
                offset,
                format!("it is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        let (variables, assigns) = words.declaration();
        let mut commands = vec![self.command(words, depth)?];
        while words.peek() == Some(&TokenKind::Pipe) {
            words.tokens.next();
            commands.push(self.command(words, depth)?);
        }
        Ok(Pipeline {
            variables,
            assigns,
            commands,
            offset,
        })
    }

    fn command(&mut self, words: &mut Words, depth: usize) -> Parsed<Vec<Operand>> {
        let mut command = Vec::new();
        while !matches!(
            words.peek(),
            None | Some(TokenKind::Pipe | TokenKind::Close)
        ) {
            command.push(self.operand(words, depth)?);
        }
        if command.is_empty() {
            return Err(GoTemplateError::new(words.offset(), "a command is missing"));
        }
        Ok(command)
    }

    fn operand(&mut self, words: &mut Words, depth: usize) -> Parsed<Operand> {
        let offset = words.offset();
        let mut fields = Vec::new();
        let kind = match words.tokens.next().map(|token| token.kind) {
            Some(TokenKind::Dot) => OperandKind::Dot,
            Some(TokenKind::Field(name)) => {
                fields.push(name);
                OperandKind::Dot
            }
            Some(TokenKind::Variable(name)) => OperandKind::Variable(name),
            Some(TokenKind::Literal(value)) => OperandKind::Literal(value),
            Some(TokenKind::Name(name)) if !is_keyword(&name) => {
                self.calls.push(CallSite {
                    name: name.clone(),
                    action: words.action.clone(),
                });
                OperandKind::Function(name)
            }
            Some(TokenKind::Open) => {
                let inner = self.pipeline(words, depth + 1)?;
                match words.tokens.next().map(|token| token.kind) {
                    Some(TokenKind::Close) => {}
                    _ => return Err(GoTemplateError::new(offset, "`(` is not closed by `)`")),
                }
                OperandKind::Parenthesis(Box::new(inner))
            }
            _ => return Err(GoTemplateError::new(offset, "a value is missing here")),
        };
        while let Some(Token {
            kind: TokenKind::Field(name),
            joined: true,
            ..
        }) = words.tokens.peek()
        {
            fields.push(name.clone());
            words.tokens.next();
        }
        if let Some(next) = words.tokens.peek()
            && next.joined
            && !matches!(
                next.kind,
                TokenKind::Pipe | TokenKind::Close | TokenKind::Open
            )
        {
            return Err(GoTemplateError::new(
                next.offset,
                "a blank is missing before this",
            ));
        }
        Ok(Operand {
            kind,
            fields,
            offset,
        })
    }
}

impl Words {
    fn peek(&mut self) -> Option<&TokenKind> {
        self.tokens.peek().map(|token| &token.kind)
    }

    /// Where the next token stands.
    fn offset(&mut self) -> usize {
        let end = self.action.end;
        self.tokens.peek().map_or(end, |token| token.offset)
    }

    fn text(&mut self) -> Parsed<String> {
        let offset = self.offset();
        match self.tokens.next().map(|token| token.kind) {
            Some(TokenKind::Literal(Value::Text(text))) => Ok(text),
            _ => Err(GoTemplateError::new(
                offset,
                "a template's name in quotes is missing",
            )),
        }
    }

    fn expect_end(&mut self) -> Parsed<()> {
        match self.tokens.peek() {
            None => Ok(()),
            Some(token) => Err(GoTemplateError::new(
                token.offset,
                "there is something more than expected here",
            )),
        }
    }

    /// `$x :=`, `$x =` or `$x, $y :=`, if that comes next: the names, and whether they are there
    /// already.
    fn declaration(&mut self) -> (Vec<String>, bool) {
        let mut ahead = self.tokens.clone();
        let mut names = Vec::new();
        loop {
            let Some(TokenKind::Variable(name)) = ahead.next().map(|token| token.kind) else {
                return (Vec::new(), false);
            };
            names.push(name);
            match ahead.next().map(|token| token.kind) {
                Some(TokenKind::Comma) if names.len() == 1 => {}
                Some(mark @ (TokenKind::Declare | TokenKind::Assign)) => {
                    self.tokens = ahead;
                    return (names, mark == TokenKind::Assign);
                }
                _ => return (Vec::new(), false),
            }
        }
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "block"
            | "break"
            | "continue"
            | "define"
            | "else"
            | "end"
            | "if"
            | "range"
            | "template"
            | "with"
    )
}

fn no_end(offset: usize) -> GoTemplateError {
    GoTemplateError::new(offset, "this block has no `{{ end }}`")
}
