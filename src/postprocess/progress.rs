//! Progress of what is moved to and from registries, as notes of a post-processor.

use crate::format;
use crate::provision::Said;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often progress is told.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts bytes, and says now and then how many there were.
pub struct Meter<'a> {
    say: &'a (dyn Fn(Said<'_>) + Sync),
    /// `sent`, `fetched`.
    done: &'static str,
    state: Mutex<State>,
}

struct State {
    bytes: u64,
    told: Instant,
}

impl<'a> Meter<'a> {
    /// A meter that has counted nothing.
    pub fn new(say: &'a (dyn Fn(Said<'_>) + Sync), done: &'static str) -> Self {
        Self {
            say,
            done,
            state: Mutex::new(State {
                bytes: 0,
                told: Instant::now(),
            }),
        }
    }

    /// Counts `bytes` more.
    pub fn add(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = state.bytes.saturating_add(bytes);
        if state.told.elapsed() >= INTERVAL {
            state.told = Instant::now();
            let text = format!("{} {} so far", format::bytes(state.bytes), self.done);
            (self.say)(Said::Note(&text));
        }
    }
}
