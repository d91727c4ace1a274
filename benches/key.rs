//! Keys: what it costs to find out that nothing has changed.

use hardtack::digest::{DiffId, Digest};
use hardtack::mask::Masker;
use hardtack::plan::key::{Ingredients, KeyMaterial};
use hardtack::provision::{Input, StartState, input};
use serde_json::json;
use std::fs;

fn main() {
    divan::main();
}

/// Puts together and digests the material of a step that reads some files.
#[divan::bench(args = [1, 100, 10_000])]
fn key(bencher: divan::Bencher<'_, '_>, files: usize) {
    let start = StartState::default();
    let masker = Masker::default();
    let layers = [DiffId(Digest::of("base"))];
    let inputs = (0..files)
        .map(|number| {
            let digest = Digest::of(number.to_string());
            (
                format!("sources[0]/{number}"),
                format!("file 0644 {digest}"),
            )
        })
        .collect::<std::collections::BTreeMap<_, _>>();
    bencher
        .with_inputs(|| inputs.clone())
        .bench_values(|inputs| {
            KeyMaterial::new(Ingredients {
                layers: &layers,
                start: &start,
                provisioner: "shell",
                options: json!({ "scripts": [{ "inline": "#!/bin/sh -e\napt-get update\n" }] }),
                inputs,
                mounts: Vec::new(),
                network: "host",
                platform: "linux/amd64",
                epoch: 0,
                masker: &masker,
            })
            .key()
        });
}

/// Digests the files of a step: many small ones, and one of 64 MiB.
#[divan::bench(args = [(1_000, 4 * 1024), (1, 64 * 1024 * 1024)])]
fn inputs(bencher: divan::Bencher<'_, '_>, (files, size): (usize, usize)) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for number in 0..files {
        let path = folder.path().join(number.to_string());
        fs::write(path, vec![b'x'; size]).expect("a file can be written");
    }
    let one = Input {
        label: "sources[0]".to_owned(),
        path: folder.path().to_owned(),
        is_generated: false,
    };
    bencher
        .counter(divan::counter::BytesCount::new(files * size))
        .bench(|| input::digest(&one));
}
