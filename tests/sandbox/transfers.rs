//! Files into the root and out of it.

use super::support::{Bench, SHARED, shell};
use hardtack::sandbox::{Action, RootCommand};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn upload(source: &Path, contents_only: bool, destination: &str) -> Action {
    Action::Upload {
        source: source.to_owned(),
        contents_only,
        destination: destination.into(),
        owner: String::new(),
        mode: None,
    }
}

fn source(bench: &Bench) -> std::path::PathBuf {
    let source = bench.host("source");
    fs::create_dir_all(source.join("folder/empty")).unwrap();
    fs::write(source.join("file"), "text").unwrap();
    fs::write(source.join("folder/program"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("folder/program"), Permissions::from_mode(0o750)).unwrap();
    symlink("../file", source.join("folder/link")).unwrap();
    symlink("/nowhere", source.join("dangling")).unwrap();
    source
}

#[test]
fn uploads_follow_the_rule_of_the_trailing_slash() {
    let mut bench = Bench::new();
    let source = source(&bench);
    let all = [
        "dangling",
        "file",
        "folder",
        "folder/empty",
        "folder/link",
        "folder/program",
    ];
    for (contents_only, to, prefix) in [
        (true, "/srv/a", "srv/a/"),
        (false, "/srv/a", "srv/a/source/"),
    ] {
        let ran = bench.step(vec![upload(&source, contents_only, to)]).done();
        let changed = ran.changed();
        for name in all {
            assert!(changed.contains(&format!("{prefix}{name}")), "{changed:?}");
        }
        let program = fs::symlink_metadata(ran.tree().join(prefix).join("folder/program")).unwrap();
        assert_eq!(program.mode() & 0o7777, 0o750);
        assert_eq!(program.mtime(), super::support::EPOCH);
        let root = fs::metadata(bench.base()).unwrap();
        assert_eq!((program.uid(), program.gid()), (root.uid(), root.gid()));
    }
    for (to, path) in [
        ("/srv/new", "srv/new"),
        ("/srv/", "srv/file"),
        ("/tmp", "tmp/file"),
    ] {
        let ran = bench
            .step(vec![upload(&source.join("file"), false, to)])
            .done();
        assert!(
            ran.changed().contains(&path.to_owned()),
            "{to}: {:?}",
            ran.changed()
        );
    }
}

#[test]
fn uploads_belong_to_whom_the_step_says() {
    let mut bench = Bench::new();
    let source = source(&bench);
    let upload = |destination: &str, owner: &str, mode| Action::Upload {
        source: source.clone(),
        contents_only: true,
        destination: destination.into(),
        owner: owner.into(),
        mode,
    };
    // With a single id, what a step reads back is root; the layer has what was asked for.
    let ran = bench
        .step(vec![
            upload("/srv/new/a", "1000:7", None),
            upload("/srv/b", "", Some(0o640)),
            shell("stat -c '%a %n' /srv/new/a/folder/program /srv/b/file /srv/b/folder"),
        ])
        .done();
    let expected = "750 /srv/new/a/folder/program\n640 /srv/b/file\n640 /srv/b/folder\n";
    assert_eq!(ran.stdout, expected);
    let unknown = bench.step(vec![upload("/srv/c", "nobody-there", None)]);
    let error = unknown.result.unwrap_err().to_string();
    assert!(error.contains("nobody-there"), "{error}");
    if bench.sandbox.isolation() == hardtack::sandbox::Isolation::Root {
        for name in [
            "srv/new",
            "srv/new/a",
            "srv/new/a/folder/link",
            "srv/new/a/file",
        ] {
            let found = fs::symlink_metadata(ran.tree().join(name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (1000, 7), "{name}");
        }
    }
}

#[test]
fn scripts_belong_to_who_runs_them() {
    let mut bench = Bench::new();
    let script = bench.host("script");
    fs::write(
        &script,
        "#!/bin/sh\nchmod 700 \"$0\" && cat \"$0\" > /dev/null && echo ran\n",
    )
    .unwrap();
    let ran = bench
        .step(vec![Action::Run {
            files: vec![hardtack::sandbox::PlacedFile {
                source: script,
                path: "/tmp/script.sh".into(),
                mode: 0o500,
                keep: false,
            }],
            command: RootCommand {
                argv: vec!["/tmp/script.sh".into()],
                env: Vec::new(),
                user: "1000:1000".into(),
                workdir: String::new(),
            },
            accept: vec![0],
        }])
        .done();
    assert_eq!(ran.stdout, "ran\n");
}

#[test]
fn uploads_replace_files_and_merge_folders() {
    let mut bench = Bench::new();
    let source = source(&bench);
    let before = shell(
        "mkdir -p /srv/folder; echo old > /srv/folder/program; echo old > /srv/folder/mine; \
        echo aside > /srv/aside; ln -s aside /srv/file",
    );
    let after =
        shell("cat /srv/folder/mine /srv/file /srv/aside; echo; stat -c %a /srv/folder/program");
    let ran = bench
        .step(vec![before, upload(&source, true, "/srv"), after])
        .done();
    // A link in the place of a file is replaced, not written through.
    assert_eq!(ran.stdout, "old\ntextaside\n\n750\n");
}

#[test]
fn uploads_through_links_stay_in_the_root() {
    let mut bench = Bench::new();
    let source = source(&bench);
    symlink("/tmp", bench.base().join("absolute")).unwrap();
    symlink("../../../../tmp", bench.base().join("climbing")).unwrap();
    for link in ["absolute", "climbing"] {
        let ran = bench
            .step(vec![upload(
                &source.join("file"),
                false,
                &format!("/{link}/x"),
            )])
            .done();
        assert_eq!(ran.changed(), ["tmp", "tmp/x"], "{link}");
    }
    let ran = bench
        .step(vec![upload(&source.join("file"), false, "/../../x")])
        .done();
    assert_eq!(ran.changed(), ["x"]);
}

#[test]
fn impossible_uploads_are_errors() {
    let mut bench = Bench::new();
    let source = source(&bench);
    for (from, to) in [
        (source.join("missing"), "/srv"),
        (source.join("dangling"), "/srv"),
        (source.join("file"), "/etc/passwd/below"),
        (source.clone(), "/etc/passwd"),
        (Path::new("/dev/null").to_owned(), "/srv"),
    ] {
        let ran = bench.step(vec![upload(&from, true, to)]);
        assert!(ran.result.is_err(), "{from:?} to {to}: {ran:?}");
    }
}

#[test]
fn downloads_reach_the_host() {
    let mut bench = Bench::new();
    let make = shell(
        "mkdir -p /srv/deep; echo one > /srv/one; echo two > /srv/deep/two; ln -s one /srv/link",
    );
    for (from, to, file) in [
        ("/srv/one", "out/renamed", "out/renamed"),
        ("/srv/one", "out/", "out/one"),
        ("/srv/link", "out/followed", "out/followed"),
        ("/srv", "whole/", "whole/srv/deep/two"),
        ("/srv/", "inner/", "inner/deep/two"),
    ] {
        let destination = bench.host(to);
        let download = Action::Download {
            source: from.into(),
            destination,
        };
        bench.step(vec![make.clone(), download]).done();
        let expected = if file.ends_with("two") {
            "two\n"
        } else {
            "one\n"
        };
        assert_eq!(
            fs::read_to_string(bench.host(file)).unwrap(),
            expected,
            "{from} to {to}"
        );
    }
    let missing = Action::Download {
        source: "/missing".into(),
        destination: bench.host("out/x"),
    };
    assert!(bench.step(vec![missing]).result.is_err());
}

/// What the caller may read through one of its groups is copied like anything else; the step
/// itself has none of them.
#[test]
fn uploads_read_what_the_caller_reads() {
    // Root reads everything anyway, and gives this file to the users of the other runs.
    let Some(file) = std::env::var_os(SHARED) else {
        return;
    };
    let mut bench = Bench::new();
    let ran = bench.step(vec![
        upload(Path::new(&file), false, "/srv/shared"),
        shell("cat /srv/shared; id -G"),
    ]);
    let stdout = ran.done().stdout;
    assert!(stdout.starts_with("of the group\n"), "{stdout}");
    if bench.has_many_ids() {
        assert_eq!(stdout, "of the group\n0\n");
    }
}
