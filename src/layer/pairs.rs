//! A walk through an upper folder and, side by side, through what lies below it.
//!
//! A folder of the upper tree is *merged* if the lower one has a folder of that name and the upper
//! one is not opaque: only then does what is below still show through.

use super::attributes::{self, Attribute, Place};
use super::error::{Context, Result};
use super::folder::{FolderStack, Listed, stat_if_exists};
use super::metadata;
use rustix::fs::{AtFlags, Stat};
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

/// Where the walk stands.
pub(super) enum Step {
    /// In a folder that was just entered; its attributes as stored.
    Entered(Vec<Attribute>),
    /// At something that is no folder.
    File(CString, Stat),
    /// At the end of a folder; [`PairWalk::leave`] must follow.
    End,
}

/// The walk itself: depth first, sorted, without recursion.
pub(super) struct PairWalk {
    upper: FolderStack,
    lower: Option<FolderStack>,
    levels: Vec<Level>,
}

struct Level {
    name: CString,
    names: std::vec::IntoIter<Listed>,
    merged: bool,
    entered: bool,
}

impl PairWalk {
    /// Begins at the root folders, which are always merged.
    pub(super) fn new(upper: BorrowedFd<'_>, lower: Option<BorrowedFd<'_>>) -> Result<Self> {
        let upper = FolderStack::new(upper)?;
        let lower = lower.map(FolderStack::new).transpose()?;
        let root = Level {
            name: CString::default(),
            names: upper.list()?.into_iter(),
            merged: lower.is_some(),
            entered: false,
        };
        Ok(Self {
            upper,
            lower,
            levels: vec![root],
        })
    }

    /// Goes on; none once the root folder was left.
    pub(super) fn step(&mut self) -> Result<Option<Step>> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        if !level.entered {
            level.entered = true;
            let stored = self.stored_attributes()?;
            return Ok(Some(Step::Entered(stored)));
        }
        let Some(Listed { name, .. }) = level.names.next() else {
            return Ok(Some(Step::End));
        };
        let stat = rustix::fs::statat(self.upper.current(), &name, AtFlags::SYMLINK_NOFOLLOW)
            .context("inspect", &self.upper.path_of(&name))?;
        if !metadata::is_folder(&stat) {
            return Ok(Some(Step::File(name, stat)));
        }
        let below = self.below(&name)?;
        self.upper.push(&name)?;
        let stored = self.stored_attributes()?;
        let merged =
            below.as_ref().is_some_and(metadata::is_folder) && !attributes::is_opaque(&stored);
        if let (true, Some(lower)) = (merged, &mut self.lower) {
            lower.push(&name)?;
        }
        self.levels.push(Level {
            name,
            names: self.upper.list()?.into_iter(),
            merged,
            entered: true,
        });
        Ok(Some(Step::Entered(stored)))
    }

    /// Goes up from the folder at whose end the walk is, and returns its name; none at the root.
    pub(super) fn leave(&mut self) -> Result<Option<CString>> {
        let Some(level) = self.levels.pop() else {
            return Ok(None);
        };
        if level.merged
            && let Some(lower) = &mut self.lower
        {
            lower.pop()?;
        }
        Ok(self.upper.pop()?.then_some(level.name))
    }

    /// The innermost upper folder.
    pub(super) fn upper(&self) -> BorrowedFd<'_> {
        self.upper.current()
    }

    /// The folder below the innermost upper one, if they are merged.
    pub(super) fn lower(&self) -> Option<BorrowedFd<'_>> {
        let merged = self.levels.last().is_some_and(|level| level.merged);
        self.lower
            .as_ref()
            .filter(|_| merged)
            .map(FolderStack::current)
    }

    /// Inspects `name` in the lower folder: none if nothing of that name shows through.
    pub(super) fn below(&self, name: &CStr) -> Result<Option<Stat>> {
        let Some(lower) = self.lower() else {
            return Ok(None);
        };
        let stat = stat_if_exists(lower, name).context("inspect", &self.path_of(name))?;
        Ok(stat.filter(|stat| !metadata::is_whiteout(stat)))
    }

    /// The path of the innermost folder.
    pub(super) fn path(&self) -> &[u8] {
        self.upper.path()
    }

    /// The path of `name` in the innermost folder.
    pub(super) fn path_of(&self, name: &CStr) -> Vec<u8> {
        self.upper.path_of(name)
    }

    fn stored_attributes(&self) -> Result<Vec<Attribute>> {
        Place::Open(self.upper.current())
            .attributes()
            .context("read the attributes of", self.upper.path())
    }
}
