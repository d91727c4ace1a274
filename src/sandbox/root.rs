//! The root before and after: mount points that the image lacks, and what must not stay of them.
//!
//! A *stub* is an empty folder or file that only serves as a mount point (`/proc`, `/dev`,
//! `/etc/resolv.conf`). It is made in the upper where the image has none, and removed after the
//! step unless the step has put something there.

use super::protocol::Network;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2, statat, unlinkat};
use rustix::mount::mount_bind;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A mount point that was made for the step, relative to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
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

/// Binds a private copy of the host's name resolution over the image's. What a step writes there is
/// thrown away, as in Docker.
pub fn bind_host_files(root: &Path, scratch: &Path, network: Network) -> Result<(), String> {
    let files = [
        ("etc/hosts", "/etc/hosts"),
        ("etc/resolv.conf", "/etc/resolv.conf"),
    ];
    for (target, host) in files {
        let text = match network {
            Network::Host => fs::read(host).unwrap_or_default(),
            Network::None if target == "etc/hosts" => HOSTS.as_bytes().to_vec(),
            Network::None => continue,
        };
        let name = target.rsplit('/').next().unwrap_or(target);
        let copy = scratch.join("empty").join(name);
        let failed = |what: &str, error: io::Error| format!("{what} /{target}: {error}");
        let mut file = File::create(&copy).map_err(|error| failed("copy", error))?;
        file.write_all(&text)
            .map_err(|error| failed("copy", error))?;
        let Some(place) = open_file(root, Path::new(target)) else {
            continue;
        };
        let place = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
        mount_bind(&copy, &place).map_err(|error| failed("bind", error.into()))?;
    }
    Ok(())
}

/// Opens a file of the root to mount on it; none where the image has no such file to hide.
///
/// An image without the file resolves names by nothing of its own, so a stub would be the only
/// residue: programs then read the copy through it, and it is removed by [`remove_stubs`].
fn open_file(root: &Path, path: &Path) -> Option<OwnedFd> {
    let folder = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let open = |flags: OFlags| {
        openat2(
            &folder,
            path,
            flags | OFlags::CLOEXEC,
            Mode::from_raw_mode(if flags.contains(OFlags::CREATE) {
                0o644
            } else {
                0
            }),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    };
    if let Ok(file) = open(OFlags::PATH) {
        let kind = rustix::fs::fstat(&file)
            .ok()
            .map(|stat| FileType::from_raw_mode(stat.st_mode));
        return (kind == Some(FileType::RegularFile)).then_some(file);
    }
    // Only below a folder that is there; nothing else is made for it.
    open(OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY).ok()?;
    open(OFlags::PATH).ok()
}

/// Removes mount points that the step has left empty, and the folders of the overlay.
pub fn remove_stubs(scratch: &Path, stubs: &[Stub]) -> io::Result<()> {
    let upper = scratch.join("fs");
    let folder = rustix::fs::open(&upper, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    for stub in stubs {
        let flags = if stub.is_folder {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match unlinkat(&folder, &stub.path, flags) {
            // The step has put something there, or taken it away.
            Ok(()) | Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::NOENT) => {}
            Err(rustix::io::Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for name in ["etc/hosts", "etc/resolv.conf"] {
        remove_empty_file(&folder, Path::new(name));
    }
    Ok(())
}

/// Removes an empty file of the upper that only a mount has put there.
fn remove_empty_file(upper: &OwnedFd, path: &Path) {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return;
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(parent) = openat2(upper, parent, flags, Mode::empty(), resolve) else {
        return;
    };
    let is_stub = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0
    });
    if is_stub {
        // What cannot be removed would show up in the layer, where it harms nobody.
        let _ = unlinkat(&parent, name, AtFlags::empty());
    }
}
