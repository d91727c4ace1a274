//! The screen: a terminal as the library for live lines wants it, on any writer.
//!
//! What is drawn is collected and sent in one write, so that no half-drawn state is ever seen.
//! The cursor moves but is never hidden.

use super::{Size, SizeSource};
use indicatif::TermLike;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size where it is not known.
const DEFAULT_SIZE: Size = Size {
    columns: 80,
    rows: 24,
};

/// Clones draw on the same screen.
#[derive(Clone)]
pub(super) struct Screen {
    inner: Arc<Inner>,
}

struct Inner {
    size: SizeSource,
    state: Mutex<State>,
}

struct State {
    output: Box<dyn Write + Send>,
    pending: Vec<u8>,
}

impl Screen {
    pub(super) fn new(output: Box<dyn Write + Send>, size: SizeSource) -> Self {
        let state = Mutex::new(State {
            output,
            pending: Vec::new(),
        });
        Self {
            inner: Arc::new(Inner { size, state }),
        }
    }

    /// Returns the size at this moment; terminals that report nothing, or zero, count as 80 × 24.
    pub(super) fn size(&self) -> Size {
        let size = (self.inner.size)().unwrap_or(DEFAULT_SIZE);
        Size {
            columns: match size.columns {
                0 => DEFAULT_SIZE.columns,
                // A character may take two columns.
                columns => columns.max(2),
            },
            rows: match size.rows {
                0 => DEFAULT_SIZE.rows,
                rows => rows,
            },
        }
    }

    /// Adds `text` to what is drawn.
    pub(super) fn draw(&self, text: &str) {
        self.state().pending.extend_from_slice(text.as_bytes());
    }

    /// Sends all that was drawn to the terminal.
    pub(super) fn send(&self) {
        let state = &mut *self.state();
        super::write(&mut *state.output, &state.pending);
        state.pending.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn move_cursor(&self, cells: usize, direction: char) {
        if cells > 0 {
            self.draw(&format!("\x1b[{cells}{direction}"));
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Screen").finish_non_exhaustive()
    }
}

/// Control sequences are those of ECMA-48: CUU, CUD, CUF, CUB and EL.
impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.size().columns
    }

    fn height(&self) -> u16 {
        self.size().rows
    }

    fn move_cursor_up(&self, cells: usize) -> io::Result<()> {
        self.move_cursor(cells, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, cells: usize) -> io::Result<()> {
        self.move_cursor(cells, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, cells: usize) -> io::Result<()> {
        self.move_cursor(cells, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, cells: usize) -> io::Result<()> {
        self.move_cursor(cells, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(text);
        self.draw("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        // `send` is called when a whole update is drawn.
        Ok(())
    }
}
