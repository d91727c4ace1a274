//! Functions on time: `formatdate`, `legacy_isotime`, `legacy_strftime`, `rfc3339_parse`,
//! `timeadd`, `timestamp`, `unix_timestamp_parse`.
//!
//! The current time is the run's: it comes from the context and stays the same.

use super::signature::{Arguments, Function, Kind, Parameter};
use super::timestamp_text::OffsetTime;
use super::{FunctionContext, FunctionError, go_layout};
use crate::template::duration;
use crate::template::value::{Number, Value};
use jiff::{SignedDuration, Timestamp};

const FORMAT: Parameter = Parameter::new("format", Kind::String);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("formatdate", Kind::String, formatdate)
        .parameters(&[FORMAT, Parameter::new("time", Kind::String)]),
    Function::new("legacy_isotime", Kind::String, legacy_isotime)
        .variadic(FORMAT)
        .changes_each_run(),
    Function::new("legacy_strftime", Kind::String, legacy_strftime)
        .variadic(FORMAT)
        .changes_each_run(),
    Function::new("rfc3339_parse", Kind::Anything, rfc3339_parse)
        .parameters(&[Parameter::new("timestamp", Kind::String)]),
    Function::new("timeadd", Kind::String, timeadd).parameters(&[
        Parameter::new("timestamp", Kind::String),
        Parameter::new("duration", Kind::String),
    ]),
    Function::new("timestamp", Kind::String, timestamp).changes_each_run(),
    Function::new("unix_timestamp_parse", Kind::Anything, unix_timestamp_parse)
        .parameters(&[Parameter::new("unix_timestamp", Kind::Number)]),
];

type Outcome = Result<Value, FunctionError>;

fn timestamp(_arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    told(OffsetTime::utc(context.now))
}

fn told(time: OffsetTime) -> Outcome {
    time.text()
        .map(Value::string)
        .ok_or_else(|| FunctionError::new("the time is not within the years 0 to 9999"))
}

fn timeadd(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let time = time_argument(arguments, 0)?;
    time.plus(duration_argument(arguments, 1)?).map_or_else(
        || {
            Err(FunctionError::new(
                "the time is not within the years 0 to 9999",
            ))
        },
        told,
    )
}

fn duration_argument(
    arguments: &Arguments<'_>,
    index: usize,
) -> Result<SignedDuration, FunctionError> {
    let text = arguments.string(index)?;
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) if !unsigned.starts_with('+') => (true, unsigned),
        _ => (false, text),
    };
    let duration = duration::parse(unsigned)
        .ok()
        .and_then(|duration| SignedDuration::try_from(duration).ok())
        .ok_or_else(|| {
            FunctionError::at(
                index,
                format!("{text:?} is no duration; write it like \"90s\", \"-5m\" or \"1h30m\""),
            )
        })?;
    Ok(if is_negative { -duration } else { duration })
}

fn time_argument(arguments: &Arguments<'_>, index: usize) -> Result<OffsetTime, FunctionError> {
    OffsetTime::parse(arguments.string(index)?, 'T').map_err(|problem| {
        FunctionError::at(index, format!("not a valid RFC3339 timestamp: {problem}"))
    })
}

fn legacy_isotime(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    legacy(arguments, context, go_layout::by_example)
}

fn legacy_strftime(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    legacy(arguments, context, go_layout::by_conversions)
}

fn legacy(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
    tell: fn(&str, OffsetTime) -> String,
) -> Outcome {
    let now = OffsetTime::utc(context.now);
    match arguments.len() {
        0 => told(now),
        1 => Ok(Value::string(tell(arguments.string(0)?, now))),
        given => Err(FunctionError::new(format!(
            "too many values, 1 needed: {given} given"
        ))),
    }
}

fn rfc3339_parse(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let text = arguments.string(0)?;
    let time = OffsetTime::parse(text, 'T')
        .or_else(|_| OffsetTime::parse(text, ' '))
        .map_err(|_| FunctionError::at(0, format!("{text:?} is not a valid RFC3339 timestamp")))?;
    Ok(taken_apart(time, "unix", number(time.unix_seconds())))
}

fn unix_timestamp_parse(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let seconds = arguments.whole_number(0)?;
    let time = Timestamp::from_second(seconds)
        .map(OffsetTime::utc)
        .map_err(|_| FunctionError::at(0, "the time is not within the years 0 to 9999"))?;
    Ok(taken_apart(time, "rfc3339", told(time)?))
}

/// The parts of a time, and the same time in another form.
fn taken_apart(time: OffsetTime, other_form: &str, other: Value) -> Value {
    let (date, clock) = (time.local.date(), time.local.time());
    let week = date.iso_week_date();
    Value::object([
        ("day", number(date.day())),
        ("hour", number(clock.hour())),
        ("iso_week", number(week.week())),
        ("iso_year", number(week.year())),
        ("minute", number(clock.minute())),
        ("month", number(date.month())),
        ("month_name", go_layout::month_name(date.month()).into()),
        ("second", number(clock.second())),
        ("weekday", number(date.weekday().to_sunday_zero_offset())),
        (
            "weekday_name",
            go_layout::weekday_name(date.weekday()).into(),
        ),
        ("year", number(date.year())),
        ("year_day", number(date.day_of_year())),
        (other_form, other),
    ])
}

fn number(number: impl Into<i64>) -> Value {
    Value::Number(Number::from(number.into()))
}

fn formatdate(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let time = time_argument(arguments, 1)?;
    let mut text = String::new();
    let mut rest = arguments.string(0)?;
    while let Some(letter) = rest.chars().next() {
        let length = if letter == '\'' {
            let length = quoted_length(rest);
            push_quoted(rest.get(..length).unwrap_or_default(), &mut text)?;
            length
        } else if letter.is_ascii_alphabetic() {
            let count = rest.chars().take_while(|next| *next == letter).count();
            text.push_str(&date_part(letter, count, time)?);
            count
        } else {
            text.push(letter);
            letter.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(Value::string(text))
}

/// How long the quoted text at the start is; a doubled quote within it does not end it.
fn quoted_length(text: &str) -> usize {
    if text.starts_with("''") {
        return 2;
    }
    let mut quotes = text.bytes().enumerate().skip(1).peekable();
    while let Some((position, byte)) = quotes.next() {
        if byte != b'\'' {
            continue;
        }
        if quotes.next_if(|(_, next)| *next == b'\'').is_none() {
            return position + 1;
        }
    }
    text.len()
}

fn push_quoted(quoted: &str, text: &mut String) -> Result<(), FunctionError> {
    let inner = quoted
        .strip_prefix('\'')
        .and_then(|quoted| quoted.strip_suffix('\''))
        .ok_or_else(|| FunctionError::at(0, "unterminated literal '"))?;
    if inner.is_empty() {
        text.push('\'');
    } else {
        text.push_str(&inner.replace("''", "'"));
    }
    Ok(())
}

/// What `count` times the same letter tells of a time.
fn date_part(letter: char, count: usize, time: OffsetTime) -> Result<String, FunctionError> {
    let (date, clock) = (time.local.date(), time.local.time());
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    let one_or_two = |number: i8, expected: &str| match count {
        1 => Ok(number.to_string()),
        2 => Ok(format!("{number:02}")),
        _ => Err(expected.to_owned()),
    };
    let told = match letter {
        'Y' => match count {
            2 => Ok(format!("{:02}", date.year() % 100)),
            4 => Ok(format!("{:04}", date.year())),
            _ => Err("year must either be \"YY\" or \"YYYY\"".to_owned()),
        },
        'M' => match count {
            3 => Ok(short(go_layout::month_name(date.month()))),
            4 => Ok(go_layout::month_name(date.month()).to_owned()),
            _ => one_or_two(
                date.month(),
                "month must be \"M\", \"MM\", \"MMM\", or \"MMMM\"",
            ),
        },
        'D' => one_or_two(date.day(), "day of month must either be \"D\" or \"DD\""),
        'E' => match count {
            3 => Ok(short(go_layout::weekday_name(date.weekday()))),
            4 => Ok(go_layout::weekday_name(date.weekday()).to_owned()),
            _ => Err("day of week must either be \"EEE\" or \"EEEE\"".to_owned()),
        },
        'h' => one_or_two(clock.hour(), "24-hour must either be \"h\" or \"hh\""),
        'H' => one_or_two(
            (clock.hour() + 11) % 12 + 1,
            "12-hour must either be \"H\" or \"HH\"",
        ),
        'A' | 'a' if count != 2 => Err(format!("must be \"{letter}{letter}\"")),
        'A' => Ok(if clock.hour() < 12 { "AM" } else { "PM" }.to_owned()),
        'a' => Ok(if clock.hour() < 12 { "am" } else { "pm" }.to_owned()),
        'm' => one_or_two(clock.minute(), "minute must either be \"m\" or \"mm\""),
        's' => one_or_two(clock.second(), "second must either be \"s\" or \"ss\""),
        'Z' => match count {
            1 => Ok(time.zone(":", true)),
            3 if time.offset == 0 => Ok("UTC".to_owned()),
            3 | 4 => Ok(time.zone("", false)),
            5 => Ok(time.zone(":", false)),
            _ => Err("timezone must be Z, ZZZZ, or ZZZZZ".to_owned()),
        },
        _ => Err(String::new()),
    };
    told.map_err(|expected| {
        let verb: String = std::iter::repeat_n(letter, count.min(20)).collect();
        let colon = if expected.is_empty() { "" } else { ": " };
        FunctionError::at(
            0,
            format!("invalid date format verb {verb:?}{colon}{expected}"),
        )
    })
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
formatdate("DD MMM YYYY hh:mm ZZZ", "2018-01-02T23:12:01Z") = "02 Jan 2018 23:12 UTC"
formatdate("EEEE, DD-MMM-YY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z") = "Tuesday, 02-Jan-18 23:12:01 UTC"
formatdate("EEE, DD MMM YYYY hh:mm:ss ZZZ", "2018-01-02T23:12:01-08:00") = "Tue, 02 Jan 2018 23:12:01 -0800"
formatdate("MMM DD, YYYY", "2018-01-02T23:12:01Z") = "Jan 02, 2018"
formatdate("HH:mmaa H AA", "2018-01-02T23:12:01Z") = "11:12pm 11 PM"
formatdate("H aa", "2018-01-02T00:12:01Z") = "12 am"
formatdate("H aa", "2018-01-02T12:12:01Z") = "12 pm"
formatdate("M MM MMMM D h m s", "2018-03-02T01:02:03Z") = "3 03 March 2 1 2 3"
formatdate("Z ZZZ ZZZZ ZZZZZ", "2018-01-02T23:12:01Z") = "Z UTC +0000 +00:00"
formatdate("Z ZZZ ZZZZ ZZZZZ", "2018-01-02T23:12:01+05:30") = "+05:30 +0530 +0530 +05:30"
formatdate("h 'o''clock' ''", "2018-01-02T23:12:01Z") = "23 o'clock '"
formatdate("'x", "2018-01-02T23:12:01Z") = error: unterminated literal '
formatdate("'", "2018-01-02T23:12:01Z") = error: unterminated literal '
formatdate("'''", "2018-01-02T23:12:01Z") = error: unterminated literal '
formatdate("é–1!", "2018-01-02T23:12:01Z") = "é–1!"
formatdate("", "2018-01-02T23:12:01Z") = ""
formatdate("YYY", "2018-01-02T23:12:01Z") = error: invalid value for "format" parameter: invalid date format verb "YYY": year must either be "YY" or "YYYY"
formatdate("x", "2018-01-02T23:12:01Z") = error: invalid date format verb "x"
formatdate("ZZ", "2018-01-02T23:12:01Z") = error: timezone must be
formatdate("A", "2018-01-02T23:12:01Z") = error: must be "AA"
formatdate("YYYY", "2018-01-02") = error: not a valid RFC3339 timestamp
formatdate("YYYY", "2018-02-30T23:12:01Z") = error: not a valid RFC3339 timestamp
formatdate("YYYY", "2018-01-02 23:12:01Z") = error: not a valid RFC3339 timestamp: missing required time introducer 'T'
formatdate("YYYY", "2018-01-02T24:12:01Z") = error: not a valid RFC3339 timestamp
formatdate("YYYY", "2018-01-02T23:12:01") = error: not a valid RFC3339 timestamp
formatdate("YYYY", "2018-01-02T23:12:01ZZ") = error: not a valid RFC3339 timestamp
formatdate("YYYY", "") = error: not a valid RFC3339 timestamp
formatdate("ss", "2018-01-02T23:12:01.5Z") = "01"
timeadd("2017-11-22T00:00:00Z", "10m") = "2017-11-22T00:10:00Z"
timeadd("2017-11-22T00:00:00Z", "-1h30m") = "2017-11-21T22:30:00Z"
timeadd("2017-11-22T00:00:00+01:00", "1.5h") = "2017-11-22T01:30:00+01:00"
timeadd("2017-11-22T00:00:00Z", "0") = "2017-11-22T00:00:00Z"
timeadd("2017-11-22T00:00:00Z", "-+1h") = error: is no duration
timeadd("2017-11-22T00:00:00Z", "2000000µs") = "2017-11-22T00:00:02Z"
timeadd("2017-11-22T00:00:00Z", "1500ms") = "2017-11-22T00:00:01Z"
timeadd("2016-02-28T23:59:59Z", "1s") = "2016-02-29T00:00:00Z"
timeadd("2017-11-22T00:00:00Z", "1d") = error: is no duration
timeadd("2017-11-22T00:00:00Z", "10") = error: is no duration
timeadd("2017-11-22T00:00:00Z", "") = error: is no duration
timeadd("2017-11-22T00:00:00Z", "9999999999h") = error: is no duration
timeadd("9999-12-31T23:59:59Z", "1s") = ~ error: within the years
timeadd("0000-01-01T00:00:00Z", "-1s") = ~ error: within the years
timeadd("x", "1s") = error: not a valid RFC3339 timestamp
timestamp() = "2018-01-02T23:12:01Z"
legacy_isotime() = "2018-01-02T23:12:01Z"
legacy_isotime("Jan 2, 2006") = "Jan 2, 2018"
legacy_isotime("a", "b") = error: too many values, 1 needed
legacy_strftime("%Y-%m-%d") = "2018-01-02"
rfc3339_parse("2023-07-25T23:43:16-08:00") = {"day":25,"hour":23,"iso_week":30,"iso_year":2023,"minute":43,"month":7,"month_name":"July","second":16,"unix":1690357396,"weekday":2,"weekday_name":"Tuesday","year":2023,"year_day":206}
rfc3339_parse("2023-07-25 23:43:16.5Z") = {"day":25,"hour":23,"iso_week":30,"iso_year":2023,"minute":43,"month":7,"month_name":"July","second":16,"unix":1690328596,"weekday":2,"weekday_name":"Tuesday","year":2023,"year_day":206}
rfc3339_parse("2023-07-25") = error: "2023-07-25" is not a valid RFC3339 timestamp
unix_timestamp_parse(1690328596) = {"day":25,"hour":23,"iso_week":30,"iso_year":2023,"minute":43,"month":7,"month_name":"July","rfc3339":"2023-07-25T23:43:16Z","second":16,"weekday":2,"weekday_name":"Tuesday","year":2023,"year_day":206}
unix_timestamp_parse(-1) = {"day":31,"hour":23,"iso_week":1,"iso_year":1970,"minute":59,"month":12,"month_name":"December","rfc3339":"1969-12-31T23:59:59Z","second":59,"weekday":3,"weekday_name":"Wednesday","year":1969,"year_day":365}
unix_timestamp_parse(1e15) = ~ error: 
unix_timestamp_parse(0.5) = error: whole number
"#;
}
