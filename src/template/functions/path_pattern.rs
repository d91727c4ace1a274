//! Patterns of paths: `*` and `?` within one part, `**` over any number of parts, `[a-z]` and
//! `[^a-z]`, `{one,two}`, and `\` before a character that stands for itself.

use regex::{Regex, RegexBuilder};

/// The most memory a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// A pattern of paths that are relative to some folder.
pub(super) struct PathPattern {
    matcher: Regex,
    /// The folders that every match lies in, as they are written without special characters.
    pub(super) fixed_folders: Vec<String>,
    /// How many parts a match can have; none if any number.
    pub(super) deepest: Option<usize>,
}

impl PathPattern {
    /// Reads a pattern that is a cleaned path; nothing if its syntax is wrong or it is too large.
    pub(super) fn parse(pattern: &str) -> Option<PathPattern> {
        let mut translation = Translation::default();
        translation.translate(pattern)?;
        let matcher = RegexBuilder::new(&format!(r"\A(?s:{})\z", translation.expression))
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .ok()?;
        let is_plain = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let parts: Vec<&str> = pattern.split('/').collect();
        let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
        let fixed = folders.iter().take_while(|part| is_plain(part));
        let slashes = pattern.matches('/').count();
        Some(PathPattern {
            matcher,
            fixed_folders: fixed.map(|part| (*part).to_owned()).collect(),
            deepest: (!translation.is_unbounded).then_some(slashes + 1),
        })
    }

    /// Whether a path matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

/// The pattern as a regular expression.
#[derive(Default)]
struct Translation {
    expression: String,
    is_unbounded: bool,
}

impl Translation {
    fn translate(&mut self, pattern: &str) -> Option<()> {
        let mut open_braces = 0_usize;
        let mut rest = pattern;
        let mut at_part_start = true;
        while let Some(letter) = rest.chars().next() {
            let starts_part = std::mem::replace(&mut at_part_start, letter == '/');
            rest = rest.get(letter.len_utf8()..)?;
            match letter {
                '*' => {
                    let after_stars = rest.trim_start_matches('*');
                    let is_folders = starts_part && rest.len() == after_stars.len() + 1;
                    rest = after_stars;
                    if is_folders && let Some(after) = rest.strip_prefix('/') {
                        self.is_unbounded = true;
                        self.expression.push_str("(?:[^/]+/)*");
                        rest = after;
                        at_part_start = true;
                    } else if is_folders && rest.is_empty() {
                        self.is_unbounded = true;
                        self.expression.push_str(".*");
                    } else {
                        self.expression.push_str("[^/]*");
                    }
                }
                '?' => self.expression.push_str("[^/]"),
                '[' => rest = self.class(rest)?,
                '{' => {
                    open_braces += 1;
                    self.expression.push_str("(?:");
                    at_part_start = starts_part;
                }
                '}' if open_braces > 0 => {
                    open_braces -= 1;
                    self.expression.push(')');
                }
                ',' if open_braces > 0 => self.expression.push('|'),
                '\\' => {
                    let escaped = rest.chars().next()?;
                    self.literal(escaped);
                    rest = rest.get(escaped.len_utf8()..)?;
                }
                other => self.literal(other),
            }
        }
        (open_braces == 0).then_some(())
    }

    fn literal(&mut self, letter: char) {
        self.expression
            .push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
    }

    /// Translates a class whose `[` has been read; gives what follows it.
    fn class<'a>(&mut self, class: &'a str) -> Option<&'a str> {
        let (is_negated, mut rest) = match class.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, class),
        };
        let mut ranges = String::new();
        let next = |rest: &mut &'a str| {
            let mut letters = rest.chars();
            let letter = letters.next()?;
            let letter = if letter == '\\' {
                letters.next()?
            } else {
                letter
            };
            *rest = letters.as_str();
            Some(letter)
        };
        loop {
            if !ranges.is_empty()
                && let Some(after) = rest.strip_prefix(']')
            {
                rest = after;
                break;
            }
            if rest.starts_with([']', '-']) {
                return None;
            }
            let first = next(&mut rest)?;
            let last = match rest.strip_prefix('-') {
                Some(after) => {
                    rest = after;
                    next(&mut rest)?
                }
                None => first,
            };
            if first > last {
                return None;
            }
            ranges.push_str(&format!(
                r"\x{{{:x}}}-\x{{{:x}}}",
                u32::from(first),
                u32::from(last)
            ));
        }
        if is_negated {
            self.expression.push_str(&format!("[^/{ranges}]"));
        } else {
            self.expression.push_str(&format!("[{ranges}&&[^/]]"));
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", ".txt", true),
            ("*.txt", "b/a.txt", false),
            ("**", "a/b/c", true),
            ("**/c", "c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "a/bc", false),
            ("a/**", "a/b/c", true),
            ("a/**", "ab", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a**c", "abc", true),
            ("a**c", "a/c", false),
            ("?", "é", true),
            ("?", "/", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "/x", false),
            ("[!a]", "!", true),
            (r"[\]\-]", "-", true),
            ("{a,b/c}.t", "b/c.t", true),
            ("{a,b/c}.t", "b.t", false),
            ("{[ab],c}", "b", true),
            ("x{,y}", "x", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("a.b", "axb", false),
            ("}", "}", true),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(path), expected, "{pattern:?} {path:?}");
        }
        for wrong in ["[", "[]", "[a", "[z-a]", "{a", "\\", "[-a]", "[^]"] {
            assert!(PathPattern::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
