//! Signals that ask a run to stop: SIGINT, SIGTERM, and SIGHUP of a terminal that is closed.

use std::fs;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// All signals that ask to stop.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None below `nohup`, which has it ignored.
    hangup: Option<Signal>,
    has_come: bool,
}

impl StopSignals {
    /// Takes their default from them: from now on only [`next`](Self::next) tells of them.
    pub fn listen() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = match ignores(&status, SignalKind::hangup()) {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            has_come: false,
        })
    }

    /// Waits for the next one. A closed terminal is told of only once, and only if nothing else
    /// was: the shell and the kernel both tell of it, and nobody asks for haste.
    pub async fn next(&mut self) {
        loop {
            let is_hangup = tokio::select! {
                _ = self.interrupt.recv() => false,
                _ = self.terminate.recv() => false,
                () = next_or_never(self.hangup.as_mut()) => true,
            };
            if !(is_hangup && self.has_come) {
                self.has_come = true;
                return;
            }
        }
    }
}

async fn next_or_never(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            let _ = signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether a process ignores a signal, by its `/proc/PID/status`.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or_default();
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        let hangup = SignalKind::hangup();
        assert!(ignores(&status("0000000000000001"), hangup));
        assert!(ignores(&status("0000000000001001"), hangup));
        assert!(!ignores(&status("0000000000001000"), hangup));
        assert!(!ignores("", hangup));
    }

    #[tokio::test]
    async fn a_closed_terminal_is_told_of_once() {
        let mut signals = StopSignals::listen().unwrap();
        if signals.hangup.is_none() {
            return;
        }
        let hang_up = || {
            let pid = rustix::process::getpid();
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        };
        let patience = Duration::from_secs(60);
        hang_up();
        tokio::time::timeout(patience, signals.next())
            .await
            .unwrap();
        hang_up();
        let again = tokio::time::timeout(Duration::from_millis(200), signals.next()).await;
        assert!(again.is_err());
    }
}
