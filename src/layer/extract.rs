//! The one way in for archives from elsewhere: a tar becomes a tree, or is refused.
//!
//! Nothing in an archive is trusted. Names are resolved from the descriptor of the tree's root,
//! with `openat2` forbidding links and ways out, and the last component is only ever created,
//! linked or removed, never opened through. Owner, mode and times are set through descriptors.
//! Absolute names and `..` are refused, as is an entry below something that the same archive made
//! a link or a file. What all files together may use is limited before it is written.
//!
//! Where tools and specification leave a choice:
//!
//! | case | what happens |
//! |---|---|
//! | a name comes twice | the later entry replaces the earlier; a folder stays and takes the later metadata |
//! | `lib/x`, where `lib` is a link in a lower layer | a folder `lib` hides the link, as with Docker and containerd on overlayfs |
//! | `lib/x`, where `lib` is a link in the same archive | refused |
//! | a folder that has no entry of its own | has the metadata of the folder below it, else 0755, 0:0, the epoch |
//! | a hardlink to a file of a lower layer | that file is copied up first |
//! | a hardlink's own owner, mode and times | not used: they are those of its target |
//! | `.wh.NAME` and a new NAME in one layer | the new one stays; a folder is opaque (a mark means what is below only) |
//! | an opaque mark in the root folder, which overlayfs ignores | a deletion mark for every name below |
//! | `.wh.` names in an archive that is no layer | refused: the tree could not become a layer |

use super::archive::WHITEOUT_PREFIX;
use super::copy;
use super::error::{Context, LayerError, Result, TreePath};
use super::folder::stat_if_exists;
use super::metadata::{self, Applier, Attributes, Kind, Losses};
use super::read::{ArchiveEntry, ArchiveKind, ArchiveReader};
use super::remove;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::Read;
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

mod folders;
mod limits;
mod links;
mod target;

pub use limits::{ExtractLimits, ExtractOptions};

use target::{Target, join, normalise};

/// How much of a file is written at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// What was extracted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Entries of the archive, deletion marks included.
    pub entries: u64,
    /// Bytes of the files.
    pub content: u64,
    /// The latest time of an entry in seconds since 1970; none if there is no entry.
    pub newest: Option<i64>,
    /// What could not be kept.
    pub losses: Losses,
    /// Whether the archive does not list its root folder.
    pub implies_root: bool,
    /// Whether something else of the tree depends on the trees below.
    pub needs_below: bool,
}

/// Extracts the uncompressed tar `input` into the folder `into`, which must be new and empty and
/// becomes a tree. `lowers` are the trees below it, the top one first.
///
/// `input` is read to its end, so that a digest computed on the way covers all of it.
///
/// # Errors
///
/// If the archive is malformed, refused or above a limit, or the tree cannot be written. What was
/// extracted by then is to be removed.
pub fn extract(
    input: impl Read,
    into: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    options: &ExtractOptions,
) -> Result<Extracted> {
    let mut reader = ArchiveReader::new(
        input,
        options.limits.header_size,
        options.end_marker_required,
    );
    let mut extractor = Extractor {
        root: into,
        lowers,
        options,
        applier: Applier::new(),
        folders: BTreeMap::new(),
        parent: None,
        inherits_group: metadata::new_files_inherit_group(into).context("inspect", b"")?,
        chunk: vec![0; CHUNK],
        extracted: Extracted::default(),
    };
    while let Some(entry) = reader.next_entry()? {
        extractor.entry(&mut reader, entry)?;
    }
    extractor.finish()
}

struct Extractor<'a> {
    root: BorrowedFd<'a>,
    lowers: &'a [BorrowedFd<'a>],
    options: &'a ExtractOptions,
    applier: Applier,
    /// What the folders are to be once all is in them, by path.
    folders: BTreeMap<Vec<u8>, Folder>,
    /// The folder that the last entry was in.
    parent: Option<(Vec<u8>, OwnedFd)>,
    inherits_group: bool,
    chunk: Vec<u8>,
    extracted: Extracted,
}

struct Folder {
    attributes: Attributes,
    opaque: bool,
}

impl Extractor<'_> {
    fn entry<R: Read>(&mut self, reader: &mut ArchiveReader<R>, entry: ArchiveEntry) -> Result<()> {
        let shown = TreePath::new(&entry.name);
        self.check_limits(&entry)?;
        let path = normalise(&entry.name).map_err(|problem| refused(&shown, problem))?;
        self.check_depth(&entry, &path)?;
        if path.is_empty() {
            if entry.kind != ArchiveKind::Folder {
                return Err(refused(&shown, "the root must be a folder"));
            }
            self.see_time(&entry);
            self.plan(&path, entry.attributes);
            return Ok(());
        }
        let target = Target::new(&path);
        if path
            .split(|byte| *byte == b'/')
            .any(|name| name.starts_with(WHITEOUT_PREFIX))
        {
            return self.whiteout(&target, &shown);
        }
        self.see_time(&entry);
        match entry.kind {
            ArchiveKind::Folder => self.folder(&target, entry.attributes),
            ArchiveKind::File => self.file(reader, &target, &entry),
            ArchiveKind::Hardlink => self.hardlink(&target, &entry.link, &shown),
            ArchiveKind::Symlink if entry.link.is_empty() => {
                Err(refused(&shown, "the link has no target"))
            }
            ArchiveKind::Symlink => {
                let kind = Kind::Symlink { target: entry.link };
                self.special(&target, &kind, &entry.attributes)
            }
            ArchiveKind::Fifo => self.special(&target, &Kind::Fifo, &entry.attributes),
            ArchiveKind::CharacterDevice { major: 0, minor: 0 } => Err(refused(
                &shown,
                "a character device 0:0 marks a deletion in a tree",
            )),
            ArchiveKind::CharacterDevice { major, minor } => {
                let kind = Kind::CharacterDevice { major, minor };
                self.special(&target, &kind, &entry.attributes)
            }
            ArchiveKind::BlockDevice { major, minor } => {
                let kind = Kind::BlockDevice { major, minor };
                self.special(&target, &kind, &entry.attributes)
            }
        }
    }

    /// Applies what was planned for the folders, innermost first, since a folder may take away
    /// the permission to change what is in it.
    fn finish(mut self) -> Result<Extracted> {
        if !self.folders.contains_key(&b""[..]) {
            let attributes = self.implied(b".")?;
            self.plan(b"", attributes);
            self.extracted.implies_root = true;
        }
        self.hide_below_root()?;
        let folders = std::mem::take(&mut self.folders);
        for (path, planned) in folders.into_iter().rev() {
            let folder = self.open(&path, OFlags::RDONLY)?;
            if planned.opaque && !path.is_empty() {
                self.applier.make_opaque(folder.as_fd(), &path)?;
            }
            self.applier
                .apply_open(folder.as_fd(), &planned.attributes, true, &path)?;
        }
        self.extracted.losses = self.applier.losses;
        Ok(self.extracted)
    }

    fn folder(&mut self, target: &Target<'_>, attributes: Attributes) -> Result<()> {
        self.enter_parent(target.parent)?;
        let parent = self.parent_folder();
        if let Err(errno) = rustix::fs::mkdirat(parent, &target.name, Mode::RWXU) {
            if errno != Errno::EXIST {
                return Err(errno).context("create the folder", target.path);
            }
            let stat = stat_if_exists(parent, &target.name).context("inspect", target.path)?;
            if !stat.as_ref().is_some_and(metadata::is_folder) {
                let deleted = stat.as_ref().is_some_and(metadata::is_whiteout);
                self.remove(target)?;
                rustix::fs::mkdirat(self.parent_folder(), &target.name, Mode::RWXU)
                    .context("create the folder", target.path)?;
                self.plan(target.path, attributes);
                if deleted {
                    self.set_opaque(target.path);
                }
                return Ok(());
            }
        }
        self.plan(target.path, attributes);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        reader: &mut ArchiveReader<R>,
        target: &Target<'_>,
        entry: &ArchiveEntry,
    ) -> Result<()> {
        let file = self.create(target, metadata::create_file)?;
        match &entry.pieces {
            None => {
                let mut position = 0;
                self.write(reader, &file, &mut position, entry.size, target.path)?;
            }
            Some(pieces) => {
                rustix::fs::ftruncate(&file, entry.size).context("write", target.path)?;
                for (offset, length) in pieces {
                    let mut position = *offset;
                    self.write(reader, &file, &mut position, *length, target.path)?;
                }
            }
        }
        self.extracted.content += entry.size;
        self.applier.apply_open(
            file.as_fd(),
            &entry.attributes,
            self.inherits_group,
            target.path,
        )
    }

    fn write<R: Read>(
        &mut self,
        reader: &mut ArchiveReader<R>,
        file: &OwnedFd,
        position: &mut u64,
        mut left: u64,
        path: &[u8],
    ) -> Result<()> {
        while left > 0 {
            let wanted = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let length = reader.read_content(&mut self.chunk[..wanted])?;
            copy::write_all(file, &self.chunk[..length], *position).context("write", path)?;
            *position += length as u64;
            left -= length as u64;
            if length == 0 {
                break;
            }
        }
        Ok(())
    }

    fn special(&mut self, target: &Target<'_>, kind: &Kind, wanted: &Attributes) -> Result<()> {
        self.enter_parent(target.parent)?;
        for attempt in 0..2 {
            let parent = match &self.parent {
                Some((_, folder)) => folder.as_fd(),
                None => self.root,
            };
            let path = target.path;
            match self
                .applier
                .create_special(parent, &target.name, kind, wanted, path)?
            {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) if attempt == 0 => self.remove(target)?,
                Err(errno) => return Err(errno).context("create", path),
            }
        }
        Ok(())
    }

    /// Creates a file with `make` in the place of whatever has its name.
    fn create(
        &mut self,
        target: &Target<'_>,
        make: impl Fn(BorrowedFd<'_>, &CStr) -> std::result::Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd> {
        self.enter_parent(target.parent)?;
        match make(self.parent_folder(), &target.name) {
            Err(Errno::EXIST) => {
                self.remove(target)?;
                make(self.parent_folder(), &target.name)
            }
            other => other,
        }
        .context("create", target.path)
    }

    /// Removes what an earlier entry made at `target`, whose parent is the current one.
    fn remove(&mut self, target: &Target<'_>) -> Result<()> {
        remove::remove(self.parent_folder(), &target.name, target.path)?;
        let below = join(target.path, b"");
        let gone: Vec<_> = self
            .folders
            .range::<[u8], _>((Bound::Included(target.path), Bound::Unbounded))
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(target.path))
            .filter(|path| *path == target.path || path.starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            self.folders.remove(&path);
        }
        Ok(())
    }

    fn see_time(&mut self, entry: &ArchiveEntry) {
        self.extracted.newest = self.extracted.newest.max(Some(entry.attributes.modified));
    }
}

fn refused(entry: &TreePath, problem: impl Into<String>) -> LayerError {
    LayerError::Refused {
        entry: entry.clone(),
        problem: problem.into(),
    }
}
