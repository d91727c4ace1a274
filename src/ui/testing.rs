//! A display on memory, for tests.

use super::{Progress, Settings, Size, display};
use crate::build::event::{Event, EventSink};
use crate::mask::Secrets;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A writer whose clones share what was written.
#[derive(Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Returns all that was written.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no test panics here").clone()
    }

    /// Returns all that was written as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("displays write UTF-8")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut captured = self.0.lock().expect("no test panics here");
        captured.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A clock that stands still until it is moved, at 2026-01-02T03:04:05Z first.
#[derive(Clone, Default)]
pub(super) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Moves the clock on.
    pub(super) fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a valid time");
        start + SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Returns settings without colour and secrets, for a terminal of 60 × 12.
pub(super) fn settings(clock: &TestClock) -> Settings {
    let clock = clock.clone();
    Settings {
        terminal: false,
        color: false,
        size: Box::new(|| {
            Some(Size {
                columns: 60,
                rows: 12,
            })
        }),
        clock: Box::new(move || clock.now()),
        stamps: None,
        secrets: Secrets::default(),
    }
}

/// Returns what is shown of `events`, a tenth of a second apart.
pub(super) fn shown(progress: Progress, events: Vec<Event>) -> String {
    let (clock, captured) = (TestClock::default(), Captured::default());
    let display = display(progress, settings(&clock), Box::new(captured.clone()));
    for event in events {
        display.emit(event);
        clock.advance(100);
    }
    display.finish();
    display.finish();
    captured.text()
}
