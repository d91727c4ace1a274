//! Commands: users, environment, working directories, exit codes, output.

use super::support::{Bench, shell, shell_as};
use hardtack::sandbox::{Action, RootCommand, StepOutcome};
use std::fs;

fn command(argv: &[&str]) -> Action {
    Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            user: String::new(),
            workdir: String::new(),
        },
    }
}

#[test]
fn exit_codes_are_those_of_the_shell() {
    let mut bench = Bench::new();
    fs::write(bench.base().join("etc/plain"), "not a program").unwrap();
    for (argv, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["sh", "-c", "kill -9 $$"][..], 137),
        (&["sh", "-c", "kill -15 $$"][..], 143),
        (&["no-such-program"][..], 127),
        (&["/no/such/program"][..], 127),
        (&["/etc/plain"][..], 126),
        (&["/etc/plain/below"][..], 127),
        (&["/etc"][..], 126),
    ] {
        let ran = bench.step(vec![command(argv)]);
        let expected = StepOutcome::Failed {
            code,
            allowed: vec![0],
        };
        assert_eq!(ran.report().outcome, expected, "{argv:?}");
    }
    let mut accepted = command(&["sh", "-c", "exit 3"]);
    if let Action::Run { accept, .. } = &mut accepted {
        *accept = vec![0, 3];
    }
    bench.step(vec![accepted]).done();
}

#[test]
fn the_environment_is_what_is_given() {
    let mut bench = Bench::new();
    let printed =
        bench.print("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | while read l; do echo $l; done");
    assert_eq!(
        printed,
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOME=/root\n"
            .lines()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
    let action = Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: vec!["sh".into(), "-c".into(), "echo \"$HOME|$A|$PATH\"".into()],
            env: vec![
                ("HOME".into(), "/elsewhere".into()),
                ("A".into(), "b c\n'd\"".into()),
                ("PATH".into(), "/bin".into()),
            ],
            user: "app".into(),
            workdir: String::new(),
        },
    };
    if bench.has_many_ids() {
        assert_eq!(
            bench.step(vec![action]).done().stdout,
            "/elsewhere|b c\n'd\"|/bin\n"
        );
    }
    let mut bad = command(&["true"]);
    if let Action::Run { command, .. } = &mut bad {
        let env = &mut command.env;
        env.push(("A".into(), "with\0zero".into()));
    }
    assert!(bench.step(vec![bad]).result.is_err());
}

#[test]
fn users_are_those_of_the_image() {
    let mut bench = Bench::new();
    if !bench.has_many_ids() {
        // There is one id, and every user has it.
        assert_eq!(
            bench
                .step(vec![shell_as("app", "id -u; echo $HOME")])
                .done()
                .stdout,
            "0\n/srv\n"
        );
        return;
    }
    for (user, expected) in [
        ("", "0 0 0\n/root\n"),
        ("app", "1000 1000 1000 4\n/srv\n"),
        ("1000", "1000 1000 1000 4\n/srv\n"),
        ("app:adm", "1000 4 4\n/srv\n"),
        ("4321:1234", "4321 1234 1234\n/\n"),
    ] {
        let ran = bench.step(vec![shell_as(
            user,
            "echo $(id -u) $(id -g) $(id -G); echo $HOME",
        )]);
        assert_eq!(ran.done().stdout, expected, "{user:?}");
    }
    let ran = bench.step(vec![shell_as("nobody-here", "true")]);
    assert!(ran.result.unwrap_err().to_string().contains("nobody-here"));
}

/// An image's `/etc/passwd` may be anything.
#[test]
fn odd_user_files_do_not_hold_a_step_up() {
    let mut bench = Bench::new();
    let passwd = bench.base().join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&passwd)
        .status()
        .unwrap();
    assert!(made.success());
    bench.timeout = Some(std::time::Duration::from_secs(10));
    assert_eq!(bench.print("echo fine"), "fine\n");
}

#[test]
fn working_directories_are_in_the_root() {
    let mut bench = Bench::new();
    let at = |workdir: &str| Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: vec!["pwd".into()],
            env: Vec::new(),
            user: String::new(),
            workdir: workdir.into(),
        },
    };
    assert_eq!(bench.step(vec![at("/tmp")]).done().stdout, "/tmp\n");
    assert_eq!(
        bench.step(vec![at("/tmp/../../etc")]).done().stdout,
        "/etc\n"
    );
    // One that nothing has made yet is there while the command runs, and leaves no trace.
    let ran = bench.step(vec![at("/missing/below")]).done();
    assert_eq!(ran.stdout, "/missing/below\n");
    assert_eq!(ran.report().diff_id, None);
    let error = bench
        .step(vec![at("/etc/passwd")])
        .result
        .unwrap_err()
        .to_string();
    assert!(error.contains("/etc/passwd"), "{error}");
}

#[test]
fn output_comes_as_it_is_written() {
    let mut bench = Bench::new();
    let ran = bench
        .shell("echo out; echo err >&2; printf 'no end'")
        .done();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("out\nno end", "err\n")
    );
    let ran = bench
        .shell("dd if=/dev/zero bs=1M count=8 2> /dev/null")
        .done();
    assert_eq!(ran.stdout.len(), 8 << 20);
    // There is nothing to read, and it does not wait for it.
    assert_eq!(bench.print("cat; echo read"), "read\n");
}

#[test]
fn actions_run_in_order_until_one_fails() {
    let mut bench = Bench::new();
    let ran = bench.step(vec![
        shell("echo 1"),
        shell("echo 2; exit 9"),
        shell("echo 3"),
    ]);
    assert_eq!(ran.stdout, "1\n2\n");
    let expected = StepOutcome::Failed {
        code: 9,
        allowed: vec![0],
    };
    assert_eq!(ran.report().outcome, expected);
}

#[test]
fn interactive_commands_give_their_exit_code() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("exit 0").unwrap(), 0);
    assert_eq!(bench.run("echo > /new; exit 12").unwrap(), 12);
    assert_eq!(bench.run("kill -15 $$").unwrap(), 143);
    assert_eq!(bench.run("test -e /new").unwrap(), 1);
    for number in 1..=4 {
        let scratch = bench.host(&format!("scratch-{number}"));
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
    }
}

/// Output is passed on as it comes, and a slow reader slows the step down.
#[test]
fn a_flood_of_output_takes_no_memory() {
    let mut bench = Bench::new();
    let scratch = bench.scratch();
    let flood = vec![shell("dd if=/dev/zero bs=1M count=100 2> /dev/null")];
    let spec = bench.spec(&scratch, flood);
    let (mut length, mut largest) = (0, 0);
    let mut output = |_, bytes: &[u8]| {
        length += bytes.len();
        largest = largest.max(bytes.len());
    };
    bench
        .sandbox
        .run_step(&spec, &mut output, &bench.cancel)
        .unwrap();
    assert_eq!(length, 100 << 20);
    assert!(largest <= 1 << 20, "{largest} bytes at once");
}
