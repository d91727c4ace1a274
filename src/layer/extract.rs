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

use super::archive::{OPAQUE_NAME, WHITEOUT_PREFIX};
use super::copy;
use super::error::{Context, LayerError, Limit, Result, TreePath};
use super::folder::{list, open_folder, stat_if_exists};
use super::lower;
use super::metadata::{self, Applier, Attributes, Kind, Losses, Metadata};
use super::read::{ArchiveEntry, ArchiveKind, ArchiveReader};
use super::remove;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io::Read;
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much of a file is written at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How an archive is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Whether `.wh.` names mark deletions, as in a layer. If not, they are refused.
    pub whiteouts: bool,
    /// Whether an archive without an end marker is refused. Without it a cut between two entries
    /// goes unnoticed, but some layers lack it; for them the digest tells.
    pub end_marker_required: bool,
    /// The time of folders that neither the archive nor a lower tree has, in seconds since 1970.
    pub epoch: i64,
    /// What the archive may contain at most.
    pub limits: ExtractLimits,
}

impl ExtractOptions {
    /// For a layer of an image, whose digest the caller checks.
    pub fn layer(epoch: i64) -> Self {
        Self {
            whiteouts: true,
            end_marker_required: false,
            epoch,
            limits: ExtractLimits::default(),
        }
    }

    /// For an archive of a root file system.
    pub fn archive(epoch: i64) -> Self {
        Self {
            whiteouts: false,
            end_marker_required: true,
            ..Self::layer(epoch)
        }
    }
}

/// What one archive may contain at most.
#[derive(Debug, Clone, Copy)]
pub struct ExtractLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files together, holes included.
    pub total_size: u64,
    /// Bytes of one file, holes included.
    pub file_size: u64,
    /// Bytes of one name or link target.
    pub path_length: u64,
    /// Nested folders.
    pub depth: u64,
    /// Bytes of one extended header, which holds long names and attributes.
    pub header_size: u64,
}

impl Default for ExtractLimits {
    /// Far above any image seen, and low enough to end before a host does.
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            total_size: 1 << 40,
            file_size: 1 << 39,
            path_length: 8 * 1024,
            depth: 1_024,
            header_size: 1 << 20,
        }
    }
}

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

/// A checked name: the folder around it and the name in it.
struct Target<'a> {
    path: &'a [u8],
    parent: &'a [u8],
    name: CString,
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

    fn hardlink(&mut self, target: &Target<'_>, link: &[u8], shown: &TreePath) -> Result<()> {
        // Some tools write targets with a leading slash; it means the root of the image.
        let relative = link.iter().position(|byte| *byte != b'/');
        let link = normalise(&link[relative.unwrap_or(link.len())..])
            .map_err(|problem| refused(shown, format!("its link target is refused: {problem}")))?;
        if link.is_empty() || link == target.path {
            return Err(refused(shown, "it is a hardlink to the root or to itself"));
        }
        let source = Target::new(&link);
        let missing = || {
            let problem = format!("its link target {} does not exist", TreePath::new(&link));
            refused(shown, problem)
        };
        // Whatever has the name goes first: it may be a folder around the link's target.
        self.enter_parent(target.parent)?;
        let exists = stat_if_exists(self.parent_folder(), &target.name);
        if exists.context("inspect", target.path)?.is_some() {
            self.remove(target)?;
        }
        let mut from = self.open(source.parent, OFlags::PATH);
        let here = match &from {
            Ok(folder) => stat_if_exists(folder.as_fd(), &source.name).context("inspect", &link)?,
            Err(LayerError::Tree { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(_) => return Err(missing()),
        };
        match here {
            Some(stat) if metadata::is_folder(&stat) => {
                return Err(refused(shown, "its link target is a folder"));
            }
            Some(stat) if metadata::is_whiteout(&stat) => return Err(missing()),
            Some(_) => {}
            None => {
                if !self.copy_up(&source)? {
                    return Err(missing());
                }
                from = self.open(source.parent, OFlags::PATH);
                self.enter_parent(target.parent)?;
            }
        }
        rustix::fs::linkat(
            from?,
            &source.name,
            self.parent_folder(),
            &target.name,
            AtFlags::empty(),
        )
        .context("create the hardlink", target.path)
    }

    /// Copies `source` from the lower trees, so that it can get another name; returns false if
    /// they do not show it, or it is a folder.
    fn copy_up(&mut self, source: &Target<'_>) -> Result<bool> {
        self.extracted.needs_below = true;
        if self.is_below_opaque(source.parent) {
            return Ok(false);
        }
        let Some(found) = lower::find(self.lowers, source.path)? else {
            return Ok(false);
        };
        if metadata::is_folder(&found.stat) {
            return Ok(false);
        }
        let (metadata, file) =
            Metadata::of_file(found.parent.as_fd(), &found.name, &found.stat, source.path)?;
        match (&metadata.kind, file) {
            (Kind::File { size }, Some(file)) => {
                let copy = self.create(source, metadata::create_file)?;
                copy::content(&file, &copy, *size, source.path)?;
                self.applier
                    .apply_open(copy.as_fd(), &metadata.attributes, true, source.path)?;
            }
            (kind, _) => self.special(source, kind, &metadata.attributes)?,
        }
        Ok(true)
    }

    fn whiteout(&mut self, target: &Target<'_>, shown: &TreePath) -> Result<()> {
        if !self.options.whiteouts {
            return Err(refused(shown, "its name marks a deletion, in no layer"));
        }
        let name = target.name.to_bytes();
        let inside = target.parent.split(|byte| *byte == b'/');
        if inside.clone().any(|name| name.starts_with(WHITEOUT_PREFIX)) {
            return Err(refused(
                shown,
                "it lies in a folder named like a deletion mark",
            ));
        }
        if name == OPAQUE_NAME {
            self.enter_parent(target.parent)?;
            if !self.folders.contains_key(target.parent) {
                // Only the root can have been there before the archive.
                let attributes = self.implied(b".")?;
                self.plan(target.parent, attributes);
            }
            self.set_opaque(target.parent);
            return Ok(());
        }
        let deleted = &name[WHITEOUT_PREFIX.len()..];
        if matches!(deleted, b"" | b"." | b"..") || deleted.starts_with(WHITEOUT_PREFIX) {
            return Err(refused(shown, "it marks no name that could be deleted"));
        }
        let deleted =
            CString::new(deleted).map_err(|_| refused(shown, "it contains a NUL byte"))?;
        self.enter_parent(target.parent)?;
        let parent = self.parent_folder();
        match rustix::fs::mknodat(
            parent,
            &deleted,
            rustix::fs::FileType::CharacterDevice,
            Mode::empty(),
            0,
        ) {
            Ok(()) => Ok(()),
            // The layer has a new file of that name: the mark is for what lies below it.
            Err(Errno::EXIST) => {
                let stat = stat_if_exists(parent, &deleted).context("inspect", target.path)?;
                if stat.as_ref().is_some_and(metadata::is_folder) {
                    let path = join(target.parent, deleted.to_bytes());
                    self.set_opaque(&path);
                }
                Ok(())
            }
            Err(errno) => Err(errno).context("mark as deleted", target.path),
        }
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

    /// Makes the folder `path` the current one, and creates it if nothing has its name yet.
    fn enter_parent(&mut self, path: &[u8]) -> Result<()> {
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

    fn parent_folder(&self) -> BorrowedFd<'_> {
        match &self.parent {
            Some((_, folder)) => folder.as_fd(),
            None => self.root,
        }
    }

    /// Opens the folder `path` of the tree in one call, from the current folder if it lies below.
    fn open(&self, path: &[u8], access: OFlags) -> Result<OwnedFd> {
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
    fn make_folders(&mut self, path: &[u8]) -> Result<OwnedFd> {
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
    fn implied(&self, path: &[u8]) -> Result<Attributes> {
        if !self.is_below_opaque(path)
            && let Some(found) = lower::find(self.lowers, path)?
            && metadata::is_folder(&found.stat)
        {
            let folder = open_folder(found.parent.as_fd(), &found.name).context("open", path)?;
            return Ok(Metadata::of_folder(folder.as_fd(), path)?.attributes);
        }
        Ok(Attributes::of_implied_folder(self.options.epoch))
    }

    fn is_below_opaque(&self, path: &[u8]) -> bool {
        let opaque = |path: &[u8]| self.folders.get(path).is_some_and(|folder| folder.opaque);
        let slashes = (0..path.len()).filter(|index| path[*index] == b'/');
        opaque(b"") || slashes.map(|index| &path[..index]).any(opaque) || opaque(path)
    }

    /// Overlayfs ignores an opaque mark on the root of a tree, so everything below is marked as
    /// deleted instead.
    fn hide_below_root(&mut self) -> Result<()> {
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
    fn plan(&mut self, path: &[u8], attributes: Attributes) {
        match self.folders.get_mut(path) {
            Some(folder) => folder.attributes = attributes,
            None => {
                let opaque = false;
                self.folders
                    .insert(path.to_vec(), Folder { attributes, opaque });
            }
        }
    }

    fn set_opaque(&mut self, path: &[u8]) {
        if let Some(folder) = self.folders.get_mut(path) {
            folder.opaque = true;
        }
    }

    fn check_limits(&mut self, entry: &ArchiveEntry) -> Result<()> {
        let limits = &self.options.limits;
        self.extracted.entries += 1;
        let total = self.extracted.content.saturating_add(entry.size);
        for (value, limit, allowed) in [
            (self.extracted.entries, Limit::Entries, limits.entries),
            (entry.size, Limit::FileSize, limits.file_size),
            (total, Limit::TotalSize, limits.total_size),
            (
                entry.name.len() as u64,
                Limit::PathLength,
                limits.path_length,
            ),
            (
                entry.link.len() as u64,
                Limit::PathLength,
                limits.path_length,
            ),
        ] {
            if value > allowed {
                return Err(exceeded(entry, limit, allowed));
            }
        }
        Ok(())
    }

    fn check_depth(&self, entry: &ArchiveEntry, path: &[u8]) -> Result<()> {
        let depth = path.iter().filter(|byte| **byte == b'/').count() as u64;
        if depth > self.options.limits.depth {
            return Err(exceeded(entry, Limit::Depth, self.options.limits.depth));
        }
        Ok(())
    }

    fn see_time(&mut self, entry: &ArchiveEntry) {
        self.extracted.newest = self.extracted.newest.max(Some(entry.attributes.modified));
    }
}

impl<'a> Target<'a> {
    /// Divides a normalised path that is not the root.
    fn new(path: &'a [u8]) -> Self {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        Self {
            path,
            parent,
            name: c_name(name),
        }
    }
}

/// Reduces a name of an archive to its components joined by single slashes; empty for the root.
fn normalise(name: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.starts_with(b"/") {
        return Err("the name is absolute");
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("the name has a \"..\" in it"),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    Ok(path)
}

/// Makes a name for the system. Names are free of NUL bytes once the archive was read; if one had
/// any, it would end there, and still be a single name.
fn c_name(name: &[u8]) -> CString {
    let length = name.iter().position(|byte| *byte == 0);
    CString::new(&name[..length.unwrap_or(name.len())]).unwrap_or_default()
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        return name.to_vec();
    }
    [parent, b"/", name].concat()
}

fn refused(entry: &TreePath, problem: impl Into<String>) -> LayerError {
    LayerError::Refused {
        entry: entry.clone(),
        problem: problem.into(),
    }
}

fn exceeded(entry: &ArchiveEntry, limit: Limit, allowed: u64) -> LayerError {
    LayerError::Limit {
        entry: TreePath::new(&entry.name),
        limit,
        allowed,
    }
}
