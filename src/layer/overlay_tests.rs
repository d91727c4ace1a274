//! The whole way round with the kernel's own overlay: change a mounted tree, settle the upper
//! folder, pack it, extract it elsewhere, mount that, and see the same.
//!
//! Mounting needs a user namespace or root. Where neither is to be had, the test says so.

use super::metadata::Kind;
use super::sample::{Node, Nodes, Scratch, make, read};
use super::*;
use std::process::Command;

/// Changes a root in all the ways that leave something special in an upper folder.
pub(super) const CHANGES: &str = r#"
set -eu
cd "$1"
echo new > added
rm gone
rm -r folder && mkdir folder && echo y > folder/other
rm -r becomes-file && echo z > becomes-file
rm becomes-folder && mkdir becomes-folder && echo w > becomes-folder/in
touch -c -d @1000 same            # copied up, unchanged
chmod 600 mode && chmod 644 mode  # copied up, unchanged
chmod 700 deep/inner
echo more >> deep/appended
mkdir temporary && echo t > temporary/t && rm -r temporary
ln linked linked-too
rm hidden/a && echo a > hidden/a
"#;

/// Mounts $1 over the upper folder $2 with the work folder $3 at $4, runs $5 in it, and copies
/// what is seen to $6 if that is given.
const MOUNT: &str = r#"
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,userxattr,index=off,metacopy=off" "$4"
sh -c "$5" sh "$4"
if [ -n "${6:-}" ]; then tar -C "$4" --sort=name --xattrs -cf "$6" .; fi
umount "$4"
"#;

pub(super) fn mounted(
    arguments: [&std::path::Path; 4],
    script: &str,
    seen: Option<&std::path::Path>,
) -> bool {
    let mut command = Command::new("unshare");
    command.arg("--mount").arg("--propagation=private");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["sh", "-c", MOUNT, "sh"])
        .args(arguments)
        .arg(script);
    command.args(seen);
    let Ok(output) = command.output() else {
        return false;
    };
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[test]
fn an_overlay_of_the_packed_layer_shows_what_the_step_left() {
    let scratch = Scratch::new();
    let folder = |name: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let [lower, upper, work, root, tree, work2, upper2] =
        ["lower", "upper", "work", "root", "tree", "work2", "upper2"].map(folder);
    let open = |path: &std::path::Path| std::fs::File::open(path).unwrap();
    let file = || Node::file(b"content\n");
    let lower_nodes = Nodes::from([
        (b"".to_vec(), Node::folder()),
        (b"becomes-file".to_vec(), Node::folder()),
        (b"becomes-file/x".to_vec(), file()),
        (b"becomes-folder".to_vec(), file()),
        (b"deep".to_vec(), Node::folder()),
        (b"deep/appended".to_vec(), file()),
        (b"deep/inner".to_vec(), Node::folder()),
        (b"folder".to_vec(), Node::folder()),
        (b"folder/old".to_vec(), file()),
        (b"gone".to_vec(), file()),
        (b"hidden".to_vec(), Node::folder()),
        (b"hidden/a".to_vec(), file()),
        (b"linked".to_vec(), file()),
        (b"mode".to_vec(), file()),
        (b"same".to_vec(), file()),
        (b"untouched".to_vec(), file()),
    ]);
    make(std::os::fd::AsFd::as_fd(&open(&lower)), &lower_nodes);
    let seen = scratch.path().join("seen.tar");
    if !mounted([&lower, &upper, &work, &root], CHANGES, None) {
        eprintln!("no overlay can be mounted here: nothing was compared");
        return;
    }
    let (upper_fd, lower_fd) = (open(&upper), open(&lower));
    let (upper_fd, lower_fd) = (
        std::os::fd::AsFd::as_fd(&upper_fd),
        std::os::fd::AsFd::as_fd(&lower_fd),
    );
    settle(upper_fd, Some(lower_fd), 5_000).unwrap();

    let left = read(upper_fd);
    let names: Vec<_> = left
        .keys()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "",
            "added",
            "becomes-file",
            "becomes-folder",
            "becomes-folder/in",
            "deep",
            "deep/appended",
            "deep/inner",
            "folder",
            "folder/other",
            "gone",
            "hidden",
            "hidden/a",
            "linked",
            "linked-too"
        ]
    );
    let kind = |path: &str| left[path.as_bytes()].metadata.kind.clone();
    assert_eq!(kind("folder"), Kind::Folder { opaque: true });
    assert_eq!(kind("becomes-folder"), Kind::Folder { opaque: false });
    assert_eq!(kind("gone"), Kind::Whiteout);

    let mut bytes = Vec::new();
    write_tree(upper_fd, 5_000, &mut bytes).unwrap();
    let tree_file = open(&tree);
    let options = ExtractOptions::layer(0);
    let tree_fd = std::os::fd::AsFd::as_fd(&tree_file);
    extract(&bytes[..], tree_fd, &[lower_fd], &options).unwrap();
    assert_eq!(read(tree_fd), left);

    // The settled upper and the extracted one give the same root.
    let both = [upper.as_path(), lower.as_path()].map(|path| path.display().to_string());
    let both = std::path::PathBuf::from(both.join(":"));
    let again = [tree.as_path(), lower.as_path()].map(|path| path.display().to_string());
    let again = std::path::PathBuf::from(again.join(":"));
    let seen_again = scratch.path().join("seen-again.tar");
    assert!(mounted([&both, &upper2, &work2, &root], ":", Some(&seen)));
    assert!(mounted(
        [&again, &upper2, &work2, &root],
        ":",
        Some(&seen_again)
    ));
    let first = std::fs::read(&seen).unwrap();
    assert!(first.len() > 10_000);
    let (one, other) = (Scratch::new(), Scratch::new());
    extract(&first[..], one.fd(), &[], &ExtractOptions::archive(0)).unwrap();
    let second = std::fs::read(&seen_again).unwrap();
    extract(&second[..], other.fd(), &[], &ExtractOptions::archive(0)).unwrap();
    let (mut one, mut other) = (read(one.fd()), read(other.fd()));
    // An overlay's root has the metadata of the upper folder, which is a fresh one here.
    one.remove(&b""[..]);
    other.remove(&b""[..]);
    assert_eq!(one, other);
    assert!(!one.contains_key(&b"gone"[..]) && !one.contains_key(&b"folder/old"[..]));
}
