//! Images of other builds, which steps mount.
//!
//! A build runs after all whose images its steps mount, and learns here what these are.

use crate::digest::DiffId;
use crate::store::LayerDescriptor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of an image that a build makes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherImage {
    /// The diffIDs of its layers, lowest first.
    pub diff_ids: Vec<DiffId>,
    /// The layers; none where they are only forecast.
    pub layers: Vec<LayerDescriptor>,
}

/// The images of a run that are known so far, by the names of their builds.
#[derive(Debug, Default)]
pub struct OtherImages(Mutex<BTreeMap<String, Arc<OtherImage>>>);

impl OtherImages {
    /// Makes an image known.
    pub fn add(&self, build: &str, image: OtherImage) {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.insert(build.to_owned(), Arc::new(image));
    }

    /// The image of a build; none if it is not known yet.
    pub fn get(&self, build: &str) -> Option<Arc<OtherImage>> {
        let images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.get(build).cloned()
    }
}
