//! One JSON object for each event, a line each (`docs/events.md`).

use super::{Clock, Display};
use crate::build::event::{Event, EventSink};
use crate::mask::Masker;
use std::io::Write;
use std::sync::Mutex;

/// Writes events as JSON lines.
pub struct Json {
    stream: Mutex<Box<dyn Write + Send>>,
    masker: Masker,
    clock: Clock,
}

impl Json {
    /// Writes to `stream`.
    pub fn new(stream: Box<dyn Write + Send>, masker: Masker, clock: Clock) -> Self {
        Self {
            stream: Mutex::new(stream),
            masker,
            clock,
        }
    }
}

impl EventSink for Json {
    fn emit(&self, event: Event) {
        let Ok(mut document) = serde_json::to_value(&event) else {
            return;
        };
        self.masker.mask_json(&mut document);
        if let Some(members) = document.as_object_mut() {
            members.insert("time".to_owned(), (self.clock)().to_string().into());
        }
        let mut line = document.to_string();
        line.push('\n');
        if let Ok(mut stream) = self.stream.lock() {
            // Who does not listen any more misses nothing that decides anything.
            let _ = stream.write_all(line.as_bytes());
        }
    }
}

impl Display for Json {
    fn finish(&self) {
        if let Ok(mut stream) = self.stream.lock() {
            let _ = stream.flush();
        }
    }
}
