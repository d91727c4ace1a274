//! Blobs: content by its digest, below `blobs/sha256/`.
//!
//! A *blob* never changes. It is verified on the way in; on the way out it is verified where it
//! is read whole ([`Store::read_blob`]) or asked for ([`Store::verify_blob`]), and readers of
//! [`Store::open_blob`] hash what they stream.

use super::{Store, StoreError, write};
use crate::digest::{Digest, Hasher};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Hashing and copying in pieces of this size keeps the processor, not the kernel, busy.
const PIECE: usize = 1024 * 1024;

impl Store {
    /// The size of a stored blob in bytes; none if it is not stored.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::io("read", &path, source)),
        }
    }

    /// Says whether a blob of this digest and size is stored.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        Ok(self.blob_size(digest)? == Some(size))
    }

    /// Where the blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder("blobs/sha256").join(digest.hex())
    }

    /// Opens a blob for reading. Its content is not verified: hash what you stream.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => self.missing(digest),
            _ => StoreError::io("read", &path, source),
        })
    }

    /// Reads and verifies a whole blob of at most `limit` bytes.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let bytes = write::read_limited(&path, limit).map_err(|error| match error {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                self.missing(digest)
            }
            other => other,
        })?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(StoreError::DamagedBlob {
                path,
                found,
                found_size: bytes.len() as u64,
            });
        }
        Ok(bytes)
    }

    /// Streams through a blob and errors unless it has this digest and `size`.
    pub fn verify_blob(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        let (found, found_size) = Digest::of_reader(self.open_blob(digest)?)
            .map_err(|source| StoreError::io("read", &path, source))?;
        if (found, found_size) != (*digest, size) {
            return Err(StoreError::DamagedBlob {
                path,
                found,
                found_size,
            });
        }
        Ok(())
    }

    /// Stores `bytes` and returns their digest. A stored copy that was damaged is replaced.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if self.has_blob(&digest, bytes.len() as u64)?
            && write::read_limited(&path, bytes.len() as u64).is_ok_and(|stored| stored == bytes)
        {
            return Ok(digest);
        }
        let mut file = write::temporary_file(&self.folder("tmp"))?;
        file.write_all(bytes)
            .map_err(|source| StoreError::io("write", &path, source))?;
        self.finish_blob(file, &digest)?;
        Ok(digest)
    }

    /// Starts a blob whose digest is known at its end only.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter {
            store: self.clone(),
            writer: Hasher::new(write::temporary_file(&self.folder("tmp"))?),
            failed: false,
        })
    }

    /// Copies all of `source`, which must have this digest and `size`; reads nothing if the blob
    /// is stored already.
    ///
    /// Shares the bytes where the file system can, and hashes our copy in every case, so that
    /// what is stored is what was hashed.
    pub fn import_blob(
        &self,
        source: BlobInput<'_>,
        digest: &Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        if self.has_blob(digest, size)? {
            return Ok(());
        }
        let path = self.blob_path(digest);
        let mut file = write::temporary_file(&self.folder("tmp"))?;
        let copied = match source {
            BlobInput::File(source) => copy_file(source, file.as_file_mut(), size),
            BlobInput::Reader(source) => copy(source, file.as_file_mut(), size),
        };
        let (found, found_size) =
            copied.map_err(|source| StoreError::io("copy the blob to", &path, source))?;
        expect((*digest, size), (found, found_size))?;
        self.finish_blob(file, digest)
    }

    /// Moves a finished file of the store's `tmp/` into place as the blob `digest`.
    ///
    /// The caller has hashed it while writing; only its size is checked here.
    pub fn adopt_blob(&self, path: &Path, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("store the blob", path, source);
        let file = File::open(path).map_err(failed)?;
        let found_size = file.metadata().map_err(failed)?.len();
        expect((*digest, size), (*digest, found_size))?;
        file.sync_data().map_err(failed)?;
        fs::rename(path, self.blob_path(digest)).map_err(failed)
    }

    /// Copies a blob out of the store to `target`, by way of a temporary file in `folder` on the
    /// same file system. The copy shares the bytes where the file system can, is independent of
    /// ours in every case, and appears only once verified.
    pub fn export_blob(
        &self,
        digest: &Digest,
        size: u64,
        folder: &Path,
        target: &Path,
    ) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("write", target, source);
        let source = self.open_blob(digest)?;
        let mut file = write::temporary_file(folder)?;
        let (found, found_size) = copy_file(&source, file.as_file_mut(), size).map_err(failed)?;
        if (found, found_size) != (*digest, size) {
            return Err(StoreError::DamagedBlob {
                path: self.blob_path(digest),
                found,
                found_size,
            });
        }
        file.as_file().sync_data().map_err(failed)?;
        file.persist(target).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Removes a blob; one that is not there counts as removed.
    pub fn remove_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        write::remove_file(&self.blob_path(digest))
    }

    fn finish_blob(&self, file: NamedTempFile, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        let failed = |source| StoreError::io("write", &path, source);
        file.as_file().sync_data().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn missing(&self, digest: &Digest) -> StoreError {
        StoreError::MissingBlob {
            digest: *digest,
            store: self.root().to_owned(),
        }
    }
}

/// Where the bytes of an imported blob come from.
pub enum BlobInput<'a> {
    /// A whole file, from its start; may share its bytes with the store's copy.
    File(&'a File),
    /// A stream.
    Reader(&'a mut dyn Read),
}

/// Writes one blob. Dropped before [`BlobWriter::commit`], it leaves nothing.
pub struct BlobWriter {
    store: Store,
    writer: Hasher<NamedTempFile>,
    failed: bool,
}

impl BlobWriter {
    /// Stores what was written and returns its digest and size.
    ///
    /// Errors with [`StoreError::Mismatch`] if that is not `expected`, and if a write failed
    /// before.
    pub fn commit(self, expected: Option<(Digest, u64)>) -> Result<(Digest, u64), StoreError> {
        let (digest, size, file) = self.writer.finish();
        if self.failed {
            let source = io::Error::other("an earlier write to it failed");
            return Err(StoreError::io("store the blob", file.path(), source));
        }
        if let Some(expected) = expected {
            expect(expected, (digest, size))?;
        }
        self.store.finish_blob(file, &digest)?;
        Ok((digest, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let result = self.writer.write(buffer);
        self.failed |= matches!(&result, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Copies a file, without moving its bytes if the file system can share them.
fn copy_file(source: &File, target: &mut File, size: u64) -> io::Result<(Digest, u64)> {
    if rustix::fs::ioctl_ficlone(&*target, source).is_ok() {
        return Digest::of_reader(target);
    }
    copy(source, target, size)
}

/// Copies at most one byte more than `size`, enough to tell a source that is too long.
fn copy(source: impl Read, target: &mut File, size: u64) -> io::Result<(Digest, u64)> {
    let mut source = source.take(size.saturating_add(1));
    let mut target = Hasher::new(target);
    let mut buffer = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE).saturating_add(1))];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => target.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (digest, size, _) = target.finish();
    Ok((digest, size))
}

fn expect(expected: (Digest, u64), found: (Digest, u64)) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::Mismatch {
        expected: expected.0,
        expected_size: expected.1,
        found: found.0,
        found_size: found.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    fn unfinished(store: &Store) -> usize {
        fs::read_dir(store.folder("tmp")).unwrap().count()
    }

    #[test]
    fn a_blob_is_found_by_its_digest() {
        let (_folder, store) = store();
        let digest = store.put_blob(b"hello").unwrap();
        assert_eq!(digest, Digest::of("hello"));
        assert_eq!(store.blob_size(&digest).unwrap(), Some(5));
        assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello");
        store.verify_blob(&digest, 5).unwrap();
        assert_eq!(store.blob_size(&Digest::of("other")).unwrap(), None);
        assert_eq!(unfinished(&store), 0);
    }

    #[test]
    fn a_writer_stores_on_commit_only() {
        let (_folder, store) = store();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        assert_eq!(store.blob_size(&Digest::of("half")).unwrap(), None);
        assert_eq!(unfinished(&store), 0);

        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"who").unwrap();
        writer.write_all(b"le").unwrap();
        let (digest, size) = writer.commit(None).unwrap();
        assert_eq!((digest, size), (Digest::of("whole"), 5));
        assert_eq!(store.read_blob(&digest, 100).unwrap(), b"whole");
    }

    #[test]
    fn content_that_was_not_announced_is_not_stored() {
        let (_folder, store) = store();
        let announced = Digest::of("announced");
        for (digest, size) in [(announced, 4), (Digest::of("came"), 5), (announced, 9)] {
            let mut writer = store.blob_writer().unwrap();
            writer.write_all(b"came").unwrap();
            let error = writer.commit(Some((digest, size))).unwrap_err();
            assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
            let mut source: &[u8] = b"came";
            let error = store
                .import_blob(BlobInput::Reader(&mut source), &digest, size)
                .unwrap_err();
            assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        }
        assert_eq!(store.blob_size(&announced).unwrap(), None);
        assert_eq!(store.blob_size(&Digest::of("came")).unwrap(), None);
        assert_eq!(unfinished(&store), 0);
    }

    #[test]
    fn an_endless_source_is_cut_at_the_announced_size() {
        let (_folder, store) = store();
        let mut endless = io::repeat(0);
        let error = store
            .import_blob(BlobInput::Reader(&mut endless), &Digest::of("x"), 1000)
            .unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Mismatch {
                    found_size: 1001,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_blob_is_an_error_and_is_healed_by_storing_it_again() {
        let (_folder, store) = store();
        let digest = store.put_blob(b"hello").unwrap();
        fs::write(store.blob_path(&digest), b"hullo").unwrap();
        for result in [
            store.read_blob(&digest, 5).map(drop),
            store.verify_blob(&digest, 5),
        ] {
            assert!(matches!(result, Err(StoreError::DamagedBlob { .. })));
        }
        store.put_blob(b"hello").unwrap();
        store.verify_blob(&digest, 5).unwrap();
    }

    #[test]
    fn a_file_is_imported_and_adopted() {
        let (folder, store) = store();
        let path = folder.path().join("input");
        fs::write(&path, vec![7; 3_000_000]).unwrap();
        let digest = Digest::of(vec![7; 3_000_000]);
        let file = File::open(&path).unwrap();
        store
            .import_blob(BlobInput::File(&file), &digest, 3_000_000)
            .unwrap();
        store.verify_blob(&digest, 3_000_000).unwrap();

        let finished = store.folder("tmp").join("finished");
        fs::write(&finished, b"layer").unwrap();
        let digest = Digest::of("layer");
        assert!(store.adopt_blob(&finished, &digest, 6).is_err());
        store.adopt_blob(&finished, &digest, 5).unwrap();
        store.verify_blob(&digest, 5).unwrap();
    }

    #[test]
    fn limits_and_missing_blobs_are_named() {
        let (_folder, store) = store();
        let digest = store.put_blob(b"hello").unwrap();
        assert!(matches!(
            store.read_blob(&digest, 4),
            Err(StoreError::TooLarge { limit: 4, .. })
        ));
        assert!(matches!(
            store.read_blob(&Digest::of("x"), 4),
            Err(StoreError::MissingBlob { .. })
        ));
    }

    #[test]
    fn a_full_disk_has_its_own_error() {
        let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        let error = StoreError::io("write", Path::new("/x"), full);
        assert!(matches!(error, StoreError::StorageFull { .. }), "{error}");
    }
}
