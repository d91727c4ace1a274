//! Serving: PID 1's side of a session. It starts what is asked for, reaps, and tells how it ended.

use super::command::{self, Start, Streams};
use super::connection::Connection;
use super::inside;
use super::protocol::{FailureKind, Variable};
use super::session::{Entry, EntryKind, Order, Reply, TerminalSize};
use super::users;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

type Failure = (FailureKind, String);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The work is done.
    Done,
    /// Whoever worked there has given up.
    Abandoned,
}

/// One who has connected.
struct Visitor {
    connection: Connection,
    running: Option<RunningHere>,
}

/// A command that was started for a visitor.
struct RunningHere {
    pid: Pid,
    /// Readable when it has ended.
    process: OwnedFd,
    made: Vec<PathBuf>,
    code: Option<i32>,
}

/// Serves whoever connects, until one says that the root is not needed any more.
pub(super) fn serve(listener: OwnedFd, variables: &[Variable]) -> Result<End, Failure> {
    let failed = |error: io::Error| (FailureKind::Setup, format!("serve a session: {error}"));
    let listener = UnixListener::from(listener);
    listener.set_nonblocking(true).map_err(failed)?;
    let mut visitors: Vec<Visitor> = Vec::new();
    loop {
        let (is_called, ready) = wait(&listener, &visitors).map_err(failed)?;
        reap(&mut visitors);
        let mut staying = Vec::with_capacity(visitors.len() + 1);
        for (mut visitor, is_ready) in visitors.into_iter().zip(ready) {
            match visitor.attend(is_ready, variables) {
                Turn::Stays => staying.push(visitor),
                Turn::Leaves => {}
                Turn::Closes(end) => return Ok(end),
            }
        }
        visitors = staying;
        if is_called {
            match listener.accept() {
                Ok((stream, _)) => visitors.push(Visitor {
                    connection: Connection::of(stream),
                    running: None,
                }),
                // Whoever called has gone again, or there is no room for more at the moment.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

/// Waits until somebody connects, says something, or a command has ended.
fn wait(listener: &UnixListener, visitors: &[Visitor]) -> io::Result<(bool, Vec<bool>)> {
    let mut events = vec![PollFd::new(listener, PollFlags::IN)];
    for visitor in visitors {
        events.push(PollFd::new(&visitor.connection, PollFlags::IN));
    }
    for running in visitors.iter().filter_map(|it| it.running.as_ref()) {
        events.push(PollFd::new(&running.process, PollFlags::IN));
    }
    match poll(&mut events, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = events.iter().map(|event| !event.revents().is_empty());
    let is_called = ready.next().unwrap_or(false);
    Ok((is_called, ready.take(visitors.len()).collect()))
}

/// Takes note of all that has ended, orphans included.
fn reap(visitors: &mut [Visitor]) {
    while let Ok(Some((ended, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        let commands = visitors.iter_mut().filter_map(|it| it.running.as_mut());
        for running in commands.filter(|running| running.pid == ended) {
            let signal = || 128 + status.terminating_signal().unwrap_or(0);
            running.code = Some(status.exit_status().unwrap_or_else(signal));
        }
    }
}

/// What comes of looking after a visitor.
enum Turn {
    Stays,
    Leaves,
    Closes(End),
}

impl Visitor {
    fn attend(&mut self, is_ready: bool, variables: &[Variable]) -> Turn {
        if let Some(running) = &self.running
            && let Some(code) = running.code
        {
            command::leave(&running.made);
            // Whoever does not listen any more does not want to know.
            let _ = self.connection.send(&Reply::Ended { code });
            return Turn::Leaves;
        }
        if !is_ready {
            return Turn::Stays;
        }
        if let Some(running) = &self.running {
            // One order for each connection: all there is to hear is its end.
            let _ = rustix::process::kill_process_group(running.pid, Signal::KILL);
            return Turn::Leaves;
        }
        let Ok(Some((order, descriptors))) = self.connection.receive_with_all::<Order>() else {
            return Turn::Leaves;
        };
        match self.carry_out(order, descriptors, variables) {
            Ok(turn) => turn,
            Err(text) => self.reply(&Reply::Failed(text)),
        }
    }

    /// Answers with the last word.
    fn reply(&mut self, reply: &Reply) -> Turn {
        let _ = self.connection.send(reply);
        Turn::Leaves
    }

    fn carry_out(
        &mut self,
        order: Order,
        descriptors: Vec<OwnedFd>,
        variables: &[Variable],
    ) -> Result<Turn, String> {
        match order {
            Order::Run(order) => {
                let mut descriptors = descriptors.into_iter();
                let (Some(stdin), Some(stdout), Some(stderr)) =
                    (descriptors.next(), descriptors.next(), descriptors.next())
                else {
                    return Err("an order to run comes with three streams".to_owned());
                };
                let streams = Streams::Given {
                    stdin,
                    stdout,
                    stderr,
                };
                Ok(self.begin(command::start(&order, streams, variables), None))
            }
            Order::RunOnTerminal { command, size } => {
                let (outside, inside) = terminal(size, &command.user)
                    .map_err(|error| format!("make a terminal: {error}"))?;
                let started = command::start(&command, Streams::Terminal(inside), variables);
                Ok(self.begin(started, Some(&outside)))
            }
            Order::Look { path, follow } => {
                let seen = look(Path::new(&path), follow)
                    .map_err(|error| format!("look at {path}: {error}"))?;
                Ok(self.reply(&Reply::Seen(seen)))
            }
            Order::Read { path } => match open_file(Path::new(&path)) {
                Ok(Some(file)) => {
                    let _ = self.connection.send_with(&Reply::Opened, file.as_fd());
                    Ok(Turn::Leaves)
                }
                Ok(None) => Ok(self.reply(&Reply::Missing)),
                Err(error) => Err(format!("open {path}: {error}")),
            },
            Order::Close { done } => {
                let _ = self.connection.send(&Reply::Closing);
                Ok(Turn::Closes(if done { End::Done } else { End::Abandoned }))
            }
        }
    }

    /// Says that a command was started, and keeps it in sight.
    fn begin(&mut self, started: Result<Start, Failure>, outside: Option<&OwnedFd>) -> Turn {
        // All that follows belongs to whoever comes next.
        let _ = rustix::process::chdir("/");
        let (pid, made) = match started {
            Ok(Start::Running { pid, made }) => (pid, made),
            Ok(Start::Refused { code }) => {
                let _ = match outside {
                    Some(outside) => self.connection.send_with(&Reply::Started, outside.as_fd()),
                    None => self.connection.send(&Reply::Started),
                };
                return self.reply(&Reply::Ended { code });
            }
            Err((_, text)) => return self.reply(&Reply::Failed(text)),
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(error) => {
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                return self.reply(&Reply::Failed(format!("watch a command: {error}")));
            }
        };
        self.running = Some(RunningHere {
            pid,
            process,
            made,
            code: None,
        });
        let _ = match outside {
            Some(outside) => self.connection.send_with(&Reply::Started, outside.as_fd()),
            None => self.connection.send(&Reply::Started),
        };
        Turn::Stays
    }
}

/// Makes a terminal of the root's own; gives both sides, the outer one first.
fn terminal(size: TerminalSize, user: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outside = openpt(flags)?;
    unlockpt(&outside)?;
    let inside = ioctl_tiocgptpeer(&outside, flags)?;
    tcsetwinsize(
        &outside,
        Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    if let Ok(user) = users::resolve(user)
        && !user.is_root()
    {
        let owner = rustix::fs::Uid::from_raw(user.ids.uid);
        // Where there is no other id it is root's, who is the same.
        let _ = rustix::fs::fchown(&inside, Some(owner), None);
    }
    Ok((outside, inside))
}

/// Looks at one member of the root.
fn look(path: &Path, follow: bool) -> io::Result<Option<Entry>> {
    let flags = match follow {
        true => OFlags::PATH,
        false => OFlags::PATH | OFlags::NOFOLLOW,
    };
    let Some(file) = found(inside::open(path, flags))? else {
        return Ok(None);
    };
    let stat = fstat(&file)?;
    let (kind, target) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (EntryKind::File, None),
        FileType::Directory => (EntryKind::Folder, None),
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&file, "", Vec::new())?;
            let target = target.to_string_lossy().into_owned();
            (EntryKind::Link, Some(target))
        }
        _ => (EntryKind::Other, None),
    };
    Ok(Some(Entry {
        kind,
        mode: stat.st_mode & Mode::all().bits() & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        target,
    }))
}

/// Opens a regular file.
fn open_file(path: &Path) -> io::Result<Option<OwnedFd>> {
    let Some(file) = found(inside::open(path, OFlags::RDONLY | OFlags::NONBLOCK))? else {
        return Ok(None);
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(Some(file))
}

/// That there is nothing at a path is no error.
fn found(opened: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Ok(None),
            _ => Err(error),
        },
    }
}
