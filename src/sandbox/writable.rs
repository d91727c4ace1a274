//! What a step writes to: the upper of an overlay, or a copy of all that lies below it.
//!
//! After a step the copy becomes what the upper would be, so that nothing else asks which it was.

use super::error::Failure;
use super::means::{Means, Writable};
use super::mount_point::Stub;
use super::protocol::FailureKind;
use super::root;
use super::tasks;
use crate::layer::{self, Copied};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// In the scratch folder: a view of all that lies below a copy.
const VIEW: &str = "below";

/// The folder `fs` of a scratch folder, ready for a step.
pub(super) struct Upper {
    scratch: PathBuf,
    lowers: Vec<PathBuf>,
    /// None for the upper of an overlay.
    copied: Option<Copied>,
    /// Mount points that were made in it.
    pub(super) stubs: Vec<Stub>,
}

impl Upper {
    /// Makes it, and the mount points that the image lacks.
    pub(super) fn prepare(
        scratch: &Path,
        lowers: &[PathBuf],
        means: Means,
    ) -> Result<Self, Failure> {
        root::make_folders(scratch, lowers).map_err(setup("prepare the upper"))?;
        let copied =
            match means.writable {
                Writable::Overlay => None,
                Writable::Copy => Some(copy(scratch, lowers).map_err(|text| {
                    (FailureKind::Work, format!("copy the layers below: {text}"))
                })?),
            };
        let stubs = root::make_mount_points(scratch, lowers).map_err(setup("prepare the upper"))?;
        Ok(Self {
            scratch: scratch.to_owned(),
            lowers: lowers.to_vec(),
            copied,
            stubs,
        })
    }

    /// Makes `fs` an overlay's upper where it is a copy; gives the trees below it, lowest first.
    pub(super) fn finish(self) -> Result<Vec<PathBuf>, String> {
        let Some(copied) = self.copied else {
            return Ok(self.lowers);
        };
        let view = self.scratch.join(VIEW);
        let (copy, below) = (
            tasks::folder(&self.scratch.join("fs"))?,
            tasks::folder(&view)?,
        );
        layer::difference(copy.as_fd(), below.as_fd(), &copied, &root::FOLDERS)
            .map_err(|error| format!("find what has changed: {}", tasks::whole(error)))?;
        Ok(vec![view])
    }
}

/// Removes what only [`Upper::finish`] and what follows it needs.
pub(super) fn tidy(scratch: &Path) -> Result<(), String> {
    tasks::remove(&scratch.join(VIEW))
}

fn copy(scratch: &Path, lowers: &[PathBuf]) -> Result<Copied, String> {
    let opened: Vec<OwnedFd> = lowers
        .iter()
        .map(|lower| tasks::folder(lower))
        .collect::<Result<_, _>>()?;
    let opened: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
    let view = scratch.join(VIEW);
    fs::create_dir(&view).map_err(|error| format!("create {}: {error}", view.display()))?;
    let view = tasks::folder(&view)?;
    layer::view_merged(&opened, view.as_fd()).map_err(tasks::whole)?;
    let copy = tasks::folder(&scratch.join("fs"))?;
    layer::copy_merged(&opened, copy.as_fd()).map_err(tasks::whole)
}

fn setup(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| (FailureKind::Setup, format!("{what}: {error}"))
}
