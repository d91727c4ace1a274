//! Caches of mounts on their way to another store: each is a layer with a manifest that names it,
//! beside the records in one layout.
//!
//! They are written and read by the owner of their files, whatever mapping of ids that is, so
//! another mapping can take them in.

use super::artifact;
use crate::digest::Digest;
use crate::image::{self, ImageError, ImageSource, Layout};
use crate::sandbox::{Cancel, LazySandbox, SandboxError, Task, TaskReport};
use crate::store::index::{Index, REFERENCE_NAME};
use crate::store::{Descriptor, LayerDescriptor, Store, StoreError};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

/// What the manifest is of.
const ARTIFACT_TYPE: &str = "application/vnd.hardtack.mount.v1";
/// The annotation with the name by which steps ask for a cache.
const ID: &str = "com.hardtack.mount.id";
/// Begins the names of entries; the digest of the id follows.
const NAME: &str = "hardtack-mount-";
/// The longest id.
const ID_LIMIT: usize = 64 * 1024;

/// Why caches could not be carried.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Their owner could not read or write them.
    #[error("the caches of mounts cannot be carried")]
    Sandbox(#[from] SandboxError),
    /// The layout cannot be read.
    #[error(transparent)]
    Layout(#[from] ImageError),
    /// A manifest cannot be written.
    #[error("cannot write the manifest of a cache")]
    Manifest(#[from] serde_json::Error),
}

/// A cache as blobs of a store, for a layout.
#[derive(Clone, Debug)]
pub struct PackedMount {
    /// Its name in the layout.
    pub name: String,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its content.
    pub layer: LayerDescriptor,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: MediaType,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

/// Packs all caches of this user's mapping of ids into blobs of the store; [`discard`] removes
/// them again.
pub fn pack(
    store: &Store,
    sandbox: &LazySandbox,
    now: jiff::Timestamp,
) -> Result<Vec<PackedMount>, MountsError> {
    let caches = store.mount_caches()?;
    let mut packed = Vec::new();
    if caches.is_empty() {
        return Ok(packed);
    }
    let sandbox = sandbox.get()?;
    let namespace = sandbox.tree_namespace();
    for cache in caches.iter().filter(|cache| cache.namespace == namespace) {
        let tree = cache.folder.join("fs");
        let Some(id) = store
            .mount_cache_id(&cache.folder)
            .filter(|_| tree.is_dir())
        else {
            continue;
        };
        let scratch = store.scratch()?;
        let blob = scratch.path().join("blob");
        let task = Task::Pack {
            tree,
            epoch: now.as_second(),
            blob: blob.clone(),
            threads: 1,
        };
        let layer = match sandbox.task(&task, &Cancel::default())? {
            TaskReport::Packed(layer) => layer.descriptor(),
            other => return Err(other.unexpected("pack").into()),
        };
        store.adopt_blob(&blob, &layer.digest, layer.size)?;
        let text = serde_json::to_vec(&Document {
            schema_version: 2,
            media_type: MediaType::ImageManifest,
            artifact_type: ARTIFACT_TYPE.to_owned(),
            config: artifact::empty(),
            layers: vec![layer.descriptor()],
            annotations: BTreeMap::from([(ID.to_owned(), id.clone())]),
        })?;
        let digest = store.put_blob(&text)?;
        packed.push(PackedMount {
            name: format!("{NAME}{}", Digest::of(&id).hex()),
            manifest: Descriptor::new(MediaType::ImageManifest, digest, text.len() as u64),
            layer,
        });
    }
    Ok(packed)
}

/// Removes the blobs of [`pack`].
pub fn discard(store: &Store, packed: &[PackedMount]) -> Result<(), StoreError> {
    for mount in packed {
        store.remove_blob(&mount.manifest.digest)?;
        store.remove_blob(&mount.layer.digest)?;
    }
    Ok(())
}

/// Takes in the caches of a layout, a folder or a tar of one, that the store does not have; gives
/// how many there were.
pub fn import(
    store: &Store,
    sandbox: &LazySandbox,
    path: &Path,
    now: SystemTime,
) -> Result<usize, MountsError> {
    let source: Box<dyn ImageSource> = match path.is_dir() {
        true => Box::new(Layout::open(path)?),
        false => image::archive::open(path, store)?,
    };
    let place = format!("the index of {}", source.place());
    let index = Index::parse(&source.index()?)
        .map_err(|error| ImageError::invalid(&place, error.to_string()))?;
    let mut count = 0;
    for entry in index.entries() {
        let name = entry.annotations.get(REFERENCE_NAME);
        if name.is_some_and(|name| name.starts_with(NAME)) {
            take(store, sandbox, &*source, &entry, now)?;
            count += 1;
        }
    }
    Ok(count)
}

fn take(
    store: &Store,
    sandbox: &LazySandbox,
    source: &dyn ImageSource,
    entry: &Descriptor,
    now: SystemTime,
) -> Result<(), MountsError> {
    let wrong = |reason: &str| {
        let document = format!("the manifest {}", entry.digest);
        MountsError::from(ImageError::invalid(&document, reason.to_owned()))
    };
    if entry.size > artifact::MANIFEST_LIMIT {
        return Err(wrong("it is too long"));
    }
    let text = source.document(entry)?;
    if (Digest::of(&text), text.len() as u64) != (entry.digest, entry.size) {
        return Err(wrong("it is not what the index says"));
    }
    let document: Document =
        serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
    let id = document
        .annotations
        .get(ID)
        .filter(|id| id.len() <= ID_LIMIT);
    let ([layer], Some(id)) = (document.layers.as_slice(), id) else {
        return Err(wrong("it names no cache"));
    };
    if document.artifact_type != ARTIFACT_TYPE || layer.media_type != MediaType::ImageLayerGzip {
        return Err(wrong("it is of another kind"));
    }
    let sandbox = sandbox.get()?;
    let namespace = sandbox.tree_namespace();
    if store.has_mount_cache(&namespace, id)? {
        return Ok(());
    }
    let was_here = store.has_blob(&layer.digest, layer.size)?;
    source.import(store, &layer.digest, layer.size)?;
    let scratch = store.scratch()?;
    let tree = scratch.path().join("fs");
    std::fs::create_dir(&tree).map_err(|error| StoreError::io("create", &tree, error))?;
    let extracted = sandbox.task(
        &Task::Extract {
            archive: store.blob_path(&layer.digest),
            expected: None,
            into: tree,
            lowers: Vec::new(),
            whiteouts: false,
            epoch: 0,
        },
        &Cancel::default(),
    );
    if !was_here {
        store.remove_blob(&layer.digest)?;
    }
    extracted?;
    store.adopt_mount_cache(scratch, &namespace, id, now)?;
    Ok(())
}
