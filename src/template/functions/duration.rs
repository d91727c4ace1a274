//! Durations in Go's syntax: `1h30m`, `-1.5h`, `300ms`.

use jiff::SignedDuration;

/// The units, longest name first where one begins with another.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration. As in Go it must fit into 64 bits of nanoseconds, about 292 years.
///
/// # Errors
/// Says what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("invalid duration {text:?}, expected one like \"1h30m\"");
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after
            .find(|letter: char| letter == '.' || letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit_name, after) = after.split_at(end);
        if unit_name.is_empty() {
            return Err(format!("missing unit in duration {text:?}"));
        }
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == unit_name) else {
            return Err(format!("unknown unit {unit_name:?} in duration {text:?}"));
        };
        // More digits than these are below a nanosecond of an hour.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let part = number(whole)
            .and_then(|whole| whole.checked_mul(*unit))
            .zip(number(fraction))
            .and_then(|(whole, digits)| {
                let places = u32::try_from(fraction.len()).ok()?;
                whole.checked_add(digits.checked_mul(*unit)? / 10_i128.checked_pow(places)?)
            });
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= i128::from(i64::MAX))
            .ok_or_else(invalid)?;
        rest = after;
    }
    let total = i64::try_from(total).map_err(|_| invalid())?;
    Ok(SignedDuration::from_nanos(if is_negative {
        -total
    } else {
        total
    }))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn number(digits: &str) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse().ok()
}
