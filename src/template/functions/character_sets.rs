//! Character sets by their IANA names, for text that must leave as something else than UTF-8.

use encoding_rs::{EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::fmt;

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CharacterSet {
    /// Bytes up to this one are the code points of the same number.
    Direct { name: &'static str, last: u8 },
    /// With a byte order mark, which also says in which order to read.
    Utf16,
    /// All others.
    Other(&'static Encoding),
}

impl CharacterSet {
    /// Looks a name up, in any case.
    pub(super) fn named(name: &str) -> Option<CharacterSet> {
        // The web's tables, which the others come from, read these two as Windows-1252 and UTF-16LE.
        match name.to_ascii_lowercase().as_str() {
            "iso-8859-1" | "iso_8859-1" | "iso_8859-1:1987" | "iso-ir-100" | "latin1" | "l1"
            | "ibm819" | "cp819" | "csisolatin1" => Some(CharacterSet::Direct {
                name: "ISO-8859-1",
                last: 0xff,
            }),
            "us-ascii" | "ascii" | "iso646-us" | "ansi_x3.4-1968" | "us" | "csascii" => {
                Some(CharacterSet::Direct {
                    name: "US-ASCII",
                    last: 0x7f,
                })
            }
            "utf-16" | "csutf16" => Some(CharacterSet::Utf16),
            _ => Encoding::for_label_no_replacement(name.as_bytes()).map(CharacterSet::Other),
        }
    }

    /// The bytes of a text, or the first character that the set lacks.
    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, char> {
        match self {
            CharacterSet::Direct { last, .. } => text
                .chars()
                .map(|letter| match u8::try_from(letter) {
                    Ok(byte) if byte <= last => Ok(byte),
                    _ => Err(letter),
                })
                .collect(),
            CharacterSet::Utf16 => Ok(std::iter::once(0xfeff)
                .chain(text.encode_utf16())
                .flat_map(u16::to_be_bytes)
                .collect()),
            CharacterSet::Other(encoding) if encoding == UTF_16BE => {
                Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect())
            }
            CharacterSet::Other(encoding) if encoding == UTF_16LE => {
                Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
            }
            CharacterSet::Other(encoding) => encode_by_table(encoding, text),
        }
    }

    /// The text of some bytes; nothing if they are not of this set.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        let decoded = |encoding: &'static Encoding| {
            let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
            Some(text.into_owned())
        };
        match self {
            CharacterSet::Direct { last, .. } => bytes
                .iter()
                .map(|byte| (*byte <= last).then_some(char::from(*byte)))
                .collect(),
            CharacterSet::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => CharacterSet::Other(UTF_16LE).decode(rest),
                [0xfe, 0xff, rest @ ..] => CharacterSet::Other(UTF_16BE).decode(rest),
                _ => None,
            },
            CharacterSet::Other(encoding) => decoded(encoding),
        }
    }
}

impl fmt::Display for CharacterSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            CharacterSet::Direct { name, .. } => name,
            CharacterSet::Utf16 => "UTF-16",
            CharacterSet::Other(encoding) => encoding.name(),
        })
    }
}

fn encode_by_table(encoding: &'static Encoding, text: &str) -> Result<Vec<u8>, char> {
    if encoding == UTF_8 {
        return Ok(text.as_bytes().to_vec());
    }
    let mut encoder = encoding.new_encoder();
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
        bytes.reserve(room.unwrap_or(rest.len()));
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut bytes, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return Ok(bytes),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(letter) => return Err(letter),
        }
    }
}
