//! The system calls that no safe wrapper offers. The only unsafe code of hardtack.
#![allow(unsafe_code)]

use rustix::mount::MountAttrFlags;
use rustix::thread::UnshareFlags;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `unshare(2)`, for a process with one thread.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: unsharing is unsafe for the file descriptor table, which is not asked for here; the
    // flags of this crate are namespaces only.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Keeps what this process was started with, beside its three standard streams, from whatever it
/// executes (`close_range(2)`, Linux 5.11).
pub fn keep_descriptors_private() -> io::Result<()> {
    // SAFETY: the call takes no pointer, and closes nothing in this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives every signal its default action again, whatever the caller of hardtack ignores.
pub fn reset_signals() {
    // Those that cannot be changed are refused, which is as well.
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: a default action runs no code of this process.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Adds attributes to a mount and all below it (`mount_setattr(2)`, Linux 5.12).
pub fn add_mount_attributes(mount: BorrowedFd<'_>, added: MountAttrFlags) -> io::Result<()> {
    limit_mount(mount, added, libc::AT_RECURSIVE)
}

/// Makes a mount and all below it read-only, and keeps programs in it from being executed.
pub fn make_read_only_recursively(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    add_mount_attributes(mount, attributes)
}

/// Makes device files on a mount refuse to open.
pub fn refuse_devices(mount: BorrowedFd<'_>) -> io::Result<()> {
    limit_mount(mount, MountAttrFlags::MOUNT_ATTR_NODEV, 0)
}

fn limit_mount(
    mount: BorrowedFd<'_>,
    added: MountAttrFlags,
    recursive: libc::c_int,
) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = MountAttributes {
        set: u64::from(added.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the path is an empty C string, the structure is the kernel's `struct mount_attr` and
    // its size is given; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (target, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *target = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the descriptor is open and the request is a whole `ifreq` that outlives the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Installs a seccomp program for this process and its children.
///
/// With `listener`, calls that the program hands over are answered through the descriptor that is
/// returned.
pub fn install_seccomp(
    program: &[libc::sock_filter],
    listener: bool,
) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    let flags = if listener {
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
    } else {
        0
    };
    // SAFETY: the program points to `length` instructions that outlive the call; the kernel
    // copies and checks them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if !listener {
        return Ok(None);
    }
    let descriptor = i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the call has returned a new descriptor that nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// A call that a seccomp program has handed over (`struct seccomp_notif`).
#[derive(Clone, Copy, Debug)]
pub struct HandedOverCall {
    /// Names the call for the answer.
    pub id: u64,
    /// The thread that made it, as seen from here.
    pub thread: u32,
    /// The number of the system call.
    pub number: i32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Receives one call; none if the caller has gone in the meantime.
pub fn receive_call(listener: BorrowedFd<'_>) -> io::Result<Option<HandedOverCall>> {
    // SAFETY: all-zero bytes are a valid `seccomp_notif`, and the kernel requires them.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is a listener and the structure is the one that this request fills.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            SECCOMP_IOCTL_NOTIF_RECV as _,
            &raw mut call,
        )
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    Ok(Some(HandedOverCall {
        id: call.id,
        thread: call.pid,
        number: call.data.nr,
        arguments: call.data.args,
    }))
}

/// Whether the caller still waits for the answer, so that what was read of it is its own.
pub fn call_is_pending(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads one `u64`, which outlives the call.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            SECCOMP_IOCTL_NOTIF_ID_VALID as _,
            &raw const id,
        ) == 0
    }
}

/// Answers a call: `Ok` as success with 0, `Err` with an error number.
pub fn answer_call(listener: BorrowedFd<'_>, id: u64, answer: Result<(), i32>) {
    let answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: answer.err().map_or(0, |number| -number),
        flags: 0,
    };
    // SAFETY: the request reads one whole `seccomp_notif_resp`. A caller that has gone needs none.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            SECCOMP_IOCTL_NOTIF_SEND as _,
            &raw const answer,
        );
    }
}

/// `SECCOMP_IOWR(0, struct seccomp_notif)`, of 80 bytes.
const SECCOMP_IOCTL_NOTIF_RECV: u64 = 0xc050_2100;
/// `SECCOMP_IOWR(1, struct seccomp_notif_resp)`, of 24 bytes.
const SECCOMP_IOCTL_NOTIF_SEND: u64 = 0xc018_2101;
/// `SECCOMP_IOW(2, __u64)`.
const SECCOMP_IOCTL_NOTIF_ID_VALID: u64 = 0x4008_2102;

/// Makes `command` the leader of a session of its own, with its standard input as the terminal.
pub fn lead_terminal_session(command: &mut Command) {
    let change = || {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two plain system calls; it allocates nothing
    // and takes no lock.
    unsafe {
        command.pre_exec(change);
    }
}

/// The ids that a command runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All further groups.
    pub groups: Vec<u32>,
}

/// Makes `command` change to `ids` before it is executed.
///
/// The standard library's own `uid` and `gid` cannot set further groups, and insist on clearing
/// them, which a user namespace with a single id forbids.
pub fn run_as(command: &mut Command, ids: Ids) {
    let change = move || {
        let check = |result: libc::c_long| {
            if result == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        };
        // SAFETY: these calls touch no memory but the list, which the closure owns.
        unsafe {
            check(libc::syscall(
                libc::SYS_setgroups,
                ids.groups.len(),
                ids.groups.as_ptr(),
            ))?;
            check(libc::syscall(
                libc::SYS_setresgid,
                ids.gid,
                ids.gid,
                ids.gid,
            ))?;
            check(libc::syscall(
                libc::SYS_setresuid,
                ids.uid,
                ids.uid,
                ids.uid,
            ))
        }
    };
    // SAFETY: between fork and exec the closure makes three plain system calls; it allocates
    // nothing and takes no lock.
    unsafe {
        command.pre_exec(change);
    }
}

/// The version of Landlock that the kernel has (`landlock_create_ruleset(2)`, Linux 5.13).
pub fn landlock_version() -> io::Result<i32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes no attributes, and reads no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            VERSION,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Puts this thread and its future children into a Landlock domain that lets no signal out
/// (version 6, Linux 6.12), and so nothing be traced that is outside.
pub fn landlock_keep_signals_inside() -> io::Result<()> {
    #[repr(C)]
    struct RulesetAttributes {
        files: u64,
        network: u64,
        scoped: u64,
    }
    const SCOPE_SIGNAL: u64 = 1 << 1;
    let attributes = RulesetAttributes {
        files: 0,
        network: 0,
        scoped: SCOPE_SIGNAL,
    };
    // SAFETY: the structure is the kernel's `struct landlock_ruleset_attr` and its size is given;
    // the kernel only reads it.
    let ruleset = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<RulesetAttributes>(),
            0,
        )
    };
    if ruleset < 0 {
        return Err(io::Error::last_os_error());
    }
    let ruleset = i32::try_from(ruleset).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the call has returned a new descriptor that nobody else owns.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    // SAFETY: the call takes a descriptor, which is open, and no pointer.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
