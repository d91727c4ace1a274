//! Folders of a tree, held by descriptor: listing one, and walking down and up again.
//!
//! A *folder stack* is the way from the root of a tree to one folder in it. It has no limit on
//! depth: it never recurses, never joins a path for the system, and keeps only the innermost
//! descriptors open (an outer folder is opened again through `..`, and checked to be the same
//! one). Symbolic links are never followed.

use super::error::{Context, LayerError, Result, TreePath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many folders of a stack stay open. Below the usual soft limit of 1,024 descriptors even
/// when several stacks are in use by several threads.
const OPEN_FOLDERS: usize = 32;

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) name: CString,
    /// What the folder says about its type; unknown on some file systems.
    pub(super) is_folder: Option<bool>,
}

/// Lists the names of `folder`, which must be freshly opened, sorted by their bytes.
pub(super) fn list(folder: BorrowedFd<'_>) -> std::result::Result<Vec<Listed>, Errno> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 32 * 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        names.push(Listed {
            name: name.to_owned(),
            is_folder: match entry.file_type() {
                FileType::Directory => Some(true),
                FileType::Unknown => None,
                _ => Some(false),
            },
        });
    }
    names.sort_unstable();
    Ok(names)
}

/// Opens the folder `name` of `parent` for reading, without following a link.
pub(super) fn open_folder(
    parent: BorrowedFd<'_>,
    name: &CStr,
) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Reads the metadata of `name` in `parent`, without following a link; none if it is not there.
pub(super) fn stat_if_exists(
    parent: BorrowedFd<'_>,
    name: &CStr,
) -> std::result::Result<Option<Stat>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The way from the root of a tree down to one folder.
pub(super) struct FolderStack {
    levels: Vec<Level>,
    path: Vec<u8>,
}

struct Level {
    folder: Option<OwnedFd>,
    device: u64,
    inode: u64,
    path_length: usize,
}

impl FolderStack {
    /// Begins at the folder `root`, which is opened again, so that it can be listed once more.
    pub(super) fn new(root: BorrowedFd<'_>) -> Result<Self> {
        let folder = open_folder(root, c".").context("open", b"")?;
        let mut stack = Self {
            levels: Vec::new(),
            path: Vec::new(),
        };
        stack.enter(folder)?;
        Ok(stack)
    }

    /// Returns the innermost folder.
    pub(super) fn current(&self) -> BorrowedFd<'_> {
        match self.levels.last().and_then(|level| level.folder.as_ref()) {
            Some(folder) => folder.as_fd(),
            None => unreachable!("the innermost folder is always open"),
        }
    }

    /// Returns the path of the innermost folder relative to the root: empty for the root.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns the path of `name` in the innermost folder.
    pub(super) fn path_of(&self, name: &CStr) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.to_bytes().len());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        path
    }

    /// Lists the innermost folder, which must not have been listed before.
    pub(super) fn list(&self) -> Result<Vec<Listed>> {
        list(self.current()).context("list", &self.path)
    }

    /// Goes down into the folder `name`.
    pub(super) fn push(&mut self, name: &CStr) -> Result<()> {
        let path = self.path_of(name);
        let folder = open_folder(self.current(), name).context("open", &path)?;
        self.path = path;
        self.enter(folder)
    }

    /// Goes up again; returns false, and stays, at the root.
    pub(super) fn pop(&mut self) -> Result<bool> {
        if self.levels.len() < 2 {
            return Ok(false);
        }
        let Some(child) = self.levels.pop() else {
            return Ok(false);
        };
        let path_length = self.levels.last().map_or(0, |level| level.path_length);
        self.path.truncate(path_length);
        if let (Some(parent), Some(child)) = (self.levels.last_mut(), child.folder)
            && parent.folder.is_none()
        {
            let folder = rustix::fs::openat(
                &child,
                c"..",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .context("open", &self.path)?;
            let stat = rustix::fs::fstat(&folder).context("inspect", &self.path)?;
            if (stat.st_dev, stat.st_ino) != (parent.device, parent.inode) {
                return Err(LayerError::Replaced {
                    path: TreePath::new(&self.path),
                });
            }
            parent.folder = Some(folder);
        }
        Ok(true)
    }

    fn enter(&mut self, folder: OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(&folder).context("inspect", &self.path)?;
        self.levels.push(Level {
            folder: Some(folder),
            device: stat.st_dev,
            inode: stat.st_ino,
            path_length: self.path.len(),
        });
        // The root stays open: nothing leads back to it if it is a mount point.
        if let Some(outer) = self.levels.len().checked_sub(OPEN_FOLDERS)
            && outer > 0
            && let Some(level) = self.levels.get_mut(outer)
        {
            level.folder = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_goes_deep_with_few_descriptors_and_comes_back() {
        let scratch = super::super::sample::Scratch::new();
        let mut stack = FolderStack::new(scratch.fd()).unwrap();
        let depth = 3_000;
        for _ in 0..depth {
            rustix::fs::mkdirat(stack.current(), c"d", Mode::RWXU).unwrap();
            stack.push(c"d").unwrap();
        }
        assert_eq!(stack.path().len(), depth * 2 - 1);
        let open = stack.levels.iter().filter(|level| level.folder.is_some());
        assert!(open.count() <= OPEN_FOLDERS + 1);
        for _ in 0..depth {
            assert!(stack.pop().unwrap());
        }
        assert!(!stack.pop().unwrap());
        assert_eq!(stack.path(), b"");
        assert_eq!(stack.list().unwrap().len(), 1);
    }

    #[test]
    fn names_are_sorted_by_their_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["b", "a", "a b", "B", ".x"] {
            std::fs::write(scratch.path().join(name), "").unwrap();
        }
        let root = std::fs::File::open(scratch.path()).unwrap();
        let names: Vec<_> = list(root.as_fd()).unwrap();
        let names: Vec<_> = names.iter().map(|listed| listed.name.to_bytes()).collect();
        assert_eq!(names, [&b".x"[..], b"B", b"a", b"a b", b"b"]);
    }
}
