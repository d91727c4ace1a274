//! The helper as hardtack sees it: started, asked, listened to.

use super::connection::Connection;
use super::identity::IdMap;
use super::means::Means;
use super::protocol::{Answer, Envelope, Request};
use super::{Cancel, HELPER_NAME, Mode, OutputStream, SandboxError, Settings};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// How much is read at once of what a command writes.
const CHUNK: usize = 64 * 1024;

/// Asks for something that is quick or whose helper may simply be killed.
pub(super) fn ask(
    settings: &Settings,
    mode: &Mode,
    request: &Request,
    cancel: &Cancel,
) -> Result<Answer, SandboxError> {
    converse(settings, mode, request, &mut |_, _| {}, cancel)
}

/// Asks, and passes on what commands write until the helper has ended.
pub(super) fn converse(
    settings: &Settings,
    mode: &Mode,
    request: &Request,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
) -> Result<Answer, SandboxError> {
    run(settings, Some(mode), request, None, output, cancel)
}

/// Asks for something with a root that others enter at `door`, and passes on what commands write
/// until the helper has ended.
pub(super) fn converse_with_door(
    settings: &Settings,
    mode: &Mode,
    request: &Request,
    door: OwnedFd,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
) -> Result<Answer, SandboxError> {
    run(settings, Some(mode), request, Some(door), output, cancel)
}

/// Asks the helper to run a command of the host; there is no sandbox around it.
pub(super) fn host(
    settings: &Settings,
    request: &Request,
    stdout: Option<BorrowedFd<'_>>,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
) -> Result<Answer, SandboxError> {
    let stdout = stdout.map(|it| it.try_clone_to_owned());
    let stdout = stdout.transpose().map_err(SandboxError::Spawn)?;
    run(settings, None, request, stdout, output, cancel)
}

fn run(
    settings: &Settings,
    mode: Option<&Mode>,
    request: &Request,
    descriptor: Option<OwnedFd>,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
) -> Result<Answer, SandboxError> {
    let (mut connection, theirs) = Connection::pair().map_err(SandboxError::Spawn)?;
    let mut command = Command::new(&settings.helper);
    command
        .arg0(HELPER_NAME)
        .stdin(theirs)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C on the terminal reaches hardtack, which then ends its helpers in good order.
        .process_group(0);
    if mode.is_some() {
        command.env_clear();
    }
    let mut child = command.spawn().map_err(SandboxError::Spawn)?;
    drop(command);
    let answer = (|| {
        open(&mut connection, &child, mode, request, descriptor)?;
        listen(
            &mut connection,
            &mut child,
            output,
            cancel,
            is_killable(request),
        )
    })();
    finish(child, answer.is_err());
    let answer = answer?;
    match answer {
        Answer::Failed { .. } => Err(answer.unexpected()),
        answer => Ok(answer),
    }
}

/// Whether a helper with this request may be killed at any moment: it has no process below it.
fn is_killable(request: &Request) -> bool {
    matches!(request, Request::Task(_) | Request::Probe { scratch: None })
}

/// Sends the request and maps the ids of the helper's user namespace.
fn open(
    connection: &mut Connection,
    child: &Child,
    mode: Option<&Mode>,
    request: &Request,
    descriptor: Option<OwnedFd>,
) -> Result<(), SandboxError> {
    let lost = |error: io::Error| SandboxError::Lost(error.to_string());
    let map = mode.map(|mode| &mode.map);
    let user_namespace = map.is_some_and(IdMap::has_user_namespace);
    let envelope = Envelope {
        user_namespace,
        many_ids: map.is_some_and(|map| map.isolation() != super::Isolation::SingleId),
        means: mode.map_or(Means::BEST, |mode| mode.means),
        request: request.clone(),
    };
    match descriptor {
        // Closed here at once, so that its other copies are the last ones.
        Some(descriptor) => connection
            .send_with(&envelope, descriptor.as_fd())
            .map_err(lost)?,
        None => connection.send(&envelope).map_err(lost)?,
    }
    if let Some(map) = map.filter(|_| user_namespace) {
        match connection.receive::<Answer>().map_err(lost)? {
            Some(Answer::NeedsIds) => map.write(child.id())?,
            Some(other) => return Err(other.unexpected()),
            None => return Err(SandboxError::Lost("it ended at once".to_owned())),
        }
        connection.send(&true).map_err(lost)?;
    }
    Ok(())
}

/// Waits for the answer and for the end of both streams.
fn listen(
    connection: &mut Connection,
    child: &mut Child,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
    killable: bool,
) -> Result<Answer, SandboxError> {
    let lost = |error: io::Error| SandboxError::Lost(error.to_string());
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut answer = None;
    let mut connected = true;
    let mut hung_up = false;
    let mut buffer = vec![0u8; CHUNK];
    while connected || stdout.is_some() || stderr.is_some() {
        let ready = {
            let mut events = Vec::with_capacity(4);
            let mut kinds = Vec::with_capacity(4);
            if let Some(stdout) = &stdout {
                events.push(PollFd::new(stdout, PollFlags::IN));
                kinds.push(Kind::Stdout);
            }
            if let Some(stderr) = &stderr {
                events.push(PollFd::new(stderr, PollFlags::IN));
                kinds.push(Kind::Stderr);
            }
            if connected {
                events.push(PollFd::new(connection, PollFlags::IN));
                kinds.push(Kind::Connection);
            }
            let event = cancel.event();
            if let Some(event) = event.as_ref().filter(|_| !hung_up) {
                events.push(PollFd::new(event, PollFlags::IN));
                kinds.push(Kind::Cancel);
            }
            match poll(&mut events, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(lost(error.into())),
            }
            let ready: Vec<Kind> = events
                .iter()
                .zip(kinds)
                .filter(|(event, _)| !event.revents().is_empty())
                .map(|(_, kind)| kind)
                .collect();
            ready
        };
        for kind in ready {
            match kind {
                Kind::Stdout => {
                    if !forward(&mut stdout, OutputStream::Stdout, &mut buffer, output) {
                        stdout = None;
                    }
                }
                Kind::Stderr => {
                    if !forward(&mut stderr, OutputStream::Stderr, &mut buffer, output) {
                        stderr = None;
                    }
                }
                Kind::Connection => match connection.receive::<Answer>() {
                    Ok(Some(message)) => answer = Some(message),
                    Ok(None) => connected = false,
                    Err(error) => return Err(lost(error)),
                },
                Kind::Cancel => {
                    hung_up = true;
                    if killable {
                        return Err(SandboxError::Cancelled);
                    }
                    connection.hang_up();
                }
            }
        }
    }
    answer.ok_or_else(|| {
        let status = child.wait().map(|status| status.to_string());
        SandboxError::Lost(status.unwrap_or_else(|error| error.to_string()))
    })
}

/// What is ready to be read.
#[derive(Clone, Copy)]
enum Kind {
    Stdout,
    Stderr,
    Connection,
    Cancel,
}

/// Passes one chunk on; false at the end of the stream.
fn forward(
    stream: &mut Option<impl Read>,
    kind: OutputStream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(OutputStream, &[u8]),
) -> bool {
    let Some(stream) = stream else { return false };
    match stream.read(buffer) {
        Ok(0) => false,
        Ok(length) => {
            output(kind, &buffer[..length]);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
    }
}

/// Waits for the helper's end, after killing it if it was not asked to end.
fn finish(mut child: Child, kill: bool) {
    if kill {
        // It only fails when the helper has ended already.
        let _ = child.kill();
    }
    let _ = child.wait();
}
