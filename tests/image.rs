//! Images between hardtack and the tools of others: what we write they read, what they write we
//! read, and what nobody should write is refused. A missing tool fails the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flate2::{Compression, write::GzEncoder};
use hardtack::digest::{DiffId, Digest};
use hardtack::image::{
    self, Assembly, ConfigChanges, Image, ImageError, ImageSource, Layout, NewLayer, archive,
    docker, layout,
};
use hardtack::store::{LayerDescriptor, Platform, Store, StoreError};
use oci_spec::image::MediaType;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const EPOCH: i64 = 1_600_000_000;

/// Runs a tool and returns what it prints; panics with what it complains about if it fails.
fn tool(words: &[&str]) -> String {
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .unwrap_or_else(|error| panic!("{} must be installed: {error}", words[0]));
    assert!(
        output.status.success(),
        "{words:?}: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Place {
    folder: TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A layer of one file.
    fn layer(&self, name: &str, content: &[u8], media_type: &MediaType) -> LayerDescriptor {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        builder.append_data(&mut header, name, content).unwrap();
        let plain = builder.into_inner().unwrap();
        let blob = match media_type {
            MediaType::ImageLayer => plain.clone(),
            MediaType::ImageLayerGzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let path = self.path("layer.tar");
                fs::write(&path, &plain).unwrap();
                tool(&["zstd", "-q", "-f", text(&path)]);
                fs::read(self.path("layer.tar.zst")).unwrap()
            }
        };
        LayerDescriptor {
            diff_id: DiffId(Digest::of(&plain)),
            digest: self.store.put_blob(&blob).unwrap(),
            size: blob.len() as u64,
            media_type: media_type.clone(),
        }
    }

    fn image(&self, base: Option<&Image>, layers: &[LayerDescriptor]) -> Image {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| NewLayer {
                layer: Some(layer.clone()),
                created_by: "a test".to_owned(),
                comment: None,
            })
            .collect();
        let changes = ConfigChanges {
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            cmd: Some(vec!["/bin/busybox".to_owned(), "true".to_owned()]),
            ports: vec!["80".to_owned()],
            ..ConfigChanges::default()
        };
        let assembly = Assembly {
            base,
            platform: &Platform::host(),
            layers: &layers,
            changes: &changes,
            annotations: &BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            epoch: EPOCH,
        };
        image::assemble(&self.store, &assembly).unwrap()
    }

    /// An image that runs: a busybox and a text, in two layers.
    fn busybox(&self) -> Image {
        let busybox = fs::read("/bin/busybox").expect("busybox-static must be installed");
        let gzip = MediaType::ImageLayerGzip;
        let layers = [
            self.layer("bin/busybox", &busybox, &gzip),
            self.layer("etc/hello", b"hello\n", &gzip),
        ];
        self.image(None, &layers)
    }

    /// Reads an image from `source` into a new store, layers too.
    fn read(&self, source: &dyn ImageSource, name: Option<&str>) -> Result<Image, ImageError> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let image = image::resolve(source, &store, name, &Platform::host())?;
        for layer in &image.layers {
            assert_eq!(
                store.blob_size(&layer.digest).unwrap(),
                None,
                "read too early"
            );
        }
        image::import_layers(source, &store, &image.layers)?;
        for layer in &image.layers {
            store.verify_blob(&layer.digest, layer.size).unwrap();
        }
        Ok(image)
    }
}

#[test]
fn a_layout_pleases_the_tools() {
    let place = Place::new();
    let image = place.busybox();
    let path = place.path("layout");
    layout::write(&place.store, &image, &path, "app:1").unwrap();
    let inspected = tool(&["skopeo", "inspect", &format!("oci:{}:app:1", text(&path))]);
    assert!(inspected.contains(&image.manifest.digest.to_string()));
    assert!(inspected.contains("2020-09-13T12:26:40Z"));
    let name = "name=app:1";
    tool(&[
        "oci-image-tool",
        "validate",
        "--type",
        "image",
        "--ref",
        name,
        text(&path),
    ]);
    let manifest = path.join("blobs/sha256").join(image.manifest.digest.hex());
    tool(&[
        "oci-image-tool",
        "validate",
        "--type",
        "manifest",
        text(&manifest),
    ]);
    let config = path
        .join("blobs/sha256")
        .join(image.config_descriptor.digest.hex());
    tool(&[
        "oci-image-tool",
        "validate",
        "--type",
        "config",
        text(&config),
    ]);
    let bundle = place.path("bundle");
    layout::write(&place.store, &image, &path, "plain").unwrap();
    let plain = format!("{}:plain", text(&path));
    tool(&[
        "umoci",
        "unpack",
        "--rootless",
        "--image",
        &plain,
        text(&bundle),
    ]);
    assert_eq!(
        fs::read(bundle.join("rootfs/etc/hello")).unwrap(),
        b"hello\n"
    );
}

#[test]
fn a_layout_keeps_its_other_images() {
    let place = Place::new();
    let path = place.path("layout");
    tool(&["umoci", "init", "--layout", text(&path)]);
    tool(&[
        "umoci",
        "new",
        "--image",
        &format!("{}:theirs", text(&path)),
    ]);
    let first = place.busybox();
    let second = place.image(
        Some(&first),
        &[place.layer("x", b"x", &MediaType::ImageLayer)],
    );
    for (image, name) in [(&first, "ours"), (&first, "other"), (&second, "ours")] {
        layout::write(&place.store, image, &path, name).unwrap();
    }
    let mut names: Vec<_> = tool(&["umoci", "list", "--layout", text(&path)])
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    assert_eq!(names, ["other", "ours", "theirs"]);
    let layout = Layout::open(&path).unwrap();
    assert_eq!(place.read(&layout, Some("ours")).unwrap(), second);
    assert_eq!(place.read(&layout, Some("other")).unwrap(), first);
    let error = place.read(&layout, None).unwrap_err().to_string();
    assert!(
        error.ends_with("choose one of other, ours, theirs"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn only_layouts_and_empty_folders_are_written_to() {
    let place = Place::new();
    let image = place.busybox();
    let path = place.path("mine");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("precious"), b"x").unwrap();
    assert!(matches!(
        layout::write(&place.store, &image, &path, "a"),
        Err(ImageError::OccupiedFolder { .. })
    ));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    fs::remove_file(path.join("precious")).unwrap();
    fs::write(path.join(".unfinished-1"), b"of a killed run").unwrap();
    layout::write(&place.store, &image, &path, "a").unwrap();

    let path = place.path("tricky");
    fs::create_dir(&path).unwrap();
    fs::write(
        path.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    fs::create_dir(place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), path.join("blobs")).unwrap();
    assert!(layout::write(&place.store, &image, &path, "a").is_err());
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 0);
    assert!(layout::write(&place.store, &image, &place.path("new"), "not a name").is_err());
    assert!(!place.path("new").exists());
}

#[test]
fn the_store_is_a_layout_for_the_tools() {
    let place = Place::new();
    let image = place.busybox();
    let store = &place.store;
    store
        .set_reference("ours", &image.manifest, Some("2026-01-01T00:00:00Z"))
        .unwrap();
    let from = format!("oci:{}:ours", text(store.root()));
    let to = format!("oci:{}:theirs", text(store.root()));
    tool(&["skopeo", "inspect", &from]);
    let elsewhere = format!("oci:{}:x", text(&place.path("copy")));
    tool(&["skopeo", "copy", &from, &elsewhere]);
    tool(&["skopeo", "copy", &elsewhere, &to]);
    let names: Vec<_> = store
        .references()
        .unwrap()
        .into_iter()
        .filter_map(|it| it.name)
        .collect();
    assert_eq!(names, ["ours", "theirs"]);
    store.set_reference("third", &image.manifest, None).unwrap();
    for name in ["ours", "theirs", "third"] {
        let descriptor = store.resolve(name).unwrap();
        assert_eq!(
            image::load(store, &descriptor, &Platform::host()).unwrap(),
            image
        );
    }
}

#[test]
fn an_oci_archive_goes_to_the_tools_and_comes_back() {
    let place = Place::new();
    let image = place.busybox();
    let path = place.path("image.tar");
    archive::write_oci(&place.store, &image, &path, Some("app:1")).unwrap();
    let bytes = fs::read(&path).unwrap();
    archive::write_oci(&place.store, &image, &path, Some("app:1")).unwrap();
    assert!(
        fs::read(&path).unwrap() == bytes,
        "the same image, other bytes"
    );
    tool(&["skopeo", "inspect", &format!("oci-archive:{}", text(&path))]);
    let listed = tool(&["tar", "tvf", text(&path)]);
    assert!(listed.starts_with("drwxr-xr-x 0/0"), "{listed}");

    let copied = place.path("copied.tar");
    tool(&[
        "skopeo",
        "copy",
        &format!("oci-archive:{}", text(&path)),
        &format!("oci-archive:{}:again", text(&copied)),
    ]);
    for path in [&path, &copied] {
        let source = archive::open(path, &place.store).unwrap();
        assert_eq!(place.read(&*source, None).unwrap(), image);
    }
    for packer in ["gzip", "zstd", "xz", "bzip2"] {
        let packed = place.path(packer);
        let file = File::create(&packed).unwrap();
        let status = Command::new(packer)
            .arg("-c")
            .arg(&path)
            .stdout(file)
            .status()
            .unwrap();
        assert!(status.success());
        let source = archive::open(&packed, &place.store).unwrap();
        assert_eq!(
            place.read(&*source, Some("app:1")).unwrap(),
            image,
            "{packer}"
        );
        let bytes = fs::read(&packed).unwrap();
        fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
        assert!(
            archive::open(&packed, &place.store).is_err(),
            "{packer}, cut off"
        );
    }
    let tmp = place.store.root().join("tmp");
    assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
}

#[test]
fn a_docker_archive_goes_to_the_tools_and_comes_back() {
    let place = Place::new();
    let busybox = place.busybox();
    let zstd = place.layer("z", &[b'z'; 5000], &MediaType::ImageLayerZstd);
    let plain = place.layer("p", b"p", &MediaType::ImageLayer);
    let image = place.image(Some(&busybox), &[zstd, plain.clone(), plain]);
    let path = place.path("docker.tar");
    let tags = ["app:1".to_owned(), "other".to_owned()];
    docker::write(&place.store, &image, &path, &tags).unwrap();
    let bytes = fs::read(&path).unwrap();
    docker::write(&place.store, &image, &path, &tags).unwrap();
    assert!(
        fs::read(&path).unwrap() == bytes,
        "the same image, other bytes"
    );
    let from = format!("docker-archive:{}:app:1", text(&path));
    let config = tool(&["skopeo", "inspect", "--config", "--raw", &from]);
    assert_eq!(Digest::of(config), image.config_descriptor.digest);

    // As skopeo, in the manner of docker, writes it: all layers unpacked.
    let copied = place.path("copied.tar");
    tool(&[
        "skopeo",
        "copy",
        &from,
        &format!("docker-archive:{}:b:2", text(&copied)),
    ]);
    for (path, name) in [
        (&path, "app:1"),
        (&path, "other:latest"),
        (&copied, "docker.io/library/b:2"),
    ] {
        let source = archive::open(path, &place.store).unwrap();
        let read = place.read(&*source, Some(name)).unwrap();
        assert_eq!(read.config, image.config);
        assert_eq!(read.diff_ids(), image.diff_ids());
    }
}

#[test]
fn an_image_of_docker_becomes_a_base() {
    let place = Place::new();
    let image = place.busybox();
    let oci = place.path("oci");
    layout::write(&place.store, &image, &oci, "x").unwrap();
    // The manifest gets Docker's media types, the layers stay.
    let folder = place.path("folder");
    let from = format!("oci:{}:x", text(&oci));
    tool(&[
        "skopeo",
        "copy",
        "--format",
        "v2s2",
        &from,
        &format!("dir:{}", text(&folder)),
    ]);
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    assert!(String::from_utf8_lossy(&manifest).contains("vnd.docker.distribution.manifest.v2"));
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        place.store.put_blob(&bytes).unwrap();
    }
    let digest = Digest::of(&manifest);
    let descriptor = place.store.resolve(&digest.to_string()).unwrap();
    let base = image::load(&place.store, &descriptor, &Platform::host()).unwrap();
    assert_eq!(base.layers, image.layers);
    let built = place.image(Some(&base), &[]);
    let text = place
        .store
        .read_blob(&built.manifest.digest, 10_000)
        .unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("docker"));
}

#[test]
fn tricks_in_a_layout_lead_nowhere() {
    type Trick = fn(&Path, &Image);
    let tricks: [(&str, Trick); 8] = [
        ("a linked blob", |path, image| {
            let blob = path.join("blobs/sha256").join(image.manifest.digest.hex());
            fs::rename(&blob, path.join("moved")).unwrap();
            symlink("../../moved", blob).unwrap();
        }),
        ("a linked folder", |path, _| {
            fs::rename(path.join("blobs"), path.join("moved")).unwrap();
            symlink("moved", path.join("blobs")).unwrap();
        }),
        ("a linked index", |path, _| {
            fs::rename(path.join("index.json"), path.join("moved")).unwrap();
            symlink("moved", path.join("index.json")).unwrap();
        }),
        ("a fifo", |path, _| {
            fs::remove_file(path.join("index.json")).unwrap();
            tool(&["mkfifo", text(&path.join("index.json"))]);
        }),
        ("a layer with a flipped bit", |path, image| {
            let blob = path.join("blobs/sha256").join(image.layers[0].digest.hex());
            let mut bytes = fs::read(&blob).unwrap();
            bytes[100] ^= 1;
            fs::write(blob, bytes).unwrap();
        }),
        ("a layer that is too long", |path, image| {
            let blob = path.join("blobs/sha256").join(image.layers[0].digest.hex());
            fs::OpenOptions::new()
                .append(true)
                .open(blob)
                .unwrap()
                .write_all(b"x")
                .unwrap();
        }),
        ("a layer that is missing", |path, image| {
            fs::remove_file(path.join("blobs/sha256").join(image.layers[1].digest.hex())).unwrap();
        }),
        ("a huge index", |path, _| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(path.join("index.json"))
                .unwrap();
            file.set_len(1 << 40).unwrap();
        }),
    ];
    for (name, trick) in tricks {
        let place = Place::new();
        let image = place.busybox();
        let path = place.path("layout");
        layout::write(&place.store, &image, &path, "x").unwrap();
        place
            .read(&Layout::open(&path).unwrap(), Some("x"))
            .unwrap();
        trick(&path, &image);
        let result = Layout::open(&path).and_then(|layout| place.read(&layout, Some("x")));
        assert!(result.is_err(), "{name}");
    }
}

#[test]
fn what_is_no_archive_says_so() {
    let place = Place::new();
    let path = place.path("file");
    for (content, expected) in [
        (&b"no tar"[..], "cannot read the archive"),
        (b"", "is not an archive of an image"),
        (&[0; 1024], "is not an archive of an image"),
    ] {
        fs::write(&path, content).unwrap();
        let error = archive::open(&path, &place.store)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(archive::open(place.folder.path(), &place.store).is_err());
    assert!(archive::open(&place.path("absent"), &place.store).is_err());
}

#[test]
fn a_bomb_is_given_up() {
    let place = Place::new();
    let path = place.path("bomb.tar.gz");
    let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1100 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap();
    let error = archive::open(&path, &place.store).err().unwrap();
    assert!(
        error.to_string().contains("unpacks to more than"),
        "{error}"
    );
}

#[test]
fn a_damaged_store_is_noticed_before_anything_leaves() {
    let place = Place::new();
    let image = place.busybox();
    let blob = place.store.blob_path(&image.layers[0].digest);
    let mut bytes = Vec::new();
    File::open(&blob).unwrap().read_to_end(&mut bytes).unwrap();
    bytes[50] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let target = place.path("target");
    for error in [
        layout::write(&place.store, &image, &target, "x").unwrap_err(),
        archive::write_oci(&place.store, &image, &place.path("a.tar"), None).unwrap_err(),
        docker::write(&place.store, &image, &place.path("d.tar"), &[]).unwrap_err(),
    ] {
        assert!(
            matches!(&error, ImageError::Store(StoreError::DamagedBlob { path, .. }) if *path == blob),
            "{error}"
        );
    }
    assert!(!place.path("a.tar").exists() && !place.path("d.tar").exists());
    assert!(!target.join("index.json").exists());
}
