//! The entrance: how a process makes a folder its root.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_move, unmount};
use std::path::Path;

/// Makes the mount at `target` the root of this process' mount namespace; nothing of the old root
/// can be reached afterwards.
pub fn enter(target: &Path) -> Result<(), String> {
    let failed = |error: Errno| format!("enter the root: {error}");
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let root = open(target, flags, Mode::empty()).map_err(failed)?;
    rustix::process::fchdir(&root).map_err(failed)?;
    // The old root is stacked on the new one and then detached (pivot_root(2), NOTES).
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).map_err(failed)?,
        // Docker's seccomp filter refuses it even to those who may mount, and the kernel where the
        // old root is that of an initramfs. Moved over the old root, the new one hides it.
        Err(Errno::PERM | Errno::INVAL) => {
            mount_move(".", "/").map_err(failed)?;
            rustix::process::chroot(".").map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    rustix::process::chdir("/").map_err(failed)
}

/// Makes `target` the root folder of this process, and no more.
pub fn chroot(target: &Path) -> Result<(), String> {
    rustix::process::chroot(target)
        .and_then(|()| rustix::process::chdir("/"))
        .map_err(|error| format!("enter the root: {error}"))
}
