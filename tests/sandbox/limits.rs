//! Limits and the network.

use super::support::Bench;
use hardtack::sandbox::{Action, Network, RootCommand};

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
