//! Inputs: host files and folders that a step reads, reduced to what its key needs.
//!
//! An *input* counts by path inside the input, type, permission bits, link target and bytes. Times
//! and owners never count, so that a fresh clone or a copy gives the same key.

use super::ProvisionError;
use crate::digest::Digest;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folders below an input may nest this deep.
const DEPTH_LIMIT: usize = 200;

/// A host file or folder and the name by which the key knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Independent of where the template lies.
    pub label: String,
    /// Where it is on this host.
    pub path: PathBuf,
    /// It may be missing when the key is computed, since something else makes it during the run.
    pub is_generated: bool,
}

/// Digests `input`: one entry for a file, one for each member of a folder, by label and the path
/// below it. Non-UTF-8 names are shown with escapes, which keeps them distinct.
pub fn digest(input: &Input) -> Result<BTreeMap<String, String>, ProvisionError> {
    let mut entries = BTreeMap::new();
    let mut pending = vec![(input.path.clone(), input.label.clone(), 0)];
    while let Some((path, label, depth)) = pending.pop() {
        if depth > DEPTH_LIMIT {
            return Err(ProvisionError::TooDeep {
                path,
                limit: DEPTH_LIMIT,
            });
        }
        // The input itself may be a link to the real thing; links inside it stay links.
        let metadata = if depth == 0 {
            fs::metadata(&path)
        } else {
            fs::symlink_metadata(&path)
        };
        let metadata = match metadata {
            Err(error)
                if depth == 0 && input.is_generated && error.kind() == ErrorKind::NotFound =>
            {
                entries.insert(label, "missing".to_owned());
                continue;
            }
            metadata => metadata.map_err(ProvisionError::read(&path))?,
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let kind = metadata.file_type();
        let entry = if kind.is_dir() {
            for child in fs::read_dir(&path).map_err(ProvisionError::read(&path))? {
                let name = child.map_err(ProvisionError::read(&path))?.file_name();
                let label = format!("{label}/{}", name.as_bytes().escape_ascii());
                pending.push((path.join(name), label, depth + 1));
            }
            format!("folder {mode:04o}")
        } else if kind.is_file() {
            let file = File::open(&path).map_err(ProvisionError::read(&path))?;
            let (digest, _) = Digest::of_reader(file).map_err(ProvisionError::read(&path))?;
            format!("file {mode:04o} {digest}")
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(ProvisionError::read(&path))?;
            format!("link {}", target.as_os_str().as_bytes().escape_ascii())
        } else {
            let kind = if kind.is_socket() {
                "socket"
            } else if kind.is_fifo() {
                "fifo"
            } else {
                "device"
            };
            return Err(ProvisionError::UnsupportedType { path, kind });
        };
        entries.insert(label, entry);
    }
    Ok(entries)
}

/// The last component of `path` as text, for labels; `.` where there is none.
pub fn base_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || ".".to_owned(),
        |name| name.as_bytes().escape_ascii().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn entries(path: &Path) -> BTreeMap<String, String> {
        digest(&Input {
            label: "in".into(),
            path: path.into(),
            is_generated: false,
        })
        .unwrap()
    }

    #[test]
    fn a_copy_with_other_times_has_the_same_entries() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            let root = folder.path().join(name);
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("sub/file"), "text").unwrap();
            symlink("file", root.join("sub/link")).unwrap();
        }
        let file = File::options()
            .write(true)
            .open(folder.path().join("b/sub/file"))
            .unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            entries(&folder.path().join("a")),
            entries(&folder.path().join("b"))
        );
    }

    #[test]
    fn bytes_modes_names_and_links_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let first = entries(folder.path());
        fs::write(&file, "two").unwrap();
        let second = entries(folder.path());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let third = entries(folder.path());
        fs::rename(&file, folder.path().join("other")).unwrap();
        let fourth = entries(folder.path());
        let all = [first, second, third, fourth];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn only_what_is_generated_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let input = |is_generated| Input {
            label: "in".into(),
            path: folder.path().join("later"),
            is_generated,
        };
        assert!(digest(&input(false)).is_err());
        let missing = digest(&input(true)).unwrap();
        fs::write(folder.path().join("later"), "").unwrap();
        assert_ne!(digest(&input(true)).unwrap(), missing);
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = digest(&Input {
            label: "in".into(),
            path: folder.path().into(),
            is_generated: false,
        })
        .unwrap_err();
        assert!(matches!(
            error,
            ProvisionError::UnsupportedType { kind: "socket", .. }
        ));
    }
}
