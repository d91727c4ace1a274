//! Searching a tree: whether given bytes are anywhere in it.

use super::attributes::{self, Meaning, Place};
use super::error::{Context, LayerError, Result, TreePath};
use super::folder::{FolderStack, Listed, stat_if_exists};
use super::metadata;
use aho_corasick::AhoCorasick;
use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file or folder.
    pub path: TreePath,
    /// Which part of it, as in "the content of".
    pub place: &'static str,
    /// Which of the patterns.
    pub pattern: usize,
}

/// Finds the first place of a tree that holds one of `patterns`: in a file's content, in a path, in
/// an extended attribute or in the target of a link.
pub fn search(tree: BorrowedFd<'_>, patterns: &[Vec<u8>]) -> Result<Option<Found>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let searcher =
        AhoCorasick::new(patterns).map_err(|error| LayerError::Input(io::Error::other(error)))?;
    let mut stack = FolderStack::new(tree)?;
    if let Some(found) = in_attributes(&searcher, tree, c".", b"")? {
        return Ok(Some(found));
    }
    let mut pending: Vec<std::vec::IntoIter<Listed>> = vec![stack.list()?.into_iter()];
    while let Some(names) = pending.last_mut() {
        let Some(listed) = names.next() else {
            pending.pop();
            stack.pop()?;
            continue;
        };
        let path = stack.path_of(&listed.name);
        if let Some(found) = in_entry(&searcher, stack.current(), &listed.name, &path)? {
            return Ok(Some(found));
        }
        let stat = stat_if_exists(stack.current(), &listed.name).context("read", &path)?;
        if stat.is_some_and(|stat| metadata::is_folder(&stat)) {
            stack.push(&listed.name)?;
            pending.push(stack.list()?.into_iter());
        }
    }
    Ok(None)
}

fn in_entry(
    searcher: &AhoCorasick,
    folder: BorrowedFd<'_>,
    name: &CStr,
    path: &[u8],
) -> Result<Option<Found>> {
    let found = |place, pattern: aho_corasick::PatternID| {
        Some(Found {
            path: TreePath::new(path),
            place,
            pattern: pattern.as_usize(),
        })
    };
    if let Some(hit) = searcher.find(path) {
        // Its own path is not to be shown.
        let above = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        return Ok(Some(Found {
            path: TreePath::new(path.get(..above).unwrap_or_default()),
            place: "a name in",
            pattern: hit.pattern().as_usize(),
        }));
    }
    let Some(stat) = stat_if_exists(folder, name).context("read", path)? else {
        return Ok(None);
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = readlinkat(folder, name, Vec::new()).context("read", path)?;
            if let Some(hit) = searcher.find(target.to_bytes()) {
                return Ok(found("the target of", hit.pattern()));
            }
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = openat(folder, name, flags, Mode::empty()).context("open", path)?;
            if let Some(hit) = searcher.stream_find_iter(File::from(file)).next() {
                let hit = hit.map_err(|source| LayerError::Tree {
                    operation: "read",
                    path: TreePath::new(path),
                    source,
                })?;
                return Ok(found("the content of", hit.pattern()));
            }
        }
        FileType::Directory => {}
        // Devices and pipes hold nothing.
        _ => return Ok(None),
    }
    in_attributes(searcher, folder, name, path)
}

fn in_attributes(
    searcher: &AhoCorasick,
    folder: BorrowedFd<'_>,
    name: &CStr,
    path: &[u8],
) -> Result<Option<Found>> {
    let stored = Place::Named(folder, name).attributes();
    for (name, value) in stored.context("read the attributes of", path)? {
        let Meaning::File(name) = attributes::meaning(&name) else {
            continue;
        };
        if let Some(hit) = searcher.find(&name).or_else(|| searcher.find(&value)) {
            return Ok(Some(Found {
                path: TreePath::new(path),
                place: "an attribute of",
                pattern: hit.pattern().as_usize(),
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn found(make: impl FnOnce(&Path)) -> Option<(String, &'static str, usize)> {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("folder")).unwrap();
        fs::write(scratch.path().join("folder/harmless"), "hunter").unwrap();
        make(&scratch.path().join("folder"));
        let folder = fs::File::open(scratch.path()).unwrap();
        let patterns = [b"hunter2".to_vec(), vec![0, 255, 7, 9]];
        let found = search(folder.as_fd(), &patterns).unwrap();
        found.map(|found| (found.path.to_string(), found.place, found.pattern))
    }

    #[test]
    fn bytes_are_found_wherever_they_are() {
        assert_eq!(found(|_| {}), None);
        let text = found(|folder| fs::write(folder.join("a"), "pass=hunter2;").unwrap());
        assert_eq!(text, Some(("folder/a".into(), "the content of", 0)));
        let binary = found(|folder| fs::write(folder.join("a"), [1, 0, 255, 7, 9]).unwrap());
        assert_eq!(binary, Some(("folder/a".into(), "the content of", 1)));
        let name = found(|folder| fs::create_dir(folder.join("xhunter2x")).unwrap());
        assert_eq!(name, Some(("folder".into(), "a name in", 0)));
        let link = found(|folder| symlink("to/hunter2", folder.join("l")).unwrap());
        assert_eq!(link, Some(("folder/l".into(), "the target of", 0)));
        let attribute = found(|folder| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(folder, "user.token", b"hunter2", flags).unwrap();
        });
        assert_eq!(attribute, Some(("folder".into(), "an attribute of", 0)));
    }

    #[test]
    fn chunks_do_not_cut_what_is_looked_for() {
        // Around the sizes of buffers that a reader may have.
        for size in [8 * 1024, 64 * 1024, 128 * 1024] {
            for before in [size - 6, size - 3, size, size + 1] {
                let found = found(|folder| {
                    let mut bytes = vec![b'x'; before];
                    bytes.extend_from_slice(b"hunter2");
                    bytes.resize(bytes.len() + 10_000, b'y');
                    fs::write(folder.join("big"), bytes).unwrap();
                });
                assert!(found.is_some(), "{before}");
            }
        }
    }
}
