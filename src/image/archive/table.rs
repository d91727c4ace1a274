//! The members of a tar file: their names and places, found without reading their content.
//!
//! `tar`'s own reader keeps long names and PAX headers of any length in memory; here they are
//! limited. It decodes the header blocks, and the walk is ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use tar::{EntryType, Header, PaxExtensions};

const BLOCK: u64 = 512;
/// Ten times the members of the largest archive of an image that was seen.
const MEMBER_LIMIT: usize = 100_000;
/// The longest extended header or long name that is read.
const EXTENSION_LIMIT: u64 = 1024 * 1024;
/// Files that say what is in the archive. Two of a name would let two readers see two images.
const UNIQUE: [&[u8]; 3] = [b"index.json", b"oci-layout", b"manifest.json"];

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A regular file: the place of its first byte, and its length.
    File { start: u64, size: u64 },
    /// A link, a folder or something stranger.
    Other,
}

/// Reads the table of the tar file `file`. Of members with the same name the last counts, as
/// for everybody who unpacks it.
pub(super) fn read(file: &File) -> io::Result<BTreeMap<Vec<u8>, Place>> {
    let length = file.metadata()?.len();
    let mut members = BTreeMap::new();
    let mut position = 0;
    let mut next = Extension::default();
    while position < length {
        let mut block = [0; BLOCK as usize];
        file.read_exact_at(&mut block, position)
            .map_err(|_| invalid("it ends in the middle of a header"))?;
        if block == [0; BLOCK as usize] {
            return Ok(members);
        }
        let header = Header::from_byte_slice(&block);
        if header.cksum()? != checksum(&block) {
            return Err(invalid(
                "it is not a tar file, or damaged: a checksum is wrong",
            ));
        }
        let start = position + BLOCK;
        let kind = header.entry_type();
        let size = match kind {
            // These have no content, whatever some writers say.
            EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo => 0,
            EntryType::XHeader
            | EntryType::XGlobalHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink => header.entry_size()?,
            _ => next.size.unwrap_or(header.entry_size()?),
        };
        position = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|padded| start.checked_add(padded))
            .ok_or_else(|| invalid("a member has an impossible size"))?;
        if start + size > length {
            return Err(invalid("it is cut off: a member goes on after its end"));
        }
        match kind {
            EntryType::XHeader => next.read_pax(&content(file, start, size)?)?,
            EntryType::GNULongName => next.read_long_name(content(file, start, size)?),
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            kind => {
                let extension = std::mem::take(&mut next);
                let name = extension
                    .name
                    .unwrap_or_else(|| header.path_bytes().into_owned());
                let place = match kind {
                    EntryType::Regular | EntryType::Continuous => Place::File { start, size },
                    _ => Place::Other,
                };
                let name = plain(&name);
                let doubled = members.insert(name.to_vec(), place).is_some();
                if doubled && UNIQUE.contains(&name) {
                    let name = String::from_utf8_lossy(name);
                    return Err(invalid(&format!("it has {name:?} twice")));
                }
                if members.len() > MEMBER_LIMIT {
                    return Err(invalid(&format!("it has more than {MEMBER_LIMIT} members")));
                }
            }
        }
    }
    if position > length {
        return Err(invalid("it is cut off: a member goes on after its end"));
    }
    Ok(members)
}

/// What special members say about the one that follows them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extension {
    fn read_pax(&mut self, text: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(text) {
            let record = record?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(|| invalid("a PAX size is no number"))?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_long_name(&mut self, mut name: Vec<u8>) {
        let end = name.iter().position(|byte| *byte == 0);
        name.truncate(end.unwrap_or(name.len()));
        self.name = Some(name);
    }
}

fn content(file: &File, start: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > EXTENSION_LIMIT {
        return Err(invalid("an extended header is larger than 1 MiB"));
    }
    let mut text = vec![0; size as usize];
    file.read_exact_at(&mut text, start)?;
    Ok(text)
}

/// The name without a leading `./` and a trailing slash.
fn plain(name: &[u8]) -> &[u8] {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    name.strip_suffix(b"/").unwrap_or(name)
}

/// The sum of all bytes, those of the checksum itself counted as blanks (POSIX, `pax`).
fn checksum(block: &[u8; BLOCK as usize]) -> u32 {
    let field = 148..156;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..field.start]) + 8 * u32::from(b' ') + sum(&block[field.end..])
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn table(bytes: &[u8]) -> io::Result<BTreeMap<Vec<u8>, Place>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        read(&file)
    }

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn members_are_found_whatever_the_length_of_their_name() {
        let long = "d/".repeat(200) + "file";
        let bytes = tar(&[("a", b"one"), (&long, b"three"), ("empty", b"")]);
        let table = table(&bytes).unwrap();
        for (name, expected) in [("a", "one"), (&long[..], "three"), ("empty", "")] {
            let Place::File { start, size } = table[name.as_bytes()] else {
                panic!("{name}");
            };
            assert_eq!(
                &bytes[start as usize..][..size as usize],
                expected.as_bytes()
            );
        }
    }

    #[test]
    fn links_are_not_files() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "index.json", "/etc/passwd")
            .unwrap();
        let table = table(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(table[&b"index.json"[..]], Place::Other);
    }

    #[test]
    fn a_pax_size_replaces_that_of_the_header() {
        let mut builder = tar::Builder::new(Vec::new());
        builder
            .append_pax_extensions([("size", &b"3"[..]), ("path", b"./renamed")])
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(1024);
        bytes.extend(header.as_bytes());
        bytes.extend([b'x'; 512]);
        let table = table(&bytes).unwrap();
        assert!(matches!(
            table[&b"renamed"[..]],
            Place::File { size: 3, .. }
        ));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = tar(&[("index.json", b"{}"), ("b", &[1; 2000])]);
        assert!(table(&good).is_ok());
        assert!(table(&good[..2000]).is_err(), "cut in a member");
        assert!(table(&good[..700]).is_err(), "cut in padding, then nothing");
        assert!(table(&good[..100]).is_err(), "cut in a header");
        let mut flipped = good.clone();
        flipped[3] ^= 1;
        assert!(table(&flipped).is_err(), "checksum");
        assert!(table(b"no tar at all").is_err());
        let twice = tar(&[("index.json", b"{}"), ("./index.json", b"{}")]);
        assert!(table(&twice).is_err(), "doubled index");
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        assert!(table(header.as_bytes()).is_err(), "endless name");
        header.set_entry_type(EntryType::Regular);
        header.set_size(u64::MAX);
        header.set_cksum();
        assert!(table(header.as_bytes()).is_err(), "impossible size");
    }

    proptest::proptest! {
        #[test]
        fn damage_never_panics_nor_leads_outside(
            position in 0usize..4096,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 1..64),
        ) {
            let mut archive = tar(&[(&"long/".repeat(30), b"x"), ("index.json", b"{}")]);
            let end = (position + bytes.len()).min(archive.len());
            if position < end {
                archive[position..end].copy_from_slice(&bytes[..end - position]);
            }
            for header in archive.chunks_exact_mut(512) {
                // Otherwise nearly all damage would end at the checksum.
                let block: &[u8; 512] = (&*header).try_into().unwrap();
                let sum = format!("{:06o}\0 ", checksum(block));
                header[148..156].copy_from_slice(sum.as_bytes());
            }
            let length = archive.len() as u64;
            for place in table(&archive).into_iter().flatten().map(|(_, place)| place) {
                if let Place::File { start, size } = place {
                    proptest::prop_assert!(start + size <= length);
                }
            }
        }
    }
}
