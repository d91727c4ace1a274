//! Pruning: what of a store goes, by age and size, and how it goes.
//!
//! | what | goes |
//! |---|---|
//! | images that `index.json` names, with all that they lead to | never |
//! | damaged records, records whose layer is lost, trees that no longer count, what killed runs left | always |
//! | blobs that neither an image nor a kept record leads to, and what is noted of them | always; with an age only when they are older |
//! | records, trees, caches of mounts, notes | by age, or all |
//! | the least recently used records, trees and caches of mounts | until the rest fits into a size |
//!
//! Deciding is apart from removing: `du` and `--dry-run` only decide. Removing happens while nobody
//! else has the store open (see [`crate::store::occupancy`]). Records go before the blobs that they
//! name, and trees are renamed into `tmp/` first, so a prune that is killed leaves a store that
//! works: what it did not get to is still there, or is swept by the next build.

use super::inventory::{Inventory, Tree};
use super::reach::Reach;
use crate::digest::Digest;
use crate::sandbox::{Cancel, LazySandbox, Task};
use crate::store::inventory::{BlobEntry, StepEntry};
use crate::store::{Scratch, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What is asked for. Without anything, only what is of no use to anybody goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whatever has not been used for so long.
    pub older_than: Option<Duration>,
    /// The least recently used things, until the store takes no more bytes of disk than this.
    pub keep_size: Option<u64>,
    /// Everything but images.
    pub all: bool,
}

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Files of records.
    pub steps: Vec<PathBuf>,
    /// Blobs.
    pub blobs: BTreeSet<Digest>,
    /// Folders of trees.
    pub trees: BTreeSet<PathBuf>,
    /// Folders of caches of mounts.
    pub mounts: BTreeSet<PathBuf>,
    /// Files of history and origins.
    pub notes: Vec<PathBuf>,
    /// What all of it takes of the disk, in bytes.
    pub disk: u64,
    /// What is left then, in bytes.
    pub left: u64,
}

/// Says what of a store `policy` removes.
pub(super) fn decide(inventory: &Inventory, policy: &Policy, now: SystemTime) -> Removal {
    let mut decision = Decision {
        inventory,
        // A time before the epoch is older than everything.
        oldest: policy
            .older_than
            .map(|age| now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)),
        policy,
        removal: Removal::default(),
        kept: Vec::new(),
    };
    decision.records();
    decision.trees();
    decision.mounts();
    decision.blobs();
    decision.notes();
    if let Some(size) = policy.keep_size {
        decision.shrink(size);
    }
    let mut removal = decision.removal;
    removal.left = inventory.disk().saturating_sub(removal.disk);
    removal
}

struct Decision<'a> {
    inventory: &'a Inventory,
    /// What was used before goes.
    oldest: Option<SystemTime>,
    policy: &'a Policy,
    removal: Removal,
    /// Records that stay so far.
    kept: Vec<&'a StepEntry>,
}

impl<'a> Decision<'a> {
    fn is_old(&self, used: SystemTime) -> bool {
        self.policy.all || self.oldest.is_some_and(|oldest| used < oldest)
    }

    fn records(&mut self) {
        for step in &self.inventory.steps {
            if !self.is_useful(step) || self.is_old(step.file.used) {
                self.removal.steps.push(step.file.path.clone());
                self.removal.disk += step.file.disk;
            } else {
                self.kept.push(step);
            }
        }
    }

    /// Whether a record is whole, and its layer is here or can be had.
    fn is_useful(&self, step: &StepEntry) -> bool {
        let Some(record) = &step.record else {
            return false;
        };
        record.layer.as_ref().is_none_or(|layer| {
            self.inventory.blobs.contains_key(&layer.digest)
                || self.inventory.origins.contains_key(&layer.digest)
        })
    }

    fn trees(&mut self) {
        for tree in &self.inventory.trees {
            if !tree.entry.is_whole || self.is_old(tree.entry.used) {
                self.remove_tree(tree);
            }
        }
    }

    fn mounts(&mut self) {
        for cache in &self.inventory.mounts {
            if self.is_old(cache.entry.used) {
                self.remove_mount(cache);
            }
        }
    }

    fn remove_mount(&mut self, cache: &Tree) {
        if cache.is_removable && self.removal.mounts.insert(cache.entry.folder.clone()) {
            self.removal.disk += cache.disk;
        }
    }

    fn remove_tree(&mut self, tree: &Tree) {
        if tree.is_removable && self.removal.trees.insert(tree.entry.folder.clone()) {
            self.removal.disk += tree.disk;
        }
    }

    /// Blobs that nothing leads to. With an age, a younger document stays, and what it leads to:
    /// it is that of a base, most likely.
    fn blobs(&mut self) {
        let reached = self.reached();
        for (digest, blob) in &self.inventory.blobs {
            if !reached.contains(digest) && !self.is_young(blob.file.used) {
                self.removal.blobs.insert(*digest);
                self.removal.disk += blob.file.disk;
            }
        }
    }

    /// Whether something that is of no use is too young to go.
    fn is_young(&self, used: SystemTime) -> bool {
        !self.policy.all && self.oldest.is_some_and(|oldest| used >= oldest)
    }

    fn reached(&self) -> Reach {
        let mut reached = self.inventory.named.clone();
        let records = self.kept.iter().filter_map(|step| step.record.as_ref());
        let layers = records.filter_map(|record| record.layer.as_ref());
        reached.layers.extend(layers.map(|layer| layer.digest));
        for (digest, below) in &self.inventory.loose_documents {
            let is_kept = |blob: &BlobEntry| self.is_young(blob.file.used);
            if self.inventory.blobs.get(digest).is_some_and(is_kept) {
                reached.documents.extend(&below.documents);
                reached.layers.extend(&below.layers);
            }
        }
        reached
    }

    fn notes(&mut self) {
        for file in &self.inventory.history {
            if self.is_old(file.used) {
                self.removal.notes.push(file.path.clone());
                self.removal.disk += file.disk;
            }
        }
        let reached = self.reached();
        for (digest, file) in &self.inventory.origins {
            if !reached.contains(digest) && !self.is_young(file.used) {
                self.removal.notes.push(file.path.clone());
                self.removal.disk += file.disk;
            }
        }
    }

    /// Removes what was not used for the longest time, until the rest takes `size` bytes. What
    /// gives nothing back stays: a record whose layer an image needs as well.
    fn shrink(&mut self, size: u64) {
        let mut left = self.inventory.disk().saturating_sub(self.removal.disk);
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        let trees = self.inventory.trees.iter();
        candidates.extend(
            trees
                .filter(|tree| {
                    tree.is_removable && !self.removal.trees.contains(&tree.entry.folder)
                })
                .map(|tree| Candidate {
                    used: tree.entry.used,
                    disk: tree.disk,
                    what: What::Tree(tree),
                }),
        );
        let mounts = self.inventory.mounts.iter();
        candidates.extend(
            mounts
                .filter(|cache| {
                    cache.is_removable && !self.removal.mounts.contains(&cache.entry.folder)
                })
                .map(|cache| Candidate {
                    used: cache.entry.used,
                    disk: cache.disk,
                    what: What::Mount(cache),
                }),
        );
        candidates.extend(self.layers());
        let inventory = self.inventory;
        let reached = self.reached();
        candidates.extend(
            inventory
                .blobs
                .values()
                .filter(|blob| {
                    !self.removal.blobs.contains(&blob.digest) && !reached.contains(&blob.digest)
                })
                .map(|blob| Candidate {
                    used: blob.file.used,
                    disk: blob.file.disk,
                    what: What::Layer(blob.digest, Vec::new()),
                }),
        );
        candidates.sort_by_key(|candidate| candidate.used);
        for candidate in candidates {
            if left <= size {
                break;
            }
            left = left.saturating_sub(candidate.disk);
            match candidate.what {
                What::Tree(tree) => self.remove_tree(tree),
                What::Mount(cache) => self.remove_mount(cache),
                What::Layer(digest, records) => {
                    let paths = records.iter().map(|step| step.file.path.clone());
                    self.removal.steps.extend(paths);
                    self.removal.blobs.insert(digest);
                    self.removal.disk += candidate.disk;
                }
            }
        }
    }

    /// The stored layers that only records lead to, each with its records.
    fn layers(&self) -> Vec<Candidate<'a>> {
        let mut groups: BTreeMap<Digest, Vec<&'a StepEntry>> = BTreeMap::new();
        for step in &self.kept {
            if let Some(layer) = step.record.as_ref().and_then(|it| it.layer.as_ref()) {
                groups.entry(layer.digest).or_default().push(step);
            }
        }
        let mut candidates = Vec::new();
        for (digest, records) in groups {
            let blob = self.inventory.blobs.get(&digest);
            let Some(blob) = blob.filter(|_| !self.inventory.named.contains(&digest)) else {
                continue;
            };
            let used = records.iter().map(|step| step.file.used).max();
            candidates.push(Candidate {
                used: used.unwrap_or(blob.file.used),
                disk: blob.file.disk + records.iter().map(|step| step.file.disk).sum::<u64>(),
                what: What::Layer(digest, records),
            });
        }
        candidates
    }
}

/// Something that may go to make room.
struct Candidate<'a> {
    used: SystemTime,
    disk: u64,
    what: What<'a>,
}

enum What<'a> {
    Tree(&'a Tree),
    Mount(&'a Tree),
    /// A layer, with the records that lead to it.
    Layer(Digest, Vec<&'a StepEntry>),
}

/// Removes what `policy` says. `waiting` is called while others have the store open, again and
/// again until it breaks.
pub fn prune(
    store: &Store,
    sandbox: &LazySandbox,
    policy: &Policy,
    now: SystemTime,
    waiting: impl FnMut() -> ControlFlow<()>,
) -> Result<Removal, StoreError> {
    // Counting trees takes its time, and what is counted is remembered.
    Inventory::take(store, sandbox, &Cancel::default())?;
    let alone = store.alone(waiting)?;
    let inventory = Inventory::take(store, sandbox, &Cancel::default())?;
    let removal = inventory.decide(policy, now);
    let graves = remove(store, &removal)?;
    let dead = store.sweep()?;
    drop(alone);
    discard(sandbox, graves.into_iter().chain(dead).collect());
    Ok(removal)
}

/// Removes what was not used for the longest time if the store takes more than `size` bytes of disk
/// and nobody else has it open; else nothing.
pub fn limit(
    store: &Store,
    sandbox: &LazySandbox,
    size: u64,
    now: SystemTime,
) -> Result<(), StoreError> {
    if Inventory::take(store, sandbox, &Cancel::default())?.disk() <= size {
        return Ok(());
    }
    let policy = Policy {
        keep_size: Some(size),
        ..Policy::default()
    };
    match prune(store, sandbox, &policy, now, || ControlFlow::Break(())) {
        // Whoever has it open will do it, or the next run.
        Err(StoreError::LockAbandoned { .. }) => Ok(()),
        result => result.map(drop),
    }
}

/// Removes all but the trees, which are renamed into scratch folders.
fn remove(store: &Store, removal: &Removal) -> Result<Vec<Scratch>, StoreError> {
    for path in removal.steps.iter().chain(&removal.notes) {
        crate::store::write::remove_file(path)?;
    }
    for digest in &removal.blobs {
        store.remove_blob(digest)?;
    }
    let trees = removal.trees.iter().chain(&removal.mounts);
    trees.map(|folder| store.bury_tree(folder)).collect()
}

/// Empties folders as the owner of what is in them, then drops them. What cannot be removed now
/// is swept by a later build.
fn discard(sandbox: &LazySandbox, folders: Vec<Scratch>) {
    if folders.is_empty() {
        return;
    }
    if let Ok(sandbox) = sandbox.get() {
        let paths = folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder.path()).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .collect();
        let _ = sandbox.task(&Task::Remove { paths }, &Cancel::default());
    }
}

#[cfg(test)]
mod tests;
