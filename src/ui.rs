//! The display: shows the events of a build to whoever watches it.
//!
//! A [`Display`] takes the events of `build/` and writes them in one of six ways ([`Progress`])
//! to the one writer it was given, which is standard error in the command-line tool. It decides
//! nothing about a build and never writes to standard output, which belongs to data. What it
//! knows of the terminal, the time and the secrets comes from its caller in [`Settings`].
//!
//! | file | what it holds |
//! |---|---|
//! | `machine_readable` | the line format of Packer's `-machine-readable` |
//! | `tty`, `plain`, `json`, `quiet`, `packer_lines` | one way of showing events each |
//! | `running`, `summary` | what runs at this moment, how each build ended |
//! | `wording` | the phrases that the ways for people share |
//! | `event_text` | the texts of an event in which secrets may stand |
//! | `palette`, `table`, `report` | parts that commands use for their output too |

pub mod machine_readable;
pub mod palette;
pub mod report;
pub mod table;

mod event_text;
mod json;
mod packer_lines;
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
use crate::mask::{Masker, Secrets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
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
    /// The lines of Packer's `-machine-readable`
    #[value(skip)]
    MachineReadable,
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
            Progress::MachineReadable => "machine-readable",
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

/// Makes a sink for events that nobody watches.
pub fn silent() -> Arc<dyn EventSink> {
    struct Silent;
    impl EventSink for Silent {
        fn emit(&self, _event: Event) {}
    }
    Arc::new(Silent)
}

/// Returns the time at the moment of the call.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Times at the beginning of lines, as Packer's `-timestamp-ui` writes them.
#[derive(Clone, Debug)]
pub struct Stamps {
    /// Whose time of day they are.
    pub zone: TimeZone,
}

impl Stamps {
    /// Returns a time in whole seconds (RFC 3339).
    fn of(&self, time: Timestamp) -> String {
        let zoned = time.to_zoned(self.zone.clone());
        let format = match zoned.offset().is_zero() {
            true => "%Y-%m-%dT%H:%M:%SZ",
            false => "%Y-%m-%dT%H:%M:%S%:z",
        };
        zoned.strftime(format).to_string()
    }
}

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
    /// Whether and where each line begins with the time of day.
    pub stamps: Option<Stamps>,
    /// The texts that must never be shown (see [`crate::mask`]).
    pub secrets: Secrets,
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
        stamps,
        secrets,
    } = settings;
    let live = match progress {
        Progress::Tty => true,
        Progress::Auto => terminal,
        Progress::Plain | Progress::Json | Progress::Quiet | Progress::MachineReadable => false,
    };
    let palette = palette::Palette::new(color);
    let view: Box<dyn View> = match progress {
        _ if live => Box::new(tty::Tty::new(output, size, clock, palette)),
        Progress::Json => Box::new(json::Json::new(output, clock)),
        Progress::Quiet => Box::new(quiet::Quiet::new(output, clock, palette)),
        Progress::MachineReadable => {
            Box::new(packer_lines::PackerLines::new(output, clock, stamps))
        }
        Progress::Auto | Progress::Tty | Progress::Plain => {
            Box::new(plain::Plain::new(output, clock, palette, stamps))
        }
    };
    let view = Arc::new(Mutex::new(view));
    let ticker = live.then(|| {
        let view = Arc::clone(&view);
        Ticker::start(move || lock(&view).tick())
    });
    Display {
        view,
        for_people: !matches!(progress, Progress::Json | Progress::MachineReadable),
        masker: Masker::of(&secrets),
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

    /// Ends the display without a summary, since something else goes on.
    pub fn give_way(&self) {
        if let Some(ticker) = &self.ticker {
            ticker.stop();
        }
        lock(&self.view).abandon();
    }

    /// Returns the masker that hides this display's secrets, for other texts of the same command.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Hides secrets and, for people, makes control characters harmless.
    fn clean(&self, text: &mut String) {
        let clean = match self.for_people {
            true => self.masker.mask_neutral(text),
            // A program reads it, and JSON escapes them.
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

#[cfg(test)]
mod tests {
    use super::*;
    use sample_events::{every_event, output, place, started, step_failed, step_started};
    use testing::{Captured, TestClock, settings};

    const MODES: [Progress; 5] = [
        Progress::MachineReadable,
        Progress::Tty,
        Progress::Plain,
        Progress::Json,
        Progress::Quiet,
    ];

    fn shown_without(secrets: &[&str], progress: Progress, events: &[Event]) -> String {
        let captured = Captured::default();
        let mut settings = settings(&TestClock::default());
        settings.secrets = secrets.iter().collect();
        let display = display(progress, settings, Box::new(captured.clone()));
        events.iter().for_each(|event| display.emit(event.clone()));
        display.finish();
        captured.text()
    }

    #[test]
    fn modes_are_written_as_they_are_parsed() {
        for mode in MODES.iter().skip(1).chain(&[Progress::Auto]) {
            assert_eq!(mode.to_string().parse(), Ok(*mode));
        }
        assert_eq!(
            "Fancy"
                .parse::<Progress>()
                .map_err(|error| error.to_string()),
            Err("unknown progress mode \"Fancy\": use auto, tty, plain, json or quiet".to_owned())
        );
    }

    #[test]
    fn no_mode_shows_a_secret() {
        // Every text of a sample event is a secret once.
        const FIXED: [&str; 5] = ["event", "key", "digest", "stream", "level"];
        for event in every_event() {
            let json = serde_json::to_value(&event).expect("events can be written as JSON");
            for (field, value) in json.as_object().expect("an event is an object") {
                let Some(secret) = value.as_str().filter(|_| !FIXED.contains(&field.as_str()))
                else {
                    continue;
                };
                let events = [started("x", 1), event.clone()];
                for mode in MODES {
                    let shown = shown_without(&[secret], mode, &events);
                    let first_line = secret.lines().next().unwrap_or_default();
                    assert!(!shown.contains(first_line), "{field} in {mode}: {shown}");
                }
            }
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_in_output_and_last_lines() {
        let secret = "-----BEGIN KEY-----\nMIIEvQ\"IBAD\n-----END KEY-----\n";
        let mut events = vec![started("oci.base", 5), step_started(place(1))];
        let written = secret.lines().chain(["\x1b[1mMII\x1b[0mEvQ\"IBAD"]);
        events.extend(written.map(|line| output(place(1), line)));
        events.push(step_failed(place(1), 1.0));
        for mode in MODES {
            let shown = shown_without(&[secret, ""], mode, &events);
            assert!(shown.contains(crate::mask::MASK), "{mode}: {shown}");
            assert!(!shown.contains("KEY"), "{mode}: {shown}");
            assert!(!shown.contains("EvQ"), "{mode}: {shown}");
        }
    }

    #[test]
    fn a_closed_output_stops_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        for mode in MODES {
            let display = display(mode, settings(&TestClock::default()), Box::new(Closed));
            every_event()
                .into_iter()
                .for_each(|event| display.emit(event));
            display.finish();
        }
    }

    #[test]
    fn colour_adds_only_escape_sequences() {
        for mode in [Progress::Plain, Progress::Quiet] {
            let mut settings = settings(&TestClock::default());
            settings.color = true;
            let captured = Captured::default();
            let display = display(mode, settings, Box::new(captured.clone()));
            every_event()
                .into_iter()
                .for_each(|event| display.emit(event));
            display.finish();
            assert!(captured.text().contains("\x1b["));
            let plain = shown_without(&[], mode, &every_event());
            assert_eq!(crate::text::neutralise(&captured.text()), plain);
        }
    }
}
