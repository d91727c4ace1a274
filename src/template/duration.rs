//! Durations as Go writes them: `1h2m3.5s`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration; write it like \"90s\", \"5m\" or \"1h30m\"")]
pub struct DurationError {
    text: String,
}

/// Reads a duration: numbers, each with a unit of `ns`, `us`, `ms`, `s`, `m` or `h`; or `0`.
/// Negative durations are refused.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    sum(text).ok_or_else(|| DurationError { text: text.to_owned() })
}

fn sum(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_length = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, after) = rest.split_at_checked(number_length)?;
        let unit_length =
            after.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_length)?;
        total = total.checked_add(scaled(number, nanoseconds(unit)?)?)?;
        rest = after;
    }
    // Go's durations end here, at about 292 years.
    (total.as_nanos() <= i64::MAX as u128).then_some(total)
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A decimal number of units, cut to whole nanoseconds.
fn scaled(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.chars() {
        let digit = u64::from(digit.to_digit(10)?);
        place /= 10;
        nanoseconds = nanoseconds.checked_add(digit.checked_mul(place)?)?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("5m", Some(Duration::from_secs(300))),
            ("1h2m3.5s", Some(Duration::from_millis(3_723_500))),
            ("1.5h", Some(Duration::from_secs(5400))),
            (".5s", Some(Duration::from_millis(500))),
            ("100\u{b5}s", Some(Duration::from_micros(100))),
            ("1ns", Some(Duration::from_nanos(1))),
            ("", None),
            ("5", None),
            ("5 m", None),
            ("-5m", None),
            ("5x", None),
            (".s", None),
            ("1.2.3s", None),
            ("s", None),
            ("9999999h", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
