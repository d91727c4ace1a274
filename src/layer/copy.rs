//! Copying the content of a file, without moving bytes through this process where possible.

use super::error::{Context, LayerError, Result, TreePath};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

const CHUNK: usize = 256 * 1024;

/// Copies the `size` bytes of `from` to the empty file `to`; holes stay holes where the file
/// system shares or reports them.
pub(super) fn content(from: &OwnedFd, to: &OwnedFd, size: u64, path: &[u8]) -> Result<()> {
    if size == 0 || rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return check_size(from, size, path);
    }
    // A file that ends in a hole gets its size here.
    rustix::fs::ftruncate(to, size).context("write", path)?;
    let mut position = 0;
    while position < size {
        // Where holes are not reported, everything is data.
        let data = match rustix::fs::seek(from, SeekFrom::Data(position)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(_) => position,
        };
        let end = match rustix::fs::seek(from, SeekFrom::Hole(data)) {
            Ok(end) => end.min(size),
            Err(_) => size,
        };
        if data >= size {
            break;
        }
        range(from, to, data, end, path)?;
        position = end.max(data + 1);
    }
    check_size(from, size, path)
}

/// Writes all of `bytes` at `position`.
pub(super) fn write_all(
    to: &OwnedFd,
    mut bytes: &[u8],
    mut position: u64,
) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(to, bytes, position) {
            Ok(0) => return Err(Errno::IO),
            Ok(length) => {
                bytes = &bytes[length..];
                position += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64, path: &[u8]) -> Result<()> {
    let mut position = start;
    while position < end {
        let (mut input, mut output) = (position, position);
        let wanted = usize::try_from(end - position).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut input), to, Some(&mut output), wanted) {
            // Nothing copied may also mean that this file system cannot.
            Ok(0) => return by_hand(from, to, position, end, path),
            Ok(length) => position += length as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                return by_hand(from, to, position, end, path);
            }
            Err(errno) => return Err(errno).context("copy", path),
        }
    }
    Ok(())
}

fn by_hand(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64, path: &[u8]) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut position = start;
    while position < end {
        let wanted = usize::try_from(end - position).map_or(CHUNK, |left| left.min(CHUNK));
        match rustix::io::pread(from, &mut chunk[..wanted], position) {
            // Shorter than it was: found by the caller's check.
            Ok(0) => return Ok(()),
            Ok(length) => {
                write_all(to, &chunk[..length], position).context("write", path)?;
                position += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("read", path),
        }
    }
    Ok(())
}

fn check_size(from: &OwnedFd, size: u64, path: &[u8]) -> Result<()> {
    let stat = rustix::fs::fstat(from).context("inspect", path)?;
    if u64::try_from(stat.st_size) == Ok(size) {
        return Ok(());
    }
    Err(LayerError::Changed {
        path: TreePath::new(path),
        expected: size,
    })
}
