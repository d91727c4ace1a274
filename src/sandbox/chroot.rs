//! A chroot: the root of a step in a container that allows no namespaces, if that was asked for.
//!
//! Nothing can be mounted, so what a step needs beside its image lies in the copy itself while it
//! runs, in the place of what the image has there, which is set aside and put back.

use super::entrance;
use super::protocol::{Network, RootSpec};
use rustix::fs::{
    AtFlags, Dev, FileType, Mode, OFlags, RenameFlags, ResolveFlags, chmodat, makedev, mkdirat,
    mknodat, openat, openat2, renameat_with, statat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// In the scratch folder: what the image has in the places of [`PROVIDED`].
const ASIDE: &str = "aside";
/// What is provided: the folder, the name in it, and the name while it is set aside.
const PROVIDED: [(&str, &str, &str); 3] = [
    (".", "dev", "dev"),
    ("etc", "hosts", "hosts"),
    ("etc", "resolv.conf", "resolv.conf"),
];
/// The devices of memory, the terminal of the session: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Why a step cannot run in a chroot; none if it can.
pub(super) fn refusal(root: &RootSpec) -> Option<String> {
    let asked = if root.network != Network::Host {
        format!("network = {:?}", root.network.name())
    } else if !root.mounts.is_empty() {
        "a mount".to_owned()
    } else {
        return None;
    };
    Some(format!(
        "{asked} takes a namespace, and this container allows none (isolation: chroot)"
    ))
}

/// Provides devices and name resolution in the copy, and makes it this process' root.
pub(super) fn enter(scratch: &Path) -> Result<(), String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let copy = open_copy(scratch).map_err(failed("open the copy of the layers"))?;
    let aside = scratch.join(ASIDE);
    fs::create_dir(&aside).map_err(failed("set files of the image aside"))?;
    let aside = File::open(aside).map_err(failed("set files of the image aside"))?;
    for (folder, name, kept) in PROVIDED {
        let Some(folder) =
            open_below(&copy, folder).map_err(failed("open a folder of the image"))?
        else {
            continue;
        };
        set_aside(folder.as_fd(), name, aside.as_fd(), kept)
            .map_err(failed("set files of the image aside"))?;
        if name == "dev" {
            make_devices(folder.as_fd()).map_err(failed("make devices"))?;
        } else {
            let text = fs::read(Path::new("/etc").join(name)).unwrap_or_default();
            write(folder.as_fd(), name, &text).map_err(failed("provide name resolution"))?;
        }
    }
    entrance::chroot(&scratch.join("fs"))
}

/// Removes what was provided from the copy, and puts back what the image has there.
pub(super) fn leave(scratch: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("put files of the image back: {error}");
    let aside_path = scratch.join(ASIDE);
    let aside = match File::open(&aside_path) {
        Ok(aside) => aside,
        // It never was entered.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let copy = open_copy(scratch).map_err(failed)?;
    for (folder, name, kept) in PROVIDED {
        // The step may have put a link in the place of the folder, which leads anywhere.
        let Some(folder) = open_below(&copy, folder).map_err(failed)? else {
            continue;
        };
        crate::layer::remove_tree(folder.as_fd(), OsStr::new(name))
            .map_err(|error| failed(io::Error::other(error)))?;
        match renameat_with(&aside, kept, &folder, name, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    super::tasks::remove(&aside_path)
}

fn open_copy(scratch: &Path) -> io::Result<OwnedFd> {
    Ok(File::open(scratch.join("fs"))?.into())
}

/// Opens a folder of the copy; none if there is no such folder, or a link instead.
fn open_below(copy: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(copy, name, flags, Mode::empty(), resolve) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set_aside(
    folder: BorrowedFd<'_>,
    name: &str,
    aside: BorrowedFd<'_>,
    kept: &str,
) -> io::Result<()> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => drop(stat?),
    }
    Ok(renameat_with(
        folder,
        name,
        aside,
        kept,
        RenameFlags::NOREPLACE,
    )?)
}

fn make_devices(root: BorrowedFd<'_>) -> io::Result<()> {
    mkdirat(root, "dev", Mode::from_raw_mode(0o755))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(root, "dev", flags, Mode::empty())?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        let device: Dev = makedev(major, minor);
        mknodat(&folder, name, FileType::CharacterDevice, mode, device)?;
        chmodat(&folder, name, mode, AtFlags::empty())?;
    }
    let everyone = Mode::from_raw_mode(0o1777);
    mkdirat(&folder, "shm", everyone)?;
    Ok(chmodat(&folder, "shm", everyone, AtFlags::empty())?)
}

fn write(folder: BorrowedFd<'_>, name: &str, text: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_the_image_has_is_put_back() {
        let scratch = tempfile::tempdir().unwrap();
        let copy = scratch.path().join("fs");
        fs::create_dir_all(copy.join("etc")).unwrap();
        symlink("../run/resolv.conf", copy.join("etc/resolv.conf")).unwrap();
        let root = open_copy(scratch.path()).unwrap();
        let etc = open_below(&root, "etc").unwrap().unwrap();
        fs::create_dir(scratch.path().join(ASIDE)).unwrap();
        let aside = File::open(scratch.path().join(ASIDE)).unwrap();
        set_aside(etc.as_fd(), "resolv.conf", aside.as_fd(), "resolv.conf").unwrap();
        write(etc.as_fd(), "resolv.conf", b"of the host").unwrap();
        write(etc.as_fd(), "hosts", b"of the host").unwrap();
        leave(scratch.path()).unwrap();
        assert!(copy.join("etc/resolv.conf").is_symlink());
        assert!(!copy.join("etc/hosts").exists());
        assert!(!scratch.path().join(ASIDE).exists());
        leave(scratch.path()).unwrap();
    }

    #[test]
    fn links_of_the_step_do_not_lead_out() {
        let scratch = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("hosts"), "of the host").unwrap();
        fs::create_dir(scratch.path().join("fs")).unwrap();
        fs::create_dir(scratch.path().join(ASIDE)).unwrap();
        symlink(outside.path(), scratch.path().join("fs/etc")).unwrap();
        leave(scratch.path()).unwrap();
        assert!(outside.path().join("hosts").exists());
    }
}
