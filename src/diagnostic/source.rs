//! Source texts and places in them.

use std::ops::Range;
use std::sync::Arc;

/// One text among [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in a source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceSpan {
    /// The text.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl SourceSpan {
    /// The place of a range in a text.
    pub fn new(file: FileId, range: Range<usize>) -> SourceSpan {
        SourceSpan {
            file,
            start: range.start,
            end: range.end,
        }
    }

    /// The range of bytes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// From the beginning of this place to the end of another one in the same text.
    pub fn to(self, other: SourceSpan) -> SourceSpan {
        SourceSpan {
            end: self.end.max(other.end),
            ..self
        }
    }
}

/// The texts that diagnostics point into: files, and values given on the command line or in the
/// environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Sources {
    /// No texts.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a text under the name that messages show.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source {
            name: name.into(),
            text: text.into(),
        });
        id
    }

    /// The name that messages show.
    pub fn name(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.name)
    }

    /// The whole text.
    pub fn text(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.text)
    }

    /// The text at a place; empty if the place is not in the text.
    pub fn slice(&self, span: SourceSpan) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// Replaces the text at a place by asterisks, line by line, so that no diagnostic shows it.
    pub fn hide(&mut self, span: SourceSpan) {
        let Some(source) = usize::try_from(span.file.0)
            .ok()
            .and_then(|index| self.files.get_mut(index))
        else {
            return;
        };
        if let (Some(before), Some(hidden), Some(after)) = (
            source.text.get(..span.start),
            source.text.get(span.range()),
            source.text.get(span.end..),
        ) {
            // As many bytes as before: other places stay where they are.
            let hidden = hidden
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { '*' });
            let hidden: String = hidden.collect();
            source.text = Arc::from([before, &hidden, after].concat());
        }
    }

    /// Line and column of a place's beginning, counted from 1; columns count characters.
    pub fn line_and_column(&self, span: SourceSpan) -> (usize, usize) {
        line_and_column(self.text(span.file), span.start)
    }

    /// `file:line:column` of a place's beginning.
    pub fn locate(&self, span: SourceSpan) -> String {
        let (line, column) = self.line_and_column(span);
        format!("{}:{line}:{column}", self.name(span.file))
    }

    fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(usize::try_from(file.0).ok()?)
    }
}

/// Line and column, counted from 1, of a byte offset; columns count characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = text.floor_char_boundary(offset);
    let before = text.get(..offset).unwrap_or("");
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_text_keeps_all_places() {
        let mut sources = Sources::new();
        let file = sources.add("f", "a = \"\u{fc}\nx\" # b");
        sources.hide(SourceSpan::new(file, 4..10));
        assert_eq!(sources.text(file), "a = ***\n** # b");
        sources.hide(SourceSpan::new(file, 40..50));
        assert_eq!(sources.text(file), "a = ***\n** # b");
    }

    #[test]
    fn places() {
        let text = "a = 1\r\nü = é\n";
        for (offset, expected) in [
            (0, (1, 1)),
            (4, (1, 5)),
            (7, (2, 1)),
            (8, (2, 1)),
            (9, (2, 2)),
            (text.len(), (3, 1)),
            (text.len() + 10, (3, 1)),
        ] {
            assert_eq!(line_and_column(text, offset), expected, "{offset}");
        }
    }
}
