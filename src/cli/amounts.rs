//! Amounts as people type them: sizes and ages.

use std::time::Duration;

/// Reads a size: `500MB`, `20GB`, `1.5GiB`, or a number of bytes. Decimal units count as Docker's.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like 500MB, 20GB or 4GiB");
    let (number, unit) = split(text.trim()).ok_or_else(wrong)?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let bytes = number * unit as f64;
    // A petabyte, a thousand times.
    (bytes <= 1e18).then_some(bytes as u64).ok_or_else(wrong)
}

/// Reads a size that something may have; an empty text, as that of a variable which is set to
/// nothing, is no limit.
pub fn limit(text: &str) -> Result<u64, String> {
    match text {
        "" => Ok(u64::MAX),
        text => size(text),
    }
}

/// Reads an age: `30m`, `12h`, `7d`, `2w`, `1d12h`.
pub fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no age; write it like 30m, 12h, 7d or 2w");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest).ok_or_else(wrong)?;
        let mut letters = after.chars();
        let unit = match letters.next() {
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3_600.0,
            Some('d') => 86_400.0,
            Some('w') => 604_800.0,
            _ => return Err(wrong()),
        };
        seconds += number * unit;
        rest = letters.as_str();
    }
    // A thousand years.
    if seconds > 3.2e10 {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Takes a decimal number off the beginning of a text.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("123", Some(123)),
            ("500MB", Some(500_000_000)),
            ("20 GB", Some(20_000_000_000)),
            ("1.5gib", Some(1_610_612_736)),
            ("2k", Some(2_000)),
            ("", None),
            ("GB", None),
            ("-1", None),
            ("1..2k", None),
            ("10 apples", None),
            ("99999999TB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn no_limit() {
        assert_eq!(limit(""), Ok(u64::MAX));
        assert_eq!(limit("1kB"), Ok(1000));
        assert!(limit(" ").is_err());
    }

    #[test]
    fn ages() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("1w1d12h", Some(734_400)),
            ("1.5d", Some(129_600)),
            ("", None),
            ("7", None),
            ("d", None),
            ("7y", None),
            ("-7d", None),
            ("99999999w", None),
        ] {
            assert_eq!(
                age(text).ok(),
                expected.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }
}
