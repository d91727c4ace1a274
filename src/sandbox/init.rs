//! The init of a step: PID 1 of its namespaces. It builds the root, enters it, gives up what the
//! step must not have, runs the actions, and reaps. Its end is the end of all processes inside.

use super::connection::Connection;
use super::protocol::{Action, FailureKind, Network, PlacedFile};
use super::root::Stub;
use super::temporary::Temporary;
use super::transfer::{Download, Upload};
use super::{chown, harden, inside, mounts, sys, users};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Signal, WaitOptions};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Used where neither the image nor the template sets one, as Docker does.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What PID 1 is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InitSpec {
    pub(super) job: Job,
    pub(super) lowers: Vec<PathBuf>,
    pub(super) scratch: PathBuf,
    pub(super) network: Network,
    pub(super) user_namespace: bool,
    pub(super) many_ids: bool,
    /// Mount points that the supervisor has made in the upper.
    pub(super) stubs: Vec<Stub>,
}

/// The two kinds of work.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// The actions of a step, whose output is captured.
    Actions(Vec<Action>),
    /// One command with the caller's streams.
    Interactive {
        argv: Vec<String>,
        env: Vec<(String, String)>,
        user: String,
        workdir: String,
    },
}

/// What PID 1 says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum InitReport {
    /// All actions succeeded; all mount points that were made for the step.
    Done { stubs: Vec<Stub> },
    /// The descriptor that comes with it hands calls over.
    Listening,
    /// A command ended with a code that is not accepted.
    Exited { code: i32, action: usize },
    /// The sandbox could not be set up, or an action could not be carried out.
    Failed { kind: FailureKind, text: String },
}

type Failure = (FailureKind, String);

/// Serves the supervisor, and gives the exit code of PID 1.
pub(super) fn main() -> i32 {
    sys::reset_signals();
    let Ok(mut connection) = Connection::inherited() else {
        return 125;
    };
    let Ok(Some((spec, stdin))) = connection.receive_with::<InitSpec>() else {
        return 125;
    };
    let report = match work(&mut connection, spec, stdin) {
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
    stdin: Option<OwnedFd>,
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
    if stdin.is_none() {
        // Without a controlling terminal there is nothing to read from or to push input into.
        rustix::process::setsid().map_err(|error| setup("start a session")(error.into()))?;
    }
    rustix::thread::set_name(c"init").map_err(|error| setup("rename")(error.into()))?;

    // Host files are opened before the root changes.
    let mut steps = Vec::new();
    let is_interactive = matches!(spec.job, Job::Interactive { .. });
    match spec.job {
        Job::Actions(actions) => {
            for action in actions {
                steps.push(Opened::new(action).map_err(|text| (FailureKind::Work, text))?);
            }
        }
        Job::Interactive {
            argv,
            env,
            user,
            workdir,
        } => {
            let run = Run {
                files: Vec::new(),
                argv,
                env,
                user,
                workdir,
                accept: vec![0],
            };
            steps.push(Opened::Run(run));
        }
    }
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => File::open("/dev/null")
            .map_err(setup("open /dev/null"))?
            .into(),
    };

    sys::unshare(UnshareFlags::NEWNS).map_err(setup("make a mount namespace"))?;
    let mut stubs = spec.stubs;
    let made = mounts::enter_root(&spec.lowers, &spec.scratch, spec.network)
        .map_err(|text| (FailureKind::Setup, text))?;
    stubs.extend(made);
    // Every /etc/hosts knows it, and it says nothing of the host.
    let _ = rustix::system::sethostname(b"localhost");
    let _ = rustix::system::setdomainname(b"(none)");
    if spec.network == Network::None {
        mounts::loopback_up().map_err(setup("bring the loopback up"))?;
    }
    let listener = harden::harden(spec.user_namespace, spec.many_ids)
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
                let code = run.execute(stdin, is_interactive)?;
                if !run.accept.contains(&code) {
                    return Ok(InitReport::Exited {
                        code,
                        action: index,
                    });
                }
            }
            Opened::Upload(upload) => {
                upload
                    .carry_out()
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

/// An action whose host files are open.
enum Opened {
    Run(Run),
    Upload(Upload),
    Download(Download),
    /// A path to note; there is nothing to open.
    Temporary(String),
}

/// A command to run.
struct Run {
    files: Vec<(PlacedFile, File)>,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    user: String,
    workdir: String,
    accept: Vec<i32>,
}

impl Opened {
    fn new(action: Action) -> Result<Self, String> {
        Ok(match action {
            Action::Run {
                files,
                argv,
                env,
                user,
                workdir,
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
                    argv,
                    env,
                    user,
                    workdir,
                    accept,
                })
            }
            Action::Upload {
                source,
                contents_only,
                destination,
            } => Self::Upload(Upload::open(&source, contents_only, destination)?),
            Action::Download {
                source,
                destination,
            } => Self::Download(Download::open(source, &destination)?),
            Action::Temporary { path } => Self::Temporary(path),
        })
    }
}

impl Run {
    /// Puts the files in place, runs the command, and takes the files away again.
    fn execute(&self, stdin: OwnedFd, interactive: bool) -> Result<i32, Failure> {
        let mut placed = Vec::new();
        for (file, source) in &self.files {
            match place(file, source) {
                Ok(one) => placed.push(one),
                Err(error) => {
                    return Err((FailureKind::Work, format!("write {}: {error}", file.path)));
                }
            }
        }
        // As Docker: an image may name a working directory that nothing has made yet.
        let workdir = Path::new("/").join(&self.workdir);
        let workdir = inside::make_folder(&workdir)
            .and_then(|folder| {
                rustix::process::fchdir(&folder.descriptor)?;
                Ok(folder.made)
            })
            .map_err(|error| {
                let name = &self.workdir;
                let text = format!("enter the working directory {name} of the image: {error}");
                (FailureKind::Work, text)
            })?;
        let code = self.command(stdin, interactive)?;
        for folder in workdir.iter().rev() {
            // It stays if the command has put something into it.
            let _ = inside::remove_empty_folder(folder);
        }
        for one in placed.into_iter().rev() {
            one.remove();
        }
        Ok(code)
    }

    fn command(&self, stdin: OwnedFd, interactive: bool) -> Result<i32, Failure> {
        let user = users::resolve(&self.user).map_err(|text| (FailureKind::Work, text))?;
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err((FailureKind::Work, "there is no command to run".to_owned()));
        };
        // The command begins where PID 1 is.
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(stdin);
        command.env("PATH", DEFAULT_PATH).env("HOME", &user.home);
        if interactive {
            command.env("TERM", "xterm");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if !user.is_root() {
            sys::run_as(&mut command, user.ids);
        }
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let Some(code) = code_of_start(&error) else {
                    return Err((FailureKind::Work, format!("start {program}: {error}")));
                };
                eprint_line(&format!("{program}: {error}"));
                return Ok(code);
            }
        };
        let pid = i32::try_from(child.id()).unwrap_or(0);
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((ended, status))) if ended.as_raw_nonzero().get() == pid => {
                    return Ok(status
                        .exit_status()
                        .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
                }
                // An orphan that PID 1 has inherited.
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err((FailureKind::Setup, format!("wait for {program}: {error}")));
                }
            }
        }
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

/// Writes a line where the step's own error output goes.
fn eprint_line(line: &str) {
    // If nobody reads it, the exit code still tells.
    let _ = io::Write::write_all(&mut io::stderr(), format!("{line}\n").as_bytes());
}

/// A file that was put into the root, and the folders that had to be made for it.
struct Placed {
    folder: OwnedFd,
    name: OsString,
    made: Vec<PathBuf>,
    keep: bool,
}

fn place(file: &PlacedFile, source: &File) -> io::Result<Placed> {
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
