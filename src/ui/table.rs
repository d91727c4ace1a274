//! Tables: rows of texts in columns that line up.
//!
//! Made for lists such as that of `hardtack images`. Cells are neutral text without colours; a
//! table does not know the width of the terminal and never cuts.

use crate::text;
use std::fmt;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For texts.
    Left,
    /// For numbers.
    Right,
}

/// A table of `N` columns. Displayed, it is its header, if it has one, and its rows, each with a
/// line feed.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    header: Option<[&'static str; N]>,
    align: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Makes an empty table whose columns have titles.
    pub fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            header: Some(columns.map(|(title, _)| title)),
            align: columns.map(|(_, align)| align),
            rows: Vec::new(),
        }
    }

    /// Makes an empty table without a header.
    pub fn without_header(align: [Align; N]) -> Self {
        Self {
            header: None,
            align,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells become neutral, and line feeds spaces.
    pub fn push(&mut self, cells: [String; N]) {
        let neutral = |cell: String| text::neutralise(&cell).replace('\n', " ");
        self.rows.push(cells.map(neutral));
    }

    /// Returns whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the header, if there is one, and the rows as lines without line feeds.
    pub fn lines(&self) -> Vec<String> {
        let header = self.header.map(|titles| titles.map(str::to_owned));
        let rows: Vec<&[String; N]> = header.iter().chain(&self.rows).collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| text::width(&row[column]));
            cells.max().unwrap_or(0)
        });
        rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for ((cell, align), width) in row.iter().zip(self.align).zip(widths) {
            let padding = " ".repeat(width - text::width(cell));
            let (before, after) = match align {
                Align::Left => ("", padding.as_str()),
                Align::Right => (padding.as_str(), ""),
            };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(formatter, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_display_width() {
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("SIZE", Align::Right),
            ("AGE", Align::Left),
        ]);
        assert!(table.is_empty());
        for (name, size, age) in [
            ("oci.base", "45.2 MB", "3 days ago"),
            ("漢字", "1 B", ""),
            ("evil\x1b[2J\nname", "1.0 GB", "just now"),
        ] {
            table.push([name.to_owned(), size.to_owned(), age.to_owned()]);
        }
        insta::assert_snapshot!(table, @r#"
        NAME          SIZE  AGE
        oci.base   45.2 MB  3 days ago
        漢字           1 B
        evil name   1.0 GB  just now
        "#);
    }

    #[test]
    fn a_table_without_header_and_rows_is_nothing() {
        let mut table = Table::without_header([Align::Right, Align::Left]);
        assert_eq!(table.to_string(), "");
        table.push(["1".to_owned(), "a".to_owned()]);
        table.push(["10".to_owned(), String::new()]);
        assert_eq!(table.to_string(), " 1  a\n10\n");
    }
}
