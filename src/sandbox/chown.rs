//! Ownership with a single id: what the kernel cannot store is recorded.
//!
//! In a namespace with one id every other owner is refused. So the step's seccomp program hands
//! calls that change owners over to the supervisor, which writes the wish as an extended attribute
//! on the file; the layer is then written with that owner. What a step reads back with `stat` is
//! still root. Links and special files cannot carry the attribute and stay root's.

use super::connection::Connection;
use super::init::InitReport;
use super::sys::{self, HandedOverCall};
use crate::layer;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, fstatfs, open, openat, readlinkat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

/// The longest path that the kernel takes (`PATH_MAX`).
const PATH_LIMIT: usize = 4096;
/// Links that are followed before it counts as a circle, as in the kernel.
const LINK_LIMIT: usize = 40;
/// An argument that leaves the id as it is.
const UNCHANGED: u32 = u32::MAX;

/// Sends the listener of handed-over calls to the supervisor.
pub(super) fn hand_over(connection: &mut Connection, listener: OwnedFd) -> io::Result<()> {
    connection.send_with(&InitReport::Listening, listener.as_fd())
}

/// Answers calls that change owners.
pub(super) struct Answerer {
    listener: OwnedFd,
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// What a call wants.
struct Wish {
    file: OwnedFd,
    uid: u32,
    gid: u32,
}

impl Answerer {
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self { listener }
    }

    /// Answers the next call.
    pub(super) fn answer_one(&self) {
        let Ok(Some(call)) = sys::receive_call(self.listener.as_fd()) else {
            return;
        };
        let answer = self.answer(&call).map_err(|error| {
            error
                .raw_os_error()
                .filter(|number| *number > 0)
                .unwrap_or(libc::EPERM)
        });
        sys::answer_call(self.listener.as_fd(), call.id, answer);
    }

    fn answer(&self, call: &HandedOverCall) -> io::Result<()> {
        let wish = wish(call)?;
        // Only now is it sure that what was opened belongs to the caller and not to a process
        // that has taken its number.
        if !sys::call_is_pending(self.listener.as_fd(), call.id) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        record(&wish)
    }
}

/// Finds the file and the ids that a call means.
fn wish(call: &HandedOverCall) -> io::Result<Wish> {
    let [a, b, c, d, e, _] = call.arguments;
    let number = libc::c_long::from(call.number);
    // Ids and descriptors are the low halves of their registers.
    let low = |value: u64| (value & u64::from(u32::MAX)) as u32;
    if number == libc::SYS_fchown {
        let file = open_descriptor(call.thread, low(a))?;
        return Ok(Wish {
            file,
            uid: low(b),
            gid: low(c),
        });
    }
    if number == libc::SYS_fchownat {
        let path = read_path(call.thread, b)?;
        let flags = low(e);
        if path.is_empty() && flags & libc::AT_EMPTY_PATH as u32 != 0 {
            let file = open_descriptor(call.thread, low(a))?;
            return Ok(Wish {
                file,
                uid: low(c),
                gid: low(d),
            });
        }
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0;
        let folder = if low(a) as i32 == libc::AT_FDCWD {
            None
        } else {
            Some(low(a))
        };
        let file = resolve(call.thread, folder, &path, follow)?;
        return Ok(Wish {
            file,
            uid: low(c),
            gid: low(d),
        });
    }
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_chown || number == libc::SYS_lchown {
        let path = read_path(call.thread, a)?;
        let file = resolve(call.thread, None, &path, number == libc::SYS_chown)?;
        return Ok(Wish {
            file,
            uid: low(b),
            gid: low(c),
        });
    }
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Writes the owner down on a file or folder; others cannot carry it.
fn record(wish: &Wish) -> io::Result<()> {
    let stat = fstat(&wish.file)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    // What is on no overlay is no part of the layer: /dev/shm, or a file of the host that the
    // caller has got as its output.
    let is_of_layer = fstatfs(&wish.file)?.f_type == libc::OVERLAYFS_SUPER_MAGIC;
    if !is_of_layer || !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Ok(());
    }
    let (old_uid, old_gid) = layer::recorded_owner(wish.file.as_fd())?.unwrap_or((0, 0));
    let choose = |new: u32, old: u32| if new == UNCHANGED { old } else { new };
    let owner = (choose(wish.uid, old_uid), choose(wish.gid, old_gid));
    // The kernel's own change to the same owner takes away set-user-id bits and capabilities, as
    // the real one would have.
    let root = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    rustix::fs::chownat(
        &wish.file,
        "",
        Some(root.0),
        Some(root.1),
        AtFlags::EMPTY_PATH,
    )?;
    layer::record_owner(wish.file.as_fd(), owner)
}

/// Reads a path out of the caller's memory.
fn read_path(thread: u32, address: u64) -> io::Result<Vec<u8>> {
    let memory = File::open(format!("/proc/{thread}/mem"))?;
    let mut path = Vec::new();
    let mut page = vec![0u8; PATH_LIMIT];
    while path.len() < PATH_LIMIT {
        let at = address.saturating_add(path.len() as u64);
        // Not beyond the page that it is known to reach.
        let length = PATH_LIMIT - (at % PATH_LIMIT as u64) as usize;
        let read = memory
            .read_at(&mut page[..length], at)
            .map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?;
        match page[..read].iter().position(|byte| *byte == 0) {
            Some(end) => {
                path.extend_from_slice(&page[..end]);
                return Ok(path);
            }
            None if read == 0 => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
            None => path.extend_from_slice(&page[..read]),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

fn open_descriptor(thread: u32, descriptor: u32) -> io::Result<OwnedFd> {
    let path = format!("/proc/{thread}/fd/{descriptor}");
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|_| io::Error::from_raw_os_error(libc::EBADF))
}

/// Walks a path as the caller sees it: from its folder or its root, and never out of that root,
/// since links are followed here and not by the kernel, which would start at the host's root.
fn resolve(
    thread: u32,
    folder: Option<u32>,
    path: &[u8],
    follow_last: bool,
) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open_folder = |path: String| {
        open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    if let Some(descriptor) = own_descriptor(path).filter(|_| follow_last) {
        return open_descriptor(thread, descriptor);
    }
    // A slash at the end stands for the folder that a link leads to.
    let follow_last = follow_last || path.ends_with(b"/") || path.ends_with(b"/.");
    let root = open_folder(format!("/proc/{thread}/root"))?;
    let mut current = match folder {
        Some(descriptor) => open_folder(format!("/proc/{thread}/fd/{descriptor}"))?,
        None => open_folder(format!("/proc/{thread}/cwd"))?,
    };
    let mut pending: Vec<Vec<u8>> = Vec::new();
    let push = |pending: &mut Vec<Vec<u8>>, path: &[u8]| {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let parts: Vec<Vec<u8>> = path
            .components()
            .filter_map(|part| match part {
                Component::RootDir => Some(b"/".to_vec()),
                Component::ParentDir => Some(b"..".to_vec()),
                Component::Normal(name) => Some(name.as_bytes().to_vec()),
                Component::CurDir | Component::Prefix(_) => None,
            })
            .collect();
        pending.extend(parts.into_iter().rev());
    };
    push(&mut pending, path);
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == b"/" {
            current = root.try_clone()?;
            continue;
        }
        // The caller cannot climb above its root; this process, which has another, could.
        if part == b".." && is_same(&current, &root)? {
            continue;
        }
        let next = openat(&current, &part[..], flags, Mode::empty())?;
        let kind = FileType::from_raw_mode(fstat(&next)?.st_mode);
        if kind == FileType::Symlink && (follow_last || !pending.is_empty()) {
            links += 1;
            if links > LINK_LIMIT {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let target = readlinkat(&current, &part[..], Vec::new())?;
            let target = target.to_bytes();
            if let Some(descriptor) = own_descriptor(target).filter(|_| pending.is_empty()) {
                return open_descriptor(thread, descriptor);
            }
            push(&mut pending, target);
            continue;
        }
        current = next;
    }
    Ok(current)
}

/// The descriptor that a name like `/proc/self/fd/1` means, as `/dev/stdout` leads to. Walked from
/// here, it would be one of this process.
fn own_descriptor(path: &[u8]) -> Option<u32> {
    let number = path
        .strip_prefix(b"/proc/self/fd/")
        .or_else(|| path.strip_prefix(b"/dev/fd/"))?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}
