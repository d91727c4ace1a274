//! Unpacking: several layers at once, each while the next ones are still being fetched.
//!
//! A tree depends on those below it in two ways only: a folder that its layer does not list, and a
//! hard link to a file that another layer has. Both are rare, so a layer is unpacked alone first,
//! and again on top of the others if it turns out to need them. The root folder, which most layers
//! do not list, takes over the metadata of the one below.

use super::event::{Event, Level};
use super::{BuildError, Environment, trees};
use crate::digest::ChainId;
use crate::registry::fetch;
use crate::sandbox::{Extracted, Task, TaskReport};
use crate::store::{LayerDescriptor, LockGuard, Scratch};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many layers are fetched at once.
const FETCHES: usize = 4;

/// A layer that has no tree yet.
pub struct Missing {
    /// Its place in the chain.
    pub index: usize,
    /// Its blob.
    pub layer: LayerDescriptor,
    /// The name of its tree.
    pub name: ChainId,
}

/// Makes the missing trees, and gives all of them, lowest first; `known` are those that there are.
pub fn trees(
    environment: &Environment,
    namespace: &str,
    known: Vec<Option<PathBuf>>,
    missing: &[Missing],
) -> Result<Vec<PathBuf>, BuildError> {
    say_what_is_fetched(environment, missing)?;
    let mut fetched = Vec::with_capacity(missing.len());
    let mut unpacked = Vec::with_capacity(missing.len());
    let mut fetches = Vec::with_capacity(missing.len());
    let mut unpackings = Vec::with_capacity(missing.len());
    for one in missing {
        let (sender, receiver) = channel();
        fetches.push((one, sender));
        fetched.push(receiver);
        let (sender, receiver) = channel();
        unpackings.push((one, sender));
        unpacked.push(receiver);
    }
    let unpackings: Vec<_> = unpackings.into_iter().zip(fetched).collect();
    let workers = environment.threads.clamp(1, missing.len().max(1));
    let fetches = Mutex::new(fetches.into_iter());
    let unpackings = Mutex::new(unpackings.into_iter());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..FETCHES.min(missing.len()) {
            scope.spawn(|| {
                while let Some((one, done)) = next(&fetches, &is_over) {
                    fetch_one(environment, one, &done);
                }
            });
        }
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(((one, done), fetched)) = next(&unpackings, &is_over) {
                    // Nobody waits any more after an error below.
                    let _ = done.send(unpack_alone(environment, namespace, one, &fetched));
                }
            });
        }
        let trees = finish(environment, namespace, known, missing, &unpacked);
        // After an error, nothing new is begun.
        is_over.store(true, Ordering::Relaxed);
        trees
    })
}

/// Takes the next piece of work, the lowest layer first. Once it is all over, what is left is
/// dropped: whoever waits for some of it is to learn that it never comes.
fn next<T>(work: &Mutex<impl Iterator<Item = T>>, is_over: &AtomicBool) -> Option<T> {
    let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
    if is_over.load(Ordering::Relaxed) {
        work.by_ref().for_each(drop);
    }
    work.next()
}

fn say_what_is_fetched(environment: &Environment, missing: &[Missing]) -> Result<(), BuildError> {
    let mut count = 0;
    let mut bytes = 0;
    let mut origin = None;
    for one in missing {
        if !environment
            .store
            .has_blob(&one.layer.digest, one.layer.size)?
        {
            count += 1;
            bytes += one.layer.size;
            let origins = environment.store.origins(&one.layer.digest)?;
            origin = origin.or(origins.into_iter().next());
        }
    }
    if let Some(origin) = origin {
        let layers = if count == 1 { "layer" } else { "layers" };
        let size = crate::format::bytes(bytes);
        environment.emit(Event::Notice {
            build: None,
            level: Level::Info,
            text: format!("pulling {count} {layers} ({size}) from {origin}"),
        });
    }
    Ok(())
}

fn fetch_one(environment: &Environment, one: &Missing, done: &Sender<Result<(), BuildError>>) {
    let store = &environment.store;
    let result = match store.has_blob(&one.layer.digest, one.layer.size) {
        Ok(true) => Ok(()),
        Ok(false) => {
            fetch::one(&environment.registries, store, &one.layer, &|_| {}).map_err(|source| {
                BuildError::Fetch {
                    digest: one.layer.digest,
                    source,
                }
            })
        }
        Err(error) => Err(error.into()),
    };
    // Nobody waits any more after an error below.
    let _ = done.send(result);
}

/// A tree, as far as it could be made without those below.
enum Unpacked {
    /// Another process was first.
    Existing(PathBuf),
    /// It is in a scratch folder, and its name is locked.
    Fresh {
        scratch: Scratch,
        extracted: Extracted,
        lock: LockGuard,
    },
    /// It cannot be made without those below.
    Dependent { lock: LockGuard },
}

fn unpack_alone(
    environment: &Environment,
    namespace: &str,
    one: &Missing,
    fetched: &Receiver<Result<(), BuildError>>,
) -> Result<Unpacked, BuildError> {
    fetched
        .recv()
        .unwrap_or(Err(BuildError::Internal("a thread that fetches panicked")))?;
    let lock_name = format!("{namespace}-{}", one.name.0.hex());
    let lock = trees::lock(environment, "tree", &lock_name, || {})?;
    if let Some(tree) = environment.store.tree(namespace, &one.name)? {
        return Ok(Unpacked::Existing(tree));
    }
    match extract(environment, one, Vec::new()) {
        Ok((scratch, extracted)) if one.index > 0 && extracted.needs_below => {
            trees::discard(environment, vec![scratch]);
            Ok(Unpacked::Dependent { lock })
        }
        Ok((scratch, extracted)) => Ok(Unpacked::Fresh {
            scratch,
            extracted,
            lock,
        }),
        // A link to a file below cannot be made alone; what is really wrong fails again.
        Err(BuildError::Unpack { .. }) if one.index > 0 && !environment.cancel.is_cancelled() => {
            Ok(Unpacked::Dependent { lock })
        }
        Err(error) => Err(error),
    }
}

/// Unpacks a layer into a scratch folder, on top of the trees `lowers`.
fn extract(
    environment: &Environment,
    one: &Missing,
    lowers: Vec<PathBuf>,
) -> Result<(Scratch, Extracted), BuildError> {
    let store = &environment.store;
    let scratch = store.scratch()?;
    let root = scratch.path().join("fs");
    std::fs::create_dir(&root).map_err(BuildError::file("create", &root))?;
    let task = Task::Extract {
        archive: store.blob_path(&one.layer.digest),
        expected: Some(one.layer.diff_id),
        into: root,
        lowers,
        whiteouts: true,
        epoch: 0,
    };
    match environment.sandbox.get()?.task(&task, &environment.cancel) {
        Ok(TaskReport::Extracted(extracted)) => Ok((scratch, extracted)),
        Ok(other) => Err(other.unexpected("extract").into()),
        Err(source) => {
            trees::discard(environment, vec![scratch]);
            Err(BuildError::Unpack {
                digest: one.layer.digest,
                source,
            })
        }
    }
}

/// Completes the trees from the lowest to the topmost, and brings them into the store.
fn finish(
    environment: &Environment,
    namespace: &str,
    known: Vec<Option<PathBuf>>,
    missing: &[Missing],
    unpacked: &[Receiver<Result<Unpacked, BuildError>>],
) -> Result<Vec<PathBuf>, BuildError> {
    let mut trees: Vec<PathBuf> = Vec::with_capacity(known.len());
    let mut missing = missing.iter().zip(unpacked);
    for tree in known {
        if let Some(tree) = tree {
            trees.push(tree);
            continue;
        }
        let Some((one, unpacked)) = missing.next() else {
            return Err(BuildError::Internal("a layer has neither tree nor blob"));
        };
        let unpacked = unpacked
            .recv()
            .unwrap_or(Err(BuildError::Internal("a thread that unpacks panicked")))?;
        let (scratch, _lock) = match unpacked {
            Unpacked::Existing(tree) => {
                trees.push(tree);
                continue;
            }
            Unpacked::Fresh {
                scratch,
                extracted,
                lock,
            } => {
                if let (true, Some(below)) = (extracted.implies_root, trees.last()) {
                    inherit_root(environment, scratch.path(), below)?;
                }
                (scratch, lock)
            }
            Unpacked::Dependent { lock } => {
                let (scratch, _) = extract(environment, one, trees.clone())?;
                (scratch, lock)
            }
        };
        trees.push(trees::commit(environment, scratch, namespace, &one.name)?);
    }
    Ok(trees)
}

fn inherit_root(environment: &Environment, scratch: &Path, below: &Path) -> Result<(), BuildError> {
    let task = Task::InheritRoot {
        tree: scratch.join("fs"),
        below: below.to_owned(),
    };
    match environment
        .sandbox
        .get()?
        .task(&task, &environment.cancel)?
    {
        TaskReport::Done => Ok(()),
        other => Err(other.unexpected("inherit").into()),
    }
}
