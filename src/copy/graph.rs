//! Graphs: the documents and blobs that belong to one manifest or index.
//!
//! They are found by their digests alone, and each is read once, so that documents which list each
//! other end the search instead of prolonging it. What comes from elsewhere is hostile: there are
//! limits on depth, number and size, far above what real images have.

use super::CopyError;
use super::origin::Origin;
use crate::digest::Digest;
use crate::image::manifest::{DocumentKind, Manifest, ManifestList};
use crate::image::{self, ImageError, ImageSource};
use crate::registry::push::PARALLEL;
use crate::registry::{RegistryError, parallel};
use crate::store::index::REFERENCE_NAME;
use crate::store::{Descriptor, StoreError};
use oci_spec::image::MediaType;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Indexes within indexes; two levels occur in practice.
const DEPTH_LIMIT: usize = 4;
/// What cosign appends to the tag of a digest, for signatures, attestations and bills of materials:
/// its way to refer to an image before registries kept lists of that.
const COMPANIONS: [&str; 3] = ["sig", "att", "sbom"];
/// Manifests and indexes together.
const DOCUMENT_LIMIT: usize = 1000;
const DOCUMENTS: &str = "1000 manifests";
/// Bytes of all of them together.
const TEXT_LIMIT: u64 = 64 * 1024 * 1024;

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Its descriptor, with what whoever lists it says of it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub text: Vec<u8>,
    /// What it refers to.
    pub subject: Option<Digest>,
}

/// All that is copied.
#[derive(Debug)]
pub(super) struct Graph {
    /// What the name stands for.
    pub root: Document,
    /// All other documents, each behind those that it lists.
    pub others: Vec<Document>,
    /// Those of the others that nothing lists: they refer to something.
    pub referrers: Vec<Descriptor>,
    /// Those of the others that refer to something by a tag of their own, and that tag.
    pub companions: Vec<(String, Descriptor)>,
    /// The blobs, each once, by digest.
    pub blobs: Vec<Descriptor>,
}

/// The fields that matter of a document that refers to another one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<MediaType>,
    #[serde(default)]
    config: Option<Descriptor>,
}

/// The descriptor of a referrer with its kind, as lists of referrers have it (distribution
/// specification, "Listing Referrers"), so that nobody takes it for an image; and without the name
/// that it may have where it comes from.
fn as_listed(descriptor: &Descriptor, text: &[u8]) -> Descriptor {
    let mut descriptor = descriptor.clone();
    descriptor.annotations.remove(REFERENCE_NAME);
    if let (None, Ok(referring)) = (&descriptor.artifact_type, serde_json::from_slice(text)) {
        let Referring {
            artifact_type,
            config,
            ..
        } = referring;
        descriptor.artifact_type = artifact_type.or(config.map(|config| config.media_type));
    }
    descriptor
}

/// What a document refers to.
pub(super) fn subject(text: &[u8]) -> Option<Digest> {
    let referring: Referring = serde_json::from_slice(text).ok()?;
    referring.subject.map(|subject| subject.digest)
}

impl Graph {
    /// Reads all documents that `root` stands for, and those that refer to one of them.
    pub fn read(origin: &Origin<'_>, root: Descriptor, referrers: bool) -> Result<Self, CopyError> {
        let mut walk = Walk {
            origin,
            documents: Vec::new(),
            seen: BTreeSet::new(),
            blobs: BTreeMap::new(),
            bytes: 0,
        };
        walk.visit("what was asked for", &root, 0)?;
        // The root came last, since it lists the others; its place is the end.
        let Some(root) = walk.documents.pop() else {
            return Err(ImageError::MissingBlob {
                place: origin.place(),
                digest: root.digest,
            }
            .into());
        };
        let mut referring = Vec::new();
        let mut companions = Vec::new();
        if referrers {
            let documents = walk.documents.iter().chain([&root]);
            let mut asked: Vec<Digest> = documents.map(|it| it.descriptor.digest).collect();
            companions = walk.visit_companions(&asked)?;
            while let Some(subject) = asked.pop() {
                let found = walk.visit_referrers(&subject)?;
                asked.extend(found.iter().flat_map(|(_, new)| new));
                referring.extend(found.into_iter().map(|(descriptor, _)| descriptor));
            }
        }
        Ok(Self {
            root,
            others: walk.documents,
            referrers: referring,
            companions,
            blobs: walk.blobs.into_values().collect(),
        })
    }
}

struct Walk<'a> {
    origin: &'a Origin<'a>,
    /// In the order in which they can be written.
    documents: Vec<Document>,
    seen: BTreeSet<Digest>,
    blobs: BTreeMap<Digest, Descriptor>,
    bytes: u64,
}

impl Walk<'_> {
    /// Reads a document that `parent` lists, and all that it lists itself.
    fn visit(
        &mut self,
        parent: &str,
        descriptor: &Descriptor,
        depth: usize,
    ) -> Result<(), CopyError> {
        let Some(kind) = self.admit(parent, descriptor, depth)? else {
            return Ok(());
        };
        let name = name_of(kind, &descriptor.digest);
        let text = image::read(self.origin, &name, descriptor)?;
        self.add(kind, descriptor, text, depth)
    }

    /// Checks a descriptor before anything is read; none for a document that was met before.
    fn admit(
        &mut self,
        parent: &str,
        descriptor: &Descriptor,
        depth: usize,
    ) -> Result<Option<DocumentKind>, CopyError> {
        let Some(kind) = DocumentKind::of(&descriptor.media_type) else {
            return Err(CopyError::Kind {
                document: parent.to_owned(),
                digest: descriptor.digest,
                media_type: descriptor.media_type.to_string(),
            });
        };
        if !self.seen.insert(descriptor.digest) {
            return Ok(None);
        }
        self.bytes = self.bytes.saturating_add(descriptor.size);
        let limit = match () {
            () if depth > DEPTH_LIMIT => "4 indexes within each other",
            () if self.seen.len() > DOCUMENT_LIMIT => DOCUMENTS,
            () if self.bytes > TEXT_LIMIT => "64 MiB of manifests",
            () => return Ok(Some(kind)),
        };
        let what = parent.to_owned();
        Err(CopyError::TooMuch { what, limit })
    }

    /// Adds a document that was read, and all that it lists before it.
    fn add(
        &mut self,
        kind: DocumentKind,
        descriptor: &Descriptor,
        text: Vec<u8>,
        depth: usize,
    ) -> Result<(), CopyError> {
        let name = name_of(kind, &descriptor.digest);
        match kind {
            DocumentKind::Index => {
                let list = ManifestList::parse(&name, &descriptor.media_type, &text)?;
                // Not only when the last one that is allowed has been read.
                if self.seen.len().saturating_add(list.manifests.len()) > DOCUMENT_LIMIT {
                    return Err(CopyError::TooMuch {
                        what: name,
                        limit: DOCUMENTS,
                    });
                }
                for listed in &list.manifests {
                    self.visit(&name, listed, depth + 1)?;
                }
            }
            DocumentKind::Manifest => {
                let manifest = Manifest::parse(&name, &descriptor.media_type, &text)?;
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    self.add_blob(&name, blob)?;
                }
            }
        }
        self.documents.push(Document {
            descriptor: descriptor.clone(),
            subject: subject(&text),
            text,
        });
        Ok(())
    }

    fn add_blob(&mut self, document: &str, blob: &Descriptor) -> Result<(), CopyError> {
        let known = self
            .blobs
            .entry(blob.digest)
            .or_insert_with(|| blob.plain());
        if known.size != blob.size {
            let (digest, size) = (blob.digest, known.size);
            let reason = format!(
                "it gives {digest} {} bytes, elsewhere it has {size}",
                blob.size
            );
            return Err(ImageError::invalid(document, reason).into());
        }
        Ok(())
    }

    /// Reads what refers to one of `subjects` by its tag.
    fn visit_companions(
        &mut self,
        subjects: &[Digest],
    ) -> Result<Vec<(String, Descriptor)>, CopyError> {
        let tags = subjects.iter().flat_map(|subject| {
            let tag = format!("sha256-{}", subject.hex());
            COMPANIONS.map(|kind| format!("{tag}.{kind}"))
        });
        let tags: Vec<String> = tags.collect();
        let found = Mutex::new(BTreeMap::new());
        parallel::for_each(&tags, PARALLEL, |tag| {
            if let Some(descriptor) = self.origin.tagged(tag)? {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(tag.clone(), descriptor);
            }
            Ok::<_, CopyError>(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (tag, descriptor) in &found {
            self.visit(tag, descriptor, 0)?;
        }
        Ok(found.into_iter().collect())
    }

    /// Reads what refers to a document: each referrer, and the digests of all documents that came
    /// with it.
    fn visit_referrers(
        &mut self,
        subject: &Digest,
    ) -> Result<Vec<(Descriptor, Vec<Digest>)>, CopyError> {
        let mut found = Vec::new();
        let list = format!("the list of what refers to {subject}");
        for descriptor in self.origin.referrers(subject)? {
            let Some(kind) = self.admit(&list, &descriptor, 0)? else {
                continue;
            };
            let name = name_of(kind, &descriptor.digest);
            let text = match image::read(self.origin, &name, &descriptor) {
                Ok(text) => text,
                // The list outlives what somebody removed.
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            // A list kept under a tag may hold what refers to something else, or to nothing.
            if self::subject(&text) != Some(*subject) {
                continue;
            }
            let before = self.documents.len();
            let descriptor = as_listed(&descriptor, &text);
            self.add(kind, &descriptor, text, 0)?;
            let new = self.documents.get(before..).unwrap_or_default();
            let digests = new.iter().map(|it| it.descriptor.digest).collect();
            found.push((descriptor, digests));
        }
        Ok(found)
    }
}

/// Whether a document is not where it was listed.
fn is_missing(error: &ImageError) -> bool {
    match error {
        ImageError::MissingBlob { .. } => true,
        ImageError::Store(error) => matches!(error, StoreError::MissingBlob { .. }),
        ImageError::Elsewhere(error) => matches!(
            error.downcast_ref::<RegistryError>(),
            Some(RegistryError::NotFound { .. })
        ),
        _ => false,
    }
}

/// A document in words.
fn name_of(kind: DocumentKind, digest: &Digest) -> String {
    match kind {
        DocumentKind::Index => format!("the index {digest}"),
        DocumentKind::Manifest => format!("the manifest {digest}"),
    }
}
