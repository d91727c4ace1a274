//! A tree as the blob of an image: tar and gzip in one pass, with both digests.

use super::archive::{TarSummary, write_tree};
use super::compress::GzipWriter;
use super::error::{LayerError, Result};
use crate::digest::{DiffId, Digest, Hasher};
use std::io::{BufWriter, Write};
use std::os::fd::BorrowedFd;

/// A layer blob that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// What the tar holds, and its size.
    pub tar: TarSummary,
}

/// Writes `tree` as a gzip-compressed tar to `out` (media type
/// `application/vnd.oci.image.layer.v1.tar+gzip`); the result does not depend on `threads`.
///
/// The calling thread reads the tree and hashes, `threads` others compress meanwhile.
///
/// # Errors
///
/// As [`write_tree`]. What was written to `out` then is to be thrown away.
pub fn pack_tree(
    tree: BorrowedFd<'_>,
    epoch: i64,
    out: impl Write,
    threads: usize,
) -> Result<Packed> {
    let blob = Hasher::new(BufWriter::with_capacity(256 * 1024, out));
    let gzip = GzipWriter::new(blob, threads).map_err(LayerError::Output)?;
    // Headers and padding come in small pieces; hashing likes larger ones.
    let mut archive = BufWriter::with_capacity(64 * 1024, Hasher::new(gzip));
    let tar = write_tree(tree, epoch, &mut archive)?;
    let archive = archive
        .into_inner()
        .map_err(|error| LayerError::Output(error.into_error()))?;
    let (diff_id, _, gzip) = archive.finish();
    let (digest, size, mut out) = gzip.finish().map_err(LayerError::Output)?.finish();
    out.flush().map_err(LayerError::Output)?;
    Ok(Packed {
        diff_id: DiffId(diff_id),
        digest,
        size,
        tar,
    })
}
