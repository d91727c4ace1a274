//! Amounts as people type them: sizes and ages.

use crate::format::split_number;
use std::time::Duration;

pub use crate::format::parse_bytes as size;

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
        let (number, after) = split_number(rest).ok_or_else(wrong)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
