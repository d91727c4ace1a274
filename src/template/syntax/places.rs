//! Places: where the bytes of a text that is being parsed stand in a source file.

use crate::diagnostic::{FileId, SourceSpan};
use std::ops::Range;
use std::sync::Arc;

/// The places of the bytes of one text.
#[derive(Clone, Debug)]
pub(super) enum Places {
    /// The text stands in the file as it is, from this byte on.
    Plain { file: FileId, start: usize },
    /// The text was decoded: byte `i` of it begins at byte `offsets[i]` of the file. One more
    /// offset than bytes.
    Decoded { file: FileId, offsets: Arc<[usize]> },
}

impl Places {
    /// The place of a part of the text.
    pub(super) fn span(&self, range: Range<usize>) -> SourceSpan {
        match self {
            Places::Plain { file, start } => {
                SourceSpan::new(*file, start + range.start..start + range.end)
            }
            Places::Decoded { file, offsets } => {
                let offset = |index: usize| {
                    let known = offsets.get(index).or_else(|| offsets.last());
                    known.copied().unwrap_or(0)
                };
                SourceSpan::new(*file, offset(range.start)..offset(range.end))
            }
        }
    }
}
