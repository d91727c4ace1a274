//! Numbers as people read and write them: sizes, durations, ages.
//!
//! Every size and time that hardtack prints for people goes through here; JSON has plain numbers.

use jiff::Timestamp;

/// Formats a size in decimal units with one digit after the point, as Docker counts: `45.2 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // In tenths of the unit, so that what rounds up to 1000 moves on to the next unit.
    let mut divisor: u128 = 100;
    let mut shown = String::new();
    for unit in UNITS {
        let tenths = (u128::from(bytes) + divisor / 2) / divisor;
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        if tenths < 10_000 {
            break;
        }
        divisor *= 1000;
    }
    shown
}

/// Formats a time span given in seconds: `20ms`, `12.4s`, `3m05s`, `1h02m`.
///
/// What is not a positive number counts as zero.
pub fn duration(seconds: f64) -> String {
    // `as` saturates, and turns what is not a number into zero.
    let milliseconds = (seconds * 1000.0).round() as u64;
    if milliseconds < 100 {
        return format!("{milliseconds}ms");
    }
    let tenths = milliseconds.saturating_add(50) / 100;
    if tenths < 600 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let seconds = milliseconds.saturating_add(500) / 1000;
    if seconds < 3600 {
        return format!("{}m{:02}s", seconds / 60, seconds % 60);
    }
    let minutes = seconds.saturating_add(30) / 60;
    format!("{}h{:02}m", minutes / 60, minutes % 60)
}

/// Formats how long before `now` something happened: `just now`, `1 minute ago`, `3 days ago`.
///
/// Times after `now`, which other machines' clocks produce, read `just now`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let seconds = now.as_second().saturating_sub(then.as_second());
    for (unit, name) in UNITS {
        let count = seconds / unit;
        if count == 1 {
            return format!("1 {name} ago");
        }
        if count > 1 {
            return format!("{count} {name}s ago");
        }
    }
    "just now".to_owned()
}

/// Formats a count of things: `1 step`, `3 steps`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Reads a size: `500MB`, `20GB`, `1.5GiB`, or a number of bytes. Decimal units count as Docker's.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like 500MB, 20GB or 4GiB");
    let (number, unit) = split_number(text.trim()).ok_or_else(wrong)?;
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

/// Takes a decimal number off the beginning of a text.
pub fn split_number(text: &str) -> Option<(f64, &str)> {
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
            assert_eq!(parse_bytes(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_decimal() {
        for (input, expected) in [
            (0, "0 B"),
            (1, "1 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1049, "1.0 kB"),
            (1050, "1.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (45_230_000, "45.2 MB"),
            (1_234_567_890, "1.2 GB"),
            (999_999_999_999, "1.0 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(input), expected, "{input}");
        }
    }

    #[test]
    fn durations_keep_two_or_three_digits() {
        for (input, expected) in [
            (0.0, "0ms"),
            (0.0204, "20ms"),
            (0.0994, "99ms"),
            (0.0996, "0.1s"),
            (0.3, "0.3s"),
            (12.44, "12.4s"),
            (59.94, "59.9s"),
            (59.96, "1m00s"),
            (185.0, "3m05s"),
            (3599.4, "59m59s"),
            (3599.6, "1h00m"),
            (3725.0, "1h02m"),
            (360_000.0, "100h00m"),
            (-1.0, "0ms"),
            (f64::NAN, "0ms"),
        ] {
            assert_eq!(duration(input), expected, "{input}");
        }
        assert!(duration(f64::INFINITY).ends_with('m'));
    }

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_second(2_000_000_000).expect("within range");
        for (seconds, expected) in [
            (-100, "just now"),
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (3 * 86_400, "3 days ago"),
            (8 * 86_400, "1 week ago"),
            (59 * 86_400, "1 month ago"),
            (800 * 86_400, "2 years ago"),
            (2_000_000_000, "63 years ago"),
        ] {
            let then = Timestamp::from_second(2_000_000_000 - seconds).expect("within range");
            assert_eq!(age(then, now), expected, "{seconds}");
        }
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!(count(1, "build"), "1 build");
        assert_eq!(count(0, "build"), "0 builds");
    }
}
