//! What is mounted in a root while a step runs, and what stays of it: nothing.

use super::support::{Bench, shell, shell_as};
use hardtack::sandbox::{Action, Mount, MountKind, Owner, StepOutcome};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn bind(source: &Path, target: &str) -> Mount {
    Mount {
        target: target.into(),
        kind: MountKind::Bind {
            source: source.into(),
            writable: false,
        },
    }
}

fn tmpfs(target: &str) -> Mount {
    Mount {
        target: target.into(),
        kind: MountKind::Tmpfs {
            size: Some(1 << 20),
            mode: 0o1777,
        },
    }
}

/// A host folder with a script in it.
fn sources(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.host("sources");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("run"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(folder.join("run"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    folder
}

#[test]
fn a_folder_of_the_host_can_be_read_and_executed_but_not_changed() {
    let mut bench = Bench::new();
    let folder = sources(&bench);
    bench.mounts = vec![bind(&folder, "/src")];
    let script = "/src/run; for try in 'touch /src/new' 'rm /src/run' 'chmod 0 /src/run' \
                  'mv /src/sub /src/other' 'mount -o remount,rw /src' 'umount /src' 'rmdir /src'; \
                  do $try 2>/dev/null && echo $try; done; \
                  sh -c 'echo x > /src/run' 2>/dev/null && echo written; echo end";
    let ran = bench.shell(script).done();
    assert_eq!(ran.stdout, "ran\nend\n");
    assert_eq!(ran.report().diff_id, None);
    assert_eq!(ran.changed(), [""; 0]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    let text = fs::read_to_string(folder.join("run")).unwrap();
    assert_eq!(text, "#!/bin/sh\necho ran\n");
}

#[test]
fn a_file_of_the_host_hides_one_of_the_image() {
    let mut bench = Bench::new();
    let file = sources(&bench).join("run");
    bench.mounts = vec![bind(&file, "/etc/passwd"), bind(&file, "/opt/new/run")];
    let ran = bench
        .shell("cat /etc/passwd; /opt/new/run; echo x > /etc/own")
        .done();
    assert_eq!(ran.stdout, "#!/bin/sh\necho ran\nran\n");
    assert_eq!(ran.changed(), ["etc", "etc/own"]);
}

#[test]
fn what_is_written_to_memory_is_thrown_away() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.base().join("var/cache")).unwrap();
    fs::write(bench.base().join("var/cache/old"), "").unwrap();
    bench.mounts = vec![tmpfs("/var/cache"), tmpfs("/deep/in/it")];
    let script = "ls /var/cache; echo x > /var/cache/a; echo x > /deep/in/it/b; echo x > /kept; \
                  dd if=/dev/zero of=/deep/in/it/c bs=1M count=2 2>/dev/null || echo full; \
                  stat -c %a /deep/in/it; grep -c -E ' /(var/cache|deep/in/it) .*nosuid,nodev' /proc/mounts";
    let ran = bench.shell(script).done();
    assert_eq!(ran.stdout, "full\n1777\n2\n");
    assert_eq!(ran.changed(), ["kept"]);
}

#[test]
fn mounts_lie_in_each_other_whatever_their_order() {
    let mut bench = Bench::new();
    let folder = sources(&bench);
    bench.mounts = vec![
        tmpfs("/work/tmp/inner"),
        bind(&folder, "/work/src"),
        tmpfs("/work"),
        tmpfs("/work/tmp"),
    ];
    let script = "ls /work; echo x > /work/tmp/inner/file; /work/src/run; mv /work /other";
    let ran = bench
        .shell(&format!("{script} 2>/dev/null; ls /work/tmp"))
        .done();
    assert_eq!(ran.stdout, "src\ntmp\nran\ninner\n");
    assert!(!ran.changed().iter().any(|path| path.starts_with("work")));
}

#[test]
fn what_a_step_puts_in_the_place_stays() {
    let mut bench = Bench::new();
    bench.mounts = vec![tmpfs("/made/here")];
    let ran = bench.shell("echo x > /made/beside").done();
    assert_eq!(ran.changed(), ["made", "made/beside"]);
}

#[test]
fn links_of_the_image_are_followed_inside_the_root_alone() {
    let mut bench = Bench::new();
    let outside = bench.host("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(bench.base().join("real")).unwrap();
    symlink("/real", bench.base().join("absolute")).unwrap();
    symlink("../../../../../../real", bench.base().join("relative")).unwrap();
    symlink(&outside, bench.base().join("out")).unwrap();
    let folder = sources(&bench);
    bench.mounts = vec![bind(&folder, "/absolute/a"), bind(&folder, "/relative/b")];
    let ran = bench.shell("/real/a/run; /real/b/run").done();
    assert_eq!(ran.stdout, "ran\nran\n");
    assert_eq!(ran.report().diff_id, None);

    bench.mounts = vec![bind(&folder, "/out/a")];
    let error = bench.shell("true").result.unwrap_err().to_string();
    assert!(error.contains("in the way"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_belongs_to_the_sandbox_cannot_be_hidden() {
    for (target, link, problem) in [
        ("/", None, "the sandbox"),
        ("/proc/sys", None, "the sandbox"),
        ("/dev", None, "the sandbox"),
        ("/harmless", Some("proc"), "the sandbox"),
        ("/harmless", Some("."), "the sandbox"),
        ("relative", None, "no absolute path"),
        ("/etc/passwd", None, "there is a file"),
        ("/bin/sh/inner", None, "in the way"),
    ] {
        let mut bench = Bench::new();
        if let Some(link) = link {
            symlink(link, bench.base().join("harmless")).unwrap();
        }
        bench.mounts = vec![tmpfs(target)];
        let error = bench.shell("true").result.unwrap_err().to_string();
        assert!(error.contains(problem), "{target}: {error}");
        assert!(error.contains(target), "{target}: {error}");
    }
    let mut bench = Bench::new();
    bench.mounts = vec![tmpfs("/dev/shm")];
    assert_eq!(bench.print("stat -c %a /dev/shm"), "1777\n");
}

#[test]
fn what_is_missing_is_named() {
    let mut bench = Bench::new();
    bench.mounts = vec![bind(&bench.host("nowhere"), "/src")];
    let error = bench.shell("true").result.unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn a_writable_folder_of_the_host_gets_what_is_written() {
    let mut bench = Bench::new();
    let folder = sources(&bench);
    bench.mounts = vec![Mount {
        target: "/out".into(),
        kind: MountKind::Bind {
            source: folder.clone(),
            writable: true,
        },
    }];
    let ran = bench
        .shell("echo x > /out/new; mknod /out/null c 1 3 && cat /out/null; true")
        .done();
    assert_eq!(fs::read_to_string(folder.join("new")).unwrap(), "x\n");
    assert_eq!(ran.report().diff_id, None);
    assert!(!ran.stderr.is_empty(), "a device of the host was opened");
}

#[test]
fn uploads_reach_what_is_mounted_and_users_too() {
    let mut bench = Bench::new();
    let file = sources(&bench).join("run");
    bench.mounts = vec![tmpfs("/work")];
    let upload = Action::Upload {
        source: file,
        contents_only: false,
        destination: "/work/copy".into(),
        owner: String::new(),
        mode: None,
    };
    let ran = bench.step(vec![
        upload,
        shell_as("app", "echo x > /work/own; cat /work/copy"),
    ]);
    let ran = ran.done();
    assert_eq!(ran.stdout, "#!/bin/sh\necho ran\n");
    assert_eq!(ran.report().diff_id, None);
}

#[test]
fn a_step_that_fails_leaves_nothing_either() {
    let mut bench = Bench::new();
    let folder = sources(&bench);
    bench.mounts = vec![bind(&folder, "/src"), tmpfs("/tmp/x")];
    let ran = bench.step(vec![shell("rm -rf /src /tmp; exit 3")]);
    assert!(matches!(
        ran.report().outcome,
        StepOutcome::Failed { code: 3, .. }
    ));
    assert_eq!(fs::read_dir(&ran.scratch).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_cache_is_kept_between_steps_and_out_of_layers() {
    let mut bench = Bench::new();
    let folder = bench.host("cache");
    fs::create_dir(&folder).unwrap();
    let uid = if bench.has_many_ids() { 1000 } else { 0 };
    bench.mounts = vec![Mount {
        target: "/var/cache/x".into(),
        kind: MountKind::Cache {
            folder: folder.clone(),
            owner: Owner {
                uid,
                gid: uid,
                mode: 0o750,
            },
        },
    }];
    let first = bench.shell("stat -c '%u %a' /var/cache/x; echo kept > /var/cache/x/file");
    assert_eq!(first.done().stdout, format!("{uid} 750\n"));
    let second = bench.shell("cat /var/cache/x/file").done();
    assert_eq!(second.stdout, "kept\n");
    assert_eq!(second.report().diff_id, None);
    assert!(folder.join("fs").is_dir());
}
