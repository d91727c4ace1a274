//! Patience: how long one operation goes on trying.
//!
//! An operation has a *budget* of time in which nothing may move; each byte that moves forward
//! renews it. In between it pauses, longer each time and never as long as others that failed at
//! the same moment, or as long as the registry asks for.

use super::RegistryError;
use super::transport::LOOK_EVERY;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The first pause; each further one is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that nobody asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Attempts without any progress. With the pauses above more than half a minute.
const ATTEMPTS: u32 = 9;
/// Attempts where nobody answers at all, as with a name that is misspelt.
const CONNECTIONS: u32 = 4;

/// Attempts one after the other that were each to do better.
const RENEWALS: u32 = 5;

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would fail in the same way.
    Final(RegistryError),
    /// Another attempt may succeed.
    Transient(RegistryError, Option<Duration>),
    /// There is nobody at that address, for now.
    Unreachable(RegistryError),
    /// Another attempt will do better, since something was learned: a token, for example.
    Again(RegistryError),
}

impl<E: Into<RegistryError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Final(error.into())
    }
}

impl Failure {
    pub(super) fn error(self) -> RegistryError {
        match self {
            Failure::Final(error)
            | Failure::Transient(error, _)
            | Failure::Unreachable(error)
            | Failure::Again(error) => error,
        }
    }
}

/// What is left of an operation's budget.
pub(super) struct Patience {
    budget: Duration,
    since: Instant,
    attempts: u32,
    connections: u32,
    renewals: u32,
    is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Patience {
    pub(super) fn new(budget: Duration, is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self {
            budget,
            since: Instant::now(),
            attempts: 0,
            connections: 0,
            renewals: 0,
            is_cancelled,
        }
    }

    /// Something moved forward.
    pub(super) fn renew(&mut self) {
        self.since = Instant::now();
        self.attempts = 0;
        self.connections = 0;
        self.renewals = 0;
    }

    pub(super) fn budget(&self) -> Duration {
        self.budget
    }

    /// How much time there is until something must have moved.
    pub(super) fn left(&self) -> Duration {
        self.budget.saturating_sub(self.since.elapsed())
    }

    /// Repeats `attempt` until it succeeds, fails for good or the budget is used up.
    pub(super) fn repeat<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        loop {
            match attempt(self) {
                Ok(value) => return Ok(value),
                Err(failure) => self.pause(failure)?,
            }
        }
    }

    /// Waits until another attempt makes sense; an error if none does.
    pub(super) fn pause(&mut self, failure: Failure) -> Result<(), RegistryError> {
        let (error, pause) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Again(error) => {
                self.renewals += 1;
                return match self.renewals {
                    ..=RENEWALS => Ok(()),
                    _ => Err(error),
                };
            }
            Failure::Unreachable(error) => {
                self.connections += 1;
                self.attempts += 1;
                if self.connections >= CONNECTIONS {
                    return Err(error);
                }
                (error, jittered(self.attempts))
            }
            Failure::Transient(error, None) => {
                self.attempts += 1;
                if self.attempts >= ATTEMPTS {
                    return Err(error);
                }
                (error, jittered(self.attempts))
            }
            // It may be asked as often as it likes; but not more often than others.
            Failure::Transient(error, Some(asked)) => {
                self.attempts += 1;
                (error, asked.max(jittered(self.attempts)))
            }
        };
        if pause >= self.left() {
            return Err(error);
        }
        let end = Instant::now() + pause;
        loop {
            if (self.is_cancelled)() {
                return Err(RegistryError::Interrupted);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

/// The pause after so many attempts, between half of it and all of it.
fn jittered(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10));
    let half = doubled.min(LONGEST_PAUSE) / 2;
    let mut random = [0u8; 1];
    // Without random bytes the pause is the shortest, which is no worse than having none.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
    half + half * u32::from(random[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(budget: Duration) -> Patience {
        Patience::new(budget, Arc::new(|| false))
    }

    fn failure() -> RegistryError {
        RegistryError::Setting("x".to_owned())
    }

    #[test]
    fn pauses_grow_and_differ() {
        for attempts in 1..40 {
            let most = FIRST_PAUSE.saturating_mul(1 << (attempts - 1).min(10));
            let most = most.min(LONGEST_PAUSE);
            let pause = jittered(attempts);
            assert!(pause >= most / 2 && pause <= most, "{attempts}: {pause:?}");
        }
        let different: std::collections::BTreeSet<_> = (0..50).map(|_| jittered(6)).collect();
        assert!(different.len() > 1);
    }

    #[test]
    fn what_makes_no_sense_is_not_tried_again() {
        let second = Duration::from_secs(1);
        let hour = Some(Duration::from_secs(3600));
        assert!(patience(second).pause(Failure::Final(failure())).is_err());
        assert!(
            patience(second)
                .pause(Failure::Transient(failure(), hour))
                .is_err()
        );
        assert!(
            patience(Duration::ZERO)
                .pause(Failure::Transient(failure(), None))
                .is_err()
        );
        let mut calls = 0;
        let result: Result<(), _> = patience(second).repeat(|_| {
            calls += 1;
            Err(Failure::Again(failure()))
        });
        assert!(result.is_err());
        assert_eq!(calls, RENEWALS + 1);
    }

    #[test]
    fn progress_renews_the_budget() {
        let mut patience = patience(Duration::from_millis(200));
        thread::sleep(Duration::from_millis(150));
        let before = patience.left();
        patience.renew();
        assert!(patience.left() > before);
    }

    #[test]
    fn a_pause_ends_with_the_run() {
        let mut patience = Patience::new(Duration::from_secs(60), Arc::new(|| true));
        let begin = Instant::now();
        let wait = Some(Duration::from_secs(30));
        let result = patience.pause(Failure::Transient(failure(), wait));
        assert!(matches!(result, Err(RegistryError::Interrupted)));
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}
