//! A folder of the host becomes a tree, for bases that are given as a folder.
//!
//! A host folder says less than it seems to: its owner is whoever unpacked it, its times are when.
//! So the owner of the top folder counts as 0:0 wherever it occurs (other ids are taken as they
//! are), and all times become the epoch. The rest is kept: modes, attributes, links of both kinds,
//! fifos, devices, holes. Sockets are left out.

use super::archive::WHITEOUT_PREFIX;
use super::copy;
use super::error::{Context, LayerError, Result, TreePath};
use super::folder::{FolderStack, Listed};
use super::metadata::{self, Applier, Attributes, Kind, Losses, Metadata};
use rustix::fs::{AtFlags, Mode, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files and folders, the top folder included.
    pub entries: u64,
    /// Bytes of the files.
    pub content: u64,
    /// Sockets that were left out.
    pub sockets: u64,
    /// What could not be kept.
    pub losses: Losses,
}

/// Copies the host folder `source` into `into`, which must be new and empty and becomes a tree.
///
/// # Errors
///
/// If something cannot be read or written, changes meanwhile, has a name that no layer can hold,
/// or if `into` lies inside `source`. What was copied by then is to be removed.
pub fn import_folder(source: BorrowedFd<'_>, into: BorrowedFd<'_>, epoch: i64) -> Result<Imported> {
    let owner = Metadata::of_folder(source, b"")?.attributes;
    let mut importer = Importer {
        source: FolderStack::new(source)?,
        tree: FolderStack::new(into)?,
        root: into,
        root_stat: rustix::fs::fstat(into).context("inspect", b"")?,
        owner: (owner.uid, owner.gid),
        epoch,
        applier: Applier::new(),
        first_names: HashMap::new(),
        imported: Imported::default(),
    };
    importer.run()?;
    importer.imported.losses = importer.applier.losses;
    Ok(importer.imported)
}

struct Importer<'a> {
    source: FolderStack,
    tree: FolderStack,
    root: BorrowedFd<'a>,
    root_stat: Stat,
    owner: (u32, u32),
    epoch: i64,
    applier: Applier,
    /// The first path of each file with several names, by device and inode.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    imported: Imported,
}

impl Importer<'_> {
    fn run(&mut self) -> Result<()> {
        let mut pending: Vec<(Attributes, std::vec::IntoIter<Listed>)> = vec![self.enter()?];
        while let Some((_, names)) = pending.last_mut() {
            let Some(Listed { name, .. }) = names.next() else {
                if let Some((attributes, _)) = pending.pop() {
                    let path = self.tree.path().to_vec();
                    self.applier
                        .apply_open(self.tree.current(), &attributes, true, &path)?;
                }
                self.source.pop()?;
                self.tree.pop()?;
                continue;
            };
            let path = self.source.path_of(&name);
            if name.to_bytes().starts_with(WHITEOUT_PREFIX) {
                let path = TreePath(path);
                return Err(LayerError::ReservedName { path });
            }
            let stat = rustix::fs::statat(self.source.current(), &name, AtFlags::SYMLINK_NOFOLLOW)
                .context("inspect", &path)?;
            if metadata::is_folder(&stat) {
                if (stat.st_dev, stat.st_ino) == (self.root_stat.st_dev, self.root_stat.st_ino) {
                    return Err(Errno::LOOP).context("import into itself", &path);
                }
                self.source.push(&name)?;
                rustix::fs::mkdirat(self.tree.current(), &name, Mode::RWXU)
                    .context("create the folder", &path)?;
                self.tree.push(&name)?;
                pending.push(self.enter()?);
            } else {
                self.file(&name, &stat, &path)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(Attributes, std::vec::IntoIter<Listed>)> {
        self.imported.entries += 1;
        let metadata = Metadata::of_folder(self.source.current(), self.source.path())?;
        let names = self.source.list()?.into_iter();
        Ok((self.adapt(metadata.attributes), names))
    }

    fn file(&mut self, name: &CStr, stat: &Stat, path: &[u8]) -> Result<()> {
        if stat.st_nlink > 1 && !metadata::is_whiteout(stat) {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.first_names.get(&key) {
                self.imported.entries += 1;
                // The tree has only what was created here: no link is on the way to it.
                let flags = AtFlags::empty();
                return rustix::fs::linkat(self.root, first, self.tree.current(), name, flags)
                    .context("create the hardlink", path);
            }
            self.first_names.insert(key, path.to_vec());
        }
        let (metadata, file) = Metadata::of_file(self.source.current(), name, stat, path)?;
        let attributes = self.adapt(metadata.attributes);
        match (&metadata.kind, file) {
            (Kind::Socket, _) => {
                self.imported.sockets += 1;
                return Ok(());
            }
            (Kind::Whiteout, _) => {
                return Err(Errno::NXIO).context("import the device 0:0", path);
            }
            (Kind::File { size }, Some(file)) => {
                let copied =
                    metadata::create_file(self.tree.current(), name).context("create", path)?;
                copy::content(&file, &copied, *size, path)?;
                self.imported.content += size;
                self.applier
                    .apply_open(copied.as_fd(), &attributes, true, path)?;
            }
            (kind, _) => {
                self.applier
                    .create_special(self.tree.current(), name, kind, &attributes, path)?
                    .context("create", path)?;
            }
        }
        self.imported.entries += 1;
        Ok(())
    }

    fn adapt(&self, attributes: Attributes) -> Attributes {
        let (uid, gid) = self.owner;
        Attributes {
            uid: if attributes.uid == uid {
                0
            } else {
                attributes.uid
            },
            gid: if attributes.gid == gid {
                0
            } else {
                attributes.gid
            },
            modified: self.epoch,
            ..attributes
        }
    }
}
