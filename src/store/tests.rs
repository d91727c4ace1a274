//! Opening a store: new, old, foreign, unfinished, and by several at once.

use super::*;
use std::thread;

#[test]
fn a_new_store_is_an_empty_layout_that_its_owner_alone_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b");
    Store::open(&root).unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(fs::read(root.join("oci-layout")).unwrap(), LAYOUT_MARKER);
    assert!(store.references().unwrap().is_empty());
    assert_eq!(
        fs::metadata(&root).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_folder_that_is_something_else_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(matches!(
        Store::open(&file),
        Err(StoreError::NotAFolder { .. })
    ));
    assert!(matches!(
        Store::open(folder.path()),
        Err(StoreError::Foreign { .. })
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn other_versions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap();
    for (file, text) in [
        ("hardtack.json", "{\"format\":2}"),
        ("hardtack.json", "{"),
        ("oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}"),
        ("oci-layout", ""),
    ] {
        let path = folder.path().join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Format { .. }
                    | StoreError::Syntax { .. }
                    | StoreError::LayoutVersion { .. }
            ),
            "{error}"
        );
        fs::write(&path, before).unwrap();
    }
}

#[test]
fn a_creation_that_was_killed_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(UNFINISHED_FORMAT_FILE), b"{").unwrap();
    Store::open(folder.path()).unwrap();
    fs::remove_file(folder.path().join("oci-layout")).unwrap();
    fs::remove_file(folder.path().join("index.json")).unwrap();
    fs::remove_dir(folder.path().join("steps")).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.references().unwrap().is_empty());
}

#[test]
fn many_may_create_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Store::open(&root))).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
}
