//! The display: events in, text or JSON for the user out.
//!
//! A *display* takes events from all builds and writes to one stream, stderr by default. What it
//! shows never decides what happens. Every text passes the [`Masker`] first, so that
//! sensitive values appear in no mode.

pub mod format;
mod json;
mod plain;
pub mod report;
mod summary;
pub mod table;
mod text;
mod tty;

use crate::build::event::{Event, EventSink};
use crate::mask::Masker;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// Live lines on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Live lines.
    Tty,
    /// One line for each event.
    Plain,
    /// One JSON object for each event, a line each.
    Json,
    /// Nothing but failures.
    Quiet,
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Tty => "tty",
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Quiet => "quiet",
        })
    }
}

impl FromStr for Progress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, false)
    }
}

/// Tells the time, for JSON lines.
pub type Clock = Box<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// What a display needs to know.
pub struct Settings {
    /// Whether the stream is a terminal.
    pub is_terminal: bool,
    /// Strings that must be shown nowhere.
    pub secrets: Vec<String>,
    /// Tells the time.
    pub clock: Clock,
    /// Takes the text; live lines go to the terminal on stderr instead.
    pub stream: Box<dyn Write + Send>,
}

/// Makes the display for a mode.
pub fn display(progress: Progress, settings: Settings) -> Arc<dyn Display> {
    let masker = Masker::new(settings.secrets);
    match progress {
        Progress::Tty => Arc::new(tty::Tty::new(masker)),
        Progress::Auto if settings.is_terminal => Arc::new(tty::Tty::new(masker)),
        Progress::Auto | Progress::Plain => Arc::new(plain::Plain::new(settings.stream, masker)),
        Progress::Json => Arc::new(json::Json::new(settings.stream, masker, settings.clock)),
        Progress::Quiet => Arc::new(plain::Plain::quiet(settings.stream, masker)),
    }
}

/// Takes events until the run has ended.
pub trait Display: EventSink {
    /// Writes what belongs at the end, and leaves the terminal as it was.
    fn finish(&self);
}

/// A sink that shows nothing.
pub fn silent() -> Arc<dyn EventSink> {
    struct Silent;
    impl EventSink for Silent {
        fn emit(&self, _event: Event) {}
    }
    Arc::new(Silent)
}
