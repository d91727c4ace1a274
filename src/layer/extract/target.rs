//! Targets: names of an archive, checked and divided.

use std::ffi::CString;

/// A checked name: the folder around it and the name in it.
pub(super) struct Target<'a> {
    pub(super) path: &'a [u8],
    pub(super) parent: &'a [u8],
    pub(super) name: CString,
}

impl<'a> Target<'a> {
    /// Divides a normalised path that is not the root.
    pub(super) fn new(path: &'a [u8]) -> Self {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        Self {
            path,
            parent,
            name: c_name(name),
        }
    }
}

/// Reduces a name of an archive to its components joined by single slashes; empty for the root.
pub(super) fn normalise(name: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.starts_with(b"/") {
        return Err("the name is absolute");
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("the name has a \"..\" in it"),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    Ok(path)
}

/// Makes a name for the system. Names are free of NUL bytes once the archive was read; if one had
/// any, it would end there, and still be a single name.
pub(super) fn c_name(name: &[u8]) -> CString {
    let length = name.iter().position(|byte| *byte == 0);
    CString::new(&name[..length.unwrap_or(name.len())]).unwrap_or_default()
}

pub(super) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        return name.to_vec();
    }
    [parent, b"/", name].concat()
}
