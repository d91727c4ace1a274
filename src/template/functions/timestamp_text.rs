//! Timestamps as text (RFC 3339, section 5.6), read strictly and kept with their offset.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// A point in time and the offset from UTC in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetTime {
    pub(super) local: DateTime,
    /// Seconds to the east of UTC.
    pub(super) offset: i32,
}

impl OffsetTime {
    /// A point in time, told in UTC.
    pub(super) fn utc(timestamp: Timestamp) -> OffsetTime {
        OffsetTime {
            local: Offset::UTC.to_datetime(timestamp),
            offset: 0,
        }
    }

    /// Reads a timestamp whose date and time are parted by `separator`.
    pub(super) fn parse(text: &str, separator: char) -> Result<OffsetTime, &'static str> {
        let mut reader = Reader { rest: text };
        let year = reader
            .digits(4, 9999)
            .ok_or("the year must have four digits")?;
        reader
            .literal('-')
            .ok_or("a \"-\" is missing after the year")?;
        let month = reader.digits(2, 12).ok_or("the month must be 01 to 12")?;
        reader
            .literal('-')
            .ok_or("a \"-\" is missing after the month")?;
        let day = reader.digits(2, 31).ok_or("the day must be 01 to 31")?;
        reader.literal(separator).ok_or(if separator == 'T' {
            "missing required time introducer 'T'"
        } else {
            "a space is missing between date and time"
        })?;
        let hour = reader.digits(2, 23).ok_or("the hour must be 00 to 23")?;
        reader
            .literal(':')
            .ok_or("a \":\" is missing after the hour")?;
        let minute = reader.digits(2, 59).ok_or("the minute must be 00 to 59")?;
        reader
            .literal(':')
            .ok_or("a \":\" is missing after the minute")?;
        let second = reader.digits(2, 59).ok_or("the second must be 00 to 59")?;
        let nanosecond = reader.fraction().ok_or("the fraction has no digits")?;
        let offset = reader
            .offset()
            .ok_or("the UTC offset must be Z or like +01:00")?;
        if !reader.rest.is_empty() {
            return Err("there is extra text at the end");
        }
        let small = |number: i32| i8::try_from(number).unwrap_or_default();
        let local = DateTime::new(
            i16::try_from(year).unwrap_or_default(),
            small(month),
            small(day),
            small(hour),
            small(minute),
            small(second),
            nanosecond,
        );
        Ok(OffsetTime {
            local: local.map_err(|_| "there is no such day")?,
            offset,
        })
    }

    /// The text of this time, in whole seconds; nothing if the year has more than four digits.
    pub(super) fn text(self) -> Option<String> {
        let (date, time) = (self.local.date(), self.local.time());
        if !(0..=9999).contains(&date.year()) {
            return None;
        }
        Some(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.zone(":", true)
        ))
    }

    /// The time `duration` later, in the same offset; nothing if no such time can be told.
    pub(super) fn plus(self, duration: SignedDuration) -> Option<OffsetTime> {
        let local = self.local.checked_add(duration).ok()?;
        Some(OffsetTime {
            local,
            offset: self.offset,
        })
    }

    /// Whole seconds since 1970 in UTC.
    pub(super) fn unix_seconds(self) -> i64 {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        let since = self.local.duration_since(epoch);
        since.as_nanos().div_euclid(1_000_000_000) as i64 - i64::from(self.offset)
    }

    /// The offset as `+hh:mm` with another separator; UTC as `Z` if asked for.
    pub(super) fn zone(self, separator: &str, z_for_utc: bool) -> String {
        if self.offset == 0 && z_for_utc {
            return "Z".to_owned();
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn literal(&mut self, letter: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(letter)?;
        Some(())
    }

    /// Exactly `count` digits that make at most `limit`.
    fn digits(&mut self, count: usize, limit: i32) -> Option<i32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        digits.parse().ok().filter(|number| *number <= limit)
    }

    /// Nanoseconds; digits beyond them are dropped.
    fn fraction(&mut self) -> Option<i32> {
        let Some(fraction) = self.rest.strip_prefix('.') else {
            return Some(0);
        };
        let end = fraction
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(fraction.len());
        let (digits, rest) = fraction.split_at(end);
        self.rest = rest;
        if digits.is_empty() {
            return None;
        }
        let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
        nine.parse().ok()
    }

    fn offset(&mut self) -> Option<i32> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(0);
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = self.rest.get(1..)?;
        let hours = self.digits(2, 23)?;
        self.literal(':')?;
        let minutes = self.digits(2, 59)?;
        Some(sign * (hours * 60 + minutes) * 60)
    }
}
