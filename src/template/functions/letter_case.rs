//! Letter case: one character to one character, as Go's `unicode` package maps it.
//!
//! Rust maps `ß` to `SS` (the full mapping of Unicode); templates expect Go's simple mapping, where
//! `ß` stays `ß`. This file knows letters only; the functions are in `strings.rs`.

/// Maps each character to its simple upper-case form.
pub(super) fn upper(text: &str) -> String {
    text.chars().map(upper_letter).collect()
}

/// Maps each character to its simple lower-case form, without regard to its neighbours.
pub(super) fn lower(text: &str) -> String {
    text.chars().map(lower_letter).collect()
}

/// Maps the first letter of each word to title case and leaves the others as they are.
pub(super) fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|letter| {
            let mapped = if separates_words(before) {
                title_letter(letter)
            } else {
                letter
            };
            before = letter;
            mapped
        })
        .collect()
}

/// In ASCII everything but letters, digits and `_` separates words; beyond it only space does.
fn separates_words(letter: char) -> bool {
    if letter.is_ascii() {
        !letter.is_ascii_alphanumeric() && letter != '_'
    } else {
        letter.is_whitespace()
    }
}

fn upper_letter(letter: char) -> char {
    let mut mapped = letter.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => upper_of_expanding_letter(letter),
    }
}

/// Greek letters with iota subscript have a simple upper-case form beside their full one; the other
/// letters that expand (`ß`, `ŉ`, ligatures) have none and stay.
fn upper_of_expanding_letter(letter: char) -> char {
    let offset = match u32::from(letter) {
        0x1F80..=0x1F87 | 0x1F90..=0x1F97 | 0x1FA0..=0x1FA7 => 8,
        0x1FB3 | 0x1FC3 | 0x1FF3 => 9,
        _ => 0,
    };
    char::from_u32(u32::from(letter) + offset).unwrap_or(letter)
}

fn lower_letter(letter: char) -> char {
    // `İ` is the only letter whose full lower-case form has two characters.
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Title case differs from upper case for the digraphs and for Georgian.
fn title_letter(letter: char) -> char {
    match letter {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        'ა'..='ჺ' | 'ჽ'..='ჿ' => letter,
        _ => upper_letter(letter),
    }
}
