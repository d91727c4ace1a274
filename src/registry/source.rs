//! A repository as a source of images: its documents, by digest.

use super::{Client, Reference, RegistryError, Repository};
use crate::digest::Digest;
use crate::image::manifest::DocumentKind;
use crate::image::{ImageError, ImageSource};
use crate::store::{Descriptor, Store};

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

    /// A repository has no list of all that it holds; its images are found by reference.
    fn index(&self) -> Result<Vec<u8>, ImageError> {
        Err(ImageError::NotASource {
            place: self.place(),
            expected: "a place that lists its images",
            reason: "a repository is asked for one by tag or digest".to_owned(),
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let read = match DocumentKind::of(&descriptor.media_type) {
            Some(_) => {
                let reference = Reference {
                    repository: self.repository.clone(),
                    tag: None,
                    digest: Some(descriptor.digest),
                };
                self.client.document(&reference).map(|it| it.text)
            }
            None => self.client.small_blob(&self.repository, descriptor),
        };
        read.map_err(image_error)
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        self.client
            .pull_blob(&self.repository, digest, size, store, &|_| {})
            .map_err(image_error)
    }
}

fn image_error(error: RegistryError) -> ImageError {
    match error {
        RegistryError::Store(error) => ImageError::Store(error),
        error => ImageError::Elsewhere(Box::new(error)),
    }
}
