//! Identifiers of RFC 9562: `uuidv4` (random) and `uuidv5` (from a namespace and a name).

use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError};
use crate::template::value::Value;
use sha1::{Digest, Sha1};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("uuidv4", Kind::String, uuidv4).changes_each_run(),
    Function::new("uuidv5", Kind::String, uuidv5).parameters(&[
        Parameter::new("namespace", Kind::String),
        Parameter::new("name", Kind::String),
    ]),
];

/// The namespaces of RFC 9562, section 6.6, by the names that templates use; they differ in the
/// last byte of their first field.
const NAMESPACES: [(&str, u8); 4] = [("dns", 0x10), ("url", 0x11), ("oid", 0x12), ("x500", 0x14)];

fn uuidv4(
    _arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let mut bytes = [0; 16];
    (context.random)(&mut bytes);
    Ok(Value::string(text(bytes, 4)))
}

fn uuidv5(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let namespace = arguments.string(0)?;
    let Some(prefix) = known_namespace(namespace).or_else(|| parse(namespace)) else {
        return Err(FunctionError::at(
            0,
            format!("{namespace:?} is no namespace: it must be dns, url, oid, x500 or a UUID"),
        ));
    };
    let digest = Sha1::new()
        .chain_update(prefix)
        .chain_update(arguments.string(1)?)
        .finalize();
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest) {
        *byte = hashed;
    }
    Ok(Value::string(text(bytes, 5)))
}

fn known_namespace(name: &str) -> Option<[u8; 16]> {
    let (_, last) = NAMESPACES.iter().find(|(known, _)| *known == name)?;
    Some([
        0x6b, 0xa7, 0xb8, *last, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30,
        0xc8,
    ])
}

/// Sets the version and the variant, and prints the usual five groups.
fn text(bytes: [u8; 16], version: u128) -> String {
    let bits = u128::from_be_bytes(bytes);
    let bits = bits & !(0xf << 76) | version << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

/// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, also as a URN, in braces or without hyphens.
fn parse(text: &str) -> Option<[u8; 16]> {
    let grouped = match text.len() {
        32 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            return u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
        }
        38 => text.strip_prefix('{')?.strip_suffix('}')?,
        45 if text
            .get(..9)
            .is_some_and(|start| start.eq_ignore_ascii_case("urn:uuid:")) =>
        {
            text.get(9..)?
        }
        36 => text,
        _ => return None,
    };
    let groups: Vec<&str> = grouped.split('-').collect();
    let shape_is_right = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    let hexadecimal = groups.concat();
    if !shape_is_right || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&hexadecimal, 16)
        .ok()
        .map(u128::to_be_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const CASES: &str = r#"
uuidv5("dns", "tada") = "faa898db-9b9d-5b75-86a9-149e7bb8e3b8"
uuidv5("url", "tada") = "2c1ff6b4-211f-577e-94de-d978b0caa16e"
uuidv5("oid", "tada") = "61eeea26-5176-5288-87fc-232d6ed30d2f"
uuidv5("x500", "tada") = "7e12415e-f7c9-57c3-9e43-52dc9950d264"
uuidv5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "tada") = "faa898db-9b9d-5b75-86a9-149e7bb8e3b8"
uuidv5("urn:uuid:6BA7B810-9dad-11d1-80b4-00c04fd430c8", "tada") = "faa898db-9b9d-5b75-86a9-149e7bb8e3b8"
uuidv5("{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "tada") = "faa898db-9b9d-5b75-86a9-149e7bb8e3b8"
uuidv5("6ba7b8109dad11d180b400c04fd430c8", "tada") = "faa898db-9b9d-5b75-86a9-149e7bb8e3b8"
uuidv5("6ba7b810-9dad-11d1-80b400c0-4fd430c8", "tada") = ~ error: 
uuidv5("tada", "tada") = ~ error: is no namespace
"#;

    #[test]
    fn version_4_keeps_the_random_bits_and_marks_the_rest() {
        assert_eq!(text([0xff; 16], 4), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(text([0; 16], 4), "00000000-0000-4000-8000-000000000000");
    }
}
