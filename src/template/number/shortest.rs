//! Digits of numbers that have no end: those that cty prints.
//!
//! cty keeps 512 bits of a number, and prints the fewest digits that lead back to the same bits. A
//! number of up to 154 digits is such a text already; a third is not.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, BigUint, Sign};

/// Bits of a number in cty.
const PRECISION: u64 = 512;

/// The shortest decimal that has the same 512 bits as `value`; none for a whole number.
pub(super) fn shortest(value: &BigDecimal) -> Option<BigDecimal> {
    let (coefficient, scale) = value.as_bigint_and_scale();
    let places = u32::try_from(scale).ok().filter(|places| *places > 0)?;
    let (mantissa, exponent) = binary(coefficient.magnitude(), &BigUint::from(10_u8).pow(places))?;
    // Both neighbours half a unit away, and the number between them, without the common 10^-halves.
    let halves = u32::try_from(1 - exponent)
        .ok()
        .filter(|halves| *halves > 0)?;
    let five = BigUint::from(5_u8).pow(halves);
    let inclusive = !mantissa.bit(0);
    let middle: BigUint = mantissa << 1_u8;
    let digits = |number: BigUint| (number * &five).to_str_radix(10).into_bytes();
    let (lower, upper) = (digits(&middle - 1_u8), digits(&middle + 1_u8));
    let middle = digits(middle);
    let kept = kept_digits(
        &padded(lower, upper.len()),
        &padded(middle, upper.len()),
        &upper,
        inclusive,
    );
    let rest = upper.len() - kept.len();
    let number = BigUint::parse_bytes(&kept, 10)?;
    let sign = match coefficient.sign() {
        Sign::Minus => Sign::Minus,
        _ => Sign::Plus,
    };
    let scale = i64::from(halves) - i64::try_from(rest).ok()?;
    Some(BigDecimal::new(BigInt::from_biguint(sign, number), scale))
}

/// The 512 bits and the exponent of two of a quotient, rounded to even.
fn binary(dividend: &BigUint, divisor: &BigUint) -> Option<(BigUint, i64)> {
    let shift = (PRECISION + 2 + divisor.bits()).saturating_sub(dividend.bits());
    let shifted = dividend << shift;
    let quotient = &shifted / divisor;
    let is_exact = &quotient * divisor == shifted;
    let excess = quotient.bits().checked_sub(PRECISION)?;
    let mut mantissa: BigUint = &quotient >> excess;
    let rest = &quotient - (&mantissa << excess);
    let half = BigUint::from(1_u8) << excess.checked_sub(1)?;
    let is_up = rest > half || rest == half && (!is_exact || mantissa.bit(0));
    if is_up {
        mantissa += 1_u8;
    }
    let exponent = i64::try_from(excess).ok()? - i64::try_from(shift).ok()?;
    Some((mantissa, exponent))
}

fn padded(digits: Vec<u8>, length: usize) -> Vec<u8> {
    let mut padded = vec![b'0'; length.saturating_sub(digits.len())];
    padded.extend(digits);
    padded
}

/// The first digits of `middle`, cut or rounded up as soon as that stays between the bounds, which
/// count as well if they are `inclusive`.
fn kept_digits(lower: &[u8], middle: &[u8], upper: &[u8], inclusive: bool) -> Vec<u8> {
    let significant = |digits: &[u8]| digits.iter().rposition(|digit| *digit != b'0');
    let (last_lower, last_upper) = (significant(lower), significant(upper));
    for (at, ((&low, &digit), &high)) in lower.iter().zip(middle).zip(upper).enumerate() {
        let can_cut = low != digit || inclusive && Some(at) == last_lower;
        let can_raise = digit != high && (inclusive || digit + 1 < high || Some(at) < last_upper);
        if !can_cut && !can_raise {
            continue;
        }
        let mut kept = middle[..=at].to_vec();
        let raises = match middle.get(at + 1..) {
            Some([b'5', rest @ ..]) if rest.iter().all(|digit| *digit == b'0') => {
                (digit - b'0') % 2 == 1
            }
            Some([next, ..]) => *next >= b'5',
            _ => false,
        };
        if !can_cut || can_raise && raises {
            raise(&mut kept);
        }
        return kept;
    }
    middle.to_vec()
}

/// Adds one to the last digit; the bounds are such that the first one is never a 9 that is raised.
fn raise(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return;
        }
    }
}
