//! Tests of extraction: hostile archives one by one, choices one by one, and round trips.

use super::metadata::Kind;
use super::sample::{
    Node, Nodes, RawEntry, Scratch, archive, is_root, keepable, make, read, record,
};
use super::*;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

const LATE: i64 = i64::MAX / 4;

fn into_tree(bytes: &[u8], lowers: &[BorrowedFd<'_>]) -> (Scratch, Result<Extracted>) {
    let scratch = Scratch::new();
    let result = extract(bytes, scratch.fd(), lowers, &ExtractOptions::layer(7));
    (scratch, result)
}

fn extracted(entries: Vec<RawEntry>, lowers: &[BorrowedFd<'_>]) -> Nodes {
    let (scratch, result) = into_tree(&archive(entries), lowers);
    result.unwrap();
    read(scratch.fd())
}

fn file(name: &str, data: &str) -> RawEntry {
    RawEntry::new(b'0', name.as_bytes(), b"", data.as_bytes())
}

fn folder(name: &str) -> RawEntry {
    RawEntry::new(b'5', name.as_bytes(), b"", b"").change(|header| header.set_mode(0o755))
}

fn symlink(name: &str, target: &str) -> RawEntry {
    RawEntry::new(b'2', name.as_bytes(), target.as_bytes(), b"")
}

fn hardlink(name: &str, target: &str) -> RawEntry {
    RawEntry::new(b'1', name.as_bytes(), target.as_bytes(), b"")
}

fn pax(records: &[Vec<u8>]) -> RawEntry {
    RawEntry::new(b'x', b"PaxHeaders", b"", &records.concat())
}

#[test]
fn hostile_archives_are_refused_and_nothing_is_written_outside() {
    let cases: Vec<(&str, Vec<RawEntry>, &str)> = vec![
        ("parent", vec![file("../victim", "x")], "\"..\""),
        ("parent inside", vec![file("a/../../victim", "x")], "\"..\""),
        ("parent at end", vec![folder("a/..")], "\"..\""),
        ("absolute", vec![file("/tmp/victim", "x")], "absolute"),
        (
            "pax absolute",
            vec![pax(&[record("path", "/victim")]), file("a", "x")],
            "absolute",
        ),
        ("empty", vec![file("", "x")], "empty"),
        (
            "root as link",
            vec![symlink(".", "/tmp")],
            "root must be a folder",
        ),
        (
            "root as file",
            vec![file("./", "x")],
            "root must be a folder",
        ),
        (
            "through link",
            vec![symlink("a", ".."), file("a/victim", "x")],
            "link or a file",
        ),
        (
            "through absolute link",
            vec![symlink("a", "/tmp"), file("a/b/victim", "x")],
            "link or a file",
        ),
        (
            "through file",
            vec![file("a", ""), file("a/b", "")],
            "link or a file",
        ),
        (
            "through late link",
            vec![
                folder("a"),
                file("a/b", ""),
                symlink("a", ".."),
                file("a/victim", "x"),
            ],
            "link or a file",
        ),
        ("hardlink up", vec![hardlink("a", "../victim")], "\"..\""),
        (
            "hardlink outside",
            vec![hardlink("a", "/etc/hostname")],
            "does not exist",
        ),
        (
            "hardlink relative to here",
            vec![hardlink("a", "Cargo.toml")],
            "does not exist",
        ),
        (
            "hardlink through link",
            vec![symlink("l", "/etc"), hardlink("a", "l/hostname")],
            "does not exist",
        ),
        (
            "hardlink to folder",
            vec![folder("d"), hardlink("a", "d")],
            "folder",
        ),
        (
            "hardlink to itself",
            vec![file("a", "x"), hardlink("a", "./a")],
            "itself",
        ),
        (
            "hardlink to what it replaces",
            vec![folder("d"), file("d/f", ""), hardlink("d", "d/f")],
            "does not exist",
        ),
        (
            "hardlink with data",
            vec![file("a", "x"), RawEntry::new(b'1', b"b", b"a", b"data")],
            "does not allow",
        ),
        (
            "folder with data",
            vec![RawEntry::new(b'5', b"b", b"", b"data")],
            "does not allow",
        ),
        ("empty link", vec![symlink("a", "")], "no target"),
        (
            "whiteout of nothing",
            vec![file(".wh.", "")],
            "could be deleted",
        ),
        (
            "whiteout of .",
            vec![file("a/.wh..", "")],
            "could be deleted",
        ),
        (
            "whiteout of ..",
            vec![file("a/.wh...", "")],
            "could be deleted",
        ),
        (
            "aufs metadata",
            vec![file(".wh..wh.plnk", "")],
            "could be deleted",
        ),
        ("in whiteout", vec![file(".wh.a/b", "")], "deletion mark"),
        (
            "whiteout device",
            vec![RawEntry::new(b'3', b"a", b"", b"")],
            "marks a deletion",
        ),
        (
            "pax size negative",
            vec![pax(&[record("size", "-1")]), file("a", "")],
            "no number",
        ),
        (
            "pax size overflow",
            vec![
                pax(&[record("size", "18446744073709551615")]),
                file("a", ""),
            ],
            "no number",
        ),
        (
            "pax size twice",
            vec![
                pax(&[record("size", "0"), record("size", "512")]),
                file("a", ""),
            ],
            "twice",
        ),
        (
            "pax path with NUL",
            vec![pax(&[record("path", "a\0b")]), file("a", "")],
            "NUL",
        ),
        (
            "pax twice",
            vec![
                pax(&[record("path", "b")]),
                pax(&[record("path", "c")]),
                file("a", ""),
            ],
            "two extended",
        ),
        (
            "pax without entry",
            vec![pax(&[record("path", "b")])],
            "no entry",
        ),
        (
            "pax malformed",
            vec![
                RawEntry::new(b'x', b"p", b"", b"99 path=a\n"),
                file("a", ""),
            ],
            "length",
        ),
        (
            "pax global path",
            vec![
                RawEntry::new(b'g', b"p", b"", &record("path", "b")),
                file("a", ""),
            ],
            "global",
        ),
        (
            "pax uid",
            vec![pax(&[record("uid", "4294967295")]), file("a", "")],
            "out of range",
        ),
        (
            "two names",
            vec![
                RawEntry::new(b'L', b"l", b"", b"b\0"),
                pax(&[record("path", "c")]),
                file("a", ""),
            ],
            "two ways",
        ),
        (
            "unknown type",
            vec![RawEntry::new(b'V', b"a", b"", b"")],
            "unknown type",
        ),
        (
            "checksum",
            vec![file("a", "").change(|header| header.as_old_mut().mode = *b"0000x44\0")],
            "no number",
        ),
    ];
    for (case, entries, expected) in cases {
        let outer = Scratch::new();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let inner = std::fs::File::open(inner).unwrap();
        let fd = std::os::fd::AsFd::as_fd(&inner);
        let result = extract(&archive(entries)[..], fd, &[], &ExtractOptions::layer(0));
        let message = result.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(message.contains(expected), "{case}: {message}");
        assert_eq!(
            std::fs::read_dir(outer.path()).unwrap().count(),
            1,
            "{case}"
        );
    }
}

#[test]
fn broken_framing_is_refused() {
    let good = archive(vec![file("a", "some data"), file("b", "")]);
    for cut in [1, 511, 512, 513, 600, 1023, 1024 + 100] {
        let (_, result) = into_tree(&good[..cut], &[]);
        assert!(result.is_err(), "cut at {cut}");
    }
    let mut flipped = good.clone();
    flipped[0] = b'z';
    assert!(
        into_tree(&flipped, &[])
            .1
            .unwrap_err()
            .to_string()
            .contains("checksum")
    );
    let trailing = [&good[..], &good[..512]].concat();
    assert!(
        into_tree(&trailing, &[])
            .1
            .unwrap_err()
            .to_string()
            .contains("follow")
    );
    // Without the end marker: a layer's digest vouches for it, nothing does for an archive.
    let unmarked = &good[..1536];
    assert!(into_tree(unmarked, &[]).1.is_ok());
    let scratch = Scratch::new();
    let options = ExtractOptions::archive(0);
    assert!(extract(unmarked, scratch.fd(), &[], &options).is_err());
    assert!(extract(&good[..], scratch.fd(), &[], &options).is_ok());
    assert!(into_tree(b"", &[]).1.is_ok());
    assert!(into_tree(&[0; 1024], &[]).1.is_ok());
}

#[test]
fn limits_name_the_entry() {
    let entries = || {
        archive(vec![
            folder("a"),
            file("a/b", "12345"),
            file("a/c", "12345"),
        ])
    };
    let plain = ExtractLimits::default();
    for (limits, expected) in [
        (
            ExtractLimits {
                entries: 2,
                ..plain
            },
            "a/c exceeds the limit on the number of entries",
        ),
        (
            ExtractLimits {
                file_size: 4,
                ..plain
            },
            "a/b exceeds the limit on the bytes of one file",
        ),
        (
            ExtractLimits {
                total_size: 9,
                ..plain
            },
            "a/c exceeds the limit on the bytes of all",
        ),
        (
            ExtractLimits {
                path_length: 2,
                ..plain
            },
            "a/b exceeds the limit on the bytes of one path",
        ),
        (
            ExtractLimits { depth: 0, ..plain },
            "a/b exceeds the limit on nested folders",
        ),
    ] {
        let scratch = Scratch::new();
        let options = ExtractOptions {
            limits,
            ..ExtractOptions::layer(0)
        };
        let error = extract(&entries()[..], scratch.fd(), &[], &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let large = archive(vec![
        pax(&[record("path", &"p".repeat(2_000_000))]),
        file("a", ""),
    ]);
    let error = into_tree(&large, &[]).1.unwrap_err().to_string();
    assert!(error.contains("extended header"), "{error}");
    let huge = file("a", "").change(|header| header.set_size(1 << 45));
    let error = into_tree(&archive(vec![huge]), &[])
        .1
        .unwrap_err()
        .to_string();
    assert!(error.contains("bytes of one file"), "{error}");
    let deep = archive(vec![
        pax(&[record("path", &"d/".repeat(3_000))]),
        folder("a"),
    ]);
    let error = into_tree(&deep, &[]).1.unwrap_err().to_string();
    assert!(error.contains("nested folders"), "{error}");
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let nodes = extracted(
        vec![
            file("a", "old"),
            file("a", "new"),
            folder("d"),
            file("d/inside", ""),
            symlink("d", "elsewhere"),
            symlink("l", "a"),
            file("l", "not through the link"),
            file("f", ""),
            folder("f"),
            folder("f").change(|header| header.set_mode(0o700)),
        ],
        &[],
    );
    assert_eq!(nodes[&b"a"[..]].content, b"new");
    assert_eq!(
        nodes[&b"d"[..]].metadata.kind,
        Node::link(b"elsewhere").metadata.kind
    );
    assert_eq!(nodes[&b"l"[..]].content, b"not through the link");
    assert_eq!(nodes[&b"f"[..]].metadata.attributes.mode, 0o700);
    assert_eq!(nodes.len(), 5);
}

#[test]
fn deletion_marks_become_what_an_overlay_understands() {
    let nodes = extracted(
        vec![
            file(".wh.gone", ""),
            file("o/.wh..wh..opq", ""),
            file("o/kept", ""),
            // Both orders: the new file stays, the new folder hides the old one.
            file("new1", "x"),
            file(".wh.new1", ""),
            file(".wh.new2", ""),
            file("new2", "x"),
            file(".wh.dir1", ""),
            file("dir1/x", ""),
            folder("dir2"),
            file(".wh.dir2", ""),
            file(".wh.dir3", ""),
            folder("dir3"),
        ],
        &[],
    );
    let kind = |path: &str| nodes[path.as_bytes()].metadata.kind.clone();
    assert_eq!(kind("gone"), Kind::Whiteout);
    for path in ["o", "dir1", "dir2", "dir3"] {
        assert_eq!(kind(path), Kind::Folder { opaque: true }, "{path}");
    }
    for path in ["new1", "new2"] {
        assert_eq!(nodes[path.as_bytes()].content, b"x");
    }
    let scratch = Scratch::new();
    let bytes = archive(vec![file("a/.wh.b", "")]);
    let error = extract(&bytes[..], scratch.fd(), &[], &ExtractOptions::archive(0)).unwrap_err();
    assert!(error.to_string().contains("no layer"), "{error}");
}

#[test]
fn what_lies_below_gives_folders_their_metadata_and_hardlinks_their_target() {
    let (top, bottom) = (Scratch::new(), Scratch::new());
    make(
        bottom.fd(),
        &Nodes::from([
            (b"".to_vec(), Node::folder().mode(0o711)),
            (b"usr".to_vec(), Node::folder().mode(0o750).time(50)),
            (b"usr/lib".to_vec(), Node::folder().mode(0o700)),
            (b"usr/tool".to_vec(), Node::file(b"tool").mode(0o755)),
            (b"hidden".to_vec(), Node::folder().mode(0o700)),
            (b"hidden/f".to_vec(), Node::file(b"")),
            (b"lib".to_vec(), Node::link(b"usr/lib")),
            (b"gone".to_vec(), Node::file(b"")),
        ]),
    );
    make(
        top.fd(),
        &Nodes::from([
            (b"".to_vec(), Node::folder().mode(0o701)),
            (b"usr".to_vec(), Node::folder().mode(0o751)),
            (
                b"hidden".to_vec(),
                Node::new(Kind::Folder { opaque: true }).mode(0o755),
            ),
            (b"gone".to_vec(), Node::new(Kind::Whiteout)),
        ]),
    );
    let lowers = [top.fd(), bottom.fd()];
    let nodes = extracted(
        vec![
            file("usr/lib/new", ""),
            hardlink("usr/alias", "usr/tool"),
            // A link below does not lead an entry elsewhere: a folder hides it.
            file("lib/x", ""),
        ],
        &lowers,
    );
    let mode = |path: &str| nodes[path.as_bytes()].metadata.attributes.mode;
    assert_eq!(mode(""), 0o701);
    assert_eq!(mode("usr"), 0o751);
    assert_eq!(mode("usr/lib"), 0o700);
    assert_eq!(mode("lib"), 0o755);
    assert_eq!(nodes[&b"lib"[..]].metadata.attributes.modified, 7);
    assert_eq!(nodes[&b"usr/alias"[..]].content, b"tool");
    assert_eq!(nodes[&b"usr/tool"[..]].same_as, Some(b"usr/alias".to_vec()));
    assert_eq!(mode("usr/tool"), 0o755);
    for target in ["hidden/f", "gone", "usr/lib", "nothing"] {
        let (_, result) = into_tree(&archive(vec![hardlink("a", target)]), &lowers);
        assert!(result.is_err(), "{target}");
    }
    let deleted = vec![file("usr/.wh.tool", ""), hardlink("a", "usr/tool")];
    assert!(into_tree(&archive(deleted), &lowers).1.is_err());
    let nodes = extracted(
        vec![file(".wh..wh..opq", ""), folder("usr"), file("usr/a", "")],
        &lowers,
    );
    assert_eq!(
        nodes[&b"usr"[..]].metadata.kind,
        Kind::Folder { opaque: true }
    );
    assert_eq!(nodes[&b"lib"[..]].metadata.kind, Kind::Whiteout);
}

#[test]
fn reserved_attributes_cannot_be_forged() {
    let forged = [
        record("SCHILY.xattr.user.hardtack.owner", "0:0"),
        record("SCHILY.xattr.user.overlay.opaque", "y"),
        record("SCHILY.xattr.user.overlay.redirect", "/etc"),
        record("SCHILY.xattr.trusted.overlay.opaque", "y"),
        record("SCHILY.xattr.user.plain", "kept"),
    ];
    let nodes = extracted(vec![pax(&forged), folder("d")], &[]);
    let node = &nodes[&b"d"[..]];
    assert_eq!(node.metadata.kind, Kind::Folder { opaque: false });
    let expected = Node::folder()
        .attribute("user.overlay.opaque", b"y")
        .attribute("user.overlay.redirect", b"/etc")
        .attribute("user.plain", b"kept");
    assert_eq!(
        node.metadata.attributes.extended,
        expected.metadata.attributes.extended
    );
}

fn rich_tree() -> Nodes {
    let long = "n".repeat(255);
    let deep = format!("deep/{long}/{long}");
    Nodes::from([
        (b"".to_vec(), Node::folder().mode(0o751).owner(3, 4)),
        (b"bin".to_vec(), Node::folder().mode(0o2775)),
        (
            b"bin/su".to_vec(),
            Node::file(b"su").mode(0o4755).owner(0, 10),
        ),
        (
            b"bin/user".to_vec(),
            Node::file(b"u").mode(0o6711).owner(1_000, 1_001),
        ),
        (b"bin/zz-su".to_vec(), Node::same_as(b"bin/su")),
        (
            b"big-id".to_vec(),
            Node::file(b"").owner(3_000_000_000, 2_097_152),
        ),
        (b"deep".to_vec(), Node::folder()),
        (format!("deep/{long}").into_bytes(), Node::folder().mode(0)),
        (deep.clone().into_bytes(), Node::file(b"long")),
        (b"empty".to_vec(), Node::folder().mode(0o1777)),
        (b"fifo".to_vec(), Node::new(Kind::Fifo).mode(0o600)),
        (
            b"gone".to_vec(),
            Node {
                metadata: super::metadata::Metadata {
                    kind: Kind::Whiteout,
                    attributes: super::metadata::Attributes::of_implied_folder(0),
                },
                content: vec![],
                same_as: None,
            },
        ),
        (b"link".to_vec(), Node::link(deep.as_bytes())),
        (b"link2".to_vec(), Node::link(b"/etc/\xff\xfe")),
        (b"new\nline\x1b".to_vec(), Node::file(b"x").mode(0)),
        (b"non-utf8-\xff\xc3".to_vec(), Node::file(b"x").time(-5)),
        (
            b"null".to_vec(),
            Node::new(Kind::CharacterDevice { major: 1, minor: 3 }).mode(0o666),
        ),
        (
            b"opaque".to_vec(),
            Node::new(Kind::Folder { opaque: true }).mode(0o755),
        ),
        (b"opaque/!x".to_vec(), Node::file(&vec![7; 100_000])),
        (
            b"sda".to_vec(),
            Node::new(Kind::BlockDevice {
                major: 8,
                minor: 300,
            })
            .mode(0o660)
            .owner(0, 6),
        ),
        (
            b"with-attributes".to_vec(),
            Node::file(b"")
                .attribute("user.b", b"\0=\n")
                .attribute("user.a", b"")
                .attribute("user.overlay.x", b"1"),
        ),
    ])
}

fn tar_of(root: BorrowedFd<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let summary = write_tree(root, LATE, &mut bytes).unwrap();
    assert_eq!(summary.size, bytes.len() as u64);
    let (diff_id, hashed) = hash_tree(root, LATE).unwrap();
    assert_eq!(diff_id.0, crate::digest::Digest::of(&bytes));
    assert_eq!(hashed, summary);
    bytes
}

#[test]
fn everything_survives_the_way_through_an_archive() {
    let mut nodes = rich_tree();
    let source = Scratch::new();
    make(source.fd(), &nodes);
    let bytes = tar_of(source.fd());
    let (tree, result) = into_tree(&bytes, &[]);
    let result = result.unwrap();
    assert_eq!(read(tree.fd()), read(source.fd()));
    assert!(tar_of(tree.fd()) == bytes);
    assert_eq!(result.newest, Some(1_000));
    // What was asked for is what is there: owners and devices are real or recorded.
    let first = nodes[&b"bin/su"[..]].clone();
    let alias = nodes.get_mut(&b"bin/zz-su"[..]).unwrap();
    (alias.metadata, alias.content) = (first.metadata, first.content);
    let read_back = read(tree.fd());
    for (path, node) in &nodes {
        let metadata = keepable(node.metadata.clone());
        let expected = Node {
            metadata,
            ..node.clone()
        };
        assert_eq!(read_back[path], expected, "{}", TreePath::new(path));
    }
    super::remove_tree(tree.fd(), OsStr::from_bytes(b"deep")).unwrap();
}

#[test]
fn the_archive_is_that_of_this_version_of_the_format() {
    let source = Scratch::new();
    make(source.fd(), &rich_tree());
    let (diff_id, summary) = hash_tree(source.fd(), 900).unwrap();
    assert_eq!(summary.entries, 22);
    // An ordinary user cannot give links away, nor read files without permissions.
    let expected = "sha256:2ea7f091c34af7c74cfc9d9cfe667f16930f6440e6039ce1c69f370d03baa1aa";
    if is_root() {
        assert_eq!(diff_id.to_string(), expected);
    } else {
        assert_ne!(diff_id.to_string(), expected);
    }
    for threads in [1, 2] {
        let mut blob = Vec::new();
        let packed = pack_tree(source.fd(), 900, &mut blob, threads).unwrap();
        assert_eq!(packed.diff_id, diff_id);
        assert_eq!(packed.tar, summary);
        assert_eq!(packed.size, blob.len() as u64);
        assert_eq!(packed.digest, crate::digest::Digest::of(&blob));
        let mut plain = Vec::new();
        std::io::copy(
            &mut crate::decompress::decompress(&blob[..]).unwrap().0,
            &mut plain,
        )
        .unwrap();
        assert_eq!(crate::digest::Digest::of(plain), diff_id.0);
    }
}
