//! Attaching: the caller's own streams, or their terminal, to a command in an open root.
//!
//! With a terminal on both sides the command gets one of its own inside the root, so that job
//! control, editing and the window's size work as if it were started there; the caller's terminal
//! only passes bytes on. Without, the command gets the caller's streams as they are.

use super::protocol::RootCommand;
use super::session::{OpenRoot, Running, TerminalSize};
use super::{Cancel, SandboxError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use rustix::time::Timespec;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// How often the window's size is looked at.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// How much is passed on at once.
const CHUNK: usize = 16 * 1024;

/// Runs a command with the caller's standard streams, and gives its exit code.
pub fn run(root: &OpenRoot, command: &RootCommand, cancel: &Cancel) -> Result<i32, SandboxError> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    if stdin.is_terminal() && stdout.is_terminal() {
        return on_terminal(root, command, cancel);
    }
    let stderr = io::stderr();
    let input = if stdin.is_terminal() {
        // Inside, it would be the terminal of another session, which may not be read.
        forwarded_input()?
    } else {
        stdin.as_fd().try_clone_to_owned().map_err(failed)?
    };
    let streams = [input.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let running = root.start(command, streams)?;
    drop(input);
    running.wait(root)
}

/// A pipe that gets what the caller types.
fn forwarded_input() -> Result<OwnedFd, SandboxError> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|it| failed(it.into()))?;
    std::thread::spawn(move || {
        // It ends with the process: a read from a terminal cannot be called off.
        let _ = io::copy(&mut io::stdin(), &mut File::from(writer));
    });
    Ok(reader)
}

fn on_terminal(
    root: &OpenRoot,
    command: &RootCommand,
    cancel: &Cancel,
) -> Result<i32, SandboxError> {
    let size = window().unwrap_or(TerminalSize {
        rows: 24,
        columns: 80,
    });
    let (running, terminal) = root.start_on_terminal(command, size)?;
    let raw = Raw::begin();
    let relayed = relay(&running, terminal, size, cancel);
    drop(raw);
    relayed.map_err(failed)?;
    if cancel.is_cancelled() {
        return Err(SandboxError::Cancelled);
    }
    running.wait(root)
}

/// Passes bytes on between both terminals until the command has ended.
fn relay(
    running: &Running,
    terminal: OwnedFd,
    mut size: TerminalSize,
    cancel: &Cancel,
) -> io::Result<()> {
    let mut terminal = File::from(terminal);
    let stdin = io::stdin();
    let mut stdout = io::stdout();
    let mut buffer = vec![0; CHUNK];
    let mut is_typing = true;
    let mut has_ended = false;
    while !cancel.is_cancelled() {
        let mut events = vec![
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::new(running, PollFlags::IN),
        ];
        if is_typing {
            events.push(PollFd::new(&stdin, PollFlags::IN));
        }
        // After its end only what it has still written counts.
        let limit = if has_ended {
            Timespec::default()
        } else {
            LOOK_EVERY
        };
        match poll(&mut events, Some(&limit)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = events.iter().map(|it| !it.revents().is_empty()).collect();
        drop(events);
        let is_ready = |index: usize| ready.get(index).copied().unwrap_or(false);
        if let Some(now) = window().filter(|now| *now != size) {
            size = now;
            tcsetwinsize(&terminal, winsize(size))?;
        }
        if is_ready(0) {
            match terminal.read(&mut buffer) {
                // Nobody holds the other side any more.
                Ok(0) => return Ok(()),
                Ok(length) => {
                    stdout.write_all(buffer.get(..length).unwrap_or_default())?;
                    stdout.flush()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) => return Err(error),
            }
        } else if is_ready(1) {
            if has_ended {
                return Ok(());
            }
            has_ended = true;
        }
        if is_ready(2) {
            match rustix::io::read(&stdin, &mut buffer[..]) {
                Ok(0) => is_typing = false,
                Ok(length) => terminal.write_all(buffer.get(..length).unwrap_or_default())?,
                Err(Errno::INTR) => {}
                Err(_) => is_typing = false,
            }
        }
    }
    Ok(())
}

/// The size of the caller's terminal.
fn window() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    let size = TerminalSize {
        rows: size.ws_row,
        columns: size.ws_col,
    };
    // A terminal that has never been told says 0.
    (size.rows > 0 && size.columns > 0).then_some(size)
}

fn winsize(size: TerminalSize) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// The caller's terminal while it passes everything on as it is typed.
struct Raw(Option<Termios>);

impl Raw {
    fn begin() -> Self {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // Lines then are edited twice, which is no reason not to run.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // There is nothing else to try.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

fn failed(error: io::Error) -> SandboxError {
    SandboxError::Work(format!("pass streams on: {error}"))
}
