//! Writing archives: the same image gives the same bytes.

use crate::digest::{Digest, Hasher};
use crate::image::{Image, ImageError};
use crate::store::index::Index;
use crate::store::reference::check_name;
use crate::store::{Descriptor, LAYOUT_MARKER, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use tar::{EntryType, Header};

/// One member of an archive.
pub(crate) enum Member {
    /// A folder.
    Folder,
    /// A file with this content.
    Text(Vec<u8>),
    /// A file with the content of a blob, and its size.
    Blob(Digest, u64),
    /// A file with the content of this one, and its size.
    File(File, u64),
}

/// Writes `image` as an OCI archive: a tar file of an image layout.
///
/// `name` is the image's name in it. `path` is replaced when all is written; the caller has all
/// layers in the store.
pub fn write_oci(
    store: &Store,
    image: &Image,
    path: &Path,
    name: Option<&str>,
) -> Result<(), ImageError> {
    let mut descriptor = image.manifest.plain();
    descriptor.platform = Some(image.config.platform());
    let layers = image.layers.iter().map(|layer| (layer.digest, layer.size));
    let documents = [&image.config_descriptor, &image.manifest];
    let documents = documents.map(|blob| (blob.digest, blob.size));
    let entry = (name.map(str::to_owned), descriptor);
    write_layout(store, path, &[entry], layers.chain(documents))
}

/// Writes a tar file of an image layout that lists `entries`, each under its name, with `blobs` of
/// the store. `path` is replaced when all is written.
pub fn write_layout(
    store: &Store,
    path: &Path,
    entries: &[(Option<String>, Descriptor)],
    blobs: impl Iterator<Item = (Digest, u64)>,
) -> Result<(), ImageError> {
    let mut index = Index::empty();
    for (name, descriptor) in entries {
        if let Some(name) = name {
            check_name(name)?;
        }
        let entered = index.enter(name.as_deref(), descriptor);
        entered.map_err(|source| ImageError::Json {
            document: "a new index.json".to_owned(),
            source,
        })?;
    }
    let mut members = BTreeMap::from([
        ("blobs".to_owned(), Member::Folder),
        ("blobs/sha256".to_owned(), Member::Folder),
        ("index.json".to_owned(), Member::Text(index.to_bytes())),
        (
            "oci-layout".to_owned(),
            Member::Text(LAYOUT_MARKER.to_vec()),
        ),
    ]);
    for (digest, size) in blobs {
        let name = format!("blobs/sha256/{}", digest.hex());
        members.insert(name, Member::Blob(digest, size));
    }
    write_members(store, path, &members)
}

/// Writes `members`, sorted by name, as a tar file with fixed owners, modes and times.
pub(crate) fn write_members(
    store: &Store,
    path: &Path,
    members: &BTreeMap<String, Member>,
) -> Result<(), ImageError> {
    let failed = |source| StoreError::io("write", path, source);
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let file = crate::store::write::temporary_file(folder)?;
    let mut archive = BufWriter::with_capacity(1024 * 1024, file);
    for (name, member) in members {
        let (kind, size) = match member {
            Member::Folder => (EntryType::Directory, 0),
            Member::Text(text) => (EntryType::Regular, text.len() as u64),
            Member::Blob(_, size) | Member::File(_, size) => (EntryType::Regular, *size),
        };
        archive
            .write_all(header(name, kind, size).map_err(failed)?.as_bytes())
            .map_err(failed)?;
        match member {
            Member::Folder => {}
            Member::Text(text) => archive.write_all(text).map_err(failed)?,
            Member::Blob(digest, size) => {
                copy_blob(store, digest, *size, &mut archive, path)?;
            }
            Member::File(file, _) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                io::copy(&mut file, &mut archive).map_err(failed)?;
            }
        }
        let padding = size.next_multiple_of(512) - size;
        archive
            .write_all(&[0; 512][..padding as usize])
            .map_err(failed)?;
    }
    // Two empty blocks end a tar file.
    archive.write_all(&[0; 1024]).map_err(failed)?;
    let file = archive
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Copies a blob, verified: an archive leaves the machine.
fn copy_blob(
    store: &Store,
    digest: &Digest,
    size: u64,
    archive: &mut impl io::Write,
    path: &Path,
) -> Result<(), ImageError> {
    let mut blob = store.open_blob(digest)?.take(size.saturating_add(1));
    let mut hasher = Hasher::new(archive);
    io::copy(&mut blob, &mut hasher).map_err(|source| StoreError::io("write", path, source))?;
    let (found, found_size, _) = hasher.finish();
    if (found, found_size) != (*digest, size) {
        return Err(StoreError::DamagedBlob {
            path: store.blob_path(digest),
            found,
            found_size,
        }
        .into());
    }
    Ok(())
}

fn header(name: &str, kind: EntryType, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    match kind {
        EntryType::Directory => header.set_path(format!("{name}/"))?,
        _ => header.set_path(name)?,
    }
    header.set_mode(match kind {
        EntryType::Directory => 0o755,
        _ => 0o644,
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}
