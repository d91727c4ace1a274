//! OCI image layouts: folders with an index and blobs (OCI image specification, "Image Layout").
//!
//! A layout is read as hostile: only regular files count, and no symbolic link in it is followed.
//! It is written so that a reader sees the old index or the new one, each with all its blobs.

mod write;

pub use write::{LayoutWriter, write};

use super::ImageError;
use super::manifest::DOCUMENT_LIMIT;
use super::source::ImageSource;
use crate::digest::Digest;
use crate::store::blob::BlobInput;
use crate::store::{Descriptor, Store, StoreError, check_layout_marker};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A layout that images are read from.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    folder: OwnedFd,
}

impl Layout {
    /// Opens the layout at `path`, which may itself be reached through symbolic links.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| StoreError::io("read the layout", path, errno.into()))?;
        let layout = Self {
            path: path.to_owned(),
            folder,
        };
        for name in ["oci-layout", "index.json"] {
            if layout.file(&[name])?.is_none() {
                return Err(ImageError::NotASource {
                    place: path.display().to_string(),
                    expected: "an OCI image layout",
                    reason: format!("it has no file {name:?}"),
                });
            }
        }
        check_layout_marker(&path.join("oci-layout"))?;
        Ok(layout)
    }

    /// Opens a regular file inside the layout, one name after the other so that no symbolic link
    /// leads elsewhere; none if there is nothing.
    fn file(&self, names: &[&str]) -> Result<Option<File>, ImageError> {
        let path = || {
            names
                .iter()
                .fold(self.path.clone(), |path, name| path.join(name))
        };
        let failed = |errno: rustix::io::Errno| StoreError::io("read", &path(), errno.into());
        let Some((last, folders)) = names.split_last() else {
            return Ok(None);
        };
        let mut folder = self
            .folder
            .try_clone()
            .map_err(|source| StoreError::io("read", &path(), source))?;
        let common = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for name in folders {
            let flags = common | OFlags::DIRECTORY;
            folder = match rustix::fs::openat(&folder, *name, flags, Mode::empty()) {
                Ok(folder) => folder,
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                    return Err(self.irregular(name, "a symbolic link or no folder"));
                }
                Err(errno) => return Err(failed(errno).into()),
            };
        }
        // Non-blocking, since opening a fifo would wait for a writer.
        let flags = common | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&folder, *last, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(self.irregular(last, "a symbolic link")),
            Err(errno) => return Err(failed(errno).into()),
        };
        let metadata = file
            .metadata()
            .map_err(|source| StoreError::io("read", &path(), source))?;
        if !metadata.is_file() {
            return Err(self.irregular(last, "no regular file"));
        }
        Ok(Some(file))
    }

    fn blob(&self, digest: &Digest) -> Result<File, ImageError> {
        self.file(&["blobs", "sha256", &digest.hex()])?
            .ok_or_else(|| ImageError::MissingBlob {
                place: self.place(),
                digest: *digest,
            })
    }

    fn read(&self, file: File, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        file.take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut text)
            .map_err(|source| StoreError::io("read", &self.path.join(name), source))?;
        let size = text.len() as u64;
        if size > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge {
                document: format!("{name} of {}", self.place()),
                size,
                limit: DOCUMENT_LIMIT,
            });
        }
        Ok(text)
    }

    fn irregular(&self, name: &str, what: &str) -> ImageError {
        ImageError::invalid(&self.place(), format!("{name:?} in it is {what}"))
    }
}

impl ImageSource for Layout {
    fn place(&self) -> String {
        format!("the layout {}", self.path.display())
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        match self.file(&["index.json"])? {
            Some(file) => self.read(file, "index.json"),
            None => Err(ImageError::invalid(&self.place(), "its index.json is gone")),
        }
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let digest = &descriptor.digest;
        self.read(self.blob(digest)?, &digest.to_string())
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        Ok(store.import_blob(BlobInput::File(&self.blob(digest)?), digest, size)?)
    }
}
