//! Unary and binary operators.

use super::{Evaluated, Evaluation};
use crate::diagnostic::{Diagnostic, SourceSpan};
use crate::template::convert;
use crate::template::number::NumberError;
use crate::template::scope::Scope;
use crate::template::syntax::{Binary, BinaryOperator, Expression, UnaryOperator};
use crate::template::value::{Number, Type, Value};

impl Evaluation {
    pub(super) fn unary(
        &self,
        operator: UnaryOperator,
        operand: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let value = self.expression(operand, scope)?;
        match operator {
            UnaryOperator::Not => Ok(match self.truth(&value, operand.span)? {
                Some(truth) => Value::Bool(!truth),
                None => Value::Unknown(Type::Bool),
            }),
            UnaryOperator::Negate => Ok(match self.number(&value, operand.span)? {
                Some(number) => Value::Number(number.negate()),
                None => Value::Unknown(Type::Number),
            }),
        }
    }

    /// A chain of operations, from left to right. Both sides are always evaluated, also of `&&`
    /// and `||`.
    pub(super) fn binary(&self, binary: &Binary, scope: &Scope) -> Evaluated {
        let mut left = Operand {
            value: self.expression(&binary.first, scope)?,
            span: binary.first.span,
        };
        for (operator, expression) in &binary.rest {
            let right = Operand {
                value: self.expression(expression, scope)?,
                span: expression.span,
            };
            left = Operand {
                span: left.span.to(right.span),
                value: self.operation(*operator, &left, &right)?,
            };
        }
        Ok(left.value)
    }

    fn operation(&self, operator: BinaryOperator, left: &Operand, right: &Operand) -> Evaluated {
        self.charge(1, right.span)?;
        match operator {
            BinaryOperator::Equal => self.equality(left, right, true),
            BinaryOperator::NotEqual => self.equality(left, right, false),
            BinaryOperator::And => self.logic(left, right, |a, b| a && b),
            BinaryOperator::Or => self.logic(left, right, |a, b| a || b),
            BinaryOperator::Less => self.comparison(left, right, |a, b| a < b),
            BinaryOperator::LessOrEqual => self.comparison(left, right, |a, b| a <= b),
            BinaryOperator::Greater => self.comparison(left, right, |a, b| a > b),
            BinaryOperator::GreaterOrEqual => self.comparison(left, right, |a, b| a >= b),
            BinaryOperator::Add => self.arithmetic(left, right, Number::add),
            BinaryOperator::Subtract => self.arithmetic(left, right, Number::subtract),
            BinaryOperator::Multiply => self.arithmetic(left, right, Number::multiply),
            BinaryOperator::Divide => self.arithmetic(left, right, Number::divide),
            BinaryOperator::Remainder => self.arithmetic(left, right, Number::remainder),
        }
    }

    fn equality(&self, left: &Operand, right: &Operand, wanted: bool) -> Evaluated {
        self.charge_value(&left.value, left.span)?;
        self.charge_value(&right.value, right.span)?;
        Ok(match left.value.equals(&right.value) {
            Some(equal) => Value::Bool(equal == wanted),
            None => Value::Unknown(Type::Bool),
        })
    }

    fn logic(&self, left: &Operand, right: &Operand, combine: fn(bool, bool) -> bool) -> Evaluated {
        let left = self.truth(&left.value, left.span)?;
        let right = self.truth(&right.value, right.span)?;
        Ok(match (left, right) {
            (Some(left), Some(right)) => Value::Bool(combine(left, right)),
            _ => Value::Unknown(Type::Bool),
        })
    }

    fn comparison(
        &self,
        left: &Operand,
        right: &Operand,
        compare: fn(&Number, &Number) -> bool,
    ) -> Evaluated {
        Ok(match self.numbers(left, right)? {
            Some((left, right)) => Value::Bool(compare(&left, &right)),
            None => Value::Unknown(Type::Bool),
        })
    }

    fn arithmetic(
        &self,
        left: &Operand,
        right: &Operand,
        calculate: fn(&Number, &Number) -> Result<Number, NumberError>,
    ) -> Evaluated {
        let Some((first, second)) = self.numbers(left, right)? else {
            return Ok(Value::Unknown(Type::Number));
        };
        calculate(&first, &second)
            .map(Value::Number)
            .map_err(|error| {
                let place = left.span.to(right.span);
                let diagnostic = Diagnostic::error(error.to_string()).at(place);
                match error {
                    NumberError::OutOfRange => {
                        diagnostic.help("numbers reach from 1e-1000 to 1e1000")
                    }
                    _ => diagnostic,
                }
            })
    }

    /// Both operands as numbers; `None` if one is not known yet.
    fn numbers(
        &self,
        left: &Operand,
        right: &Operand,
    ) -> Result<Option<(Number, Number)>, Diagnostic> {
        let left = self.number(&left.value, left.span)?;
        let right = self.number(&right.value, right.span)?;
        Ok(left.zip(right))
    }

    /// A value as a number; `None` if it is not known yet.
    pub(super) fn number(
        &self,
        value: &Value,
        place: SourceSpan,
    ) -> Result<Option<Number>, Diagnostic> {
        match value {
            Value::Unknown(Type::Number | Type::Dynamic | Type::String) => Ok(None),
            Value::Null(_) => Err(Diagnostic::error("a number is required, not null").at(place)),
            other => convert::to_number(other)
                .map(Some)
                .map_err(|error| self.not_convertible(&error, other, place)),
        }
    }
}

/// A value and the expression that it comes from.
struct Operand {
    value: Value,
    span: SourceSpan,
}
