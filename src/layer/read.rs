//! Tar archives as hardtack reads them: one entry after the other, with one meaning or none.
//!
//! The header layouts come from the `tar` crate; the rules are stricter than its own. Whatever
//! readers are known to disagree on is an error here: data behind entries that have none, names
//! given in two ways, numbers out of range, malformed extended headers (see `pax.rs`).

use super::error::{LayerError, Limit, Result, TreePath};
use super::header::{self, BLOCK};
use super::metadata::{Attributes, PERMISSIONS};
use super::pax::{self, Extended, Sparse};
use std::io::{self, Read};

/// More pieces than this of one file with holes are refused.
const MOST_PIECES: usize = 1 << 20;
/// Archives are padded to a whole number of records, 10 KiB as a rule; this is far more.
const MOST_PADDING: u64 = 64 << 20;

/// What an entry of an archive stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveKind {
    File,
    Hardlink,
    Symlink,
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Folder,
    Fifo,
}

/// One entry of an archive, without its content.
#[derive(Debug)]
pub(super) struct ArchiveEntry {
    /// As the archive has it, neither checked nor normalised.
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: ArchiveKind,
    pub(super) attributes: Attributes,
    /// The size of the file once written.
    pub(super) size: u64,
    /// Where the data that follow belong in a file with holes: offsets and lengths, ascending.
    pub(super) pieces: Option<Vec<(u64, u64)>>,
}

/// Reads the entries of an uncompressed tar.
pub(super) struct ArchiveReader<R> {
    input: R,
    offset: u64,
    /// Bytes of the current entry that were not read yet.
    content_left: u64,
    padding: u64,
    largest_header: u64,
    end_marker_required: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Begins to read. Extended headers may have `largest_header` bytes.
    pub(super) fn new(input: R, largest_header: u64, end_marker_required: bool) -> Self {
        Self {
            input,
            offset: 0,
            content_left: 0,
            padding: 0,
            largest_header,
            end_marker_required,
        }
    }

    /// Returns the next entry; none at the end, when all of the input has been read.
    pub(super) fn next_entry(&mut self) -> Result<Option<ArchiveEntry>> {
        self.skip_content()?;
        let mut long_name: Option<Vec<u8>> = None;
        let mut long_link: Option<Vec<u8>> = None;
        let mut extended: Option<Extended> = None;
        loop {
            let start = self.offset;
            let Some(header) = self.read_header()? else {
                if long_name.is_some() || long_link.is_some() || extended.is_some() {
                    return Err(malformed(start, "an extended header has no entry"));
                }
                return Ok(None);
            };
            let flag = header.as_old().linkflag[0];
            let twice = match flag {
                b'x' => extended.is_some(),
                b'L' => long_name.is_some(),
                b'K' => long_link.is_some(),
                b'g' => extended.is_some() || long_name.is_some() || long_link.is_some(),
                _ => {
                    let entry = self.entry(start, &header, long_name, long_link, extended)?;
                    return Ok(Some(entry));
                }
            };
            if twice {
                return Err(malformed(start, "two extended headers for one entry"));
            }
            let data = self.read_extension(start, &header)?;
            let at = |problem: String| malformed(start, problem);
            match flag {
                b'x' => extended = Some(pax::parse(&data).map_err(at)?),
                b'g' => pax::check_global(&data).map_err(at)?,
                b'L' => long_name = Some(long_text(start, data)?),
                _ => long_link = Some(long_text(start, data)?),
            }
        }
    }

    /// Reads the next bytes of the current entry; nothing at its end.
    pub(super) fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted =
            usize::try_from(self.content_left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.read_some(&mut buffer[..wanted])?;
        if length == 0 {
            return Err(truncated());
        }
        self.content_left -= length as u64;
        Ok(length)
    }

    fn entry(
        &mut self,
        start: u64,
        header: &tar::Header,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        extended: Option<Extended>,
    ) -> Result<ArchiveEntry> {
        let extended = extended.unwrap_or_default();
        let old = header.as_old();
        let number = |field: &[u8], name: &str| {
            number(field)
                .ok_or_else(|| malformed(start, format!("the {name} is no number in range")))
        };
        let positive = |field: &[u8], name: &str| {
            number(field, name).and_then(|value| {
                u64::try_from(value)
                    .map_err(|_| malformed(start, format!("the {name} is negative")))
            })
        };
        let id = |given: Option<u32>, field: &[u8], name: &str| {
            let value = positive(field, name)?;
            given
                .or_else(|| identifier(value))
                .ok_or_else(|| malformed(start, format!("the {name} {value} is out of range")))
        };
        let name =
            one_of(start, "name", extended.path, long_name)?.unwrap_or_else(|| header_name(header));
        let link = one_of(start, "link target", extended.link, long_link)?
            .unwrap_or_else(|| until_nul(&old.linkname));
        if name.contains(&0) || link.contains(&0) {
            return Err(malformed(start, "a name contains a NUL byte"));
        }
        let attributes = Attributes {
            mode: (positive(&old.mode, "mode")? & u64::from(PERMISSIONS)) as u32,
            uid: id(extended.uid, &old.uid, "user id")?,
            gid: id(extended.gid, &old.gid, "group id")?,
            modified: match (extended.modified, number(&old.mtime, "time")?) {
                (Some(modified), _) | (None, modified) => modified,
            },
            extended: extended.attributes,
        };
        let stored = match (extended.size, positive(&old.size, "size")?) {
            (Some(size), _) | (None, size) => size,
        };
        let kind = self.kind(start, header, &name)?;
        if kind != ArchiveKind::File && stored != 0 {
            let problem = format!(
                "{} has {stored} bytes of data, which its type does not allow",
                TreePath::new(&name)
            );
            return Err(malformed(start, problem));
        }
        self.content_left = stored;
        self.padding = padding(stored);

        let mut size = stored;
        let mut pieces = None;
        let sparse = match (extended.sparse, old.linkflag[0]) {
            (None, b'S') => Some(self.gnu_sparse(start, header)?),
            (Some(_), b'S') => {
                return Err(malformed(start, "a sparse file is described in two ways"));
            }
            (None, _) => None,
            (Some(_), _) if kind != ArchiveKind::File => {
                return Err(malformed(start, "only files can have holes"));
            }
            (Some(Sparse::Pieces { size, pieces }), _) => Some((size, pieces)),
            (Some(Sparse::InData { size }), _) => Some((size, self.pieces_in_data(start)?)),
        };
        if let Some((full_size, map)) = sparse {
            check_pieces(start, &map, full_size, self.content_left)?;
            size = full_size;
            pieces = Some(map);
        }
        Ok(ArchiveEntry {
            name,
            link,
            kind,
            attributes,
            size,
            pieces,
        })
    }

    fn kind(&self, start: u64, header: &tar::Header, name: &[u8]) -> Result<ArchiveKind> {
        let device = || {
            let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
                (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
                (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
                (None, None) => return Err(malformed(start, "a device has no number")),
            };
            // The kernel's own limits: 12 bits and 20 bits.
            let part = |field: &[u8], bits: u32| {
                number(field)
                    .and_then(|value| u32::try_from(value).ok())
                    .filter(|value| value >> bits == 0)
                    .ok_or_else(|| malformed(start, "a device number is out of range"))
            };
            Ok((part(major, 12)?, part(minor, 20)?))
        };
        Ok(match header.as_old().linkflag[0] {
            0 if name.ends_with(b"/") => ArchiveKind::Folder,
            0 | b'0' | b'7' | b'S' => ArchiveKind::File,
            b'1' => ArchiveKind::Hardlink,
            b'2' => ArchiveKind::Symlink,
            b'3' => device().map(|(major, minor)| ArchiveKind::CharacterDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| ArchiveKind::BlockDevice { major, minor })?,
            b'5' => ArchiveKind::Folder,
            b'6' => ArchiveKind::Fifo,
            other => {
                let problem = format!(
                    "{} has the unknown type {:?}",
                    TreePath::new(name),
                    char::from(other)
                );
                return Err(malformed(start, problem));
            }
        })
    }

    /// Reads the map of GNU tar's own sparse format, which goes on in blocks behind the header.
    fn gnu_sparse(&mut self, start: u64, header: &tar::Header) -> Result<(u64, Vec<(u64, u64)>)> {
        let problem = || malformed(start, "the map of a sparse file is malformed");
        let gnu = header.as_gnu().ok_or_else(problem)?;
        let field = |bytes: &[u8]| number(bytes).and_then(|value| u64::try_from(value).ok());
        let size = field(&gnu.realsize).ok_or_else(problem)?;
        let mut pieces = Vec::new();
        let mut add = |pairs: &[tar::GnuSparseHeader]| {
            for pair in pairs.iter().take_while(|pair| pair.offset[0] != 0) {
                let offset = field(&pair.offset).ok_or_else(problem)?;
                let length = field(&pair.numbytes).ok_or_else(problem)?;
                pieces.push((offset, length));
            }
            Ok(pieces.len())
        };
        add(&gnu.sparse)?;
        let mut more = gnu.isextended[0] != 0;
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.read_exact(block.as_mut_bytes())?;
            if add(block.sparse())? > MOST_PIECES {
                return Err(malformed(start, "a sparse file has too many pieces"));
            }
            more = block.is_extended();
        }
        Ok((size, pieces))
    }

    /// Reads the map of a PAX sparse file of version 1.0: decimal lines, padded to whole blocks.
    fn pieces_in_data(&mut self, start: u64) -> Result<Vec<(u64, u64)>> {
        let mut text: Vec<u8> = Vec::new();
        let mut used = 0;
        let mut number = |reader: &mut Self| loop {
            if let Some((value, rest)) = pax::number_until(&text[used..], b'\n') {
                used = text.len() - rest.len();
                return Ok(value);
            }
            let unread = text.len() - used;
            if unread > 32 || reader.content_left < BLOCK as u64 {
                return Err(malformed(start, "the map of a sparse file is malformed"));
            }
            let mut block = [0; BLOCK];
            reader.read_exact(&mut block)?;
            reader.content_left -= BLOCK as u64;
            text.drain(..used);
            used = 0;
            text.extend_from_slice(&block);
        };
        let count = number(self)?;
        if count > MOST_PIECES as u64 {
            return Err(malformed(start, "a sparse file has too many pieces"));
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((number(self)?, number(self)?));
        }
        Ok(pieces)
    }

    fn read_extension(&mut self, start: u64, header: &tar::Header) -> Result<Vec<u8>> {
        let size = number(&header.as_old().size)
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| malformed(start, "the size of an extended header is no number"))?;
        if size > self.largest_header {
            return Err(LayerError::Limit {
                entry: TreePath(header_name(header)),
                limit: Limit::HeaderSize,
                allowed: self.largest_header,
            });
        }
        // Bounded by the limit just checked.
        let mut data = vec![0; size as usize];
        self.read_exact(&mut data)?;
        self.padding = padding(size);
        self.skip_content()?;
        Ok(data)
    }

    /// Reads a header; none at the end of the archive.
    fn read_header(&mut self) -> Result<Option<tar::Header>> {
        let start = self.offset;
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.read_some(&mut block[filled..])? {
                0 if filled == 0 && !self.end_marker_required => return Ok(None),
                0 if filled == 0 => {
                    return Err(malformed(start, "the archive ends without its end marker"));
                }
                0 => return Err(truncated()),
                length => filled += length,
            }
        }
        if block == [0; BLOCK] {
            self.read_padding()?;
            return Ok(None);
        }
        let stated = number(&block[148..156]);
        let signed: i64 = block
            .iter()
            .enumerate()
            .map(|(index, byte)| match index {
                148..156 => i64::from(b' '),
                _ => i64::from(*byte as i8),
            })
            .sum();
        // Old writers summed signed bytes; it differs for names beyond ASCII only.
        let unsigned = header::checksum(&block) as i64;
        if stated != Some(unsigned) && stated != Some(signed) {
            return Err(malformed(start, "the checksum of a header is wrong"));
        }
        Ok(Some(tar::Header::from_byte_slice(&block).clone()))
    }

    /// Reads what follows the end marker, which may only be zeros.
    fn read_padding(&mut self) -> Result<()> {
        let start = self.offset;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = self.read_some(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            if buffer[..length].iter().any(|byte| *byte != 0) {
                return Err(malformed(start, "data follow the end of the archive"));
            }
            if self.offset - start > MOST_PADDING {
                return Err(malformed(
                    start,
                    "endless zeros follow the end of the archive",
                ));
            }
        }
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.content_left + self.padding;
        self.content_left = 0;
        self.padding = 0;
        let mut buffer = [0; 8 * 1024];
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            match self.read_some(&mut buffer[..wanted])? {
                0 => return Err(truncated()),
                length => left -= length as u64,
            }
        }
        Ok(())
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_some(&mut buffer[filled..])? {
                0 => return Err(truncated()),
                length => filled += length,
            }
        }
        Ok(())
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buffer) {
                Ok(length) => {
                    self.offset += length as u64;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LayerError::Input(error)),
            }
        }
    }
}

/// Returns `number` as a user or group id. The largest one means "leave it" to the kernel.
pub(super) fn identifier(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|id| *id != u32::MAX)
}

fn malformed(offset: u64, problem: impl Into<String>) -> LayerError {
    LayerError::Malformed {
        offset,
        problem: problem.into(),
    }
}

fn truncated() -> LayerError {
    let problem = "the archive ends in the middle of an entry";
    LayerError::Input(io::Error::new(io::ErrorKind::UnexpectedEof, problem))
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn one_of(
    start: u64,
    what: &str,
    extended: Option<Vec<u8>>,
    long: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>> {
    match (extended, long) {
        (Some(_), Some(_)) => Err(malformed(start, format!("the {what} is given in two ways"))),
        (extended, long) => Ok(extended.or(long)),
    }
}

fn header_name(header: &tar::Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    match header.as_ustar() {
        Some(ustar) if ustar.prefix[0] != 0 => {
            [&until_nul(&ustar.prefix)[..], b"/", &name].concat()
        }
        _ => name,
    }
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    let length = field.iter().position(|byte| *byte == 0);
    field[..length.unwrap_or(field.len())].to_vec()
}

/// The content of GNU tar's long name: ends with a NUL, or is padded with them.
fn long_text(start: u64, data: Vec<u8>) -> Result<Vec<u8>> {
    let text = until_nul(&data);
    if data[text.len()..].iter().any(|byte| *byte != 0) {
        return Err(malformed(start, "a long name contains a NUL byte"));
    }
    Ok(text)
}

/// Reads a numeric field: octal digits between spaces and NULs, or base 256 (a GNU extension).
fn number(field: &[u8]) -> Option<i64> {
    match field.split_first()? {
        (first, rest) if first & 0x80 != 0 => {
            // Two's complement, the top bit being the mark; the next one is the sign.
            let negative = first & 0x40 != 0;
            let mut value = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
            for byte in rest {
                value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
            }
            i64::try_from(value).ok()
        }
        _ => {
            let start = field.iter().position(|byte| *byte != b' ');
            let field = &field[start.unwrap_or(field.len())..];
            let digits = field
                .iter()
                .position(|byte| !(b'0'..=b'7').contains(byte))
                .unwrap_or(field.len());
            let (digits, rest) = field.split_at(digits);
            if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
                return None;
            }
            digits.iter().try_fold(0i64, |value, digit| {
                value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))
            })
        }
    }
}

fn check_pieces(start: u64, pieces: &[(u64, u64)], size: u64, data: u64) -> Result<()> {
    let mut end = 0u64;
    let mut sum = 0u64;
    for (offset, length) in pieces {
        let next = offset.checked_add(*length).filter(|next| *next <= size);
        match next {
            Some(next) if *offset >= end => end = next,
            _ => {
                return Err(malformed(
                    start,
                    "the pieces of a sparse file overlap or go past it",
                ));
            }
        }
        // Cannot overflow: the pieces do not overlap and end within the size.
        sum += length;
    }
    if sum != data {
        return Err(malformed(
            start,
            "the pieces of a sparse file are not those that follow",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_fields_are_octal_or_base_256() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777 ", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", Some(0x102)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb",
                Some(-5),
            ),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"64 4\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(number(field), value, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn the_largest_id_is_no_id() {
        assert_eq!(identifier(u64::from(u32::MAX) - 1), Some(u32::MAX - 1));
        assert_eq!(identifier(u64::from(u32::MAX)), None);
        assert_eq!(identifier(1 << 32), None);
    }
}
