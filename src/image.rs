//! Images: configurations, manifests and indexes; layouts and archives of them.
//!
//! An *image* is a manifest that names a configuration and a stack of layers, all by digest (OCI
//! image specification). This module reads images of any origin into the store, puts new ones
//! together and writes them out. It moves layers as sealed blobs: what is in them is `layer`'s
//! matter, and registries are not reached from here.
//!
//! Documents from elsewhere are hostile until checked: limited in size, free of doubled or
//! ambiguous fields, of the media type that their descriptor says, and with typed digests only.
//! They are stored byte by byte as they came, never written anew.

pub mod archive;
pub mod assemble;
pub mod change;
pub mod config;
pub mod docker;
mod error;
pub mod expansion;
pub mod instruction;
pub mod layout;
pub mod manifest;
pub mod source;

pub use archive::Archive;
pub use assemble::{Assembly, NewLayer, annotate, assemble};
pub use change::ConfigChanges;
pub use config::ImageConfiguration;
pub use docker::DockerArchive;
pub use error::ImageError;
pub use instruction::Instruction;
pub use layout::Layout;
pub use source::{ImageSource, entries, entry, import_layers, load_from, read, resolve};

use crate::digest::{ChainId, DiffId};
use crate::store::{Descriptor, LayerDescriptor, Platform, Store};
use std::collections::BTreeMap;

/// One image, checked. Its manifest and configuration are in the store; its layers may not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The manifest.
    pub manifest: Descriptor,
    /// The configuration's blob.
    pub config_descriptor: Descriptor,
    /// The configuration.
    pub config: ImageConfiguration,
    /// The layers, lowest first.
    pub layers: Vec<LayerDescriptor>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Image {
    /// The diffIDs of the layers, lowest first.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }

    /// The name of the whole stack of layers; none for an image without layers.
    pub fn chain(&self) -> Option<ChainId> {
        ChainId::of(&self.diff_ids())
    }
}

/// Loads the image `descriptor` from the store; of an index, the one for `platform`.
pub fn load(
    store: &Store,
    descriptor: &Descriptor,
    platform: &Platform,
) -> Result<Image, ImageError> {
    source::load_from(store, store, descriptor, platform)
}
