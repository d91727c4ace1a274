//! Cancellation: one switch for a whole run, which wakes whoever waits.

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A switch that is thrown once. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cancelled: AtomicBool,
    /// Readable once cancelled; none if the process has run out of descriptors, where waiting
    /// falls back to looking from time to time.
    event: Option<OwnedFd>,
}

impl Default for Cancel {
    fn default() -> Self {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok();
        Self {
            inner: Arc::new(Inner {
                cancelled: AtomicBool::new(false),
                event,
            }),
        }
    }
}

impl Cancel {
    /// Throws the switch.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        if let Some(event) = &self.inner.event {
            // It only fails when it is already readable.
            let _ = rustix::io::write(event, &1u64.to_ne_bytes());
        }
    }

    /// Whether the switch has been thrown.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Waits for `duration`, or until the switch is thrown; says whether it was.
    pub fn wait(&self, duration: Duration) -> bool {
        let end = std::time::Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if self.is_cancelled() || left.is_zero() {
                return self.is_cancelled();
            }
            match &self.inner.event {
                Some(event) => {
                    let mut events = [PollFd::new(event, PollFlags::IN)];
                    let timeout = Timespec::try_from(left).ok();
                    // Interrupted or not, the loop looks again.
                    let _ = poll(&mut events, timeout.as_ref());
                }
                None => std::thread::sleep(left.min(Duration::from_millis(50))),
            }
        }
    }

    /// A descriptor that becomes readable when the switch is thrown.
    pub(super) fn event(&self) -> Option<BorrowedFd<'_>> {
        self.inner.event.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_woken() {
        let cancel = Cancel::default();
        let other = cancel.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(600)));
        cancel.cancel();
        assert!(waiter.join().unwrap());
        assert!(!Cancel::default().wait(Duration::from_millis(1)));
    }
}
