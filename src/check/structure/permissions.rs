//! Permissions as container-structure-test writes them: `-rw-r--r--`, `drwxr-xr-x`.

use crate::check::file::Kind;

/// Reads the type and the permission bits. Set-user-id, set-group-id and sticky are letters in front,
/// as Go prints them (`urwxr-xr-x`, `dtrwxrwxrwx`), or stand for an `x`, as `ls` does.
pub fn parse(text: &str) -> Result<(Kind, u32), String> {
    let wrong = || format!("{text:?} is no permissions; write them like \"-rw-r--r--\"");
    let split = text.len().checked_sub(9).ok_or_else(wrong)?;
    let (front, bits) = text.split_at_checked(split).ok_or_else(wrong)?;
    let (mut kind, mut mode) = (Kind::File, 0);
    if front.is_empty() {
        return Err(wrong());
    }
    for letter in front.chars() {
        match letter {
            '-' if front.len() == 1 => {}
            'd' => kind = Kind::Directory,
            'L' | 'l' => kind = Kind::Link,
            'u' => mode |= 0o4000,
            'g' => mode |= 0o2000,
            't' => mode |= 0o1000,
            _ => return Err(wrong()),
        }
    }
    for (index, letter) in bits.chars().enumerate() {
        let bit = 0o400 >> index;
        // The special bit that takes the place of this `x`.
        let special = match index {
            2 => 0o4000,
            5 => 0o2000,
            _ => 0o1000,
        };
        mode |= match (index % 3, letter) {
            (_, '-') => 0,
            (0, 'r') | (1, 'w') | (2, 'x') => bit,
            (2, 's') if index < 8 => bit | special,
            (2, 'S') if index < 8 => special,
            (2, 't') if index == 8 => bit | special,
            (2, 'T') if index == 8 => special,
            _ => return Err(wrong()),
        };
    }
    Ok((kind, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_special_bits_are_read() {
        for (text, expected) in [
            ("-rw-r--r--", Some((Kind::File, 0o644))),
            ("drwxr-xr-x", Some((Kind::Directory, 0o755))),
            ("----------", Some((Kind::File, 0))),
            ("Lrwxrwxrwx", Some((Kind::Link, 0o777))),
            ("dtrwxrwxrwx", Some((Kind::Directory, 0o1777))),
            ("drwxrwxrwt", Some((Kind::Directory, 0o1777))),
            ("urwxr-xr-x", Some((Kind::File, 0o4755))),
            ("-rwsr-sr-T", Some((Kind::File, 0o7754))),
            ("rw-r--r--", None),
            ("-rwxrwxrwxx", None),
            ("-rw-r--r-s", None),
            ("xrw-r--r--", None),
            ("0644", None),
            ("", None),
            ("-rw-r--r-é", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
