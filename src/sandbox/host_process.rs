//! A command of the host, as the helper runs it: its end is the end of all that it has started.

use super::connection::Connection;
use super::descendants;
use super::error::Failure;
use super::protocol::{Answer, FailureKind};
use super::supervisor::detach_output;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command of the host until it and all its descendants have ended.
pub(super) fn run(
    connection: &Connection,
    argv: &[String],
    environment: Vec<(String, String)>,
    working_folder: &Path,
    stdout: Option<OwnedFd>,
) -> Result<Answer, Failure> {
    let setup =
        |what: String| move |error: io::Error| (FailureKind::Work, format!("{what}: {error}"));
    let Some((program, arguments)) = argv.split_first() else {
        return Err((FailureKind::Work, "no command".to_owned()));
    };
    // Descendants whose parents have gone become children of this process.
    descendants::adopt_orphans()
        .map_err(|error| setup("supervise commands".to_owned())(error.into()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment)
        .current_dir(working_folder)
        .stdin(Stdio::null());
    if let Some(stdout) = stdout {
        command.stdout(stdout);
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Answer::HostCommand { code: 127 });
        }
        Err(error) => return Err(setup(format!("start {program}"))(error)),
    };
    drop(command);
    detach_output().map_err(setup("close the output".to_owned()))?;
    let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let descriptor = main.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some((main, descriptor)) = main.zip(descriptor) else {
        return Err((FailureKind::Work, format!("cannot watch {program}")));
    };
    let mut cancelled = false;
    loop {
        let mut events = [
            PollFd::new(connection, PollFlags::IN),
            PollFd::new(&descriptor, PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(setup("watch a command".to_owned())(error.into())),
        }
        cancelled |= !events[0].revents().is_empty();
        if cancelled || !events[1].revents().is_empty() {
            break;
        }
    }
    if cancelled {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
    let code = match waitpid(Some(main), WaitOptions::empty()) {
        Ok(Some((_, status))) => status
            .exit_status()
            .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)),
        _ => 1,
    };
    descendants::kill_all();
    if cancelled {
        return Err((FailureKind::Cancelled, "interrupted".to_owned()));
    }
    Ok(Answer::HostCommand { code })
}
