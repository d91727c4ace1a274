//! PAX extended headers, read strictly (POSIX.1-2024, pax, "pax Header Block").
//!
//! Readers that disagree on a malformed record see different archives in the same bytes, which has
//! been used to smuggle entries past scanners. So a record is either well formed, or the archive is
//! refused: no record is skipped, none overrides another, and sizes have one meaning.

/// What one extended header says about the entry that follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Whole seconds since 1970, rounded down.
    pub(super) modified: Option<i64>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Option<Sparse>,
}

/// GNU tar's description of a file with holes, kept in PAX records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sparse {
    /// Version 0.1: the pieces (offset, length) are in the header.
    Pieces { size: u64, pieces: Vec<(u64, u64)> },
    /// Version 1.0: the pieces are at the beginning of the data.
    InData { size: u64 },
}

/// The records of one header, in order.
type Records<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Reads the records for one entry.
///
/// # Errors
///
/// If any record is malformed, comes twice, or has a value that is no such thing: the problem as a
/// clause.
pub(super) fn parse(data: &[u8]) -> Result<Extended, String> {
    let records = records(data)?;
    let mut extended = Extended::default();
    let mut sparse = SparseRecords::default();
    for (key, value) in &records {
        let (key, value) = (*key, *value);
        match key {
            b"path" => extended.path = Some(value.to_vec()),
            b"linkpath" => extended.link = Some(value.to_vec()),
            b"size" => extended.size = Some(number(key, value)?),
            b"uid" => extended.uid = Some(identifier(key, value)?),
            b"gid" => extended.gid = Some(identifier(key, value)?),
            b"mtime" => extended.modified = Some(seconds(value)?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    if name.is_empty() {
                        return Err("an extended attribute has no name".to_owned());
                    }
                    extended.attributes.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    sparse.record(name, value)?;
                }
                // Others are for information: atime, ctime, uname, gname, comment, vendors' own.
            }
        }
    }
    extended.attributes.sort_unstable();
    if let Some(name) = sparse.name.take() {
        extended.path = Some(name);
    }
    extended.sparse = sparse.finish()?;
    Ok(extended)
}

/// Checks the records that apply to all entries. Readers differ on whether they do, so those that
/// would change an entry are refused.
pub(super) fn check_global(data: &[u8]) -> Result<(), String> {
    for (key, _) in records(data)? {
        let changes_entries = matches!(
            key,
            b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime"
        ) || key.starts_with(b"SCHILY.")
            || key.starts_with(b"LIBARCHIVE.")
            || key.starts_with(b"GNU.");
        if changes_entries {
            return Err(format!(
                "a global header sets {}, which readers take differently",
                key.escape_ascii()
            ));
        }
    }
    Ok(())
}

/// Reads one decimal number up to `end`, for the maps of sparse files; returns it and the rest.
pub(super) fn number_until(data: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let length = data.iter().position(|byte| *byte == end)?;
    Some((decimal(&data[..length])?, &data[length + 1..]))
}

#[derive(Default)]
struct SparseRecords {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
    map: Option<Vec<(u64, u64)>>,
    present: bool,
}

impl SparseRecords {
    fn record(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        self.present = true;
        match name {
            b"major" => self.major = Some(number(name, value)?),
            b"minor" => self.minor = Some(number(name, value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" | b"size" => {
                if self.size.replace(number(name, value)?).is_some() {
                    return Err("a sparse file has two sizes".to_owned());
                }
            }
            b"numblocks" => {
                number(name, value)?;
            }
            b"map" => {
                let numbers: Option<Vec<u64>> =
                    value.split(|byte| *byte == b',').map(decimal).collect();
                let pairs = numbers
                    .filter(|numbers| numbers.len() % 2 == 0)
                    .ok_or("the map of a sparse file is malformed")?;
                self.map = Some(
                    pairs
                        .chunks_exact(2)
                        .map(|pair| (pair[0], pair[1]))
                        .collect(),
                );
            }
            // Version 0.0 repeats records, which nothing has written since 2006.
            _ => {
                return Err(format!(
                    "GNU.sparse.{} is not a supported way to write files with holes",
                    name.escape_ascii()
                ));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Sparse>, String> {
        if !self.present {
            return Ok(None);
        }
        let size = self.size.ok_or("a sparse file has no size")?;
        match (self.major, self.minor, self.map) {
            (Some(1), Some(0), None) => Ok(Some(Sparse::InData { size })),
            (None, None, Some(pieces)) | (Some(0), Some(1), Some(pieces)) => {
                Ok(Some(Sparse::Pieces { size, pieces }))
            }
            _ => Err("a sparse file is written in an unknown version".to_owned()),
        }
    }
}

fn records(mut data: &[u8]) -> Result<Records<'_>, String> {
    let mut records: Records<'_> = Vec::new();
    let mut keys = std::collections::HashSet::new();
    while !data.is_empty() {
        let (length, after) = number_until(data, b' ').ok_or("a record has no valid length")?;
        let digits = data.len() - after.len();
        let length = usize::try_from(length).map_err(|_| "a record's length is too large")?;
        if length > data.len() || length <= digits {
            return Err("a record's length does not fit its header".to_owned());
        }
        let record = data[digits..length]
            .strip_suffix(b"\n")
            .ok_or("a record does not end where its length says")?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .filter(|equals| *equals > 0)
            .ok_or("a record has no key")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if !keys.insert(key) {
            return Err(format!("{} is given twice", key.escape_ascii()));
        }
        records.push((key, value));
        data = &data[length..];
    }
    Ok(records)
}

fn number(key: &[u8], value: &[u8]) -> Result<u64, String> {
    decimal(value).ok_or_else(|| {
        format!(
            "{} is {:?}, which is no number in range",
            key.escape_ascii(),
            value.escape_ascii().to_string()
        )
    })
}

fn identifier(key: &[u8], value: &[u8]) -> Result<u32, String> {
    let number = number(key, value)?;
    super::read::identifier(number)
        .ok_or_else(|| format!("{} {number} is out of range", key.escape_ascii()))
}

/// Decimal digits and nothing else, below 2^63.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    i64::try_from(number).ok()?;
    Some(number)
}

/// Reads a time such as `1700000000.123` or `-1.5`, rounded down to whole seconds.
fn seconds(value: &[u8]) -> Result<i64, String> {
    let error = || {
        format!(
            "mtime is {:?}, which is no time",
            value.escape_ascii().to_string()
        )
    };
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().and_then(decimal).ok_or_else(error)?;
    let fraction = parts.next().unwrap_or(b"0");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(error());
    }
    let whole = i64::try_from(whole).map_err(|_| error())?;
    let below = negative && fraction.iter().any(|digit| *digit != b'0');
    Ok(if negative { -whole } else { whole } - i64::from(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record, with its length.
    fn record(key: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length += 1;
        }
        format!("{length}{rest}").into_bytes()
    }

    #[test]
    fn well_formed_records_are_read() {
        let data = [
            record("path", "a/b"),
            record("linkpath", "=\n"),
            record("size", "8589934592"),
            record("uid", "4294967294"),
            record("SCHILY.xattr.user.b", "\n="),
            record("SCHILY.xattr.user.a", ""),
            record("VENDOR.unknown", "x"),
        ]
        .concat();
        let expected = Extended {
            path: Some(b"a/b".to_vec()),
            link: Some(b"=\n".to_vec()),
            size: Some(8_589_934_592),
            uid: Some(4_294_967_294),
            attributes: vec![
                (b"user.a".to_vec(), Vec::new()),
                (b"user.b".to_vec(), b"\n=".to_vec()),
            ],
            ..Extended::default()
        };
        assert_eq!(parse(&data), Ok(expected));
        for (text, seconds) in [
            ("-5", -5),
            ("-1.5", -2),
            ("-1.0", -1),
            ("1.9", 1),
            ("-0.1", -1),
        ] {
            let parsed = parse(&record("mtime", text)).unwrap();
            assert_eq!(parsed.modified, Some(seconds), "{text}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for data in [
            &b"path=a\n"[..],
            b"10 path=a",
            b"11 path=a\n",
            b"8 path=a\n",
            b"9 path=a\n\0",
            b" 9 path=a\n",
            b"+9 path=a\n",
            b"-9 path=a\n",
            b"09999999999999999999 path=a\n",
            b"18446744073709551625 path=a\n",
            b"2 \n",
            b"3 \n\n",
            b"5 =a\n",
            b"6 path\n",
        ] {
            assert!(parse(data).is_err(), "{}", data.escape_ascii());
        }
        for (key, value) in [
            ("size", "-1"),
            ("size", "+1"),
            ("size", "0x1"),
            ("size", ""),
            ("size", "18446744073709551615"),
            ("size", "9223372036854775808"),
            ("uid", "4294967296"),
            ("uid", "4294967295"),
            ("gid", "-1"),
            ("mtime", "1e9"),
            ("mtime", "-"),
            ("SCHILY.xattr.", ""),
            ("GNU.sparse.offset", "1"),
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.map", "1"),
        ] {
            let data = record(key, value);
            assert!(parse(&data).is_err(), "{}", data.escape_ascii());
        }
        for key in ["path", "size", "SCHILY.xattr.user.a"] {
            let data = [record(key, "1"), record(key, "1")].concat();
            assert!(parse(&data).unwrap_err().contains("twice"));
        }
    }

    #[test]
    fn global_headers_may_only_comment() {
        assert_eq!(check_global(&record("comment", "a")), Ok(()));
        for key in [
            "path",
            "linkpath",
            "size",
            "uid",
            "mtime",
            "SCHILY.xattr.user.a",
        ] {
            assert!(check_global(&record(key, "1")).is_err(), "{key}");
        }
        assert!(check_global(b"8 nonsense").is_err());
    }

    #[test]
    fn maps_of_sparse_files_are_read() {
        let data = [
            record("GNU.sparse.size", "10"),
            record("GNU.sparse.map", "0,1,9,1"),
        ]
        .concat();
        let pieces = vec![(0, 1), (9, 1)];
        assert_eq!(
            parse(&data).unwrap().sparse,
            Some(Sparse::Pieces { size: 10, pieces })
        );
        let data = [
            record("GNU.sparse.major", "1"),
            record("GNU.sparse.minor", "0"),
            record("GNU.sparse.name", "real"),
            record("path", "GNUSparseFile.0/real"),
            record("GNU.sparse.realsize", "10"),
        ]
        .concat();
        let parsed = parse(&data).unwrap();
        assert_eq!(parsed.sparse, Some(Sparse::InData { size: 10 }));
        assert_eq!(parsed.path.as_deref(), Some(&b"real"[..]));
    }
}
