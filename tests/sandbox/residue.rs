//! What a step leaves in its layer: what it changed, and nothing of the sandbox.

use super::support::{Bench, shell};
use hardtack::sandbox::{Action, Network, PlacedFile, RootCommand};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_step_that_changes_nothing_has_no_layer() {
    for network in [Network::None, Network::Host] {
        let mut bench = Bench::new();
        bench.network = network;
        let ran = bench
            .shell("cat /etc/hosts /etc/resolv.conf > /dev/null; touch /dev/shm/x")
            .done();
        assert_eq!(ran.report().diff_id, None, "{:?}", ran.changed());
        assert_eq!(ran.changed(), Vec::<String>::new());
        let left: Vec<_> = fs::read_dir(&ran.scratch)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["fs"], "nothing but the tree stays");
    }
}

/// Mount points that the image lacks, or has in another form.
#[test]
fn images_without_mount_points_stay_without() {
    for network in [Network::None, Network::Host] {
        let mut bench = Bench::new();
        bench.network = network;
        let base = bench.base().to_owned();
        for name in ["dev", "proc", "sys"] {
            fs::remove_dir(base.join(name)).unwrap();
        }
        fs::write(base.join("sys"), "a file").unwrap();
        symlink("/tmp", base.join("dev")).unwrap();
        for name in ["hosts", "resolv.conf"] {
            fs::remove_file(base.join("etc").join(name)).unwrap();
        }
        let ran = bench
            .shell("test -e /proc/self && test -e /dev/null && test -d /sys/kernel")
            .done();
        assert_eq!(ran.changed(), Vec::<String>::new());
        assert_eq!(ran.report().diff_id, None);

        // Nor does what the step itself does beside them.
        let ran = bench.shell("echo x > /etc/new").done();
        assert_eq!(ran.changed(), ["etc", "etc/new"]);
    }
}

/// Ubuntu's images have a link to a file that only a running system has.
#[test]
fn names_are_resolved_whatever_the_image_has_for_it() {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for target in [
        "../run/systemd/resolve/stub-resolv.conf",
        "/run/resolv.conf",
        "/etc/resolv.conf",
        "../../../../proc/1/mounts",
        "resolv.conf.real",
        "/bin",
    ] {
        let mut bench = Bench::new();
        bench.network = Network::Host;
        let path = bench.base().join("etc/resolv.conf");
        fs::remove_file(&path).unwrap();
        symlink(target, &path).unwrap();
        let ran = bench.shell("cat /etc/resolv.conf || true").done();
        assert_eq!(ran.changed(), Vec::<String>::new(), "{target}");
        if target.contains("run/") || target.contains("real") {
            assert_eq!(ran.stdout, text, "{target}");
        }
    }
}

/// Links and special files where the sandbox has files of its own.
#[test]
fn odd_files_for_name_resolution_are_harmless() {
    for network in [Network::None, Network::Host] {
        let mut bench = Bench::new();
        bench.network = network;
        let etc = bench.base().join("etc");
        for name in ["hosts", "resolv.conf"] {
            fs::remove_file(etc.join(name)).unwrap();
            symlink("/one/place", etc.join(name)).unwrap();
        }
        let ran = bench.shell("cat /etc/hosts").done();
        assert!(ran.stdout.contains("localhost"), "{ran:?}");
        assert_eq!(ran.changed(), Vec::<String>::new());

        fs::remove_file(etc.join("hosts")).unwrap();
        fs::create_dir(etc.join("hosts")).unwrap();
        let fifo = etc.join("resolv.conf");
        fs::remove_file(&fifo).unwrap();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(bench.shell("true").done().changed(), Vec::<String>::new());

        fs::remove_dir_all(&etc).unwrap();
        fs::write(&etc, "a file").unwrap();
        assert_eq!(bench.shell("cat /etc").done().stdout, "a file");
    }
}

#[test]
fn an_image_without_layers_gets_nothing() {
    let mut bench = Bench::new();
    let base = bench.base().to_owned();
    bench.lowers.clear();
    let upload = |name: &str, to: &str| Action::Upload {
        source: base.join(name),
        contents_only: false,
        destination: to.into(),
        owner: String::new(),
        mode: None,
    };
    let run = Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: vec!["/busybox".into(), "ls".into(), "/".into()],
            env: Vec::new(),
            user: String::new(),
            workdir: String::new(),
        },
    };
    let ran = bench.step(vec![upload("bin/busybox", "/"), run]).done();
    assert_eq!(ran.stdout, "busybox\ndev\netc\nproc\nsys\n");
    assert_eq!(ran.changed(), ["busybox"]);
}

#[test]
fn placed_files_go_with_the_folders_made_for_them() {
    let mut bench = Bench::new();
    fs::write(
        bench.host("script"),
        "#!/bin/sh\necho from the script; stat -c %a $0\n",
    )
    .unwrap();
    let run = |path: &str, keep: bool, before: &str| Action::Run {
        files: vec![PlacedFile {
            source: bench.host("script"),
            path: path.into(),
            mode: 0o755,
            keep,
        }],
        accept: vec![0],
        command: RootCommand {
            argv: vec!["sh".into(), "-c".into(), format!("{before}{path}")],
            env: Vec::new(),
            user: String::new(),
            workdir: String::new(),
        },
    };
    let (temporary, kept, busy) = (
        run("/tmp/deep/er/script.sh", false, ""),
        run("/opt/script.sh", true, ""),
        run("/var/new/script.sh", false, "echo > /var/new/mine; "),
    );
    let ran = bench.step(vec![temporary]).done();
    assert_eq!(ran.stdout, "from the script\n755\n");
    assert_eq!(ran.changed(), Vec::<String>::new());
    let ran = bench.step(vec![kept]).done();
    assert_eq!(ran.changed(), ["opt", "opt/script.sh"]);
    let ran = bench.step(vec![busy]).done();
    assert_eq!(ran.changed(), ["var", "var/new", "var/new/mine"]);
}

#[test]
fn a_failed_step_leaves_nothing() {
    let mut bench = Bench::new();
    let ran = bench.shell("echo > /new; mkdir -p /a/b/c; exit 3");
    assert!(format!("{:?}", ran.report().outcome).contains("code: 3"));
    assert_eq!(fs::read_dir(&ran.scratch).unwrap().count(), 0);

    let missing = Action::Upload {
        source: bench.host("missing"),
        contents_only: false,
        destination: "/".into(),
        owner: String::new(),
        mode: None,
    };
    let ran = bench.step(vec![shell("echo > /new"), missing]);
    let error = ran.result.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert_eq!(fs::read_dir(&ran.scratch).unwrap().count(), 0);
}

#[test]
fn the_same_step_gives_the_same_layer() {
    let mut bench = Bench::new();
    let script = "mkdir /srv; echo x > /srv/file; chmod 600 /srv/file; ln -s file /srv/link; rm /etc/group; date 2> /dev/null; true";
    let first = bench.shell(script).done();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = bench.shell(script).done();
    assert!(first.report().diff_id.is_some());
    assert_eq!(first.report(), second.report());
    assert_eq!(
        first.changed(),
        ["etc", "etc/group", "srv", "srv/file", "srv/link"]
    );
}

/// What this process was started with must not show in a layer: its umask, and its groups.
#[test]
fn the_caller_does_not_matter() {
    const ROLE: &str = "HARDTACK_TEST_CALLER";
    let script = "id -G; mkdir -p /a/b; echo > /a/b/c; umask; echo x > /etc/new";
    let step = || {
        let mut bench = Bench::new();
        let ran = bench.shell(script).done();
        bench.lowers.clear();
        let program = bench.host("base/bin/busybox");
        let upload = Action::Upload {
            source: program,
            contents_only: false,
            destination: "/opt/".into(),
            owner: String::new(),
            mode: None,
        };
        let empty = bench.step(vec![upload]).done();
        format!(
            "{:?} {:?} {}",
            ran.report().diff_id,
            empty.report().diff_id,
            ran.stdout
        )
    };
    if std::env::var_os(ROLE).is_some() {
        rustix::process::umask(rustix::fs::Mode::RWXO | rustix::fs::Mode::RWXG);
        assert_eq!(std::env::var(ROLE).unwrap(), step());
        return;
    }
    let here = step();
    assert!(
        here.ends_with(" 0\n0022\n") || !here.contains("33"),
        "{here}"
    );
    let program = std::env::current_exe().unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--groups", "0,33,44"]).arg(program);
        command
    } else {
        std::process::Command::new(program)
    };
    let output = command
        .args(["--exact", "residue::the_caller_does_not_matter"])
        .env(ROLE, &here)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
