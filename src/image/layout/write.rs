//! Writing layouts: new ones, and into those that exist.

use super::super::manifest::DOCUMENT_LIMIT;
use super::super::{Image, ImageError};
use crate::digest::Digest;
use crate::store::index::Index;
use crate::store::reference::check_name;
use crate::store::write::{
    Durability, read_limited, remove_unfinished, sync_parent, write_atomically,
};
use crate::store::{Descriptor, LAYOUT_MARKER, Store, StoreError, check_layout_marker};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes `image` as `name` into the layout at `path`, a new one or one that exists.
///
/// Other images in it stay; one of the same name is replaced, its blobs are left. Blobs that are
/// there with the right size are taken to be right. The caller has all layers in the store.
pub fn write(store: &Store, image: &Image, path: &Path, name: &str) -> Result<(), ImageError> {
    check_name(name)?;
    let writer = LayoutWriter::open(path)?;
    for layer in &image.layers {
        writer.add(store, &layer.digest, layer.size)?;
    }
    for document in [&image.config_descriptor, &image.manifest] {
        writer.add(store, &document.digest, document.size)?;
    }
    let mut descriptor = image.manifest.plain();
    descriptor.platform = Some(image.config.platform());
    writer.finish(&[(Some(name.to_owned()), descriptor)])
}

/// A layout that blobs are written into. Nobody else writes to it meanwhile.
#[derive(Debug)]
pub struct LayoutWriter {
    path: PathBuf,
    blobs: PathBuf,
    /// Holds the lock: two runs may write to one layout, whose index is read, changed and replaced.
    _folder: File,
}

impl LayoutWriter {
    /// Opens the layout at `path`, or makes a new one of an empty or missing folder.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        prepare(path)?;
        let failed = |source| StoreError::io("write the layout", path, source);
        let folder = File::open(path).map_err(failed)?;
        folder.lock().map_err(failed)?;
        remove_unfinished(path)?;
        let blobs = path.join("blobs/sha256");
        for part in [path.join("blobs"), blobs.clone()] {
            create_folder(&part)?;
        }
        Ok(Self {
            path: path.to_owned(),
            blobs,
            _folder: folder,
        })
    }

    /// Whether there is a blob of this digest and size.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        fs::symlink_metadata(self.blobs.join(digest.hex()))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// Copies a blob out of the store, unless it is there.
    pub fn add(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        if !self.has(digest, size) {
            let target = self.blobs.join(digest.hex());
            store.export_blob(digest, size, &self.path, &target)?;
        }
        Ok(())
    }

    /// Makes the layout list `entries`, each under its name, whose blobs are there.
    pub fn finish(self, entries: &[(Option<String>, Descriptor)]) -> Result<(), ImageError> {
        let index_path = self.path.join("index.json");
        let mut index = Index::empty();
        if index_path.exists() {
            let text = read_limited(&index_path, DOCUMENT_LIMIT)?;
            index = Index::parse(&text).map_err(|error| {
                ImageError::invalid(&index_path.display().to_string(), error.to_string())
            })?;
        }
        for (name, descriptor) in entries {
            if let Some(name) = name {
                check_name(name)?;
            }
            let entered = index.enter(name.as_deref(), descriptor);
            entered.map_err(|source| ImageError::Json {
                document: index_path.display().to_string(),
                source,
            })?;
        }
        sync_parent(&self.blobs.join("any"))?;
        let text = index.to_bytes();
        write_atomically(&self.path, &index_path, &text, Durability::Forced)?;
        Ok(())
    }
}

/// Makes sure that `path` is a folder that is a layout or may become one.
fn prepare(path: &Path) -> Result<(), ImageError> {
    let failed = |source| StoreError::io("write the layout", path, source);
    fs::create_dir_all(path).map_err(failed)?;
    let marker = path.join("oci-layout");
    if marker.exists() {
        return Ok(check_layout_marker(&marker)?);
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // What a killed run of ours leaves does not make the folder somebody else's.
        if !name.as_encoded_bytes().starts_with(b".unfinished-") && !marker.exists() {
            return Err(ImageError::OccupiedFolder {
                place: path.display().to_string(),
            });
        }
    }
    // First of all, so that a run that was killed later finds its folder again.
    write_atomically(path, &marker, LAYOUT_MARKER, Durability::Lazy)?;
    Ok(())
}

/// Creates a folder of the layout; a symbolic link would lead our blobs elsewhere.
fn create_folder(path: &Path) -> Result<(), ImageError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(StoreError::io("create the folder", path, source).into()),
        Ok(()) => return Ok(()),
    }
    let metadata =
        fs::symlink_metadata(path).map_err(|source| StoreError::io("read", path, source))?;
    if !metadata.is_dir() {
        let reason = "it is no folder".to_owned();
        return Err(ImageError::invalid(&path.display().to_string(), reason));
    }
    Ok(())
}
