//! Limits and the network.

use super::support::Bench;
use hardtack::sandbox::{Action, Limits, Network, RootCommand, StepOutcome};
use std::time::Duration;

#[test]
fn limits_are_set() {
    let mut bench = Bench::new();
    let printed = bench.print("ulimit -c; ulimit -n; grep processes /proc/self/limits");
    let numbers: Vec<&str> = printed.lines().collect();
    assert_eq!(numbers[0], "0");
    let processes = numbers[2].split_whitespace().nth(3).unwrap();
    for (text, most) in [(numbers[1], 65_536), (processes, 32_768)] {
        assert!(text.parse::<u64>().unwrap() <= most, "{printed}");
    }
}

#[test]
fn without_network_there_is_a_loopback_alone() {
    let mut bench = Bench::new();
    let links = bench.print("ip -o link; grep -c : /proc/net/dev");
    assert!(links.contains("LOOPBACK,UP"), "{links}");
    assert!(links.ends_with("\n1\n"), "{links}");
    let hosts = bench.print("cat /etc/hosts");
    assert!(
        hosts.contains("localhost") && !hosts.contains("of-the-image"),
        "{hosts}"
    );
}

#[test]
fn with_network_names_are_resolved_as_on_the_host() {
    let mut bench = Bench::new();
    bench.network = Network::Host;
    for name in ["hosts", "resolv.conf"] {
        let of_host = std::fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        assert_eq!(bench.print(&format!("cat /etc/{name}")), of_host);
    }
}

#[test]
fn signals_have_their_defaults() {
    let mut bench = Bench::new();
    let read = Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
                .map(String::from)
                .to_vec(),
            env: Vec::new(),
            user: String::new(),
            workdir: String::new(),
        },
    };
    let status = bench.step(vec![read]).done().stdout;
    for line in status.lines() {
        let set = line.split_whitespace().nth(1).unwrap();
        // glibc ignores its two internal signals in whatever it spawns.
        let internal = 3 << 31;
        assert_eq!(
            u64::from_str_radix(set, 16).unwrap() & !internal,
            0,
            "{status}"
        );
    }
}

/// Control groups that a step has left.
fn groups_left() -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().to_string_lossy().into_owned();
            let supervisor = name.strip_prefix("hardtack-step-");
            if let Some(pid) = supervisor.and_then(|it| it.split('-').next()) {
                if !std::path::Path::new("/proc").join(pid).exists() {
                    found.push(entry.path());
                }
            } else if is_folder {
                pending.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn what_one_process_may_use_is_limited() {
    let mut bench = Bench::new();
    bench.limits = Limits {
        open_files: Some(16),
        file_size: Some(100_000),
        cpu_time: Some(Duration::from_millis(900)),
        ..Limits::default()
    };
    let files = "ulimit -n; dd if=/dev/zero of=/big bs=50000 count=1 2>/dev/null && echo fits";
    assert_eq!(bench.print(files), "16\nfits\n");
    for (script, limit, code) in [
        (
            "exec dd if=/dev/zero of=/big bs=50000 count=3 2>/dev/null",
            "file_size",
            153,
        ),
        ("while :; do :; done", "cpu_time", 152),
    ] {
        let ran = bench.shell(script);
        let report = ran.report();
        assert!(
            matches!(report.outcome, StepOutcome::Failed { code: it, .. } if it == code),
            "{report:?}"
        );
        assert!(report.reached[0].contains(limit), "{report:?}");
    }
}

#[test]
fn a_fork_bomb_is_stopped() {
    let mut bench = Bench::new();
    bench.limits.processes = Some(30);
    bench.timeout = Some(Duration::from_secs(20));
    let ran = bench.shell(
        "i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done 2>/dev/null; echo all; exit 1",
    );
    let report = ran.report();
    let is_held = report.notes.is_empty() || !bench.is_root();
    assert!(!is_held || !ran.stdout.contains("all"), "{ran:?}");
    bench.limits.processes = Some(200);
    bench.print("for i in 1 2 3; do sleep 0 & done; wait");
    assert_eq!(groups_left(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_memory_hog_is_stopped() {
    let mut bench = Bench::new();
    bench.limits.memory = Some(64 << 20);
    let ran = bench.shell("x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo ${#x}");
    let report = ran.report();
    assert!(
        matches!(report.outcome, StepOutcome::Failed { .. }),
        "{ran:?}"
    );
    if report.notes.is_empty() {
        assert!(report.reached[0].contains("memory"), "{report:?}");
    }
    let ran = bench.shell("x=$(head -c 300000000 /dev/zero | tr '\\0' x) | true; echo wrong > /y");
    let report = ran.report();
    if report.notes.is_empty() {
        assert_eq!(report.outcome, StepOutcome::KilledAtLimit);
        assert!(report.diff_id.is_none(), "{report:?}");
    }
    bench.print("head -c 1000000 /dev/zero > /x");
    assert_eq!(groups_left(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_network_of_its_own_leads_out_but_not_to_the_host() {
    let tun = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let programs = ["/usr/bin/pasta", "/usr/bin/slirp4netns"];
    if tun.is_err()
        || !programs
            .iter()
            .any(|path| std::path::Path::new(path).exists())
    {
        eprintln!("left out: this user cannot make networks on this host");
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || listener.accept().is_ok());
    let mut bench = Bench::new();
    bench.network = Network::User;
    let begin = std::time::Instant::now();
    let printed = bench.print(&format!(
        "grep -c : /proc/net/dev; ip route | grep -c default; cat /etc/resolv.conf | grep -c nameserver; \
         for host in 127.0.0.1 10.0.2.2 $(ip route | grep default | busybox cut -d' ' -f3); do \
         busybox nc -w 2 $host {port} < /dev/null && echo reached $host; done; echo end"
    ));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines, ["2", "1", "1", "end"], "{printed}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert!(
        !served.is_finished(),
        "the loopback of the host was reached"
    );
    // Other users may run the same test at the same time.
    let user = rustix::process::geteuid().as_raw();
    for option in ["--disable-host-loopback", "--no-map-gw"] {
        let left = super::support::processes_with(option)
            .into_iter()
            .filter(|pid| {
                use std::os::unix::fs::MetadataExt;
                std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|it| it.uid() == user)
            });
        assert_eq!(left.count(), 0, "{option}");
    }
    // Its end is the end of the thread.
    let _ = std::net::TcpStream::connect(("127.0.0.1", port));
    assert!(served.join().unwrap());
    bench.network = Network::None;
    bench.print("true");
}
