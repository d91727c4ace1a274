//! Hard links, and marks of deletion: entries that speak of other ones, here or below.

use super::target::{Target, join, normalise};
use super::{Extractor, refused};
use crate::layer::archive::{OPAQUE_NAME, WHITEOUT_PREFIX};
use crate::layer::copy;
use crate::layer::error::{Context, LayerError, Result, TreePath};
use crate::layer::folder::stat_if_exists;
use crate::layer::lower;
use crate::layer::metadata::{self, Kind, Metadata};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::AsFd;

impl Extractor<'_> {
    pub(super) fn hardlink(
        &mut self,
        target: &Target<'_>,
        link: &[u8],
        shown: &TreePath,
    ) -> Result<()> {
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
    pub(super) fn copy_up(&mut self, source: &Target<'_>) -> Result<bool> {
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

    pub(super) fn whiteout(&mut self, target: &Target<'_>, shown: &TreePath) -> Result<()> {
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
}
