//! Ways out of the sandbox: each is tried, and must fail.

use super::support::{Bench, shell};
#[cfg(target_arch = "x86_64")]
use super::support::{copy_program, perl};
use hardtack::sandbox::{Action, Network, PlacedFile, RootCommand};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn what_changes_the_system_is_refused() {
    let mut bench = Bench::new();
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /proc/sys",
        "umount /proc",
        "umount -l /sys",
        "unshare -U true",
        "unshare -m true",
        "unshare -n true",
        "hostname other",
        "echo b > /proc/sysrq-trigger",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "head -c 1 /dev/kmsg",
        "kill -9 1 && sleep 2 && kill -0 1 && false",
    ] {
        let ran = bench.shell(&format!("{script} || exit 77"));
        let outcome = format!("{:?}", ran.report().outcome);
        assert!(outcome.contains("code: 77"), "{script}: {ran:?}");
    }
    for network in [Network::None, Network::Host] {
        bench.network = network;
        let kernel = "for file in /sys/kernel/uevent_helper /sys/power/state /sys/fs/cgroup/x; do \
            echo x 2> /dev/null > $file && echo wrote $file; mkdir $file.d 2> /dev/null && echo made; done; true";
        assert_eq!(bench.print(kernel), "");
        let masked = "for name in kcore keys timer_list interrupts acpi; do \
            test ! -f /proc/$name || cat /proc/$name; test ! -d /proc/$name || ls /proc/$name; done; \
            ls /sys/firmware 2> /dev/null; true";
        assert_eq!(bench.print(masked), "");
    }
}

/// Real root may make device files, which belong to an image, but never open one.
#[test]
fn device_files_of_the_step_do_not_open() {
    let mut bench = Bench::new();
    for folder in ["/", "/tmp/", "/dev/", "/dev/shm/"] {
        let script =
            format!("mknod {folder}disk c 1 5 || exit 0; head -c 1 {folder}disk && exit 5; exit 0");
        bench.shell(&script).done();
    }
}

/// The devices of a step are those of the host: real root could change who may use them there.
#[test]
fn devices_of_the_host_stay_as_they_are() {
    let mut bench = Bench::new();
    for path in ["/dev/full", "/dev/null", "/proc/kmsg", "/proc/timer_list"] {
        let script =
            format!("test -e {path} || exit 77; touch -d 2001-02-03 {path} || exit 77; exit 0");
        let ran = bench.shell(&script);
        let outcome = format!("{:?}", ran.report().outcome);
        assert!(outcome.contains("code: 77"), "{path}: {ran:?}");
    }
}

#[test]
fn devices_of_the_sandbox_work() {
    let mut bench = Bench::new();
    let script = "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; \
        echo /dev/pts/* /dev/ptmx /dev/fd/0 /dev/stdin; echo y > /dev/shm/file; ls /dev/shm";
    let printed = bench.print(script);
    assert_eq!(
        printed,
        "3\n4\n/dev/pts/ptmx /dev/ptmx /dev/fd/0 /dev/stdin\nfile\n"
    );
}

#[test]
fn nothing_of_the_host_is_seen() {
    let mut bench = Bench::new();
    fs::write(bench.host("secret"), "of the host").unwrap();
    let secret = bench.host("secret");
    bench.shell(&format!("! cat {}", secret.display())).done();
    assert_eq!(
        bench.print("hostname; pwd; cat /proc/1/comm"),
        "localhost\n/\ninit\n"
    );
    // PID 1, and the shell that looks for names.
    assert_eq!(bench.print("echo /proc/[0-9]*"), "/proc/1 /proc/2\n");
    let mounts = bench.print("cat /proc/self/mounts /proc/self/mountinfo");
    let folder = bench.folder.path().to_str().unwrap().to_owned();
    assert!(!mounts.contains(&folder), "{mounts}");
    let seen = bench.print("cat /proc/1/cmdline /proc/1/environ 2> /dev/null; env; true");
    assert!(!seen.contains(&folder), "{seen}");
}

/// Neither what else runs on the host nor the name of its network.
#[test]
fn the_host_has_no_names() {
    let mut bench = Bench::new();
    for network in [Network::None, Network::Host] {
        bench.network = network;
        let script = "ls /sys/fs/cgroup 2> /dev/null; cat /proc/sys/kernel/domainname; \
            grep -v ':/$' /proc/self/cgroup; true";
        assert_eq!(bench.print(script), "(none)\n");
    }
}

/// PID 1 holds descriptors of host folders while it copies files; nobody may take them from it.
#[test]
fn the_first_process_gives_nothing_away() {
    let mut bench = Bench::new();
    fs::write(bench.host("secret"), "of the host").unwrap();
    fs::create_dir(bench.host("source")).unwrap();
    let script = "for number in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do \
        cat /proc/1/fd/$number/../secret 2> /dev/null && echo stolen $number; done; \
        ls /proc/1/root /proc/1/cwd /proc/1/exe > /dev/null 2>&1 && readlink /proc/1/exe; \
        cat /proc/1/exe > /dev/null 2>&1 && echo read the program; \
        cat /proc/1/maps > /dev/null 2>&1 && echo read the memory; true";
    let upload = Action::Upload {
        source: bench.host("source"),
        contents_only: true,
        destination: "/srv".into(),
        owner: String::new(),
        mode: None,
    };
    let download = Action::Download {
        source: "/etc/passwd".into(),
        destination: bench.host("downloaded/passwd"),
    };
    let ran = bench.step(vec![shell(script), upload, download]).done();
    assert_eq!(ran.stdout, "");
}

/// An image whose links lead through /proc to what PID 1 has open (CVE-2024-21626).
#[test]
fn links_of_the_image_do_not_lead_out() {
    for number in 0..12 {
        let mut bench = Bench::new();
        fs::create_dir(bench.host("source")).unwrap();
        fs::write(bench.host("source/file"), "uploaded").unwrap();
        fs::write(bench.host("secret"), "of the host").unwrap();
        let out = format!("/proc/self/fd/{number}/../");
        symlink(&out, bench.base().join("out")).unwrap();
        let upload = |destination: &str| Action::Upload {
            source: bench.host("source"),
            contents_only: true,
            destination: destination.into(),
            owner: String::new(),
            mode: None,
        };
        let actions = [
            upload("/out/escaped"),
            upload(&format!("{out}escaped")),
            Action::Download {
                source: "/out/secret".into(),
                destination: bench.host("stolen/secret"),
            },
            Action::Run {
                files: vec![PlacedFile {
                    source: bench.host("source/file"),
                    path: "/out/escaped".into(),
                    mode: 0o644,
                    keep: true,
                }],
                accept: vec![0],
                command: RootCommand {
                    argv: vec!["true".into()],
                    env: Vec::new(),
                    user: String::new(),
                    workdir: String::new(),
                },
            },
            Action::Run {
                files: Vec::new(),
                accept: vec![0],
                command: RootCommand {
                    argv: vec!["cat".into(), "secret".into()],
                    env: Vec::new(),
                    user: String::new(),
                    workdir: out.clone(),
                },
            },
        ];
        let folder = upload("/srv");
        for action in actions {
            // Something that holds a folder of the host open comes before it and after it.
            let ran = bench.step(vec![folder.clone(), action.clone(), folder.clone()]);
            assert!(!bench.host("escaped").exists(), "{action:?}");
            assert!(!bench.host("stolen/secret").exists(), "{action:?}");
            assert!(!ran.stdout.contains("of the host"), "{action:?}");
        }
    }
}

/// A descriptor that the caller has left open is not inherited.
#[test]
fn descriptors_of_the_caller_stay_outside() {
    let mut bench = Bench::new();
    let folder = fs::File::open(bench.folder.path()).unwrap();
    let inherited = rustix::io::dup(&folder).unwrap();
    // The three streams, and the folder that `ls` reads.
    assert_eq!(bench.print("ls /proc/self/fd"), "0\n1\n2\n3\n");
    drop(inherited);
}

#[test]
fn processes_outside_are_out_of_reach() {
    let mut bench = Bench::new();
    let pid = std::process::id();
    bench
        .shell(&format!("! kill -0 {pid} && ! cat /proc/{pid}/comm"))
        .done();
}

/// System calls that no program of BusyBox makes, made by Perl of the host.
#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_are_refused() {
    let mut bench = Bench::new();
    copy_program("/usr/bin/perl", bench.base());
    let refused = |call: &str| format!("exit 5 if syscall({call}) != -1 || $! != 1;");
    for (name, call) in [
        ("keyctl", "250, 0, -3, 0"),
        ("add_key", "248, 0, 0, 0, 0, -3"),
        ("bpf", "321, 0, 0, 0"),
        ("ptrace(ATTACH, 1)", "101, 16, 1, 0, 0"),
        ("io_uring_setup", "425, 1, 0"),
        ("open_by_handle_at", "304, -100, 0, 0"),
        ("unshare(NEWUSER)", "272, 0x10000000"),
        ("setns", "308, 0, 0"),
        ("clone(NEWUSER)", "56, 0x10000011, 0, 0, 0, 0"),
        ("fsopen", "430, 0, 0"),
        ("open_tree", "428, -100, 0, 1"),
        ("open_tree_attr", "467, -100, 0, 1, 0, 0"),
        ("mount_setattr", "442, -100, 0, 0, 0, 0"),
        ("userfaultfd", "323, 0"),
        ("perf_event_open", "298, 0, 0, 0, 0, 0"),
        ("ioctl(TIOCSTI)", "16, 0, 0x5412, 0"),
        ("socket(AF_VSOCK)", "41, 40, 1, 0"),
        ("init_module", "175, 0, 0, 0"),
        ("reboot", "169, 0, 0, 0, 0"),
        ("swapon", "167, 0, 0"),
        ("settimeofday", "164, 0, 0"),
    ] {
        let ran = bench.step(vec![perl(&refused(call))]);
        assert!(
            ran.result
                .as_ref()
                .is_ok_and(|report| format!("{:?}", report.outcome) == "Done"),
            "{name}: {ran:?}"
        );
    }
    // The C library falls back to clone only then.
    bench
        .step(vec![perl(
            "exit 5 if syscall(435, 0, 0) != -1 || $! != 38;",
        )])
        .done();
    bench.step(vec![perl("exit 5 if fork() < 0;")]).done();
}

#[test]
fn capabilities_are_few_and_not_inheritable() {
    let mut bench = Bench::new();
    let status = bench.print("grep Cap /proc/self/status");
    let set = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    // Docker's default set (`docker run IMAGE grep Cap /proc/self/status`).
    assert_eq!(set("CapBnd"), 0xa804_25fb);
    assert_eq!(set("CapEff"), 0xa804_25fb);
    assert_eq!(set("CapInh"), 0);
    assert_eq!(set("CapAmb"), 0);
    let filters = bench.print("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status");
    let no_new = if bench.is_root() { "1" } else { "0" };
    assert_eq!(filters, format!("NoNewPrivs:\t{no_new}\nSeccomp:\t2\n"));
}

/// On the host's network they would show the traffic of the whole machine.
#[test]
fn raw_sockets_are_for_networks_of_a_steps_own() {
    const NET_RAW: u64 = 1 << 13;
    let mut bench = Bench::new();
    for network in [Network::Host, Network::None] {
        bench.network = network;
        let status = bench.print("grep CapBnd /proc/self/status");
        let (_, sets) = status.trim().split_once('\t').unwrap();
        let held = u64::from_str_radix(sets, 16).unwrap() & NET_RAW != 0;
        let is_shared = network == Network::Host && bench.is_root();
        assert_eq!(held, !is_shared, "{network:?}: {status}");
    }
}
