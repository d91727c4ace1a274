//! Tails: the last lines that a program wrote, for whoever wonders why a check failed.

use std::collections::VecDeque;

/// How many lines are kept.
const LINES: usize = 20;
/// How many bytes of a line are kept.
const LINE_BYTES: usize = 2000;

/// The last lines of what was written so far.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
    is_open: bool,
}

impl Tail {
    /// Takes what was written next.
    pub fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if !self.is_open {
                if self.lines.len() == LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(Vec::new());
            }
            if let Some(line) = self.lines.back_mut() {
                let room = LINE_BYTES.saturating_sub(line.len());
                line.extend(text.iter().take(room));
            }
            self.is_open = !ends;
        }
    }

    /// The lines, without their ends.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.iter();
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_however_they_come() {
        let mut tail = Tail::default();
        tail.write(b"on");
        tail.write(b"e\ntwo\n\nfo");
        tail.write(b"ur");
        assert_eq!(tail.lines(), ["one", "two", "", "four"]);
        for _ in 0..100 {
            tail.write(b"x\n");
        }
        assert_eq!(tail.lines(), ["x"; LINES]);
        tail.write(&[b'y'; 3 * LINE_BYTES]);
        assert_eq!(tail.lines()[LINES - 1].len(), LINE_BYTES);
    }
}
