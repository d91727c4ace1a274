//! The store between processes, on a full disk and on one that cannot be written.
//!
//! Other processes are this test program itself: each test that needs one starts it again with
//! its own name as the only test, and the role in a variable.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use hardtack::digest::{ChainId, DiffId, Digest, StepKey};
use hardtack::store::{Descriptor, StepLookup, StepRecord, Store, StoreError};
use oci_spec::image::MediaType;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROLE: &str = "HARDTACK_TEST_ROLE";
const ROOT: &str = "HARDTACK_TEST_ROOT";

/// The part that this process plays, if another one started it.
fn role() -> Option<(String, PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(ROOT)?.into()))
}

fn itself(test: &str, role: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    become_role(&mut command, test, role, root);
    command
}

fn become_role(command: &mut Command, test: &str, role: &str, root: &Path) {
    command
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root);
}

fn start(test: &str, role: &str, root: &Path) -> Child {
    itself(test, role, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Waits for the line that a role prints when it is ready.
fn ready(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines
        .map_while(Result::ok)
        .any(|line| line.contains("ready"));
    assert!(found, "the other process ended early");
}

fn sleep_until_killed() -> ! {
    println!("\nready");
    let _ = std::io::stdin().read(&mut [0]);
    std::process::abort();
}

#[test]
fn processes_never_hold_one_lock_together() {
    let test = "processes_never_hold_one_lock_together";
    if let Some((_, root)) = role() {
        let store = Store::open(&root).unwrap();
        let counter = root.with_extension("counter");
        for _ in 0..100 {
            let _guard = store.lock("step", "same", wait).unwrap();
            let count: u32 = fs::read_to_string(&counter).unwrap().parse().unwrap();
            fs::write(&counter, (count + 1).to_string()).unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    fs::write(root.with_extension("counter"), "0").unwrap();
    let children: Vec<_> = (0..3).map(|_| start(test, "count", &root)).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let count = fs::read_to_string(root.with_extension("counter")).unwrap();
    assert_eq!(count, "300");
    assert_eq!(fs::read_dir(root.join("locks")).unwrap().count(), 0);
}

#[test]
fn what_a_killed_process_held_is_free_and_swept() {
    let test = "what_a_killed_process_held_is_free_and_swept";
    if let Some((_, root)) = role() {
        let store = Store::open(&root).unwrap();
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("half"), b"x").unwrap();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"half").unwrap();
        let _guard = store.lock("step", "same", wait).unwrap();
        sleep_until_killed();
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut child = start(test, "die", folder.path());
    ready(&mut child);
    assert!(store.try_lock("step", "same").unwrap().is_none());
    assert!(store.sweep().unwrap().is_empty(), "swept the living");
    let tmp = folder.path().join("tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(store.try_lock("step", "same").unwrap().is_some());
    let dead = store.sweep().unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(fs::read(dead[0].path().join("half")).unwrap(), b"x");
    drop(dead);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

#[test]
fn processes_share_names_and_trees() {
    let test = "processes_share_names_and_trees";
    let chain = ChainId::base(DiffId(Digest::of("layer")));
    if let Some((role, root)) = role() {
        let store = Store::open(&root).unwrap();
        let digest = store.put_blob(b"manifest").unwrap();
        let descriptor = Descriptor::new(MediaType::ImageManifest, digest, 8);
        for number in 0..10 {
            let name = format!("{role}.{number}");
            store.set_reference(&name, &descriptor, None).unwrap();
            let scratch = store.scratch().unwrap();
            fs::create_dir(scratch.path().join("fs")).unwrap();
            fs::write(scratch.path().join("fs/a"), b"a").unwrap();
            fs::write(scratch.path().join("fs/b"), b"b").unwrap();
            let tree = store.commit_tree(scratch, "root", &chain).unwrap();
            assert_eq!(fs::read(tree.path().join("b")).unwrap(), b"b");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = ["a", "b", "c"]
        .map(|role| start(test, role, folder.path()))
        .into();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.references().unwrap().len(), 30);
    assert!(store.tree("root", &chain).unwrap().is_some());
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

/// Runs a role with `root` on a file system of 1 MiB of its own; needs user namespaces only.
fn on_a_small_disk(test: &str, role: &str, root: &Path) {
    let script = r#"mount -t tmpfs -o size=1m,mode=700 tmpfs "$HARDTACK_TEST_ROOT" && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    command.arg(std::env::current_exe().unwrap());
    become_role(&mut command, test, role, root);
    let output = command.output().expect("unshare must be installed");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_full_disk_is_named_and_nothing_half_stays() {
    let test = "a_full_disk_is_named_and_nothing_half_stays";
    let Some((_, root)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        return on_a_small_disk(test, "fill", folder.path());
    };
    let store = Store::open(&root).unwrap();
    let small = store.put_blob(b"small").unwrap();
    store
        .set_reference(
            "x",
            &Descriptor::new(MediaType::ImageManifest, small, 5),
            None,
        )
        .unwrap();
    let big = vec![1; 2 << 20];
    let error = store.put_blob(&big).unwrap_err();
    assert!(matches!(error, StoreError::StorageFull { .. }), "{error}");
    let mut writer = store.blob_writer().unwrap();
    let error = writer.write_all(&big).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(writer.commit(None).is_err(), "committed half of it");
    assert_eq!(store.blob_size(&Digest::of(&big)).unwrap(), None);
    assert_eq!(fs::read_dir(root.join("blobs/sha256")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);

    // With not a byte left, what was there stays readable and whole.
    let mut filler = fs::File::create(root.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let record = StepRecord {
        key: StepKey(Digest::of("key")),
        layer: None,
        provisioner: "shell".to_owned(),
        log: "x".repeat(100_000),
        created: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 1.0,
        epoch: None,
        source: None,
        private: false,
        shared: Vec::new(),
    };
    let error = store.put_step(&record).unwrap_err();
    assert!(matches!(error, StoreError::StorageFull { .. }), "{error}");
    assert_eq!(store.step(&record.key).unwrap(), StepLookup::Miss);
    let descriptor = Descriptor::new(MediaType::ImageManifest, small, 5);
    assert!(store.set_reference("y", &descriptor, None).is_err());
    assert_eq!(Store::open(&root).unwrap().references().unwrap().len(), 1);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_store_that_cannot_be_written_says_so_and_can_be_read() {
    let test = "a_store_that_cannot_be_written_says_so_and_can_be_read";
    let Some((_, root)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        return on_a_small_disk(test, "freeze", folder.path());
    };
    let store = Store::open(&root).unwrap();
    let digest = store.put_blob(b"blob").unwrap();
    let descriptor = Descriptor::new(MediaType::ImageManifest, digest, 4);
    store.set_reference("x", &descriptor, None).unwrap();
    let status = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&root)
        .status()
        .unwrap();
    assert!(status.success());
    let store = Store::open(&root).unwrap();
    assert_eq!(store.read_blob(&digest, 4).unwrap(), b"blob");
    assert_eq!(
        store.resolve("x").unwrap(),
        store.resolve(&digest.to_string()).unwrap()
    );
    for error in [
        store.put_blob(b"other").unwrap_err(),
        store.scratch().unwrap_err(),
        store.set_reference("y", &descriptor, None).unwrap_err(),
        store.try_lock("a", "b").unwrap_err(),
        Store::open(&root.join("blobs/new")).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }
}
