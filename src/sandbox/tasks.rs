//! Tasks: work on trees that runs nothing of an image, done by the owner of their files.

use super::error::Failure;
use super::mounts::{self, CACHE_CONTENT};
use super::protocol::{Extracted, FailureKind, PackedLayer, RootSpec, Secret, Task, TaskReport};
use super::read_ahead;
use crate::decompress::decompress;
use crate::digest::DiffId;
use crate::layer::{self, ExtractOptions};
use crate::mask;
use rustix::fs::{Mode, OFlags, open};
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Does one task; an error is its whole message.
pub fn run(task: Task) -> Result<TaskReport, String> {
    match task {
        Task::Extract {
            archive,
            expected,
            into,
            lowers,
            whiteouts,
            epoch,
        } => {
            extract(&archive, expected, &into, &lowers, whiteouts, epoch).map(TaskReport::Extracted)
        }
        Task::InheritRoot { tree, below } => {
            let tree = folder(&tree)?;
            let below = folder(&below)?;
            layer::inherit_root(tree.as_fd(), below.as_fd()).map_err(whole)?;
            Ok(TaskReport::Done)
        }
        Task::ImportFolder {
            source,
            into,
            epoch,
        } => {
            let source = folder(&source)?;
            let into = folder(&into)?;
            layer::import_folder(source.as_fd(), into.as_fd(), epoch).map_err(whole)?;
            Ok(TaskReport::Done)
        }
        Task::Settle { tree, epoch } => {
            let tree = folder(&tree)?;
            layer::settle(tree.as_fd(), None, epoch).map_err(whole)?;
            Ok(TaskReport::Done)
        }
        Task::Pack {
            tree,
            epoch,
            blob,
            threads,
        } => {
            let tree = folder(&tree)?;
            let file = File::create(&blob)
                .map_err(|error| format!("create {}: {error}", blob.display()))?;
            let packed = layer::pack_tree(tree.as_fd(), epoch, file, threads).map_err(whole)?;
            Ok(TaskReport::Packed(PackedLayer {
                diff_id: packed.diff_id,
                digest: packed.digest,
                size: packed.size,
                tar_size: packed.tar.size,
            }))
        }
        Task::Archive {
            lowers,
            epoch,
            archive,
        } => {
            write_archive(&lowers, epoch, &archive)?;
            Ok(TaskReport::Done)
        }
        Task::Remove { paths } => {
            let mut failure = None;
            for path in paths {
                if let Err(error) = remove(&path) {
                    failure = failure.or(Some(error));
                }
            }
            failure.map_or(Ok(TaskReport::Done), Err)
        }
        Task::Measure { folders } => {
            let measure = |path: &PathBuf| {
                let folder = folder(path).ok()?;
                layer::disk_size(folder.as_fd()).ok()
            };
            Ok(TaskReport::Measured(folders.iter().map(measure).collect()))
        }
    }
}

/// Turns the upper of a step over `lowers` into a clean tree; gives its diffID, none if nothing is
/// left, and the size of its tar.
pub(super) fn settle_step(
    root: &RootSpec,
    lowers: &[PathBuf],
    epoch: i64,
) -> Result<(Option<DiffId>, u64), Failure> {
    let work = |text: String| (FailureKind::Work, text);
    let upper = folder(&root.scratch.join("fs")).map_err(work)?;
    let below = merged(lowers).map_err(work)?;
    let settled = layer::settle(upper.as_fd(), below.as_ref().map(AsFd::as_fd), epoch)
        .map_err(|error| work(whole(error)))?;
    if settled.is_empty {
        return Ok((None, 0));
    }
    search(&root.scratch.join("fs"), &root.secrets)?;
    let (diff_id, summary) =
        layer::hash_tree(upper.as_fd(), epoch).map_err(|error| work(whole(error)))?;
    Ok((Some(diff_id), summary.size))
}

/// Fails if a tree holds one of the secrets, in any of the forms that are looked for.
pub(super) fn search(tree: &Path, secrets: &[Secret]) -> Result<(), Failure> {
    match find(tree, secrets).map_err(|text| (FailureKind::Work, text))? {
        Some(found) => Err((FailureKind::Secret, format!("{found} of the layer"))),
        None => Ok(()),
    }
}

/// Says which secrets the caches of a root hold, and what comes of that.
pub(super) fn search_caches(root: &RootSpec) -> Vec<String> {
    let mut notes = Vec::new();
    for cache in &root.caches {
        let tree = cache.folder.join(CACHE_CONTENT);
        if !tree.is_dir() {
            continue;
        }
        let name = &cache.name;
        match find(&tree, &root.secrets) {
            Ok(None) => {}
            Ok(Some(found)) => notes.push(format!(
                "{found} of the cache {name:?}: it stays on this disk, other steps can read it, and `hardtack cache export --mounts` takes it along"
            )),
            // Another step may be changing it.
            Err(text) => notes.push(format!(
                "the cache {name:?} could not be searched for secrets: {text}"
            )),
        }
    }
    notes
}

/// Which secret is where in a tree, in words; none if there is none.
fn find(tree: &Path, secrets: &[Secret]) -> Result<Option<String>, String> {
    let forms = secrets.iter().flat_map(|secret| {
        let forms = mask::forms(secret.bytes.as_bytes()).into_iter();
        forms.map(|form| (secret.name.as_str(), form))
    });
    let (names, forms): (Vec<&str>, Vec<Vec<u8>>) = forms.unzip();
    let tree = folder(tree)?;
    let found = layer::search(tree.as_fd(), &forms).map_err(whole)?;
    Ok(found.map(|found| {
        let name = names.get(found.pattern).copied().unwrap_or_default();
        format!("the secret {name} is in {} {}", found.place, found.path)
    }))
}

/// Says which secrets are too short to be looked for.
pub(super) fn unsearched(secrets: &[Secret]) -> Vec<String> {
    let short = secrets
        .iter()
        .filter(|secret| mask::forms(secret.bytes.as_bytes()).is_empty());
    short
        .map(|secret| {
            format!(
                "the secret {} is shorter than {} bytes: no layer is searched for it",
                secret.name,
                mask::SHORTEST_SOUGHT
            )
        })
        .collect()
}

/// Writes what several trees show as one into a tar.
fn write_archive(lowers: &[PathBuf], epoch: i64, archive: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("write {}: {error}", archive.display());
    let file = File::options().write(true).truncate(true).open(archive);
    let mut file = BufWriter::with_capacity(256 * 1024, file.map_err(failed)?);
    match merged(lowers)? {
        Some(tree) => {
            layer::write_tree(tree.as_fd(), epoch, &mut file).map_err(whole)?;
        }
        // A tar of nothing is its end alone.
        None => file.write_all(&[0; 1024]).map_err(failed)?,
    }
    file.into_inner()
        .map_err(|error| failed(error.into_error()))?
        .sync_data()
        .map_err(failed)
}

/// Removes the members of a folder.
pub fn empty(path: &Path) -> Result<(), String> {
    let entries =
        fs::read_dir(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    for entry in entries.flatten() {
        remove(&entry.path())?;
    }
    Ok(())
}

/// The view of several trees as one; none for no tree.
fn merged(lowers: &[PathBuf]) -> Result<Option<OwnedFd>, String> {
    match lowers {
        [] => Ok(None),
        [only] => folder(only).map(Some),
        several => {
            let mount = mounts::read_only(several)?;
            // A detached mount is walked like any folder, once it is opened for reading.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(&mount, ".", flags, Mode::empty())
                .map(Some)
                .map_err(|error| format!("open the layers below: {error}"))
        }
    }
}

fn extract(
    archive: &Path,
    expected: Option<DiffId>,
    into: &Path,
    lowers: &[PathBuf],
    whiteouts: bool,
    epoch: i64,
) -> Result<Extracted, String> {
    let name = archive.display();
    let file = File::open(archive).map_err(|error| format!("open {name}: {error}"))?;
    let (stream, _) = decompress(file).map_err(|error| format!("read {name}: {error}"))?;
    let into = folder(into)?;
    let below: Vec<OwnedFd> = lowers
        .iter()
        .rev()
        .map(|lower| folder(lower))
        .collect::<Result<_, _>>()?;
    let below: Vec<_> = below.iter().map(AsFd::as_fd).collect();
    let options = if whiteouts {
        ExtractOptions::layer(epoch)
    } else {
        ExtractOptions::archive(epoch)
    };
    let (extracted, diff_id) = read_ahead::hashed(stream, |pieces| {
        layer::extract(pieces, into.as_fd(), &below, &options)
    });
    let extracted = extracted.map_err(|error| format!("unpack {name}: {}", whole(error)))?;
    if let Some(expected) = expected.filter(|expected| *expected != diff_id) {
        return Err(format!(
            "unpack {name}: its diffID is {diff_id}, and should be {expected}"
        ));
    }
    Ok(Extracted {
        diff_id,
        entries: extracted.entries,
        newest_mtime: extracted.newest.unwrap_or(0),
        implies_root: extracted.implies_root,
        needs_below: extracted.needs_below,
    })
}

/// Removes a file or folder with all that is in it.
pub fn remove(path: &Path) -> Result<(), String> {
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return Err(format!("{} cannot be removed", path.display()));
    };
    let parent = folder(parent)?;
    layer::remove_tree(parent.as_fd(), OsStr::new(name))
        .map_err(|error| format!("remove {}: {}", path.display(), whole(error)))
}

pub(super) fn folder(path: &Path) -> Result<OwnedFd, String> {
    open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("open {}: {error}", path.display()))
}

/// An error and its causes in one line.
pub(super) fn whole(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
