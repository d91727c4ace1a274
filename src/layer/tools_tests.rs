//! Tests against tools that others wrote: GNU tar and Python's tarfile, both ways.

use super::metadata::Kind;
use super::sample::{Node, Nodes, Scratch, is_root, keepable, make, may_own, read};
use super::*;
use proptest::prelude::*;
use std::process::Command;

/// Lists an archive: one line an entry, with everything that the writer chose.
const PYTHON_LISTING: &str = r#"
import sys, tarfile
for entry in tarfile.open(sys.argv[1], encoding="utf-8", errors="surrogateescape"):
    extended = sorted((k, v) for k, v in entry.pax_headers.items() if k.startswith("SCHILY."))
    print(repr((entry.name, entry.type, oct(entry.mode), entry.uid, entry.gid, entry.size,
        int(entry.mtime), entry.linkname, entry.devmajor, entry.devminor, entry.uname, extended)))
"#;

fn run(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.env("LC_ALL", "C.UTF-8").output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    Some(output.stdout)
}

fn tree_with_everything() -> Nodes {
    let long = "n".repeat(200);
    Nodes::from([
        (b"".to_vec(), Node::folder().mode(0o751)),
        (b"a".to_vec(), Node::file(b"x").mode(0o4755).owner(1, 2)),
        (b"b".to_vec(), Node::same_as(b"a")),
        (b"d".to_vec(), Node::folder().mode(0o1777)),
        (format!("d/{long}").into_bytes(), Node::folder()),
        (
            format!("d/{long}/{long}").into_bytes(),
            Node::file(b"").owner(3_000_000, 0),
        ),
        (b"fifo".to_vec(), Node::new(Kind::Fifo)),
        (b"l".to_vec(), Node::link(format!("d/{long}").as_bytes())),
        (
            b"null".to_vec(),
            Node::new(Kind::CharacterDevice { major: 1, minor: 3 }),
        ),
        (b"old".to_vec(), Node::file(b"").time(-5)),
        (
            b"raw\xff".to_vec(),
            Node::file(b"").attribute("user.a", b"1"),
        ),
    ])
}

#[test]
fn python_reads_what_was_written() {
    let tree = Scratch::new();
    make(tree.fd(), &tree_with_everything());
    let path = Scratch::new();
    let archive = path.path().join("archive.tar");
    let mut file = std::fs::File::create(&archive).unwrap();
    write_tree(tree.fd(), 900, &mut file).unwrap();
    let listing = Command::new("python3")
        .args(["-c", PYTHON_LISTING])
        .arg(&archive)
        .output();
    let Ok(listing) = listing else {
        eprintln!("python3 is not installed");
        return;
    };
    let long = "n".repeat(200);
    let expected = [
        r"('.', b'5', '0o751', 0, 0, 0, 900, '', 0, 0, '', [])".to_owned(),
        r"('a', b'0', '0o4755', 1, 2, 1, 900, '', 0, 0, '', [])".to_owned(),
        r"('b', b'1', '0o4755', 1, 2, 0, 900, 'a', 0, 0, '', [])".to_owned(),
        r"('d', b'5', '0o1777', 0, 0, 0, 900, '', 0, 0, '', [])".to_owned(),
        format!("('d/{long}', b'5', '0o755', 0, 0, 0, 900, '', 0, 0, '', [])"),
        format!("('d/{long}/{long}', b'0', '0o644', 3000000, 0, 0, 900, '', 0, 0, '', [])"),
        r"('fifo', b'6', '0o644', 0, 0, 0, 900, '', 0, 0, '', [])".to_owned(),
        format!("('l', b'2', '0o777', 0, 0, 0, 900, 'd/{long}', 0, 0, '', [])"),
        r"('null', b'3', '0o644', 0, 0, 0, 900, '', 1, 3, '', [])".to_owned(),
        r"('old', b'0', '0o644', 0, 0, 0, -5, '', 0, 0, '', [])".to_owned(),
        r"('raw\udcff', b'0', '0o644', 0, 0, 0, 900, '', 0, 0, '', [('SCHILY.xattr.user.a', '1')])"
            .to_owned(),
    ];
    let text = String::from_utf8_lossy(&listing.stdout);
    for (line, expected) in text.lines().zip(&expected) {
        // Links and fifos keep the owner of an ordinary user, who cannot give them away.
        let has_owner = !["'fifo'", "'l'"].iter().any(|name| line.contains(name));
        if is_root() || has_owner {
            assert_eq!(line, expected);
        }
    }
    assert_eq!(text.lines().count(), expected.len());
}

#[test]
fn gnu_tar_reads_what_was_written_and_the_other_way_round() {
    let nodes = tree_with_everything();
    let (tree, scratch) = (Scratch::new(), Scratch::new());
    make(tree.fd(), &nodes);
    let archive = scratch.path().join("archive.tar");
    write_tree(
        tree.fd(),
        900,
        &mut std::fs::File::create(&archive).unwrap(),
    )
    .unwrap();
    let listing = run(Command::new("tar")
        .arg("--quoting-style=escape")
        .arg("-tf")
        .arg(&archive));
    let Some(listing) = listing else {
        eprintln!("tar is not installed");
        return;
    };
    let lines = String::from_utf8(listing).unwrap();
    assert_eq!(lines.lines().count(), nodes.len());
    assert_eq!(lines.lines().last(), Some("raw\\377"));

    // Each of its formats comes back as the tree that it was made of.
    for format in ["posix", "gnu"] {
        let xattrs = if format == "gnu" {
            "--no-xattrs"
        } else {
            "--xattrs"
        };
        let packed = run(Command::new("tar")
            .args([xattrs, "--numeric-owner", "--sparse", "-cf", "-"])
            .arg(format!("--format={format}"))
            .arg("-C")
            .arg(tree.path())
            .arg("."));
        // GNU tar's own format cannot hold attributes: nothing to compare there.
        let Some(packed) = packed else { return };
        let back = Scratch::new();
        extract(&packed[..], back.fd(), &[], &ExtractOptions::archive(0)).unwrap();
        let (mut ours, mut theirs) = (read(tree.fd()), read(back.fd()));
        for node in ours.values_mut().chain(theirs.values_mut()) {
            if format == "gnu" {
                node.metadata.attributes.extended.clear();
            }
            // It reads owner and device from the disk, where they may be recorded only.
            if !may_own(1, 1) {
                (node.metadata.attributes.uid, node.metadata.attributes.gid) = (0, 0);
            }
        }
        if !may_own(1, 1) {
            ours.remove(&b"null"[..]);
            theirs.remove(&b"null"[..]);
        }
        assert_eq!(ours, theirs, "{format}");
    }
}

#[test]
fn files_with_holes_come_back_from_each_sparse_format() {
    use std::os::unix::fs::FileExt;
    let tree = Scratch::new();
    let file = std::fs::File::create(tree.path().join("sparse")).unwrap();
    file.set_len(3 << 20).unwrap();
    for piece in 0..30 {
        file.write_all_at(b"piece", piece * 100_000 + 17).unwrap();
    }
    let expected = std::fs::read(tree.path().join("sparse")).unwrap();
    let mut plain = Vec::new();
    write_tree(tree.fd(), 0, &mut plain).unwrap();
    let back = Scratch::new();
    extract(&plain[..], back.fd(), &[], &ExtractOptions::archive(0)).unwrap();
    assert!(std::fs::read(back.path().join("sparse")).unwrap() == expected);
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=1.0"],
        &["--format=posix", "--sparse-version=0.1"],
    ] {
        let packed = run(Command::new("tar")
            .args(["--sparse", "-cf", "-", "-C"])
            .arg(tree.path())
            .args(format)
            .arg("sparse"));
        let Some(packed) = packed else { return };
        assert!(packed.len() < 1 << 20, "{format:?}");
        let back = Scratch::new();
        extract(&packed[..], back.fd(), &[], &ExtractOptions::archive(0)).unwrap();
        assert!(
            std::fs::read(back.path().join("sparse")).unwrap() == expected,
            "{format:?}"
        );
        for cut in [513, 1_200, packed.len() / 2] {
            let back = Scratch::new();
            let result = extract(&packed[..cut], back.fd(), &[], &ExtractOptions::layer(0));
            assert!(result.is_err(), "{format:?} cut at {cut}");
        }
    }
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::collection::vec(
        any::<u8>().prop_filter("no name", |byte| !matches!(byte, 0 | b'/')),
        1..255,
    );
    prop_oneof!["[a-c]{1,2}".prop_map(String::into_bytes), odd].prop_filter("reserved", |name| {
        !matches!(name.as_slice(), b"." | b"..") && !name.starts_with(b".wh.")
    })
}

fn nodes() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000).prop_map(|content| Node::file(&content)),
        any::<bool>().prop_map(|opaque| Node::new(Kind::Folder { opaque })),
        prop::collection::vec(1u8.., 1..300).prop_map(|target| Node::link(&target)),
        Just(Node::new(Kind::Fifo)),
        (0..4_096u32, 1..1_048_576u32)
            .prop_map(|(major, minor)| Node::new(Kind::BlockDevice { major, minor })),
    ];
    let ids = prop_oneof![0..5u32, 0..u32::MAX - 1];
    let attributes = prop::collection::btree_map(
        "user\\.[a-z.%]{1,20}".prop_filter("hidden", |name| !name.contains("hardtack")),
        prop::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    let times = prop_oneof![-100..10_000i64, Just(1 << 33)];
    (kind, ids.clone(), ids, 0..0o10000u32, times, attributes).prop_map(
        |(mut node, uid, gid, mode, time, attributes)| {
            let is_plain = matches!(node.metadata.kind, Kind::File { .. } | Kind::Folder { .. });
            if !matches!(node.metadata.kind, Kind::Symlink { .. }) {
                node = node.mode(mode);
            }
            if is_plain {
                for (name, value) in attributes {
                    node = node.attribute(&name, &value);
                }
            }
            // Who is not root can change the owner of files and folders only, by recording it.
            if is_plain || may_own(uid, gid) {
                node = node.owner(uid, gid);
            }
            node.time(time)
        },
    )
}

fn trees() -> impl Strategy<Value = Nodes> {
    prop::collection::vec((any::<prop::sample::Index>(), names(), nodes()), 0..25).prop_map(
        |list| {
            let mut nodes = Nodes::from([(b"".to_vec(), Node::folder().mode(0o755))]);
            for (index, name, node) in list {
                let folders: Vec<_> = nodes
                    .iter()
                    .filter(|(_, node)| matches!(node.metadata.kind, Kind::Folder { .. }))
                    .map(|(path, _)| path.clone())
                    .collect();
                let parent = &folders[index.index(folders.len())];
                let separator: &[u8] = if parent.is_empty() { b"" } else { b"/" };
                nodes
                    .entry([parent.as_slice(), separator, &name].concat())
                    .or_insert(node);
            }
            nodes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_survives_the_way_through_an_archive(nodes in trees()) {
        let (source, back) = (Scratch::new(), Scratch::new());
        make(source.fd(), &nodes);
        let mut bytes = Vec::new();
        write_tree(source.fd(), i64::MAX, &mut bytes).unwrap();
        extract(&bytes[..], back.fd(), &[], &ExtractOptions::layer(0)).unwrap();
        let read_back = read(back.fd());
        for (path, node) in &nodes {
            let mut expected = node.clone();
            expected.metadata = keepable(expected.metadata);
            prop_assert_eq!(&read_back[path], &expected);
        }
        prop_assert_eq!(read_back.len(), nodes.len());
        let mut again = Vec::new();
        write_tree(back.fd(), i64::MAX, &mut again).unwrap();
        prop_assert!(bytes == again);
    }

    #[test]
    fn no_archive_makes_it_panic(
        mut bytes in Just(()).prop_map(|()| {
            let tree = Scratch::new();
            make(tree.fd(), &tree_with_everything());
            let mut bytes = Vec::new();
            write_tree(tree.fd(), 900, &mut bytes).unwrap();
            bytes
        }),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        fix_checksums in any::<bool>(),
    ) {
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if fix_checksums {
            for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
                let mut header = tar::Header::from_byte_slice(block).clone();
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        let outer = Scratch::new();
        std::fs::create_dir(outer.path().join("inner")).unwrap();
        let inner = std::fs::File::open(outer.path().join("inner")).unwrap();
        let inner = std::os::fd::AsFd::as_fd(&inner);
        // Whether it is refused or not, it ends, and stays inside.
        let _ = extract(&bytes[..], inner, &[], &ExtractOptions::layer(0));
        prop_assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}
