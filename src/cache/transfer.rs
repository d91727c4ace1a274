//! Transfer: records and their layers as an image layout, which another store takes in.
//!
//! Each record is an entry of the layout, under the name that it has in a repository. So machines
//! without a common registry share what a common folder or file can carry, and any tool for OCI
//! layouts reads it. Whoever imports trusts whoever made the layout, in that a step changes what
//! the record says; all digests are checked, diffIDs included.

use super::artifact;
use super::content;
use super::mounts::PackedMount;
use crate::digest::{Digest, StepKey};
use crate::image::layout::LayoutWriter;
use crate::image::{self, ImageError, ImageSource, Layout};
use crate::store::index::{Index, REFERENCE_NAME};
use crate::store::{Descriptor, StepLookup, Store, StoreError};
use oci_spec::image::MediaType;
use std::path::Path;

/// What was carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// How many records.
    pub records: usize,
    /// The sum of their layers' sizes in bytes.
    pub bytes: u64,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// Writes all records whose layers are here to `path`: a tar if that ends in `.tar`, else a folder,
/// where what is there already stays.
///
/// With them go `mounts`, whose blobs are in the store.
pub fn export(
    store: &Store,
    path: &Path,
    mounts: &[PackedMount],
) -> Result<Transferred, ImageError> {
    let mut done = Transferred::default();
    let mut entries = Vec::new();
    let mut blobs = Vec::new();
    let mut needed_only_now = Vec::new();
    for record in store.steps()?.into_iter().filter_map(|step| step.record) {
        let key = record.key.0.short();
        if record.is_of_test() {
            continue;
        }
        if record.private {
            done.skipped
                .push(format!("{key}: it is not to leave this machine"));
            continue;
        }
        if let Some(layer) = &record.layer {
            if !store.has_blob(&layer.digest, layer.size)? {
                done.skipped
                    .push(format!("{key}: its layer has not been pulled"));
                continue;
            }
            blobs.push((layer.digest, layer.size));
            done.bytes = done.bytes.saturating_add(layer.size);
        }
        let text = artifact::write(&record).map_err(|source| ImageError::Json {
            document: format!("the record of the step {}", record.key),
            source,
        })?;
        let size = text.len() as u64;
        let manifest = Descriptor::new(MediaType::ImageManifest, Digest::of(&text), size);
        if store.blob_size(&manifest.digest)?.is_none() {
            needed_only_now.push(manifest.digest);
        }
        store.put_blob(&text)?;
        blobs.push((manifest.digest, manifest.size));
        entries.push((Some(artifact::tag(&record.key)), manifest));
        done.records += 1;
    }
    for mount in mounts {
        blobs.push((mount.layer.digest, mount.layer.size));
        blobs.push((mount.manifest.digest, mount.manifest.size));
        entries.push((Some(mount.name.clone()), mount.manifest.clone()));
        done.bytes = done.bytes.saturating_add(mount.layer.size);
    }
    let empty = artifact::empty();
    store.put_blob(artifact::EMPTY)?;
    blobs.push((empty.digest, empty.size));
    if path.extension().is_some_and(|extension| extension == "tar") {
        image::archive::write_layout(store, path, &entries, blobs.into_iter())?;
    } else {
        let writer = LayoutWriter::open(path)?;
        for (digest, size) in blobs {
            writer.add(store, &digest, size)?;
        }
        writer.finish(&entries)?;
    }
    for digest in needed_only_now {
        store.remove_blob(&digest)?;
    }
    Ok(done)
}

/// Takes in the records of a layout, a folder or a tar of one. What is wrong is left out; what is
/// known already stays as it is.
pub fn import(store: &Store, path: &Path) -> Result<Transferred, ImageError> {
    let source: Box<dyn ImageSource> = match path.is_dir() {
        true => Box::new(Layout::open(path)?),
        false => image::archive::open(path, store)?,
    };
    let place = format!("the index of {}", source.place());
    let index = Index::parse(&source.index()?)
        .map_err(|error| ImageError::invalid(&place, error.to_string()))?;
    let mut done = Transferred::default();
    for entry in index.entries() {
        let name = entry.annotations.get(REFERENCE_NAME);
        // A layout may hold images too.
        let Some(key) = name.and_then(|name| artifact::key_of(name)) else {
            continue;
        };
        match take(store, &*source, &entry, key) {
            Ok(size) => {
                done.records += 1;
                done.bytes = done.bytes.saturating_add(size);
            }
            // The next one would end like this one.
            Err(
                error @ ImageError::Store(
                    StoreError::StorageFull { .. } | StoreError::ReadOnly { .. },
                ),
            ) => return Err(error),
            Err(error) => done.skipped.push(format!("{}: {error}", key.0.short())),
        }
    }
    Ok(done)
}

/// Takes in one record with its layer; gives the layer's size.
fn take(
    store: &Store,
    source: &dyn ImageSource,
    entry: &Descriptor,
    key: StepKey,
) -> Result<u64, ImageError> {
    let document = format!("the record of the step {key}");
    let wrong = |reason: String| ImageError::invalid(&document, reason);
    if entry.size > artifact::MANIFEST_LIMIT {
        return Err(ImageError::TooLarge {
            document,
            size: entry.size,
            limit: artifact::MANIFEST_LIMIT,
        });
    }
    let text = source.document(entry)?;
    let (found, found_size) = (Digest::of(&text), text.len() as u64);
    if (found, found_size) != (entry.digest, entry.size) {
        return Err(ImageError::Mismatch {
            document,
            expected_size: entry.size,
            found,
            found_size,
        });
    }
    let record = artifact::read(&key, &entry.media_type, &text);
    let record = record.map_err(|error| wrong(error.to_string()))?;
    let size = record.layer.as_ref().map_or(0, |layer| layer.size);
    if let StepLookup::Hit(known) = store.step(&key)?
        && known.source.is_none()
    {
        return Ok(size);
    }
    if let Some(layer) = &record.layer {
        source.import(store, &layer.digest, layer.size)?;
        if content::diff_id(store, layer)? != Some(layer.diff_id) {
            return Err(wrong(format!(
                "its layer {} has not the diffID that it says",
                layer.digest
            )));
        }
    }
    store.put_step(&record)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DiffId;
    use crate::store::{LayerDescriptor, StepRecord};
    use std::fs;
    use std::io::Write as _;

    struct Sample {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Sample {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("store")).unwrap();
            Self { folder, store }
        }

        fn record(&self, name: &str, content: Option<&str>) -> StepRecord {
            let layer = content.map(|content| {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                gzip.write_all(content.as_bytes()).unwrap();
                let blob = gzip.finish().unwrap();
                LayerDescriptor {
                    diff_id: DiffId(Digest::of(content)),
                    digest: self.store.put_blob(&blob).unwrap(),
                    size: blob.len() as u64,
                    media_type: MediaType::ImageLayerGzip,
                }
            });
            let record = StepRecord {
                key: StepKey(Digest::of(name)),
                layer,
                provisioner: name.to_owned(),
                log: "log\n".to_owned(),
                created: "2026-01-01T00:00:00Z".to_owned(),
                seconds: 2.0,
                epoch: None,
                source: None,
                private: false,
                shared: Vec::new(),
            };
            self.store.put_step(&record).unwrap();
            record
        }

        fn blobs(&self) -> usize {
            self.store.blobs().unwrap().len()
        }
    }

    #[test]
    fn records_come_back_from_folders_and_archives() {
        let from = Sample::new();
        let records = [from.record("a", Some("one")), from.record("b", None)];
        let blobs = from.blobs();
        for name in ["folder", "file.tar"] {
            let path = from.folder.path().join(name);
            for _ in 0..2 {
                let done = export(&from.store, &path, &[]).unwrap();
                assert_eq!((done.records, done.skipped.len()), (2, 0), "{name}");
            }
            let to = Sample::new();
            for _ in 0..2 {
                let done = import(&to.store, &path).unwrap();
                assert_eq!((done.records, done.skipped.len()), (2, 0), "{name}");
            }
            for record in &records {
                let found = to.store.step(&record.key).unwrap();
                assert_eq!(found, StepLookup::Hit(Box::new(record.clone())), "{name}");
            }
        }
        assert_eq!(from.blobs(), blobs + 1, "only the empty object is left");
    }

    #[test]
    fn tests_that_have_passed_stay_here() {
        let from = Sample::new();
        let key = StepKey(Digest::of("test"));
        let record = StepRecord::passed_test(key, "runs", "2026-01-01T00:00:00Z".to_owned(), 1.0);
        from.store.put_step(&record).unwrap();
        let done = export(&from.store, &from.folder.path().join("x"), &[]).unwrap();
        assert_eq!((done.records, done.skipped.len()), (0, 0));
    }

    #[test]
    fn what_is_not_here_is_not_exported() {
        let from = Sample::new();
        let record = from.record("a", Some("one"));
        let digest = record.layer.unwrap().digest;
        from.store.add_origin(&digest, "example.com/a").unwrap();
        from.store.remove_blob(&digest).unwrap();
        let done = export(&from.store, &from.folder.path().join("x"), &[]).unwrap();
        assert_eq!((done.records, done.skipped.len()), (0, 1));
    }

    #[test]
    fn what_is_wrong_is_left_out() {
        let from = Sample::new();
        let good = from.record("good", Some("one"));
        let mut lying = from.record("lying", Some("two"));
        lying.layer.as_mut().unwrap().diff_id = DiffId(Digest::of("three"));
        from.store.put_step(&lying).unwrap();
        let damaged = from.record("damaged", Some("four"));
        let lost = from.record("lost", Some("five"));
        let layout = from.folder.path().join("layout");
        assert_eq!(export(&from.store, &layout, &[]).unwrap().records, 4);
        let blob = |record: &StepRecord| {
            let hex = record.layer.as_ref().unwrap().digest.hex();
            layout.join("blobs/sha256").join(hex)
        };
        let size = fs::metadata(blob(&damaged)).unwrap().len();
        fs::write(blob(&damaged), vec![b'x'; size as usize]).unwrap();
        fs::remove_file(blob(&lost)).unwrap();

        let to = Sample::new();
        let done = import(&to.store, &layout).unwrap();
        assert_eq!((done.records, done.skipped.len()), (1, 3));
        assert!(matches!(
            to.store.step(&good.key).unwrap(),
            StepLookup::Hit(_)
        ));
        for record in [lying, damaged, lost] {
            assert_eq!(to.store.step(&record.key).unwrap(), StepLookup::Miss);
        }
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        let to = Sample::new();
        for name in ["folder", "file.tar"] {
            let path = to.folder.path().join(name);
            assert!(import(&to.store, &path).is_err());
            match name {
                "folder" => fs::create_dir(&path).unwrap(),
                _ => fs::write(&path, "no tar").unwrap(),
            }
            assert!(import(&to.store, &path).is_err());
        }
    }
}
