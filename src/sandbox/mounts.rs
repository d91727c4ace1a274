//! Mounts: the root of a step, built inside the mount namespace of its PID 1.

use super::protocol::Network;
use super::{root, sys};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount, move_mount,
    open_tree, unmount,
};
use rustix::net::{AddressFamily, SocketType, socket};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The kernel's limit for the options of the old mount call: one page with its end.
const OPTIONS_LIMIT: usize = 4095;
/// Parts of /proc that could be used against the host.
const PROC_READ_ONLY: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
const PROC_MASKED: [&str; 6] = [
    "kcore",
    "keys",
    "kmsg",
    "timer_list",
    "sched_debug",
    "latency_stats",
];
/// The whole of a step's /dev, beside terminals and shared memory.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Mounts the layers and makes them this process' root.
pub fn enter_root(lowers: &[PathBuf], scratch: &Path, network: Network) -> Result<(), String> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|error| format!("make mounts private: {error}"))?;
    let target = scratch.join("root");
    let overlay = writable(lowers, scratch)?;
    move_mount(
        overlay.as_fd(),
        "",
        CWD,
        &target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|error| format!("attach the overlay: {error}"))?;
    mount_proc(&target.join("proc"))?;
    mount_sys(&target.join("sys"), network)?;
    mount_dev(&target.join("dev"))?;
    root::bind_host_files(&target, scratch, network)?;
    pivot(&target)
}

/// Brings up the loopback of a network namespace of its own.
pub fn loopback_up() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    sys::loopback_up(socket.as_fd())
}

/// The merged view of several layers, detached from any path; `lowers` lowest first, two or more.
pub fn read_only(lowers: &[PathBuf]) -> Result<OwnedFd, String> {
    overlay(lowers, None)
}

fn writable(lowers: &[PathBuf], scratch: &Path) -> Result<OwnedFd, String> {
    // An overlay needs a lower directory; an image without layers gets an empty one.
    let empty = [scratch.join("empty")];
    let lowers = if lowers.is_empty() {
        &empty[..]
    } else {
        lowers
    };
    overlay(lowers, Some((&scratch.join("fs"), &scratch.join("work"))))
}

fn overlay(lowers: &[PathBuf], upper: Option<(&Path, &Path)>) -> Result<OwnedFd, String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: rustix::io::Errno| format!("mount an overlay ({what}): {error}")
    };
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("open"))?;
    for lower in lowers.iter().rev() {
        match fsconfig_set_string(context.as_fd(), "lowerdir+", lower.as_path()) {
            Ok(()) => {}
            // Before Linux 6.7 all lower directories are one option.
            Err(rustix::io::Errno::INVAL) => return old_overlay(lowers, upper),
            Err(error) => return Err(failed("lower")(error)),
        }
    }
    if let Some((upper, work)) = upper {
        fsconfig_set_string(context.as_fd(), "upperdir", upper).map_err(failed("upper"))?;
        fsconfig_set_string(context.as_fd(), "workdir", work).map_err(failed("work"))?;
        // A crash loses a step that was not committed anyway; fsync is then free.
        fsconfig_set_flag(context.as_fd(), "volatile").map_err(failed("volatile"))?;
    }
    // Marks that an ordinary user can write and read, the same for root.
    fsconfig_set_flag(context.as_fd(), "userxattr").map_err(failed("userxattr"))?;
    for (option, value) in [("index", "off"), ("metacopy", "off"), ("xino", "off")] {
        fsconfig_set_string(context.as_fd(), option, value).map_err(failed(option))?;
    }
    fsconfig_create(context.as_fd()).map_err(failed("create"))?;
    fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(failed("mount"))
}

/// Mounts with the old call, on a folder of a private tmpfs, and gives the detached mount.
fn old_overlay(lowers: &[PathBuf], upper: Option<(&Path, &Path)>) -> Result<OwnedFd, String> {
    let failed = |error: rustix::io::Errno| format!("mount an overlay: {error}");
    let escaped = |path: &Path| {
        let mut escaped = Vec::new();
        for byte in path.as_os_str().as_bytes() {
            if matches!(byte, b':' | b',' | b'\\') {
                escaped.push(b'\\');
            }
            escaped.push(*byte);
        }
        escaped
    };
    let mut options = b"userxattr,index=off,metacopy=off,xino=off,lowerdir=".to_vec();
    for (index, lower) in lowers.iter().rev().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        options.extend(escaped(lower));
    }
    if let Some((upper, work)) = upper {
        options.extend(b",volatile,upperdir=");
        options.extend(escaped(upper));
        options.extend(b",workdir=");
        options.extend(escaped(work));
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(format!(
            "mount an overlay of {} layers: this kernel takes {OPTIONS_LIMIT} bytes of options, and they need {}; a shorter path for the store helps, or Linux 6.7",
            lowers.len(),
            options.len()
        ));
    }
    let options = CString::new(options).map_err(|_| "a path holds a zero byte".to_owned())?;
    let place = Path::new("/proc");
    mount(
        "overlay",
        place,
        "overlay",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )
    .map_err(failed)?;
    open_tree(
        CWD,
        place,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .and_then(|tree| unmount(place, UnmountFlags::DETACH).map(|()| tree))
    .map_err(failed)
}

fn mount_proc(target: &Path) -> Result<(), String> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", target, "proc", quiet, None)
        .map_err(|error| format!("mount a new /proc: {error}"))?;
    for name in PROC_READ_ONLY {
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
    for name in PROC_MASKED {
        let path = target.join(name);
        if path.exists() {
            mount_bind("/dev/null", &path)
                .map_err(|error| format!("mask /proc/{name}: {error}"))?;
        }
    }
    Ok(())
}

fn mount_sys(target: &Path, network: Network) -> Result<(), String> {
    let failed = |error: io::Error| format!("mount /sys: {error}");
    if network == Network::None {
        let flags =
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        return mount("sysfs", target, "sysfs", flags, None).map_err(|error| failed(error.into()));
    }
    // A new one is refused to who does not own the network namespace.
    mount_bind_recursive("/sys", target).map_err(|error| failed(error.into()))?;
    let mounted = open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(|error| failed(error.into()))?;
    sys::make_read_only_recursively(mounted.as_fd()).map_err(failed)
}

fn mount_dev(target: &Path) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("make /dev{what}: {error}")
    };
    let mount_at = |kind: &str, path: &Path, flags: MountFlags, options: &str| {
        let options = CString::new(options).unwrap_or_default();
        mount(kind, path, kind, flags, Some(options.as_c_str())).map_err(io::Error::from)
    };
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_at("tmpfs", target, quiet, "mode=755,size=64k").map_err(failed(""))?;
    for name in DEVICES {
        let path = target.join(name);
        File::create(&path).map_err(failed(name))?;
        mount_bind(Path::new("/dev").join(name), &path)
            .map_err(|error| failed(name)(error.into()))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(target.join(name)).map_err(failed(name))?;
    }
    mount_at(
        "devpts",
        &target.join("pts"),
        quiet,
        "newinstance,ptmxmode=0666,mode=0620",
    )
    .map_err(failed("/pts"))?;
    mount_at(
        "tmpfs",
        &target.join("shm"),
        quiet | MountFlags::NODEV,
        "mode=1777,size=64m",
    )
    .map_err(failed("/shm"))?;
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(to, target.join(name)).map_err(failed(name))?;
    }
    Ok(())
}

fn pivot(target: &Path) -> Result<(), String> {
    let failed = |error: rustix::io::Errno| format!("enter the root: {error}");
    let root = open(
        target,
        OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed)?;
    rustix::process::fchdir(&root).map_err(failed)?;
    // The old root is stacked on the new one and then detached (pivot_root(2), NOTES).
    rustix::process::pivot_root(".", ".").map_err(failed)?;
    unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}
