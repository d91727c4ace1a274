//! Tests of importing host folders.

use super::metadata::Kind;
use super::sample::{Node, Nodes, Scratch, make, read};
use super::*;
use std::os::unix::fs::FileExt;

#[test]
fn a_host_folder_is_taken_as_the_root_of_an_image() {
    let me = rustix::process::geteuid().as_raw();
    let source = Scratch::new();
    let nodes = Nodes::from([
        (b"".to_vec(), Node::folder().mode(0o750).owner(me, 77)),
        (b"d".to_vec(), Node::folder().mode(0o700).owner(me, 77)),
        (b"d/f".to_vec(), Node::file(b"x").mode(0o4755).owner(me, 78)),
        (b"d/g".to_vec(), Node::same_as(b"d/f")),
        (b"d/l".to_vec(), Node::link(b"/nowhere")),
        (b"fifo".to_vec(), Node::new(Kind::Fifo)),
        (b"x".to_vec(), Node::file(b"").attribute("user.a", b"1")),
    ]);
    make(source.fd(), &nodes);
    let sparse = std::fs::File::create(source.path().join("sparse")).unwrap();
    sparse.set_len(10 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 5 << 20).unwrap();
    let socket = rustix::fs::FileType::Socket;
    rustix::fs::mknodat(source.fd(), c"socket", socket, rustix::fs::Mode::RWXU, 0).unwrap();

    let tree = Scratch::new();
    let imported = import_folder(source.fd(), tree.fd(), 500).unwrap();
    assert_eq!((imported.sockets, imported.entries), (1, 8));
    let result = read(tree.fd());
    let before = read(source.fd());
    assert!(!result.contains_key(&b"socket"[..]));
    for (path, node) in &result {
        let mut expected = before[path].clone();
        expected.metadata.attributes.modified = 500;
        let (uid, gid) = (
            before[&b""[..]].metadata.attributes.uid,
            before[&b""[..]].metadata.attributes.gid,
        );
        let owner = &mut expected.metadata.attributes;
        owner.uid = if owner.uid == uid { 0 } else { owner.uid };
        owner.gid = if owner.gid == gid { 0 } else { owner.gid };
        assert_eq!(*node, expected, "{}", TreePath::new(path));
    }
    assert_eq!(result[&b""[..]].metadata.attributes.uid, 0);
    assert_eq!(result[&b""[..]].metadata.attributes.gid, 0);
    let blocks = |scratch: &Scratch| {
        let stat = rustix::fs::statat(
            scratch.fd(),
            c"sparse",
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        );
        stat.unwrap().st_blocks
    };
    assert!(blocks(&tree) <= blocks(&source));
}

#[test]
fn a_folder_is_not_imported_into_itself() {
    let source = Scratch::new();
    make(
        source.fd(),
        &Nodes::from([
            (b"".to_vec(), Node::folder()),
            (b"a".to_vec(), Node::folder()),
        ]),
    );
    let inside = std::fs::File::open(source.path().join("a")).unwrap();
    let inside = std::os::fd::AsFd::as_fd(&inside);
    let error = import_folder(source.fd(), inside, 0).unwrap_err();
    assert!(
        error.to_string().contains("import into itself a"),
        "{error}"
    );
}

#[test]
fn names_that_no_layer_can_hold_are_refused() {
    let source = Scratch::new();
    std::fs::write(source.path().join(".wh.x"), "").unwrap();
    let tree = Scratch::new();
    assert!(import_folder(source.fd(), tree.fd(), 0).is_err());
}
