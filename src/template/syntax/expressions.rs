//! Parsing of expressions.

use super::parse::{Parsed, Parser};
use super::scan::TokenKind;
use super::{
    Binary, BinaryOperator, Call, Conditional, Expression, ExpressionKind, For, Name, ObjectItem,
    ObjectKey, Step, StepKind, Traversal, UnaryOperator,
};
use crate::diagnostic::{Diagnostic, SourceSpan};
use crate::template::value::Number;

impl Parser<'_> {
    /// An expression.
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| {
            let condition = parser.operations(0)?;
            if parser.peek() != TokenKind::Question {
                return Ok(condition);
            }
            parser.advance();
            let yes = parser.expression()?;
            parser.expect(
                TokenKind::Colon,
                "`:` and the other result of this conditional",
            )?;
            let no = parser.expression()?;
            let span = condition.span.to(no.span);
            let kind = ExpressionKind::Conditional(Box::new(Conditional { condition, yes, no }));
            Ok(Expression { kind, span })
        })
    }

    /// Operands and the operators between them that bind at least this tightly.
    fn operations(&mut self, loosest: u8) -> Parsed<Expression> {
        let mut left = self.operand()?;
        let mut chain: Option<u8> = None;
        while let Some((operator, precedence)) = binary_operator(self.peek()) {
            if precedence < loosest {
                break;
            }
            self.advance();
            let right = self.operations(precedence + 1)?;
            let span = left.span.to(right.span);
            left = match left {
                Expression {
                    kind: ExpressionKind::Binary(mut binary),
                    ..
                } if chain == Some(precedence) => {
                    binary.rest.push((operator, right));
                    let kind = ExpressionKind::Binary(binary);
                    Expression { kind, span }
                }
                first => {
                    let rest = vec![(operator, right)];
                    let kind = ExpressionKind::Binary(Box::new(Binary { first, rest }));
                    Expression { kind, span }
                }
            };
            chain = Some(precedence);
        }
        Ok(left)
    }

    /// A term with the operators before it and the steps behind it.
    fn operand(&mut self) -> Parsed<Expression> {
        let operator = match self.peek() {
            TokenKind::Minus => UnaryOperator::Negate,
            TokenKind::Bang => UnaryOperator::Not,
            _ => {
                let term = self.term()?;
                return self.steps(term);
            }
        };
        let start = self.advance();
        let operand = self.deeper(Parser::operand)?;
        let span = start.to(operand.span);
        let kind = ExpressionKind::Unary(operator, Box::new(operand));
        Ok(Expression { kind, span })
    }

    fn term(&mut self) -> Parsed<Expression> {
        match self.peek() {
            TokenKind::OpenParenthesis => self.parenthesis(),
            TokenKind::OpenBracket => self.in_brackets(),
            TokenKind::OpenBrace => self.in_braces(),
            TokenKind::OpenQuote => self.quoted(),
            TokenKind::OpenHeredoc => self.heredoc(),
            TokenKind::Number => {
                let number = self.number()?;
                let span = self.advance();
                let kind = ExpressionKind::Number(number);
                Ok(Expression { kind, span })
            }
            TokenKind::Identifier => match self.peek_second() {
                TokenKind::OpenParenthesis | TokenKind::DoubleColon => self.call(),
                _ => {
                    let Name { text, span } = self.name();
                    let kind = match &*text {
                        "true" => ExpressionKind::Bool(true),
                        "false" => ExpressionKind::Bool(false),
                        "null" => ExpressionKind::Null,
                        _ => ExpressionKind::Variable(text),
                    };
                    Ok(Expression { kind, span })
                }
            },
            TokenKind::Less if self.token_text() == "<" && self.is_heredoc_attempt() => {
                let place = self.here();
                self.skip_heredoc();
                Err(self.report(
                    Diagnostic::error(
                        "this heredoc has no name on its first line, or more than that",
                    )
                    .at(place)
                    .help("write `<<NAME`, end the line, and close it with a line `NAME`"),
                ))
            }
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn is_heredoc_attempt(&mut self) -> bool {
        self.peek_second() == TokenKind::Less
    }

    fn number(&mut self) -> Parsed<Number> {
        Number::parse(self.token_text()).ok_or_else(|| {
            let place = self.here();
            self.report(
                Diagnostic::error("this number is out of range")
                    .at(place)
                    .help("numbers reach from 1e-1000 to 1e1000"),
            )
        })
    }

    fn parenthesis(&mut self) -> Parsed<Expression> {
        let opening = self.advance();
        self.with_newlines(false, |parser| {
            let inner = parser.expression()?;
            let closing = parser.closing(TokenKind::CloseParenthesis, opening, "`)`")?;
            let kind = ExpressionKind::Parenthesis(Box::new(inner));
            let span = opening.to(closing);
            Ok(Expression { kind, span })
        })
    }

    /// A closing bracket; one that is missing at the end of the text is told at the opening one.
    fn closing(&mut self, kind: TokenKind, opening: SourceSpan, what: &str) -> Parsed<SourceSpan> {
        match self.peek() {
            found if found == kind => Ok(self.advance()),
            TokenKind::End => {
                Err(self.report(Diagnostic::error("this bracket is not closed").at(opening)))
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn call(&mut self) -> Parsed<Expression> {
        let mut name = self.name();
        while self.peek() == TokenKind::DoubleColon {
            self.advance();
            self.expect_kind_of_name()?;
            let part = self.name();
            name = Name {
                text: format!("{}::{}", name.text, part.text).into(),
                span: name.span.to(part.span),
            };
        }
        let opening = self.expect(TokenKind::OpenParenthesis, "`(`")?;
        let (arguments, expands_last, closing) = self.with_newlines(false, |parser| {
            let mut arguments = Vec::new();
            let mut expands_last = false;
            while parser.peek() != TokenKind::CloseParenthesis {
                arguments.push(parser.expression()?);
                match parser.peek() {
                    TokenKind::Comma => {
                        parser.advance();
                    }
                    TokenKind::Ellipsis => {
                        parser.advance();
                        expands_last = true;
                        break;
                    }
                    _ => break,
                }
            }
            let what = "`,` and another argument, or `)`";
            let closing = parser.closing(TokenKind::CloseParenthesis, opening, what)?;
            Ok((arguments, expands_last, closing))
        })?;
        let span = name.span.to(closing);
        let kind = ExpressionKind::Call(Box::new(Call {
            name,
            arguments,
            expands_last,
        }));
        Ok(Expression { kind, span })
    }

    fn expect_kind_of_name(&mut self) -> Parsed<()> {
        if self.peek() == TokenKind::Identifier {
            return Ok(());
        }
        Err(self.unexpected("a name"))
    }

    /// A tuple, or a for expression that makes one.
    fn in_brackets(&mut self) -> Parsed<Expression> {
        let opening = self.advance();
        self.with_newlines(false, |parser| {
            if parser.is_for() {
                return parser.for_expression(opening, TokenKind::CloseBracket);
            }
            let mut elements = Vec::new();
            while parser.peek() != TokenKind::CloseBracket {
                elements.push(parser.expression()?);
                if parser.peek() != TokenKind::Comma {
                    break;
                }
                parser.advance();
            }
            let what = "`,` and another element, or `]`";
            let closing = parser.closing(TokenKind::CloseBracket, opening, what)?;
            let kind = ExpressionKind::Tuple(elements);
            let span = opening.to(closing);
            Ok(Expression { kind, span })
        })
    }

    /// An object, or a for expression that makes one.
    fn in_braces(&mut self) -> Parsed<Expression> {
        let opening = self.advance();
        let is_for = self.with_newlines(false, |parser| Ok(parser.is_for()))?;
        if is_for {
            return self.with_newlines(false, |parser| {
                parser.for_expression(opening, TokenKind::CloseBrace)
            });
        }
        self.with_newlines(true, |parser| {
            let mut items = Vec::new();
            loop {
                parser.skip_newlines();
                if parser.peek() == TokenKind::CloseBrace {
                    break;
                }
                items.push(parser.object_item()?);
                match parser.peek() {
                    TokenKind::Comma | TokenKind::Newline => {
                        parser.advance();
                    }
                    _ => break,
                }
            }
            let what = "`,`, the end of the line or `}` after this item";
            let closing = parser.closing(TokenKind::CloseBrace, opening, what)?;
            let kind = ExpressionKind::Object(items);
            let span = opening.to(closing);
            Ok(Expression { kind, span })
        })
    }

    fn object_item(&mut self) -> Parsed<ObjectItem> {
        let is_name = self.peek() == TokenKind::Identifier
            && matches!(self.peek_second(), TokenKind::Assign | TokenKind::Colon);
        let key = if is_name {
            ObjectKey::Name(self.name())
        } else {
            ObjectKey::Expression(self.expression()?)
        };
        match self.peek() {
            TokenKind::Assign | TokenKind::Colon => {
                self.advance();
            }
            _ => return Err(self.unexpected("`=` and the value of this key")),
        }
        let value = self.expression()?;
        Ok(ObjectItem { key, value })
    }

    fn is_for(&mut self) -> bool {
        self.peek() == TokenKind::Identifier && self.token_text() == "for"
    }

    /// A for expression from `for` on, with its closing bracket.
    fn for_expression(&mut self, opening: SourceSpan, end: TokenKind) -> Parsed<Expression> {
        let keyword = self.advance();
        if matches!(self.peek(), TokenKind::Assign | TokenKind::Colon) {
            return Err(self.report(
                Diagnostic::error("`for` begins a for expression here")
                    .at(keyword)
                    .help("a key of this name is written in quotes: `\"for\"`"),
            ));
        }
        let (key_name, value_name) = self.for_names()?;
        let collection = self.expression()?;
        self.expect(TokenKind::Colon, "`:` and what to make of each item")?;
        let first = self.expression()?;
        let (key, value) = if self.peek() == TokenKind::FatArrow {
            let arrow = self.advance();
            if end == TokenKind::CloseBracket {
                return Err(self.report(
                    Diagnostic::error("a for expression in brackets has no keys")
                        .at(arrow)
                        .help("write `{ for … }` to make an object"),
                ));
            }
            (Some(first), self.expression()?)
        } else if end == TokenKind::CloseBrace {
            return Err(
                self.unexpected("`=>`, since a for expression in braces makes keys and values")
            );
        } else {
            (None, first)
        };
        let groups = self.peek() == TokenKind::Ellipsis;
        if groups {
            let ellipsis = self.advance();
            if key.is_none() {
                return Err(self.report(
                    Diagnostic::error("only a for expression with keys can group values")
                        .at(ellipsis),
                ));
            }
        }
        let condition = if self.peek() == TokenKind::Identifier && self.token_text() == "if" {
            self.advance();
            Some(self.expression()?)
        } else {
            None
        };
        let closing = self.closing(end, opening, "the end of this for expression")?;
        let span = opening.to(closing);
        let kind = ExpressionKind::For(Box::new(For {
            key_name,
            value_name,
            collection,
            key,
            value,
            groups,
            condition,
        }));
        Ok(Expression { kind, span })
    }

    /// `key, value in` or `value in`
    pub(super) fn for_names(&mut self) -> Parsed<(Option<Name>, Name)> {
        self.expect_kind_of_name()?;
        let first = self.name();
        let (key, value) = if self.peek() == TokenKind::Comma {
            self.advance();
            self.expect_kind_of_name()?;
            (Some(first), self.name())
        } else {
            (None, first)
        };
        if self.peek() == TokenKind::Identifier && self.token_text() == "in" {
            self.advance();
            return Ok((key, value));
        }
        Err(self.unexpected("`in` and the collection to iterate over"))
    }

    /// The steps that lead from a value to a part of it.
    fn steps(&mut self, root: Expression) -> Parsed<Expression> {
        let mut steps = Vec::new();
        self.more_steps(&mut steps)?;
        let Some(last) = steps.last() else {
            return Ok(root);
        };
        let span = root.span.to(last.span);
        let kind = ExpressionKind::Traversal(Box::new(Traversal { root, steps }));
        Ok(Expression { kind, span })
    }

    fn more_steps(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            match self.peek() {
                TokenKind::Dot => self.step_behind_dot(steps)?,
                TokenKind::OpenBracket => {
                    let step = self.step_in_brackets()?;
                    let is_splat = matches!(step.kind, StepKind::FullSplat);
                    steps.push(step);
                    if is_splat {
                        // What follows is applied within it.
                        return self.deeper(|parser| parser.more_steps(steps));
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn step_behind_dot(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        let dot = self.advance();
        match self.peek() {
            TokenKind::Identifier => {
                let name = self.name();
                let span = dot.to(name.span);
                let kind = StepKind::Attribute(name);
                steps.push(Step { kind, span });
                Ok(())
            }
            TokenKind::Star => {
                let span = dot.to(self.advance());
                let kind = StepKind::AttributeSplat;
                steps.push(Step { kind, span });
                Ok(())
            }
            TokenKind::Number => {
                // `a.0.1` is scanned as the number 0.1.
                let text = self.token_text();
                let range = self.range();
                let mut start = range.start;
                for part in text.split('.') {
                    let place = self.place(start..start + part.len());
                    start += part.len() + 1;
                    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
                    let number = Number::parse(part).filter(|_| digits);
                    let Some(number) = number else {
                        return Err(self.report(
                            Diagnostic::error("an index behind a dot is made of digits").at(place),
                        ));
                    };
                    let kind = StepKind::LegacyIndex(number);
                    steps.push(Step { kind, span: place });
                }
                self.advance();
                Ok(())
            }
            _ => Err(self.unexpected("the name of an attribute")),
        }
    }

    fn step_in_brackets(&mut self) -> Parsed<Step> {
        let opening = self.advance();
        self.with_newlines(false, |parser| {
            let kind = if parser.peek() == TokenKind::Star
                && parser.peek_second() == TokenKind::CloseBracket
            {
                parser.advance();
                StepKind::FullSplat
            } else {
                StepKind::Index(parser.expression()?)
            };
            let closing = parser.closing(TokenKind::CloseBracket, opening, "`]`")?;
            let span = opening.to(closing);
            Ok(Step { kind, span })
        })
    }
}

/// An operator between operands, and how tightly it binds.
fn binary_operator(kind: TokenKind) -> Option<(BinaryOperator, u8)> {
    Some(match kind {
        TokenKind::Or => (BinaryOperator::Or, 0),
        TokenKind::And => (BinaryOperator::And, 1),
        TokenKind::Equal => (BinaryOperator::Equal, 2),
        TokenKind::NotEqual => (BinaryOperator::NotEqual, 2),
        TokenKind::Less => (BinaryOperator::Less, 3),
        TokenKind::LessOrEqual => (BinaryOperator::LessOrEqual, 3),
        TokenKind::Greater => (BinaryOperator::Greater, 3),
        TokenKind::GreaterOrEqual => (BinaryOperator::GreaterOrEqual, 3),
        TokenKind::Plus => (BinaryOperator::Add, 4),
        TokenKind::Minus => (BinaryOperator::Subtract, 4),
        TokenKind::Star => (BinaryOperator::Multiply, 5),
        TokenKind::Slash => (BinaryOperator::Divide, 5),
        TokenKind::Percent => (BinaryOperator::Remainder, 5),
        _ => return None,
    })
}
