//! Copying: an image and all that belongs to it, from one place to another, byte for byte.
//!
//! A *place* is a repository of a registry, a layout, an archive or the store. What is copied is
//! found first, as documents only: the manifest or index that was asked for, all that it lists, and
//! all that refers to one of these. Then come the blobs, several at once, then the documents from
//! the inside out, and last the name. So a copy that fails leaves no name that stands for half of
//! something, and a digest never changes on the way.
//!
//! Blobs that move between two places go through the store. There they are checked before a byte of
//! them is sent on, a copy that was interrupted finds those that it had, and a build on the copied
//! image needs no second download. A blob that the target has, or that its registry can mount, is
//! not moved at all.

mod error;
mod graph;
mod origin;
mod place;
mod target;

pub use error::CopyError;
pub use place::{Place, PlaceError};

use crate::registry::push::{Moved, PARALLEL};
use crate::registry::{Client, Progress, parallel};
use crate::store::{Descriptor, Platform, Store};
use graph::Graph;
use origin::Origin;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use target::Target;

/// With what is copied, and what.
pub struct Settings<'a> {
    /// Speaks to registries.
    pub client: &'a Client,
    /// Where blobs go through.
    pub store: &'a Store,
    /// Relative paths start here.
    pub working_folder: &'a Path,
    /// Only the image for this platform; none for everything that the name stands for.
    pub platform: Option<&'a Platform>,
    /// Whether what refers to the image is copied too.
    pub referrers: bool,
    /// Learns of each piece that was moved.
    pub progress: Progress<'a>,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What the name stands for now.
    pub root: Descriptor,
    /// The target, with the digest where its form allows it.
    pub target: String,
    /// How many manifests and indexes belong to it.
    pub documents: usize,
    /// How many of them are there only because they refer to another one.
    pub referrers: usize,
    /// What became of the blobs.
    pub moved: Moved,
}

/// Copies what `from` names to `to`.
pub fn copy(from: &Place, to: &Place, settings: &Settings<'_>) -> Result<Copied, CopyError> {
    let origin = Origin::open(from, settings)?;
    let target = Target::new(to, settings)?;
    let root = origin.root(settings.platform)?;
    target.check(&root)?;
    let referrers = settings.referrers && target.takes_referrers();
    let graph = Graph::read(&origin, root, referrers)?;
    let target = target.open()?;
    let moved = Mutex::new(Moved::default());
    parallel::for_each(&graph.blobs, PARALLEL, |blob| {
        let how = target.add_blob(&origin, blob)?;
        let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.add(how, blob.size);
        Ok::<_, CopyError>(())
    })?;
    let name = target.finish(&graph)?;
    Ok(Copied {
        root: graph.root.descriptor,
        target: name,
        documents: graph.others.len() + 1,
        referrers: graph.referrers.len() + graph.companions.len(),
        moved: moved.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

#[cfg(test)]
mod tests;
