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
    bench.print("head -c 1000000 /dev/zero > /x");
    assert_eq!(groups_left(), [""; 0].map(std::path::PathBuf::from));
}
