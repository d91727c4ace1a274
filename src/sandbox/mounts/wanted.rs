//! Wanted mounts: those that a step asks for, beside what every root has.
//!
//! Each is made as a mount of its own that is attached nowhere, gets its flags, and only then a
//! place in the root. None ever has devices or set-user-id programs that work.

use crate::sandbox::mount_point::{self, Kind, Place, Stub};
use crate::sandbox::protocol::{Mount, MountKind, Owner, RootSpec, SecretBytes};
use crate::sandbox::{root, sys};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// What belongs to the root itself, relative to it.
const RESERVED: [&str; 3] = ["proc", "sys", "dev"];
/// The exception: shared memory, which a program may want more of.
const SHARED_MEMORY: &str = "dev/shm";
/// What is mounted of a cache's folder.
pub const CACHE_CONTENT: &str = "fs";
/// Where a file that is made for a mount lies in its own file system.
const FILE: &str = "file";

/// A socket in the root whose other side is not there yet.
pub struct Agent {
    /// What it is to be forwarded to, on the host.
    pub socket: PathBuf,
    /// Listens in the root.
    pub listener: UnixListener,
}

/// Mounts all that a step asks for below `target`, which becomes its root; adds the mount points
/// that it makes to `stubs`. With a single id, everything belongs to root.
pub fn attach(
    target: &Path,
    spec: &RootSpec,
    many_ids: bool,
    stubs: &mut Vec<Stub>,
) -> Result<Vec<Agent>, String> {
    let root = root::open(target)?;
    let mut maker = Maker {
        // An empty folder that nothing is looked for in: what is mounted there is soon elsewhere.
        bench: spec.scratch.join("empty"),
        many_ids,
        agents: Vec::new(),
    };
    let mut mounts: Vec<&Mount> = spec.mounts.iter().collect();
    // What lies in another one is mounted after it.
    mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
    for mount in mounts {
        maker
            .make(&mount.kind)
            .and_then(|(made, kind)| place(&root, &mount.target, made, kind, stubs))
            .map_err(|text| format!("mount {}: {text}", mount.target))?;
    }
    Ok(maker.agents)
}

/// Gives a mount its place in the root.
fn place(
    root: &OwnedFd,
    target: &str,
    mount: OwnedFd,
    kind: Kind,
    stubs: &mut Vec<Stub>,
) -> Result<(), String> {
    let Ok(path) = Path::new(target).strip_prefix("/") else {
        return Err("it is no absolute path".to_owned());
    };
    let place = mount_point::open(root, path, kind, stubs)
        .map_err(|error| format!("make the place in the root: {error}"))?;
    let place = match place {
        Place::Found(place) => place,
        Place::Taken(what) => return Err(format!("{what} in the image")),
    };
    let path = mount_point::path_inside(root, &place).map_err(|error| error.to_string())?;
    let is_reserved = RESERVED.iter().any(|name| path.starts_with(name));
    if path == Path::new("") || is_reserved && path != Path::new(SHARED_MEMORY) {
        return Err(format!(
            "it is /{} in the image, which belongs to the sandbox",
            path.display()
        ));
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount.as_fd(), "", place.as_fd(), "", flags)
        .map_err(|error| format!("attach it: {error}"))
}

/// Makes mounts that are attached nowhere.
struct Maker {
    bench: PathBuf,
    many_ids: bool,
    agents: Vec<Agent>,
}

impl Maker {
    /// Makes a mount, and says what it can be mounted on.
    fn make(&mut self, kind: &MountKind) -> Result<(OwnedFd, Kind), String> {
        match kind {
            MountKind::Bind { source, writable } => bind(source, *writable),
            MountKind::Tmpfs { size, mode } => {
                let mut options = vec![("mode", format!("{mode:o}"))];
                options.extend(size.map(|size| ("size", size.to_string())));
                Ok((memory("tmpfs", &options)?, Kind::Folder))
            }
            MountKind::Layers { lowers, path } => self.layers(lowers, Path::new(path)),
            MountKind::Cache { folder, owner } => {
                let content = folder.join(CACHE_CONTENT);
                self.make_cache(&content, owner)
                    .map_err(|error| format!("make {}: {error}", content.display()))?;
                bind(&content, true)
            }
            MountKind::Secret { content, owner } => {
                let made = self.file(true, owner, |folder| write(folder, content))?;
                Ok((made, Kind::File))
            }
            MountKind::Agent { socket, owner } => {
                let mut listener = None;
                let made = self.file(false, owner, |folder| {
                    // The whole path may be longer than the name of a socket can be.
                    let path = format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd());
                    listener = Some(UnixListener::bind(path)?);
                    Ok(())
                })?;
                self.agents.extend(listener.map(|listener| Agent {
                    socket: socket.clone(),
                    listener,
                }));
                Ok((made, Kind::File))
            }
        }
    }

    /// Merges layers, and gives one member of what they make.
    fn layers(&self, lowers: &[PathBuf], path: &Path) -> Result<(OwnedFd, Kind), String> {
        let failed = |error: io::Error| format!("open {} of that image: {error}", path.display());
        // An overlay that nothing is written to takes two layers.
        let lowers = [std::slice::from_ref(&self.bench), lowers].concat();
        let merged = super::read_only(&lowers)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(merged.as_fd(), "", CWD, &self.bench, flags)
            .map_err(|error| failed(error.into()))?;
        let made = member(&merged, path);
        unmount(&self.bench, UnmountFlags::DETACH).map_err(|error| failed(error.into()))?;
        let (made, kind) = made.map_err(failed)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV;
        sys::add_mount_attributes(made.as_fd(), attributes).map_err(failed)?;
        Ok((made, kind))
    }

    /// Makes the content of a cache unless it is there.
    fn make_cache(&self, content: &Path, owner: &Owner) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(content) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.give(content, owner),
        }
    }

    /// Makes a file system in memory with one file, which `fill` makes; gives that file as a mount.
    fn file(
        &self,
        read_only: bool,
        owner: &Owner,
        fill: impl FnOnce(&OwnedFd) -> io::Result<()>,
    ) -> Result<OwnedFd, String> {
        let failed = |error: io::Error| format!("make it: {error}");
        // Unlike a tmpfs, it is never written to swap space.
        let memory = memory("ramfs", &[]).or_else(|_| memory("tmpfs", &[]))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        // Before Linux 6.15 there are no copies of what is attached nowhere.
        move_mount(memory.as_fd(), "", CWD, &self.bench, flags)
            .map_err(|error| failed(error.into()))?;
        let path = self.bench.join(FILE);
        let made = fill(&memory)
            .and_then(|()| self.give(&path, owner))
            .and_then(|()| {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                Ok(open_tree(CWD, &path, flags)?)
            });
        unmount(&self.bench, UnmountFlags::DETACH).map_err(|error| failed(error.into()))?;
        let made = made.map_err(failed)?;
        if read_only {
            sys::add_mount_attributes(made.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY)
                .map_err(failed)?;
        }
        Ok(made)
    }

    fn give(&self, path: &Path, owner: &Owner) -> io::Result<()> {
        if self.many_ids {
            chown(path, Some(owner.uid), Some(owner.gid))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(owner.mode))
    }
}

fn write(folder: &OwnedFd, content: &SecretBytes) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(folder, FILE, flags, Mode::RUSR)?;
    File::from(file).write_all(content.as_bytes())
}

/// A file or folder of a mounted root, as a mount of its own; links do not lead out of that root.
fn member(root: &OwnedFd, path: &Path) -> io::Result<(OwnedFd, Kind)> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = match path == Path::new("") {
        true => Path::new("."),
        false => path,
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = openat2(root, path, flags, Mode::empty(), resolve)?;
    let kind = match FileType::from_raw_mode(fstat(&opened)?.st_mode) {
        FileType::Directory => Kind::Folder,
        _ => Kind::File,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok((open_tree(&opened, "", flags)?, kind))
}

/// Binds a file or folder of the host, with all that is mounted in it.
fn bind(source: &Path, writable: bool) -> Result<(OwnedFd, Kind), String> {
    let failed = |what: &str, error: io::Error| format!("{what} {}: {error}", source.display());
    let opened = open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed("open", error.into()))?;
    let stat = fstat(&opened).map_err(|error| failed("look at", error.into()))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        _ => Kind::File,
    };
    // A user namespace may not uncover what lies below a mount.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&opened, "", flags).map_err(|error| failed("bind", error.into()))?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if !writable {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    // Flags that the host's mount has already stay as they are.
    sys::add_mount_attributes(tree.as_fd(), attributes)
        .map_err(|error| failed("restrict", error))?;
    Ok((tree, kind))
}

/// Mounts a new file system that lies in memory.
fn memory(kind: &'static str, options: &[(&str, String)]) -> Result<OwnedFd, String> {
    let failed = |error: rustix::io::Errno| format!("make a {kind}: {error}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    for (name, value) in options {
        fsconfig_set_string(context.as_fd(), *name, value).map_err(failed)?;
    }
    fsconfig_create(context.as_fd()).map_err(failed)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
}
