//! The digest of a folder that is a root file system.
//!
//! Owners count relative to the folder's own owner, who stands for root: so a checkout gives the
//! same digest whoever made it, and a root file system made by root keeps its owners. Times do not
//! count.

use super::BaseError;
use crate::digest::{Digest, Hasher};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Digests all members of `root` by path, type, mode, relative owner, extended attributes, link
/// target or bytes.
pub fn digest(root: &Path) -> Result<Digest, BaseError> {
    let top = fs::metadata(root).map_err(BaseError::read(root))?;
    let relative = |id: u32, top: u32| if id == top { 0 } else { id };
    let mut entries = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).map_err(BaseError::read(&path))?;
        let kind = metadata.file_type();
        if kind.is_socket() {
            continue;
        }
        let below = path.strip_prefix(root).unwrap_or(&path);
        let mut entry = Hasher::new(io::sink());
        let mut write = |bytes: &[u8]| -> Result<(), BaseError> {
            entry
                .write_all(&(bytes.len() as u64).to_le_bytes())
                .and_then(|()| entry.write_all(bytes))
                .map_err(BaseError::read(&path))
        };
        write(below.as_os_str().as_bytes())?;
        let (uid, gid) = (
            relative(metadata.uid(), top.uid()),
            relative(metadata.gid(), top.gid()),
        );
        write(format!("{:o} {uid} {gid}", metadata.mode()).as_bytes())?;
        if kind.is_symlink() {
            write(
                fs::read_link(&path)
                    .map_err(BaseError::read(&path))?
                    .as_os_str()
                    .as_bytes(),
            )?;
        } else if kind.is_file() {
            let file = File::open(&path).map_err(BaseError::read(&path))?;
            let (digest, _) = Digest::of_reader(file).map_err(BaseError::read(&path))?;
            write(digest.as_bytes())?;
        } else if kind.is_dir() {
            for child in fs::read_dir(&path).map_err(BaseError::read(&path))? {
                pending.push(child.map_err(BaseError::read(&path))?.path());
            }
        } else {
            write(format!("device {}", metadata.rdev()).as_bytes())?;
        }
        for (name, value) in attributes(&path)? {
            write(&name)?;
            write(&value)?;
        }
        entries.push((below.as_os_str().as_bytes().to_vec(), entry.finish().0));
    }
    entries.sort();
    let mut all = Hasher::new(io::sink());
    for (_, entry) in &entries {
        all.write_all(entry.as_bytes())
            .map_err(BaseError::read(root))?;
    }
    Ok(all.finish().0)
}

/// Name and value of an extended attribute.
type Attribute = (Vec<u8>, Vec<u8>);

/// The extended attributes of `path`, sorted; none where the file system has none.
fn attributes(path: &Path) -> Result<Vec<Attribute>, BaseError> {
    let mut names = vec![0u8; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(BaseError::read(path)(error.into())),
    };
    let mut found = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0u8; 64 * 1024];
        // One that vanished or may not be read is not part of what an import can see either.
        if let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value[..]) {
            value.truncate(length);
            found.push((name.to_vec(), value));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn content_counts_and_times_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let first = digest(folder.path()).unwrap();
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(digest(folder.path()).unwrap(), first);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let second = digest(folder.path()).unwrap();
        assert_ne!(second, first);
        fs::write(&file, "two").unwrap();
        assert_ne!(digest(folder.path()).unwrap(), second);
    }
}
