//! Whole images on their way out: what is sent, in which order, and what a failure leaves.

use super::double::{Answer, Double};
use super::*;
use crate::digest::DiffId;
use crate::image::{Image, ImageConfiguration};
use crate::store::LayerDescriptor;

/// An image whose manifest and configuration are in the store; its layers are not.
fn image(store: &Store, layers: &[&[u8]]) -> Image {
    let put = |kind: MediaType, text: &[u8]| {
        let digest = store.put_blob(text).unwrap();
        Descriptor::new(kind, digest, text.len() as u64)
    };
    let config_descriptor = put(MediaType::ImageConfig, b"{}");
    let manifest = put(
        MediaType::ImageManifest,
        manifest(&config_descriptor, None).as_bytes(),
    );
    let layer = |bytes: &&[u8]| LayerDescriptor {
        diff_id: DiffId(Digest::of(bytes)),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        media_type: MediaType::ImageLayer,
    };
    Image {
        manifest,
        config_descriptor,
        config: ImageConfiguration::default(),
        layers: layers.iter().map(layer).collect(),
        annotations: BTreeMap::new(),
    }
}

fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn blobs_go_once_and_the_manifest_under_each_tag() {
    let (folder, store) = store();
    let double = Double::start(|_, _| None);
    let client = Client::new(settings(folder.path()));
    // The same layer twice is one blob.
    let image = image(&store, &[b"one", b"one", b"two"]);
    for layer in [b"one", b"two"] {
        store.put_blob(layer).unwrap();
    }
    let app = repository(&double.host, "app");
    let push =
        |names: &[&str]| push::image(&client, &store, &image, &app, &tags(names), &|_| {}).unwrap();
    let moved = push(&["1", "2"]);
    assert_eq!((moved.uploaded.blobs, moved.existing.blobs), (3, 0));
    assert_eq!(double.count("PUT", "/manifests/"), 2);
    let asked = double.asked();
    let last_blob = asked.iter().rposition(|it| it.is("PUT", "/blobs/"));
    let first_manifest = asked.iter().position(|it| it.is("PUT", "/manifests/"));
    assert!(last_blob < first_manifest, "the manifest comes last");
    let stored = double.content().manifests["2"].1.clone();
    assert_eq!(Digest::of(stored), image.manifest.digest);

    let writes = |double: &Double| {
        let asked = double.asked().into_iter();
        asked
            .filter(|it| it.method != "HEAD" && it.method != "GET")
            .count()
    };
    let before = writes(&double);
    let moved = push(&["1", "2"]);
    assert_eq!((moved.uploaded.blobs, moved.existing.blobs), (0, 3));
    assert_eq!(writes(&double), before, "nothing is written again");
    push(&["1", "2", "3"]);
    assert_eq!(
        writes(&double),
        before + 1,
        "one tag more is one manifest more"
    );
}

#[test]
fn a_layer_that_is_elsewhere_is_mounted_or_else_fetched() {
    let (folder, store) = store();
    let origin = Double::start(|_, _| None);
    // It mounts what it is asked to, from the one repository.
    let target = Double::start(|asked, content| {
        let mounts = asked.is("POST", "mount=") && asked.target.contains("from=base");
        mounts.then(|| {
            content.add_blob(b"mountable");
            Answer::new(201, "")
        })
    });
    let client = Client::new(settings(folder.path()));
    let image = image(&store, &[b"mountable", b"elsewhere"]);
    let layers = [&b"mountable"[..], b"elsewhere"];
    for layer in layers {
        origin.content().add_blob(layer);
        let place = format!("{}/base", origin.host);
        store.add_origin(&Digest::of(layer), &place).unwrap();
    }
    let nearby = format!("{}/base", target.host);
    store.add_origin(&Digest::of(layers[0]), &nearby).unwrap();

    let app = repository(&target.host, "app");
    let moved = push::image(&client, &store, &image, &app, &tags(&["1"]), &|_| {}).unwrap();
    assert_eq!((moved.mounted.blobs, moved.mounted.bytes), (1, 9));
    assert_eq!(
        moved.uploaded.blobs, 2,
        "the other layer and the configuration"
    );
    assert_eq!(store.blob_size(&Digest::of(layers[0])).unwrap(), None);
    let mounted = format!("/blobs/{}", Digest::of(layers[0]));
    assert_eq!(origin.count("GET", &mounted), 0);
    assert!(
        target
            .content()
            .blobs
            .contains_key(&Digest::of(layers[1]).to_string())
    );
    let newest = store.origins(&Digest::of(layers[0])).unwrap();
    assert_eq!(
        newest[0],
        app.to_string(),
        "the next push can mount from here"
    );
    assert_clean(&store);
}

#[test]
fn what_fails_leaves_no_manifest() {
    let (folder, store) = store();
    let image = image(&store, &[b"one", b"two"]);
    store.put_blob(b"one").unwrap();
    let client = Client::new(settings(folder.path()));
    // The second layer can be had nowhere.
    let double = Double::start(|_, _| None);
    let app = repository(&double.host, "app");
    let pushed = push::image(&client, &store, &image, &app, &tags(&["1"]), &|_| {});
    assert!(
        matches!(pushed, Err(RegistryError::NoOrigin { .. })),
        "{pushed:?}"
    );
    assert_eq!(double.count("PUT", "/manifests/"), 0);
    // The registry does not want it.
    store.put_blob(b"two").unwrap();
    let double = Double::start(|asked, _| {
        let wanted = asked.is("POST", "/blobs/uploads/");
        wanted.then(|| Answer::error(403, "DENIED", "not here"))
    });
    let app = repository(&double.host, "app");
    let pushed = push::image(&client, &store, &image, &app, &tags(&["1"]), &|_| {});
    assert!(
        matches!(pushed, Err(RegistryError::Denied { .. })),
        "{pushed:?}"
    );
    assert_eq!(double.count("PUT", "/manifests/"), 0);
    assert_clean(&store);
}
