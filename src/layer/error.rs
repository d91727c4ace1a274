//! What can go wrong with a tree, an archive or a compressed layer.
//!
//! Every error names the operation and the object. Paths are bytes (a tree may hold any name) and
//! are shown with unprintable characters escaped.

use std::fmt;
use std::io;

/// The result of an operation on a layer.
pub type Result<T> = std::result::Result<T, LayerError>;

/// Why a tree could not be read, changed or removed, or an archive not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A system call on an object of a tree failed.
    #[error("cannot {operation} {path}")]
    Tree {
        /// What was tried, as a verb: "open", "set the owner of".
        operation: &'static str,
        /// The object, relative to the root of the tree.
        path: TreePath,
        /// What the system said.
        source: io::Error,
    },
    /// The archive could not be read or decompressed.
    #[error("cannot read the archive")]
    Input(#[source] io::Error),
    /// The archive could not be written or compressed.
    #[error("cannot write the layer")]
    Output(#[source] io::Error),
    /// A file was written to while it was read, so that its size changed.
    #[error("{path} changed while it was read: it had {expected} bytes")]
    Changed {
        /// The file.
        path: TreePath,
        /// The size in bytes that it had first.
        expected: u64,
    },
    /// A file of a tree has a name that means "deleted" in a layer (OCI image specification,
    /// layer, "Whiteouts").
    #[error(
        "{path} cannot be part of a layer: names that begin with \".wh.\" mark deletions there"
    )]
    ReservedName {
        /// The file.
        path: TreePath,
    },
    /// An extended attribute whose name cannot be written to a PAX header.
    #[error("the attribute {attribute} of {path} cannot be part of a layer: its name has a \"=\"")]
    AttributeName {
        /// The file.
        path: TreePath,
        /// The name of the attribute.
        attribute: TreePath,
    },
    /// An overlay folder holds only a pointer to the real content, which a layer cannot express.
    #[error("{path} was changed with an overlay option that layers cannot express ({attribute})")]
    Redirected {
        /// The file or folder.
        path: TreePath,
        /// The attribute that says so.
        attribute: TreePath,
    },
    /// A folder was replaced while its content was worked on.
    #[error("{path} was replaced while it was worked on")]
    Replaced {
        /// The folder.
        path: TreePath,
    },
    /// The archive is not a well-formed tar.
    #[error("malformed archive at byte {offset}: {problem}")]
    Malformed {
        /// Where the header, or the part of it, begins.
        offset: u64,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// An entry of the archive asks for something that is never done.
    #[error("refused archive entry {entry}: {problem}")]
    Refused {
        /// The entry's name as the archive has it.
        entry: TreePath,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// The archive exceeds a limit.
    #[error("archive entry {entry} exceeds the limit on {limit}: at most {allowed}")]
    Limit {
        /// The entry at which it was seen.
        entry: TreePath,
        /// Which limit.
        limit: Limit,
        /// The largest value allowed.
        allowed: u64,
    },
}

/// A limit on what one archive may contain (see `ExtractLimits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The number of entries.
    Entries,
    /// The bytes of all files together.
    TotalSize,
    /// The bytes of one file.
    FileSize,
    /// The bytes of one name or link target.
    PathLength,
    /// The number of nested folders.
    Depth,
    /// The bytes of one extended header (long names and attributes).
    HeaderSize,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Entries => "the number of entries",
            Self::TotalSize => "the bytes of all files together",
            Self::FileSize => "the bytes of one file",
            Self::PathLength => "the bytes of one path",
            Self::Depth => "nested folders",
            Self::HeaderSize => "the bytes of one extended header",
        })
    }
}

/// A path inside a tree or an archive, kept as bytes and shown escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct TreePath(pub Vec<u8>);

impl TreePath {
    /// Copies `path`.
    pub fn new(path: &[u8]) -> Self {
        Self(path.to_vec())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("the root folder");
        }
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(formatter, "{}", character.escape_default())?;
                } else {
                    write!(formatter, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(formatter, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// Names the operation and the object of a failed system call.
pub(super) trait Context<T> {
    /// Turns the error into [`LayerError::Tree`].
    fn context(self, operation: &'static str, path: &[u8]) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, operation: &'static str, path: &[u8]) -> Result<T> {
        self.map_err(|source| LayerError::Tree {
            operation,
            path: TreePath::new(path),
            source: source.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_on_one_line_whatever_they_hold() {
        for (path, shown) in [
            (&b""[..], "the root folder"),
            (b"etc/passwd", "etc/passwd"),
            ("stra\u{df}e".as_bytes(), "stra\u{df}e"),
            (b"a\nb\x1b[0m", "a\\nb\\u{1b}[0m"),
            (b"\xff\xfe", "\\xff\\xfe"),
        ] {
            assert_eq!(TreePath::new(path).to_string(), shown);
        }
    }
}
