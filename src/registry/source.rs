//! A repository as a source of images: its documents, by digest.

use super::{Client, Repository};
use crate::digest::Digest;
use crate::image::{ImageError, ImageSource};
use crate::store::Store;

/// A repository of a registry, as [`crate::image::resolve`] reads it.
pub struct RegistrySource {
    /// Reads it.
    pub client: Client,
    /// The repository.
    pub repository: Repository,
}

impl ImageSource for RegistrySource {
    fn place(&self) -> String {
        self.repository.to_string()
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        unimplemented!()
    }

    fn document(&self, _digest: &Digest) -> Result<Vec<u8>, ImageError> {
        unimplemented!()
    }

    fn import(&self, _store: &Store, _digest: &Digest, _size: u64) -> Result<(), ImageError> {
        unimplemented!()
    }
}
