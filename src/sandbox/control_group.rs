//! Control groups: limits on all that a step runs together (cgroups(7)).
//!
//! A step that has such limits gets a group of its own, below the group of this process or of one of
//! its parents: wherever the host lets us make one whose limits count. PID 1 is put into it before
//! it does anything, and with its end the group is empty and is removed. A group that a killed
//! supervisor has left is removed by the next step with limits.

use super::protocol::{Limits, StepOutcome};
use crate::format;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Begins the names of our groups; the id of the supervisor follows.
const PREFIX: &str = "hardtack-step-";
/// A group is empty a moment after its last process has ended.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The two limits that groups are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Processes,
}

/// Which of the two forms a group has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// One tree for each controller.
    One,
    /// One tree for all.
    Two,
}

/// A limit that holds for all processes of a step.
struct Limited {
    folder: PathBuf,
    controller: Controller,
    version: Version,
}

/// The groups of a step.
pub struct ControlGroup {
    limited: Vec<Limited>,
}

impl ControlGroup {
    /// Makes the groups that `limits` need, as far as this host lets us.
    pub fn make(limits: &Limits) -> Self {
        let hierarchies = hierarchies();
        let mut group = Self {
            limited: Vec::new(),
        };
        let wanted = [
            (Controller::Memory, limits.memory),
            // PID 1 is one of ours.
            (
                Controller::Processes,
                limits.processes.map(|it| it.saturating_add(1)),
            ),
        ];
        for (controller, limit) in wanted {
            let Some(limit) = limit else { continue };
            let made = hierarchies
                .iter()
                .filter(|hierarchy| hierarchy.controls(controller))
                .find_map(|hierarchy| hierarchy.make(controller, limit));
            group.limited.extend(made);
        }
        group
    }

    /// Those of `limits` that the groups do not see to.
    pub fn rest(&self, limits: &Limits) -> Limits {
        let mut rest = limits.clone();
        for limited in &self.limited {
            match limited.controller {
                Controller::Memory => rest.memory = None,
                Controller::Processes => rest.processes = None,
            }
        }
        rest
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.limited.is_empty()
    }

    /// Puts a process into the groups.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        for limited in &self.limited {
            fs::write(limited.folder.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// Says which limits this host does not see to, or not for the step as a whole.
    pub fn unlimited(&self, limits: &Limits, user_namespace: bool) -> Vec<String> {
        let rest = self.rest(limits);
        let why = "this host gives no control group";
        let mut notes = Vec::new();
        if rest.memory.is_some() {
            notes.push(format!(
                "{why}: the limit on memory holds for each process alone"
            ));
        }
        if rest.processes.is_some() {
            notes.push(match user_namespace {
                true => format!("{why}: the limit on processes holds for each user alone"),
                false => format!("{why}: the limit on processes does not hold for root"),
            });
        }
        notes
    }

    /// Whether the kernel has killed a process of the step at its limit on memory.
    pub fn has_killed(&self) -> bool {
        let mut limited = self.limited.iter();
        limited.any(|it| it.controller == Controller::Memory && it.was_reached())
    }

    /// Says which limits the step has reached, by what the host has counted and by how it ended.
    pub fn reached(&self, limits: &Limits, outcome: &StepOutcome) -> Vec<String> {
        let reached = self.limited.iter().filter(|limited| limited.was_reached());
        let mut names: Vec<&str> = reached
            .map(|limited| match limited.controller {
                Controller::Memory => "memory",
                Controller::Processes => "processes",
            })
            .collect();
        let code = match outcome {
            StepOutcome::Failed { code, .. } => *code,
            _ => 0,
        };
        for (name, signal, is_limited) in [
            ("cpu_time", libc::SIGXCPU, limits.cpu_time.is_some()),
            ("file_size", libc::SIGXFSZ, limits.file_size.is_some()),
        ] {
            if is_limited && code == 128 + signal {
                names.push(name);
            }
        }
        let names = names.into_iter();
        names
            .map(|name| match outcome {
                StepOutcome::Done => format!(
                    "the step has reached its limit `{name}`, and succeeded all the same: what it could not do may be missing from its result"
                ),
                _ => format!("the step has reached its limit `{name}`"),
            })
            .collect()
    }

    /// Adds to what could not be started which limit it has met.
    pub fn explain(&self, limits: &Limits, text: String) -> String {
        let (name, is_memory) = if text.contains(&os_error(libc::ENOMEM)) {
            ("memory", true)
        } else if text.contains(&os_error(libc::EAGAIN)) {
            ("processes", false)
        } else {
            return text;
        };
        let limit = match is_memory {
            true => limits.memory.map(format::bytes),
            false => limits.processes.map(|count| count.to_string()),
        };
        let Some(limit) = limit else { return text };
        format!(
            "{text}; its limit `{name}` is {limit}, raise it if that is too little to start with"
        )
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for limited in &self.limited {
            for _ in 0..TRIES {
                match fs::remove_dir(&limited.folder) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => thread::sleep(PAUSE),
                    // What cannot be removed is left to the next step.
                    _ => break,
                }
            }
        }
    }
}

impl Limited {
    fn was_reached(&self) -> bool {
        let (file, word) = match (self.controller, self.version) {
            (Controller::Memory, Version::Two) => ("memory.events", "oom_kill"),
            (Controller::Memory, Version::One) => ("memory.oom_control", "oom_kill"),
            (Controller::Processes, _) => ("pids.events", "max"),
        };
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        counter(&text, word).is_some_and(|count| count > 0)
    }
}

/// How texts of errors end that have a number of the system's.
fn os_error(number: i32) -> String {
    format!("(os error {number})")
}

/// The number behind a word that begins a line.
fn counter(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, number) = line.split_once(' ')?;
        (name == word).then(|| number.trim().parse().ok())?
    })
}

/// A mounted tree of groups with the place of this process in it.
struct Hierarchy {
    version: Version,
    /// Where the tree is mounted.
    top: PathBuf,
    /// The group of this process.
    own: PathBuf,
    controllers: Vec<String>,
}

impl Hierarchy {
    fn controls(&self, controller: Controller) -> bool {
        self.controllers.iter().any(|it| it == controller.name())
    }

    /// Makes a group with one limit, as near to this process as it can be made.
    fn make(&self, controller: Controller, limit: u64) -> Option<Limited> {
        let mut parent = Some(self.own.as_path());
        while let Some(folder) = parent.filter(|folder| folder.starts_with(&self.top)) {
            if let Some(made) = self.make_in(folder, controller, limit) {
                return Some(made);
            }
            parent = folder.parent();
        }
        None
    }

    fn make_in(&self, parent: &Path, controller: Controller, limit: u64) -> Option<Limited> {
        if self.version == Version::Two {
            let switch = parent.join("cgroup.subtree_control");
            // Refused where processes are in the group itself; its parent is tried then.
            let _ = fs::write(&switch, format!("+{}", controller.name()));
            let enabled = fs::read_to_string(&switch).ok()?;
            enabled
                .split_whitespace()
                .find(|it| *it == controller.name())?;
        }
        remove_left(parent);
        // With both limits in one tree there is one group for each, so that either can be missing.
        let name = format!("{PREFIX}{}-{}", std::process::id(), controller.name());
        let folder = parent.join(name);
        fs::create_dir(&folder).ok()?;
        let limited = Limited {
            folder,
            controller,
            version: self.version,
        };
        match limited.set(limit) {
            Ok(()) => Some(limited),
            Err(_) => {
                // Nothing is in it yet.
                let _ = fs::remove_dir(&limited.folder);
                None
            }
        }
    }
}

impl Limited {
    fn set(&self, limit: u64) -> io::Result<()> {
        let write = |file: &str| fs::write(self.folder.join(file), limit.to_string());
        match (self.controller, self.version) {
            (Controller::Processes, _) => write("pids.max"),
            (Controller::Memory, Version::Two) => {
                write("memory.max")?;
                // Without swap there is no such file.
                let _ = fs::write(self.folder.join("memory.swap.max"), "0");
                Ok(())
            }
            (Controller::Memory, Version::One) => {
                write("memory.limit_in_bytes")?;
                // The same for memory and swap together, where swap is counted.
                let _ = write("memory.memsw.limit_in_bytes");
                Ok(())
            }
        }
    }
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "pids",
        }
    }
}

/// Removes groups whose supervisors have gone.
fn remove_left(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let pid = pid.and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // One that somebody else owns, or that still ends, stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The trees of groups on this host.
fn hierarchies() -> Vec<Hierarchy> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
        .into_iter()
        .map(|mut hierarchy| {
            if hierarchy.version == Version::Two {
                let list = fs::read_to_string(hierarchy.own.join("cgroup.controllers"));
                let list = list.unwrap_or_default();
                hierarchy.controllers = list.split_whitespace().map(str::to_owned).collect();
            }
            hierarchy
        })
        .collect()
}

/// Reads where the trees are mounted, and where in them this process is.
fn parse(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let kind: Vec<&str> = kind.split(' ').collect();
        let (Some(root), Some(top)) = (mount.get(3), mount.get(4)) else {
            continue;
        };
        let version = match kind.first() {
            Some(&"cgroup2") => Version::Two,
            Some(&"cgroup") => Version::One,
            _ => continue,
        };
        let options: Vec<&str> = kind.get(2).map_or(Vec::new(), |it| it.split(',').collect());
        let own = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, list, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_it = match version {
                Version::Two => list.is_empty(),
                Version::One => list.split(',').any(|name| {
                    options.contains(&name)
                        && [Controller::Memory, Controller::Processes]
                            .iter()
                            .any(|it| it.name() == name)
                }),
            };
            is_it.then_some((list, path))
        });
        let Some((list, path)) = own else { continue };
        let Ok(inside) = Path::new(path).strip_prefix(root) else {
            continue;
        };
        let top = PathBuf::from(top);
        found.push(Hierarchy {
            own: if inside == Path::new("") {
                top.clone()
            } else {
                top.join(inside)
            },
            version,
            top,
            controllers: list.split(',').map(str::to_owned).collect(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_understood() {
        let cases = [
            (
                "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate",
                "0::/user.slice/user-1.slice/session.scope",
                "/sys/fs/cgroup/user.slice/user-1.slice/session.scope",
            ),
            (
                "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
                "5:pids:/p\n4:memory:/a/b\n0::/",
                "/sys/fs/cgroup/memory/a/b",
            ),
            (
                "36 31 0:33 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
                "4:pids:/docker/x",
                "/sys/fs/cgroup/pids",
            ),
        ];
        for (mounts, groups, own) in cases {
            let found = parse(mounts, groups);
            assert_eq!(found.len(), 1, "{mounts}");
            assert_eq!(found[0].own, Path::new(own));
        }
        for (mounts, groups) in [
            ("", "0::/"),
            ("36 31 0:33 / /x rw - cgroup cgroup rw,cpu", "4:cpu:/"),
            ("35 24 0:30 /other /x rw - cgroup2 cgroup2 rw", "0::/mine"),
            ("broken - cgroup2", "0::/"),
        ] {
            assert!(parse(mounts, groups).is_empty(), "{mounts}");
        }
    }

    /// A group as it is left after a step, with counters in a folder.
    fn group(folder: &Path, controller: Controller, file: &str, text: &str) -> ControlGroup {
        fs::write(folder.join(file), text).unwrap();
        let limited = Limited {
            folder: folder.to_owned(),
            controller,
            version: Version::Two,
        };
        ControlGroup {
            limited: vec![limited],
        }
    }

    #[test]
    fn a_step_that_succeeds_is_told_of_its_limits_too() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let memory = |text| group(folder.path(), Controller::Memory, "memory.events", text);
        assert!(memory("oom 1\noom_kill 1\n").has_killed());
        assert!(!memory("max 9\noom 1\noom_kill 0\n").has_killed());
        let forks = group(
            folder.path(),
            Controller::Processes,
            "pids.events",
            "max 2\n",
        );
        assert!(!forks.has_killed());
        let reached = forks.reached(&limits, &StepOutcome::Done);
        assert_eq!(reached.len(), 1);
        assert!(
            reached[0].contains("`processes`, and succeeded"),
            "{reached:?}"
        );
        let none = group(
            folder.path(),
            Controller::Processes,
            "pids.events",
            "max 0\n",
        );
        assert!(none.reached(&limits, &StepOutcome::Done).is_empty());
    }

    #[test]
    fn what_cannot_be_started_names_the_limit() {
        let group = ControlGroup {
            limited: Vec::new(),
        };
        let limits = Limits {
            memory: Some(10 << 20),
            ..Limits::default()
        };
        let refused = |number| format!("start /bin/sh: {}", io::Error::from_raw_os_error(number));
        let text = group.explain(&limits, refused(libc::ENOMEM));
        assert!(text.contains("its limit `memory` is 10"), "{text}");
        for number in [libc::EAGAIN, libc::ENOENT] {
            assert_eq!(group.explain(&limits, refused(number)), refused(number));
        }
    }

    #[test]
    fn events_are_counted() {
        let text = "low 0\noom 3\noom_kill 2\nmax 0\n";
        assert_eq!(counter(text, "oom_kill"), Some(2));
        assert_eq!(counter(text, "max"), Some(0));
        assert_eq!(counter(text, "oom_k"), None);
    }
}
