//! Numbers of the template language: exact decimals of bounded size, and the two infinities.
//!
//! A decimal has about [`DIGITS`] significant digits, the precision of cty's 512-bit floats, and a
//! magnitude within 10^±[`MAGNITUDE`], so that no arithmetic can fill the memory. Operations that
//! leave this range are errors; only a division by zero is infinite, as in cty. A quotient carries a few digits more, which every later operation
//! rounds away: 10 / 3 * 3 is 10.

mod shortest;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The significant digits that a number keeps: those of a 512-bit mantissa.
pub const DIGITS: u64 = 155;

/// What a number with more than [`DIGITS`] is rounded to: the digits that a 512-bit mantissa holds
/// for certain.
const ROUNDED_DIGITS: u64 = 154;

/// The digits of a quotient, guard digits included.
const QUOTIENT_DIGITS: u64 = 160;

/// The largest exponent of ten, in both directions.
pub const MAGNITUDE: i64 = 1000;

/// A number: exact, never a binary float.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Size);

/// In the order of size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Size {
    NegativeInfinity,
    Finite(BigDecimal),
    Infinity,
}

/// Why an operation on numbers has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is too large or too close to zero.
    #[error("the result is out of range")]
    OutOfRange,
    /// Infinities cancel out.
    #[error("infinity cannot be subtracted from itself")]
    InfinityLessInfinity,
    /// Zero times infinity.
    #[error("zero cannot be multiplied by infinity")]
    ZeroTimesInfinity,
    /// Zero by zero, or infinity by infinity.
    #[error("zero cannot be divided by zero, nor infinity by infinity")]
    NoQuotient,
    /// The remainder of a division by infinity.
    #[error("there is no remainder of a division by infinity")]
    NoRemainder,
}

impl Number {
    /// Takes over a decimal, rounded to the precision of numbers; `None` if its magnitude is out of
    /// range.
    pub fn new(value: BigDecimal) -> Option<Number> {
        let value = if value.digits() > DIGITS {
            round(&value, ROUNDED_DIGITS)
        } else {
            value
        };
        Number::bounded(value)
    }

    fn bounded(value: BigDecimal) -> Option<Number> {
        if value.is_zero() {
            return Some(Number(Size::Finite(BigDecimal::zero())));
        }
        if value.order_of_magnitude().abs() > MAGNITUDE {
            return None;
        }
        // One form for equal numbers, so that 1.50 and 1.5 print alike.
        Some(Number(Size::Finite(value.normalized())))
    }

    /// Reads a decimal literal: sign, digits, fraction, exponent. `None` for anything else, and for
    /// a magnitude out of range.
    pub fn parse(text: &str) -> Option<Number> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let well_formed = mantissa.bytes().any(|byte| byte.is_ascii_digit())
            && mantissa
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !well_formed {
            return None;
        }
        if let Some(exponent) = exponent {
            // Checked before the number is built: an exponent of ten digits is a memory bomb.
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !plain || exponent.parse::<i64>().ok()?.abs() > MAGNITUDE {
                return None;
            }
        }
        Number::new(BigDecimal::from_str(text).ok()?)
    }

    /// The infinity of a sign.
    pub fn infinity(is_negative: bool) -> Number {
        Number(match is_negative {
            true => Size::NegativeInfinity,
            false => Size::Infinity,
        })
    }

    /// The number that a string stands for: a decimal literal, or an infinity as it is printed.
    pub fn from_text(text: &str) -> Option<Number> {
        match text {
            "Inf" | "inf" | "+Inf" | "+inf" => Some(Number::infinity(false)),
            "-Inf" | "-inf" => Some(Number::infinity(true)),
            _ => Number::parse(text),
        }
    }

    /// The exact decimal; none of an infinity.
    pub fn decimal(&self) -> Option<&BigDecimal> {
        match &self.0 {
            Size::Finite(decimal) => Some(decimal),
            Size::NegativeInfinity | Size::Infinity => None,
        }
    }

    /// The decimal as it is printed, of one without end the digits that cty prints; none of an
    /// infinity.
    pub fn printed(&self) -> Option<Cow<'_, BigDecimal>> {
        let decimal = self.decimal()?;
        if decimal.digits() <= ROUNDED_DIGITS {
            return Some(Cow::Borrowed(decimal));
        }
        let printed = shortest::shortest(decimal).unwrap_or_else(|| round(decimal, ROUNDED_DIGITS));
        Some(Cow::Owned(printed.normalized()))
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.decimal().is_some_and(BigDecimal::is_zero)
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Size::NegativeInfinity => true,
            Size::Finite(decimal) => decimal.sign() == Sign::Minus,
            Size::Infinity => false,
        }
    }

    /// Whether there is no fraction. An infinity is no integer.
    pub fn is_integer(&self) -> bool {
        self.decimal().is_some_and(BigDecimal::is_integer)
    }

    /// The sum.
    pub fn add(&self, other: &Number) -> Result<Number, NumberError> {
        match (&self.0, &other.0) {
            (Size::Finite(a), Size::Finite(b)) => in_range(a + b),
            (Size::Finite(_), _) => Ok(other.clone()),
            (_, Size::Finite(_)) => Ok(self.clone()),
            (a, b) if a == b => Ok(self.clone()),
            _ => Err(NumberError::InfinityLessInfinity),
        }
    }

    /// The difference.
    pub fn subtract(&self, other: &Number) -> Result<Number, NumberError> {
        self.add(&other.negate())
    }

    /// The product.
    pub fn multiply(&self, other: &Number) -> Result<Number, NumberError> {
        match (&self.0, &other.0) {
            (Size::Finite(a), Size::Finite(b)) => in_range(a * b),
            _ if self.is_zero() || other.is_zero() => Err(NumberError::ZeroTimesInfinity),
            _ => Ok(Number::infinity(self.is_negative() != other.is_negative())),
        }
    }

    /// The quotient; infinite for a division by zero.
    pub fn divide(&self, other: &Number) -> Result<Number, NumberError> {
        match (&self.0, &other.0) {
            (Size::Finite(_), Size::Finite(b)) if b.is_zero() => match self.is_zero() {
                true => Err(NumberError::NoQuotient),
                false => Ok(Number::infinity(self.is_negative())),
            },
            (Size::Finite(a), Size::Finite(b)) => quotient(a, b).ok_or(NumberError::OutOfRange),
            (Size::Finite(_), _) => Ok(Number::from(0)),
            (_, Size::Finite(_)) => Ok(Number::infinity(self.is_negative() != other.is_negative())),
            _ => Err(NumberError::NoQuotient),
        }
    }

    /// What remains of the division towards zero, with the dividend's sign. Of a division by zero,
    /// and of an infinity, that is the dividend.
    pub fn remainder(&self, other: &Number) -> Result<Number, NumberError> {
        match (&self.0, &other.0) {
            (_, Size::NegativeInfinity | Size::Infinity) => Err(NumberError::NoRemainder),
            (Size::Finite(a), Size::Finite(b)) if !b.is_zero() => in_range(a % b),
            _ => Ok(self.clone()),
        }
    }

    /// The number with the opposite sign.
    pub fn negate(&self) -> Number {
        Number(match &self.0 {
            Size::NegativeInfinity => Size::Infinity,
            Size::Finite(decimal) => Size::Finite(-decimal),
            Size::Infinity => Size::NegativeInfinity,
        })
    }

    /// The whole number, if it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        self.decimal()
            .filter(|decimal| decimal.is_integer())?
            .to_i64()
    }

    /// The whole number, if it is one, not negative, and fits.
    pub fn to_u64(&self) -> Option<u64> {
        self.decimal()
            .filter(|decimal| decimal.is_integer() && decimal.sign() != Sign::Minus)?
            .to_u64()
    }

    /// The whole number as an index or a length, if it is one.
    pub fn to_usize(&self) -> Option<usize> {
        self.to_u64()
            .and_then(|number| usize::try_from(number).ok())
    }

    /// The nearest binary float.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Size::NegativeInfinity => f64::NEG_INFINITY,
            // Its own conversion is off by some of the last digits; that of a text is exact.
            Size::Finite(decimal) => {
                let (digits, scale) = decimal.as_bigint_and_scale();
                let text = format!("{digits}e{}", -i128::from(scale));
                text.parse().unwrap_or(f64::NAN)
            }
            Size::Infinity => f64::INFINITY,
        }
    }
}

/// Plain decimal digits, never an exponent, no trailing zeros; or `+Inf` and `-Inf`.
impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.printed() {
            Some(decimal) => formatter.write_str(&decimal.to_plain_string()),
            None if self.is_negative() => formatter.write_str("-Inf"),
            None => formatter.write_str("+Inf"),
        }
    }
}

fn in_range(value: BigDecimal) -> Result<Number, NumberError> {
    Number::new(value).ok_or(NumberError::OutOfRange)
}

/// The quotient, with its guard digits; `divisor` is not zero.
fn quotient(dividend: &BigDecimal, divisor: &BigDecimal) -> Option<Number> {
    let wanted = QUOTIENT_DIGITS + 2 + divisor.digits();
    let shift = u32::try_from(wanted.saturating_sub(dividend.digits())).ok()?;
    let (dividend, dividend_scale) = dividend.as_bigint_and_scale();
    let (divisor, divisor_scale) = divisor.as_bigint_and_scale();
    let shifted: BigInt = dividend.as_ref() * BigInt::from(10).pow(shift);
    let scale = dividend_scale - divisor_scale + i64::from(shift);
    let quotient = BigDecimal::new(&shifted / divisor.as_ref(), scale);
    Number::bounded(round(&quotient, QUOTIENT_DIGITS))
}

/// The value with at most so many significant digits.
fn round(value: &BigDecimal, digits: u64) -> BigDecimal {
    let excess = i64::try_from(value.digits().saturating_sub(digits)).unwrap_or(i64::MAX);
    let places = value.fractional_digit_count().saturating_sub(excess);
    value.with_scale_round(places, RoundingMode::HalfEven)
}

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Number {
            fn from(value: $integer) -> Number {
                Number(Size::Finite(BigDecimal::from(value).normalized()))
            }
        }
    )*};
}

from_integer!(i32, i64, u32, u64);

impl From<usize> for Number {
    fn from(value: usize) -> Number {
        Number::from(value as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_and_printing() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("1.50", Some("1.5")),
            ("1e3", Some("1000")),
            ("1e-7", Some("0.0000001")),
            ("1E+2", Some("100")),
            ("99999999999999999999", Some("99999999999999999999")),
            ("1e1000", Some(&*format!("1{}", "0".repeat(1000)))),
            ("1e1001", None),
            ("1e1000000000", None),
            ("1e99999999999999999999", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("0x10", None),
            ("1_000", None),
            ("inf", None),
            ("NaN", None),
            (" 1", None),
            ("1e", None),
            ("--1", None),
        ] {
            let printed = Number::parse(text).map(|number| number.to_string());
            assert_eq!(printed.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        let number = |text: &str| Number::parse(text).unwrap();
        let sum = number("0.1").add(&number("0.2")).unwrap();
        assert_eq!(sum.to_string(), "0.3");
        let third = number("1").divide(&number("3")).unwrap();
        assert_eq!(third.to_string(), format!("0.{}5", "3".repeat(154)));
        // As Packer prints them.
        for (dividend, divisor, start, digits, end) in [
            ("-2", "3", "-0.", 154, "666667"),
            ("100", "7", "14.28571428571428571428", 155, "714286"),
            ("1e15", "3", "333333333333333.333", 155, "333335"),
            ("1", "7e9", "0.000000000142857142857", 155, "714286"),
        ] {
            let printed = number(dividend)
                .divide(&number(divisor))
                .unwrap()
                .to_string();
            assert!(
                printed.starts_with(start) && printed.ends_with(end),
                "{printed}"
            );
            let figures = printed.trim_start_matches(['-', '0', '.']);
            let count = figures.bytes().filter(u8::is_ascii_digit).count();
            assert_eq!(count, digits, "{printed}");
        }
        assert_eq!(
            number("10").divide(&number("4")).unwrap().to_string(),
            "2.5"
        );
        assert_eq!(
            number("-7").remainder(&number("3")).unwrap().to_string(),
            "-1"
        );
        assert_eq!(
            number("5.5").remainder(&number("2")).unwrap().to_string(),
            "1.5"
        );
        assert_eq!(
            number("1e600").multiply(&number("1e600")),
            Err(NumberError::OutOfRange)
        );
    }

    /// As `packer console` answers.
    #[test]
    fn infinities() {
        let number = |text: &str| Number::from_text(text).unwrap();
        for (first, operation, second, expected) in [
            ("1", "/", "0", "+Inf"),
            ("-1", "/", "0", "-Inf"),
            (
                "0",
                "/",
                "0",
                "zero cannot be divided by zero, nor infinity by infinity",
            ),
            (
                "Inf",
                "/",
                "-Inf",
                "zero cannot be divided by zero, nor infinity by infinity",
            ),
            ("1", "/", "Inf", "0"),
            ("Inf", "/", "-2", "-Inf"),
            ("Inf", "/", "0", "+Inf"),
            ("5", "%", "0", "5"),
            ("-5.5", "%", "0", "-5.5"),
            ("0", "%", "0", "0"),
            ("inf", "%", "5", "+Inf"),
            (
                "5",
                "%",
                "+inf",
                "there is no remainder of a division by infinity",
            ),
            ("Inf", "+", "5", "+Inf"),
            ("Inf", "+", "Inf", "+Inf"),
            ("5", "-", "Inf", "-Inf"),
            (
                "Inf",
                "-",
                "Inf",
                "infinity cannot be subtracted from itself",
            ),
            ("Inf", "-", "-Inf", "+Inf"),
            ("Inf", "*", "-1", "-Inf"),
            ("-inf", "*", "-inf", "+Inf"),
            ("Inf", "*", "0", "zero cannot be multiplied by infinity"),
        ] {
            let (a, b) = (number(first), number(second));
            let result = match operation {
                "+" => a.add(&b),
                "-" => a.subtract(&b),
                "*" => a.multiply(&b),
                "/" => a.divide(&b),
                _ => a.remainder(&b),
            };
            let text = result.map_or_else(|error| error.to_string(), |it| it.to_string());
            assert_eq!(text, expected, "{first} {operation} {second}");
        }
        assert!(number("Inf") > number("1e1000") && number("-Inf") < number("-1e1000"));
        assert_eq!(number("Inf").to_i64(), None);
        assert!(!number("Inf").is_integer());
        assert_eq!(Number::from_text("INF"), None);
    }

    #[test]
    fn floats_are_the_nearest() {
        for (text, expected) in [
            ("1e100", 1e100),
            ("1e45", 1e45),
            ("1.5e300", 1.5e300),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("0.1", 0.1),
            ("-123456789.125", -123_456_789.125),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("1e1000", f64::INFINITY),
            ("1e-1000", 0.0),
            ("0", 0.0),
        ] {
            assert_eq!(Number::parse(text).unwrap().to_f64(), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_only_where_asked() {
        assert_eq!(Number::parse("1.5").unwrap().to_i64(), None);
        assert_eq!(Number::parse("-1").unwrap().to_u64(), None);
        assert_eq!(Number::parse("2.0").unwrap().to_usize(), Some(2));
        assert_eq!(Number::parse("1e30").unwrap().to_i64(), None);
    }
}
