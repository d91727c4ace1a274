//! Folders: opened and made on the way to an entry; what they are to be in the end is planned.

use super::target::c_name;
use super::{Extractor, Folder, refused};
use crate::layer::error::{Context, Result, TreePath};
use crate::layer::folder::{list, open_folder, stat_if_exists};
use crate::layer::lower;
use crate::layer::metadata::{self, Attributes, Metadata};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Extractor<'_> {
    /// Makes the folder `path` the current one, and creates it if nothing has its name yet.
    pub(super) fn enter_parent(&mut self, path: &[u8]) -> Result<()> {
        if let Some((current, _)) = &self.parent
            && current == path
        {
            return Ok(());
        }
        let folder = match self.open(path, OFlags::PATH) {
            Ok(folder) => folder,
            Err(_) => self.make_folders(path)?,
        };
        self.parent = Some((path.to_vec(), folder));
        Ok(())
    }

    pub(super) fn parent_folder(&self) -> BorrowedFd<'_> {
        match &self.parent {
            Some((_, folder)) => folder.as_fd(),
            None => self.root,
        }
    }

    /// Opens the folder `path` of the tree in one call, from the current folder if it lies below.
    pub(super) fn open(&self, path: &[u8], access: OFlags) -> Result<OwnedFd> {
        let (from, rest) = match &self.parent {
            Some((current, folder)) if !current.is_empty() => {
                match path
                    .strip_prefix(current.as_slice())
                    .and_then(|rest| rest.strip_prefix(b"/"))
                {
                    Some(rest) => (folder.as_fd(), rest),
                    None => (self.root, path),
                }
            }
            _ => (self.root, path),
        };
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let relative = if rest.is_empty() { b"." } else { rest };
        match rustix::fs::openat2(from, relative, flags, Mode::empty(), resolve) {
            // Older than Linux 5.6, forbidden by a container's filter, or too long for one call.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => {
                let mut folder = open_folder(from, c".").context("open", path)?;
                for name in rest
                    .split(|byte| *byte == b'/')
                    .filter(|name| !name.is_empty())
                {
                    let name = c_name(name);
                    folder = open_folder(folder.as_fd(), &name).context("open", path)?;
                }
                Ok(folder)
            }
            other => other.context("open", path),
        }
    }

    /// Goes down to `path` name by name and creates the folders that are missing.
    pub(super) fn make_folders(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut folder = open_folder(self.root, c".").context("open", b"")?;
        let mut length = 0;
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            length += name.len() + usize::from(length > 0);
            let here = &path[..length];
            let name = c_name(name);
            let mut is_new = true;
            let mut deleted = false;
            match rustix::fs::mkdirat(&folder, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    let stat = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)
                        .context("inspect", here)?;
                    if metadata::is_whiteout(&stat) {
                        rustix::fs::unlinkat(&folder, &name, AtFlags::empty())
                            .context("remove", here)?;
                        rustix::fs::mkdirat(&folder, &name, Mode::RWXU)
                            .context("create the folder", here)?;
                        deleted = true;
                    } else if metadata::is_folder(&stat) {
                        is_new = false;
                    } else {
                        let what = TreePath::new(here);
                        let problem = format!("{what}, above it, is a link or a file");
                        return Err(refused(&TreePath::new(path), problem));
                    }
                }
                Err(errno) => return Err(errno).context("create the folder", here),
            }
            if is_new {
                let attributes = self.implied(here)?;
                self.extracted.needs_below = true;
                self.plan(here, attributes);
                if deleted {
                    self.set_opaque(here);
                }
            }
            folder = open_folder(folder.as_fd(), &name).context("open", here)?;
        }
        Ok(folder)
    }

    /// The metadata of a folder that has no entry: those below, if the tree shows what is below.
    pub(super) fn implied(&self, path: &[u8]) -> Result<Attributes> {
        if !self.is_below_opaque(path)
            && let Some(found) = lower::find(self.lowers, path)?
            && metadata::is_folder(&found.stat)
        {
            let folder = open_folder(found.parent.as_fd(), &found.name).context("open", path)?;
            return Ok(Metadata::of_folder(folder.as_fd(), path)?.attributes);
        }
        Ok(Attributes::of_implied_folder(self.options.epoch))
    }

    pub(super) fn is_below_opaque(&self, path: &[u8]) -> bool {
        let opaque = |path: &[u8]| self.folders.get(path).is_some_and(|folder| folder.opaque);
        let slashes = (0..path.len()).filter(|index| path[*index] == b'/');
        opaque(b"") || slashes.map(|index| &path[..index]).any(opaque) || opaque(path)
    }

    /// Overlayfs ignores an opaque mark on the root of a tree, so everything below is marked as
    /// deleted instead.
    pub(super) fn hide_below_root(&mut self) -> Result<()> {
        if !self.folders.get(&b""[..]).is_some_and(|root| root.opaque) {
            return Ok(());
        }
        self.extracted.needs_below = true;
        for lower in self.lowers {
            let folder = open_folder(*lower, c".").context("open", b"")?;
            for listed in list(folder.as_fd()).context("list", b"")? {
                let name = listed.name;
                let path = name.to_bytes();
                match stat_if_exists(self.root, &name).context("inspect", path)? {
                    None => rustix::fs::mknodat(
                        self.root,
                        &name,
                        rustix::fs::FileType::CharacterDevice,
                        Mode::empty(),
                        0,
                    )
                    .context("mark as deleted", path)?,
                    Some(stat) if metadata::is_folder(&stat) => self.set_opaque(path),
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Remembers the metadata of a folder; whether it is opaque stays as it is.
    pub(super) fn plan(&mut self, path: &[u8], attributes: Attributes) {
        match self.folders.get_mut(path) {
            Some(folder) => folder.attributes = attributes,
            None => {
                let opaque = false;
                self.folders
                    .insert(path.to_vec(), Folder { attributes, opaque });
            }
        }
    }

    pub(super) fn set_opaque(&mut self, path: &[u8]) {
        if let Some(folder) = self.folders.get_mut(path) {
            folder.opaque = true;
        }
    }
}
