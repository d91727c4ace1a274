//! Ways out of the sandbox that take a program of their own: system calls, races, processes that flee.

use super::support::{Bench, all_gone, shell, shell_as};
use hardtack::sandbox::{Action, Network, StepOutcome};
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A static program of attempts that take system calls.
#[track_caller]
fn copy_attempts(bench: &Bench) {
    let output = Command::new("gcc")
        .args([
            "-Wall", "-Wextra", "-Werror", "-static", "-O1", "-x", "c", "-",
        ])
        .arg("-o")
        .arg(bench.base().join("bin/attempts"))
        .stdin(Stdio::from(
            fs::File::open(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/sandbox/attempts.c"
            ))
            .unwrap(),
        ))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn system_calls_lead_nowhere() {
    let mut bench = Bench::new();
    copy_attempts(&bench);
    let marker = bench.host("marker");
    fs::write(&marker, "of the host").unwrap();
    let own = std::process::id();
    let parent = std::os::unix::process::parent_id();
    let script = format!("attempts {} {own} {parent}", marker.display());
    for network in [Network::None, Network::Host] {
        bench.network = network;
        for user in ["", "app"] {
            let ran = bench.step(vec![shell_as(user, &script)]);
            assert_eq!(ran.stdout, "", "{user} {network:?}");
            ran.done();
        }
    }
}

/// A layer may hold any device file; none of them opens.
#[test]
fn device_files_of_the_image_do_not_open() {
    let mut bench = Bench::new();
    if !bench.is_root() {
        eprintln!("left out: only root makes device files");
        return;
    }
    let path = bench.base().join("device");
    let status = Command::new("mknod")
        .arg("-m666")
        .arg(&path)
        .args(["c", "1", "5"])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(fs::File::open(&path).unwrap().read(&mut [0; 4]).unwrap(), 4);
    bench.shell("test -c /device && ! head -c 1 /device").done();
}

#[test]
fn sockets_of_the_host_are_out_of_reach_without_network() {
    let mut bench = Bench::new();
    copy_attempts(&bench);
    let name = format!("hardtack-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = loopback.local_addr().unwrap().port();
    let script = format!("attempts connect {name} {port} || true");
    assert_eq!(bench.print(&script), "");
    // As documentation says; and so the program can do it.
    bench.network = Network::Host;
    assert_eq!(bench.print(&script), "abstract socket\nport\n");
}

/// Processes that never stay the same are found all the same, at the end and after a timeout.
#[test]
fn nothing_flees_the_end_of_a_step() {
    let mut bench = Bench::new();
    copy_attempts(&bench);
    let name = format!("flee-{}", std::process::id());
    fs::rename(
        bench.base().join("bin/attempts"),
        bench.base().join("bin").join(&name),
    )
    .unwrap();
    bench.shell(&format!("{name} flee 10")).done();
    all_gone(&name);
    bench.timeout = Some(Duration::from_millis(300));
    let ran = bench.shell(&format!("{name} flee 10; sleep 60"));
    assert_eq!(ran.report().outcome, StepOutcome::TimedOut);
    all_gone(&name);
}

/// What runs while files are copied may put links in the place of folders at any moment.
#[test]
fn links_that_come_and_go_do_not_lead_out() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.host("source/deep/deeper")).unwrap();
    for name in ["source/a", "source/deep/b", "source/deep/deeper/c"] {
        fs::write(bench.host(name), "uploaded").unwrap();
    }
    fs::create_dir(bench.host("victim")).unwrap();
    fs::write(bench.host("victim/secret"), "of the host").unwrap();
    let victim = bench.host("victim");
    let victim = victim.display();
    let swap = format!(
        "mkdir -p /srv/real/deep/deeper; echo x > /srv/real/secret; ln -s real /srv/to; \
        (while true; do for link in real {victim} /proc/1/cwd /proc/1/root{victim} /proc/self/fd/5; do \
        ln -sfn $link /srv/new; mv -T /srv/new /srv/to; rm -rf /srv/real/deep; ln -s $link /srv/real/deep; \
        rm -f /srv/real/deep; mkdir -p /srv/real/deep/deeper; done; done) > /dev/null 2>&1 &"
    );
    let mut actions = vec![shell(&swap)];
    for round in 0..20 {
        actions.push(Action::Upload {
            source: bench.host("source"),
            contents_only: true,
            destination: "/srv/to".into(),
            owner: String::new(),
            mode: None,
        });
        actions.push(Action::Download {
            source: "/srv/to/secret".into(),
            destination: bench.host(&format!("stolen/{round}")),
        });
    }
    for pair in actions[1..].chunks(2) {
        // Either may fail, as links lead nowhere; the others are tried all the same.
        bench.step(vec![actions[0].clone(), pair[0].clone()]);
        bench.step(vec![actions[0].clone(), pair[1].clone()]);
    }
    let left: Vec<_> = fs::read_dir(bench.host("victim"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["secret"]);
    assert_eq!(
        fs::read_to_string(bench.host("victim/secret")).unwrap(),
        "of the host"
    );
    for entry in fs::read_dir(bench.host("stolen")).into_iter().flatten() {
        let stolen = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!stolen.contains("of the host"));
    }
}
