//! Decimal digits of a number, rounded and laid out as Go's `%e`, `%f` and `%g` do.
//!
//! Works on exact decimals. Go rounds 512-bit binary floats; the two differ only where a decimal
//! lies exactly between two results, which is why ties ask how the binary float would lie.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use std::cmp::Ordering;

/// Bits of precision of a number in cty.
const BINARY_PRECISION: u64 = 512;

/// The layouts of a number with a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `1.5e+03`
    Exponent,
    /// `1500.0`
    Plain,
    /// The shorter of the two, without trailing zeros.
    Shortest,
}

/// The text of a number without its sign; without a precision `%e` and `%f` print what is there.
pub(super) fn text(number: &BigDecimal, layout: Layout, precision: Option<usize>) -> String {
    let digits = Digits::of(number);
    match (layout, precision) {
        (Layout::Exponent, None) => digits.exponent_text(digits.significant.len().max(1) - 1),
        (Layout::Exponent, Some(places)) => digits
            .rounded(to_signed(places).saturating_add(1))
            .exponent_text(places),
        (Layout::Plain, None) => digits.plain_text(digits.places()),
        (Layout::Plain, Some(places)) => digits
            .rounded(digits.point.saturating_add(to_signed(places)))
            .plain_text(places),
        (Layout::Shortest, None) => digits.shortest_text(6),
        (Layout::Shortest, Some(figures)) => {
            let figures = figures.max(1);
            let rounded = digits.rounded(to_signed(figures));
            let known = rounded.significant.len();
            let threshold = if figures > known && to_signed(known) >= rounded.point {
                known
            } else {
                figures
            };
            rounded.shortest_text(threshold)
        }
    }
}

/// `0.significant * 10^point`, without leading or trailing zeros; zero has no digits.
struct Digits {
    significant: Vec<u8>,
    point: i64,
    /// How the number's 512-bit form lies to the number itself.
    binary_form: Ordering,
}

impl Digits {
    fn of(number: &BigDecimal) -> Digits {
        let (coefficient, scale) = number.as_bigint_and_exponent();
        let mut significant = coefficient.magnitude().to_str_radix(10).into_bytes();
        let point = to_signed(significant.len()).saturating_sub(scale);
        while significant.last() == Some(&b'0') {
            significant.pop();
        }
        let point = if significant.is_empty() { 0 } else { point };
        let binary_form = binary_form(&coefficient, scale);
        Digits {
            significant,
            point,
            binary_form,
        }
    }

    /// How many digits there are after the decimal point.
    fn places(&self) -> usize {
        usize::try_from(to_signed(self.significant.len()).saturating_sub(self.point)).unwrap_or(0)
    }

    /// Keeps the first `count` digits.
    fn rounded(&self, count: i64) -> Digits {
        let mut kept = Digits {
            significant: self.significant.clone(),
            point: self.point,
            binary_form: self.binary_form,
        };
        let Ok(count) = usize::try_from(count) else {
            kept.significant.clear();
            kept.point = 0;
            return kept;
        };
        let Some(next) = self.significant.get(count) else {
            return kept;
        };
        let is_tie = *next == b'5' && self.significant.len() == count + 1;
        let up = if is_tie {
            match self.binary_form {
                Ordering::Greater => true,
                Ordering::Less => false,
                Ordering::Equal => count > 0 && (self.significant[count - 1] - b'0') % 2 == 1,
            }
        } else {
            *next >= b'5'
        };
        kept.significant.truncate(count);
        if up {
            while kept.significant.last() == Some(&b'9') {
                kept.significant.pop();
            }
            match kept.significant.last_mut() {
                Some(last) => *last += 1,
                None => {
                    kept.significant.push(b'1');
                    kept.point = kept.point.saturating_add(1);
                }
            }
        }
        while kept.significant.last() == Some(&b'0') {
            kept.significant.pop();
        }
        if kept.significant.is_empty() {
            kept.point = 0;
        }
        kept
    }

    fn digit(&self, position: i64) -> char {
        usize::try_from(position)
            .ok()
            .and_then(|position| self.significant.get(position))
            .map_or('0', |digit| char::from(*digit))
    }

    fn exponent_text(&self, places: usize) -> String {
        let mut text = String::from(self.digit(0));
        if places > 0 {
            text.push('.');
            text.extend((1..=to_signed(places)).map(|position| self.digit(position)));
        }
        let exponent = if self.significant.is_empty() {
            0
        } else {
            self.point.saturating_sub(1)
        };
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("e{sign}{:02}", exponent.unsigned_abs()));
        text
    }

    fn plain_text(&self, places: usize) -> String {
        let mut text = String::new();
        if self.point > 0 {
            text.extend((0..self.point).map(|position| self.digit(position)));
        } else {
            text.push('0');
        }
        if places > 0 {
            text.push('.');
            text.extend((0..to_signed(places)).map(|place| self.digit(self.point + place)));
        }
        text
    }

    fn shortest_text(&self, threshold: usize) -> String {
        let exponent = self.point.saturating_sub(1);
        if exponent < -4 || exponent >= to_signed(threshold) {
            self.exponent_text(self.significant.len().max(1) - 1)
        } else {
            self.plain_text(self.places())
        }
    }
}

/// Compares the nearest 512-bit binary float with the magnitude `coefficient * 10^-scale` itself.
fn binary_form(coefficient: &BigInt, scale: i64) -> Ordering {
    let Ok(places) = u32::try_from(scale) else {
        return Ordering::Equal;
    };
    if coefficient.sign() == Sign::NoSign {
        return Ordering::Equal;
    }
    let divisor = BigUint::from(10_u8).pow(places);
    // Enough bits for the quotient to have the precision, or one more.
    let shift = (BINARY_PRECISION + divisor.bits()).saturating_sub(coefficient.bits());
    let dividend = coefficient.magnitude() << shift;
    let quotient = &dividend / &divisor;
    let unit = BigUint::from(1_u8) << quotient.bits().saturating_sub(BINARY_PRECISION);
    let step = &divisor * &unit;
    let rest = &dividend % &step;
    if rest == BigUint::default() {
        return Ordering::Equal;
    }
    (rest * 2_u8).cmp(&step)
}

fn to_signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn lays_out_as_go_does() {
        let cases = [
            ("0", Layout::Exponent, Some(2), "0.00e+00"),
            ("0", Layout::Shortest, None, "0"),
            ("2.0005", Layout::Plain, Some(3), "2.001"),
            ("2.5", Layout::Plain, Some(0), "2"),
            ("3.5", Layout::Plain, Some(0), "4"),
            ("0.5", Layout::Plain, Some(0), "0"),
            ("0.05", Layout::Plain, Some(0), "0"),
            ("9.99", Layout::Plain, Some(1), "10.0"),
            ("1234.5678", Layout::Exponent, Some(3), "1.235e+03"),
            ("1000000", Layout::Shortest, None, "1e+06"),
            ("100000", Layout::Shortest, None, "100000"),
            ("0.0001", Layout::Shortest, None, "0.0001"),
            ("0.00001", Layout::Shortest, None, "1e-05"),
            ("123456789", Layout::Shortest, Some(4), "1.235e+08"),
            ("100000", Layout::Shortest, Some(20), "100000"),
        ];
        for (number, layout, precision, expected) in cases {
            let parsed = BigDecimal::from_str(number).unwrap();
            assert_eq!(
                text(&parsed, layout, precision),
                expected,
                "{number} {layout:?} {precision:?}"
            );
        }
    }
}
