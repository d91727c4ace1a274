//! References: names of images in the store.
//!
//! A *reference* is an entry of `index.json`: a name and the manifest that it points at. Several
//! names may point at one manifest; setting a name again moves it.

use super::index::{Index, REFERENCE_NAME};
use super::write::{self, Durability};
use super::{Descriptor, Store, StoreError};
use crate::digest::Digest;
use oci_spec::image::MediaType;
use serde::Deserialize;
use std::ops::ControlFlow;

/// The annotation that says when an image was built here. It stands in the store's index, not
/// in the image, so that the image's digest does not depend on it.
const BUILT: &str = "org.hardtack.built";
/// More than a hundred thousand references.
const INDEX_LIMIT: u64 = 64 * 1024 * 1024;
/// No larger manifest is read (OCI distribution specification, "Pushing manifests").
pub(crate) const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// Shorter prefixes of digests would soon be ambiguous.
const SHORTEST_PREFIX: usize = 6;
const LONGEST_NAME: usize = 1024;

/// A manifest in the store, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its name; entries of other tools may have none.
    pub name: Option<String>,
    /// When hardtack built it, in RFC 3339.
    pub built: Option<String>,
    /// The manifest, or an index of several.
    pub descriptor: Descriptor,
}

impl Store {
    /// All references, sorted by name.
    pub fn references(&self) -> Result<Vec<Reference>, StoreError> {
        let mut references: Vec<_> = self.read_index()?.entries().map(Reference::from).collect();
        references
            .sort_by(|a, b| (&a.name, a.descriptor.digest).cmp(&(&b.name, b.descriptor.digest)));
        Ok(references)
    }

    /// What the entries of `index.json` name, also those of other tools.
    pub fn named_documents(&self) -> Result<Vec<Digest>, StoreError> {
        Ok(self.read_index()?.digests().collect())
    }

    /// Finds an image by its name, its digest, or the first six or more digits of its digest.
    pub fn resolve(&self, text: &str) -> Result<Descriptor, StoreError> {
        let references = self.references()?;
        let named = references
            .iter()
            .filter(|reference| reference.name.as_deref() == Some(text));
        if let Some(found) = only(text, named)? {
            return Ok(found);
        }
        let unknown = || StoreError::UnknownReference {
            text: text.to_owned(),
        };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() < SHORTEST_PREFIX || !digits.bytes().all(hexadecimal) {
            return Err(unknown());
        }
        let prefixed = references
            .iter()
            .filter(|reference| reference.descriptor.digest.hex().starts_with(digits));
        if let Some(found) = only(text, prefixed)? {
            return Ok(found);
        }
        // An image whose name has moved on is still there under its digest.
        match Digest::from_hex(digits) {
            Ok(digest) => self.describe_manifest(&digest)?.ok_or_else(unknown),
            Err(_) => Err(unknown()),
        }
    }

    /// Makes `name` point at `descriptor`, whose blob must be stored. `built` is the time of the
    /// build in RFC 3339.
    pub fn set_reference(
        &self,
        name: &str,
        descriptor: &Descriptor,
        built: Option<&str>,
    ) -> Result<(), StoreError> {
        check_name(name)?;
        self.require_blob(descriptor)?;
        let mut descriptor = descriptor.clone();
        if let Some(built) = built {
            descriptor
                .annotations
                .insert(BUILT.to_owned(), built.to_owned());
        }
        self.change_index(|index| {
            index
                .set(name, &descriptor)
                .map_err(|source| StoreError::Syntax {
                    path: self.folder("index.json"),
                    source,
                })
        })
    }

    /// Lists a manifest that has no name, unless it is listed; its blob must be stored.
    pub fn add_unnamed(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        self.require_blob(descriptor)?;
        self.change_index(|index| {
            index
                .enter(None, descriptor)
                .map_err(|source| StoreError::Syntax {
                    path: self.folder("index.json"),
                    source,
                })
        })
    }

    fn require_blob(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        if self.has_blob(&descriptor.digest, descriptor.size)? {
            return Ok(());
        }
        Err(StoreError::MissingBlob {
            digest: descriptor.digest,
            store: self.root().to_owned(),
        })
    }

    /// Removes a name; says whether it existed. The blobs stay.
    pub fn remove_reference(&self, name: &str) -> Result<bool, StoreError> {
        let mut existed = false;
        self.change_index(|index| {
            existed = index.remove(name);
            Ok(())
        })?;
        Ok(existed)
    }

    /// The text of `index.json`.
    pub(crate) fn index_text(&self) -> Result<Vec<u8>, StoreError> {
        write::read_limited(&self.folder("index.json"), INDEX_LIMIT)
    }

    fn read_index(&self) -> Result<Index, StoreError> {
        let path = self.folder("index.json");
        let text = self.index_text()?;
        Index::parse(&text).map_err(|source| StoreError::Index { path, source })
    }

    fn change_index(
        &self,
        change: impl FnOnce(&mut Index) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _guard = self.lock("index", "", || ControlFlow::Continue(()))?;
        let before = self.read_index()?;
        let mut after = before.clone();
        change(&mut after)?;
        if after == before {
            return Ok(());
        }
        let path = self.folder("index.json");
        write::sync_parent(&self.folder("blobs/sha256").join("any"))?;
        write::write_atomically(
            &self.folder("tmp"),
            &path,
            &after.to_bytes(),
            Durability::Forced,
        )
    }

    /// The descriptor of a stored blob that is a manifest or an index; none for other blobs.
    pub fn describe_manifest(&self, digest: &Digest) -> Result<Option<Descriptor>, StoreError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: u32,
            media_type: Option<MediaType>,
            config: Option<serde::de::IgnoredAny>,
        }
        match self.blob_size(digest)? {
            Some(size) if size <= MANIFEST_LIMIT => {
                let text = self.read_blob(digest, MANIFEST_LIMIT)?;
                let Ok(kind) = serde_json::from_slice::<Kind>(&text) else {
                    return Ok(None);
                };
                let media_type = match kind {
                    Kind {
                        schema_version: 2,
                        media_type: Some(media_type),
                        ..
                    } => media_type,
                    Kind {
                        schema_version: 2,
                        config: Some(_),
                        ..
                    } => MediaType::ImageManifest,
                    _ => return Ok(None),
                };
                Ok(Some(Descriptor::new(media_type, *digest, size)))
            }
            _ => Ok(None),
        }
    }
}

impl From<Descriptor> for Reference {
    fn from(mut descriptor: Descriptor) -> Self {
        Self {
            name: descriptor.annotations.remove(REFERENCE_NAME),
            built: descriptor.annotations.remove(BUILT),
            descriptor,
        }
    }
}

/// The one manifest among `references`; none if there are none.
fn only<'a>(
    text: &str,
    references: impl Iterator<Item = &'a Reference>,
) -> Result<Option<Descriptor>, StoreError> {
    let mut found: Vec<&Descriptor> = references.map(|reference| &reference.descriptor).collect();
    found.sort_by_key(|descriptor| descriptor.digest);
    found.dedup_by_key(|descriptor| descriptor.digest);
    if found.len() > 1 {
        return Err(StoreError::AmbiguousReference {
            text: text.to_owned(),
            candidates: found
                .iter()
                .map(|descriptor| descriptor.digest.to_string())
                .collect(),
        });
    }
    Ok(found.first().map(|descriptor| (*descriptor).clone()))
}

/// Checks that `name` may name an image (OCI image layout, "org.opencontainers.image.ref.name").
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    let allowed = |byte: u8| letter(byte) || b"-._:@+/".contains(&byte);
    let bytes = name.as_bytes();
    let valid = bytes.len() <= LONGEST_NAME
        && bytes.first().copied().is_some_and(letter)
        && bytes.last().copied().is_some_and(letter)
        && bytes.iter().copied().all(allowed)
        && !name.contains("//")
        && name.parse::<Digest>().is_err();
    if valid {
        return Ok(());
    }
    Err(StoreError::Name {
        kind: "image name",
        name: name.to_owned(),
        rule: "letters, digits and -._:@+/ with a letter or digit at both ends, and no digest",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn manifest(store: &Store, text: &str) -> Descriptor {
        let digest = store.put_blob(text.as_bytes()).unwrap();
        Descriptor::new(MediaType::ImageManifest, digest, text.len() as u64)
    }

    #[test]
    fn names_point_move_and_go() {
        let (_folder, store) = store();
        let (a, b) = (manifest(&store, "a"), manifest(&store, "b"));
        store
            .set_reference("one", &a, Some("2026-01-01T00:00:00Z"))
            .unwrap();
        store.set_reference("two", &a, None).unwrap();
        assert_eq!(store.resolve("one").unwrap().digest, a.digest);
        assert_eq!(store.resolve("two").unwrap().digest, a.digest);
        store.set_reference("one", &b, None).unwrap();
        assert_eq!(store.resolve("one").unwrap().digest, b.digest);
        let names: Vec<_> = store.references().unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(names[0].name.as_deref(), Some("one"));
        assert_eq!(names[0].built, None);
        assert!(store.remove_reference("one").unwrap());
        assert!(!store.remove_reference("one").unwrap());
        assert!(matches!(
            store.resolve("one"),
            Err(StoreError::UnknownReference { .. })
        ));
    }

    #[test]
    fn digests_and_their_beginnings_are_found() {
        let (_folder, store) = store();
        let text = r#"{"schemaVersion":2,"config":{}}"#;
        let (a, b) = (manifest(&store, text), manifest(&store, "b"));
        store.set_reference("name", &a, None).unwrap();
        let hex = a.digest.hex();
        for text in [
            &hex,
            &format!("sha256:{hex}"),
            &hex[..6],
            &format!("sha256:{}", &hex[..9]),
        ] {
            assert_eq!(store.resolve(text).unwrap().digest, a.digest, "{text}");
        }
        assert!(store.resolve(&hex[..5]).is_err());
        store.set_reference("name", &b, None).unwrap();
        assert_eq!(store.resolve(&hex).unwrap(), a, "found without a name");
        assert!(store.resolve(&hex[..8]).is_err());
        assert!(
            store
                .resolve(&format!("sha256:{}", "0".repeat(64)))
                .is_err()
        );
        assert!(store.resolve("../../etc/passwd").is_err());
    }

    #[test]
    fn a_name_used_twice_by_another_tool_is_ambiguous() {
        let (_folder, store) = store();
        let (a, b) = (manifest(&store, "a"), manifest(&store, "b"));
        store.set_reference("x", &a, None).unwrap();
        store.set_reference("y", &b, None).unwrap();
        let path = store.folder("index.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"y\"", "\"x\"")).unwrap();
        assert!(matches!(
            store.resolve("x"),
            Err(StoreError::AmbiguousReference { candidates, .. }) if candidates.len() == 2
        ));
    }

    #[test]
    fn a_reference_needs_its_blob_and_a_fair_name() {
        let (_folder, store) = store();
        let absent = Descriptor::new(MediaType::ImageManifest, Digest::of("absent"), 6);
        assert!(matches!(
            store.set_reference("x", &absent, None),
            Err(StoreError::MissingBlob { .. })
        ));
        let a = manifest(&store, "a");
        for name in ["web.oci.base", "localhost:5000/a/b:1.0", "a", "A_b-c+d@e"] {
            store.set_reference(name, &a, None).unwrap();
        }
        let long = "a".repeat(1025);
        for name in [
            "",
            "/",
            "a/",
            ".a",
            "a//b",
            "a b",
            "ü",
            "a\n",
            &long,
            &a.digest.to_string(),
        ] {
            assert!(
                matches!(
                    store.set_reference(name, &a, None),
                    Err(StoreError::Name { .. })
                ),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_damaged_index_is_named() {
        let (_folder, store) = store();
        fs::write(store.folder("index.json"), b"{").unwrap();
        let error = store.references().unwrap_err();
        assert!(error.to_string().contains("index.json"), "{error}");
    }

    #[test]
    fn writers_at_once_lose_no_name() {
        let (_folder, store) = store();
        let a = manifest(&store, "a");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, a) = (&store, &a);
                scope.spawn(move || {
                    for number in 0..10 {
                        store
                            .set_reference(&format!("t{thread}.n{number}"), a, None)
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(store.references().unwrap().len(), 40);
    }
}
