//! Trees as layers: many of them, odd paths, owners, deletions.

use super::support::{Bench, EPOCH};
use hardtack::sandbox::{Cancel, Task, TaskReport};
use std::fs;
use std::path::PathBuf;

#[test]
fn images_may_have_many_layers() {
    let mut bench = Bench::new();
    for number in 0..130 {
        let layer = bench.host(&format!("layer-{number:03}"));
        fs::create_dir_all(layer.join("srv")).unwrap();
        fs::write(layer.join("srv").join(number.to_string()), "x").unwrap();
        fs::write(layer.join("srv/last"), number.to_string()).unwrap();
        bench.lowers.push(layer);
    }
    let ran = bench
        .shell("ls /srv | wc -l; cat /srv/last; rm /srv/7")
        .done();
    assert_eq!(ran.stdout.replace('\n', " "), "131 129");
    assert_eq!(ran.changed(), ["srv", "srv/7"]);
}

/// Neither separators of mount options nor length matter.
#[test]
fn stores_may_have_odd_paths() {
    for name in [
        "with space",
        "co:lon,comma",
        "back\\slash",
        &format!("{}end", "long/".repeat(150)),
    ] {
        let mut bench = Bench::new();
        let odd = bench.host(name);
        fs::create_dir_all(odd.parent().unwrap()).unwrap();
        for parent in odd
            .ancestors()
            .skip(1)
            .take_while(|path| *path != bench.folder.path())
        {
            fs::create_dir_all(parent).unwrap();
        }
        fs::rename(bench.base(), &odd).unwrap();
        let second = bench.host(&format!("{name}-second"));
        fs::create_dir_all(&second).unwrap();
        bench.lowers = vec![odd, second];
        let scratch = bench.scratch();
        let inside = PathBuf::from(format!("{name}-scratch"));
        let odd_scratch = bench.host(inside.to_str().unwrap());
        fs::rename(scratch, &odd_scratch).unwrap();
        let spec = bench.spec(&odd_scratch, vec![super::support::shell("echo x > /new")]);
        let report = bench
            .sandbox
            .run_step(&spec, &mut |_, _| {}, &Cancel::default());
        let has_layer = report.as_ref().is_ok_and(|report| report.diff_id.is_some());
        assert!(has_layer, "{name}: {report:?}");
    }
}

#[test]
fn folders_that_are_made_again_hide_what_was_below() {
    let mut bench = Bench::new();
    fs::create_dir(bench.base().join("srv")).unwrap();
    fs::write(bench.base().join("srv/old"), "x").unwrap();
    let ran = bench
        .shell("rm -r /srv; mkdir /srv; echo x > /srv/new; ls /srv")
        .done();
    assert_eq!(ran.stdout, "new\n");
    bench.lowers.push(ran.tree());
    assert_eq!(bench.print("ls /srv"), "new\n");
}

/// Owners survive the way from one step to the next layer, also where the kernel stores one only.
#[test]
fn owners_reach_the_layer() {
    let mut bench = Bench::new();
    let script = "mkdir /srv; echo x > /srv/file; chown 33:44 /srv/file; chown app /srv; ln -s file /srv/link; chown -h 5:6 /srv/link";
    let ran = bench.shell(script).done();
    let blob = bench.host("blob");
    let pack = Task::Pack {
        tree: ran.tree(),
        epoch: EPOCH,
        blob: blob.clone(),
        threads: 1,
    };
    let TaskReport::Packed(packed) = bench.sandbox.task(&pack, &Cancel::default()).unwrap() else {
        panic!("another report");
    };
    assert_eq!(Some(packed.diff_id), ran.report().diff_id);
    let mut tar = flate2::read::MultiGzDecoder::new(fs::File::open(blob).unwrap());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut tar, &mut bytes).unwrap();
    let owners: Vec<String> = tar::Archive::new(&bytes[..])
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
            format!("{} {uid}:{gid}", entry.path().unwrap().display())
        })
        .collect();
    let link = if bench.has_many_ids() {
        "srv/link 5:6"
    } else {
        "srv/link 0:0"
    };
    assert_eq!(owners, ["./ 0:0", "srv/ 1000:0", "srv/file 33:44", link]);
}

#[test]
fn damaged_archives_are_errors() {
    let bench = Bench::new();
    let archive = bench.host("archive");
    let into = bench.host("into");
    fs::create_dir(&into).unwrap();
    fs::write(&archive, b"\x1f\x8b\x08\x00 not really").unwrap();
    let extract = Task::Extract {
        archive,
        expected: None,
        into,
        lowers: Vec::new(),
        whiteouts: true,
        epoch: EPOCH,
    };
    let error = bench
        .sandbox
        .task(&extract, &Cancel::default())
        .unwrap_err();
    assert!(error.to_string().contains("archive"), "{error}");
}
