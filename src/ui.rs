//! The display: shows the events of a build to whoever watches it.
//!
//! A [`Display`] takes the events of `build/` and writes them in one of five ways ([`Progress`])
//! to the one writer it was given, which is standard error in the command-line tool. It decides
//! nothing about a build and never writes to standard output, which belongs to data. What it
//! knows of the terminal, the time and the secrets comes from its caller in [`Settings`].
//!
//! | file | what it holds |
//! |---|---|
//! | `tty`, `plain`, `json`, `quiet` | one way of showing events each |
//! | `running`, `summary` | what runs at this moment, how each build ended |
//! | `wording` | the phrases that the ways for people share |
//! | `mask`, `event_text` | secrets, and the texts of an event in which they may stand |
//! | `text`, `palette`, `format`, `table`, `report` | parts that commands use for their output too |

pub mod format;
pub mod mask;
pub mod palette;
pub mod report;
pub mod table;
pub mod text;

mod event_text;
mod json;
mod plain;
mod quiet;
mod running;
#[cfg(test)]
mod sample_events;
mod screen;
mod summary;
#[cfg(test)]
mod testing;
mod ticker;
mod tty;
mod wording;

use crate::build::event::{Event, EventSink};
use jiff::Timestamp;
use mask::Masker;
use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ticker::Ticker;

/// How the events of a build are shown: the value of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, `plain` elsewhere
    #[default]
    Auto,
    /// One live line for each running step
    Tty,
    /// One line for each event, and all output
    Plain,
    /// One JSON object for each event (docs/events.md)
    Json,
    /// Failures only
    Quiet,
}

/// Why a text is not a [`Progress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown progress mode {text:?}: use auto, tty, plain, json or quiet")]
pub struct ParseProgressError {
    text: String,
}

impl FromStr for Progress {
    type Err = ParseProgressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, false).map_err(|_| ParseProgressError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Progress::Auto => "auto",
            Progress::Tty => "tty",
            Progress::Plain => "plain",
            Progress::Json => "json",
            Progress::Quiet => "quiet",
        })
    }
}

/// The size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many cells a row has.
    pub columns: u16,
    /// How many rows there are.
    pub rows: u16,
}

/// Returns the terminal's size at the moment of the call; none where it cannot be known.
pub type SizeSource = Box<dyn Fn() -> Option<Size> + Send + Sync>;

/// Returns the time at the moment of the call.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// What a display has to know of the world.
pub struct Settings {
    /// Whether the output is a terminal that can move its cursor.
    pub terminal: bool,
    /// Whether colours are wanted.
    pub color: bool,
    /// The terminal's size, asked for at each redraw so that a resized window is drawn right.
    pub size: SizeSource,
    /// The time: for elapsed times, and for the `time` of JSON lines.
    pub clock: Clock,
    /// The texts that must never be shown (see [`mask`]).
    pub secrets: Vec<String>,
}

/// Makes the display that shows events in the way `progress` on `output`.
///
/// Errors of `output` are ignored: a closed pipe or a lost terminal must not fail a build.
pub fn display(progress: Progress, settings: Settings, output: Box<dyn Write + Send>) -> Display {
    let Settings {
        terminal,
        color,
        size,
        clock,
        secrets,
    } = settings;
    let live = match progress {
        Progress::Tty => true,
        Progress::Auto => terminal,
        Progress::Plain | Progress::Json | Progress::Quiet => false,
    };
    let palette = palette::Palette::new(color);
    let view: Box<dyn View> = match progress {
        _ if live => Box::new(tty::Tty::new(output, size, clock, palette)),
        Progress::Json => Box::new(json::Json::new(output, clock)),
        Progress::Quiet => Box::new(quiet::Quiet::new(output, clock, palette)),
        Progress::Auto | Progress::Tty | Progress::Plain => {
            Box::new(plain::Plain::new(output, clock, palette))
        }
    };
    let view = Arc::new(Mutex::new(view));
    let ticker = live.then(|| {
        let view = Arc::clone(&view);
        Ticker::start(move || lock(&view).tick())
    });
    Display {
        view,
        masker: Masker::new(secrets),
        for_people: progress != Progress::Json,
        ticker,
    }
}

/// Shows the events of one command; made by [`display()`].
///
/// Dropping it without [`Display::finish`] takes the live lines off the terminal and prints no
/// summary. The cursor is never hidden, so that nothing has to be restored when the process dies.
pub struct Display {
    view: Arc<Mutex<Box<dyn View>>>,
    masker: Masker,
    /// Whether a person reads it, on whose terminal control characters would act.
    for_people: bool,
    ticker: Option<Ticker>,
}

impl Display {
    /// Ends the display: takes away the live lines and prints the summary. Calls after the first
    /// do nothing.
    pub fn finish(&self) {
        if let Some(ticker) = &self.ticker {
            ticker.stop();
        }
        lock(&self.view).finish();
    }

    /// Returns the masker that hides this display's secrets, for other texts of the same command.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Hides secrets and, for people, makes control characters harmless.
    fn clean(&self, text: &mut String) {
        let clean = match self.for_people {
            true => self.masker.mask_neutral(text),
            // JSON escapes them.
            false => self.masker.mask(text),
        };
        if let Cow::Owned(clean) = clean {
            *text = clean;
        }
    }
}

impl EventSink for Display {
    fn emit(&self, mut event: Event) {
        event_text::edit(&mut event, &mut |text| self.clean(text));
        lock(&self.view).show(event);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.stop();
        }
        lock(&self.view).abandon();
    }
}

/// One way of showing events. The texts of the events it gets hold no secrets.
trait View: Send {
    /// Shows one event.
    fn show(&mut self, event: Event);

    /// Redraws what changes with time alone.
    fn tick(&mut self) {}

    /// Ends with a summary; calls after the first do nothing.
    fn finish(&mut self);

    /// Ends without a summary; does nothing after [`View::finish`].
    fn abandon(&mut self) {}
}

/// Locks the view; one that a panicking thread held is still good enough to be shown.
fn lock(view: &Mutex<Box<dyn View>>) -> MutexGuard<'_, Box<dyn View>> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes all of `bytes`. An error is ignored: see [`display()`].
fn write(output: &mut dyn Write, bytes: &[u8]) {
    let _ = output.write_all(bytes).and_then(|()| output.flush());
}
