//! Sessions: a root that stays open while this host works on it.
//!
//! PID 1 of the root listens at a socket outside of it, in a folder that only the caller may enter.
//! Whoever connects can start a command there: it begins inside, with all that PID 1 has already
//! given up, and with the streams that came over the socket. Nothing has to enter namespaces, no
//! port is open, and there are no keys; so it is the same for root and for ordinary users. A
//! command whose connection closes is killed.
//!
//! Messages are those of [`Connection`]: four bytes of length, lowest first, and JSON.

use super::connection::Connection;
use super::protocol::RootCommand;
use super::{Cancel, OutputStream, SandboxError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How much is read at once of what a command writes.
const CHUNK: usize = 64 * 1024;
/// The name of the socket in its folder.
const SOCKET: &str = "root.sock";
/// The longest name of a socket, in bytes, with its end (`sun_path`, unix(7)).
const NAME_LIMIT: usize = 108;

/// What PID 1 is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// To start a command; its three streams come with the order.
    Run(RootCommand),
    /// To start a command on a new terminal.
    RunOnTerminal {
        /// The command.
        command: RootCommand,
        /// The terminal's size.
        size: TerminalSize,
    },
    /// What there is at a path.
    Look {
        /// Absolute.
        path: String,
        /// Whether a link stands for what it leads to.
        follow: bool,
    },
    /// To hand over a regular file, open for reading.
    Read {
        /// Absolute.
        path: String,
    },
    /// That the root is not needed any more.
    Close {
        /// Whether what was to be done is done.
        done: bool,
    },
}

/// What PID 1 answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The command runs; the other side of its terminal comes with the reply.
    Started,
    /// The command has ended.
    Ended {
        /// Its exit code: 126 and 127 if it cannot be executed or found, 128 and more for signals.
        code: i32,
    },
    /// Of [`Order::Look`]; none if there is nothing.
    Seen(Option<Entry>),
    /// Of [`Order::Read`]; the file comes with the reply.
    Opened,
    /// There is no such file.
    Missing,
    /// Of [`Order::Close`].
    Closing,
    /// It cannot be done.
    Failed(String),
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A file, folder, link or other member of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// Where a link leads.
    pub target: Option<String>,
}

/// The types of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket or a named pipe.
    Other,
}

/// A root that is open.
#[derive(Debug)]
pub struct OpenRoot {
    folder: TempDir,
    /// The folder, open for short names of what is in it.
    descriptor: OwnedFd,
    closed: Cancel,
}

/// The socket of a root that is to be opened.
pub(super) struct Door {
    pub(super) listener: UnixListener,
    pub(super) root: OpenRoot,
}

impl Door {
    /// Makes the socket, in a folder of its own in `scratch`: should this process be killed, it
    /// goes with that.
    pub(super) fn new(scratch: &Path) -> Result<Self, SandboxError> {
        let failed = |error: io::Error| SandboxError::Setup(format!("make a socket: {error}"));
        let folder = tempfile::Builder::new()
            .prefix("door-")
            .tempdir_in(scratch)
            .map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(folder.path(), flags, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let root = OpenRoot {
            folder,
            descriptor,
            closed: Cancel::default(),
        };
        let listener = UnixListener::bind(root.short_socket()).map_err(failed)?;
        Ok(Self { listener, root })
    }
}

impl OpenRoot {
    /// The socket at which PID 1 listens, for programs that speak to it themselves.
    pub fn socket(&self) -> PathBuf {
        let path = self.folder.path().join(SOCKET);
        if path.as_os_str().len() < NAME_LIMIT {
            return path;
        }
        // Whoever may connect may look into this process, too.
        let (process, number) = (std::process::id(), self.descriptor.as_raw_fd());
        PathBuf::from(format!("/proc/{process}/fd/{number}/{SOCKET}"))
    }

    /// The socket by a name that is short for this process, however deep the store lies.
    fn short_socket(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{SOCKET}",
            self.descriptor.as_raw_fd()
        ))
    }

    /// The folder of the socket, which goes when the root is closed; for what must go with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Is set off when the root is gone: by a timeout, by the user, or since a step has failed.
    pub fn closed(&self) -> &Cancel {
        &self.closed
    }

    /// Starts a command with the streams given: standard input, output and error.
    pub fn start(
        &self,
        command: &RootCommand,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<Running, SandboxError> {
        let mut connection = self.connect()?;
        let order = Order::Run(command.clone());
        let sent = connection.send_with_all(&order, &streams);
        sent.map_err(|error| self.lost(&error))?;
        match self.receive(&mut connection)? {
            (Reply::Started, _) => Ok(Running { connection }),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Starts a command on a new terminal; gives the side of it that is outside.
    pub fn start_on_terminal(
        &self,
        command: &RootCommand,
        size: TerminalSize,
    ) -> Result<(Running, OwnedFd), SandboxError> {
        let mut connection = self.connect()?;
        let command = command.clone();
        let order = Order::RunOnTerminal { command, size };
        connection.send(&order).map_err(|error| self.lost(&error))?;
        match self.receive(&mut connection)? {
            (Reply::Started, Some(terminal)) => Ok((Running { connection }, terminal)),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Runs a command to its end without input; `output` gets what it writes as it comes. Gives its
    /// exit code, or none if it was killed since `timeout` had passed.
    pub fn run(
        &self,
        command: &RootCommand,
        timeout: Option<Duration>,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Option<i32>, SandboxError> {
        let failed = |error: io::Error| SandboxError::Work(format!("run a command: {error}"));
        let null = File::open("/dev/null").map_err(failed)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()));
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        let streams = [null.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()];
        let mut running = self.start(command, streams)?;
        drop((their_stdout, their_stderr));
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut pipes = [
            (OutputStream::Stdout, Some(File::from(stdout))),
            (OutputStream::Stderr, Some(File::from(stderr))),
        ];
        let mut code = None;
        let mut buffer = vec![0; CHUNK];
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if code.is_none() && left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            // What it has left running may hold the streams; what it wrote itself is there already.
            let left = if code.is_some() {
                Some(Duration::ZERO)
            } else {
                left
            };
            let mut events: Vec<PollFd<'_>> = Vec::with_capacity(3);
            events.push(PollFd::new(&running.connection, PollFlags::IN));
            for (_, pipe) in &pipes {
                if let Some(pipe) = pipe {
                    events.push(PollFd::new(pipe, PollFlags::IN));
                }
            }
            let watched = if code.is_some() {
                &mut events[1..]
            } else {
                &mut events[..]
            };
            let limit = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(watched, limit.as_ref()) {
                Ok(0) if code.is_some() => return Ok(code),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(failed(error.into())),
            }
            let mut ready = events.iter().map(|event| !event.revents().is_empty());
            let has_ended = code.is_none() && ready.next().unwrap_or(false);
            let ready: Vec<bool> = if code.is_some() {
                ready.skip(1).collect()
            } else {
                ready.collect()
            };
            drop(events);
            let mut ready = ready.into_iter();
            for (stream, pipe) in &mut pipes {
                let is_ready = pipe.is_some() && ready.next().unwrap_or(false);
                if let (true, Some(file)) = (is_ready, pipe.as_mut()) {
                    match file.read(&mut buffer) {
                        Ok(0) => *pipe = None,
                        Ok(length) => output(*stream, buffer.get(..length).unwrap_or_default()),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(failed(error)),
                    }
                }
            }
            if has_ended {
                code = Some(running.code(self)?);
            }
            if code.is_some() && pipes.iter().all(|(_, pipe)| pipe.is_none()) {
                return Ok(code);
            }
        }
    }

    /// What there is at an absolute path; none if there is nothing. With `follow`, a link stands
    /// for what it leads to.
    pub fn look(&self, path: &str, follow: bool) -> Result<Option<Entry>, SandboxError> {
        let path = path.to_owned();
        match self.ask(&Order::Look { path, follow })? {
            (Reply::Seen(entry), _) => Ok(entry),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Opens a regular file at an absolute path for reading; none if there is none.
    pub fn read(&self, path: &str) -> Result<Option<File>, SandboxError> {
        let path = path.to_owned();
        match self.ask(&Order::Read { path })? {
            (Reply::Opened, Some(file)) => Ok(Some(file.into())),
            (Reply::Missing, _) => Ok(None),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Closes the root; `done` says whether the work on it has succeeded.
    pub(super) fn close(&self, done: bool) {
        // It may have gone already, and then needs no closing.
        let _ = self.ask(&Order::Close { done });
    }

    fn ask(&self, order: &Order) -> Result<(Reply, Option<OwnedFd>), SandboxError> {
        let mut connection = self.connect()?;
        connection.send(order).map_err(|error| self.lost(&error))?;
        self.receive(&mut connection)
    }

    fn connect(&self) -> Result<Connection, SandboxError> {
        let stream = UnixStream::connect(self.short_socket()).map_err(|error| self.lost(&error))?;
        Ok(Connection::of(stream))
    }

    fn receive(
        &self,
        connection: &mut Connection,
    ) -> Result<(Reply, Option<OwnedFd>), SandboxError> {
        match connection.receive_with() {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn lost(&self, error: &io::Error) -> SandboxError {
        if self.closed.is_cancelled() {
            return SandboxError::Cancelled;
        }
        SandboxError::Lost(error.to_string())
    }
}

/// A command that runs in an open root. Dropping it kills the command.
pub struct Running {
    connection: Connection,
}

impl Running {
    /// Waits until the command has ended, and gives its exit code.
    pub fn wait(mut self, root: &OpenRoot) -> Result<i32, SandboxError> {
        self.code(root)
    }

    fn code(&mut self, root: &OpenRoot) -> Result<i32, SandboxError> {
        match root.receive(&mut self.connection)? {
            (Reply::Ended { code }, _) => Ok(code),
            (other, _) => Err(unexpected(other)),
        }
    }
}

impl AsFd for Running {
    /// Becomes readable when the command has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

fn unexpected(reply: Reply) -> SandboxError {
    match reply {
        Reply::Failed(text) => SandboxError::Work(text),
        _ => SandboxError::UnexpectedAnswer,
    }
}
