//! A copy of a stack of trees is written to, and gives the layer that an overlay of them gives.

use super::metadata::Kind;
use super::overlay_tests::{CHANGES, mounted};
use super::sample::{Node, Nodes, Scratch, make, read};
use super::*;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

const EPOCH: i64 = 5_000;

fn tree<const N: usize>(nodes: [(&str, Node); N]) -> Nodes {
    let named = nodes.map(|(path, node)| (path.as_bytes().to_vec(), node));
    let mut all = Nodes::from([(Vec::new(), Node::folder())]);
    all.extend(named);
    all
}

fn file() -> Node {
    Node::file(b"content\n")
}

fn opaque() -> Node {
    Node::new(Kind::Folder { opaque: true })
}

/// Two trees, the lowest first.
fn lowers() -> [Nodes; 2] {
    [
        tree([
            ("becomes-file", Node::folder()),
            ("becomes-file/x", file()),
            ("becomes-folder", file()),
            ("deep", Node::folder().attribute("user.below", b"1")),
            ("deep/appended", Node::file(b"below\n")),
            ("deep/inner", Node::folder()),
            ("deep/inner/leaf", file()),
            ("folder", Node::folder()),
            ("folder/old", file()),
            ("gone", file()),
            ("hides", Node::folder()),
            ("hides/below", file()),
            ("hidden", Node::folder()),
            ("hidden/a", file()),
            ("linked", file()),
            ("mode", file()),
            ("removed-above", file()),
            ("same", file()),
        ]),
        tree([
            ("deep", Node::folder().attribute("user.above", b"2")),
            ("deep/appended", file()),
            ("hides", opaque()),
            ("hides/above", file()),
            ("link", Node::link(b"same")),
            ("removed-above", Node::new(Kind::Whiteout)),
            ("untouched", file()),
        ]),
    ]
}

/// The lower folders, each with its nodes.
fn made(scratch: &Scratch, lowers: &[Nodes]) -> Vec<PathBuf> {
    let one = |(index, nodes): (usize, &Nodes)| {
        let path = folder(scratch, &format!("lower-{index}"));
        make(open(&path).as_fd(), nodes);
        path
    };
    lowers.iter().enumerate().map(one).collect()
}

fn folder(scratch: &Scratch, name: &str) -> PathBuf {
    let path = scratch.path().join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

fn archive(tree: &Path, below: &Path) -> Vec<u8> {
    let (tree, below) = (open(tree), open(below));
    settle(tree.as_fd(), Some(below.as_fd()), EPOCH).unwrap();
    let mut bytes = Vec::new();
    write_tree(tree.as_fd(), EPOCH, &mut bytes).unwrap();
    bytes
}

/// The layer that a script makes on a copy, and what its tree holds.
fn of_copy(lowers: &[Nodes], script: &str) -> (Vec<u8>, Nodes) {
    let scratch = Scratch::new();
    let lowers = made(&scratch, lowers);
    let files: Vec<File> = lowers.iter().map(|path| open(path)).collect();
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let [copy, below] = ["copy", "below"].map(|name| folder(&scratch, name));
    view_merged(&files, open(&below).as_fd()).unwrap();
    let copied = copy_merged(&files, open(&copy).as_fd()).unwrap();
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&copy)
        .status();
    assert!(status.unwrap().success(), "{script}");
    difference(open(&copy).as_fd(), open(&below).as_fd(), &copied, &[]).unwrap();
    (archive(&copy, &below), read(open(&copy).as_fd()))
}

/// The layer that a script makes on the kernel's overlay; none where none can be mounted.
fn of_overlay(lowers: &[Nodes], script: &str) -> Option<Vec<u8>> {
    let scratch = Scratch::new();
    let lowers = made(&scratch, lowers);
    let [upper, work, root, below] =
        ["upper", "work", "root", "below"].map(|name| folder(&scratch, name));
    // The root folder itself is that of the topmost layer.
    let top = lowers.last().unwrap();
    inherit_root(open(&upper).as_fd(), open(top).as_fd()).unwrap();
    let stacked: Vec<String> = lowers
        .iter()
        .rev()
        .map(|it| it.display().to_string())
        .collect();
    let stacked = PathBuf::from(stacked.join(":"));
    if !mounted([&stacked, &upper, &work, &root], script, None) {
        return None;
    }
    let files: Vec<File> = lowers.iter().map(|path| open(path)).collect();
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    view_merged(&files, open(&below).as_fd()).unwrap();
    Some(archive(&upper, &below))
}

#[test]
fn a_view_and_a_copy_show_what_an_overlay_shows() {
    let scratch = Scratch::new();
    let lowers = made(&scratch, &lowers());
    let files: Vec<File> = lowers.iter().map(|path| open(path)).collect();
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let [copy, view] = ["copy", "view"].map(|name| folder(&scratch, name));
    view_merged(&files, open(&view).as_fd()).unwrap();
    copy_merged(&files, open(&copy).as_fd()).unwrap();
    let (copy, view) = (read(open(&copy).as_fd()), read(open(&view).as_fd()));
    assert_eq!(copy, view);
    assert!(!view.contains_key(&b"removed-above"[..]));
    assert!(!view.contains_key(&b"hides/below"[..]) && view.contains_key(&b"hides/above"[..]));
    assert!(view.contains_key(&b"deep/inner/leaf"[..]));
    assert_eq!(
        view[&b"deep"[..]].metadata.attributes.extended,
        [(b"user.above".to_vec(), b"2".to_vec())]
    );
    assert_eq!(
        view[&b"hides"[..]].metadata.kind,
        Kind::Folder { opaque: false }
    );
}

#[test]
fn the_layer_is_that_of_an_overlay() {
    let mut compared = 0;
    for script in [
        ":",
        CHANGES,
        "cd $1; mv deep elsewhere",
        "cd $1; rm -r folder; mv hidden folder",
        "cd $1; rm -r hidden folder; mkdir hidden; mv hidden folder; mkdir hidden; touch hidden/a",
        "cd $1; mv linked gone; ln -s x linked",
        "cd $1; ln same other; rm same",
        "cd $1; chmod 711 deep/inner; touch deep/inner/leaf",
        "cd $1; rm link; mkdir link; echo y > link/file",
        "cd $1; rm -r deep hides; echo x > hides",
        "cd $1; mkfifo fifo; cp -p same copied; rm untouched; cp -p same untouched",
        "cd $1; chmod 700 .",
        "cd $1; echo x >> deep/inner/leaf; rm deep/appended; mkdir deep/appended",
    ] {
        let (ours, left) = of_copy(&lowers(), script);
        let Some(theirs) = of_overlay(&lowers(), script) else {
            eprintln!("no overlay can be mounted here: nothing was compared");
            continue;
        };
        compared += 1;
        let names: Vec<_> = left.keys().map(|it| String::from_utf8_lossy(it)).collect();
        assert_eq!(ours.len(), theirs.len(), "{script}: {names:?}");
        assert!(ours == theirs, "{script}: {names:?}");
    }
    assert!(compared == 0 || compared == 13);
}

#[test]
fn names_of_one_file_are_written_to_one_by_one() {
    let scratch = Scratch::new();
    let path = folder(&scratch, "lower");
    make(open(&path).as_fd(), &tree([("a", file())]));
    std::fs::hard_link(path.join("a"), path.join("b")).unwrap();
    let [copy, below] = ["copy", "below"].map(|name| folder(&scratch, name));
    let lower = open(&path);
    view_merged(&[lower.as_fd()], open(&below).as_fd()).unwrap();
    let copied = copy_merged(&[lower.as_fd()], open(&copy).as_fd()).unwrap();
    std::fs::write(copy.join("a"), "written").unwrap();
    assert_eq!(std::fs::read(copy.join("b")).unwrap(), b"content\n");
    difference(open(&copy).as_fd(), open(&below).as_fd(), &copied, &[]).unwrap();
    let names: Vec<_> = std::fs::read_dir(&copy)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn what_is_untouched_gets_no_mark() {
    let scratch = Scratch::new();
    let lowers = made(
        &scratch,
        &[tree([("dev", Node::link(b"x")), ("gone", file())])],
    );
    let lower = open(&lowers[0]);
    let [copy, below] = ["copy", "below"].map(|name| folder(&scratch, name));
    view_merged(&[lower.as_fd()], open(&below).as_fd()).unwrap();
    let copied = copy_merged(&[lower.as_fd()], open(&copy).as_fd()).unwrap();
    std::fs::remove_file(copy.join("dev")).unwrap();
    std::fs::remove_file(copy.join("gone")).unwrap();
    difference(open(&copy).as_fd(), open(&below).as_fd(), &copied, &["dev"]).unwrap();
    let left = read(open(&copy).as_fd());
    assert!(!left.contains_key(&b"dev"[..]));
    assert_eq!(left[&b"gone"[..]].metadata.kind, Kind::Whiteout);
}
