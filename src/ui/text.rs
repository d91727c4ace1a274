//! Lines that are safe to show: what a step writes must not steer the user's terminal.

/// Replaces control characters, tabs by spaces, and leaves out escape sequences for colours.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\t' => shown.push_str("    "),
            '\u{1b}' => {
                // A control sequence: parameters, then one final letter (ECMA-48, 5.4).
                if characters.next_if_eq(&'[').is_some() {
                    while characters
                        .next_if(|c| ('\u{20}'..='\u{3f}').contains(c))
                        .is_some()
                    {}
                    let _ = characters.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
                } else {
                    shown.push('?');
                }
            }
            // Controls, and marks that reorder what is shown.
            character if character.is_control() => shown.push('?'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push('?');
            }
            character => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}", "?]0;title?"),
            ("a\tb", "a    b"),
            ("a\rb\u{8}", "a?b?"),
            ("\u{202e}evil", "?evil"),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(visible(text), expected, "{text:?}");
        }
    }
}
