//! Descendants: what processes have left running, where no namespace ends with them.
//!
//! The caller must be a *subreaper* (`PR_SET_CHILD_SUBREAPER`): whose parent ends becomes its
//! child, so that nothing escapes from the tree below it. All of them are stopped before the first
//! is killed, so that none can start another in the meantime.

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, wait,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;

/// What stops and starts again faster than this many rounds is killed without being stopped.
const STOP_ROUNDS: usize = 50;
/// Each round ends at least one process.
const KILL_ROUNDS: usize = 100_000;

/// Makes this process the one that orphans below it turn to.
pub fn adopt_orphans() -> rustix::io::Result<()> {
    // The value only says that it is one.
    rustix::process::set_child_subreaper(Some(Pid::INIT))
}

/// Kills all that is below this process, and waits until it has ended.
pub fn kill_all() {
    for _ in 0..KILL_ROUNDS {
        if !reap_ended() {
            return;
        }
        let mut stopped: BTreeMap<i32, OwnedFd> = BTreeMap::new();
        for _ in 0..STOP_ROUNDS {
            let parents = parents();
            let mut is_new = false;
            for pid in below(getpid(), &parents) {
                if !stopped.contains_key(&pid)
                    && let Some(process) = open(pid, parents.get(&pid))
                {
                    is_new = true;
                    // Who has ended in the meantime is as good as stopped.
                    let _ = pidfd_send_signal(&process, Signal::STOP);
                    stopped.insert(pid, process);
                }
            }
            if !is_new {
                break;
            }
        }
        for process in stopped.values() {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        if stopped.is_empty() {
            // All that was seen has changed its parent in the meantime.
            std::thread::yield_now();
            continue;
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Takes leave of children that have ended; whether any is left.
fn reap_ended() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Opens a process that is still the child of `known`: its number may have gone to another.
fn open(pid: i32, known: Option<&i32>) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    (parent_of(pid).as_ref() == known).then_some(process)
}

/// The parent of each process that has not ended.
fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_of(pid)?))
        })
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    parent(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent that a `/proc/PID/stat` tells; none of a process that has ended.
fn parent(stat: &[u8]) -> Option<i32> {
    // The name before it may hold anything, parentheses too.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    (!has_ended).then_some(parent)
}

fn below(top: Pid, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = BTreeSet::new();
    let mut pending = vec![top.as_raw_nonzero().get()];
    while let Some(pid) = pending.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            // The list is not of one moment: it may hold a circle.
            if found.insert(*child) {
                pending.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_whatever_the_name() {
        for (stat, expected) in [
            ("7 (sh) S 1 7 7 0", Some(1)),
            ("7 (a) Z 3) R 42 7", Some(42)),
            ("7 (sh) Z 1 7", None),
            ("7 (sh", None),
            ("", None),
        ] {
            assert_eq!(parent(stat.as_bytes()), expected, "{stat}");
        }
    }

    #[test]
    fn only_descendants_are_found() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)]);
        let of = |pid| below(Pid::from_raw(pid).unwrap(), &parents);
        assert_eq!(of(2), BTreeSet::from([3, 4]));
        assert_eq!(of(1), BTreeSet::from([2, 3, 4, 5]));
        assert_eq!(of(6), BTreeSet::from([6, 7]));
        assert_eq!(of(5), BTreeSet::new());
    }
}
