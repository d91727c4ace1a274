//! Measuring a tree: how much of the disk it takes.

use super::error::{Context, Result};
use super::folder::{FolderStack, Listed, stat_if_exists};
use super::metadata;
use rustix::fs::Stat;
use std::collections::HashSet;
use std::os::fd::BorrowedFd;

/// `st_blocks` counts in these, whatever the file system (stat(3type)).
const BLOCK: u64 = 512;

/// The bytes of disk that `folder` takes with all that is in it; a file with several names counts
/// once. Folders that may not be listed count without what is in them.
pub fn disk_size(folder: BorrowedFd<'_>) -> Result<u64> {
    let root = rustix::fs::fstat(folder).context("read", b"")?;
    let mut disk = blocks(&root);
    let mut several_names = HashSet::new();
    let mut stack = FolderStack::new(folder)?;
    let mut pending: Vec<std::vec::IntoIter<Listed>> = vec![stack.list()?.into_iter()];
    while let Some(names) = pending.last_mut() {
        let Some(listed) = names.next() else {
            pending.pop();
            stack.pop()?;
            continue;
        };
        let Some(stat) = stat_if_exists(stack.current(), &listed.name)
            .context("read", &stack.path_of(&listed.name))?
        else {
            continue;
        };
        let is_folder = metadata::is_folder(&stat);
        if is_folder || stat.st_nlink == 1 || several_names.insert((stat.st_dev, stat.st_ino)) {
            disk += blocks(&stat);
        }
        if is_folder && stack.push(&listed.name).is_ok() {
            pending.push(stack.list()?.into_iter());
        }
    }
    Ok(disk)
}

fn blocks(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::process::Command;

    #[test]
    fn it_counts_as_du_does() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(tree.join("a/file"), tree.join("a/b/same")).unwrap();
        std::os::unix::fs::symlink("/usr", tree.join("a/b/link")).unwrap();
        let sparse = fs::File::create(tree.join("sparse")).unwrap();
        sparse.set_len(10_000_000).unwrap();
        for number in 0..300 {
            fs::write(tree.join(format!("a/b/{number}")), "x").unwrap();
        }
        let du = Command::new("du")
            .args(["--summarize", "--block-size=1"])
            .arg(&tree)
            .output()
            .unwrap();
        let du = String::from_utf8(du.stdout).unwrap();
        let expected: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
        let folder = fs::File::open(&tree).unwrap();
        assert_eq!(disk_size(folder.as_fd()).unwrap(), expected);
    }
}
