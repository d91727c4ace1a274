//! Tests of settling: what a step left in an overlay's upper folder, case by case.
//!
//! Uppers are made as the kernel leaves them (a real overlay needs privileges; the sandbox's own
//! tests have one).

use super::attributes::{self, Place};
use super::metadata::Kind;
use super::sample::{Node, Nodes, Scratch, make, read};
use super::*;
use rustix::fs::Mode;

const EPOCH: i64 = 2_000;

fn root() -> (Vec<u8>, Node) {
    (b"".to_vec(), Node::folder())
}

fn nodes<const N: usize>(nodes: [(&str, Node); N]) -> Nodes {
    let mut all = Nodes::from([root()]);
    all.extend(nodes.map(|(path, node)| (path.as_bytes().to_vec(), node)));
    all
}

fn settled(upper: &Nodes, lower: &Nodes) -> (Scratch, Settled) {
    let (above, below) = (Scratch::new(), Scratch::new());
    make(above.fd(), upper);
    make(below.fd(), lower);
    let settled = settle(above.fd(), Some(below.fd()), EPOCH).unwrap();
    // What is left is what its own archive gives, and settling again changes nothing.
    let mut bytes = Vec::new();
    write_tree(above.fd(), EPOCH, &mut bytes).unwrap();
    let back = Scratch::new();
    extract(&bytes[..], back.fd(), &[], &ExtractOptions::layer(0)).unwrap();
    assert_eq!(read(above.fd()), read(back.fd()));
    let again = settle(above.fd(), Some(below.fd()), EPOCH).unwrap();
    assert_eq!(
        (again.unchanged, again.needless_marks, again.sockets),
        (0, 0, 0)
    );
    (above, settled)
}

fn names(tree: &Scratch) -> Vec<String> {
    let nodes = read(tree.fd());
    let named = nodes.keys().filter(|path| !path.is_empty());
    named
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

#[test]
fn what_equals_the_layer_below_goes() {
    let same = nodes([
        ("d", Node::folder()),
        ("d/file", Node::file(b"content").attribute("user.a", b"1")),
        ("d/link", Node::link(b"file")),
        ("d/fifo", Node::new(Kind::Fifo)),
        (
            "d/null",
            Node::new(Kind::CharacterDevice { major: 1, minor: 3 }),
        ),
        ("e", Node::folder()),
        ("e/f", Node::folder()),
    ]);
    let mut upper = same.clone();
    // Only its time differs, and only in ways that no layer keeps.
    upper.insert(b"e".to_vec(), Node::folder().time(5_000));
    let (tree, result) = settled(&upper, &same);
    assert_eq!(names(&tree), [""; 0]);
    assert!(result.is_empty);
    assert_eq!((result.changed, result.unchanged), (0, 7));
}

#[test]
fn every_kind_of_change_stays() {
    let lower = |node: Node| nodes([("d", Node::folder()), ("d/x", node)]);
    let file = || Node::file(b"content").attribute("user.a", b"1");
    for (case, before, after) in [
        (
            "content",
            file(),
            Node::file(b"CONTENT").attribute("user.a", b"1"),
        ),
        (
            "size",
            file(),
            Node::file(b"content+").attribute("user.a", b"1"),
        ),
        ("mode", file(), file().mode(0o600)),
        ("owner", file(), file().owner(1, 0)),
        ("group", file(), file().owner(0, 1)),
        ("time", file(), file().time(1_001)),
        (
            "attribute",
            file(),
            Node::file(b"content").attribute("user.a", b"2"),
        ),
        ("no attribute", file(), Node::file(b"content")),
        ("type", file(), Node::link(b"content")),
        ("target", Node::link(b"a"), Node::link(b"b")),
        (
            "device",
            Node::new(Kind::CharacterDevice { major: 1, minor: 3 }),
            Node::new(Kind::CharacterDevice { major: 1, minor: 5 }),
        ),
        ("file to folder", file(), Node::folder()),
        ("folder to file", Node::folder(), file()),
        ("folder mode", Node::folder(), Node::folder().mode(0o700)),
        ("folder owner", Node::folder(), Node::folder().owner(5, 5)),
        (
            "folder attribute",
            Node::folder(),
            Node::folder().attribute("user.a", b""),
        ),
        ("deleted", file(), Node::new(Kind::Whiteout)),
        (
            "replaced folder",
            Node::folder(),
            Node::new(Kind::Folder { opaque: true }).mode(0o755),
        ),
    ] {
        let (tree, result) = settled(&lower(after), &lower(before));
        assert_eq!(names(&tree), ["d", "d/x"], "{case}");
        assert!(!result.is_empty, "{case}");
        assert_eq!(result.changed, 2, "{case}");
    }
}

#[test]
fn times_later_than_the_epoch_are_the_epoch() {
    let late = nodes([
        ("a", Node::file(b"").time(9_000)),
        ("d", Node::folder().time(9_000)),
        ("l", Node::link(b"x").time(9_000)),
        ("o", Node::file(b"").time(-3)),
    ]);
    let (tree, _) = settled(&late, &nodes([]));
    for (path, time) in [("a", EPOCH), ("d", EPOCH), ("l", EPOCH), ("o", -3)] {
        let nodes = read(tree.fd());
        assert_eq!(
            nodes[path.as_bytes()].metadata.attributes.modified,
            time,
            "{path}"
        );
    }
    // Both later than the epoch: the same file.
    let (tree, result) = settled(
        &nodes([("a", Node::file(b"x").time(9_000))]),
        &nodes([("a", Node::file(b"x").time(8_000))]),
    );
    assert_eq!((names(&tree).len(), result.is_empty), (0, true));
}

#[test]
fn a_folder_loses_needless_marks_and_keeps_needed_ones() {
    let opaque = || Node::new(Kind::Folder { opaque: true }).mode(0o755);
    let mark = || Node::new(Kind::Whiteout);
    let upper = nodes([
        // The overlay marks every new folder.
        ("new", opaque()),
        ("new/sub", opaque()),
        ("new/sub/gone", mark()),
        ("was-file", opaque()),
        ("replaced", opaque()),
        ("replaced/sub", opaque()),
        ("replaced/same", Node::file(b"x")),
        ("replaced/gone", mark()),
        ("gone", mark()),
        ("never", mark()),
        ("marked-below", mark()),
    ]);
    let lower = nodes([
        ("was-file", Node::file(b"")),
        ("replaced", Node::folder()),
        ("replaced/sub", Node::folder()),
        ("replaced/same", Node::file(b"x")),
        ("replaced/gone", Node::file(b"")),
        ("gone", Node::folder()),
        ("marked-below", mark()),
    ]);
    let (tree, result) = settled(&upper, &lower);
    let left = read(tree.fd());
    for (path, is_opaque) in [
        ("new", false),
        ("new/sub", false),
        ("was-file", false),
        ("replaced", true),
        ("replaced/sub", false),
    ] {
        let kind = Kind::Folder { opaque: is_opaque };
        assert_eq!(left[path.as_bytes()].metadata.kind, kind, "{path}");
    }
    assert!(left.contains_key(&b"replaced/same"[..]));
    assert_eq!(left[&b"gone"[..]].metadata.kind, Kind::Whiteout);
    assert_eq!(result.needless_marks, 4);
    assert_eq!(left.len(), 8);
}

#[test]
fn a_file_with_several_names_goes_only_as_a_whole() {
    let pair = || [("a", Node::file(b"x")), ("b", Node::same_as(b"a"))];
    let (tree, _) = settled(&nodes(pair()), &nodes(pair()));
    assert_eq!(names(&tree), [""; 0]);
    // Two files below, one file now.
    let (tree, _) = settled(
        &nodes(pair()),
        &nodes([("a", Node::file(b"x")), ("b", Node::file(b"x"))]),
    );
    assert_eq!(names(&tree), ["a", "b"]);
    // A name was added.
    let (tree, _) = settled(&nodes(pair()), &nodes([("a", Node::file(b"x"))]));
    assert_eq!(names(&tree), ["a", "b"]);
    // One of the names was copied up alone, unchanged.
    let (tree, _) = settled(&nodes([("b", Node::file(b"x"))]), &nodes(pair()));
    assert_eq!(names(&tree), [""; 0]);
}

#[test]
fn the_overlay_leaves_nothing_behind() {
    let (above, below) = (Scratch::new(), Scratch::new());
    let tree = nodes([("d", Node::folder()), ("d/f", Node::file(b"new"))]);
    make(above.fd(), &tree);
    make(below.fd(), &nodes([("d", Node::folder())]));
    for name in ["d", "d/f"] {
        let file = std::fs::File::open(above.path().join(name)).unwrap();
        let place = Place::Open(std::os::fd::AsFd::as_fd(&file));
        for attribute in [
            c"user.overlay.origin",
            c"user.overlay.impure",
            c"user.overlay.uuid",
            c"user.overlay.overlay.kept",
        ] {
            place.set(attribute, b"y").unwrap();
        }
    }
    settle(above.fd(), Some(below.fd()), EPOCH).unwrap();
    for name in ["d", "d/f"] {
        let file = std::fs::File::open(above.path().join(name)).unwrap();
        let stored = Place::Open(std::os::fd::AsFd::as_fd(&file))
            .attributes()
            .unwrap();
        let names: Vec<_> = stored
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with(b"user.hardtack."))
            .collect();
        assert_eq!(names, [b"user.overlay.overlay.kept"], "{name}");
    }
    let file = std::fs::File::open(above.path().join("d/f")).unwrap();
    Place::Open(std::os::fd::AsFd::as_fd(&file))
        .set(c"user.overlay.metacopy", b"")
        .unwrap();
    let error = settle(above.fd(), Some(below.fd()), EPOCH).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("d/f was changed with an overlay option"),
        "{error}"
    );
    assert!(attributes::is_redirect(b"user.overlay.metacopy"));
}

#[test]
fn a_socket_goes_and_what_it_replaced_stays_deleted() {
    let (above, below) = (Scratch::new(), Scratch::new());
    make(above.fd(), &nodes([]));
    make(below.fd(), &nodes([("old", Node::file(b""))]));
    for name in [c"old", c"new"] {
        rustix::fs::mknodat(
            above.fd(),
            name,
            rustix::fs::FileType::Socket,
            Mode::RWXU,
            0,
        )
        .unwrap();
    }
    let result = settle(above.fd(), Some(below.fd()), EPOCH).unwrap();
    assert_eq!((result.sockets, result.changed), (2, 1));
    let left = read(above.fd());
    assert_eq!(left[&b"old"[..]].metadata.kind, Kind::Whiteout);
    assert_eq!(left.len(), 2);
}

#[test]
fn the_root_folder_counts_unless_only_its_time_differs() {
    let with_root = |node: Node| Nodes::from([(b"".to_vec(), node)]);
    let plain = with_root(Node::folder());
    for (node, is_empty) in [
        (Node::folder().time(50), true),
        (Node::folder().mode(0o700), false),
        (Node::folder().owner(1, 1), false),
        (Node::folder().attribute("user.a", b""), false),
    ] {
        let (_, result) = settled(&with_root(node), &plain);
        assert_eq!(result.is_empty, is_empty);
    }
    let alone = Scratch::new();
    make(
        alone.fd(),
        &nodes([("a", Node::file(b"x")), ("gone", Node::new(Kind::Whiteout))]),
    );
    let result = settle(alone.fd(), None, EPOCH).unwrap();
    assert_eq!(
        (result.changed, result.needless_marks, result.is_empty),
        (1, 1, false)
    );
}

#[test]
fn a_name_reserved_for_marks_is_an_error_when_written() {
    let tree = Scratch::new();
    make(
        tree.fd(),
        &nodes([("d", Node::folder()), ("d/.wh.x", Node::file(b""))]),
    );
    let error = write_tree(tree.fd(), EPOCH, &mut Vec::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("d/.wh.x cannot be part of a layer"),
        "{error}"
    );
}
