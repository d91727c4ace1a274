//! Functions on numbers: `abs`, `ceil`, `floor`, `log`, `max`, `min`, `parseint`, `pow`, `signum`,
//! `sum`.

use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError, floats};
use crate::template::convert::to_number;
use crate::template::value::{Number, Value};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode};

const NUMBER: &[Parameter] = &[Parameter::new("num", Kind::Number)];
const NUMBERS: Parameter = Parameter::new("numbers", Kind::Number);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abs", Kind::Number, abs).parameters(NUMBER),
    Function::new("ceil", Kind::Number, ceil).parameters(NUMBER),
    Function::new("floor", Kind::Number, floor).parameters(NUMBER),
    Function::new("log", Kind::Number, log).parameters(&[
        Parameter::new("num", Kind::Number),
        Parameter::new("base", Kind::Number),
    ]),
    Function::new("max", Kind::Number, max).variadic(NUMBERS),
    Function::new("min", Kind::Number, min).variadic(NUMBERS),
    Function::new("parseint", Kind::Number, parseint).parameters(&[
        Parameter::new("number", Kind::Anything),
        Parameter::new("base", Kind::Number),
    ]),
    Function::new("pow", Kind::Number, pow).parameters(&[
        Parameter::new("num", Kind::Number),
        Parameter::new("power", Kind::Number),
    ]),
    Function::new("signum", Kind::Number, signum).parameters(NUMBER),
    Function::new("sum", Kind::Number, sum)
        .parameters(&[Parameter::new("list", Kind::Anything)])
        .looks_inside(),
];

fn abs(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let number = arguments.number(0)?;
    Ok(Value::Number(if number.is_negative() {
        number.negate()
    } else {
        number.clone()
    }))
}

fn ceil(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    round(arguments.number(0)?, RoundingMode::Ceiling)
}

fn floor(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    round(arguments.number(0)?, RoundingMode::Floor)
}

fn round(number: &Number, mode: RoundingMode) -> Result<Value, FunctionError> {
    match number.decimal() {
        Some(decimal) if !decimal.is_integer() => {
            in_range(Number::new(decimal.with_scale_round(0, mode)))
        }
        _ => Ok(Value::Number(number.clone())),
    }
}

fn log(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let (number, base) = (arguments.number(0)?.to_f64(), arguments.number(1)?.to_f64());
    from_float(floats::ln(number) / floats::ln(base))
}

fn pow(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let (number, power) = (arguments.number(0)?.to_f64(), arguments.number(1)?.to_f64());
    from_float(floats::power(number, power))
}

fn max(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let largest = arguments.from(0).iter().max_by(|a, b| a.compare(b));
    largest.cloned().ok_or_else(no_numbers)
}

fn min(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let smallest = arguments.from(0).iter().min_by(|a, b| a.compare(b));
    smallest.cloned().ok_or_else(no_numbers)
}

fn no_numbers() -> FunctionError {
    FunctionError::new("must pass at least one number")
}

fn signum(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    Ok(Value::Number(Number::from(
        arguments.whole_number(0)?.signum(),
    )))
}

fn parseint(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let given = arguments.value(0)?;
    let Some(text) = given.as_str() else {
        return Err(FunctionError::at(
            0,
            format!("first argument must be a string, not {}", given.type_name()),
        ));
    };
    let base = match arguments.whole_number(1)? {
        base @ 2..=62 => u32::try_from(base).unwrap_or_default(),
        _ => {
            return Err(FunctionError::at(
                1,
                "base must be a whole number between 2 and 62 inclusive",
            ));
        }
    };
    let refuse = || FunctionError::at(0, format!("cannot parse {text:?} as a base {base} integer"));
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // Longer than the largest number is in base 2; bounds the work as well.
    if digits.is_empty() || digits.len() > 4096 {
        return Err(refuse());
    }
    let mut integer = BigInt::default();
    for letter in digits.chars() {
        let digit = digit_value(letter, base).ok_or_else(refuse)?;
        integer = integer * base + digit;
    }
    if is_negative {
        integer = -integer;
    }
    in_range(Number::new(BigDecimal::from(integer)))
}

/// Up to base 36 capital letters are the small ones; beyond it they are digits of their own.
fn digit_value(letter: char, base: u32) -> Option<u32> {
    if base <= 36 {
        return letter.to_digit(base);
    }
    match letter {
        'A'..='Z' => Some(u32::from(letter) - u32::from('A') + 36),
        _ => letter.to_digit(36),
    }
    .filter(|value| *value < base)
}

fn sum(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Result<Value, FunctionError> {
    let given = arguments.value(0)?;
    let Some(elements) = given.as_elements() else {
        return Err(FunctionError::at(
            0,
            format!(
                "argument must be list, set, or tuple. Received {}",
                given.type_name()
            ),
        ));
    };
    let mut total: Option<Number> = None;
    for element in elements.iter() {
        let number = to_number(element).map_err(|_| {
            FunctionError::at(0, "argument must be list, set, or tuple of number values")
        })?;
        total = Some(match total {
            Some(total) => total
                .add(&number)
                .map_err(|error| FunctionError::new(error.to_string()))?,
            None => number,
        });
    }
    total
        .map(Value::Number)
        .ok_or_else(|| FunctionError::at(0, "cannot sum an empty list"))
}

/// A binary float stands for the shortest decimal that reads back as the same float.
fn from_float(float: f64) -> Result<Value, FunctionError> {
    if float.is_nan() {
        return Err(FunctionError::new("there is no such number"));
    }
    if float.is_infinite() {
        return Ok(Value::Number(Number::infinity(float < 0.0)));
    }
    in_range(Number::parse(&format!("{float}")))
}

fn in_range(number: Option<Number>) -> Result<Value, FunctionError> {
    number.map(Value::Number).ok_or_else(out_of_range)
}

fn out_of_range() -> FunctionError {
    FunctionError::new("the result is too large for a number")
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
abs(-1) = 1
abs(0) = 0
abs("-0.5") = 0.5
abs("a") = error: invalid value for "num" parameter: a number is required
abs(true) = error: a number is required
ceil(1.2) = 2
ceil(-1.2) = -1
ceil(-0.5) = 0
ceil(3) = 3
ceil(1e-20) = 1
floor(1.8) = 1
floor(-1.2) = -2
floor(123456789012345678901234567890.5) = ~ 123456789012345678901234567890
log(8, 2) = 3
log(100, 10) = 2
log(2, 10) = 0.30102999566398114
log(16, 3) = 2.52371901428583
log(62, 3) = 3.756679610828473
log(0.1, 3) = -2.095903274289385
log(3, 1e20) = 0.02385606273598312
log(1, 1) = ~ error: 
log(-1, 2) = ~ error: 
max(1, "3", 2.5) = 3
max() = error: must pass at least one number
max(null) = error: argument must not be null
min(-0.1, -0.2) = -0.2
min("a") = error: invalid value for "numbers" parameter
parseint("ff", 16) = 255
parseint("-1f", 16) = -31
parseint("+7", 10) = 7
parseint("1011", 2) = 11
parseint("zZ", 62) = 2231
parseint("Zz", 36) = 1295
parseint("340282366920938463463374607431768211456", 10) = 340282366920938463463374607431768211456
parseint("0x1f", 16) = error: cannot parse
parseint("1_0", 10) = error: cannot parse
parseint("12", 2) = error: cannot parse "12" as a base 2 integer
parseint("", 10) = error: cannot parse
parseint("-", 10) = error: cannot parse
parseint(" 1", 10) = error: cannot parse
parseint(10, 10) = error: first argument must be a string, not number
parseint("10", 63) = error: base must be a whole number between 2 and 62 inclusive
parseint("10", 1) = error: base must be
pow(2, 10) = 1024
pow(2, 0.5) = 1.4142135623730951
pow(0, 0) = 1
pow(2, -1) = 0.5
pow(3, 255) = 46336150792381570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
pow(0.1, -7) = 9999999.999999993
pow(1000, 1.5) = 31622.77660168379
pow(255, 2.5) = 1038365.980459202
signum("Inf") = error: value must be a whole number
sum(["-Inf", "Inf"]) = error: infinity cannot be subtracted
pow(-1, 0.5) = ~ error: 
pow(2, 100) = 1267650600228229400000000000000
signum(-3) = -1
signum(0) = 0
signum("12") = 1
signum(0.5) = error: value must be a whole number
sum([1, "2", 3.5]) = 6.5
sum([0.1, 0.2]) = 0.3
sum([]) = error: cannot sum an empty list
sum("a") = error: argument must be list, set, or tuple
sum([1, null]) = error: of number values
sum([1, "x"]) = error: of number values
sum({"a": 1}) = error: Received object
"#;
}
