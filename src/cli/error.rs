//! Errors of commands: whose fault it is decides the exit code, hints are lines of their own.

use crate::mask::Masker;
use crate::ui::palette::Palette;
use crate::ui::report::Report;
use std::fmt;
use std::process::ExitCode;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The template, the arguments, a failed step: exit code 1, as Packer has it.
    User,
    /// What this host does not allow or has run out of: exit code 4.
    Host,
    /// A failure of `hardtack run` itself.
    Code(u8),
}

impl ErrorKind {
    /// What a process ends with that has met one.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::User => ExitCode::from(1),
            Self::Host => ExitCode::from(4),
            Self::Code(code) => ExitCode::from(code),
        }
    }
}

/// An error with all that the user is told.
#[derive(Debug)]
pub struct CommandError {
    kind: ErrorKind,
    /// None where everything has been said already.
    source: Option<anyhow::Error>,
    hints: Vec<String>,
}

impl CommandError {
    /// An error of the user's side.
    pub fn user(source: impl Into<anyhow::Error>) -> Self {
        Self {
            kind: ErrorKind::User,
            source: Some(source.into()),
            hints: Vec::new(),
        }
    }

    /// An error of the host's side.
    pub fn host(source: impl Into<anyhow::Error>) -> Self {
        Self {
            kind: ErrorKind::Host,
            source: Some(source.into()),
            hints: Vec::new(),
        }
    }

    /// An error of the user's side that has been reported in full.
    pub fn reported() -> Self {
        Self {
            kind: ErrorKind::User,
            source: None,
            hints: Vec::new(),
        }
    }

    /// An error that has an exit code of its own, since the usual ones are a command's.
    pub fn own(source: impl Into<anyhow::Error>, code: u8) -> Self {
        Self {
            kind: ErrorKind::Code(code),
            source: Some(source.into()),
            hints: Vec::new(),
        }
    }

    /// Adds a line that says what to do.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Writes the error to stderr and gives the exit code.
    pub fn report(&self, color: bool) -> ExitCode {
        if let Some(text) = self.text(color) {
            // Nobody is left to be told if stderr is closed.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
        self.exit_code()
    }

    /// The error, its causes and hints, a line each; none where everything has been said already.
    pub fn text(&self, color: bool) -> Option<String> {
        let mut report = Report::of(self.source.as_ref()?.as_ref());
        for hint in &self.hints {
            report = report.hint(hint.as_str());
        }
        Some(report.render(Palette::new(color), &Masker::default()))
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        self.kind.exit_code()
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(source: anyhow::Error) -> Self {
        Self::user(source)
    }
}
