//! What a layer really is: its diffID, found out by unpacking it to nowhere.

use crate::decompress::decompress;
use crate::digest::{DiffId, Digest};
use crate::store::{LayerDescriptor, Store, StoreError};

/// The diffID of a layer whose blob is in the store; none if the blob cannot be decompressed.
pub fn diff_id(store: &Store, layer: &LayerDescriptor) -> Result<Option<DiffId>, StoreError> {
    let file = store.open_blob(&layer.digest)?;
    let Ok((stream, _)) = decompress(file) else {
        return Ok(None);
    };
    Ok(Digest::of_reader(stream)
        .ok()
        .map(|(digest, _)| DiffId(digest)))
}
