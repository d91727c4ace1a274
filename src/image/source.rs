//! Sources of images: places with an index and blobs, and how one image is found in them.
//!
//! A *source* gives documents and blobs by digest: a layout, an archive, the store. Finding an
//! image reads its index, manifest and configuration and nothing else; the layers follow with
//! [`import_layers`] when somebody needs them.

use super::manifest::{DOCUMENT_LIMIT, DocumentKind, Manifest, ManifestList, layer_media_type};
use super::{Image, ImageConfiguration, ImageError};
use crate::digest::Digest;
use crate::store::index::{Index, REFERENCE_NAME};
use crate::store::{Descriptor, LayerDescriptor, Platform, Store};
use std::collections::BTreeSet;

/// The full name that containerd gives an image in a layout, beside the plain tag.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Says that a manifest of an index describes another one, and is no image (BuildKit).
const ATTESTATION: &str = "vnd.docker.reference.type";
/// Indexes within indexes; two levels occur in practice.
const DEPTH_LIMIT: usize = 4;
/// Documents looked at while one image is searched.
const SEARCH_LIMIT: usize = 256;

/// A place that images are read from.
pub trait ImageSource: Sync {
    /// The place, for messages.
    fn place(&self) -> String;

    /// The `index.json`.
    fn index(&self) -> Result<Vec<u8>, ImageError>;

    /// A manifest, an index or a configuration of at most [`DOCUMENT_LIMIT`] bytes, read whole. The
    /// caller verifies it.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError>;

    /// Brings a blob into the store, verified.
    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError>;
}

/// Finds an image in `source` and puts its manifest and configuration into the store.
///
/// `reference` is a name or a digest; without one, the source must have just one image (or one
/// for `platform`).
pub fn resolve(
    source: &dyn ImageSource,
    store: &Store,
    reference: Option<&str>,
    platform: &Platform,
) -> Result<Image, ImageError> {
    let candidates = choose(source, &entries(source)?, reference)?;
    search(source, store, &candidates, platform, false)
}

/// Finds the image that `descriptor` names, in `source`; of an index, the one for `platform`.
pub fn load_from(
    source: &dyn ImageSource,
    store: &Store,
    descriptor: &Descriptor,
    platform: &Platform,
) -> Result<Image, ImageError> {
    // A manifest that was asked for by itself is for whatever it is for.
    let any_platform = DocumentKind::of(&descriptor.media_type) == Some(DocumentKind::Manifest);
    let candidates = std::slice::from_ref(descriptor);
    search(source, store, candidates, platform, any_platform)
}

/// The entry that `reference`, a name or a digest, means in `source`; without one, `source` must
/// have just one. Artifacts beside an image do not count.
pub fn entry(source: &dyn ImageSource, reference: Option<&str>) -> Result<Descriptor, ImageError> {
    let entries = entries(source)?;
    let found = choose(source, &entries, reference)?;
    let digests: BTreeSet<_> = found.iter().map(|entry| entry.digest).collect();
    match found.into_iter().next() {
        Some(entry) if digests.len() == 1 => Ok(entry),
        _ => Err(ImageError::AmbiguousReference {
            place: source.place(),
            names: digests
                .iter()
                .map(Digest::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// All entries of the index of `source`.
pub fn entries(source: &dyn ImageSource) -> Result<Vec<Descriptor>, ImageError> {
    let text = source.index()?;
    let index = Index::parse(&text).map_err(|error| {
        ImageError::invalid(
            &format!("the index of {}", source.place()),
            error.to_string(),
        )
    })?;
    Ok(index.entries().collect())
}

/// Brings those layers of `image` into the store that are not there yet.
pub fn import_layers(
    source: &dyn ImageSource,
    store: &Store,
    layers: &[LayerDescriptor],
) -> Result<(), ImageError> {
    for layer in layers {
        if !store.has_blob(&layer.digest, layer.size)? {
            source.import(store, &layer.digest, layer.size)?;
        }
    }
    Ok(())
}

impl ImageSource for Store {
    fn place(&self) -> String {
        format!("the store {}", self.root().display())
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        Ok(self.index_text()?)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        Ok(self.read_blob(&descriptor.digest, DOCUMENT_LIMIT)?)
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        let mut file = self.open_blob(digest)?;
        Ok(store.import_blob(
            crate::store::blob::BlobInput::Reader(&mut file),
            digest,
            size,
        )?)
    }
}

/// The entries that `reference` may mean.
fn choose(
    source: &dyn ImageSource,
    entries: &[Descriptor],
    reference: Option<&str>,
) -> Result<Vec<Descriptor>, ImageError> {
    let name = |entry: &Descriptor| entry.annotations.get(REFERENCE_NAME).cloned();
    let names = || {
        let names: BTreeSet<String> = entries
            .iter()
            .map(|entry| name(entry).unwrap_or_else(|| entry.digest.to_string()))
            .collect();
        match names.len() {
            0 => "no images".to_owned(),
            _ => names.into_iter().collect::<Vec<_>>().join(", "),
        }
    };
    let Some(wanted) = reference else {
        let images: Vec<_> = entries
            .iter()
            .filter(|it| !is_artifact(it))
            .cloned()
            .collect();
        let entries = if images.is_empty() { entries } else { &images };
        let different: BTreeSet<_> = entries.iter().map(|entry| entry.digest).collect();
        let platforms = entries.iter().all(|entry| entry.platform.is_some());
        return match different.len() {
            0 => Err(ImageError::NotASource {
                place: source.place(),
                expected: "a place with images",
                reason: "its index is empty".to_owned(),
            }),
            1 => Ok(entries.to_vec()),
            // One image for several platforms, without an index of its own.
            _ if platforms
                && entries
                    .iter()
                    .filter_map(name)
                    .collect::<BTreeSet<_>>()
                    .len()
                    <= 1 =>
            {
                Ok(entries.to_vec())
            }
            _ => Err(ImageError::AmbiguousReference {
                place: source.place(),
                names: names(),
            }),
        };
    };
    let found: Vec<_> = entries
        .iter()
        .filter(|entry| {
            name(entry).as_deref() == Some(wanted)
                || entry.annotations.get(CONTAINERD_NAME).map(String::as_str) == Some(wanted)
                || entry.digest.to_string() == wanted
        })
        .cloned()
        .collect();
    if found.is_empty() {
        return Err(ImageError::UnknownReference {
            place: source.place(),
            wanted: wanted.to_owned(),
            names: names(),
        });
    }
    Ok(found)
}

/// Searches `candidates`, and the indexes among them, for the image for `platform`.
fn search(
    source: &dyn ImageSource,
    store: &Store,
    candidates: &[Descriptor],
    platform: &Platform,
    any_platform: bool,
) -> Result<Image, ImageError> {
    let mut search = Search {
        source,
        platform,
        any_platform,
        available: BTreeSet::new(),
        looked_at: 0,
    };
    // A single manifest must be an image; in a list, what is none is passed over.
    let strict = candidates.len() == 1;
    let Some(found) = search.among(candidates, strict, 0)? else {
        let available: Vec<_> = search.available.into_iter().collect();
        return Err(ImageError::NoPlatform {
            place: source.place(),
            wanted: platform.to_string(),
            available: match available.is_empty() {
                true => "no image at all".to_owned(),
                false => available.join(", "),
            },
        });
    };
    store.put_blob(&found.config_text)?;
    store.put_blob(&found.manifest_text)?;
    Ok(found.image)
}

struct Search<'a> {
    source: &'a dyn ImageSource,
    platform: &'a Platform,
    any_platform: bool,
    /// Platforms that there are, for the message.
    available: BTreeSet<String>,
    looked_at: usize,
}

struct Found {
    image: Image,
    manifest_text: Vec<u8>,
    config_text: Vec<u8>,
}

impl Search<'_> {
    /// The best image among `candidates`: those that say that they fit come first, then those
    /// that do not say, each in the order of the index.
    fn among(
        &mut self,
        candidates: &[Descriptor],
        strict: bool,
        depth: usize,
    ) -> Result<Option<Found>, ImageError> {
        let mut ranked = Vec::new();
        for candidate in candidates {
            if !strict && is_artifact(candidate) {
                continue;
            }
            match &candidate.platform {
                Some(offered) => match rank(offered, self.platform) {
                    Some(rank) => ranked.push((rank, candidate)),
                    None => drop(self.available.insert(offered.to_string())),
                },
                None => ranked.push((u8::MAX, candidate)),
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        for (_, candidate) in ranked {
            if let Some(found) = self.within(candidate, strict, depth)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn within(
        &mut self,
        descriptor: &Descriptor,
        strict: bool,
        depth: usize,
    ) -> Result<Option<Found>, ImageError> {
        self.looked_at += 1;
        match DocumentKind::of(&descriptor.media_type) {
            Some(DocumentKind::Index) => {
                let document = format!("the index {}", descriptor.digest);
                if depth >= DEPTH_LIMIT || self.looked_at > SEARCH_LIMIT {
                    return Err(ImageError::TooNested { document });
                }
                let text = read(self.source, &document, descriptor)?;
                let list = ManifestList::parse(&document, &descriptor.media_type, &text)?;
                self.among(&list.manifests, false, depth + 1)
            }
            Some(DocumentKind::Manifest) if self.looked_at > SEARCH_LIMIT => {
                let document = format!("the manifest {}", descriptor.digest);
                Err(ImageError::TooNested { document })
            }
            Some(DocumentKind::Manifest) => self.image(descriptor, strict),
            None if strict => Err(ImageError::NotAnImage {
                document: descriptor.digest.to_string(),
                media_type: descriptor.media_type.to_string(),
            }),
            None => Ok(None),
        }
    }

    /// The image of a manifest; none if it is for another platform.
    fn image(
        &mut self,
        descriptor: &Descriptor,
        strict: bool,
    ) -> Result<Option<Found>, ImageError> {
        let document = format!("the manifest {}", descriptor.digest);
        let manifest_text = read(self.source, &document, descriptor)?;
        let manifest = Manifest::parse(&document, &descriptor.media_type, &manifest_text)?;
        if !manifest.is_image() {
            if !strict {
                return Ok(None);
            }
            let media_type = manifest.config.media_type.to_string();
            return Err(ImageError::NotAnImage {
                document,
                media_type,
            });
        }
        let config_document = format!("the configuration {}", manifest.config.digest);
        let config_text = read(self.source, &config_document, &manifest.config)?;
        let config = ImageConfiguration::parse(&config_document, &config_text)?;
        let layers = layers(&document, &manifest, &config)?;
        let offered = config.platform();
        if !self.any_platform && rank(&offered, self.platform).is_none() {
            self.available.insert(offered.to_string());
            return Ok(None);
        }
        let image = Image {
            manifest: descriptor.plain(),
            config_descriptor: manifest.config.plain(),
            config,
            layers,
            annotations: manifest.annotations,
        };
        Ok(Some(Found {
            image,
            manifest_text,
            config_text,
        }))
    }
}

/// Reads and verifies the document of a descriptor; `document` names it in errors.
pub fn read(
    source: &dyn ImageSource,
    document: &str,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, ImageError> {
    if descriptor.size > DOCUMENT_LIMIT {
        return Err(ImageError::TooLarge {
            document: document.to_owned(),
            size: descriptor.size,
            limit: DOCUMENT_LIMIT,
        });
    }
    let text = source.document(descriptor)?;
    let found = Digest::of(&text);
    let found_size = text.len() as u64;
    if found != descriptor.digest || found_size != descriptor.size {
        return Err(ImageError::Mismatch {
            document: document.to_owned(),
            expected_size: descriptor.size,
            found,
            found_size,
        });
    }
    Ok(text)
}

/// Pairs the layers of a manifest with their diffIDs.
fn layers(
    document: &str,
    manifest: &Manifest,
    config: &ImageConfiguration,
) -> Result<Vec<LayerDescriptor>, ImageError> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let reason = format!(
            "it has {} layers, and its configuration {}",
            manifest.layers.len(),
            diff_ids.len()
        );
        return Err(ImageError::invalid(document, reason));
    }
    manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| {
            let media_type = layer_media_type(&layer.media_type).ok_or_else(|| {
                let reason = format!("its layer {} is {}", layer.digest, layer.media_type);
                ImageError::invalid(document, reason)
            })?;
            Ok(LayerDescriptor {
                diff_id: *diff_id,
                digest: layer.digest,
                size: layer.size,
                media_type,
            })
        })
        .collect()
}

/// How well `offered` fits `wanted`: the lower the better; none if it does not.
fn rank(offered: &Platform, wanted: &Platform) -> Option<u8> {
    let same = |a: &str, b: &str| a.is_empty() || a == b;
    if !same(&offered.os.to_string(), &wanted.os.to_string())
        || !same(
            &offered.architecture.to_string(),
            &wanted.architecture.to_string(),
        )
    {
        return None;
    }
    match (variant(offered), variant(wanted)) {
        (offered, wanted) if offered == wanted => Some(0),
        (None, Some(_)) | (Some(_), None) => Some(1),
        _ => None,
    }
}

/// The variant, none where it is the only one that there is.
fn variant(platform: &Platform) -> Option<&str> {
    match (
        platform.architecture.to_string().as_str(),
        platform.variant.as_deref(),
    ) {
        ("arm64", Some("v8")) | ("amd64", Some("v1")) | (_, Some("")) => None,
        (_, variant) => variant,
    }
}

fn is_artifact(descriptor: &Descriptor) -> bool {
    let unknown = |platform: &Platform| {
        platform.os.to_string() == "unknown" && platform.architecture.to_string() == "unknown"
    };
    descriptor.artifact_type.is_some()
        || descriptor.annotations.contains_key(ATTESTATION)
        || descriptor.platform.as_ref().is_some_and(unknown)
}

#[cfg(test)]
mod tests;
