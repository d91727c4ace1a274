//! Inventories of a store with all sizes known, and what they sum up to.

use super::prune::{Policy, Removal, decide};
use super::reach::{self, Reach};
use crate::digest::Digest;
use crate::sandbox::{Cancel, Isolation, LazySandbox, Task, TaskReport};
use crate::store::inventory::{BlobEntry, FileEntry, Notes, StepEntry, TreeEntry, disk_of};
use crate::store::reference::MANIFEST_LIMIT;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a store holds.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Blobs by digest.
    pub blobs: BTreeMap<Digest, BlobEntry>,
    /// What the names of `index.json` lead to.
    pub named: Reach,
    /// Records of steps.
    pub steps: Vec<StepEntry>,
    /// Unpacked layers.
    pub trees: Vec<Tree>,
    /// What mounts of steps keep between builds.
    pub mounts: Vec<Tree>,
    /// What the keys of steps were made of.
    pub history: Vec<FileEntry>,
    /// Where blobs can be had, by digest.
    pub origins: BTreeMap<Digest, FileEntry>,
    /// How much of the disk is taken by what is not finished, in bytes.
    pub unfinished: u64,
    /// How much of the disk the store's own files and folders take, in bytes.
    pub frame: u64,
    /// Blobs that nothing names and that look like a manifest, an index or a configuration, with
    /// what they lead to.
    pub loose_documents: BTreeMap<Digest, Reach>,
}

/// An unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The tree.
    pub entry: TreeEntry,
    /// How much of the disk it takes, in bytes.
    pub disk: u64,
    /// Whether this user can remove it: not if its files belong to another mapping of ids.
    pub is_removable: bool,
}

/// How much of the disk one kind of things takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// `layers`, `documents`, `trees`, …
    pub kind: &'static str,
    /// Of trees, the mapping of ids that their files belong to.
    pub namespace: Option<String>,
    /// How many there are.
    pub count: usize,
    /// What all take, in bytes.
    pub disk: u64,
    /// What of it `prune --all` would give back, in bytes.
    pub reclaimable: u64,
}

impl Inventory {
    /// Looks at everything in `store`. Trees that nobody has counted yet are counted, by the owner
    /// of their files.
    pub fn take(store: &Store, sandbox: &LazySandbox, cancel: &Cancel) -> Result<Self, StoreError> {
        let mut named = Reach::default();
        named.add(store, store.named_documents()?)?;
        let blobs: BTreeMap<_, _> = store
            .blobs()?
            .into_iter()
            .map(|blob| (blob.digest, blob))
            .collect();
        let mut loose_documents = BTreeMap::new();
        for blob in blobs.values().filter(|it| !named.contains(&it.digest)) {
            if is_document(store, blob)? {
                let mut below = Reach::default();
                match below.add(store, [blob.digest]) {
                    // What it led to is of no use either.
                    Ok(()) | Err(StoreError::DamagedBlob { .. }) => {}
                    Err(error) => return Err(error),
                }
                loose_documents.insert(blob.digest, below);
            }
        }
        let unfinished = store.unfinished()?;
        let unfinished = disk_sizes(&unfinished, sandbox, cancel).iter().sum();
        let origins = store.files(Notes::Origins)?.into_iter();
        Ok(Self {
            named,
            blobs,
            steps: store.steps()?,
            trees: trees(store, store.trees()?, sandbox, cancel)?,
            mounts: trees(store, store.mount_caches()?, sandbox, cancel)?,
            history: store.files(Notes::History)?,
            origins: origins
                .filter_map(|file| Some((digest_of_name(&file.path)?, file)))
                .collect(),
            unfinished,
            frame: store.frame()?,
            loose_documents,
        })
    }

    /// What the whole store takes of the disk, in bytes.
    pub fn disk(&self) -> u64 {
        let blobs = self.blobs.values().map(|blob| blob.file.disk);
        let files = self.steps.iter().map(|step| &step.file);
        let files = files.chain(&self.history).chain(self.origins.values());
        let trees = self.trees.iter().chain(&self.mounts).map(|tree| tree.disk);
        self.frame
            + self.unfinished
            + blobs.sum::<u64>()
            + files.map(|file| file.disk).sum::<u64>()
            + trees.sum::<u64>()
    }

    /// What each kind of things takes, and what of it could go.
    pub fn usage(&self, now: SystemTime) -> Vec<Usage> {
        let policy = Policy {
            all: true,
            ..Policy::default()
        };
        let removal = decide(self, &policy, now);
        let kind = |kind, files: &mut dyn Iterator<Item = (u64, bool)>| {
            let mut usage = Usage {
                kind,
                namespace: None,
                count: 0,
                disk: 0,
                reclaimable: 0,
            };
            for (disk, goes) in files {
                usage.count += 1;
                usage.disk += disk;
                usage.reclaimable += if goes { disk } else { 0 };
            }
            usage
        };
        let blobs = |documents: bool| {
            self.blobs.values().filter_map({
                let removal = &removal;
                move |blob| {
                    let goes = removal.blobs.contains(&blob.digest);
                    let is_document = self.named.documents.contains(&blob.digest)
                        || self.loose_documents.contains_key(&blob.digest);
                    (is_document == documents).then_some((blob.file.disk, goes))
                }
            })
        };
        let files = |files: &[FileEntry], removed: &[PathBuf]| -> Vec<(u64, bool)> {
            let removed: BTreeSet<_> = removed.iter().collect();
            let files = files.iter();
            files
                .map(|file| (file.disk, removed.contains(&file.path)))
                .collect()
        };
        let steps: Vec<_> = self.steps.iter().map(|step| step.file.clone()).collect();
        let origins: Vec<_> = self.origins.values().cloned().collect();
        let mut list = vec![
            kind("layers", &mut blobs(false)),
            kind("documents", &mut blobs(true)),
        ];
        for (name, trees, removed) in [
            ("trees", &self.trees, &removal.trees),
            ("mounts", &self.mounts, &removal.mounts),
        ] {
            let namespaces: BTreeSet<_> = trees.iter().map(|it| &it.entry.namespace).collect();
            for namespace in namespaces {
                let mut trees = trees
                    .iter()
                    .filter(|tree| tree.entry.namespace == *namespace)
                    .map(|tree| (tree.disk, removed.contains(&tree.entry.folder)));
                list.push(Usage {
                    namespace: Some(namespace.clone()),
                    ..kind(name, &mut trees)
                });
            }
        }
        list.extend([
            kind("steps", &mut files(&steps, &removal.steps).into_iter()),
            kind(
                "history",
                &mut files(&self.history, &removal.notes).into_iter(),
            ),
            kind("origins", &mut files(&origins, &removal.notes).into_iter()),
            kind("unfinished", &mut std::iter::once((self.unfinished, false))),
            kind("other", &mut std::iter::once((self.frame, false))),
        ]);
        list
    }

    /// What `policy` removes.
    pub fn decide(&self, policy: &Policy, now: SystemTime) -> Removal {
        decide(self, policy, now)
    }
}

/// Whether a blob that nothing names is a manifest, an index, or a configuration.
fn is_document(store: &Store, blob: &BlobEntry) -> Result<bool, StoreError> {
    if blob.size > MANIFEST_LIMIT {
        return Ok(false);
    }
    // Layers are not read to the end for this.
    let mut first = [0];
    match store.open_blob(&blob.digest)?.read(&mut first) {
        Ok(1) if first == *b"{" => {}
        _ => return Ok(false),
    }
    match reach::document(store, &blob.digest) {
        Ok(document) => Ok(document.is_some()),
        // Nothing depends on it.
        Err(StoreError::DamagedBlob { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn trees(
    store: &Store,
    entries: Vec<TreeEntry>,
    sandbox: &LazySandbox,
    cancel: &Cancel,
) -> Result<Vec<Tree>, StoreError> {
    let uncounted: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| entry.counted.is_none())
        .map(|entry| entry.folder.join("fs"))
        .collect();
    let mut counted = disk_sizes(&uncounted, sandbox, cancel).into_iter();
    let sandbox = if entries.is_empty() {
        None
    } else {
        sandbox.get().ok()
    };
    let is_removable = |namespace: &str| {
        sandbox.as_ref().is_some_and(|sandbox| {
            // Real root is the owner of everything.
            sandbox.isolation() == Isolation::Root || sandbox.tree_namespace() == namespace
        })
    };
    let mut trees = Vec::with_capacity(entries.len());
    for entry in entries {
        let disk = match entry.counted {
            Some(disk) => disk,
            None => {
                let disk = counted.next().unwrap_or(0);
                // A store that cannot be written is counted again.
                let _ = store.count_tree(&entry.folder, disk);
                disk
            }
        };
        trees.push(Tree {
            disk: disk + entry.beside,
            is_removable: is_removable(&entry.namespace),
            entry,
        });
    }
    Ok(trees)
}

/// What each of `paths` takes of the disk with all that is in it, as far as that can be read.
fn disk_sizes(paths: &[PathBuf], sandbox: &LazySandbox, cancel: &Cancel) -> Vec<u64> {
    let folders: Vec<_> = paths.iter().filter(|path| path.is_dir()).cloned().collect();
    let measured = (!folders.is_empty())
        .then(|| {
            sandbox
                .get()
                .ok()?
                .task(
                    &Task::Measure {
                        folders: folders.clone(),
                    },
                    cancel,
                )
                .ok()
        })
        .flatten();
    let measured = match measured {
        Some(TaskReport::Measured(measured)) => measured,
        _ => vec![None; folders.len()],
    };
    let measured: BTreeMap<_, _> = folders.iter().zip(measured).collect();
    let size = |path: &PathBuf| match measured.get(path) {
        Some(Some(disk)) => *disk,
        // Without the owner's rights, as much as there is to be seen.
        Some(None) => File::open(path)
            .ok()
            .and_then(|folder| crate::layer::disk_size(folder.as_fd()).ok())
            .unwrap_or(0),
        None => disk_of(path).unwrap_or(0),
    };
    paths.iter().map(size).collect()
}

fn digest_of_name(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?).ok()
}
