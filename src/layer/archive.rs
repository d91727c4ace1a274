//! A tree as a tar archive, byte for byte the same wherever it is written.
//!
//! The order is depth first: a folder, its opaque mark if it has one, then what is in it sorted
//! by the bytes of the names, each subfolder followed at once by its content. The root folder
//! comes first, as `./`, because its owner and mode can change like those of any other folder.
//!
//! Times are whole seconds and not later than the epoch given. A file with several names is
//! written at the first of them; the others are hardlinks to it, with the same metadata (readers
//! set the owner through every name, which would take capabilities away again). A deletion mark
//! is an empty file `.wh.NAME`, an opaque mark `.wh..wh..opq` (OCI image specification, layer,
//! "Whiteouts"), both 0600, owned by 0:0, at time 0. Sockets are left out: nothing could listen
//! on them. Files with holes are written in full, since no layer reader agrees on sparse formats.

use super::error::{Context, LayerError, Result, TreePath};
use super::folder::{FolderStack, Listed};
use super::header::{self, BLOCK, Entry, EntryType};
use super::metadata::{self, Attributes, Kind, Metadata};
use crate::digest::{DiffId, Hasher};
use rustix::fs::{AtFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Begins the name of a file that marks a deletion.
pub(super) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The name of the file that marks its folder as opaque.
pub(super) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TarSummary {
    /// Entries, the root folder and deletion marks included.
    pub entries: u64,
    /// Bytes of the archive.
    pub size: u64,
    /// Bytes of the files in it.
    pub content: u64,
    /// Sockets that were left out.
    pub sockets: u64,
}

/// Writes `tree` to `out`; no time in it is later than `epoch` (seconds since 1970).
///
/// # Errors
///
/// If the tree cannot be read, holds something that a layer cannot express, or changes meanwhile;
/// or if `out` fails. What was written then is no complete archive.
pub fn write_tree(tree: BorrowedFd<'_>, epoch: i64, out: &mut dyn Write) -> Result<TarSummary> {
    let mut writer = Writer {
        out,
        epoch,
        summary: TarSummary::default(),
        first_names: HashMap::new(),
        chunk: vec![0; CHUNK],
    };
    writer.tree(tree)?;
    Ok(writer.summary)
}

/// Computes what [`write_tree`] would write, without writing it.
///
/// # Errors
///
/// As [`write_tree`].
pub fn hash_tree(tree: BorrowedFd<'_>, epoch: i64) -> Result<(DiffId, TarSummary)> {
    let mut hasher = Hasher::new(io::sink());
    let summary = write_tree(tree, epoch, &mut hasher)?;
    let (digest, _, _) = hasher.finish();
    Ok((DiffId(digest), summary))
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    epoch: i64,
    summary: TarSummary,
    /// The first path of each file with several names, by device and inode.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    chunk: Vec<u8>,
}

impl Writer<'_> {
    fn tree(&mut self, tree: BorrowedFd<'_>) -> Result<()> {
        let mut stack = FolderStack::new(tree)?;
        let mut pending: Vec<std::vec::IntoIter<Listed>> = vec![self.folder(&stack)?];
        while let Some(names) = pending.last_mut() {
            let Some(listed) = names.next() else {
                pending.pop();
                stack.pop()?;
                continue;
            };
            let path = stack.path_of(&listed.name);
            let stat = rustix::fs::statat(stack.current(), &listed.name, AtFlags::SYMLINK_NOFOLLOW)
                .context("inspect", &path)?;
            if listed.name.to_bytes().starts_with(WHITEOUT_PREFIX) {
                return Err(LayerError::ReservedName {
                    path: TreePath(path),
                });
            }
            if metadata::is_folder(&stat) {
                stack.push(&listed.name)?;
                pending.push(self.folder(&stack)?);
            } else {
                self.file(stack.current(), &listed.name, &stat, &path)?;
            }
        }
        self.write(&[0; 2 * BLOCK])
    }

    /// Writes the innermost folder of `stack` itself and returns what is in it.
    fn folder(&mut self, stack: &FolderStack) -> Result<std::vec::IntoIter<Listed>> {
        let mut metadata = Metadata::of_folder(stack.current(), stack.path())?;
        self.clamp(&mut metadata.attributes);
        let mut path = stack.path().to_vec();
        if path.is_empty() {
            path.push(b'.');
        }
        path.push(b'/');
        self.entry(
            &path,
            EntryType::Folder,
            b"",
            0,
            (0, 0),
            &metadata.attributes,
        )?;
        if metadata.kind == (Kind::Folder { opaque: true }) {
            if stack.path().is_empty() {
                path.clear();
            }
            path.extend_from_slice(OPAQUE_NAME);
            self.mark(&path)?;
        }
        Ok(stack.list()?.into_iter())
    }

    fn file(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        path: &[u8],
    ) -> Result<()> {
        let (mut metadata, file) = Metadata::of_file(folder, name, stat, path)?;
        self.clamp(&mut metadata.attributes);
        let attributes = &metadata.attributes;
        match metadata.kind {
            Kind::Whiteout => {
                let parent = path.len() - name.to_bytes().len();
                let mark = [&path[..parent], WHITEOUT_PREFIX, name.to_bytes()].concat();
                return self.mark(&mark);
            }
            Kind::Socket => {
                self.summary.sockets += 1;
                return Ok(());
            }
            _ => {}
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.first_names.get(&(stat.st_dev, stat.st_ino)) {
                let first = first.clone();
                return self.entry(path, EntryType::Hardlink, &first, 0, (0, 0), attributes);
            }
            self.first_names
                .insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        let special = |entry_type, device| (entry_type, Vec::new(), device);
        let (entry_type, link, device) = match metadata.kind {
            Kind::File { size } => {
                self.entry(path, EntryType::File, b"", size, (0, 0), attributes)?;
                return match file {
                    Some(file) => self.content(&file, size, stat, path),
                    None => Ok(()),
                };
            }
            Kind::Symlink { target } => (EntryType::Symlink, target, (0, 0)),
            Kind::Fifo => special(EntryType::Fifo, (0, 0)),
            Kind::CharacterDevice { major, minor } => {
                special(EntryType::CharacterDevice, (major, minor))
            }
            Kind::BlockDevice { major, minor } => special(EntryType::BlockDevice, (major, minor)),
            Kind::Folder { .. } | Kind::Whiteout | Kind::Socket => return Ok(()),
        };
        self.entry(path, entry_type, &link, 0, device, attributes)
    }

    /// Writes the `size` bytes of `file`, and no others whatever happens to it meanwhile.
    fn content(&mut self, file: &OwnedFd, size: u64, stat: &Stat, path: &[u8]) -> Result<()> {
        let changed = || LayerError::Changed {
            path: TreePath::new(path),
            expected: size,
        };
        let mut chunk = std::mem::take(&mut self.chunk);
        // st_blocks counts 512 bytes whatever the file system's blocks are.
        let has_holes = stat.st_blocks < stat.st_size / 512;
        let mut position = 0;
        while position < size {
            if has_holes {
                let data = next_data(file, position, size).context("read", path)?;
                if data > position {
                    self.zeros(data - position)?;
                    position = data;
                    continue;
                }
            }
            // One byte more than is left, so that a file that has grown is noticed.
            let wanted =
                usize::try_from(size - position).map_or(CHUNK, |left| left.min(CHUNK - 1) + 1);
            let length = match rustix::io::pread(file, &mut chunk[..wanted], position) {
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).context("read", path),
            };
            if length == 0 || length as u64 > size - position {
                return Err(changed());
            }
            self.write(&chunk[..length])?;
            position += length as u64;
        }
        self.chunk = chunk;
        self.summary.content += size;
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        self.write(&[0; BLOCK][..padding])
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        static ZEROS: [u8; 32 * 1024] = [0; 32 * 1024];
        while count > 0 {
            let length = usize::try_from(count).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            self.write(&ZEROS[..length])?;
            count -= length as u64;
        }
        Ok(())
    }

    fn mark(&mut self, path: &[u8]) -> Result<()> {
        let attributes = Attributes {
            mode: 0o600,
            uid: 0,
            gid: 0,
            modified: 0,
            extended: Vec::new(),
        };
        self.entry(path, EntryType::File, b"", 0, (0, 0), &attributes)
    }

    fn entry(
        &mut self,
        path: &[u8],
        entry_type: EntryType,
        link: &[u8],
        size: u64,
        device: (u32, u32),
        attributes: &Attributes,
    ) -> Result<()> {
        let blocks = header::encode(&Entry {
            path,
            entry_type,
            link,
            size,
            device,
            attributes,
        })?;
        self.summary.entries += 1;
        self.write(&blocks)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.summary.size += bytes.len() as u64;
        self.out.write_all(bytes).map_err(LayerError::Output)
    }

    fn clamp(&self, attributes: &mut Attributes) {
        attributes.modified = attributes.modified.min(self.epoch);
    }
}

/// Finds the first byte of `file` at or after `position` that is not in a hole; `size` if there
/// is none.
fn next_data(file: &OwnedFd, position: u64, size: u64) -> std::result::Result<u64, Errno> {
    match rustix::fs::seek(file.as_fd(), SeekFrom::Data(position)) {
        Ok(data) => Ok(data.min(size)),
        Err(Errno::NXIO) => Ok(size),
        // A file system without this call has no holes to skip.
        Err(Errno::INVAL) => Ok(position),
        Err(errno) => Err(errno),
    }
}
