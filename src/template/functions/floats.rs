//! Logarithms and powers of binary floats, to the last bit as Go computes them.
//!
//! They are exact to less than a unit in the last place, as those of the system are, but not always
//! by the same digit; and a result that differs in its last digit is another text.

use std::f64::consts::FRAC_1_SQRT_2;

/// ln 2 in two parts, so that multiples of the first one are exact.
const LN_2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);

/// Coefficients of the approximation of ln((1 + s) / (1 - s)) by s², from fdlibm's `e_log.c`.
const LN_EVEN: [f64; 3] = [
    3.999_999_999_940_942e-1,
    2.222_219_843_214_978_4e-1,
    1.531_383_769_920_937_3e-1,
];
const LN_ODD: [f64; 4] = [
    6.666_666_666_666_735e-1,
    2.857_142_874_366_239e-1,
    1.818_357_216_161_805e-1,
    1.479_819_860_511_658_6e-1,
];

/// The natural logarithm, by the method of fdlibm.
pub(super) fn ln(number: f64) -> f64 {
    if !number.is_normal() || number <= 0.0 {
        return number.ln();
    }
    let (mut fraction, mut exponent) = split(number);
    if fraction < FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let s = f / (2.0 + f);
    let squared = s * s;
    let fourth = squared * squared;
    let [even_1, even_2, even_3] = LN_EVEN;
    let [odd_1, odd_2, odd_3, odd_4] = LN_ODD;
    let odd = squared * (odd_1 + fourth * (odd_2 + fourth * (odd_3 + fourth * odd_4)));
    let even = fourth * (even_1 + fourth * (even_2 + fourth * even_3));
    let half = 0.5 * f * f;
    let exponent = f64::from(exponent);
    exponent * LN_2.0 - ((half - (s * (half + (odd + even)) + exponent * LN_2.1)) - f)
}

/// A power: the whole part of the exponent by repeated squaring, what is left by logarithms.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    let is_special = !base.is_normal()
        || !exponent.is_normal()
        || base == 1.0
        || exponent.abs() >= 2_f64.powi(62)
        || base < 0.0 && exponent.fract() != 0.0;
    if is_special {
        return base.powf(exponent);
    }
    if exponent.abs() == 0.5 {
        let root = base.sqrt();
        return if exponent > 0.0 { root } else { 1.0 / root };
    }
    let (mut whole, mut part) = (exponent.abs().trunc(), exponent.abs().fract());
    let mut result = 1.0;
    if part != 0.0 {
        if part > 0.5 {
            part -= 1.0;
            whole += 1.0;
        }
        result = (part * ln(base)).exp();
    }
    let mut result_exponent = 0_i32;
    let (mut square, mut square_exponent) = split(base);
    // Below 2^62, as checked above.
    let mut bits = whole as u64;
    while bits != 0 {
        if square_exponent.abs() > 1 << 12 {
            // Beyond what a float can hold.
            result_exponent = result_exponent.saturating_add(square_exponent);
            break;
        }
        if bits & 1 == 1 {
            result *= square;
            result_exponent += square_exponent;
        }
        square *= square;
        square_exponent *= 2;
        if square.abs() < 0.5 {
            square *= 2.0;
            square_exponent -= 1;
        }
        bits >>= 1;
    }
    if exponent < 0.0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    scaled(result, result_exponent)
}

/// A normal number as a fraction from 0.5 to 1 and an exponent of two.
fn split(number: f64) -> (f64, i32) {
    let bits = number.to_bits();
    // Eleven bits.
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | 0x3fe << 52);
    (fraction, biased - 0x3fe)
}

/// `number * 2^exponent`, in steps that are exact until the last one.
fn scaled(number: f64, exponent: i32) -> f64 {
    let mut number = number;
    let mut left = exponent.clamp(-4000, 4000);
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        number *= 2_f64.powi(step);
        left -= step;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::SQRT_2;

    #[test]
    fn numbers_are_split_and_put_together() {
        for number in [1.0, 0.75, 3.5, 1e300, -2.0, f64::MIN_POSITIVE, SQRT_2] {
            let (fraction, exponent) = split(number);
            assert!((0.5..1.0).contains(&fraction.abs()), "{number}");
            assert_eq!(scaled(fraction, exponent), number);
        }
    }

    #[test]
    fn they_are_near_those_of_the_system() {
        for base in [0.001, 0.5, 1.5, 2.0, 3.0, 10.0, 1e20, 1e-15] {
            assert!((ln(base) - f64::ln(base)).abs() <= f64::ln(base).abs() * 1e-15);
            for exponent in [-3.0, -0.5, -0.25, 0.0, 0.3, 0.7, 1.0, 2.0, 7.5, 15.0] {
                let (ours, theirs) = (power(base, exponent), base.powf(exponent));
                assert!(
                    (ours - theirs).abs() <= theirs.abs() * 1e-13,
                    "{base} {exponent}"
                );
            }
        }
        assert_eq!(power(-2.0, 3.0), -8.0);
        assert!(power(10.0, 400.0).is_infinite());
        assert_eq!(power(10.0, -400.0), 0.0);
        assert!(power(1.5, 1e15).is_infinite());
        assert_eq!(power(0.5, 1e15), 0.0);
        assert!(power(-1.0, 0.5).is_nan() && ln(-1.0).is_nan());
    }
}
