//! Patterns: regular expressions that texts must match, or must not.

use super::Expected;
use super::expected::Fault;
use crate::template::Arguments;
use crate::template::functions::go_pattern;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Serialize, Serializer};

/// The most memory a compiled pattern may take; bounds repetitions within repetitions.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// How much of a text is quoted in a fault.
const QUOTED: usize = 400;

/// A regular expression in the syntax of the template language, which is Go's. It matches bytes: what
/// a command writes need not be text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    by_line: bool,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern. With `by_line`, `^` and `$` stand for the ends of each line, without it for
    /// those of the whole text, as in Go. The error is a sentence.
    pub fn new(text: &str, by_line: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new(&go_pattern(text))
            .multi_line(by_line)
            .size_limit(MAX_COMPILED_BYTES)
            .build();
        let regex = regex.map_err(|error| {
            let reason = error.to_string();
            // The library draws the place over several lines and tells the reason on the last.
            let reason = reason.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            format!("{text:?} is not a regular expression: {reason}")
        })?;
        Ok(Self {
            text: text.to_owned(),
            by_line,
            regex,
        })
    }

    /// Whether it matches some part of `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.text, self.by_line).serialize(serializer)
    }
}

/// What a text must match, and what it must not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Patterns {
    /// Each must match.
    pub expected: Vec<Expected<Pattern>>,
    /// None may match.
    pub excluded: Vec<Expected<Pattern>>,
}

impl Patterns {
    /// Takes two lists of patterns by the names of their arguments. Patterns that are wrong are
    /// reported.
    pub fn decode(arguments: &Arguments<'_>, expected: &str, excluded: &str) -> Self {
        Self {
            expected: list(arguments, expected),
            excluded: list(arguments, excluded),
        }
    }

    /// Whether nothing is asked of a text.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.excluded.is_empty()
    }

    /// What `text`, named `what`, does not fulfil.
    pub fn faults(&self, what: &str, text: &[u8]) -> Vec<Fault> {
        let missing = self.expected.iter().filter(|it| !it.value.matches(text));
        let missing = missing.map(|it| {
            let expected = format!("something that matches {:?}", it.value.text());
            it.fault(what, expected, quoted(text))
        });
        let present = self.excluded.iter().filter_map(|it| {
            let found = it.value.regex.find(text)?;
            let expected = format!("nothing that matches {:?}", it.value.text());
            Some(it.fault(what, expected, quoted(found.as_bytes())))
        });
        missing.chain(present).collect()
    }
}

fn list(arguments: &Arguments<'_>, name: &str) -> Vec<Expected<Pattern>> {
    let texts: Vec<String> = arguments.optional(name).unwrap_or_default();
    let place = arguments.span(name);
    let compile = |text: &String| match Pattern::new(text, true) {
        Ok(pattern) => Some(Expected::new(pattern, place)),
        Err(problem) => {
            arguments.error(
                place,
                problem,
                &["the syntax is that of the function regex()"],
            );
            None
        }
    };
    texts.iter().filter_map(compile).collect()
}

/// A text as faults show it: in quotes, and shortened.
pub fn quoted(text: &[u8]) -> String {
    match text.get(..QUOTED) {
        None if text.is_empty() => "nothing".to_owned(),
        None => format!("{:?}", String::from_utf8_lossy(text).trim_end()),
        Some(start) => {
            let start = String::from_utf8_lossy(start);
            // A letter may have been cut in two.
            let start = start.trim_end_matches(char::REPLACEMENT_CHARACTER);
            format!("{start:?}… ({} bytes)", text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{SourceSpan, Sources};

    #[test]
    fn ends_are_those_of_lines_or_of_the_text() {
        for (pattern, by_line, text, expected) in [
            ("^b$", true, "a\nb\n", true),
            ("^b$", false, "a\nb\n", false),
            ("^b$", false, "b", true),
            // As in Go, unlike Perl.
            ("^b$", false, "b\n", false),
            ("a.b", false, "a\nb", false),
            ("(?s)a.b", false, "a\nb", true),
            (r"^\d+$", true, "x\n42\n", true),
            (r"\Qa.b\E", true, "a.b", true),
            ("é", true, "caf\u{e9}", true),
        ] {
            let compiled = Pattern::new(pattern, by_line).unwrap();
            assert_eq!(
                compiled.matches(text.as_bytes()),
                expected,
                "{pattern} in {text:?}"
            );
        }
        assert!(Pattern::new("x", true).unwrap().matches(b"\xff\x00x"));
    }

    #[test]
    fn what_is_no_pattern_is_told_in_one_line() {
        for pattern in ["(", "[a", "(?=x)", "a{1000}{1000}{1000}"] {
            let error = Pattern::new(pattern, true).unwrap_err();
            assert!(!error.contains('\n') && error.contains(pattern), "{error}");
        }
    }

    #[test]
    fn texts_are_held_against_both_lists() {
        let place = SourceSpan::new(Sources::new().add("f", ""), 0..0);
        let list = |texts: &[&str]| {
            let texts = texts.iter();
            texts
                .map(|text| Expected::new(Pattern::new(text, true).unwrap(), place))
                .collect()
        };
        let patterns = Patterns {
            expected: list(&["one", "two"]),
            excluded: list(&["th...", "four"]),
        };
        let faults = patterns.faults("stdout", b"one three\n");
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            told,
            [
                r#"stdout: expected something that matches "two", found "one three""#,
                r#"stdout: expected nothing that matches "th...", found "three""#,
            ]
        );
        assert_eq!(patterns.faults("stdout", b"one two").len(), 0);
    }

    #[test]
    fn long_texts_are_not_quoted_in_full() {
        assert_eq!(quoted(b""), "nothing");
        assert_eq!(quoted(b"a\"\xff\n"), "\"a\\\"\u{fffd}\"");
        let long = quoted("ü".repeat(5000).as_bytes());
        assert!(
            long.len() < 1000 && long.ends_with("… (10000 bytes)"),
            "{long}"
        );
    }
}
