//! Mounts: the root of a step, built inside the mount namespace of its PID 1.

mod wanted;

pub use wanted::{Agent, CACHE_CONTENT};

use super::error::Failure;
use super::means::{Means, Writable};
use super::mount_point::Stub;
use super::protocol::{FailureKind, RootSpec};
use super::root;
use super::{entrance, proc, sys};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount, move_mount,
    open_tree, unmount,
};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::UnshareFlags;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The kernel's limit for the options of the old mount call: one page with its end.
const OPTIONS_LIMIT: usize = 4095;
/// Parts of /sys that tell of the host, as Docker hides them.
const SYS_MASKED: [&str; 2] = ["firmware", "devices/virtual/powercap"];
/// What the host has mounted in its /sys, and a new one does not have: all that runs on it.
const SYS_MOUNTED: [&str; 1] = ["fs/cgroup"];
/// The whole of a step's /dev, beside terminals and shared memory.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What came of making a root.
pub struct Entered {
    /// The mount points that were made for it in the upper.
    pub stubs: Vec<Stub>,
    /// Sockets in it that are to be forwarded.
    pub agents: Vec<Agent>,
}

/// Mounts the layers and makes them this process' root.
///
/// `resolver` answers for the host's own where the step cannot reach that.
pub fn enter_root(
    spec: &RootSpec,
    means: Means,
    many_ids: bool,
    resolver: Option<&str>,
) -> Result<Entered, Failure> {
    let RootSpec {
        lowers,
        scratch,
        network,
        ..
    } = spec;
    let of = |kind: FailureKind| move |text: String| (kind, text);
    let setup = of(FailureKind::Setup);
    make_private().map_err(|error| setup(format!("make mounts private: {error}")))?;
    let target = scratch.join("root");
    match means.writable {
        Writable::Overlay => {
            attach_overlay(lowers, scratch, &target).map_err(of(FailureKind::Overlay))?
        }
        Writable::Copy => bind_copy(&scratch.join("fs"), &target).map_err(setup)?,
    }
    let proc_folder = target.join("proc");
    if means.has_process_namespace() {
        proc::mount_new(&proc_folder).map_err(of(FailureKind::Processes))?;
    } else {
        proc::bind_outer(&proc_folder).map_err(setup)?;
    }
    mount_sys(&target.join("sys")).map_err(setup)?;
    mount_dev(&target.join("dev")).map_err(setup)?;
    let mut stubs = root::bind_host_files(&target, *network, resolver).map_err(setup)?;
    let agents = wanted::attach(&target, spec, many_ids, &mut stubs).map_err(setup)?;
    entrance::enter(&target).map_err(setup)?;
    Ok(Entered { stubs, agents })
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

fn attach_overlay(lowers: &[PathBuf], scratch: &Path, target: &Path) -> Result<(), String> {
    let overlay = writable(lowers, scratch)?;
    move_mount(
        overlay.as_fd(),
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|error| format!("attach the overlay: {error}"))
}

fn bind_copy(copy: &Path, target: &Path) -> Result<(), String> {
    mount_bind(copy, target)
        .map_err(io::Error::from)
        .and_then(|()| {
            let tree = open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
            sys::refuse_devices(tree.as_fd())
        })
        .map_err(|error| format!("attach the copy of the layers: {error}"))
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

/// Mounts an overlay. All its folders are named by descriptors: such names are short, hold nothing
/// that options treat specially, and tell a step that reads its mounts nothing of the host.
fn overlay(lowers: &[PathBuf], upper: Option<(&Path, &Path)>) -> Result<OwnedFd, String> {
    let lowers: Vec<Named> = lowers
        .iter()
        .map(|lower| Named::open(lower))
        .collect::<Result<_, _>>()?;
    let upper = match upper {
        Some((upper, work)) => Some((Named::open(upper)?, Named::open(work)?)),
        None => None,
    };
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: rustix::io::Errno| format!("mount an overlay ({what}): {error}")
    };
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("open"))?;
    for lower in lowers.iter().rev() {
        match fsconfig_set_string(context.as_fd(), "lowerdir+", &*lower.name) {
            Ok(()) => {}
            // Before Linux 6.7 all lower directories are one option.
            Err(rustix::io::Errno::INVAL) => return old_overlay(&lowers, upper.as_ref()),
            Err(error) => return Err(failed("lower")(error)),
        }
    }
    if let Some((upper, work)) = &upper {
        fsconfig_set_string(context.as_fd(), "upperdir", &*upper.name).map_err(failed("upper"))?;
        fsconfig_set_string(context.as_fd(), "workdir", &*work.name).map_err(failed("work"))?;
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
        // Real root may make any device file, and must not open it.
        MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .map_err(failed("mount"))
}

/// Mounts with the old call, where nobody else sees it, and gives the detached mount.
fn old_overlay(lowers: &[Named], upper: Option<&(Named, Named)>) -> Result<OwnedFd, String> {
    let failed = |error: rustix::io::Errno| format!("mount an overlay: {error}");
    let names: Vec<&str> = lowers
        .iter()
        .rev()
        .map(|lower| lower.name.as_str())
        .collect();
    let mut options = format!(
        "userxattr,index=off,metacopy=off,xino=off,lowerdir={}",
        names.join(":")
    );
    if let Some((upper, work)) = upper {
        options += &format!(",volatile,upperdir={},workdir={}", upper.name, work.name);
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(format!(
            "mount an overlay of {} layers: before Linux 6.7 their names must fit into {OPTIONS_LIMIT} bytes",
            lowers.len()
        ));
    }
    let options = CString::new(options).map_err(|_| "a path holds a zero byte".to_owned())?;
    // For real root, this is where the whole machine would see the mount.
    sys::unshare(UnshareFlags::NEWNS)
        .and_then(|()| make_private())
        .map_err(|error| format!("make a mount namespace: {error}"))?;
    let place = Path::new("/sys");
    mount(
        "overlay",
        place,
        "overlay",
        MountFlags::NODEV,
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

/// A folder of an overlay, open as long as its name is needed.
struct Named {
    name: String,
    _descriptor: OwnedFd,
}

impl Named {
    fn open(path: &Path) -> Result<Self, String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = open(path, flags, Mode::empty())
            .map_err(|error| format!("open {}: {error}", path.display()))?;
        Ok(Self {
            name: format!("/proc/self/fd/{}", descriptor.as_raw_fd()),
            _descriptor: descriptor,
        })
    }
}

/// Keeps mounts of this namespace from the one that it was copied from.
fn make_private() -> io::Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(mount_change("/", flags)?)
}

/// Puts an empty file or folder over each of `names` that exists.
pub fn mask(target: &Path, names: &[&str]) -> Result<(), String> {
    for name in names {
        let path = target.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let flags =
                MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
            mount("tmpfs", &path, "tmpfs", flags, Some(c"size=4k,mode=555"))
        } else {
            bind_device(Path::new("/dev/null"), &path)
        }
        .map_err(|error| format!("mask {name}: {error}"))?;
    }
    Ok(())
}

/// Binds a device of the host, which may be written to, but neither given away nor closed to
/// others: read-only mounts hold for what the file system keeps of a device alone.
fn bind_device(device: &Path, path: &Path) -> Result<(), rustix::io::Errno> {
    mount_bind(device, path)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_remount(path, flags, "")
}

fn mount_sys(target: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("mount /sys: {error}");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    match mount("sysfs", target, "sysfs", flags, None) {
        Ok(()) => return mask(target, &SYS_MASKED),
        // A new one is for who owns the network namespace, and where no part of it is hidden yet.
        Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(failed(error.into())),
    }
    mount_bind_recursive("/sys", target).map_err(|error| failed(error.into()))?;
    mask(target, &SYS_MASKED)?;
    mask(target, &SYS_MOUNTED)?;
    let mounted = open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(|error| failed(error.into()))?;
    sys::make_read_only_recursively(mounted.as_fd()).map_err(failed)
}

fn mount_dev(target: &Path) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("make {what}: {error}")
    };
    let mount_at = |kind: &str, path: &Path, flags: MountFlags, options: &str| {
        let options = CString::new(options).unwrap_or_default();
        mount(kind, path, kind, flags, Some(options.as_c_str())).map_err(io::Error::from)
    };
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    let no_devices = quiet | MountFlags::NODEV;
    mount_at("tmpfs", target, no_devices, "mode=755,size=16m").map_err(failed("/dev"))?;
    for name in DEVICES {
        let path = target.join(name);
        File::create(&path).map_err(failed(&format!("/dev/{name}")))?;
        bind_device(&Path::new("/dev").join(name), &path)
            .map_err(|error| failed(&format!("/dev/{name}"))(error.into()))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(target.join(name)).map_err(failed(&format!("/dev/{name}")))?;
    }
    mount_at(
        "devpts",
        &target.join("pts"),
        quiet,
        "newinstance,ptmxmode=0666,mode=0620",
    )
    .map_err(failed("/dev/pts"))?;
    mount_at(
        "tmpfs",
        &target.join("shm"),
        no_devices,
        "mode=1777,size=64m",
    )
    .map_err(failed("/dev/shm"))?;
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(to, target.join(name)).map_err(failed(&format!("/dev/{name}")))?;
    }
    Ok(())
}
