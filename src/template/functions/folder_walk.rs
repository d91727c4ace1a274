//! The files below a folder whose paths match a pattern, through symbolic links.

use super::path_pattern::PathPattern;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The most folder entries that one walk looks at.
const MAX_ENTRIES: usize = 1_000_000;

/// Why the files of a folder cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    #[error("failed to read the folder {}: {source}", .folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("the name of the file {} is not valid UTF-8", .0.display())]
    Name(PathBuf),
    #[error("the pattern goes through more than {MAX_ENTRIES} files and folders")]
    TooMany,
}

/// The paths of the matching regular files, relative to `folder`. A folder that does not exist has
/// none.
pub(super) fn matching_files(
    folder: &Path,
    pattern: &PathPattern,
) -> Result<BTreeSet<String>, WalkError> {
    let mut walk = Walk {
        pattern,
        found: BTreeSet::new(),
        looked_at: 0,
    };
    let start = pattern.fixed_folders.join("/");
    walk.enter(&folder.join(&start), &start, &mut Vec::new())?;
    Ok(walk.found)
}

struct Walk<'a> {
    pattern: &'a PathPattern,
    found: BTreeSet<String>,
    looked_at: usize,
}

impl Walk<'_> {
    /// Goes through a folder; `ancestors` are the folders on the way to it, by device and number,
    /// so that a link back to one of them does not lead on forever.
    fn enter(
        &mut self,
        folder: &Path,
        relative: &str,
        ancestors: &mut Vec<(u64, u64)>,
    ) -> Result<(), WalkError> {
        let Ok(metadata) = fs::metadata(folder) else {
            // Not there, or a link that leads nowhere: no files.
            return Ok(());
        };
        let identity = (metadata.dev(), metadata.ino());
        if !metadata.is_dir() || ancestors.contains(&identity) {
            return Ok(());
        }
        let failed = |source| WalkError::Folder {
            folder: folder.to_path_buf(),
            source,
        };
        ancestors.push(identity);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.looked_at += 1;
            if self.looked_at > MAX_ENTRIES {
                return Err(WalkError::TooMany);
            }
            self.look_at(&entry, relative, ancestors)?;
        }
        ancestors.pop();
        Ok(())
    }

    fn look_at(
        &mut self,
        entry: &fs::DirEntry,
        relative: &str,
        ancestors: &mut Vec<(u64, u64)>,
    ) -> Result<(), WalkError> {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| WalkError::Name(path.clone()))?;
        let relative = if relative.is_empty() {
            name.to_owned()
        } else {
            format!("{relative}/{name}")
        };
        let depth = relative.split('/').count();
        if self.pattern.deepest.is_none_or(|deepest| depth < deepest) {
            self.enter(&path, &relative, ancestors)?;
        }
        let is_file = || fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if self.pattern.matches(&relative) && is_file() {
            self.found.insert(relative);
        }
        Ok(())
    }
}
