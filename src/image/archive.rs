//! Archives: tar files with an OCI image layout inside, compressed or not.
//!
//! An archive is read through a table of its members, so that a blob is found without reading
//! those before it. Only regular files count. Member names are looked up, never used as paths.

mod table;
mod write;

pub(crate) use write::{Member, write_members};
pub use write::{write_layout, write_oci};

use super::manifest::DOCUMENT_LIMIT;
use super::source::ImageSource;
use super::{DockerArchive, ImageError};
use crate::decompress::Compression;
use crate::digest::Digest;
use crate::store::blob::BlobInput;
use crate::store::write::temporary_file;
use crate::store::{Descriptor, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use table::Place;

/// An archive may unpack to so many bytes whatever its size …
const UNPACKED_ALWAYS: u64 = 1 << 30;
/// … and to so many times its size. The layers in it are mostly compressed already.
const UNPACKED_RATIO: u64 = 100;

/// An opened archive and the places of its members.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// The plain tar: the file itself, or its unpacked copy in the store's `tmp/`.
    file: File,
    members: BTreeMap<Vec<u8>, Place>,
}

/// Opens an OCI archive, or one that `docker save` or `podman save` made.
///
/// A compressed one is unpacked into the store's `tmp/` first.
pub fn open(path: &Path, store: &Store) -> Result<Box<dyn ImageSource>, ImageError> {
    let archive = Archive::open(path, store)?;
    if archive.has("index.json") && archive.has("oci-layout") {
        return Ok(Box::new(archive));
    }
    if archive.has("manifest.json") {
        return Ok(Box::new(DockerArchive::new(archive)?));
    }
    Err(ImageError::NotASource {
        place: path.display().to_string(),
        expected: "an archive of an image",
        reason: "it has neither index.json and oci-layout nor manifest.json".to_owned(),
    })
}

impl Archive {
    fn open(path: &Path, store: &Store) -> Result<Self, ImageError> {
        let failed = |source| StoreError::io("read", path, source);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(ImageError::NotASource {
                place: path.display().to_string(),
                expected: "an archive of an image",
                reason: "it is no regular file".to_owned(),
            });
        }
        let mut start = [0; 6];
        let length = file.read_at(&mut start, 0).map_err(failed)?;
        let file = match Compression::of(&start[..length]) {
            Compression::None => file,
            compression => unpack(path, file, metadata.len(), compression, store)?,
        };
        let members = table::read(&file).map_err(|source| ImageError::Archive {
            place: path.display().to_string(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            members,
        })
    }

    /// Says whether there is a regular file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.size(name).is_some()
    }

    /// The size of the regular file `name` in bytes.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        match self.members.get(name.as_bytes()) {
            Some(Place::File { size, .. }) => Some(*size),
            _ => None,
        }
    }

    /// The content of the regular file `name`.
    pub(crate) fn member(&self, name: &str) -> Result<Section, ImageError> {
        match self.members.get(name.as_bytes()) {
            Some(Place::File { start, size }) => {
                let file = self
                    .file
                    .try_clone()
                    .map_err(|source| StoreError::io("read", &self.path, source))?;
                Ok(Section {
                    file,
                    position: *start,
                    end: start + size,
                })
            }
            Some(Place::Other) => {
                let reason = format!("{name:?} in it is no regular file");
                Err(ImageError::invalid(&self.place(), reason))
            }
            None => {
                let reason = format!("it has no file {name:?}");
                Err(ImageError::invalid(&self.place(), reason))
            }
        }
    }

    /// The whole regular file `name`, of at most [`DOCUMENT_LIMIT`] bytes.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut member = self.member(name)?;
        let size = self.size(name).unwrap_or_default();
        if size > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge {
                document: format!("{name:?} of {}", self.place()),
                size,
                limit: DOCUMENT_LIMIT,
            });
        }
        let mut text = Vec::new();
        member
            .read_to_end(&mut text)
            .map_err(|source| StoreError::io("read", &self.path, source))?;
        Ok(text)
    }

    fn blob(&self, digest: &Digest) -> Result<String, ImageError> {
        let name = format!("blobs/sha256/{}", digest.hex());
        if !self.members.contains_key(name.as_bytes()) {
            return Err(ImageError::MissingBlob {
                place: self.place(),
                digest: *digest,
            });
        }
        Ok(name)
    }
}

impl ImageSource for Archive {
    fn place(&self) -> String {
        format!("the archive {}", self.path.display())
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        self.read("index.json")
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let digest = &descriptor.digest;
        self.read(&self.blob(digest)?)
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        let mut member = self.member(&self.blob(digest)?)?;
        Ok(store.import_blob(BlobInput::Reader(&mut member), digest, size)?)
    }
}

/// Unpacks a compressed archive into a nameless file of the store's `tmp/`.
fn unpack(
    path: &Path,
    file: File,
    size: u64,
    compression: Compression,
    store: &Store,
) -> Result<File, ImageError> {
    let limit = UNPACKED_ALWAYS.max(size.saturating_mul(UNPACKED_RATIO));
    let damaged = |source| ImageError::Archive {
        place: path.display().to_string(),
        source,
    };
    let mut plain = temporary_file(&store.root().join("tmp"))?;
    let mut reader = Guarded {
        inner: compression.reader(file),
        failed: None,
    };
    let copied = io::copy(&mut (&mut reader).take(limit + 1), plain.as_file_mut());
    if let Some(error) = reader.failed {
        return Err(damaged(error));
    }
    let length =
        copied.map_err(|source| StoreError::io("unpack an archive into", plain.path(), source))?;
    if length > limit {
        return Err(ImageError::invalid(
            &format!("the archive {}", path.display()),
            format!("it has {size} bytes but unpacks to more than {limit}"),
        ));
    }
    let mut file = plain.into_file();
    file.seek(SeekFrom::Start(0)).map_err(damaged)?;
    Ok(file)
}

/// Keeps the error of the reading side of a copy apart from that of the writing side.
struct Guarded<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
            result => result,
        }
    }
}

/// A part of a file; several may be read at once, as none moves the file's own position.
pub(crate) struct Section {
    file: File,
    position: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(rest);
        let length = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}
