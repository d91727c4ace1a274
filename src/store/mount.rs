//! Caches of mounts: folders that steps fill for each other, below `mounts/NAMESPACE/HEX/fs`.
//!
//! Beside `fs`, whose files belong to a mapping of ids as those of trees do, the file `id` holds the
//! name by which steps ask for it. `fs` is made by the first step that mounts it.

use super::{Scratch, Store, StoreError, inventory, write};
use crate::digest::Digest;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file with the name by which steps ask for it.
const ID: &str = "id";
/// The longest such name that is read back.
const ID_LIMIT: u64 = 64 * 1024;

impl Store {
    /// The folder of the cache that steps know as `id`, which is made if need be; notes its use.
    pub fn mount_cache(
        &self,
        namespace: &str,
        id: &str,
        now: SystemTime,
    ) -> Result<PathBuf, StoreError> {
        self.check_namespace(namespace)?;
        let folder = self
            .folder("mounts")
            .join(namespace)
            .join(Digest::of(id).hex());
        fs::create_dir_all(&folder)
            .map_err(|source| StoreError::io("make the cache", &folder, source))?;
        let name = folder.join(ID);
        if !name.exists() {
            let tmp = self.folder("tmp");
            write::write_atomically(&tmp, &name, id.as_bytes(), write::Durability::Lazy)?;
        }
        self.use_tree(&folder.join("fs"), now);
        inventory::forget_count(&folder);
        Ok(folder)
    }

    /// Whether there is a cache that steps know as `id`, with something in it.
    pub fn has_mount_cache(&self, namespace: &str, id: &str) -> Result<bool, StoreError> {
        self.check_namespace(namespace)?;
        let folder = self.folder("mounts").join(namespace);
        Ok(folder.join(Digest::of(id).hex()).join("fs").exists())
    }

    /// Makes the `fs` of a scratch folder the content of the cache that steps know as `id`, unless
    /// it has one by now.
    pub fn adopt_mount_cache(
        &self,
        scratch: Scratch,
        namespace: &str,
        id: &str,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        let folder = self.mount_cache(namespace, id, now)?;
        let content = folder.join("fs");
        match fs::rename(scratch.path().join("fs"), &content) {
            Err(error) if !content.exists() => {
                Err(StoreError::io("make the cache", &content, error))
            }
            // Somebody else was faster; the next sweep finds ours.
            _ => Ok(()),
        }
    }

    /// The name by which steps ask for the cache in `folder`; none if nobody has noted it.
    pub fn mount_cache_id(&self, folder: &Path) -> Option<String> {
        let id = write::read_limited(&folder.join(ID), ID_LIMIT).ok()?;
        String::from_utf8(id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_one_folder_for_each_id_and_mapping() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let now = SystemTime::now();
        let of = |namespace: &str, id: &str| store.mount_cache(namespace, id, now).unwrap();
        let first = of("root", "/var/cache/apt");
        assert_eq!(of("root", "/var/cache/apt"), first);
        assert_ne!(of("root", "other"), first);
        assert_ne!(of("single-7", "/var/cache/apt"), first);
        assert_eq!(store.mount_cache_id(&first).unwrap(), "/var/cache/apt");
        assert!(store.mount_cache("../x", "a", now).is_err());
        assert_eq!(store.mount_caches().unwrap().len(), 3);
    }
}
