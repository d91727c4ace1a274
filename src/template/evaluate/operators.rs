//! Unary and binary operators.

use super::{Evaluated, Evaluation};
use crate::diagnostic::Diagnostic;
use crate::template::convert;
use crate::template::scope::Scope;
use crate::template::value::{Number, Type, Value};
use hcl::edit::Span;
use hcl::edit::expr::{BinaryOp, BinaryOperator, Expression, UnaryOp, UnaryOperator};

impl Evaluation<'_> {
    pub(super) fn unary(&self, operation: &UnaryOp, scope: &Scope) -> Evaluated {
        let operand = self.expression(&operation.expr, scope)?;
        match *operation.operator.value() {
            UnaryOperator::Not => Ok(match self.truth(&operand, &operation.expr)? {
                Some(truth) => Value::Bool(!truth),
                None => Value::Unknown(Type::Bool),
            }),
            UnaryOperator::Neg => Ok(match self.number(&operand, &operation.expr)? {
                Some(number) => Value::Number(number.negate()),
                None => Value::Unknown(Type::Number),
            }),
        }
    }

    /// Both sides are always evaluated, also of `&&` and `||`.
    pub(super) fn binary(
        &self,
        operation: &BinaryOp,
        expression: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let left = self.expression(&operation.lhs_expr, scope)?;
        let right = self.expression(&operation.rhs_expr, scope)?;
        match *operation.operator.value() {
            BinaryOperator::Eq => self.equality(&left, &right, operation, true),
            BinaryOperator::NotEq => self.equality(&left, &right, operation, false),
            BinaryOperator::And => self.logic(&left, &right, operation, |a, b| a && b),
            BinaryOperator::Or => self.logic(&left, &right, operation, |a, b| a || b),
            operator => self.arithmetic(operator, &left, &right, operation, expression),
        }
    }

    fn equality(
        &self,
        left: &Value,
        right: &Value,
        operation: &BinaryOp,
        wanted: bool,
    ) -> Evaluated {
        self.charge_value(left, &operation.lhs_expr)?;
        self.charge_value(right, &operation.rhs_expr)?;
        Ok(match left.equals(right) {
            Some(equal) => Value::Bool(equal == wanted),
            None => Value::Unknown(Type::Bool),
        })
    }

    fn logic(
        &self,
        left: &Value,
        right: &Value,
        operation: &BinaryOp,
        combine: fn(bool, bool) -> bool,
    ) -> Evaluated {
        let left = self.truth(left, &operation.lhs_expr)?;
        let right = self.truth(right, &operation.rhs_expr)?;
        Ok(match (left, right) {
            (Some(left), Some(right)) => Value::Bool(combine(left, right)),
            _ => Value::Unknown(Type::Bool),
        })
    }

    fn arithmetic(
        &self,
        operator: BinaryOperator,
        left: &Value,
        right: &Value,
        operation: &BinaryOp,
        expression: &Expression,
    ) -> Evaluated {
        let left = self.number(left, &operation.lhs_expr)?;
        let right = self.number(right, &operation.rhs_expr)?;
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(Value::Unknown(if is_comparison(operator) {
                Type::Bool
            } else {
                Type::Number
            }));
        };
        let divides = matches!(operator, BinaryOperator::Div | BinaryOperator::Mod);
        if divides && right.is_zero() {
            return Err(Diagnostic::error("division by zero")
                .at_with(self.span(&operation.rhs_expr), "this is 0"));
        }
        let result = match operator {
            BinaryOperator::Less => return Ok(Value::Bool(left < right)),
            BinaryOperator::LessEq => return Ok(Value::Bool(left <= right)),
            BinaryOperator::Greater => return Ok(Value::Bool(left > right)),
            BinaryOperator::GreaterEq => return Ok(Value::Bool(left >= right)),
            BinaryOperator::Plus => left.add(&right),
            BinaryOperator::Minus => left.subtract(&right),
            BinaryOperator::Mul => left.multiply(&right),
            BinaryOperator::Div => left.divide(&right),
            BinaryOperator::Mod => left.remainder(&right),
            BinaryOperator::Eq | BinaryOperator::NotEq => {
                return Ok(Value::Bool((left == right) == (operator == BinaryOperator::Eq)));
            }
            BinaryOperator::And | BinaryOperator::Or => None,
        };
        result.map(Value::Number).ok_or_else(|| {
            Diagnostic::error("the result is out of range")
                .at(self.span(expression))
                .help("numbers reach from 1e-1000 to 1e1000")
        })
    }

    /// A value as a number; `None` if it is not known yet.
    pub(super) fn number(
        &self,
        value: &Value,
        node: &impl Span,
    ) -> Result<Option<Number>, Diagnostic> {
        match value {
            Value::Unknown(Type::Number | Type::Dynamic | Type::String) => Ok(None),
            Value::Null(_) => {
                Err(Diagnostic::error("a number is required, not null").at(self.span(node)))
            }
            other => convert::to_number(other)
                .map(Some)
                .map_err(|error| self.not_convertible(&error, other, node)),
        }
    }
}

fn is_comparison(operator: BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Less
            | BinaryOperator::LessEq
            | BinaryOperator::Greater
            | BinaryOperator::GreaterEq
    )
}
