//! Saying: what a command tells a person, or with `-machine-readable` a program.
//!
//! For people, data goes to standard output and messages to standard error. Packer's
//! machine-readable lines all go to standard output, as scripts expect them there.

use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use super::template::Message;
use crate::diagnostic::Severity;
use crate::mask::Masker;
use crate::ui::machine_readable;
use std::io::Write;

/// How a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Say {
    machine_readable: bool,
    /// Which time machine-readable lines tell.
    now: jiff::Timestamp,
}

impl Say {
    /// Speaks as the command line asks for.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self {
            machine_readable: surroundings.machine_readable,
            now: surroundings.now,
        }
    }

    /// Whether messages may be coloured.
    pub fn color(&self, surroundings: &Surroundings) -> bool {
        surroundings.color && !self.machine_readable
    }

    /// Says a text that somebody asked for; a line feed follows it.
    pub fn text(&self, text: &str, masker: &Masker) -> Result<(), CommandError> {
        if self.machine_readable {
            return self.line("ui", &["say", text], masker);
        }
        output::print(&format!("{}\n", masker.mask(text)))
    }

    /// Says an error or a warning; for people, an empty line follows it.
    pub fn message(&self, message: &Message, masker: &Masker) -> Result<(), CommandError> {
        if self.machine_readable {
            let kind = match message.severity {
                Severity::Error => "error",
                Severity::Warning => "say",
            };
            return self.line("ui", &[kind, message.text.trim_end()], masker);
        }
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "{}", message.text);
        Ok(())
    }

    /// Writes a machine-readable line, if those are asked for.
    pub fn line(&self, kind: &str, data: &[&str], masker: &Masker) -> Result<(), CommandError> {
        if !self.machine_readable {
            return Ok(());
        }
        output::print(&machine_readable::line(self.now, "", kind, data, masker))
    }
}
