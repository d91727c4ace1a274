//! How fast layers are made and taken apart: `cargo bench --bench layer`.
//!
//! The tree has 4,000 files in 200 folders, 32 MB in all, about the mix of a Debian root. Where it
//! lies decides what is measured: set `TMPDIR` to a tmpfs to see this code, to a disk to see the
//! file system.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use hardtack::layer::{
    ExtractOptions, GzipWriter, extract, hash_tree, pack_tree, remove_tree, settle, write_tree,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

const FOLDERS: usize = 200;
const FILES: usize = 20;
const EPOCH: i64 = 1_700_000_000;

fn main() {
    divan::main();
}

/// Neither random nor trivial: compresses to about half.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(format!("{} {:x}\n", state >> 60, state >> 33).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn make_tree(root: &Path) {
    for folder in 0..FOLDERS {
        let path = root.join(format!("usr/share/folder-{folder}"));
        std::fs::create_dir_all(&path).expect("the scratch folder is writable");
        for file in 0..FILES {
            let seed = folder * FILES + file;
            // From almost nothing to 64 KiB, 8 KiB on average.
            let length = 64 << (seed % 11);
            let bytes = content(seed, length);
            std::fs::write(path.join(format!("file-{file}")), bytes)
                .expect("the scratch folder is writable");
        }
    }
}

fn scratch() -> (tempfile::TempDir, File) {
    let scratch = tempfile::tempdir().expect("there is a folder for temporary files");
    let open = File::open(scratch.path()).expect("it was just made");
    (scratch, open)
}

#[divan::bench]
fn hash(bencher: Bencher) {
    let (scratch, open) = scratch();
    make_tree(scratch.path());
    let (_, summary) = hash_tree(open.as_fd(), EPOCH).expect("the tree is readable");
    bencher
        .counter(BytesCount::new(summary.size))
        .counter(ItemsCount::new(summary.entries))
        .bench_local(|| hash_tree(open.as_fd(), EPOCH).expect("the tree is readable"));
}

#[divan::bench(args = [1, 2, 4], sample_count = 5)]
fn pack(bencher: Bencher, threads: usize) {
    let (scratch, open) = scratch();
    make_tree(scratch.path());
    let (_, summary) = hash_tree(open.as_fd(), EPOCH).expect("the tree is readable");
    bencher
        .counter(BytesCount::new(summary.size))
        .bench_local(|| {
            pack_tree(open.as_fd(), EPOCH, std::io::sink(), threads).expect("readable")
        });
}

#[divan::bench(args = [1, 2, 4], sample_count = 5)]
fn compress(bencher: Bencher, threads: usize) {
    let input = content(1, 32 << 20);
    bencher
        .counter(BytesCount::of_slice(&input))
        .bench_local(|| {
            let mut writer = GzipWriter::new(std::io::sink(), threads).expect("threads start");
            writer.write_all(&input).expect("a sink takes all");
            writer.finish().expect("a sink takes all")
        });
}

#[divan::bench(sample_count = 10)]
fn unpack(bencher: Bencher) {
    let (source, source_open) = scratch();
    make_tree(source.path());
    let mut archive = Vec::new();
    let summary = write_tree(source_open.as_fd(), EPOCH, &mut archive).expect("readable");
    bencher
        .counter(BytesCount::new(summary.size))
        .counter(ItemsCount::new(summary.entries))
        .with_inputs(scratch)
        .bench_local_refs(|(_, open)| {
            extract(
                &archive[..],
                open.as_fd(),
                &[],
                &ExtractOptions::layer(EPOCH),
            )
            .expect("the archive is good")
        });
}

/// The worst case: everything was copied up, nothing changed, so all content is compared.
#[divan::bench(sample_count = 10)]
fn settle_unchanged(bencher: Bencher) {
    let (source, source_open) = scratch();
    make_tree(source.path());
    let mut archive = Vec::new();
    write_tree(source_open.as_fd(), EPOCH, &mut archive).expect("readable");
    let (_lower, lower_open) = scratch();
    let options = ExtractOptions::layer(EPOCH);
    extract(&archive[..], lower_open.as_fd(), &[], &options).expect("the archive is good");
    bencher
        .counter(BytesCount::new(archive.len()))
        .with_inputs(|| {
            let (upper, open) = scratch();
            extract(&archive[..], open.as_fd(), &[], &options).expect("the archive is good");
            (upper, open)
        })
        .bench_local_refs(|(_, open)| {
            settle(open.as_fd(), Some(lower_open.as_fd()), EPOCH).expect("both are readable")
        });
}

#[divan::bench(sample_count = 10)]
fn remove(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let (scratch, open) = scratch();
            make_tree(scratch.path());
            (scratch, open)
        })
        .bench_local_refs(|(_, open)| {
            remove_tree(open.as_fd(), OsStr::new("usr")).expect("it is ours")
        });
}
