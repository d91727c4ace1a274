//! The chain: the layers of a build so far, lowest first.

use super::packing::Packing;
use super::{BuildError, BuiltLayer};
use crate::digest::{DiffId, StepKey};
use crate::image::Image;
use crate::store::LayerDescriptor;

/// One layer of a chain.
pub struct Link {
    /// The digest of its uncompressed tar, always known.
    pub diff_id: DiffId,
    /// Its blob, or the work that makes it.
    pub blob: Blob,
    /// The step that made it; none for the base's own.
    pub origin: Option<Origin>,
}

/// The step that a layer comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The step's name.
    pub step: String,
    /// Its key.
    pub key: StepKey,
    /// Whether it came from the store.
    pub cached: bool,
}

/// A layer's blob.
pub enum Blob {
    /// It is in the store.
    Stored(LayerDescriptor),
    /// It is being compressed.
    Packing(Packing),
}

/// The layers of a build so far.
#[derive(Default)]
pub struct Chain {
    links: Vec<Link>,
}

impl Chain {
    /// The layers of an image that is in the store.
    pub fn of(image: &Image) -> Self {
        Self::of_layers(&image.layers)
    }

    /// Layers that are in the store, lowest first.
    pub fn of_layers(layers: &[LayerDescriptor]) -> Self {
        let links = layers.iter().map(|layer| Link {
            diff_id: layer.diff_id,
            blob: Blob::Stored(layer.clone()),
            origin: None,
        });
        Self {
            links: links.collect(),
        }
    }

    /// Adds a layer on top.
    pub fn push(&mut self, link: Link) {
        self.links.push(link);
    }

    /// All layers, lowest first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The diffIDs of all layers, lowest first.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.links.iter().map(|link| link.diff_id).collect()
    }

    /// Waits until every layer has its blob. All are waited for, even if one fails, since each
    /// that succeeds is kept for the next build.
    pub fn finish(self) -> Result<Vec<BuiltLayer>, BuildError> {
        let mut layers = Vec::with_capacity(self.links.len());
        let mut failure = None;
        for link in self.links {
            let layer = match link.blob {
                Blob::Stored(layer) => Ok(layer),
                Blob::Packing(packing) => packing.finish(),
            };
            match layer {
                Ok(layer) => layers.push(BuiltLayer {
                    layer,
                    key: link.origin.as_ref().map(|origin| origin.key),
                    cached: link.origin.as_ref().is_none_or(|origin| origin.cached),
                    step: link.origin.map(|origin| origin.step),
                }),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(layers), Err)
    }
}
