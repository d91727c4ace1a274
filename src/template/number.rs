//! Numbers of the template language: exact decimals of bounded size.
//!
//! A number has about [`DIGITS`] significant digits, the precision of cty's 512-bit floats, and a
//! magnitude within 10^±[`MAGNITUDE`], so that no arithmetic can fill the memory. Operations that
//! leave this range give `None`. A quotient carries a few digits more, which every later operation
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
pub struct Number(BigDecimal);

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
            return Some(Number(BigDecimal::zero()));
        }
        if value.order_of_magnitude().abs() > MAGNITUDE {
            return None;
        }
        // One form for equal numbers, so that 1.50 and 1.5 print alike.
        Some(Number(value.normalized()))
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

    /// The exact decimal.
    pub fn decimal(&self) -> &BigDecimal {
        &self.0
    }

    /// The decimal as it is printed: of one without end the digits that cty prints.
    pub fn printed(&self) -> Cow<'_, BigDecimal> {
        if self.0.digits() <= ROUNDED_DIGITS {
            return Cow::Borrowed(&self.0);
        }
        let printed = shortest::shortest(&self.0).unwrap_or_else(|| round(&self.0, ROUNDED_DIGITS));
        Cow::Owned(printed.normalized())
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.sign() == Sign::Minus
    }

    /// Whether there is no fraction.
    pub fn is_integer(&self) -> bool {
        self.0.is_integer()
    }

    /// The sum.
    pub fn add(&self, other: &Number) -> Option<Number> {
        Number::new(&self.0 + &other.0)
    }

    /// The difference.
    pub fn subtract(&self, other: &Number) -> Option<Number> {
        Number::new(&self.0 - &other.0)
    }

    /// The product.
    pub fn multiply(&self, other: &Number) -> Option<Number> {
        Number::new(&self.0 * &other.0)
    }

    /// The quotient; `None` also for a division by zero.
    pub fn divide(&self, other: &Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        let (dividend, dividend_scale) = self.0.as_bigint_and_scale();
        let (divisor, divisor_scale) = other.0.as_bigint_and_scale();
        let wanted = QUOTIENT_DIGITS + 2 + other.0.digits();
        let shift = u32::try_from(wanted.saturating_sub(self.0.digits())).ok()?;
        let shifted: BigInt = dividend.as_ref() * BigInt::from(10).pow(shift);
        let scale = dividend_scale - divisor_scale + i64::from(shift);
        let quotient = BigDecimal::new(&shifted / divisor.as_ref(), scale);
        Number::bounded(round(&quotient, QUOTIENT_DIGITS))
    }

    /// What remains of the division towards zero, with the dividend's sign; `None` for a division
    /// by zero.
    pub fn remainder(&self, other: &Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        Number::new(&self.0 % &other.0)
    }

    /// The number with the opposite sign.
    pub fn negate(&self) -> Number {
        Number(-&self.0)
    }

    /// The whole number, if it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        if self.is_integer() {
            self.0.to_i64()
        } else {
            None
        }
    }

    /// The whole number, if it is one, not negative, and fits.
    pub fn to_u64(&self) -> Option<u64> {
        if self.is_integer() && !self.is_negative() {
            self.0.to_u64()
        } else {
            None
        }
    }

    /// The whole number as an index or a length, if it is one.
    pub fn to_usize(&self) -> Option<usize> {
        self.to_u64()
            .and_then(|number| usize::try_from(number).ok())
    }

    /// The nearest binary float.
    pub fn to_f64(&self) -> f64 {
        self.0.to_f64().unwrap_or(f64::NAN)
    }
}

/// Plain decimal digits, never an exponent, no trailing zeros.
impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.printed().to_plain_string())
    }
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
                Number(BigDecimal::from(value).normalized())
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
        assert_eq!(number("1").divide(&number("0")), None);
        assert_eq!(number("1e600").multiply(&number("1e600")), None);
    }

    #[test]
    fn whole_numbers_only_where_asked() {
        assert_eq!(Number::parse("1.5").unwrap().to_i64(), None);
        assert_eq!(Number::parse("-1").unwrap().to_u64(), None);
        assert_eq!(Number::parse("2.0").unwrap().to_usize(), Some(2));
        assert_eq!(Number::parse("1e30").unwrap().to_i64(), None);
    }
}
