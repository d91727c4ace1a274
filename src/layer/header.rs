//! Tar headers as hardtack writes them: POSIX ustar, with PAX records only where ustar cannot
//! hold a value (POSIX.1-2024, pax, "ustar Interchange Format" and "pax Interchange Format").
//!
//! Layer digests depend on every byte that is made here. The golden tests of `archive.rs` fail
//! when one changes; then every digest that users have pinned changes too.
//!
//! Names are written as the bytes they are, in ustar fields and PAX records alike, as GNU tar and
//! Go do; all readers hand them through.

use super::error::{LayerError, Result, TreePath};
use super::metadata::Attributes;
use std::ops::Range;

/// The unit of a tar archive, in bytes.
pub(super) const BLOCK: usize = 512;

const LARGEST_ID: u32 = 0o7_777_777;
const LARGEST_SIZE: u64 = 0o77_777_777_777;
const NAME_LENGTH: usize = 100;
const PREFIX_LENGTH: usize = 155;

/// The type of an entry (ustar's `typeflag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryType {
    File,
    Hardlink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Folder,
    Fifo,
    Extended,
}

impl EntryType {
    fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::Hardlink => b'1',
            Self::Symlink => b'2',
            Self::CharacterDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Folder => b'5',
            Self::Fifo => b'6',
            Self::Extended => b'x',
        }
    }
}

/// One entry to be written.
pub(super) struct Entry<'a> {
    /// The path relative to the root; a folder's ends with a slash.
    pub(super) path: &'a [u8],
    pub(super) entry_type: EntryType,
    /// The target of a link, else empty.
    pub(super) link: &'a [u8],
    /// The number of bytes that follow.
    pub(super) size: u64,
    /// Major and minor number of a device, else zeros.
    pub(super) device: (u32, u32),
    pub(super) attributes: &'a Attributes,
}

/// Returns the blocks that introduce `entry`: an extended header if it needs one, and its own.
pub(super) fn encode(entry: &Entry<'_>) -> Result<Vec<u8>> {
    let attributes = entry.attributes;
    let mut records = Records::default();
    let split = split_path(entry.path);
    if split.is_none() {
        records.push(b"path", entry.path);
    }
    if entry.link.len() > NAME_LENGTH {
        records.push(b"linkpath", entry.link);
    }
    if entry.size > LARGEST_SIZE {
        records.push_number(b"size", entry.size);
    }
    if attributes.uid > LARGEST_ID {
        records.push_number(b"uid", attributes.uid);
    }
    if attributes.gid > LARGEST_ID {
        records.push_number(b"gid", attributes.gid);
    }
    let modified = u64::try_from(attributes.modified)
        .ok()
        .filter(|seconds| *seconds <= LARGEST_SIZE);
    if modified.is_none() {
        records.push_number(b"mtime", attributes.modified);
    }
    for (name, value) in &attributes.extended {
        if name.contains(&b'=') {
            return Err(LayerError::AttributeName {
                path: TreePath::new(entry.path),
                attribute: TreePath::new(name),
            });
        }
        records.push(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }

    let mut blocks = Vec::with_capacity(BLOCK);
    if !records.0.is_empty() {
        let extended = Attributes {
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: 0,
            extended: Vec::new(),
        };
        let extended = Entry {
            path: b"PaxHeaders",
            entry_type: EntryType::Extended,
            link: b"",
            size: records.0.len() as u64,
            device: (0, 0),
            attributes: &extended,
        };
        blocks.extend_from_slice(&block(&extended, Some((0..0, 0..extended.path.len())), 0));
        blocks.extend_from_slice(&records.0);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    }
    blocks.extend_from_slice(&block(entry, split, modified.unwrap_or(0)));
    Ok(blocks)
}

/// The records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn push_number(&mut self, key: &[u8], value: impl ToString) {
        self.push(key, value.to_string().as_bytes());
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        // "LENGTH KEY=VALUE\n", where LENGTH counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

/// Finds where `path` is divided into ustar's prefix and name; none if it does not fit.
fn split_path(path: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    if path.len() <= NAME_LENGTH {
        return Some((0..0, 0..path.len()));
    }
    // The shortest name that leaves a prefix that fits: the last slash that is early enough.
    let last = path.len() - 1;
    let slash = path
        .get(..last.min(PREFIX_LENGTH + 1))?
        .iter()
        .rposition(|byte| *byte == b'/')?;
    let name = slash + 1..path.len();
    (slash > 0 && name.len() <= NAME_LENGTH).then_some((0..slash, name))
}

fn block(
    entry: &Entry<'_>,
    split: Option<(Range<usize>, Range<usize>)>,
    modified: u64,
) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    if let Some(fields) = header.as_ustar_mut() {
        // A path or number that does not fit is in the extended header; here is what fits of it.
        let (prefix, name) = split.unwrap_or((0..0, 0..NAME_LENGTH.min(entry.path.len())));
        put(&mut fields.prefix, &entry.path[prefix]);
        put(&mut fields.name, &entry.path[name]);
        put(&mut fields.linkname, entry.link);
        put_octal(&mut fields.mode, u64::from(entry.attributes.mode));
        put_octal(
            &mut fields.uid,
            u64::from(entry.attributes.uid.min(LARGEST_ID)),
        );
        put_octal(
            &mut fields.gid,
            u64::from(entry.attributes.gid.min(LARGEST_ID)),
        );
        put_octal(&mut fields.size, entry.size.min(LARGEST_SIZE));
        put_octal(&mut fields.mtime, modified);
        fields.typeflag = [entry.entry_type.flag()];
        put_octal(&mut fields.dev_major, u64::from(entry.device.0));
        put_octal(&mut fields.dev_minor, u64::from(entry.device.1));
    }
    let mut block = *header.as_bytes();
    let checksum = checksum(&block);
    put_octal(&mut block[148..155], checksum);
    block[155] = b' ';
    block
}

/// The sum of a header's bytes, its own field counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u64 {
    let field = 148..156;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&block[..field.start]) + 8 * u64::from(b' ') + sum(&block[field.end..])
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Writes `value` with leading zeros and a final NUL; callers see to it that it fits.
fn put_octal(field: &mut [u8], mut value: u64) {
    let Some((last, digits)) = field.split_last_mut() else {
        return;
    };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Attributes {
        Attributes::of_implied_folder(0)
    }

    #[test]
    fn paths_go_into_ustar_where_they_fit() {
        let long = |lengths: &[usize]| {
            let names: Vec<_> = lengths.iter().map(|length| "n".repeat(*length)).collect();
            names.join("/").into_bytes()
        };
        for (path, prefix) in [
            (long(&[100]), Some(0)),
            (long(&[101]), None),
            (long(&[50, 50]), Some(50)),
            (long(&[155, 100]), Some(155)),
            (long(&[156, 100]), None),
            (long(&[155, 101]), None),
            (long(&[100, 54, 100]), Some(155)),
            (long(&[20, 20, 20, 60]), Some(62)),
        ] {
            let split = split_path(&path);
            assert_eq!(split.as_ref().map(|(prefix, _)| prefix.end), prefix);
            if let Some((prefix, name)) = split {
                assert!(name.len() <= NAME_LENGTH && prefix.len() <= PREFIX_LENGTH);
                assert_eq!(name.end, path.len());
            }
        }
        // A folder's last slash is no place to divide at.
        let folder = [long(&[40, 100]), b"/".to_vec()].concat();
        assert_eq!(split_path(&folder), None);
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in [0, 1, 80, 89, 90, 91, 95, 985, 986, 987, 9_980] {
            let mut records = Records::default();
            records.push(b"path", &vec![b'x'; length]);
            let text = String::from_utf8(records.0).unwrap();
            let (stated, _) = text.split_once(' ').unwrap();
            assert_eq!(stated.parse(), Ok(text.len()));
        }
    }

    #[test]
    fn values_too_large_for_ustar_are_extended() {
        let attributes = Attributes {
            uid: LARGEST_ID + 1,
            gid: LARGEST_ID,
            modified: -5,
            extended: vec![(b"user.a".to_vec(), b"\0=\n".to_vec())],
            ..plain()
        };
        let entry = Entry {
            path: b"f",
            entry_type: EntryType::File,
            link: b"",
            size: LARGEST_SIZE + 1,
            device: (0, 0),
            attributes: &attributes,
        };
        let blocks = encode(&entry).unwrap();
        let records = &blocks[BLOCK..];
        let expected =
            b"19 size=8589934592\n15 uid=2097152\n12 mtime=-5\n27 SCHILY.xattr.user.a=\0=\n\n\0";
        assert_eq!(
            records[..expected.len()].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn an_attribute_that_pax_cannot_name_is_an_error() {
        let attributes = Attributes {
            extended: vec![(b"user.a=b".to_vec(), Vec::new())],
            ..plain()
        };
        let entry = Entry {
            path: b"f",
            entry_type: EntryType::File,
            link: b"",
            size: 0,
            device: (0, 0),
            attributes: &attributes,
        };
        assert!(matches!(
            encode(&entry),
            Err(LayerError::AttributeName { .. })
        ));
    }
}
