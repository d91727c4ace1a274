//! Owners: what steps give away is in the layer, the same in all three kinds of isolation, also
//! where the kernel stores one owner only.

use super::support::{Bench, EPOCH, Ran, shell};
use hardtack::sandbox::{Cancel, Task, TaskReport};
use std::fs;
use std::io::Read;

/// `path uid:gid mode` of each entry of the layer, `./` left out.
fn owners(bench: &Bench, ran: &Ran) -> Vec<String> {
    let blob = ran.scratch.with_extension("blob");
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
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(blob).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    tar::Archive::new(&bytes[..])
        .entries()
        .unwrap()
        .skip(1)
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
            let mode = header.mode().unwrap();
            format!("{} {uid}:{gid} {mode:o}", entry.path().unwrap().display())
        })
        .collect()
}

#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let mut bench = Bench::new();
    let script = format!("set -e; umask 022; mkdir /srv; cd /srv; {script}");
    let ran = bench.shell(&script).done();
    let mut all = vec!["srv/ 0:0 755"];
    all.extend(expected);
    assert_eq!(owners(&bench, &ran), all, "{script}");
}

#[test]
fn files_and_folders_are_given_away() {
    check("touch a; chown 33:44 /srv/a", &["srv/a 33:44 644"]);
    check("touch a; chown 33 a", &["srv/a 33:0 644"]);
    check("touch a; chown 5:6 ./../srv//a", &["srv/a 5:6 644"]);
    check(
        "mkdir -p t/u; touch t/u/a t/b; chown -R app:adm t",
        &[
            "srv/t/ 1000:4 755",
            "srv/t/b 1000:4 644",
            "srv/t/u/ 1000:4 755",
            "srv/t/u/a 1000:4 644",
        ],
    );
}

#[test]
fn links_are_followed_inside_the_root() {
    check(
        "touch a; ln -s /srv/a z; chown 9:8 z",
        &["srv/a 9:8 644", "srv/z 0:0 777"],
    );
    check(
        "touch a; ln -s ../../../../../srv/a z; ln -s z y; chown 9:8 y",
        &["srv/a 9:8 644", "srv/y 0:0 777", "srv/z 0:0 777"],
    );
    check(
        "mkdir a; ln -s a z; chown -h 9:8 z/",
        &["srv/a/ 9:8 755", "srv/z 0:0 777"],
    );
    check(
        "ln -s z z; ln -s nowhere y; ! chown 9 z; ! chown 9 y; ! chown 9 x; ! chown 9 /etc/passwd/x; \
        rm y z",
        &[],
    );
}

#[test]
fn what_a_command_writes_to_can_be_given_away() {
    check("chown 1000 /dev/stdout /dev/stderr", &[]);
    check("chown 9:8 /dev/fd/5 5> a", &["srv/a 9:8 644"]);
}

#[test]
fn a_change_of_root_counts() {
    check(
        "mkdir bin etc; touch a; cp /bin/busybox bin; ln -s ../../../a z; \
        chroot /srv /bin/busybox chown 9:8 /a; chroot /srv /bin/busybox chown 9:7 /z; \
        rm -r bin etc",
        &["srv/a 9:7 644", "srv/z 0:0 777"],
    );
}

/// As `chown(2)` has it: the bits go, but for folders.
#[test]
fn giving_away_takes_set_user_id_bits() {
    check(
        "touch a; chmod 6755 a; chown 9:8 a; mkdir b; chmod 6755 b; chown 9:8 b; \
        touch c; chown 9:8 c; chmod 4755 c",
        &["srv/a 9:8 755", "srv/b/ 9:8 6755", "srv/c 9:8 4755"],
    );
}

#[test]
fn files_of_the_layers_below_are_copied_up() {
    let mut bench = Bench::new();
    let ran = bench.shell("chown 12:34 /etc/passwd").done();
    assert_eq!(
        owners(&bench, &ran),
        ["etc/ 0:0 755", "etc/passwd 12:34 644"]
    );
    let text = fs::read_to_string(bench.base().join("etc/passwd")).unwrap();
    assert_eq!(
        fs::read_to_string(ran.tree().join("etc/passwd")).unwrap(),
        text
    );
    // The same owner again is no change.
    bench.lowers.push(ran.tree());
    let ran = bench.shell("chown 12:34 /etc/passwd").done();
    assert_eq!(ran.report().diff_id, None, "{:?}", ran.changed());
    let ran = bench.shell("chmod 600 /etc/passwd").done();
    assert_eq!(owners(&bench, &ran)[1], "etc/passwd 12:34 600");
}

#[test]
fn archives_are_unpacked_with_their_owners() {
    let mut bench = Bench::new();
    let mut archive = tar::Builder::new(fs::File::create(bench.base().join("a.tar")).unwrap());
    for (name, uid, gid, mode) in [("one", 55, 66, 0o4755), ("two", 77, 88, 0o640)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        archive.append_data(&mut header, name, &b"x"[..]).unwrap();
    }
    archive.finish().unwrap();
    drop(archive);
    let ran = bench
        .shell("mkdir /srv && tar -x -p -f /a.tar -C /srv")
        .done();
    assert_eq!(
        owners(&bench, &ran),
        ["srv/ 0:0 755", "srv/one 55:66 4755", "srv/two 77:88 640"]
    );
}

/// Where it cannot be had, it is pretended, so that programs which give up root go on.
#[test]
#[cfg(target_arch = "x86_64")]
fn another_identity_can_be_taken() {
    let mut bench = Bench::new();
    super::support::copy_program("/usr/bin/perl", bench.base());
    let script = "$( = 33; $) = '33 33'; $! = 0; syscall(116, 0, 0) == 0 or die 'setgroups'; \
        syscall(119, 33, 33, 33) == 0 or die 'setresgid'; \
        syscall(117, 33, 33, 33) == 0 or die 'setresuid';";
    bench.step(vec![super::support::perl(script)]).done();
}

/// `fchown` and `fchownat`, which BusyBox does not call.
#[test]
#[cfg(target_arch = "x86_64")]
fn descriptors_are_given_away() {
    let mut bench = Bench::new();
    super::support::copy_program("/usr/bin/perl", bench.base());
    let script = "open($file, '>', '/one') or die; syscall(93, fileno($file), 5, -1) == 0 or die 'fchown'; chown(-1, 6, '/one') == 1 or die 'chown'; \
        open($two, '>', '/two') or die; \
        syscall(260, fileno($two), my $empty = '', 7, 8, 0x1000) == 0 or die 'fchownat of itself'; \
        mkdir('/srv') or die; open($three, '>', '/srv/three') or die; opendir($folder, '/srv') or die; \
        syscall(260, fileno($folder), my $name = 'three', 9, 10, 0) == 0 or die 'fchownat'; \
        syscall(260, fileno($folder), my $none = '', 9, 10, 0) == -1 or die 'empty'; \
        syscall(93, 99, 5, 6) == -1 && $! == 9 or die 'bad descriptor'; \
        syscall(92, 1, 5, 6) == -1 && $! == 14 or die 'bad address';";
    let ran = bench.step(vec![super::support::perl(script)]).done();
    assert_eq!(
        owners(&bench, &ran),
        [
            "one 5:6 644",
            "srv/ 0:0 755",
            "srv/three 9:10 644",
            "two 7:8 644"
        ]
    );
}

/// Many processes that wait for an answer at once, and some that are killed while they do.
#[test]
fn many_callers_are_answered() {
    let mut bench = Bench::new();
    let script = "mkdir /srv; cd /srv; for i in 1 2 3 4 5 6 7 8; do \
        (for j in 1 2 3 4 5 6 7 8 9; do touch $i$j; chown $i:$j $i$j; done) & done; \
        for i in 1 2 3 4 5 6; do (while :; do chown 0 /tmp; done) & killed=\"$killed $!\"; done; \
        kill -9 $killed; wait; ls | wc -l; test $(stat -c %s /srv/89) = 0";
    let ran = bench.shell(script).done();
    assert_eq!(ran.stdout, "72\n");
    let owners = owners(&bench, &ran);
    assert!(owners.contains(&"srv/37 3:7 644".to_owned()), "{owners:?}");
    assert_eq!(owners.len(), 73, "{owners:?}");
}

/// One digest for the three kinds of isolation, of a layer with other owners.
#[test]
fn the_layer_is_the_same_whoever_builds_it() {
    let mut bench = Bench::new();
    let script = "umask 022; mkdir -p /srv/a/b; echo x > /srv/a/b/c; chown -R 33:44 /srv/a; \
        chmod 4755 /srv/a/b/c; rm /etc/group; chown 7 /etc/passwd; ln -s a /srv/link";
    let ran = bench.step(vec![shell(script)]).done();
    assert_eq!(
        ran.report().diff_id.unwrap().to_string(),
        "sha256:ecb1d0cb6fa10c947e99b88d446afa26aa133da818739c6de158584b89a16e69"
    );
}
