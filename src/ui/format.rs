//! Sizes, durations and ages in words: pure functions.

use std::time::Duration;

/// Bytes in decimal units, as Docker shows them: `0B`, `1.21kB`, `70.8MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS[unit];
    match (unit, value) {
        (0, _) => format!("{count}B"),
        (_, value) if value < 9.995 => format!("{value:.2}{name}"),
        (_, value) if value < 99.95 => format!("{value:.1}{name}"),
        (_, value) => format!("{value:.0}{name}"),
    }
}

/// A duration: `0.04s`, `12.4s`, `3m05s`, `1h02m`.
pub fn duration(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

/// Seconds as a duration.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match seconds {
        seconds if seconds < 9.995 => format!("{seconds:.2}s"),
        seconds if seconds < 59.95 => format!("{seconds:.1}s"),
        _ if whole < 3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// How long ago `then` was: `just now`, `5 minutes ago`, `3 days ago`.
pub fn age(now: jiff::Timestamp, then: jiff::Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    let steps = [
        (60, 1, ""),
        (3600, 60, "minute"),
        (86_400, 3600, "hour"),
        (86_400 * 14, 86_400, "day"),
        (86_400 * 60, 86_400 * 7, "week"),
        (86_400 * 365 * 2, 86_400 * 30, "month"),
        (i64::MAX, 86_400 * 365, "year"),
    ];
    for (below, unit, name) in steps {
        if seconds < below {
            let count = seconds / unit;
            return match (name, count) {
                ("", _) => "just now".to_owned(),
                (name, 1) => format!("1 {name} ago"),
                (name, count) => format!("{count} {name}s ago"),
            };
        }
    }
    "long ago".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.00kB"),
            (1210, "1.21kB"),
            (70_830_000, "70.8MB"),
            (198_000_000, "198MB"),
            (999_600, "1.00MB"),
            (u64::MAX, "18447PB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn durations() {
        for (value, expected) in [
            (0.0, "0.00s"),
            (0.043, "0.04s"),
            (12.44, "12.4s"),
            (59.97, "1m00s"),
            (185.0, "3m05s"),
            (3720.0, "1h02m"),
        ] {
            assert_eq!(seconds(value), expected);
        }
    }

    #[test]
    fn ages() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        for (seconds, expected) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (86_400 * 21, "3 weeks ago"),
            (86_400 * 400, "13 months ago"),
            (86_400 * 365 * 3, "3 years ago"),
        ] {
            assert_eq!(
                age(at(1_000_000_000), at(1_000_000_000 - seconds)),
                expected
            );
        }
    }
}
