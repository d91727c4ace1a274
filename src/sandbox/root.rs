//! The root before and after: what every root needs, and what must not stay of it.
//!
//! The mount points of `/proc`, `/dev`, `/etc/resolv.conf` and their like are [stubs](Stub) where the
//! image has none.

use super::mount_point::{self, Kind, Place, Stub};
use super::protocol::Network;
use super::tasks;
use super::user_network;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat};
use rustix::mount::mount_bind;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Mount points that every root needs.
pub const FOLDERS: [&str; 3] = ["proc", "sys", "dev"];
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Makes the folders of an overlay in `scratch`.
pub fn make_folders(scratch: &Path, lowers: &[PathBuf]) -> io::Result<()> {
    for name in ["fs", "work", "root", "empty"] {
        fs::DirBuilder::new()
            .mode(0o755)
            .create(scratch.join(name))?;
    }
    // The root folder itself is that of the topmost layer.
    match lowers.last() {
        Some(top) => copy_folder_metadata(top, &scratch.join("fs")),
        None => Ok(()),
    }
}

/// Makes the mount points in `fs` that the image lacks.
pub fn make_mount_points(scratch: &Path, lowers: &[PathBuf]) -> io::Result<Vec<Stub>> {
    let upper = scratch.join("fs");
    let mut stubs = Vec::new();
    for name in FOLDERS {
        let state = lowers.iter().rev().find_map(|lower| {
            fs::symlink_metadata(lower.join(name))
                .ok()
                .map(|metadata| metadata.file_type())
        });
        if !state.is_some_and(|kind| kind.is_dir()) {
            let place = upper.join(name);
            // A copy has what the image has instead.
            if fs::symlink_metadata(&place).is_ok() {
                tasks::remove(&place).map_err(io::Error::other)?;
            }
            fs::DirBuilder::new().mode(0o755).create(place)?;
            stubs.push(Stub::of_root_folder(name));
        }
    }
    Ok(stubs)
}

/// Opens the folder that becomes the root.
pub fn open(target: &Path) -> Result<OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(target, flags, Mode::empty())
        .map_err(|error| format!("open the root: {error}"))
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
///
/// `resolver` answers for the host's own where the step cannot reach that.
pub fn bind_host_files(
    target: &Path,
    network: Network,
    resolver: Option<&str>,
) -> Result<Vec<Stub>, String> {
    let root = open(target)?;
    let files: &[(&str, Vec<u8>)] = match network {
        Network::Host => &[
            ("hosts", fs::read("/etc/hosts").unwrap_or_default()),
            (
                "resolv.conf",
                fs::read("/etc/resolv.conf").unwrap_or_default(),
            ),
        ],
        Network::User => {
            let of_host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            let resolver = resolver.unwrap_or_default();
            &[
                ("hosts", HOSTS.as_bytes().to_vec()),
                (
                    "resolv.conf",
                    user_network::resolver_file(&of_host, resolver).into_bytes(),
                ),
            ]
        }
        Network::None => &[("hosts", HOSTS.as_bytes().to_vec())],
    };
    let mut stubs = Vec::new();
    for (name, text) in files {
        let failed = |error: io::Error| format!("provide /etc/{name}: {error}");
        let path = Path::new("etc").join(name);
        let place = mount_point::open(&root, &path, Kind::File, &mut stubs).map_err(failed)?;
        let Place::Found(place) = place else {
            continue;
        };
        let stat = fstat(&place).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        // On the file system of /dev, so that its mount tells nothing of the host's paths.
        let copy = target.join("dev").join(name);
        fs::write(&copy, text).map_err(failed)?;
        // In an image where both names lead to one file, the first has been mounted on it.
        let own = fs::metadata(&copy).map_err(failed)?.dev();
        if stat.st_dev != own {
            mount_bind(&copy, format!("/proc/self/fd/{}", place.as_raw_fd()))
                .map_err(|error| failed(error.into()))?;
        }
        fs::remove_file(&copy).map_err(failed)?;
    }
    Ok(stubs)
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
            .map_err(|error| format!("remove {}: {error}", stub.path().display()))?;
    }
    for name in ["work", "root", "empty"] {
        tasks::remove(&scratch.join(name))?;
    }
    Ok(())
}
