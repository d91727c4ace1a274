//! Images of registries as bases: found by digest, documents first; the layers stay where they are
//! until somebody needs them.

use super::BaseError;
use crate::digest::Digest;
use crate::image::{self, Image, ImageError, ImageSource};
use crate::registry::{Client, Reference, RegistrySource, Repository};
use crate::store::{Descriptor, Platform, Store};

/// Finds the image with `digest` in a repository; of an index, the one for `platform`.
///
/// Documents that are in the store are not asked for again, so a base that was used before needs
/// no network.
pub fn find(
    client: &Client,
    store: &Store,
    repository: &Repository,
    digest: Digest,
    platform: &Platform,
) -> Result<Image, BaseError> {
    let descriptor = match store.describe_manifest(&digest)? {
        Some(descriptor) => descriptor,
        None => {
            let reference = Reference {
                repository: repository.clone(),
                tag: None,
                digest: Some(digest),
            };
            let document = client.document(&reference)?;
            store.put_blob(&document.text)?;
            document.descriptor
        }
    };
    let source = StoreFirst {
        store,
        registry: RegistrySource {
            client: client.clone(),
            repository: repository.clone(),
        },
    };
    let image = image::load_from(&source, store, &descriptor, platform)?;
    let origin = repository.to_string();
    for layer in &image.layers {
        store.add_origin(&layer.digest, &origin)?;
    }
    Ok(image)
}

/// A repository whose documents are read from the store where they are there.
struct StoreFirst<'a> {
    store: &'a Store,
    registry: RegistrySource,
}

impl ImageSource for StoreFirst<'_> {
    fn place(&self) -> String {
        self.registry.place()
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        self.registry.index()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        match self.store.blob_size(&descriptor.digest)? {
            Some(_) => self.store.document(descriptor),
            None => self.registry.document(descriptor),
        }
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        self.registry.import(store, digest, size)
    }
}
