//! Failed steps: what the last one of a build has left, so that somebody can look at it.
//!
//! It is kept among the trees, one for each build, and goes when the build succeeds, when another
//! step of it fails, or with what was not used for long. It is no layer: nobody builds on it.

use super::write::{self, Durability};
use super::{Scratch, Store, StoreError};
use crate::digest::{ChainId, DiffId, Digest};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

const RECORD: &str = "failed.json";
const RECORD_LIMIT: u64 = 1024 * 1024;

/// A step that has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStep {
    /// The build's name.
    pub build: String,
    /// The step's name, with a number that tells it from others of that name.
    pub step: String,
    /// The layers that it ran on, lowest first.
    pub layers: Vec<DiffId>,
    /// Why it failed.
    pub reason: String,
    /// When, as in RFC 3339.
    pub at: String,
}

impl Store {
    /// Keeps what a failed step has left in the `fs` of a scratch folder; gives what was kept of the
    /// build before, for the caller to remove.
    pub fn keep_failed(
        &self,
        scratch: Scratch,
        namespace: &str,
        step: &FailedStep,
    ) -> Result<Option<Scratch>, StoreError> {
        let folder = self.failed_folder(namespace, &step.build)?;
        let record = serde_json::to_vec(step)
            .map_err(|error| StoreError::io("write", &folder, error.into()))?;
        let place = scratch.path().join(RECORD);
        write::write_atomically(&self.folder("tmp"), &place, &record, Durability::Lazy)?;
        self.mark_whole(scratch.path())?;
        let older = self.forget_failed(namespace, &step.build)?;
        let failed = |source| StoreError::io("keep the failed step in", &folder, source);
        fs::create_dir_all(self.folder("trees").join(namespace)).map_err(failed)?;
        fs::rename(scratch.path(), &folder).map_err(failed)?;
        Ok(older)
    }

    /// What the last failed step of `build` has left: an overlay's upper, and what is known of it.
    pub fn failed_step(
        &self,
        namespace: &str,
        build: &str,
    ) -> Result<Option<(PathBuf, FailedStep)>, StoreError> {
        let folder = self.failed_folder(namespace, build)?;
        if !self.is_whole(&folder)? {
            return Ok(None);
        }
        let record = match write::read_limited(&folder.join(RECORD), RECORD_LIMIT) {
            Ok(record) => record,
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // What is damaged is as good as nothing.
        let record = serde_json::from_slice::<FailedStep>(&record).ok();
        let record = record.filter(|record| record.build == build);
        Ok(record.map(|record| (folder.join("fs"), record)))
    }

    /// Gives up what is kept of a failed step of `build`, for the caller to remove.
    pub fn forget_failed(
        &self,
        namespace: &str,
        build: &str,
    ) -> Result<Option<Scratch>, StoreError> {
        let folder = self.failed_folder(namespace, build)?;
        if !folder.exists() {
            return Ok(None);
        }
        match self.bury_tree(&folder) {
            Ok(scratch) => Ok(Some(scratch)),
            // Another run of the same build was faster.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// No layer has this name: it is the digest of a text that is no pair of digests.
    fn failed_folder(&self, namespace: &str, build: &str) -> Result<PathBuf, StoreError> {
        let name = ChainId(Digest::of(format!("failed step of {build}")));
        self.tree_folder(namespace, &name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(build: &str, reason: &str) -> FailedStep {
        FailedStep {
            build: build.to_owned(),
            step: "shell#1".to_owned(),
            layers: vec![DiffId(Digest::of("layer"))],
            reason: reason.to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn the_last_failure_of_each_build_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let scratch = |text: &str| {
            let scratch = store.scratch().unwrap();
            fs::create_dir(scratch.path().join("fs")).unwrap();
            fs::write(scratch.path().join("fs/file"), text).unwrap();
            scratch
        };
        assert_eq!(store.failed_step("root", "a").unwrap(), None);
        let kept = store.keep_failed(scratch("1"), "root", &step("a", "first"));
        assert!(kept.unwrap().is_none());
        let older = store.keep_failed(scratch("2"), "root", &step("a", "second"));
        assert!(older.unwrap().is_some());
        store
            .keep_failed(scratch("3"), "root", &step("b", "other"))
            .unwrap();
        let (path, found) = store.failed_step("root", "a").unwrap().unwrap();
        assert_eq!(found, step("a", "second"));
        assert_eq!(fs::read(path.join("file")).unwrap(), b"2");
        assert_eq!(store.failed_step("ids-1", "a").unwrap(), None);
        assert_eq!(store.trees().unwrap().len(), 2);
        assert!(store.forget_failed("root", "a").unwrap().is_some());
        assert!(store.forget_failed("root", "a").unwrap().is_none());
        assert!(store.failed_step("root", "b").unwrap().is_some());
        let left = fs::read_dir(folder.path().join("tmp")).unwrap().count();
        assert_eq!(left, 0);
    }
}
