//! `/proc` of a step: a new one, or where that is refused the one of the container around it.
//!
//! The kernel makes a new one in a user namespace only where no part of an existing one is hidden,
//! and container runtimes hide parts. What is bound instead shows the container's processes.

use super::mounts;
use super::sys;
use rustix::fs::CWD;
use rustix::mount::{
    MountAttrFlags, MountFlags, OpenTreeFlags, mount, mount_bind, mount_bind_recursive,
    mount_remount, open_tree,
};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Parts that could be used against the host.
const READ_ONLY: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
/// Parts that tell of the host's devices, kernel and other users, as Docker hides them.
const MASKED: [&str; 12] = [
    // Empty instead of forbidden: programs look there for the kind of their container, and PID 1
    // lets nobody read it.
    "1/environ",
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Mounts a new `/proc` at `target`; only a process namespace of its own has one.
pub fn mount_new(target: &Path) -> Result<(), String> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", target, "proc", quiet, None)
        .map_err(|error| format!("mount a new /proc: {error}"))?;
    for name in READ_ONLY {
        let path = target.join(name);
        if path.exists() {
            mount_bind(&path, &path)
                .and_then(|()| {
                    let flags = quiet | MountFlags::BIND | MountFlags::RDONLY;
                    mount_remount(&path, flags, "")
                })
                .map_err(|error| format!("make /proc/{name} read-only: {error}"))?;
        }
    }
    mounts::mask(target, &MASKED)
}

/// Binds the `/proc` that this process sees to `target`, with what is mounted in it. All of it is
/// read-only: files of every process of the same user could be written to otherwise.
pub fn bind_outer(target: &Path) -> Result<(), String> {
    mount_bind_recursive("/proc", target).map_err(|error| format!("bind /proc: {error}"))?;
    mounts::mask(target, &MASKED)?;
    open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(io::Error::from)
        .and_then(|tree| sys::add_mount_attributes(tree.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY))
        .map_err(|error| format!("make /proc read-only: {error}"))
}
