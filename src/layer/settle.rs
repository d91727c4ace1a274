//! An overlay's upper folder becomes a tree: what a step really changed, and nothing else.
//!
//! An overlay copies a file up when it is opened for writing, and a folder when anything in it
//! changes, whether or not a change follows; it leaves attributes of its own behind, and deletion
//! marks for names that never existed below. All of that goes. What stays is equal, file by file,
//! to what extracting its own archive gives.
//!
//! A file is unchanged if type, owner, mode, attributes, time (whole seconds, not later than the
//! epoch), link target and content are those below. A file with several names is unchanged only
//! if all of its names are, and are one file below too. A folder is unchanged if nothing in it
//! changed, and nothing of itself but its time.

use super::attributes::{self, Attribute, Place};
use super::error::{Context, LayerError, Result, TreePath};
use super::metadata::{self, Attributes, Kind, Metadata, times};
use super::pairs::{PairWalk, Step};
use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const CHUNK: usize = 128 * 1024;

/// What is left of an upper folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whether nothing changed: no entry is left, and the root folder is as below.
    pub is_empty: bool,
    /// Files and folders that were added or changed, deletion marks included.
    pub changed: u64,
    /// Files and folders that were removed because they equal those below.
    pub unchanged: u64,
    /// Deletion marks that were removed because there is nothing to delete.
    pub needless_marks: u64,
    /// Sockets that were removed.
    pub sockets: u64,
}

/// Turns `upper` into a tree. `lower` is the merged view of all that lies below it, or nothing;
/// it is only read. No time in the tree will be later than `epoch` (seconds since 1970).
///
/// # Errors
///
/// If one of them cannot be read, `upper` cannot be changed, or it was made with `redirect_dir` or
/// `metacopy`. It is half settled then, and can be settled again.
pub fn settle(upper: BorrowedFd<'_>, lower: Option<BorrowedFd<'_>>, epoch: i64) -> Result<Settled> {
    let linked = unchanged_links(upper, lower, epoch)?;
    let mut settler = Settler {
        walk: PairWalk::new(upper, lower)?,
        folders: Vec::new(),
        linked,
        epoch,
        settled: Settled::default(),
    };
    while let Some(step) = settler.walk.step()? {
        match step {
            Step::Entered(stored) => settler.enter(stored)?,
            Step::File(name, stat) => settler.file(&name, &stat)?,
            Step::End => settler.leave()?,
        }
    }
    Ok(settler.settled)
}

struct Settler {
    walk: PairWalk,
    folders: Vec<Folder>,
    /// Whether a file with several names is unchanged, by device and inode.
    linked: HashMap<(u64, u64), bool>,
    epoch: i64,
    settled: Settled,
}

struct Folder {
    metadata: Metadata,
    stored: Vec<Attribute>,
    has_changes: bool,
}

impl Settler {
    fn enter(&mut self, stored: Vec<Attribute>) -> Result<()> {
        refuse_redirects(&stored, self.walk.path())?;
        // Read before anything in it is removed, which changes its time.
        self.folders.push(Folder {
            metadata: Metadata::of_folder(self.walk.upper(), self.walk.path())?,
            stored,
            has_changes: false,
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let Some(folder) = self.folders.pop() else {
            return Ok(());
        };
        let is_root = self.folders.is_empty();
        let own_change = match self.walk.lower() {
            Some(lower) => {
                let below = Metadata::of_folder(lower, self.walk.path())?.attributes;
                !same_but_time(&folder.metadata.attributes, &below)
            }
            None if is_root => {
                let plain = Attributes::of_implied_folder(0);
                !same_but_time(&folder.metadata.attributes, &plain)
            }
            None => true,
        };
        let changed = own_change || folder.has_changes;
        if is_root {
            self.settled.is_empty = !changed;
        }
        if changed || is_root {
            self.tidy_folder(&folder)?;
        }
        let Some(name) = self.walk.leave()? else {
            return Ok(());
        };
        if changed {
            self.keep();
            // Whether it is a new folder for the one below is known only here, beside it.
            self.check_opaque(&name, &folder)
        } else {
            self.unlink(&name, AtFlags::REMOVEDIR)?;
            self.settled.unchanged += 1;
            Ok(())
        }
    }

    fn file(&mut self, name: &CStr, stat: &Stat) -> Result<()> {
        let below = self.walk.below(name)?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if metadata::is_whiteout(stat) {
            if below.is_some() {
                self.keep();
                return Ok(());
            }
            self.settled.needless_marks += 1;
            return self.unlink(name, AtFlags::empty());
        }
        if file_type == FileType::Socket {
            self.settled.sockets += 1;
            self.unlink(name, AtFlags::empty())?;
            if below.is_some() {
                // The socket took the place of something, which must not come back.
                let mark = FileType::CharacterDevice;
                rustix::fs::mknodat(self.walk.upper(), name, mark, Mode::empty(), 0)
                    .context("mark as deleted", &self.walk.path_of(name))?;
                self.keep();
            }
            return Ok(());
        }
        let unchanged = match self.linked.get(&(stat.st_dev, stat.st_ino)) {
            Some(unchanged) => *unchanged,
            None => is_unchanged(&self.walk, name, stat, self.epoch)?,
        };
        if unchanged {
            self.settled.unchanged += 1;
            return self.unlink(name, AtFlags::empty());
        }
        self.keep();
        self.tidy_file(name, stat)
    }

    fn keep(&mut self) {
        self.settled.changed += 1;
        if let Some(folder) = self.folders.last_mut() {
            folder.has_changes = true;
        }
    }

    fn tidy_folder(&self, folder: &Folder) -> Result<()> {
        let path = self.walk.path();
        let place = Place::Open(self.walk.upper());
        if attributes::is_opaque(&folder.stored) && !path.is_empty() {
            // fuse-overlayfs marks it in its own way.
            place
                .set(attributes::OPAQUE, b"y")
                .context("make opaque", path)?;
        }
        strip(place, &folder.stored, path)?;
        let modified = folder.metadata.attributes.modified.min(self.epoch);
        rustix::fs::futimens(self.walk.upper(), &times(modified)).context("set the time of", path)
    }

    /// Removes the opaque mark from a folder that hides nothing: an overlay marks every new one.
    fn check_opaque(&self, name: &CStr, folder: &Folder) -> Result<()> {
        if folder.metadata.kind != (Kind::Folder { opaque: true }) {
            return Ok(());
        }
        let below = self.walk.below(name)?;
        if below.as_ref().is_some_and(metadata::is_folder) {
            return Ok(());
        }
        let path = self.walk.path_of(name);
        Place::Named(self.walk.upper(), name)
            .remove(attributes::OPAQUE)
            .context("remove the opaque mark of", &path)
    }

    fn tidy_file(&self, name: &CStr, stat: &Stat) -> Result<()> {
        let path = self.walk.path_of(name);
        let place = Place::Named(self.walk.upper(), name);
        let stored = place
            .attributes()
            .context("read the attributes of", &path)?;
        strip(place, &stored, &path)?;
        if stat.st_mtime > self.epoch || stat.st_mtime_nsec != 0 {
            let modified = stat.st_mtime.min(self.epoch);
            let times = times(modified);
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(self.walk.upper(), name, &times, flags)
                .context("set the time of", &path)?;
        }
        Ok(())
    }

    fn unlink(&self, name: &CStr, flags: AtFlags) -> Result<()> {
        rustix::fs::unlinkat(self.walk.upper(), name, flags)
            .context("remove", &self.walk.path_of(name))
    }
}

/// Tells of each file with several names whether all of them are unchanged.
fn unchanged_links(
    upper: BorrowedFd<'_>,
    lower: Option<BorrowedFd<'_>>,
    epoch: i64,
) -> Result<HashMap<(u64, u64), bool>> {
    // The file below that the names seen so far stand for; none once one has changed.
    let mut files: HashMap<(u64, u64), Option<(u64, u64)>> = HashMap::new();
    let mut walk = PairWalk::new(upper, lower)?;
    while let Some(step) = walk.step()? {
        match step {
            Step::Entered(_) => {}
            Step::End => {
                walk.leave()?;
            }
            Step::File(_, stat) if stat.st_nlink < 2 || metadata::is_whiteout(&stat) => {}
            Step::File(name, stat) => {
                let key = (stat.st_dev, stat.st_ino);
                let known = files.get(&key).copied();
                if known == Some(None) {
                    continue;
                }
                let below = walk.below(&name)?.map(|stat| (stat.st_dev, stat.st_ino));
                let same_file = known.is_none_or(|known| known == below);
                let unchanged = same_file && is_unchanged(&walk, &name, &stat, epoch)?;
                files.insert(key, below.filter(|_| unchanged));
            }
        }
    }
    Ok(files
        .into_iter()
        .map(|(key, below)| (key, below.is_some()))
        .collect())
}

/// Compares `name`, which is no folder, with what is below it.
fn is_unchanged(walk: &PairWalk, name: &CStr, stat: &Stat, epoch: i64) -> Result<bool> {
    let path = walk.path_of(name);
    refuse_redirects(
        &Place::Named(walk.upper(), name)
            .attributes()
            .context("read the attributes of", &path)?,
        &path,
    )?;
    let (Some(lower), Some(below)) = (walk.lower(), walk.below(name)?) else {
        return Ok(false);
    };
    // Cheap to see, and most real changes show here.
    let time = |stat: &Stat| stat.st_mtime.min(epoch);
    if FileType::from_raw_mode(stat.st_mode) != FileType::from_raw_mode(below.st_mode)
        || time(stat) != time(&below)
    {
        return Ok(false);
    }
    let (ours, our_file) = Metadata::of_file(walk.upper(), name, stat, &path)?;
    let (theirs, their_file) = Metadata::of_file(lower, name, &below, &path)?;
    if ours.kind != theirs.kind || !same_but_time(&ours.attributes, &theirs.attributes) {
        return Ok(false);
    }
    match (ours.kind, our_file, their_file) {
        (Kind::File { .. }, Some(ours), Some(theirs)) => {
            same_content(&ours, &theirs).context("compare", &path)
        }
        _ => Ok(true),
    }
}

fn same_but_time(one: &Attributes, other: &Attributes) -> bool {
    (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
        && one.extended == other.extended
}

fn same_content(one: &OwnedFd, other: &OwnedFd) -> std::result::Result<bool, Errno> {
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut position = 0;
    loop {
        let length = read_chunk(one.as_fd(), &mut left, position)?;
        if read_chunk(other.as_fd(), &mut right, position)? != length
            || left[..length] != right[..length]
        {
            return Ok(false);
        }
        if length < CHUNK {
            return Ok(true);
        }
        position += length as u64;
    }
}

/// Fills `chunk` unless the file ends before.
fn read_chunk(
    file: BorrowedFd<'_>,
    chunk: &mut [u8],
    position: u64,
) -> std::result::Result<usize, Errno> {
    let mut filled = 0;
    while filled < chunk.len() {
        match rustix::io::pread(file, &mut chunk[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

fn strip(place: Place<'_>, stored: &[Attribute], path: &[u8]) -> Result<()> {
    for (name, _) in stored {
        if attributes::is_overlay_bookkeeping(name) {
            CString::new(name.as_slice())
                .map_err(|_| Errno::INVAL)
                .and_then(|name| place.remove(&name))
                .context("remove the overlay's attributes of", path)?;
        }
    }
    Ok(())
}

fn refuse_redirects(stored: &[Attribute], path: &[u8]) -> Result<()> {
    match stored
        .iter()
        .find(|(name, _)| attributes::is_redirect(name))
    {
        Some((attribute, _)) => Err(LayerError::Redirected {
            path: TreePath::new(path),
            attribute: TreePath::new(attribute),
        }),
        None => Ok(()),
    }
}
