//! Roots that are open to this host.

use super::support::{Bench, shell};
use hardtack::sandbox::{
    Action, EntryKind, OpenRoot, OutputStream, RootCommand, SandboxError, StepOutcome, TerminalSize,
};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

fn command(script: &str) -> RootCommand {
    RootCommand {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        ..RootCommand::default()
    }
}

/// Runs a script in an open root; gives its code and what it wrote.
fn run(root: &OpenRoot, script: &str) -> (Option<i32>, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut output = |stream, bytes: &[u8]| match stream {
        OutputStream::Stdout => stdout.extend_from_slice(bytes),
        OutputStream::Stderr => stderr.extend_from_slice(bytes),
    };
    let limit = Some(Duration::from_secs(30));
    let code = root.run(&command(script), limit, &mut output).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(stdout), text(stderr))
}

/// Opens a root on a throw-away upper.
fn open<T: Send>(bench: &mut Bench, visit: impl FnOnce(&OpenRoot) -> T + Send) -> T {
    let scratch = bench.scratch();
    let root = bench.root(&scratch);
    let given = bench.sandbox.open(&root, visit, &bench.cancel).unwrap();
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    given
}

#[test]
fn commands_see_what_others_have_left_and_have_streams_of_their_own() {
    open(&mut Bench::new(), |root| {
        assert_eq!(
            run(root, "echo out; echo err >&2; echo x > /new; exit 7"),
            (Some(7), "out\n".to_owned(), "err\n".to_owned())
        );
        assert_eq!(run(root, "cat /new; id -u; pwd").1, "x\n0\n/\n");
        assert_eq!(run(root, "kill -15 $$").0, Some(143));
        let (code, _, stderr) = run(root, "exec /nowhere");
        assert_eq!(code, Some(127), "{stderr}");
        let missing = RootCommand {
            argv: vec!["/missing".to_owned()],
            ..RootCommand::default()
        };
        assert_eq!(root.run(&missing, None, &mut |_, _| {}).unwrap(), Some(127));
        let long = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done";
        assert_eq!(run(root, long).1.len(), 220_000);
    });
}

#[test]
fn commands_are_confined_like_those_of_steps() {
    let mut bench = Bench::new();
    let facts = "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs|Groups)' /proc/self/status; \
                 readlink /proc/self/ns/user /proc/self/ns/mnt > /dev/null; readlink /proc/1/exe /proc/1/fd/3; ls /; id";
    let step = bench.shell(facts).done().stdout;
    let session = open(&mut bench, |root| run(root, facts).1);
    assert_eq!(session, step);
}

#[test]
fn many_commands_run_side_by_side() {
    open(&mut Bench::new(), |root| {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for number in 0..20 {
                scope.spawn(move || {
                    let script = format!("sleep 1; echo {number}");
                    assert_eq!(run(root, &script).1, format!("{number}\n"));
                });
            }
        });
        assert!(begin.elapsed() < Duration::from_secs(15));
    });
}

#[test]
fn a_command_ends_with_its_connection_or_its_time() {
    open(&mut Bench::new(), |root| {
        let null = File::open("/dev/null").unwrap();
        let out = File::options().write(true).open("/dev/null").unwrap();
        let streams = [null.as_fd(), out.as_fd(), out.as_fd()];
        let running = root.start(&command("echo $$ > /pid; sleep 300"), streams);
        let is_there = "test -e /pid && kill -0 $(cat /pid) 2> /dev/null";
        while run(root, is_there).0 != Some(0) {}
        drop(running.unwrap());
        while run(root, is_there).0 == Some(0) {}

        let limit = Some(Duration::from_millis(200));
        let ended = root.run(&command("sleep 300 & sleep 300"), limit, &mut |_, _| {});
        assert_eq!(ended.unwrap(), None);
        while run(root, "ps -o args | grep -q '[s]leep 300'").0 == Some(0) {}
    });
}

#[test]
fn what_a_command_has_left_running_does_not_hold_up_its_end() {
    open(&mut Bench::new(), |root| {
        let begin = Instant::now();
        let (code, stdout, _) = run(root, "echo before; (sleep 20; echo late) & exit 3");
        assert_eq!((code, stdout.as_str()), (Some(3), "before\n"));
        assert!(begin.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn terminals_are_real_ones() {
    open(&mut Bench::new(), |root| {
        let size = TerminalSize {
            rows: 33,
            columns: 77,
        };
        let script = "test -t 0 && test -t 1 && stat -c %N /proc/self/fd/0; read line; \
                      echo \"got $line\"; sleep 300; echo gone on";
        let (running, terminal) = root.start_on_terminal(&command(script), size).unwrap();
        let now = rustix::termios::tcgetwinsize(&terminal).unwrap();
        assert_eq!((now.ws_row, now.ws_col), (33, 77));
        let mut terminal = File::from(terminal);
        let mut seen = String::new();
        let mut wait_for = |text: &str, terminal: &mut File| {
            let mut buffer = [0; 1024];
            while !seen.contains(text) {
                let length = terminal.read(&mut buffer).unwrap();
                seen += &String::from_utf8_lossy(&buffer[..length]);
            }
        };
        wait_for("/dev/pts/0", &mut terminal);
        terminal.write_all(b"hello\n").unwrap();
        wait_for("got hello", &mut terminal);
        // Control-C reaches whoever runs there.
        terminal.write_all(b"\x03").unwrap();
        assert_eq!(running.wait(root).unwrap(), 130);
        assert!(!seen.contains("gone on"));
    });
}

#[test]
fn members_of_the_root_are_looked_at_without_running_anything() {
    let mut bench = Bench::new();
    let base = bench.base().to_owned();
    symlink("/etc/passwd", base.join("link")).unwrap();
    symlink("/proc/self/fd/3/../../..", base.join("out")).unwrap();
    open(&mut bench, |root| {
        let link = root.look("/link", false).unwrap().unwrap();
        assert_eq!(link.kind, EntryKind::Link);
        assert_eq!(link.target.as_deref(), Some("/etc/passwd"));
        let file = root.look("/link", true).unwrap().unwrap();
        assert_eq!(
            (file.kind, file.mode, file.uid),
            (EntryKind::File, 0o644, 0)
        );
        assert_eq!(
            root.look("/bin", true).unwrap().unwrap().kind,
            EntryKind::Folder
        );
        assert_eq!(root.look("/none/there", true).unwrap(), None);
        let mut text = String::new();
        root.read("/link")
            .unwrap()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.starts_with("root:x:0:0:"));
        assert!(root.read("/none").unwrap().is_none());
        assert!(root.read("/bin").is_err());
        assert!(root.look("/out", true).is_err());
        let fifo = root.run(&command("mkfifo /pipe 2> /dev/null"), None, &mut |_, _| {});
        if fifo.unwrap() == Some(0) {
            assert!(root.read("/pipe").is_err());
        }
    });
}

#[test]
fn a_step_holds_what_was_done_in_its_open_root() {
    let mut bench = Bench::new();
    let scratch = bench.scratch();
    let actions = vec![
        shell("echo before > /a"),
        Action::Open,
        shell("cat /a /b > /c"),
    ];
    let spec = bench.spec(&scratch, actions);
    let visit = |root: &OpenRoot| (true, run(root, "cat /a; echo inside > /b").1);
    let (report, seen) = bench
        .sandbox
        .run_open_step(&spec, visit, &mut |_, _| {}, &bench.cancel)
        .unwrap();
    assert_eq!(seen, "before\n");
    assert_eq!(report.outcome, StepOutcome::Done);
    let text = fs::read_to_string(scratch.join("fs/c")).unwrap();
    assert_eq!(text, "before\ninside\n");
}

#[test]
fn a_visitor_who_gives_up_ends_the_step() {
    let mut bench = Bench::new();
    let scratch = bench.scratch();
    let spec = bench.spec(&scratch, vec![Action::Open, shell("exit 9")]);
    let visit = |root: &OpenRoot| (false, run(root, "echo x > /new").0);
    let (report, _) = bench
        .sandbox
        .run_open_step(&spec, visit, &mut |_, _| {}, &bench.cancel)
        .unwrap();
    assert_eq!(report.outcome, StepOutcome::Abandoned);
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
}

#[test]
fn a_visitor_learns_that_the_root_is_gone() {
    let mut bench = Bench::new();
    bench.timeout = Some(Duration::from_millis(500));
    let scratch = bench.scratch();
    let spec = bench.spec(&scratch, vec![Action::Open]);
    let visit = |root: &OpenRoot| {
        let ran = root.run(&command("sleep 300"), None, &mut |_, _| {});
        assert!(matches!(
            ran,
            Err(SandboxError::Cancelled | SandboxError::Lost(_))
        ));
        (false, root.closed().wait(Duration::from_secs(60)))
    };
    let (report, was_told) = bench
        .sandbox
        .run_open_step(&spec, visit, &mut |_, _| {}, &bench.cancel)
        .unwrap();
    assert_eq!(report.outcome, StepOutcome::TimedOut);
    assert!(was_told);

    // Also when it never came so far.
    let scratch = bench.scratch();
    let spec = bench.spec(&scratch, vec![shell("exit 4"), Action::Open]);
    let visit = |root: &OpenRoot| {
        assert!(root.run(&command("true"), None, &mut |_, _| {}).is_err());
        (true, ())
    };
    let (report, ()) = bench
        .sandbox
        .run_open_step(&spec, visit, &mut |_, _| {}, &bench.cancel)
        .unwrap();
    assert!(matches!(
        report.outcome,
        StepOutcome::Failed { code: 4, .. }
    ));
}

#[test]
fn a_root_is_open_however_deep_its_folder_lies() {
    let bench = Bench::new();
    let scratch = bench.host(&"deep/".repeat(30));
    fs::create_dir_all(&scratch).unwrap();
    let root = bench.root(&scratch);
    let visit = |root: &OpenRoot| {
        assert!(root.socket().as_os_str().len() < 108);
        std::os::unix::net::UnixStream::connect(root.socket()).unwrap();
        run(root, "echo here").1
    };
    let seen = bench.sandbox.open(&root, visit, &bench.cancel).unwrap();
    assert_eq!(seen, "here\n");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}
