//! Trees: unpacked stacks of layers, by chainID, below `trees/NAMESPACE/HEX/fs`.
//!
//! A *namespace* names the mapping of user ids that the files were unpacked with: the same layers
//! look different on disk to root and to each user, and are never shared between mappings.
//!
//! Trees are not forced to disk file by file, which would cost seconds. Beside `fs` stands a file
//! `boot` that names the run of the kernel in which the tree was made. After a power cut or a
//! reboot such a tree no longer counts, unless [`Store::settle`] has marked it as `settled`.

use super::{Scratch, Store, StoreError, write};
use crate::digest::ChainId;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const BOOT: &str = "boot";
const SETTLED: &str = "settled";

/// What became of a tree that was to be committed.
#[derive(Debug)]
pub enum TreeCommit {
    /// It is in the store now.
    Committed {
        /// Its `fs` folder.
        path: PathBuf,
    },
    /// Another build committed the same tree first; ours is for the caller to remove.
    Existing {
        /// The `fs` folder of the other one.
        path: PathBuf,
        /// Ours.
        leftover: Scratch,
    },
}

impl TreeCommit {
    /// The `fs` folder in the store.
    pub fn path(&self) -> &Path {
        match self {
            Self::Committed { path } | Self::Existing { path, .. } => path,
        }
    }
}

impl Store {
    /// The `fs` folder of the tree `chain`; none if it is not in the store, or not for certain
    /// whole.
    pub fn tree(&self, namespace: &str, chain: &ChainId) -> Result<Option<PathBuf>, StoreError> {
        let folder = self.tree_folder(namespace, chain)?;
        Ok(self.is_whole(&folder)?.then(|| folder.join("fs")))
    }

    /// Moves a scratch folder, with the finished tree in its `fs`, into the store.
    pub fn commit_tree(
        &self,
        scratch: Scratch,
        namespace: &str,
        chain: &ChainId,
    ) -> Result<TreeCommit, StoreError> {
        let folder = self.tree_folder(namespace, chain)?;
        let failed = |source| StoreError::io("store the tree", &folder, source);
        let fs_folder = fs::symlink_metadata(scratch.path().join("fs")).map_err(failed)?;
        if !fs_folder.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        self.mark_whole(scratch.path())?;
        fs::create_dir_all(self.folder("trees").join(namespace)).map_err(failed)?;
        loop {
            match fs::rename(scratch.path(), &folder) {
                Ok(()) => break,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                    ) =>
                {
                    if self.is_whole(&folder)? {
                        return Ok(TreeCommit::Existing {
                            path: folder.join("fs"),
                            leftover: scratch,
                        });
                    }
                    self.retire(&folder)?;
                }
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(TreeCommit::Committed {
            path: folder.join("fs"),
        })
    }

    /// Makes trees that were made before `before`, but since the last start of the machine, outlive
    /// the next one: forces everything in the store to disk. That is quick for trees that the
    /// kernel has written out by itself in the meantime, and slow for new ones.
    pub fn settle(&self, before: SystemTime) -> Result<(), StoreError> {
        let trees = self.folder("trees");
        let mut unsettled = Vec::new();
        for namespace in folders_of(&trees)? {
            for folder in folders_of(&namespace)? {
                if folder.join(SETTLED).exists() {
                    continue;
                }
                // One that has just been removed needs nothing.
                let made = fs::metadata(&folder).and_then(|metadata| metadata.modified());
                if made.is_ok_and(|made| made <= before) && self.is_whole(&folder)? {
                    unsettled.push(folder);
                }
            }
        }
        if unsettled.is_empty() {
            return Ok(());
        }
        self.sync()?;
        for folder in unsettled {
            match File::create(folder.join(SETTLED)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("settle the tree", &folder, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Marks a folder as a tree whose files are all there.
    pub(super) fn mark_whole(&self, folder: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("store the tree", folder, source);
        match &self.shared.boot {
            Some(boot) => fs::write(folder.join(BOOT), boot).map_err(failed),
            None => {
                self.sync()?;
                fs::write(folder.join(SETTLED), b"").map_err(failed)
            }
        }
    }

    /// Says whether all files of a tree are certain to be there.
    pub(super) fn is_whole(&self, folder: &Path) -> Result<bool, StoreError> {
        let settled = folder.join(SETTLED);
        match settled.try_exists() {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(source) => return Err(StoreError::io("read", &settled, source)),
        }
        match write::read_limited(&folder.join(BOOT), 1024) {
            Ok(boot) => Ok(self.shared.boot.as_deref().map(str::as_bytes) == Some(&boot[..])),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(StoreError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the tree in `folder` to a scratch folder, which the caller empties in the user
    /// namespace that the files belong to. Nobody else may have the store open.
    pub fn bury_tree(&self, folder: &Path) -> Result<Scratch, StoreError> {
        let scratch = self.scratch()?;
        fs::rename(folder, scratch.path().join("buried"))
            .map_err(|source| StoreError::io("remove the tree", folder, source))?;
        Ok(scratch)
    }

    /// Moves a tree that no longer counts to `tmp/`, where the next sweep finds it dead.
    fn retire(&self, folder: &Path) -> Result<(), StoreError> {
        let name = folder.to_string_lossy();
        // Else the tree that another build has just put in its place might go.
        let _guard = self.lock("retire", &name, || ControlFlow::Continue(()))?;
        if self.is_whole(folder)? {
            return Ok(());
        }
        let place = self.scratch()?;
        let grave = place.path().join("retired");
        match fs::rename(folder, &grave) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("replace the tree", folder, error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        let root = self.root();
        let failed = |source| StoreError::io("write", root, source);
        let folder = File::open(root).map_err(failed)?;
        rustix::fs::syncfs(&folder).map_err(|errno| failed(errno.into()))
    }

    /// Refuses what is no name of a mapping of ids.
    pub(super) fn check_namespace(&self, namespace: &str) -> Result<(), StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if namespace.is_empty() || namespace.len() > 100 || !namespace.bytes().all(allowed) {
            return Err(StoreError::Name {
                kind: "namespace of trees",
                name: namespace.to_owned(),
                rule: "up to 100 letters, digits and hyphens",
            });
        }
        Ok(())
    }

    pub(super) fn tree_folder(
        &self,
        namespace: &str,
        chain: &ChainId,
    ) -> Result<PathBuf, StoreError> {
        self.check_namespace(namespace)?;
        Ok(self.folder("trees").join(namespace).join(chain.0.hex()))
    }
}

/// The kernel's name for its current run, if it tells one.
pub(super) fn current_boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = text.trim();
    (!boot.is_empty()).then(|| boot.to_owned())
}

fn folders_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::io("read", folder, source);
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn far_ahead() -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }
    use crate::digest::{DiffId, Digest};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn chain() -> ChainId {
        ChainId::base(DiffId(Digest::of("layer")))
    }

    fn finished(store: &Store, content: &str) -> Scratch {
        let scratch = store.scratch().unwrap();
        fs::create_dir(scratch.path().join("fs")).unwrap();
        fs::write(scratch.path().join("fs/file"), content).unwrap();
        scratch
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path.join("file")).unwrap()
    }

    #[test]
    fn the_first_to_commit_a_tree_wins() {
        let (_folder, store) = store();
        assert_eq!(store.tree("root", &chain()).unwrap(), None);
        let (first, second) = (finished(&store, "first"), finished(&store, "second"));
        let committed = store.commit_tree(first, "root", &chain()).unwrap();
        assert!(matches!(committed, TreeCommit::Committed { .. }));
        assert_eq!(content(committed.path()), "first");
        let late = store.commit_tree(second, "root", &chain()).unwrap();
        assert_eq!(content(late.path()), "first");
        let TreeCommit::Existing { leftover, .. } = late else {
            panic!("committed twice");
        };
        assert_eq!(content(&leftover.path().join("fs")), "second");
        drop(leftover);
        assert_eq!(store.tree("other", &chain()).unwrap(), None);
        assert_eq!(
            content(&store.tree("root", &chain()).unwrap().unwrap()),
            "first"
        );
        assert_eq!(fs::read_dir(store.folder("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_of_an_earlier_boot_counts_only_if_settled() {
        let (_folder, store) = store();
        store
            .commit_tree(finished(&store, "old"), "root", &chain())
            .unwrap();
        let boot = store.folder("trees/root").join(chain().0.hex()).join(BOOT);
        fs::write(&boot, "another boot").unwrap();
        assert_eq!(store.tree("root", &chain()).unwrap(), None);
        store.settle(far_ahead()).unwrap();
        assert_eq!(
            store.tree("root", &chain()).unwrap(),
            None,
            "settled too late"
        );

        store
            .commit_tree(finished(&store, "new"), "root", &chain())
            .unwrap();
        assert_eq!(
            content(&store.tree("root", &chain()).unwrap().unwrap()),
            "new"
        );
        store.settle(far_ahead()).unwrap();
        fs::write(&boot, "another boot").unwrap();
        assert_eq!(
            content(&store.tree("root", &chain()).unwrap().unwrap()),
            "new"
        );
    }

    #[test]
    fn namespaces_stay_inside_the_store() {
        let (_folder, store) = store();
        for namespace in ["", "..", "a/b", ".", "a.b", &"a".repeat(101)] {
            assert!(store.tree(namespace, &chain()).is_err(), "{namespace}");
        }
    }

    #[test]
    fn a_scratch_without_a_tree_is_refused() {
        let (_folder, store) = store();
        let scratch = store.scratch().unwrap();
        assert!(store.commit_tree(scratch, "root", &chain()).is_err());
    }
}
