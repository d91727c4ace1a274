//! Ends: of commands, by timeout, by cancellation, and of hardtack itself.

use super::support::{Bench, all_gone, processes_with, shell};
use hardtack::sandbox::{SandboxError, StepOutcome};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A name of its own for each test, to find its processes by.
fn marked(number: u32) -> String {
    format!("sleep 4{}{number}", std::process::id())
}

#[test]
fn a_timeout_ends_everything() {
    let mut bench = Bench::new();
    bench.timeout = Some(Duration::from_millis(400));
    let sleep = marked(1);
    let begin = Instant::now();
    let ran = bench.shell(&format!(
        "trap '' TERM INT HUP; setsid {sleep} & (setsid {sleep} &) ; echo begun; {sleep}"
    ));
    assert_eq!(ran.report().outcome, StepOutcome::TimedOut);
    assert_eq!(ran.stdout, "begun\n");
    assert!(begin.elapsed() < Duration::from_secs(5));
    // They had gone when the step ended, not some time after.
    assert_eq!(processes_with(&sleep), Vec::<u32>::new());
    assert_eq!(fs::read_dir(&ran.scratch).unwrap().count(), 0);
}

#[test]
fn cancelling_ends_everything() {
    let mut bench = Bench::new();
    let sleep = marked(2);
    let cancel = bench.cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        cancel.cancel();
    });
    let begin = Instant::now();
    let ran = bench.shell(&format!("setsid {sleep} & {sleep}"));
    canceller.join().unwrap();
    let is_cancelled = match &ran.result {
        Ok(report) => report.outcome == StepOutcome::Cancelled,
        Err(error) => matches!(error, SandboxError::Cancelled),
    };
    assert!(is_cancelled, "{ran:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(processes_with(&sleep), Vec::<u32>::new());

    // A switch that is thrown before lets nothing begin that lasts.
    let begin = Instant::now();
    let ran = bench.shell(&sleep);
    assert!(!matches!(&ran.result, Ok(report) if report.outcome == StepOutcome::Done));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

/// A daemon that keeps the output open neither holds the step up nor outlives it.
#[test]
fn what_runs_in_the_background_ends_with_the_step() {
    let mut bench = Bench::new();
    let sleep = marked(3);
    let begin = Instant::now();
    let ran = bench
        .shell(&format!("setsid {sleep} & (setsid {sleep} &) ; echo done"))
        .done();
    assert_eq!(ran.stdout, "done\n");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(processes_with(&sleep), Vec::<u32>::new());
}

/// Between the commands of one step, what runs in the background goes on.
#[test]
fn what_runs_in_the_background_serves_the_whole_step() {
    let mut bench = Bench::new();
    let first = shell("(sleep 0.3; echo late > /srv) & echo first");
    let second = shell("while ! [ -e /srv ]; do sleep 0.1; done; cat /srv");
    let ran = bench.step(vec![first, second]).done();
    assert_eq!(ran.stdout, "first\nlate\n");
}

/// SIGKILL of hardtack, at many moments: this test starts itself as the one that is killed.
#[test]
fn nothing_survives_the_death_of_hardtack() {
    const ROLE: &str = "HARDTACK_TEST_KILLED";
    if let Some(sleep) = std::env::var_os(ROLE) {
        let sleep = sleep.into_string().unwrap();
        let mut bench = Bench::new();
        println_now("ready");
        bench.shell(&format!(
            "setsid {sleep} & (setsid {sleep} &) ; echo > /mark; {sleep}"
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sleep = marked(4);
    // Early moments hit the set-up, late ones the running command.
    for delay in [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 25, 50, 300] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "ending::nothing_survives_the_death_of_hardtack",
                "--nocapture",
            ])
            .env(ROLE, &sleep)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0);
        }
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        all_gone(&sleep);
        all_gone(&folder.path().display().to_string());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(
        !mounts.contains(folder.path().to_str().unwrap()),
        "{mounts}"
    );
}

/// The supervisor may be killed too, by the kernel when memory runs out.
#[test]
fn nothing_survives_the_death_of_the_supervisor() {
    let mut bench = Bench::new();
    let sleep = marked(5);
    let marker = sleep.clone();
    let own = std::process::id();
    let killer = std::thread::spawn(move || {
        while processes_with(&marker).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Of the processes that this one has started, the one whose child is the PID 1 of the step.
        let shell = processes_with(&marker)[0];
        let mut chain = vec![shell];
        while parent(chain[chain.len() - 1]) != own {
            chain.push(parent(chain[chain.len() - 1]));
        }
        let supervisor = i32::try_from(chain[chain.len() - 1]).unwrap();
        let supervisor = rustix::process::Pid::from_raw(supervisor).unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    });
    let ran = bench.shell(&format!("{sleep}; true"));
    killer.join().unwrap();
    assert!(
        matches!(ran.result, Err(SandboxError::Lost(_))),
        "{:?}",
        ran.result
    );
    all_gone(&sleep);
}

fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:"));
    line.unwrap()[5..].trim().parse().unwrap()
}

#[allow(clippy::print_stdout)]
fn println_now(text: &str) {
    println!("{text}");
    std::io::Write::flush(&mut std::io::stdout()).unwrap();
}
