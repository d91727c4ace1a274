//! Mount points: the places of a root that something is mounted on.
//!
//! A *stub* is an empty folder or file that only serves as a mount point. It is made in the upper
//! where the image has none, and removed after the step unless the step has put something there.
//! What is mounted is none of this file's concern.

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat,
    statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
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

/// What is to be mounted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// A place of the root.
#[derive(Debug)]
pub enum Place {
    /// It can be mounted on.
    Found(OwnedFd),
    /// Something else is there, or in the way to it: in words.
    Taken(&'static str),
}

const NO_WAY: Place = Place::Taken("a link or a file is in the way to it");

impl Stub {
    /// A folder that was made in the root folder.
    pub fn of_root_folder(name: &str) -> Self {
        Self {
            path: name.into(),
            is_folder: true,
        }
    }

    /// Where it is, relative to the root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of a member that was made in `folder`, somewhere below `root`.
    fn new(root: &OwnedFd, folder: &OwnedFd, name: &OsStr, is_folder: bool) -> io::Result<Self> {
        Ok(Self {
            path: path_inside(root, folder)?.join(name),
            is_folder,
        })
    }

    /// Removes it from an upper, unless the step has put something there.
    pub fn remove(&self, upper: &OwnedFd) -> io::Result<()> {
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

/// Opens the place of the root to mount on, following the image's links inside the root; makes it,
/// and the folders above it, where they are missing, and adds what it made to `stubs`.
pub fn open(root: &OwnedFd, path: &Path, kind: Kind, stubs: &mut Vec<Stub>) -> io::Result<Place> {
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
            Ok(found) => {
                let is = FileType::from_raw_mode(fstat(&found)?.st_mode);
                return Ok(match (kind, is) {
                    (Kind::Folder, FileType::Directory) => Place::Found(found),
                    // A device or a socket of the image is hidden as well as a file is.
                    (Kind::File, FileType::Directory) => Place::Taken("there is a folder"),
                    (Kind::File, _) => Place::Found(found),
                    (Kind::Folder, _) => Place::Taken("there is a file"),
                });
            }
            Err(Errno::NOENT) => {}
            // A circle of links, or a file in the place of a folder.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(NO_WAY),
            Err(error) => return Err(error.into()),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(NO_WAY);
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
                        Err(Errno::EXIST) => return Ok(NO_WAY),
                        Err(error) => return Err(error.into()),
                    }
                    open(&current, OFlags::PATH | OFlags::DIRECTORY)?
                }
                Err(Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(NO_WAY),
                folder => folder?,
            };
        }
        match readlinkat(&folder, name, Vec::new()) {
            Ok(link) => {
                let link = Path::new(OsStr::from_bytes(link.to_bytes()));
                path = parent.join(link);
            }
            Err(Errno::NOENT) => {
                let is_folder = kind == Kind::Folder;
                if is_folder {
                    mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                } else {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                    openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
                }
                stubs.push(Stub::new(root, &folder, name, is_folder)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(NO_WAY)
}

/// The path of an open member of a root, relative to it.
pub fn path_inside(root: &OwnedFd, member: &OwnedFd) -> io::Result<PathBuf> {
    let path_of =
        |descriptor: &OwnedFd| fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    let member = path_of(member)?;
    let inside = member
        .strip_prefix(path_of(root)?)
        .map_err(|_| io::Error::other("it is outside the root"))?;
    Ok(inside.to_owned())
}
