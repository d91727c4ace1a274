//! Commands: how PID 1 starts one inside the root.

use super::protocol::{FailureKind, RootCommand, Variable};
use super::{inside, sys, users};
use rustix::process::Pid;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Used where neither the image nor the template sets one, as Docker does.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Failure = (FailureKind, String);

/// Where a command reads from and writes to.
pub(super) enum Streams {
    /// Reads from a descriptor, and writes where PID 1 writes.
    Captured {
        /// Its standard input.
        stdin: OwnedFd,
    },
    /// Streams of the caller's, in a process group of its own.
    Given {
        /// Its standard input.
        stdin: OwnedFd,
        /// Its standard output.
        stdout: OwnedFd,
        /// Its standard error.
        stderr: OwnedFd,
    },
    /// A terminal, in a session of its own.
    Terminal(OwnedFd),
}

/// What came of starting a command.
pub(super) enum Start {
    /// It runs.
    Running {
        /// Its process, seen from inside.
        pid: Pid,
        /// Folders that had to be made to begin in its working directory, outermost first.
        made: Vec<PathBuf>,
    },
    /// It cannot be found or executed; the code that a shell gives then.
    Refused {
        /// 126 or 127.
        code: i32,
    },
}

/// Starts a command; `variables` are added to its environment.
pub(super) fn start(
    order: &RootCommand,
    streams: Streams,
    variables: &[Variable],
) -> Result<Start, Failure> {
    let work = |text: String| (FailureKind::Work, text);
    // As Docker: an image may name a working directory that nothing has made yet.
    let made = inside::make_folder(&Path::new("/").join(&order.workdir))
        .and_then(|folder| {
            rustix::process::fchdir(&folder.descriptor)?;
            Ok(folder.made)
        })
        .map_err(|error| {
            let name = &order.workdir;
            work(format!(
                "enter the working directory {name} of the image: {error}"
            ))
        })?;
    let user = users::resolve(&order.user).map_err(work)?;
    let Some((program, arguments)) = order.argv.split_first() else {
        return Err(work("there is no command to run".to_owned()));
    };
    // The command begins where PID 1 is.
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.env("PATH", DEFAULT_PATH).env("HOME", &user.home);
    let mut complaints: Option<OwnedFd> = None;
    match streams {
        Streams::Captured { stdin } => {
            command.stdin(stdin);
        }
        Streams::Given {
            stdin,
            stdout,
            stderr,
        } => {
            complaints = stderr.try_clone().ok();
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            command.process_group(0);
        }
        Streams::Terminal(terminal) => {
            let shared = |terminal: &OwnedFd| {
                let copy = terminal.try_clone();
                copy.map_err(|error| work(format!("share the terminal: {error}")))
            };
            complaints = Some(shared(&terminal)?);
            command.env("TERM", "xterm");
            command
                .stdout(shared(&terminal)?)
                .stderr(shared(&terminal)?);
            command.stdin(Stdio::from(terminal));
            sys::lead_terminal_session(&mut command);
        }
    }
    command.envs(order.env.iter().map(|(name, value)| (name, value)));
    for variable in variables {
        command.env(&variable.name, OsStr::from_bytes(variable.value.as_bytes()));
    }
    if !user.is_root() {
        sys::run_as(&mut command, user.ids);
    }
    match command.spawn() {
        Ok(child) => {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| work(format!("{program} has no process id")))?;
            Ok(Start::Running { pid, made })
        }
        Err(error) => {
            let code =
                code_of_start(&error).ok_or_else(|| work(format!("start {program}: {error}")))?;
            // If nobody reads it, the exit code still tells.
            let line = format!("{program}: {error}\n");
            let _ = match complaints {
                Some(stream) => std::fs::File::from(stream).write_all(line.as_bytes()),
                None => io::stderr().write_all(line.as_bytes()),
            };
            leave(&made);
            Ok(Start::Refused { code })
        }
    }
}

/// Removes the folders that were made for a working directory, unless something is in them now.
pub(super) fn leave(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        let _ = inside::remove_empty_folder(folder);
    }
}

/// The shell's codes for what cannot be found and what cannot be executed; none where the command
/// is not to blame.
fn code_of_start(error: &io::Error) -> Option<i32> {
    match error.raw_os_error()? {
        libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => Some(127),
        libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::EISDIR => Some(126),
        libc::ETXTBSY | libc::EINVAL | libc::ELIBBAD => Some(126),
        _ => None,
    }
}
