//! Docker archives: what `docker save` writes and `docker load` reads.
//!
//! Such an archive has a `manifest.json` that lists configurations and layers by file name, and
//! no manifests. Read, it looks like a layout whose manifests are made from that list; a layer
//! that is not compressed is named by its diffID, so that nothing is hashed before it is needed.

use super::archive::{Archive, Member, write_members};
use super::manifest::{Manifest, parse};
use super::source::ImageSource;
use super::{Image, ImageConfiguration, ImageError};
use crate::decompress::Compression;
use crate::digest::{DiffId, Digest, Hasher};
use crate::store::blob::BlobInput;
use crate::store::index::Index;
use crate::store::write::temporary_file;
use crate::store::{Descriptor, LayerDescriptor, Store, StoreError};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

/// One entry of `manifest.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An archive that `docker save` made.
#[derive(Debug)]
pub struct DockerArchive {
    archive: Archive,
    index: Index,
    /// Manifests that stand in no file.
    manifests: BTreeMap<Digest, Vec<u8>>,
    /// The files of configurations and layers.
    files: BTreeMap<Digest, String>,
}

impl DockerArchive {
    /// Reads the list and the configurations of an archive.
    pub(crate) fn new(archive: Archive) -> Result<Self, ImageError> {
        let document = format!("manifest.json of {}", archive.place());
        let entries: Vec<Entry> = parse(&document, &archive.read("manifest.json")?)?;
        let mut docker = Self {
            archive,
            index: Index::empty(),
            manifests: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        for entry in &entries {
            docker.add(&document, entry)?;
        }
        Ok(docker)
    }

    fn add(&mut self, document: &str, entry: &Entry) -> Result<(), ImageError> {
        let config_text = self.archive.read(&entry.config)?;
        let config = ImageConfiguration::parse(&format!("{:?}", entry.config), &config_text)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != entry.layers.len() {
            let reason = format!(
                "it lists {} layers, and the configuration {}",
                entry.layers.len(),
                diff_ids.len()
            );
            return Err(ImageError::invalid(document, reason));
        }
        let mut layers = Vec::new();
        for (name, diff_id) in entry.layers.iter().zip(diff_ids) {
            layers.push(self.layer(document, name, diff_id)?);
        }
        let config_digest = Digest::of(&config_text);
        self.files.insert(config_digest, entry.config.clone());
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest),
            config: Descriptor::new(
                MediaType::ImageConfig,
                config_digest,
                config_text.len() as u64,
            ),
            layers: layers.iter().map(LayerDescriptor::descriptor).collect(),
            annotations: BTreeMap::new(),
        };
        let unwritable = |source| ImageError::Json {
            document: document.to_owned(),
            source,
        };
        let text = serde_json::to_vec(&manifest).map_err(unwritable)?;
        let digest = Digest::of(&text);
        let descriptor = Descriptor::new(MediaType::ImageManifest, digest, text.len() as u64);
        self.manifests.insert(digest, text);
        let tags = entry.repo_tags.as_deref().unwrap_or_default();
        for tag in tags {
            self.index.set(tag, &descriptor).map_err(unwritable)?;
        }
        if tags.is_empty() {
            self.index.add(&descriptor).map_err(unwritable)?;
        }
        Ok(())
    }

    fn layer(
        &mut self,
        document: &str,
        name: &str,
        diff_id: &DiffId,
    ) -> Result<LayerDescriptor, ImageError> {
        let failed = |source| ImageError::Archive {
            place: format!("{document}, {name:?}"),
            source,
        };
        let mut start = Vec::new();
        self.archive
            .member(name)?
            .take(6)
            .read_to_end(&mut start)
            .map_err(failed)?;
        let media_type = match Compression::of(&start) {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
            other => {
                let reason = format!("the layer {name:?} is compressed with {other:?}");
                return Err(ImageError::invalid(document, reason));
            }
        };
        let (digest, size) = match media_type {
            MediaType::ImageLayer => (diff_id.0, self.archive.size(name).unwrap_or_default()),
            _ => Digest::of_reader(self.archive.member(name)?).map_err(failed)?,
        };
        self.files.insert(digest, name.to_owned());
        Ok(LayerDescriptor {
            diff_id: *diff_id,
            digest,
            size,
            media_type,
        })
    }

    fn file(&self, digest: &Digest) -> Result<&str, ImageError> {
        let name = self.files.get(digest).map(String::as_str);
        name.ok_or_else(|| ImageError::MissingBlob {
            place: self.place(),
            digest: *digest,
        })
    }
}

impl ImageSource for DockerArchive {
    fn place(&self) -> String {
        self.archive.place()
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        Ok(self.index.to_bytes())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let digest = &descriptor.digest;
        match self.manifests.get(digest) {
            Some(text) => Ok(text.clone()),
            None => self.archive.read(self.file(digest)?),
        }
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        let mut member = self.archive.member(self.file(digest)?)?;
        Ok(store.import_blob(BlobInput::Reader(&mut member), digest, size)?)
    }
}

/// Writes `image` as an archive for `docker load`, under `tags` (each `REPOSITORY:TAG`).
///
/// Gzip layers go in as they are. Zstandard ones are unpacked, since Docker reads them from
/// version 23 on only; their diffIDs are checked on the way. `path` is replaced when all is
/// written; the caller has all layers in the store.
pub fn write(store: &Store, image: &Image, path: &Path, tags: &[String]) -> Result<(), ImageError> {
    let tags = tags
        .iter()
        .map(|tag| check_tag(tag))
        .collect::<Result<Vec<_>, _>>()?;
    let config_name = format!("{}.json", image.config_descriptor.digest.hex());
    let config = &image.config_descriptor;
    let mut members = BTreeMap::from([(
        config_name.clone(),
        Member::Blob(config.digest, config.size),
    )]);
    let mut layers = Vec::new();
    for layer in &image.layers {
        let zstd = matches!(
            layer.media_type,
            MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd
        );
        let name = match zstd {
            true => format!("{}.tar", layer.diff_id.0.hex()),
            false => format!("{}.tar", layer.digest.hex()),
        };
        if !members.contains_key(&name) {
            let member = match zstd {
                true => unpack(store, layer)?,
                false => Member::Blob(layer.digest, layer.size),
            };
            members.insert(name.clone(), member);
        }
        layers.push(name);
    }
    let entry = Entry {
        config: config_name,
        repo_tags: Some(tags),
        layers,
    };
    let text = serde_json::to_vec(&[entry]).map_err(|source| ImageError::Json {
        document: "a new manifest.json".to_owned(),
        source,
    })?;
    members.insert("manifest.json".to_owned(), Member::Text(text));
    write_members(store, path, &members)
}

/// Unpacks a Zstandard layer into a nameless file. Its diffID tells whether all went well.
fn unpack(store: &Store, layer: &LayerDescriptor) -> Result<Member, ImageError> {
    let path = store.blob_path(&layer.digest);
    let failed = |source| StoreError::io("unpack the layer", &path, source);
    let compressed = store.open_blob(&layer.digest)?;
    let mut target = Hasher::new(temporary_file(&store.root().join("tmp"))?);
    io::copy(&mut Compression::Zstd.reader(compressed), &mut target).map_err(failed)?;
    let (digest, size, file) = target.finish();
    if digest != layer.diff_id.0 {
        return Err(ImageError::invalid(
            &format!("the layer {}", layer.digest),
            format!(
                "it unpacks to {digest} instead of its diffID {}",
                layer.diff_id
            ),
        ));
    }
    Ok(Member::File(file.into_file(), size))
}

/// Checks a tag for Docker, and completes one without a version to `:latest`.
pub(crate) fn check_tag(text: &str) -> Result<String, ImageError> {
    let wrong = || ImageError::Setting {
        setting: "a tag for Docker",
        value: text.to_owned(),
        rule: "it must be REPOSITORY or REPOSITORY:TAG, the repository in lower case",
    };
    // A colon before the last slash belongs to the registry's port.
    let (repository, tag) = match text.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (text, "latest"),
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good_tag = (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte));
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let last = repository.split('/').count() - 1;
    let good_repository = repository.len() <= 255
        && repository.split('/').enumerate().all(|(place, part)| {
            // The first of several parts may be a host: `Host:5000`.
            let host = place == 0 && last > 0;
            end(part.bytes().next())
                && end(part.bytes().last())
                && part.bytes().all(|byte| match byte {
                    b'A'..=b'Z' | b':' => host,
                    _ => byte.is_ascii_alphanumeric() || b"._-".contains(&byte),
                })
        });
    if !good_tag || !good_repository {
        return Err(wrong());
    }
    Ok(format!("{repository}:{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_checked_and_completed() {
        for (text, expected) in [
            ("app", Some("app:latest")),
            ("app:1.0", Some("app:1.0")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            (
                "Host.example:5000/a_b/c-d:V_1",
                Some("Host.example:5000/a_b/c-d:V_1"),
            ),
            ("", None),
            ("App", None),
            ("app:", None),
            ("app:-1", None),
            ("a//b", None),
            ("a b", None),
            ("a/-b", None),
            ("../x", None),
            ("a:b:c", None),
        ] {
            assert_eq!(check_tag(text).ok().as_deref(), expected, "{text}");
        }
    }
}
