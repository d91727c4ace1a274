//! New images: a base's layers and configuration, with more layers and changes on top.

use super::config::HistoryEntry;
use super::manifest::Manifest;
use super::{ConfigChanges, Image, ImageConfiguration, ImageError};
use crate::digest::Digest;
use crate::store::{Descriptor, LayerDescriptor, Platform, Store};
use oci_spec::image::MediaType;
use serde::Serialize;
use std::collections::BTreeMap;

/// What an image is put together from.
pub struct Assembly<'a> {
    /// The image below; none for an image from scratch.
    pub base: Option<&'a Image>,
    /// What an image from scratch runs on; one with a base runs on what the base does.
    pub platform: &'a Platform,
    /// What was done on top of the base, in order.
    pub layers: &'a [NewLayer],
    /// How the image runs.
    pub changes: &'a ConfigChanges,
    /// The manifest's annotations. Those of the base are about the base, and not taken over.
    pub annotations: &'a BTreeMap<String, String>,
    /// The time of the image, in seconds since 1970.
    pub epoch: i64,
}

/// One entry of the image's history, and its layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLayer {
    /// The layer; none if nothing was changed.
    pub layer: Option<LayerDescriptor>,
    /// What made it.
    pub created_by: String,
    /// A remark.
    pub comment: Option<String>,
}

/// Fields of Docker that tell how the base itself was built. On another image they are false.
const ABOUT_THE_BASE: [&str; 6] = [
    "container",
    "container_config",
    "docker_version",
    "id",
    "parent",
    "throwaway",
];

/// Puts an image together: writes its configuration and its manifest into the store.
///
/// The same parts give the same bytes. The blobs of layers need not be in the store.
pub fn assemble(store: &Store, assembly: &Assembly<'_>) -> Result<Image, ImageError> {
    let created = timestamp(assembly.epoch)?;
    let mut config = match assembly.base {
        Some(base) => base.config.clone(),
        None => ImageConfiguration::default(),
    };
    if config.architecture.is_empty() || config.os.is_empty() {
        config.architecture = assembly.platform.architecture.to_string();
        config.os = assembly.platform.os.to_string();
        config.variant = assembly.platform.variant.clone();
        config.os_version = assembly.platform.os_version.clone();
    }
    for field in ABOUT_THE_BASE {
        config.rest.remove(field);
    }
    complete_history(&mut config);
    config.created = Some(created.clone());
    if let Some(author) = &assembly.changes.author {
        config.author = Some(author.clone());
    }
    assembly.changes.apply(&mut config.config)?;

    let mut layers = assembly.base.map_or(Vec::new(), |base| base.layers.clone());
    for new in assembly.layers {
        config.history.push(HistoryEntry {
            created: Some(created.clone()),
            created_by: Some(new.created_by.clone()),
            author: assembly.changes.author.clone(),
            comment: new.comment.clone(),
            empty_layer: new.layer.is_none(),
        });
        if let Some(layer) = &new.layer {
            config.rootfs.diff_ids.push(layer.diff_id);
            layers.push(layer.clone());
        }
    }

    let config_descriptor = put(store, MediaType::ImageConfig, &config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::ImageManifest),
        config: config_descriptor.clone(),
        layers: layers.iter().map(LayerDescriptor::descriptor).collect(),
        annotations: assembly.annotations.clone(),
    };
    Ok(Image {
        manifest: put(store, MediaType::ImageManifest, &manifest)?,
        config_descriptor,
        config,
        layers,
        annotations: manifest.annotations,
    })
}

/// The same image with further annotations: a new manifest over the same configuration and layers,
/// in the store. Without any it is the image itself.
pub fn annotate(
    store: &Store,
    image: &Image,
    annotations: &BTreeMap<String, String>,
) -> Result<Image, ImageError> {
    let mut annotated = image.clone();
    annotated.annotations.extend(annotations.clone());
    if annotated.annotations == image.annotations {
        return Ok(annotated);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::ImageManifest),
        config: image.config_descriptor.clone(),
        layers: image
            .layers
            .iter()
            .map(LayerDescriptor::descriptor)
            .collect(),
        annotations: annotated.annotations.clone(),
    };
    annotated.manifest = put(store, MediaType::ImageManifest, &manifest)?;
    Ok(annotated)
}

fn put(
    store: &Store,
    media_type: MediaType,
    document: &impl Serialize,
) -> Result<Descriptor, ImageError> {
    let text = serde_json::to_vec(document).map_err(|source| ImageError::Json {
        document: format!("a new {media_type}"),
        source,
    })?;
    let digest: Digest = store.put_blob(&text)?;
    Ok(Descriptor::new(media_type, digest, text.len() as u64))
}

/// Gives every layer its entry: tools refuse a history that exists but does not cover all layers.
fn complete_history(config: &mut ImageConfiguration) {
    let layers = config.rootfs.diff_ids.len();
    let count =
        |history: &[HistoryEntry]| history.iter().filter(|entry| !entry.empty_layer).count();
    if count(&config.history) > layers {
        config.history.clear();
    }
    let missing = layers - count(&config.history);
    let unknown = HistoryEntry {
        created: config.created.clone(),
        created_by: Some("a layer of the base image".to_owned()),
        ..HistoryEntry::default()
    };
    config.history.extend(std::iter::repeat_n(unknown, missing));
}

/// `epoch` in RFC 3339, in UTC.
fn timestamp(epoch: i64) -> Result<String, ImageError> {
    let time = jiff::Timestamp::from_second(epoch).map_err(|_| ImageError::Setting {
        setting: "the image's time",
        value: epoch.to_string(),
        rule: "it must be a time in the years -9999 to 9999, in seconds since 1970",
    })?;
    Ok(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DiffId;
    use crate::image::{self, config::RootFs};
    use oci_spec::image::Arch;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn layer(name: &str) -> NewLayer {
        NewLayer {
            layer: Some(LayerDescriptor {
                diff_id: DiffId(Digest::of(format!("{name} tar"))),
                digest: Digest::of(name),
                size: name.len() as u64,
                media_type: MediaType::ImageLayerGzip,
            }),
            created_by: format!("shell {name}"),
            comment: None,
        }
    }

    fn build(store: &Store, base: Option<&Image>, layers: &[NewLayer]) -> Image {
        let changes = ConfigChanges {
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            cmd: Some(vec!["/bin/sh".to_owned()]),
            ..ConfigChanges::default()
        };
        let annotations = BTreeMap::from([
            ("b".to_owned(), "2".to_owned()),
            ("a".to_owned(), "1".to_owned()),
        ]);
        let assembly = Assembly {
            base,
            platform: &Platform::linux(Arch::Amd64),
            layers,
            changes: &changes,
            annotations: &annotations,
            epoch: 86400,
        };
        assemble(store, &assembly).unwrap()
    }

    #[test]
    fn the_documents_are_these_bytes() {
        let (_folder, store) = store();
        let nothing = NewLayer {
            layer: None,
            created_by: "shell empty".to_owned(),
            comment: Some("nothing".to_owned()),
        };
        let image = build(&store, None, &[layer("one"), nothing]);
        let config = store
            .read_blob(&image.config_descriptor.digest, 10_000)
            .unwrap();
        assert_eq!(
            String::from_utf8(config).unwrap(),
            r#"{"created":"1970-01-02T00:00:00Z","architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:19b405d5177814c2abcc287281912ae76afbdf92c386d2a4d3ba124b33f19069"]},"history":[{"created":"1970-01-02T00:00:00Z","created_by":"shell one"},{"created":"1970-01-02T00:00:00Z","created_by":"shell empty","comment":"nothing","empty_layer":true}]}"#
        );
        let manifest = store.read_blob(&image.manifest.digest, 10_000).unwrap();
        assert_eq!(
            String::from_utf8(manifest).unwrap(),
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:2914f1b3643977aefed5fc22f8c0a5b4a72adfd21810830ed9b789eae9d530c0","size":406},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","size":3}],"annotations":{"a":"1","b":"2"}}"#
        );
    }

    #[test]
    fn a_base_is_extended_and_read_back() {
        let (_folder, store) = store();
        let base = build(&store, None, &[layer("one")]);
        let image = build(&store, Some(&base), &[layer("two")]);
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[0], base.layers[0]);
        assert_eq!(image.config.history.len(), 2);
        let platform = Platform::linux(Arch::Amd64);
        assert_eq!(
            image::load(&store, &image.manifest, &platform).unwrap(),
            image
        );
        assert_eq!(
            build(&store, Some(&base), &[layer("two")]),
            image,
            "the same again"
        );
    }

    #[test]
    fn a_history_covers_all_layers() {
        let entry = |empty_layer| HistoryEntry {
            empty_layer,
            ..HistoryEntry::default()
        };
        for (history, layers, length) in [
            (vec![], 2, 2),
            (vec![entry(false)], 2, 3 - 1),
            (vec![entry(true), entry(false)], 2, 3),
            (vec![entry(false), entry(false)], 1, 1),
            (vec![entry(true)], 0, 1),
        ] {
            let mut config = ImageConfiguration {
                history,
                rootfs: RootFs {
                    diff_ids: vec![DiffId(Digest::of("x")); layers],
                    ..RootFs::default()
                },
                ..ImageConfiguration::default()
            };
            complete_history(&mut config);
            assert_eq!(config.history.len(), length);
            let covered = config
                .history
                .iter()
                .filter(|entry| !entry.empty_layer)
                .count();
            assert_eq!(covered, layers);
        }
    }

    #[test]
    fn a_time_out_of_range_is_refused() {
        assert_eq!(timestamp(0).unwrap(), "1970-01-01T00:00:00Z");
        assert!(timestamp(i64::MAX).is_err());
    }
}
