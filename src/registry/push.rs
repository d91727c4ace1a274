//! Pushing: brings an image of the store into a repository of a registry.
//!
//! What the registry has is not sent. For each blob it is asked first whether it is in the
//! repository, then whether it can be mounted from another one of the same registry that had it
//! when we last saw it; only then are its bytes sent, and only then is a layer fetched that was
//! left where it is. The manifest follows its blobs, byte by byte as the store has it, so that
//! nobody ever sees an image that is not complete.

use super::parallel;
use super::{Client, Progress, Pushed, Reference, RegistryError, Repository, fetch};
use crate::digest::{DiffId, Digest};
use crate::format;
use crate::image::Image;
use crate::image::manifest::DOCUMENT_LIMIT;
use crate::store::{Descriptor, LayerDescriptor, Store, StoreError};
use oci_spec::image::MediaType;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How many blobs are sent at once.
pub const PARALLEL: usize = 4;

/// How the blobs of an upload came to where they are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Those whose bytes were sent.
    pub uploaded: Amount,
    /// Those that the registry had in another repository.
    pub mounted: Amount,
    /// Those that were there.
    pub existing: Amount,
}

/// Some blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
}

impl Moved {
    /// Counts one blob.
    pub fn add(&mut self, how: Pushed, size: u64) {
        let amount = match how {
            Pushed::Uploaded => &mut self.uploaded,
            Pushed::Mounted => &mut self.mounted,
            Pushed::Existed => &mut self.existing,
        };
        amount.blobs += 1;
        amount.bytes = amount.bytes.saturating_add(size);
    }

    /// The numbers in words; `sent` is what happened to those whose bytes were sent.
    pub fn in_words(&self, sent: &str) -> String {
        let mut parts = Vec::new();
        for (amount, how) in [
            (self.uploaded, sent),
            (self.mounted, "mounted"),
            (self.existing, "already there"),
        ] {
            let Amount { blobs, bytes } = amount;
            let plural = if blobs == 1 { "" } else { "s" };
            if blobs > 0 {
                let size = format::bytes(bytes);
                parts.push(format!("{blobs} blob{plural} {how} ({size})"));
            }
        }
        match parts.is_empty() {
            true => "no blobs".to_owned(),
            false => parts.join(", "),
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.in_words("uploaded"))
    }
}

/// Brings an image into `repository` and gives it the names `tags`; without any it is there under
/// its digest only.
pub fn image(
    client: &Client,
    store: &Store,
    image: &Image,
    repository: &Repository,
    tags: &[String],
    progress: Progress<'_>,
) -> Result<Moved, RegistryError> {
    let moved = Mutex::new(Moved::default());
    parallel::for_each(&blobs_of(image), PARALLEL, |blob| {
        let how = self::blob(client, store, repository, blob, progress)?;
        let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.add(how, blob.size);
        Ok::<_, RegistryError>(())
    })?;
    let text = store.read_blob(&image.manifest.digest, DOCUMENT_LIMIT)?;
    document(client, repository, &image.manifest.media_type, &text, tags)?;
    Ok(moved.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The layers and the configuration, each once.
fn blobs_of(image: &Image) -> Vec<Descriptor> {
    let layers = image.layers.iter().map(LayerDescriptor::descriptor);
    let all = layers.chain([image.config_descriptor.clone()]);
    let unique: BTreeMap<_, _> = all.map(|blob| (blob.digest, blob)).collect();
    unique.into_values().collect()
}

/// Brings one blob into `repository`: one of the store, or one that the store knows an origin of.
fn blob(
    client: &Client,
    store: &Store,
    repository: &Repository,
    blob: &Descriptor,
    progress: Progress<'_>,
) -> Result<Pushed, RegistryError> {
    blob_with(client, store, repository, blob, progress, || {
        fetch::one(client, store, &as_layer(blob), progress)
    })
}

/// Brings one blob into `repository`. `fetch` brings it into the store; it is called if the blob is
/// not there and the registry has it nowhere else.
pub fn blob_with<E: From<RegistryError> + From<StoreError>>(
    client: &Client,
    store: &Store,
    repository: &Repository,
    blob: &Descriptor,
    progress: Progress<'_>,
    fetch: impl FnOnce() -> Result<(), E>,
) -> Result<Pushed, E> {
    let (digest, size) = (&blob.digest, blob.size);
    let mut nearby = nearby(store, repository, blob)?;
    let mut how = None;
    if !store.has_blob(digest, size)? {
        how = without_bytes(client, repository, blob, &nearby)?;
        if how.is_none() {
            fetch()?;
            // They were asked for it already.
            nearby.clear();
        }
    }
    let how = match how {
        Some(how) => how,
        None => client.push_blob(repository, digest, size, store, &nearby, progress)?,
    };
    store.add_origin(digest, &repository.to_string())?;
    Ok(how)
}

/// Tries to get a blob into `repository` without its bytes: it is there, or can be mounted from one
/// of `elsewhere`.
fn without_bytes(
    client: &Client,
    repository: &Repository,
    blob: &Descriptor,
    elsewhere: &[Repository],
) -> Result<Option<Pushed>, RegistryError> {
    if client.direct().blob_size(repository, &blob.digest)? == Some(blob.size) {
        return Ok(Some(Pushed::Existed));
    }
    for from in elsewhere {
        if client.mount_blob(repository, &blob.digest, from)? {
            return Ok(Some(Pushed::Mounted));
        }
    }
    Ok(None)
}

/// Other repositories of the same registry that may have a blob.
fn nearby(
    store: &Store,
    repository: &Repository,
    blob: &Descriptor,
) -> Result<Vec<Repository>, RegistryError> {
    let origins = store.origins(&blob.digest)?;
    // What is no repository was written by nobody of ours.
    let origins = origins.iter().filter_map(|origin| origin.parse().ok());
    let others = origins.filter(|origin: &Repository| {
        origin.registry == repository.registry && origin.path != repository.path
    });
    Ok(others.collect())
}

/// The blob as [`fetch`] asks for it, which looks at digest and size only.
fn as_layer(blob: &Descriptor) -> LayerDescriptor {
    LayerDescriptor {
        diff_id: DiffId(blob.digest),
        digest: blob.digest,
        size: blob.size,
        media_type: blob.media_type.clone(),
    }
}

/// Writes a manifest or an index, whose blobs and manifests are there, under each of `tags`, or else
/// under its digest. Where it is already, nothing is written.
pub fn document(
    client: &Client,
    repository: &Repository,
    media_type: &MediaType,
    text: &[u8],
    tags: &[String],
) -> Result<(), RegistryError> {
    let digest = Digest::of(text);
    let name = |tag: Option<&String>| Reference {
        repository: repository.clone(),
        tag: tag.cloned(),
        digest: tag.is_none().then_some(digest),
    };
    let names = match tags {
        [] => vec![name(None)],
        tags => tags.iter().map(|tag| name(Some(tag))).collect(),
    };
    for name in names {
        let found = client.direct().describe(&name)?;
        if found.is_none_or(|found| found.digest != digest) {
            client.push_document(&name, media_type, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_told_in_words() {
        let mut moved = Moved::default();
        assert_eq!(moved.to_string(), "no blobs");
        moved.add(Pushed::Uploaded, 1000);
        moved.add(Pushed::Uploaded, 500);
        moved.add(Pushed::Existed, 7);
        assert_eq!(moved.mounted, Amount::default());
        assert_eq!(
            moved.to_string(),
            "2 blobs uploaded (1.5 kB), 1 blob already there (7 B)"
        );
    }

    #[test]
    fn only_other_repositories_of_the_registry_are_nearby() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of("layer");
        for origin in ["r.example/a", "other.example/a", "r.example/b", "!"] {
            store.add_origin(&digest, origin).unwrap();
        }
        let target: Repository = "r.example/b".parse().unwrap();
        let blob = Descriptor::new(MediaType::ImageLayer, digest, 5);
        let found = nearby(&store, &target, &blob).unwrap();
        assert_eq!(found, ["r.example/a".parse().unwrap()]);
    }
}
