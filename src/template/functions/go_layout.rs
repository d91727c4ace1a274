//! Times by example, as Go writes them: the layout `2006-01-02` shows how to tell a date; and the
//! `%Y-%m-%d` of C on top of it. For the two legacy functions, which tell UTC only.

use super::timestamp_text::OffsetTime;
use jiff::civil::Weekday;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The English name of a month, counted from 1.
pub(super) fn month_name(month: i8) -> &'static str {
    let index = usize::try_from(month).unwrap_or_default().wrapping_sub(1);
    MONTHS.get(index).copied().unwrap_or_default()
}

/// The English name of a day of the week.
pub(super) fn weekday_name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// Tells a time by a layout of Go.
pub(super) fn by_example(layout: &str, time: OffsetTime) -> String {
    let mut text = String::new();
    let mut rest = layout;
    while let Some(letter) = rest.chars().next() {
        if let Some((length, told)) = element(rest, time) {
            text.push_str(&told);
            rest = rest.get(length..).unwrap_or_default();
        } else {
            text.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    text
}

/// Tells a time by conversions like `%Y`; an unknown one stays as it is.
pub(super) fn by_conversions(format: &str, time: OffsetTime) -> String {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let Some(conversion) = letters.next() else {
            text.push('%');
            break;
        };
        let layout = match conversion {
            'B' => "January",
            'b' => "Jan",
            'm' => "01",
            'A' => "Monday",
            'a' => "Mon",
            'd' => "02",
            'H' => "15",
            'I' => "03",
            'M' => "04",
            'S' => "05",
            'Y' => "2006",
            'y' => "06",
            'p' => "PM",
            'Z' => "MST",
            'z' => "-0700",
            'L' => ".000",
            '%' => "%",
            other => {
                text.push('%');
                text.push(other);
                continue;
            }
        };
        text.push_str(&by_example(layout, time));
    }
    text
}

/// The element at the start of a layout: how long it is, and what it tells.
fn element(layout: &str, time: OffsetTime) -> Option<(usize, String)> {
    let (date, clock) = (time.local.date(), time.local.time());
    let (hour, half) = (clock.hour(), (clock.hour() + 11) % 12 + 1);
    let follows_lower = |length: usize| {
        let next = layout.as_bytes().get(length);
        next.is_some_and(u8::is_ascii_lowercase)
    };
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    // Longer ones come before those they begin with.
    let candidates: &[(&str, &dyn Fn() -> String)] = &[
        ("January", &|| month_name(date.month()).to_owned()),
        ("Jan", &|| short(month_name(date.month()))),
        ("Monday", &|| weekday_name(date.weekday()).to_owned()),
        ("Mon", &|| short(weekday_name(date.weekday()))),
        ("MST", &|| "UTC".to_owned()),
        ("002", &|| format!("{:03}", date.day_of_year())),
        ("01", &|| format!("{:02}", date.month())),
        ("02", &|| format!("{:02}", date.day())),
        ("03", &|| format!("{half:02}")),
        ("04", &|| format!("{:02}", clock.minute())),
        ("05", &|| format!("{:02}", clock.second())),
        ("06", &|| format!("{:02}", date.year().rem_euclid(100))),
        ("15", &|| format!("{hour:02}")),
        ("1", &|| date.month().to_string()),
        ("2006", &|| format!("{:04}", date.year())),
        ("2", &|| date.day().to_string()),
        ("_2006", &|| format!("_{:04}", date.year())),
        ("__2", &|| format!("{:3}", date.day_of_year())),
        ("_2", &|| format!("{:2}", date.day())),
        ("3", &|| half.to_string()),
        ("4", &|| clock.minute().to_string()),
        ("5", &|| clock.second().to_string()),
        ("PM", &|| if hour < 12 { "AM" } else { "PM" }.to_owned()),
        ("pm", &|| if hour < 12 { "am" } else { "pm" }.to_owned()),
        ("-070000", &|| "+000000".to_owned()),
        ("-07:00:00", &|| "+00:00:00".to_owned()),
        ("-0700", &|| "+0000".to_owned()),
        ("-07:00", &|| "+00:00".to_owned()),
        ("-07", &|| "+00".to_owned()),
        ("Z070000", &|| "Z".to_owned()),
        ("Z07:00:00", &|| "Z".to_owned()),
        ("Z0700", &|| "Z".to_owned()),
        ("Z07:00", &|| "Z".to_owned()),
        ("Z07", &|| "Z".to_owned()),
    ];
    let found = candidates.iter().find(|(example, _)| {
        let is_short_name = matches!(*example, "Jan" | "Mon");
        layout.starts_with(example) && !(is_short_name && follows_lower(3))
    });
    match found {
        Some((example, tell)) => Some((example.len(), tell())),
        None => fraction(layout, clock.subsec_nanosecond()),
    }
}

/// `.000` tells that many digits of the second, `.999` does without trailing zeros.
fn fraction(layout: &str, nanoseconds: i32) -> Option<(usize, String)> {
    let mut bytes = layout.bytes();
    let separator = bytes.next().filter(|byte| matches!(byte, b'.' | b','))?;
    let digit = bytes.next().filter(|byte| matches!(byte, b'0' | b'9'))?;
    let count = layout
        .bytes()
        .skip(1)
        .take_while(|byte| *byte == digit)
        .count();
    let next = layout.as_bytes().get(count + 1);
    if next.is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let nine = format!("{nanoseconds:09}");
    let mut digits: String = nine
        .chars()
        .chain(std::iter::repeat('0'))
        .take(count)
        .collect();
    if digit == b'9' {
        digits.truncate(digits.trim_end_matches('0').len());
        if digits.is_empty() {
            return Some((count + 1, String::new()));
        }
    }
    Some((count + 1, format!("{}{digits}", char::from(separator))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> OffsetTime {
        OffsetTime::parse("2006-02-05T04:05:06.070Z", 'T').unwrap()
    }

    #[test]
    fn layouts_of_go() {
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2006-02-05T04:05:06Z"),
            (
                "Mon Jan _2 15:04:05 MST 2006",
                "Sun Feb  5 04:05:06 UTC 2006",
            ),
            (
                "Monday, January 2 06 3:4:5PM",
                "Sunday, February 5 06 4:5:6AM",
            ),
            (
                "002 __2 03pm -0700 -07:00 -07",
                "036  36 04am +0000 +00:00 +00",
            ),
            ("15:04:05.000 .999 ,00 .0001", "04:05:06.070 .07 ,07 .0002"),
            ("_2006 Janet Jan. Mondays", "_2006 Janet Feb. Sundays"),
            ("20060102", "20060205"),
            ("é1", "é2"),
            ("", ""),
        ] {
            assert_eq!(by_example(layout, time()), expected, "{layout:?}");
        }
    }

    #[test]
    fn conversions_of_c() {
        for (format, expected) in [
            ("%Y-%m-%dT%H:%M:%S%z", "2006-02-05T04:05:06+0000"),
            (
                "%A %a %B %b %I %p %y %Z%L",
                "Sunday Sun February Feb 04 AM 06 UTC.070",
            ),
            ("100%% %q %", "100% %q %"),
            ("2006 %é", "2006 %é"),
        ] {
            assert_eq!(by_conversions(format, time()), expected, "{format:?}");
        }
    }
}
