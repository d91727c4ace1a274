//! Inventories: what there is in a store, how much of the disk it takes, when it was last used.
//!
//! The *last use* of a thing is the time of a file: a step's record and a tree are touched when a
//! build uses them (at most once an hour, so that what is cached costs no write), a blob has the
//! time at which it came. Nothing here says what may go.

use super::{StepRecord, Store, StoreError, write};
use crate::digest::{Digest, StepKey};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A use is noted when the last noted one is older.
const NOTED_AFTER: Duration = Duration::from_secs(3600);
/// Beside a tree's `fs`: touched when the tree is used.
const USED: &str = "used";
/// Beside a tree's `fs`: how much of the disk that takes, once somebody has counted.
const COUNTED: &str = "disk-bytes";
/// `st_blocks` counts in these, whatever the file system (stat(3type)).
const BLOCK: u64 = 512;

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it is.
    pub path: PathBuf,
    /// How much of the disk it takes, in bytes.
    pub disk: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// A blob of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its file.
    pub file: FileEntry,
}

/// A step's record in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StepEntry {
    /// The record; none if it is damaged.
    pub record: Option<StepRecord>,
    /// Its file.
    pub file: FileEntry,
}

/// A tree of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The mapping of ids that its files belong to.
    pub namespace: String,
    /// Its folder, with `fs` and what is noted beside it.
    pub folder: PathBuf,
    /// How much of the disk `fs` takes, in bytes; none if nobody has counted yet.
    pub counted: Option<u64>,
    /// How much of the disk the folder takes without `fs`.
    pub beside: u64,
    /// When it was last used.
    pub used: SystemTime,
    /// Whether it counts as a tree still (see [`super::tree`]).
    pub is_whole: bool,
}

impl Store {
    /// All blobs, by digest. Files of other names are not ours to know.
    pub fn blobs(&self) -> Result<Vec<BlobEntry>, StoreError> {
        let files = files_of(&self.folder("blobs/sha256"))?.into_iter();
        Ok(files
            .filter_map(|(file, metadata)| {
                Some(BlobEntry {
                    digest: Digest::from_hex(file.path.file_name()?.to_str()?).ok()?,
                    size: metadata.len(),
                    file,
                })
            })
            .collect())
    }

    /// All records of steps, by key; among them those that cannot be used.
    pub fn steps(&self) -> Result<Vec<StepEntry>, StoreError> {
        let mut steps = Vec::new();
        for (file, _) in files_of(&self.folder("steps"))? {
            let record = self.read_step(&file.path)?;
            steps.push(StepEntry { record, file });
        }
        Ok(steps)
    }

    /// All trees, by namespace and name.
    pub fn trees(&self) -> Result<Vec<TreeEntry>, StoreError> {
        let mut trees = Vec::new();
        for namespace in folders_of(&self.folder("trees"))? {
            for folder in folders_of(&namespace)? {
                let name = namespace.file_name().unwrap_or_default();
                trees.push(TreeEntry {
                    namespace: name.to_string_lossy().into_owned(),
                    counted: counted(&folder)?,
                    beside: beside(&folder)?,
                    used: last_use(&folder)?,
                    is_whole: self.is_whole(&folder)?,
                    folder,
                });
            }
        }
        Ok(trees)
    }

    /// All caches of mounts, by namespace and name.
    pub fn mount_caches(&self) -> Result<Vec<TreeEntry>, StoreError> {
        let mut caches = Vec::new();
        for namespace in folders_of(&self.folder("mounts"))? {
            for folder in folders_of(&namespace)? {
                let name = namespace.file_name().unwrap_or_default();
                caches.push(TreeEntry {
                    namespace: name.to_string_lossy().into_owned(),
                    counted: counted(&folder)?,
                    beside: beside(&folder)?,
                    used: last_use(&folder)?,
                    is_whole: true,
                    folder,
                });
            }
        }
        Ok(caches)
    }

    /// The files of `history/` or `origins/`.
    pub fn files(&self, kind: Notes) -> Result<Vec<FileEntry>, StoreError> {
        let files = files_of(&self.folder(kind.folder()))?.into_iter();
        Ok(files.map(|(file, _)| file).collect())
    }

    /// What stands directly in `tmp/`.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>, StoreError> {
        names_of(&self.folder("tmp"))
    }

    /// How much of the disk the store's own files and folders take, without what is in folders
    /// that have an entry of their own.
    pub fn frame(&self) -> Result<u64, StoreError> {
        let mut disk = 0;
        let mut add = |path: &Path| -> Result<(), StoreError> {
            disk += stat(path)?.map_or(0, |metadata| metadata.blocks() * BLOCK);
            Ok(())
        };
        add(self.root())?;
        for path in names_of(self.root())? {
            add(&path)?;
        }
        add(&self.folder("blobs/sha256"))?;
        for kind in ["trees", "mounts"] {
            for namespace in folders_of(&self.folder(kind))? {
                add(&namespace)?;
            }
        }
        Ok(disk)
    }

    /// Notes that a step's record is in use.
    pub fn use_step(&self, key: &StepKey, now: SystemTime) {
        note(&self.step_path(key), now, |path| {
            File::options().append(true).open(path)?.set_modified(now)
        });
    }

    /// Notes that the tree with this `fs` folder is in use.
    pub fn use_tree(&self, fs_folder: &Path, now: SystemTime) {
        if let Some(folder) = fs_folder.parent() {
            note(&folder.join(USED), now, |path| {
                File::create(path)?.set_modified(now)
            });
        }
    }

    /// Remembers how much of the disk the `fs` of a tree takes: that never changes.
    pub fn count_tree(&self, folder: &Path, disk: u64) -> Result<(), StoreError> {
        write::write_atomically(
            &self.folder("tmp"),
            &folder.join(COUNTED),
            disk.to_string().as_bytes(),
            write::Durability::Lazy,
        )
    }
}

/// Small notes beside blobs and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    /// What the keys of steps were made of ([`super::history`]).
    History,
    /// Where blobs can be had ([`super::origin`]).
    Origins,
}

impl Notes {
    fn folder(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Origins => "origins",
        }
    }
}

/// Forgets how much of the disk a folder takes whose content is about to change.
pub(super) fn forget_count(folder: &Path) {
    // Without it there is none, and a store that cannot be written does not change.
    let _ = fs::remove_file(folder.join(COUNTED));
}

/// How much of the disk a file or folder takes by itself, in bytes; nothing if it is gone.
pub fn disk_of(path: &Path) -> Result<u64, StoreError> {
    Ok(stat(path)?.map_or(0, |metadata| metadata.blocks() * BLOCK))
}

/// Touches `path` unless it was touched an hour ago or less. A store that cannot be written keeps
/// its older times.
fn note(path: &Path, now: SystemTime, touch: impl FnOnce(&Path) -> io::Result<()>) {
    let noted = fs::metadata(path).and_then(|metadata| metadata.modified());
    let is_fresh = noted.is_ok_and(|noted| {
        now.duration_since(noted)
            .is_ok_and(|since| since <= NOTED_AFTER)
    });
    if !is_fresh {
        let _ = touch(path);
    }
}

/// What is noted of the size of a tree; none if nothing is, or not in full.
fn counted(folder: &Path) -> Result<Option<u64>, StoreError> {
    match write::read_limited(&folder.join(COUNTED), 32) {
        Ok(text) => Ok(std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok())),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(StoreError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a tree's folder takes without its `fs`.
fn beside(folder: &Path) -> Result<u64, StoreError> {
    let mut disk = disk_of(folder)?;
    for path in names_of(folder)? {
        if path.file_name().is_some_and(|name| name != "fs") {
            disk += disk_of(&path)?;
        }
    }
    Ok(disk)
}

fn last_use(folder: &Path) -> Result<SystemTime, StoreError> {
    let used = match stat(&folder.join(USED))? {
        Some(metadata) => Some(metadata),
        None => stat(folder)?,
    };
    Ok(used.map_or(SystemTime::UNIX_EPOCH, |metadata| modified(&metadata)))
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The regular files of a folder, by name; those that go meanwhile are left out.
fn files_of(folder: &Path) -> Result<Vec<(FileEntry, Metadata)>, StoreError> {
    let mut files = Vec::new();
    for path in names_of(folder)? {
        if let Some(metadata) = stat(&path)?.filter(Metadata::is_file) {
            let file = FileEntry {
                path,
                disk: metadata.blocks() * BLOCK,
                used: modified(&metadata),
            };
            files.push((file, metadata));
        }
    }
    Ok(files)
}

fn folders_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut folders = Vec::new();
    for path in names_of(folder)? {
        if stat(&path)?.is_some_and(|metadata| metadata.is_dir()) {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// What is in a folder, sorted; nothing if it is gone.
fn names_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::io("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn stat(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("read", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ChainId, DiffId};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn ago(now: SystemTime, seconds: u64) -> SystemTime {
        now.checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_use_is_noted_once_an_hour() {
        let (_folder, store) = store();
        let key = StepKey(Digest::of("key"));
        let record = StepRecord {
            key,
            layer: None,
            provisioner: "shell".to_owned(),
            log: String::new(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 0.0,
            epoch: None,
            source: None,
            private: false,
            shared: Vec::new(),
        };
        store.put_step(&record).unwrap();
        let now = SystemTime::now();
        let used = || store.steps().unwrap()[0].file.used;
        store.use_step(&key, ago(now, 7200));
        // The future, as seen from two hours ago: clocks that went back are no reason to keep it.
        assert_eq!(used(), ago(now, 7200));
        store.use_step(&key, ago(now, 3700));
        assert_eq!(used(), ago(now, 7200), "noted less than an hour before");
        store.use_step(&key, now);
        assert_eq!(used(), now);
        assert_eq!(store.steps().unwrap()[0].record, Some(record));
    }

    #[test]
    fn trees_are_listed_with_what_is_noted_of_them() {
        let (_folder, store) = store();
        let scratch = store.scratch().unwrap();
        fs::create_dir(scratch.path().join("fs")).unwrap();
        let chain = ChainId::base(DiffId(Digest::of("layer")));
        let path = store
            .commit_tree(scratch, "root", &chain)
            .unwrap()
            .path()
            .to_owned();
        let listed = store.trees().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].namespace, "root");
        assert!(listed[0].is_whole);
        assert_eq!(listed[0].counted, None);
        store.count_tree(&listed[0].folder, 12_288).unwrap();
        let now = ago(SystemTime::now(), 60);
        store.use_tree(&path, now);
        let listed = store.trees().unwrap();
        assert_eq!((listed[0].counted, listed[0].used), (Some(12_288), now));
        fs::write(listed[0].folder.join(COUNTED), b"").unwrap();
        assert_eq!(store.trees().unwrap()[0].counted, None);
    }

    #[test]
    fn blobs_are_listed_and_other_files_are_not() {
        let (_folder, store) = store();
        let digest = store.put_blob(&[7; 10_000]).unwrap();
        fs::write(store.folder("blobs/sha256/other"), b"x").unwrap();
        let blobs = store.blobs().unwrap();
        assert_eq!(blobs.len(), 1);
        assert_eq!((blobs[0].digest, blobs[0].size), (digest, 10_000));
        assert!(blobs[0].file.disk >= 10_000);
    }
}
