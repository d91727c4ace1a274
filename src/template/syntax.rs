//! The syntax tree: what a text of the template language says, before anything is evaluated.
//!
//! Both of HCL's syntaxes, the native one and JSON, become the same tree. Every node knows its
//! place. Texts are read whole: a mistake is reported and reading goes on behind it, so that all
//! mistakes of a file show at once. How deeply a text may be nested is bounded, so that whoever
//! walks a tree may do so by recursion.

mod blocks;
mod expressions;
mod json;
mod json_scan;
mod parse;
mod places;
mod scan;
mod strings;
mod walk;

pub(in crate::template) use json::{Strings, parse_json_body};
pub(in crate::template) use parse::{parse_body, parse_expression, parse_template};
pub(in crate::template) use scan::{Start, Token, TokenKind, identifier_length, scan};

use super::value::Number;
use crate::diagnostic::SourceSpan;
use places::Places;
use std::sync::Arc;

/// How deeply expressions and blocks may be nested, in all.
pub(in crate::template) const MAX_DEPTH: usize = 100;

/// The inside of a block, or of a file.
#[derive(Clone, Debug)]
pub(in crate::template) struct Body {
    /// What it holds, in the order of the text.
    pub(in crate::template) items: Vec<Item>,
    /// The syntax that it is written in.
    pub(in crate::template) syntax: Syntax,
}

/// Which of HCL's syntaxes a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum Syntax {
    /// HCL's own.
    Native,
    /// JSON: whether a property is an argument or stands for blocks depends on who asks.
    Json,
}

/// An argument or a block.
#[derive(Clone, Debug)]
pub(in crate::template) enum Item {
    /// `name = value`
    Attribute(Attribute),
    /// `kind "label" { … }`
    Block(Block),
}

/// An argument.
#[derive(Clone, Debug)]
pub(in crate::template) struct Attribute {
    pub(in crate::template) name: Name,
    pub(in crate::template) value: Arc<Expression>,
}

impl Attribute {
    /// The place of the name and the value.
    pub(in crate::template) fn span(&self) -> SourceSpan {
        self.name.span.to(self.value.span)
    }
}

/// A block.
#[derive(Clone, Debug)]
pub(in crate::template) struct Block {
    pub(in crate::template) kind: Name,
    pub(in crate::template) labels: Vec<Name>,
    pub(in crate::template) body: Arc<Body>,
}

impl Block {
    /// The place of the block's type and labels.
    pub(in crate::template) fn header(&self) -> SourceSpan {
        let last = self.labels.last().unwrap_or(&self.kind);
        if last.span.start < self.kind.span.start {
            return self.kind.span;
        }
        self.kind.span.to(last.span)
    }
}

/// A name as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::template) struct Name {
    pub(in crate::template) text: Arc<str>,
    pub(in crate::template) span: SourceSpan,
}

/// An expression.
#[derive(Clone, Debug)]
pub(in crate::template) struct Expression {
    pub(in crate::template) kind: ExpressionKind,
    pub(in crate::template) span: SourceSpan,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(in crate::template) enum ExpressionKind {
    Null,
    Bool(bool),
    Number(Number),
    /// A string without interpolations.
    Text(Arc<str>),
    /// A string with interpolations or directives.
    Template(Template),
    /// A string of the JSON syntax.
    JsonString(Box<JsonString>),
    /// `[a, b]`
    Tuple(Vec<Expression>),
    /// `{ a = b }`
    Object(Vec<ObjectItem>),
    /// `(a)`
    Parenthesis(Box<Expression>),
    /// A name by itself.
    Variable(Arc<str>),
    /// `a.b[c]`
    Traversal(Box<Traversal>),
    /// `f(a, b...)`
    Call(Box<Call>),
    /// `a ? b : c`
    Conditional(Box<Conditional>),
    /// `-a`, `!a`
    Unary(UnaryOperator, Box<Expression>),
    /// `a + b - c`
    Binary(Box<Binary>),
    /// `[for a in b : c]`
    For(Box<For>),
}

/// A string of the JSON syntax: a template where a value is wanted, and plain text where a name
/// or a type is.
#[derive(Clone, Debug)]
pub(in crate::template) struct JsonString {
    pub(in crate::template) text: Arc<str>,
    pub(in crate::template) template: Expression,
    places: Places,
}

/// One item of an object expression.
#[derive(Clone, Debug)]
pub(in crate::template) struct ObjectItem {
    pub(in crate::template) key: ObjectKey,
    pub(in crate::template) value: Expression,
}

/// The key of an item.
#[derive(Clone, Debug)]
pub(in crate::template) enum ObjectKey {
    /// A bare name, which stands for itself.
    Name(Name),
    /// Anything else.
    Expression(Expression),
}

/// Steps from a value to a part of it.
#[derive(Clone, Debug)]
pub(in crate::template) struct Traversal {
    pub(in crate::template) root: Expression,
    /// At least one.
    pub(in crate::template) steps: Vec<Step>,
}

/// One step of a traversal.
#[derive(Clone, Debug)]
pub(in crate::template) struct Step {
    pub(in crate::template) kind: StepKind,
    pub(in crate::template) span: SourceSpan,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(in crate::template) enum StepKind {
    /// `.name`
    Attribute(Name),
    /// `[key]`
    Index(Expression),
    /// `.0`
    LegacyIndex(Number),
    /// `.*`, which takes the attribute steps that follow along.
    AttributeSplat,
    /// `[*]`, which takes all steps that follow along.
    FullSplat,
}

/// A function call.
#[derive(Clone, Debug)]
pub(in crate::template) struct Call {
    pub(in crate::template) name: Name,
    pub(in crate::template) arguments: Vec<Expression>,
    /// Whether the last argument is followed by `...`.
    pub(in crate::template) expands_last: bool,
}

/// `condition ? yes : no`
#[derive(Clone, Debug)]
pub(in crate::template) struct Conditional {
    pub(in crate::template) condition: Expression,
    pub(in crate::template) yes: Expression,
    pub(in crate::template) no: Expression,
}

/// A chain of operations of one precedence, applied from left to right.
#[derive(Clone, Debug)]
pub(in crate::template) struct Binary {
    pub(in crate::template) first: Expression,
    /// At least one.
    pub(in crate::template) rest: Vec<(BinaryOperator, Expression)>,
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum UnaryOperator {
    Negate,
    Not,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum BinaryOperator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A for expression.
#[derive(Clone, Debug)]
pub(in crate::template) struct For {
    pub(in crate::template) key_name: Option<Name>,
    pub(in crate::template) value_name: Name,
    pub(in crate::template) collection: Expression,
    /// The key of each item, if an object is made.
    pub(in crate::template) key: Option<Expression>,
    pub(in crate::template) value: Expression,
    /// Whether the values of one key are collected.
    pub(in crate::template) groups: bool,
    pub(in crate::template) condition: Option<Expression>,
}

/// A string template, strip markers and indentation already applied.
#[derive(Clone, Debug)]
pub(in crate::template) struct Template {
    pub(in crate::template) elements: Vec<Element>,
}

/// A part of a template.
#[derive(Clone, Debug)]
pub(in crate::template) enum Element {
    Literal {
        text: Arc<str>,
        span: SourceSpan,
    },
    /// `${a}`
    Interpolation(Expression),
    /// `%{ if a }…%{ else }…%{ endif }`
    If(Box<IfDirective>),
    /// `%{ for a in b }…%{ endfor }`
    For(Box<ForDirective>),
}

/// `%{ if condition }yes%{ else }no%{ endif }`
#[derive(Clone, Debug)]
pub(in crate::template) struct IfDirective {
    pub(in crate::template) condition: Expression,
    pub(in crate::template) yes: Template,
    pub(in crate::template) no: Option<Template>,
}

/// `%{ for key, value in collection }content%{ endfor }`
#[derive(Clone, Debug)]
pub(in crate::template) struct ForDirective {
    pub(in crate::template) key_name: Option<Name>,
    pub(in crate::template) value_name: Name,
    pub(in crate::template) collection: Expression,
    pub(in crate::template) content: Template,
}

#[cfg(test)]
mod tests;
