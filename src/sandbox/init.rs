//! The init of a step: PID 1 of its namespaces. It builds the root, enters it, gives up what the
//! step must not have, runs the actions, and reaps. Its end is the end of all processes inside.

use super::command::{self, Start, Streams};
use super::connection::Connection;
use super::descendants;
use super::error::Failure;
use super::means::Means;
use super::mount_point::Stub;
use super::protocol::{
    Action, FailureKind, Limits, Network, PlacedFile, RootCommand, RootSpec, Variable,
};
use super::serve::{self, End};
use super::temporary::Temporary;
use super::transfer::{Download, Upload};
use super::users::User;
use super::{chown, chroot, harden, inside, mounts, sys, users};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What PID 1 is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InitSpec {
    pub(super) actions: Vec<Action>,
    pub(super) root: RootSpec,
    pub(super) means: Means,
    pub(super) user_namespace: bool,
    pub(super) many_ids: bool,
    /// Those limits that it sets itself.
    pub(super) limits: Limits,
    /// Whether it is in control groups of its own.
    pub(super) has_control_group: bool,
    /// Mount points that the supervisor has made in the upper.
    pub(super) stubs: Vec<Stub>,
}

/// What PID 1 says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum InitReport {
    /// All actions succeeded; all mount points that were made for the step.
    Done { stubs: Vec<Stub> },
    /// It has a network namespace, and waits for what connects it; the answer is a resolver.
    Isolated,
    /// The descriptor that comes with it hands calls over.
    Listening,
    /// The descriptor that comes with it listens for those who want to use the keys of an agent.
    Agent { socket: PathBuf },
    /// A command ended with a code that is not accepted.
    Exited { code: i32, action: usize },
    /// This host's side has left the open root without success.
    Abandoned,
    /// The sandbox could not be set up, or an action could not be carried out.
    Failed { kind: FailureKind, text: String },
}

/// Serves the supervisor, and gives the exit code of PID 1.
pub(super) fn main() -> i32 {
    sys::reset_signals();
    let Ok(mut connection) = Connection::inherited() else {
        return 125;
    };
    let Ok(Some((spec, listener))) = connection.receive_with::<InitSpec>() else {
        return 125;
    };
    let report = match work(&mut connection, spec, listener) {
        Ok(report) => report,
        Err((kind, text)) => InitReport::Failed { kind, text },
    };
    match connection.send(&report) {
        Ok(()) => 0,
        Err(_) => 125,
    }
}

fn work(
    connection: &mut Connection,
    spec: InitSpec,
    mut door: Option<OwnedFd>,
) -> Result<InitReport, Failure> {
    let setup = |what: &'static str| {
        move |error: io::Error| (FailureKind::Setup, format!("{what}: {error}"))
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| setup("watch the supervisor")(error.into()))?;
    // The supervisor may have ended before that; it sends nothing more, so that all there is to
    // hear from it is its end.
    if connection.is_readable() {
        return Err((FailureKind::Cancelled, "the supervisor has gone".to_owned()));
    }
    // Without a controlling terminal there is nothing to read from or to push input into.
    rustix::process::setsid().map_err(|error| setup("start a session")(error.into()))?;
    rustix::thread::set_name(c"init").map_err(|error| setup("rename")(error.into()))?;

    // Host files are opened before the root changes.
    let mut steps = Vec::new();
    for action in spec.actions {
        steps.push(Opened::new(action).map_err(|text| (FailureKind::Work, text))?);
    }
    let stdin: OwnedFd = File::open("/dev/null")
        .map_err(setup("open /dev/null"))?
        .into();

    if !spec.means.has_process_namespace() {
        descendants::adopt_orphans().map_err(|error| setup("adopt orphans")(error.into()))?;
    }
    let mut stubs = spec.stubs;
    let mut namespaces = UnshareFlags::NEWNS;
    if spec.has_control_group {
        // So that its own groups are the roots of what it sees.
        namespaces |= UnshareFlags::NEWCGROUP;
    }
    if spec.root.network == Network::User {
        namespaces |= UnshareFlags::NEWNET;
    }
    if spec.means.has_namespaces() {
        sys::unshare(namespaces).map_err(setup("make a mount namespace"))?;
        let resolver = match spec.root.network {
            Network::User => Some(wait_for_network(connection)?),
            _ => None,
        };
        let resolver = resolver.as_deref();
        let entered = mounts::enter_root(&spec.root, spec.means, spec.many_ids, resolver)?;
        stubs.extend(entered.stubs);
        for agent in entered.agents {
            let report = InitReport::Agent {
                socket: agent.socket,
            };
            connection
                .send_with(&report, agent.listener.as_fd())
                .map_err(setup("hand over an ssh agent"))?;
        }
        // Every /etc/hosts knows it, and it says nothing of the host.
        let _ = rustix::system::sethostname(b"localhost");
        let _ = rustix::system::setdomainname(b"(none)");
    } else {
        chroot::enter(&spec.root.scratch).map_err(|text| (FailureKind::Setup, text))?;
    }
    if spec.root.network != Network::Host {
        match mounts::loopback_up() {
            // The root of a container without CAP_NET_ADMIN: the network is as empty as it can be.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done.map_err(setup("bring the loopback up"))?,
        }
    }
    let listener = harden::harden(
        spec.user_namespace,
        spec.many_ids,
        spec.means,
        &spec.limits,
        spec.root.network,
    )
    .map_err(|text| (FailureKind::Setup, text))?;
    if let Some(listener) = listener {
        chown::hand_over(connection, listener).map_err(setup("hand calls over"))?;
    }

    let mut temporary = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        match step {
            Opened::Temporary(path) => {
                let noted = Temporary::note(&path).map_err(|text| (FailureKind::Work, text))?;
                temporary.extend(noted);
            }
            Opened::Run(run) => {
                let stdin = stdin.try_clone().map_err(setup("share standard input"))?;
                let code = run.execute(stdin, &spec.root.variables)?;
                if !run.accept.contains(&code) {
                    return Ok(InitReport::Exited {
                        code,
                        action: index,
                    });
                }
            }
            Opened::Open => {
                let Some(door) = door.take() else {
                    let text = "nobody can enter the root: it has no listener".to_owned();
                    return Err((FailureKind::Setup, text));
                };
                if serve::serve(door, &spec.root.variables)? == End::Abandoned {
                    return Ok(InitReport::Abandoned);
                }
            }
            Opened::Upload(upload) => {
                upload
                    .carry_out()
                    .map_err(|text| (FailureKind::Work, text))?;
            }
            Opened::Copy {
                source,
                destination,
                owner,
                mode,
            } => {
                Upload::open_inside(&source, destination)
                    .and_then(|copy| copy.owned_by(owner).with_mode(mode).carry_out())
                    .map_err(|text| (FailureKind::Work, text))?;
            }
            Opened::Download(download) => {
                download
                    .carry_out()
                    .map_err(|text| (FailureKind::Work, text))?;
            }
        }
    }
    // After a failure they stay, for whoever looks at what is left.
    for one in temporary.into_iter().rev() {
        one.remove().map_err(|text| (FailureKind::Work, text))?;
    }
    Ok(InitReport::Done { stubs })
}

/// Says that this process has a network namespace, and waits until it is connected; gives what
/// answers for the host's resolver.
fn wait_for_network(connection: &mut Connection) -> Result<String, Failure> {
    let failed = |error: io::Error| (FailureKind::Setup, format!("wait for a network: {error}"));
    connection.send(&InitReport::Isolated).map_err(failed)?;
    match connection.receive::<String>().map_err(failed)? {
        Some(resolver) => Ok(resolver),
        None => Err((FailureKind::Cancelled, "the supervisor has gone".to_owned())),
    }
}

/// An action whose host files are open.
enum Opened {
    Run(Run),
    Open,
    Upload(Upload),
    /// Opened once the root is entered.
    Copy {
        source: String,
        destination: String,
        owner: String,
        mode: Option<u32>,
    },
    Download(Download),
    /// A path to note; there is nothing to open.
    Temporary(String),
}

/// A command to run.
struct Run {
    files: Vec<(PlacedFile, File)>,
    command: RootCommand,
    accept: Vec<i32>,
}

impl Opened {
    fn new(action: Action) -> Result<Self, String> {
        Ok(match action {
            Action::Run {
                files,
                command,
                accept,
            } => {
                let mut opened = Vec::with_capacity(files.len());
                for file in files {
                    let source = File::open(&file.source)
                        .map_err(|error| format!("open {}: {error}", file.source.display()))?;
                    opened.push((file, source));
                }
                Self::Run(Run {
                    files: opened,
                    command,
                    accept,
                })
            }
            Action::Open => Self::Open,
            Action::Upload {
                source,
                contents_only,
                destination,
                owner,
                mode,
            } => {
                let upload = Upload::open(&source, contents_only, destination)?;
                Self::Upload(upload.owned_by(owner).with_mode(mode))
            }
            Action::Download {
                source,
                destination,
            } => Self::Download(Download::open(source, &destination)?),
            Action::Copy {
                source,
                destination,
                owner,
                mode,
            } => Self::Copy {
                source,
                destination,
                owner,
                mode,
            },
            Action::Temporary { path } => Self::Temporary(path),
        })
    }
}

impl Run {
    /// Puts the files in place, runs the command, and takes the files away again.
    fn execute(&self, stdin: OwnedFd, variables: &[Variable]) -> Result<i32, Failure> {
        let user = users::resolve(&self.command.user).map_err(|text| (FailureKind::Work, text))?;
        let mut placed = Vec::new();
        for (file, source) in &self.files {
            match place(file, source, &user) {
                Ok(one) => placed.push(one),
                Err(error) => {
                    return Err((FailureKind::Work, format!("write {}: {error}", file.path)));
                }
            }
        }
        let code = match command::start(&self.command, Streams::Captured { stdin }, variables)? {
            Start::Refused { code } => code,
            Start::Running { pid, made } => {
                let code = wait_for(pid)?;
                command::leave(&made);
                code
            }
        };
        for one in placed.into_iter().rev() {
            one.remove();
        }
        Ok(code)
    }
}

/// Waits for one command's end, and meanwhile reaps the orphans that PID 1 inherits.
fn wait_for(pid: Pid) -> Result<i32, Failure> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => {
                return Ok(status
                    .exit_status()
                    .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err((FailureKind::Setup, format!("wait for a command: {error}")));
            }
        }
    }
}

/// A file that was put into the root, and the folders that had to be made for it.
struct Placed {
    folder: OwnedFd,
    name: OsString,
    made: Vec<PathBuf>,
    keep: bool,
}

/// Puts a file there for a command that `user` runs, who may read it and change its mode.
fn place(file: &PlacedFile, source: &File, user: &User) -> io::Result<Placed> {
    let path = Path::new("/").join(&file.path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    let folder = inside::make_folder(parent)?;
    // What lies there is replaced, never written through.
    inside::remove_file(folder.descriptor.as_fd(), name)?;
    let mode = Mode::from_raw_mode(file.mode & 0o7777);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut target = File::from(openat(&folder.descriptor, name, flags, mode)?);
    io::copy(&mut &*source, &mut target)?;
    inside::give(target.as_fd(), user)?;
    rustix::fs::fchmod(&target, mode)?;
    Ok(Placed {
        name: name.to_owned(),
        folder: folder.descriptor,
        made: folder.made,
        keep: file.keep,
    })
}

impl Placed {
    fn remove(self) {
        if self.keep {
            return;
        }
        // The step may have removed or moved it, and may have put something beside it.
        let _ = inside::remove_file(self.folder.as_fd(), &self.name);
        for folder in self.made.iter().rev() {
            let _ = inside::remove_empty_folder(folder);
        }
    }
}
