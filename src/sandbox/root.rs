//! The root before and after: mount points that the image lacks, and what must not stay of them.
//!
//! A *stub* is an empty folder or file that only serves as a mount point (`/proc`, `/dev`,
//! `/etc/resolv.conf`). It is made in the upper where the image has none, and removed after the
//! step unless the step has put something there.

use super::protocol::Network;
use super::tasks;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::mount_bind;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Links that are followed before it counts as a circle, as in the kernel.
const LINK_LIMIT: usize = 40;
/// Each try takes microseconds, and something must be renamed or mounted during every one.
const UNSURE_LIMIT: usize = 10_000;

/// A mount point that was made for the step, relative to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    path: PathBuf,
    is_folder: bool,
}

/// Mount points that every root needs.
const FOLDERS: [&str; 3] = ["proc", "sys", "dev"];
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Makes the folders of an overlay in `scratch`, and the mount points that the image lacks.
pub fn prepare_scratch(scratch: &Path, lowers: &[PathBuf]) -> io::Result<Vec<Stub>> {
    for name in ["fs", "work", "root", "empty"] {
        fs::DirBuilder::new()
            .mode(0o755)
            .create(scratch.join(name))?;
    }
    let mut stubs = Vec::new();
    let upper = scratch.join("fs");
    // The root folder itself is that of the topmost layer.
    if let Some(top) = lowers.last() {
        copy_folder_metadata(top, &upper)?;
    }
    for name in FOLDERS {
        let state = lowers.iter().rev().find_map(|lower| {
            fs::symlink_metadata(lower.join(name))
                .ok()
                .map(|metadata| metadata.file_type())
        });
        if !state.is_some_and(|kind| kind.is_dir()) {
            fs::DirBuilder::new().mode(0o755).create(upper.join(name))?;
            stubs.push(Stub {
                path: name.into(),
                is_folder: true,
            });
        }
    }
    Ok(stubs)
}

/// Gives a new upper the mode, owner and attributes of the root folder below it, so that they show
/// through.
fn copy_folder_metadata(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{Timestamps, XattrFlags};
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(from)?;
    // Without the right to give files away, the effective owner is a recorded attribute.
    let _ = std::os::unix::fs::chown(to, Some(metadata.uid()), Some(metadata.gid()));
    fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    let mut names = vec![0u8; 64 * 1024];
    let length = rustix::fs::listxattr(from, &mut names[..]).unwrap_or(0);
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let is_mark = name.windows(9).any(|part| part == b".overlay.");
        let mut value = vec![0u8; 64 * 1024];
        if let (false, Ok(length)) = (is_mark, rustix::fs::getxattr(from, name, &mut value[..])) {
            // Attributes that may not be set are the host's own.
            let _ = rustix::fs::setxattr(to, name, &value[..length], XattrFlags::empty());
        }
    }
    let times = Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: metadata.atime(),
            tv_nsec: 0,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    };
    rustix::fs::utimensat(rustix::fs::CWD, to, &times, AtFlags::empty())?;
    Ok(())
}

/// Binds a copy of the host's name resolution over the image's, and makes the places for it that
/// the image lacks. What a step writes there is thrown away, as in Docker.
pub fn bind_host_files(target: &Path, network: Network) -> Result<Vec<Stub>, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(target, flags, Mode::empty())
        .map_err(|error| format!("open the root: {error}"))?;
    let files: &[(&str, Vec<u8>)] = match network {
        Network::Host => &[
            ("hosts", fs::read("/etc/hosts").unwrap_or_default()),
            (
                "resolv.conf",
                fs::read("/etc/resolv.conf").unwrap_or_default(),
            ),
        ],
        Network::None => &[("hosts", HOSTS.as_bytes().to_vec())],
    };
    let mut stubs = Vec::new();
    for (name, text) in files {
        let failed = |error: io::Error| format!("provide /etc/{name}: {error}");
        let Some(place) = place(&root, &Path::new("etc").join(name), &mut stubs).map_err(failed)?
        else {
            continue;
        };
        // On the file system of /dev, so that its mount tells nothing of the host's paths.
        let copy = target.join("dev").join(name);
        fs::write(&copy, text).map_err(failed)?;
        // In an image where both names lead to one file, the first has been mounted on it.
        let own = fs::metadata(&copy).map_err(failed)?.dev();
        if fstat(&place).map_err(|error| failed(error.into()))?.st_dev != own {
            mount_bind(&copy, format!("/proc/self/fd/{}", place.as_raw_fd()))
                .map_err(|error| failed(error.into()))?;
        }
        fs::remove_file(&copy).map_err(failed)?;
    }
    Ok(stubs)
}

/// Opens the file of the root to mount on, following the image's links inside the root; makes it,
/// and the folders above it, where they are missing. None where something else is in its place.
fn place(root: &OwnedFd, path: &Path, stubs: &mut Vec<Stub>) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = |path: &Path, flags: OFlags| {
        // Renames and mounts elsewhere on the machine make the kernel unsure about `..`.
        for _ in 0..UNSURE_LIMIT {
            match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => std::thread::yield_now(),
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    };
    let mut path = path.to_owned();
    for _ in 0..LINK_LIMIT {
        match open(&path, OFlags::PATH) {
            Ok(file) => {
                let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
                return Ok((kind == FileType::RegularFile).then_some(file));
            }
            Err(Errno::NOENT) => {}
            // A circle of links, or a file in the place of a folder.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let mut current = PathBuf::new();
        let mut folder = open(Path::new("."), OFlags::PATH | OFlags::DIRECTORY)?;
        for part in parent.components() {
            let Component::Normal(name) = part else {
                current.push(part);
                continue;
            };
            current.push(name);
            folder = match open(&current, OFlags::PATH | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => {
                    let above = match current.parent() {
                        Some(above) if above != Path::new("") => above,
                        _ => Path::new("."),
                    };
                    let above = open(above, OFlags::PATH | OFlags::DIRECTORY)?;
                    match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                        Ok(()) => stubs.push(Stub::new(root, &above, name, true)?),
                        // A link that leads nowhere: more than an image is helped with.
                        Err(Errno::EXIST) => return Ok(None),
                        Err(error) => return Err(error.into()),
                    }
                    open(&current, OFlags::PATH | OFlags::DIRECTORY)?
                }
                Err(Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
                folder => folder?,
            };
        }
        match readlinkat(&folder, name, Vec::new()) {
            Ok(link) => {
                let link = Path::new(OsStr::from_bytes(link.to_bytes()));
                path = parent.join(link);
            }
            Err(Errno::NOENT) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
                stubs.push(Stub::new(root, &folder, name, false)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

impl Stub {
    /// Of a member that was made in `folder`, somewhere below `root`.
    fn new(root: &OwnedFd, folder: &OwnedFd, name: &OsStr, is_folder: bool) -> io::Result<Self> {
        let path_of = |descriptor: &OwnedFd| {
            fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
        };
        let folder = path_of(folder)?;
        let inside = folder
            .strip_prefix(path_of(root)?)
            .map_err(|_| io::Error::other("a mount point is outside the root"))?;
        Ok(Self {
            path: inside.join(name),
            is_folder,
        })
    }
}

/// Leaves nothing in `scratch` but the tree, and nothing in the tree of the mount points that the
/// step has left as they were.
pub fn tidy(scratch: &Path, stubs: &[Stub]) -> Result<(), String> {
    let folder = rustix::fs::open(
        scratch.join("fs"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("open the upper: {error}"))?;
    // The innermost come last.
    for stub in stubs.iter().rev() {
        stub.remove(&folder)
            .map_err(|error| format!("remove {}: {error}", stub.path.display()))?;
    }
    for name in ["work", "root", "empty"] {
        tasks::remove(&scratch.join(name))?;
    }
    Ok(())
}

impl Stub {
    fn remove(&self, upper: &OwnedFd) -> io::Result<()> {
        let parent = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let Some(name) = self.path.file_name() else {
            return Ok(());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let parent = match openat2(upper, parent, flags, Mode::empty(), resolve) {
            Ok(parent) => parent,
            // The step has replaced what is above it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stat = match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        let flags = match (FileType::from_raw_mode(stat.st_mode), self.is_folder) {
            (FileType::Directory, true) => AtFlags::REMOVEDIR,
            (FileType::RegularFile, false) if stat.st_size == 0 => AtFlags::empty(),
            // The step has put something else there.
            _ => return Ok(()),
        };
        match unlinkat(&parent, name, flags) {
            // The step has put something into it.
            Ok(()) | Err(Errno::NOTEMPTY) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
