//! Tables of words, aligned by display width.

use std::fmt;
use unicode_segmentation::UnicodeSegmentation;

/// A table with `N` columns.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Begins with the names of the columns.
    pub fn new(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(str::to_owned)],
        }
    }

    /// Adds a row. Control characters are replaced, so that a row stays one line.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.map(|cell| super::text::visible(&cell)));
    }
}

/// Columns that `text` takes on a terminal, near enough for names and numbers.
fn width(text: &str) -> usize {
    text.graphemes(true).count()
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: [usize; N] = std::array::from_fn(|column| {
            self.rows
                .iter()
                .map(|row| width(&row[column]))
                .max()
                .unwrap_or(0)
        });
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(wide - width(cell) + 3));
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["NAME", "SIZE"]);
        table.row(["oci.base".to_owned(), "1B".to_owned()]);
        table.row(["ü\n".to_owned(), "20B".to_owned()]);
        assert_eq!(
            table.to_string(),
            "NAME       SIZE\noci.base   1B\nü?         20B\n"
        );
    }
}
