//! Commands of the host that hardtack starts itself (mmdebstrap, `shell-local`): outside any
//! sandbox, but supervised, so that they and all that they start end with hardtack.

use super::protocol::{Answer, Request};
use super::{Cancel, OutputStream, SandboxError, Settings, helper};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// One command of the host.
#[derive(Debug)]
pub struct HostCommand {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// Added to the environment of this process.
    pub environment: Vec<(String, String)>,
    /// Where it starts.
    pub working_folder: PathBuf,
    /// Takes its standard output instead of the caller's lines.
    pub stdout: Option<File>,
}

/// Runs a command and gives its exit code; `output` gets its lines as they come.
pub fn run(
    command: &HostCommand,
    output: &mut dyn FnMut(OutputStream, &str),
    cancel: &Cancel,
) -> Result<i32, SandboxError> {
    let request = Request::HostCommand {
        argv: command.argv.clone(),
        environment: command.environment.clone(),
        working_folder: command.working_folder.clone(),
        has_stdout: command.stdout.is_some(),
    };
    let mut lines = super::lines::LineSplitter::default();
    let mut emit =
        |stream: OutputStream, line: &[u8]| output(stream, &String::from_utf8_lossy(line));
    let answer = helper::host(
        &Settings::default(),
        &request,
        command.stdout.as_ref().map(AsFd::as_fd),
        &mut |stream, bytes| lines.feed(stream, bytes, &mut emit),
        cancel,
    )?;
    lines.finish(&mut emit);
    match answer {
        Answer::HostCommand { code } => Ok(code),
        other => Err(other.unexpected()),
    }
}
