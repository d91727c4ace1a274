//! Text on a terminal: what it may hold, how wide it is, how it is cut.
//!
//! A log line is whatever a program wrote: escape sequences that move the cursor, title changes,
//! progress bars that overwrite themselves. *Neutral* text holds none of it: it takes up its
//! width in columns and does nothing else.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::Chars;
use unicode_width::UnicodeWidthChar;

const ESCAPE: char = '\x1b';
const TAB_STOP: usize = 8;

/// Makes `text` neutral: escape sequences are removed, tabs become spaces, of text that
/// overwrites itself with carriage returns the last state stays, backspaces erase, and other
/// control characters and marks that reorder text become U+FFFD. Line feeds stay.
pub fn neutralise(text: &str) -> Cow<'_, str> {
    if is_neutral(text) {
        return Cow::Borrowed(text);
    }
    let mut neutral = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            neutral.push('\n');
        }
        let overwritten = line.split('\r').map(neutralise_segment);
        if let Some(last) = overwritten.rev().find(|state| !state.trim().is_empty()) {
            neutral.push_str(&last);
        }
    }
    Cow::Owned(neutral)
}

/// Returns how many columns the neutral line `text` takes.
///
/// Joined emoji are counted one by one: terminals disagree about them, and a line that is cut too
/// early does less harm than one that wraps.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Cuts the neutral line `text` so that it takes at most `columns`, marking a cut with `…`.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    let mut taken = 0;
    // The end of the longest prefix that leaves a column for the mark.
    let mut end = 0;
    for (index, character) in text.char_indices() {
        taken += char_width(character);
        if taken > columns {
            return match columns {
                0 => Cow::Borrowed(""),
                _ => Cow::Owned(format!("{}…", &text[..end])),
            };
        }
        if taken < columns {
            end = index + character.len_utf8();
        }
    }
    Cow::Borrowed(text)
}

/// Cuts `text` to about `limit` bytes and says how many are missing.
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(limit)];
    let missing = text.len() - kept.len();
    Cow::Owned(format!("{kept}… ({missing} more bytes)"))
}

fn char_width(character: char) -> usize {
    character.width().unwrap_or(0)
}

fn is_neutral(text: &str) -> bool {
    let printable_ascii = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    text.bytes().all(printable_ascii)
        || !text
            .chars()
            .any(|character| character != '\n' && is_active(character))
}

/// Whether a terminal acts on the character instead of showing it.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Line and paragraph separators.
            '\u{2028}' | '\u{2029}'
            // Marks that change the direction of what follows.
            | '\u{061c}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes a piece of text without line feeds and carriage returns neutral.
fn neutralise_segment(segment: &str) -> String {
    let mut neutral = String::with_capacity(segment.len());
    let mut column = 0;
    let mut rest = Rest {
        characters: segment.chars(),
        strings_end: true,
    };
    while let Some(character) = rest.characters.next() {
        let shown = match character {
            '\t' => {
                let missing = TAB_STOP - column % TAB_STOP;
                neutral.extend(std::iter::repeat_n(' ', missing));
                column += missing;
                continue;
            }
            '\x08' => {
                column -= neutral.pop().map_or(0, char_width);
                continue;
            }
            ESCAPE => {
                rest.skip_escape();
                continue;
            }
            // The one-character forms of the same sequences (ECMA-48, "C1 set").
            '\u{9b}' => {
                rest.skip_control_sequence();
                continue;
            }
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => {
                rest.skip_string();
                continue;
            }
            '\u{2028}' | '\u{2029}' => ' ',
            _ if is_active(character) => char::REPLACEMENT_CHARACTER,
            _ => character,
        };
        neutral.push(shown);
        column += char_width(shown);
    }
    neutral
}

/// What is left to read of a piece of text.
struct Rest<'t> {
    characters: Chars<'t>,
    /// Whether a string may still have a terminator; without this, text that opens many strings
    /// would be searched to its end as many times.
    strings_end: bool,
}

impl Rest<'_> {
    /// Skips what follows an escape character (ECMA-48, sections 5.3 and 5.4).
    fn skip_escape(&mut self) {
        let mut ahead = self.characters.clone();
        match ahead.next() {
            Some('[') => {
                self.characters = ahead;
                self.skip_control_sequence();
            }
            Some(']' | 'P' | 'X' | '^' | '_') => {
                self.characters = ahead;
                self.skip_string();
            }
            // Intermediate characters up to a final one.
            Some(' '..='/') => {
                self.characters = ahead;
                self.skip_up_to_final('0'..='~');
            }
            Some('0'..='~') => self.characters = ahead,
            // No sequence: the escape character alone is dropped.
            _ => {}
        }
    }

    /// Skips the parameters and the final character of a control sequence.
    fn skip_control_sequence(&mut self) {
        self.skip_up_to_final('@'..='~');
    }

    fn skip_up_to_final(&mut self, finals: RangeInclusive<char>) {
        let mut ahead = self.characters.clone();
        while let Some(character) = ahead.next() {
            // What cannot be part of a sequence ends it and is shown.
            if !(' '..='~').contains(&character) {
                return;
            }
            self.characters = ahead.clone();
            if finals.contains(&character) {
                return;
            }
        }
    }

    /// Skips a string such as a window title, up to and with its terminator. Without a terminator
    /// it is no string but text that must not disappear.
    fn skip_string(&mut self) {
        if !self.strings_end {
            return;
        }
        let mut ahead = self.characters.clone();
        while let Some(character) = ahead.next() {
            let escaped_end = character == ESCAPE && ahead.as_str().starts_with('\\');
            if escaped_end {
                ahead.next();
            }
            if escaped_end || matches!(character, '\x07' | '\u{9c}') {
                self.characters = ahead;
                return;
            }
        }
        self.strings_end = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neutral_text_does_nothing_to_a_terminal() {
        for (input, expected) in [
            ("plain", "plain"),
            ("wörter 漢字", "wörter 漢字"),
            ("two\nlines", "two\nlines"),
            ("windows\r\nlines\r\n", "windows\nlines\n"),
            ("a\tb", "a       b"),
            ("漢\tb", "漢      b"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b[?25lhidden cursor", "hidden cursor"),
            ("\x1b[2J\x1b[Hcleared", "cleared"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]0;no end", "0;no end"),
            ("\x1bPq#0\x1b\\after", "after"),
            ("\x1b(Bcharset", "charset"),
            ("\x1b7saved", "saved"),
            ("\u{9b}31mred", "red"),
            ("\x1b", ""),
            ("\x1b[", ""),
            ("\x1b[1\u{e9}", "\u{e9}"),
            ("bell\x07", "bell\u{fffd}"),
            ("nul\0", "nul\u{fffd}"),
            ("del\x7f", "del\u{fffd}"),
            ("10%\r20%\r100%", "100%"),
            ("100%\r", "100%"),
            ("100%\r\x1b[K", "100%"),
            ("bo\x08\x08bold", "bold"),
            ("\x08x", "x"),
            ("user\u{202e}txt.exe", "user\u{fffd}txt.exe"),
            ("a\u{2028}b", "a b"),
        ] {
            assert_eq!(neutralise(input), expected, "{input:?}");
        }
    }

    #[test]
    fn hostile_text_takes_no_more_than_linear_time() {
        for piece in [
            "\t", "\x1b]", "\x1b[", "\u{9d}", "x\x08", "\r", "\x1b", "\x1b[1",
        ] {
            let neutral = neutralise(&piece.repeat(1_000_000)).into_owned();
            assert!(is_neutral(&neutral), "{piece:?}");
        }
    }

    #[test]
    fn neutral_text_is_not_copied() {
        assert!(matches!(neutralise("plain"), Cow::Borrowed(_)));
        assert!(matches!(neutralise("漢字\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_line_fits() {
        for (input, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字", 4, "漢字"),
            ("漢字", 3, "漢…"),
            ("漢字", 2, "…"),
            ("漢", 1, "…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
        ] {
            assert_eq!(cut(input, columns), expected, "{input:?} in {columns}");
        }
    }

    #[test]
    fn a_shortened_text_says_what_is_missing() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcdef", 4), "abcd… (2 more bytes)");
        assert_eq!(shorten("aé", 2), "a… (2 more bytes)");
    }

    proptest! {
        #[test]
        fn anything_can_be_neutralised_once(text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]|\x1b\\[|\x1b\\]){0,40}") {
            let neutral = neutralise(&text).into_owned();
            prop_assert!(is_neutral(&neutral));
            prop_assert!(matches!(neutralise(&neutral), Cow::Borrowed(_)));
        }

        #[test]
        fn a_cut_is_never_too_wide(text in "\\PC{0,40}", columns in 0usize..20) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
        }
    }
}
