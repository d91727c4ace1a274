//! The ticker: a thread that calls a function ten times a second until it is stopped.
//!
//! It exists because elapsed times go on while no event comes. It knows nothing of what it
//! redraws.

use std::sync::{Arc, MutexGuard};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Ten times a second: tenths of seconds are shown, and a terminal over a network keeps up.
const INTERVAL: Duration = Duration::from_millis(100);

/// A running ticker; dropping it without [`Ticker::stop`] leaves its thread running.
pub(super) struct Ticker {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Signal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Ticker {
    /// Starts calling `tick`. Where no thread can be started, `tick` is never called.
    pub(super) fn start(tick: impl Fn() + Send + 'static) -> Self {
        let signal = Arc::new(Signal::default());
        let seen = Arc::clone(&signal);
        let thread = Builder::new()
            .name("progress".to_owned())
            .spawn(move || {
                while !seen.wait() {
                    tick();
                }
            })
            // The display is then redrawn at events only, which loses nothing but the seconds.
            .ok();
        Self {
            signal,
            thread: Mutex::new(thread),
        }
    }

    /// Stops it and waits for a call that is under way. The caller must hold no lock that `tick`
    /// takes.
    pub(super) fn stop(&self) {
        *self.signal.lock() = true;
        self.signal.changed.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A tick that panicked has shown its message; the display ends all the same.
            let _ = thread.join();
        }
    }
}

impl Signal {
    /// Waits for one interval; returns whether the ticker was stopped.
    fn wait(&self) -> bool {
        let (stopped, _) = self
            .changed
            .wait_timeout_while(self.lock(), INTERVAL, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *stopped
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn it_ticks_until_it_is_stopped() {
        let ticks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ticks);
        let ticker = Ticker::start(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        while ticks.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        ticker.stop();
        let at_stop = ticks.load(Ordering::SeqCst);
        std::thread::sleep(INTERVAL * 2);
        assert_eq!(ticks.load(Ordering::SeqCst), at_stop);
        ticker.stop();
    }
}
