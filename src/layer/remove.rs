//! Removing a tree: any depth, any number of entries, any permissions.

use super::error::{Context, Result, TreePath};
use super::folder::{FolderStack, Listed, open_folder, stat_if_exists};
use super::metadata;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Removes `name` from `parent`, with all that is in it if it is a folder. Links are removed, not
/// followed. It is no error if it does not exist.
///
/// # Errors
///
/// If `name` is no single name, or something cannot be removed; what was removed by then is gone.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let bytes = name.as_bytes();
    let is_name = !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/');
    match CString::new(bytes) {
        Ok(name) if is_name => remove(parent, &name, bytes),
        _ => Err(Errno::INVAL).context("remove", &TreePath::new(bytes).0),
    }
}

/// As [`remove_tree`], for a name that is known to be one; `path` is for messages.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<()> {
    let Some(stat) = stat_if_exists(parent, name).context("remove", path)? else {
        return Ok(());
    };
    if !metadata::is_folder(&stat) {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty()).context("remove", path);
    }
    make_accessible(parent, name).context("remove", path)?;
    let folder = open_folder(parent, name).context("open", path)?;
    let mut stack = FolderStack::new(folder.as_fd())?;
    let mut pending: Vec<(CString, std::vec::IntoIter<Listed>)> =
        vec![(name.to_owned(), stack.list()?.into_iter())];
    while let Some((_, names)) = pending.last_mut() {
        let Some(listed) = names.next() else {
            let Some((finished, _)) = pending.pop() else {
                break;
            };
            if stack.pop()? {
                rustix::fs::unlinkat(stack.current(), &finished, AtFlags::REMOVEDIR)
                    .context("remove", &stack.path_of(&finished))?;
            }
            continue;
        };
        let name = listed.name;
        if listed.is_folder != Some(true) {
            match rustix::fs::unlinkat(stack.current(), &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                // The file system does not tell types when listing, and this is a folder.
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(errno).context("remove", &stack.path_of(&name)),
            }
        }
        make_accessible(stack.current(), &name).context("remove", &stack.path_of(&name))?;
        stack.push(&name)?;
        pending.push((name, stack.list()?.into_iter()));
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).context("remove", path)
}

/// Lets its owner list and change the folder `name`, whatever mode it has. Root needs no such
/// thing, but an ordinary user could not remove a folder of mode 0000 otherwise.
fn make_accessible(parent: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = rustix::fs::openat(
        parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // A descriptor for the path alone cannot be given to fchmod(2).
    let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    match rustix::fs::chmod(path, Mode::RWXU) {
        // Another user's: if it is not accessible, the removal itself will say so.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn trees_of_any_shape_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = std::fs::File::open(scratch.path()).unwrap();
        let tree = scratch.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::fs::write(scratch.path().join("outside"), "kept").unwrap();
        std::os::unix::fs::symlink("../../outside", tree.join("a/link")).unwrap();
        std::os::unix::fs::symlink("..", tree.join("a/up")).unwrap();
        for number in 0..1_000 {
            std::fs::write(tree.join(format!("a/b/{number}")), "").unwrap();
        }
        for locked in ["a/b/c", "a/b", "a"] {
            std::fs::set_permissions(tree.join(locked), PermissionsExt::from_mode(0o0)).unwrap();
        }
        remove_tree(parent.as_fd(), OsStr::new("tree")).unwrap();
        assert!(!tree.exists());
        assert_eq!(
            std::fs::read(scratch.path().join("outside")).unwrap(),
            b"kept"
        );
        remove_tree(parent.as_fd(), OsStr::new("tree")).unwrap();
    }

    #[test]
    fn a_very_deep_tree_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = std::fs::File::open(scratch.path()).unwrap();
        let mut folder = rustix::io::dup(&parent).unwrap();
        let name = CString::new("n".repeat(100)).unwrap();
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
            folder = open_folder(folder.as_fd(), &name).unwrap();
        }
        drop(folder);
        remove(parent.as_fd(), &name, b"deep").unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_names_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = std::fs::File::open(scratch.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/"] {
            assert!(remove_tree(parent.as_fd(), OsStr::new(name)).is_err());
        }
    }
}
