//! Who answers the questions of a build: the one who writes to standard input, or nobody.

use crate::build::event::{Event, EventSink, Level};
use crate::provision::Operator;
use crate::sandbox::Cancel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a wait for an answer looks whether the run was cancelled.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 4096;

/// Never answers.
pub struct Nobody;

impl Operator for Nobody {
    fn ask(&self, _question: &str, _cancel: &Cancel) -> Option<String> {
        None
    }
}

/// Shows questions as notices, and reads a line of standard input for each.
pub struct StandardInput {
    events: Arc<dyn EventSink>,
    /// Held while one build asks, so that no other reads its answer.
    turn: Mutex<()>,
}

impl StandardInput {
    /// Shows its questions to `events`.
    pub fn new(events: Arc<dyn EventSink>) -> Self {
        Self {
            events,
            turn: Mutex::new(()),
        }
    }
}

impl Operator for StandardInput {
    fn ask(&self, question: &str, cancel: &Cancel) -> Option<String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.events.emit(Event::Notice {
            build: None,
            level: Level::Info,
            text: question.to_owned(),
        });
        read_line(cancel)
    }

    fn is_at_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }
}

/// Reads a line, byte by byte, since what follows it belongs to others; none at the end of the
/// input or when the run is cancelled.
pub fn read_line(cancel: &Cancel) -> Option<String> {
    let stdin = io::stdin();
    let mut line = Vec::new();
    loop {
        if cancel.is_cancelled() {
            return None;
        }
        let mut events = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut events, Some(&LOOK_EVERY)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return None,
        }
        let mut byte = [0];
        match rustix::io::read(&stdin, &mut byte) {
            Ok(0) if line.is_empty() => return None,
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() < LONGEST => line.extend(byte),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}
