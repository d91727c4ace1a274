//! Wanted mounts: those that a step asks for, beside what every root has.
//!
//! Each is made as a mount of its own that is attached nowhere, gets its flags, and only then a
//! place in the root. None ever has devices or set-user-id programs that work.

use crate::sandbox::mount_point::{self, Kind, Place, Stub};
use crate::sandbox::protocol::{Mount, MountKind, RootSpec};
use crate::sandbox::{root, sys};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What belongs to the root itself, relative to it.
const RESERVED: [&str; 3] = ["proc", "sys", "dev"];
/// The exception: shared memory, which a program may want more of.
const SHARED_MEMORY: &str = "dev/shm";

/// Mounts all that a step asks for below `target`, which becomes its root; adds the mount points
/// that it makes to `stubs`.
pub fn attach(target: &Path, spec: &RootSpec, stubs: &mut Vec<Stub>) -> Result<(), String> {
    let root = root::open(target)?;
    let mut mounts: Vec<&Mount> = spec.mounts.iter().collect();
    // What lies in another one is mounted after it.
    mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
    for mount in mounts {
        attach_one(&root, mount, stubs)
            .map_err(|text| format!("mount {}: {text}", mount.target))?;
    }
    Ok(())
}

fn attach_one(root: &OwnedFd, mount: &Mount, stubs: &mut Vec<Stub>) -> Result<(), String> {
    let (detached, kind) = make(&mount.kind)?;
    let Ok(path) = Path::new(&mount.target).strip_prefix("/") else {
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
    move_mount(
        detached.as_fd(),
        "",
        place.as_fd(),
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(|error| format!("attach it: {error}"))
}

/// Makes a mount that is attached nowhere, and says what it can be mounted on.
fn make(kind: &MountKind) -> Result<(OwnedFd, Kind), String> {
    match kind {
        MountKind::Bind { source, writable } => bind(source, *writable),
        MountKind::Tmpfs { size, mode } => Ok((tmpfs(*size, *mode)?, Kind::Folder)),
    }
}

fn bind(source: &Path, writable: bool) -> Result<(OwnedFd, Kind), String> {
    let failed =
        |what: &str, error: std::io::Error| format!("{what} {}: {error}", source.display());
    let opened = open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed("open", error.into()))?;
    let stat = fstat(&opened).map_err(|error| failed("look at", error.into()))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        _ => Kind::File,
    };
    // With what is mounted in it: a user namespace may not uncover what is below.
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

fn tmpfs(size: Option<u64>, mode: u32) -> Result<OwnedFd, String> {
    let mut options = vec![("mode", format!("{mode:o}"))];
    options.extend(size.map(|size| ("size", size.to_string())));
    memory("tmpfs", &options)
}

/// Mounts a new file system that lies in memory.
fn memory(kind: &'static str, options: &[(&str, String)]) -> Result<OwnedFd, String> {
    let failed = |error: rustix::io::Errno| format!("make a {kind}: {error}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    for (name, value) in options {
        fsconfig_set_string(context.as_fd(), *name, value).map_err(failed)?;
    }
    fsconfig_create(context.as_fd()).map_err(failed)?;
    fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .map_err(failed)
}
