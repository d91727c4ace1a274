//! The sandbox: runs the actions of one step in a root made of trees, and nothing else of the host.
//!
//! A *helper* is this very binary, started again under another name (`dispatch` in `main` sees
//! it before anything else runs). Why a process of its own: namespaces are entered by a process
//! with one thread, and the files of a rootless store belong to subordinate ids, so that unpacking,
//! comparing, packing and deleting need the same user namespace as running.
//!
//! ```text
//! hardtack ── request, id maps ──► supervisor ── spec ──► init (PID 1 of the step)
//!    ▲  ▲                            │  user namespace     │  mounts, pivot_root, hardening
//!    │  └──── stdout, stderr ────────┼─────────────────────┤  runs the actions, reaps
//!    └─────── report ────────────────┘ settles and hashes  └─ its exit ends all that is left
//! ```
//!
//! The supervisor kills PID 1, and with it everything inside, on timeout, on cancellation and when
//! its connection to hardtack ends, whatever the reason. Mounts exist only in PID 1's own mount
//! namespace. So nothing is left running or mounted even after SIGKILL.

mod agent;
pub mod attach;
mod cancel;
mod chown;
mod chroot;
mod command;
mod connection;
mod control_group;
mod descendants;
pub mod emulation;
mod entrance;
mod error;
mod harden;
mod helper;
pub mod host_command;
mod host_process;
mod identity;
mod init;
mod inside;
mod landlock;
mod lazy;
mod lines;
mod means;
mod mount_point;
mod mounts;
mod probe;
mod proc;
mod protocol;
mod read_ahead;
mod root;
mod seccomp;
mod serve;
mod session;
mod supervisor;
mod sys;
mod tasks;
mod temporary;
mod transfer;
pub mod user_network;
mod users;
mod writable;

pub use cancel::Cancel;
pub use error::SandboxError;
pub use identity::Isolation;
pub use landlock::keeps_apart;
pub use lazy::{LazySandbox, Notify};
pub use lines::LineSplitter;
pub use means::{Confinement, Means, Writable};
pub use probe::{Attempt, survey};
pub use protocol::{
    Action, Extracted, Limits, Mount, MountKind, Network, Owner, PackedLayer, PlacedFile,
    RootCommand, RootSpec, SearchedCache, Secret, SecretBytes, StepOutcome, StepReport, StepSpec,
    Task, TaskReport, Variable,
};
pub use session::{Entry, EntryKind, OpenRoot, Running, TerminalSize};

use identity::IdMap;
use protocol::{Answer, Request};
use session::Door;
use std::path::{Path, PathBuf};
use std::thread;

/// The name under which the helper is started.
const HELPER_NAME: &str = "hardtack-sandbox";
/// The name of PID 1 of a step until it renames itself.
const INIT_NAME: &str = "hardtack-init";

/// Which of its two streams a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Becomes the helper, and never returns, if this process was started as one. To be called first
/// in `main`, before any thread exists.
pub fn dispatch() {
    let Some(name) = std::env::args_os().next() else {
        return;
    };
    if name == HELPER_NAME {
        std::process::exit(supervisor::main());
    }
    if name == INIT_NAME {
        std::process::exit(init::main());
    }
}

/// How the sandbox is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The executable that becomes the helper: this process' own, but for tests.
    pub helper: PathBuf,
    /// The least that steps may be kept apart: where the host does not allow it, nothing runs.
    pub least: Confinement,
    /// An empty folder on the file system where steps will write. Without one, only work on trees
    /// is tried out, and steps are run with the best means or fail.
    pub scratch: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            helper: PathBuf::from("/proc/self/exe"),
            least: Confinement::default(),
            scratch: None,
        }
    }
}

/// What this host allows, found out once.
#[derive(Clone, Debug)]
pub struct Sandbox {
    settings: Settings,
    mode: Mode,
}

/// Whose ids a helper works with, and what it makes steps with.
#[derive(Clone, Debug)]
struct Mode {
    map: IdMap,
    means: Means,
}

impl Sandbox {
    /// Tries out which isolation this host allows: real root, subordinate ids, or a single id; and
    /// what a step can be made with.
    pub fn probe(settings: &Settings) -> Result<Self, SandboxError> {
        let mode = probe::mode(settings)?;
        Ok(Self {
            settings: settings.clone(),
            mode,
        })
    }

    /// What steps are made with.
    pub fn means(&self) -> Means {
        self.mode.means
    }

    /// How ids inside relate to ids of the host.
    pub fn isolation(&self) -> Isolation {
        self.mode.map.isolation()
    }

    /// Names the folder of the store that holds this sandbox' trees: the same file belongs to
    /// another host id under another mapping.
    pub fn tree_namespace(&self) -> String {
        self.mode.map.tree_namespace()
    }

    /// Runs a step. `output` gets what its commands write, as it comes.
    pub fn run_step(
        &self,
        spec: &StepSpec,
        output: &mut dyn FnMut(OutputStream, &[u8]),
        cancel: &Cancel,
    ) -> Result<StepReport, SandboxError> {
        let request = Request::Step(spec.clone());
        match helper::converse(&self.settings, &self.mode, &request, output, cancel)? {
            Answer::Step(report) => Ok(report),
            other => Err(other.unexpected()),
        }
    }

    /// Runs a step whose root is open to `visit` on this host while its action [`Action::Open`]
    /// lasts. `visit` says whether its work has succeeded, beside what else it gives.
    ///
    /// The root may close before `visit` ends, of which [`OpenRoot::closed`] tells; its work is then
    /// in vain.
    pub fn run_open_step<T: Send>(
        &self,
        spec: &StepSpec,
        visit: impl FnOnce(&OpenRoot) -> (bool, T) + Send,
        output: &mut dyn FnMut(OutputStream, &[u8]),
        cancel: &Cancel,
    ) -> Result<(StepReport, T), SandboxError> {
        let request = Request::Step(spec.clone());
        match self.converse_open(&request, &spec.root.scratch, visit, output, cancel)? {
            (Answer::Step(report), given) => Ok((report, given)),
            (other, _) => Err(other.unexpected()),
        }
    }

    /// Keeps a root open to `visit` on this host, on an upper that is thrown away.
    pub fn open<T: Send>(
        &self,
        root: &RootSpec,
        visit: impl FnOnce(&OpenRoot) -> T + Send,
        cancel: &Cancel,
    ) -> Result<T, SandboxError> {
        let request = Request::Open(root.clone());
        let visit = |root: &OpenRoot| (true, visit(root));
        match self.converse_open(&request, &root.scratch, visit, &mut |_, _| {}, cancel)? {
            (Answer::Closed, given) => Ok(given),
            (other, _) => Err(other.unexpected()),
        }
    }

    fn converse_open<T: Send>(
        &self,
        request: &Request,
        scratch: &Path,
        visit: impl FnOnce(&OpenRoot) -> (bool, T) + Send,
        output: &mut dyn FnMut(OutputStream, &[u8]),
        cancel: &Cancel,
    ) -> Result<(Answer, T), SandboxError> {
        let Door { listener, root } = Door::new(scratch)?;
        let root = &root;
        thread::scope(|scope| {
            let visitor = scope.spawn(move || {
                let (done, given) = visit(root);
                root.close(done);
                given
            });
            let answer = helper::converse_with_door(
                &self.settings,
                &self.mode,
                request,
                listener.into(),
                output,
                cancel,
            );
            root.closed().cancel();
            let given = visitor
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((answer?, given))
        })
    }

    /// Does work on trees, as the owner of their files.
    pub fn task(&self, task: &Task, cancel: &Cancel) -> Result<TaskReport, SandboxError> {
        // Real root owns everything here as well, and these end soon by themselves.
        if self.isolation() == Isolation::Root && !matches!(task, Task::Extract { .. }) {
            return tasks::run(task.clone()).map_err(SandboxError::Work);
        }
        let request = Request::Task(task.clone());
        match helper::ask(&self.settings, &self.mode, &request, cancel)? {
            Answer::Task(report) => Ok(report),
            other => Err(other.unexpected()),
        }
    }
}
