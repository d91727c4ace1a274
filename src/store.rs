//! The store: local content-addressed storage below one folder.
//!
//! A *store* is an OCI image layout, so that any OCI tool reads it, with hardtack's own folders
//! beside it. It knows bytes, names and digests; what an image, a step or a template is, it does
//! not know. Nothing here prints, reads the clock or talks to the network.
//!
//! | path | what | written by |
//! |---|---|---|
//! | `hardtack.json` | the format version; its presence makes the folder ours | [`Store::open`] |
//! | `oci-layout`, `index.json` | the OCI layout, its references | [`reference`] |
//! | `blobs/sha256/HEX` | manifests, configurations, layers | [`blob`] |
//! | `trees/NAMESPACE/HEX/fs` | unpacked stacks of layers, by chainID | [`tree`] |
//! | `trees/NAMESPACE/HEX/failed.json` | what a failed step has left in the `fs` beside it | [`failed`] |
//! | `steps/HEX.json` | what a step with this key made | [`step`] |
//! | `history/HEX.json` | the last key material of a step | [`history`] |
//! | `requirements/HEX/` | roles and collections that lock files pin, by content | [`requirement`] |
//! | `origins/HEX` | where a blob that is not here can be had | [`origin`] |
//! | `tmp/` | all that is not finished | [`scratch`] |
//! | `locks/` | files that exist while somebody holds or wants a lock | [`lock`] |
//! | `in-use` | locked by everyone who has the store open | [`occupancy`] |
//!
//! # What a crash can do
//!
//! Everything is written under a temporary name and renamed, so a killed process leaves only
//! `tmp/`. A machine that loses power is the harder case, because a renamed file may come back
//! empty. The rule: **a lost write may cost a miss, never a wrong result.**
//!
//! | written | forced to disk | because |
//! |---|---|---|
//! | blobs | the file, before its rename | the name promises the content, and readers trust the size |
//! | `index.json` | the blobs' folder before; the file; its folder after | a reference must not outlive what it names |
//! | steps, history, origins | nothing | an incomplete record does not parse, or names no blob: a miss |
//! | requirements | nothing | they are digested again before a step uses them |
//! | trees | nothing at once; see [`Store::settle`] | thousands of files; a tree that was not settled counts in the boot that made it only |

pub mod blob;
pub mod descriptor;
mod error;
mod failed;
pub mod history;
pub mod index;
pub mod inventory;
pub mod lock;
mod mount;
pub mod occupancy;
pub mod origin;
pub mod reference;
pub mod requirement;
pub mod scratch;
pub mod step;
pub mod tree;
pub(crate) mod write;

pub use blob::BlobWriter;
pub use descriptor::{Descriptor, LayerDescriptor, Platform};
pub use error::StoreError;
pub use failed::FailedStep;
pub use lock::LockGuard;
pub use occupancy::Alone;
pub use reference::Reference;
pub use scratch::Scratch;
pub use step::{StepLookup, StepRecord};
pub use tree::TreeCommit;

use oci_spec::image::OciLayout;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the store's own folders; another version is refused.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "hardtack.json";
const UNFINISHED_FORMAT_FILE: &str = ".hardtack.json.new";
/// The content of the marker file of every OCI image layout (OCI image layout, "oci-layout file").
pub(crate) const LAYOUT_MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The only layout version that exists.
const LAYOUT_VERSION: &str = "1.0.0";
const FOLDERS: [&str; 8] = [
    "blobs/sha256",
    "trees",
    "steps",
    "history",
    "origins",
    "requirements",
    "tmp",
    "locks",
];

/// A handle on a store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Names this run of the kernel; none where the host does not tell.
    boot: Option<String>,
    /// Locked for as long as any handle lives; none where the store cannot be written.
    occupied: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct FormatFile {
    format: u32,
}

impl Store {
    /// Opens the store at `root`, and creates it if there is nothing or an empty folder.
    ///
    /// A new store is readable by its owner only: its trees hold set-uid programs of images.
    /// Errors if `root` holds anything but a store of this format, or cannot be written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        match fs::metadata(root) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(StoreError::NotAFolder {
                    path: root.to_owned(),
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(root)
                    .map_err(|source| StoreError::io("create the store", root, source))?;
            }
            Err(source) => return Err(StoreError::io("open the store", root, source)),
        }
        // Absolute, since the sandbox's helper works in another folder.
        let root = fs::canonicalize(root)
            .map_err(|source| StoreError::io("open the store", root, source))?;
        if !check_format(&root)? {
            create_format(&root)?;
        }
        let occupied = occupancy::enter(&root)?;
        complete(&root)?;
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                boot: tree::current_boot(),
                occupied,
            }),
        })
    }

    /// The store's folder, an absolute path.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.shared.root.join(name)
    }
}

/// Says whether `root` is a store of our format.
fn check_format(root: &Path) -> Result<bool, StoreError> {
    let path = root.join(FORMAT_FILE);
    let text = match write::read_limited(&path, 64 * 1024) {
        Ok(text) => text,
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let file: FormatFile =
        serde_json::from_slice(&text).map_err(|source| StoreError::Syntax { path, source })?;
    if file.format != FORMAT {
        return Err(StoreError::Format {
            path: root.to_owned(),
            found: file.format,
            supported: FORMAT,
        });
    }
    Ok(true)
}

/// Makes an empty folder ours. The format file comes first, so that a creation that was killed
/// leaves either an empty folder or one that [`complete`] finishes.
fn create_format(root: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("create the store", root, source);
    let folder = File::open(root).map_err(failed)?;
    // Without it, a second process would see our half-made store as somebody else's folder.
    folder.lock().map_err(failed)?;
    if check_format(root)? {
        return Ok(());
    }
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != UNFINISHED_FORMAT_FILE {
            return Err(StoreError::Foreign {
                path: root.to_owned(),
                name: name.to_string_lossy().into_owned(),
            });
        }
    }
    let unfinished = root.join(UNFINISHED_FORMAT_FILE);
    let text = format!("{{\"format\":{FORMAT}}}\n");
    fs::write(&unfinished, text).map_err(failed)?;
    fs::rename(&unfinished, root.join(FORMAT_FILE)).map_err(failed)
}

/// Creates what is missing of a store that is ours.
fn complete(root: &Path) -> Result<(), StoreError> {
    for name in FOLDERS {
        let path = root.join(name);
        if !path.is_dir() {
            fs::create_dir_all(&path)
                .map_err(|source| StoreError::io("create the folder", &path, source))?;
        }
    }
    let tmp = root.join("tmp");
    let marker = root.join("oci-layout");
    if !marker.exists() {
        write::write_atomically(&tmp, &marker, LAYOUT_MARKER, write::Durability::Lazy)?;
    }
    check_layout_marker(&marker)?;
    let index = root.join("index.json");
    if !index.exists() {
        // Not replaced: another process may have finished the creation and set a reference.
        write::create_atomically(&tmp, &index, &index::Index::empty().to_bytes())?;
    }
    Ok(())
}

/// Checks the marker file of an OCI image layout.
pub(crate) fn check_layout_marker(marker: &Path) -> Result<(), StoreError> {
    let text = write::read_limited(marker, 64 * 1024)?;
    let layout: OciLayout = serde_json::from_slice(&text).map_err(|source| StoreError::Syntax {
        path: marker.to_owned(),
        source,
    })?;
    if layout.image_layout_version() != LAYOUT_VERSION {
        return Err(StoreError::LayoutVersion {
            path: marker.to_owned(),
            found: layout.image_layout_version().clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
