//! What hardtack and its helper say to each other, as JSON over a socket.

mod mount;

use super::SandboxError;
use super::means::Means;
use crate::digest::{DiffId, Digest};
use crate::store::LayerDescriptor;
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

pub use mount::{Limits, Mount, MountKind, Owner, SearchedCache, Secret, SecretBytes, Variable};

/// What the commands of a step can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The host's network.
    #[default]
    Host,
    /// Nothing but an own loopback.
    None,
    /// What the host reaches, but nothing on the host itself.
    User,
}

impl Network {
    /// The name that templates and keys use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::None => "none",
            Self::User => "user",
        }
    }
}

/// A host file that is put into the root while a command runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedFile {
    /// On the host.
    pub source: PathBuf,
    /// Absolute, in the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Stays in the root after the command.
    pub keep: bool,
}

/// A command inside a root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCommand {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The whole environment, but for PATH and HOME, which have defaults.
    pub env: Vec<(String, String)>,
    /// `USER[:GROUP]`, names or numbers; empty for root.
    pub user: String,
    /// Empty for `/`.
    pub workdir: String,
}

/// One thing that a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Runs a command.
    Run {
        /// Put there before, and removed after it.
        files: Vec<PlacedFile>,
        /// What it is.
        command: RootCommand,
        /// Exit codes that are no failure.
        accept: Vec<i32>,
    },
    /// Lets this host's side enter the root, until it says that it has done its work.
    Open,
    /// Copies a host file or folder into the root.
    Upload {
        /// On the host.
        source: PathBuf,
        /// A folder stands for what it contains.
        contents_only: bool,
        /// In the root; a trailing `/` says that it is a folder.
        destination: String,
        /// To whom all of it belongs, as `USER[:GROUP]`; empty for root.
        owner: String,
        /// Permission bits of all of it; none for those that it has on the host.
        mode: Option<u32>,
    },
    /// Copies a file or folder of the root to another place in it.
    Copy {
        /// In the root; of a folder, a trailing `/` stands for what it contains.
        source: String,
        /// In the root; a trailing `/` says that it is a folder.
        destination: String,
        /// To whom all of it belongs, as `USER[:GROUP]`; empty for root.
        owner: String,
        /// Permission bits of all of it; none for those that it has.
        mode: Option<u32>,
    },
    /// Copies a file or folder of the root to the host.
    Download {
        /// In the root; a trailing `/` stands for what it contains.
        source: String,
        /// On the host.
        destination: PathBuf,
    },
    /// Has removed, after the last action, what comes to be at a path where nothing lies yet, with
    /// the folders above that had to be made for it.
    Temporary {
        /// In the root; `~USER[:GROUP]/…` lies in the user's home folder.
        path: String,
    },
}

impl Action {
    /// Whether it runs something that is in the root, and so for its processor.
    pub fn runs_program(&self) -> bool {
        matches!(self, Self::Run { .. } | Self::Open)
    }
}

/// The root that something runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSpec {
    /// The trees of the layers below, lowest first.
    pub lowers: Vec<PathBuf>,
    /// An empty folder on the store's file system, which takes the overlay's upper.
    pub scratch: PathBuf,
    /// What commands can reach.
    pub network: Network,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// What its commands may use.
    pub limits: Limits,
    /// What every command gets beside its own environment.
    pub variables: Vec<Variable>,
    /// What must not be in the layer, nor in what is kept of a step that failed.
    pub secrets: Vec<Secret>,
    /// Where the secrets should not be either: those that are left there are told of.
    pub caches: Vec<SearchedCache>,
}

/// One run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Where. After a success its scratch folder holds `fs`, the tree of the new layer; after a
    /// failure nothing, or what `keep_failed` says.
    pub root: RootSpec,
    /// What to do, in order; [`Action::Open`] at most once.
    pub actions: Vec<Action>,
    /// The longest that all actions may take.
    pub timeout: Option<Duration>,
    /// Latest time of any entry of the layer, in seconds since 1970.
    pub epoch: i64,
    /// Whether a failure leaves the upper as the commands left it, in `fs` of the scratch folder,
    /// to be the uppermost layer of another step.
    pub keep_failed: bool,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// All actions succeeded.
    Done,
    /// A command ended with a code that is not accepted.
    Failed {
        /// The code: 126 and 127 if it cannot be executed or found, 128 and more for signals.
        code: i32,
        /// What would have been accepted.
        allowed: Vec<i32>,
    },
    /// All actions succeeded, but the kernel has killed a process at the limit on memory, so that
    /// what is there may be wrong.
    KilledAtLimit,
    /// This host's side has left the open root without success.
    Abandoned,
    /// It took too long, and all of it was killed.
    TimedOut,
    /// The run was cancelled, and all of it was killed.
    Cancelled,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// How it ended.
    pub outcome: StepOutcome,
    /// The layer's tar; none if nothing changed, or after a failure.
    pub diff_id: Option<DiffId>,
    /// The size of that tar in bytes.
    pub tar_size: u64,
    /// What the host does not give of what was asked, where the step ran all the same.
    pub notes: Vec<String>,
    /// Which limits the step has reached, in words.
    pub reached: Vec<String>,
}

/// Work on trees that runs nothing of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Unpacks an archive into an existing empty folder.
    Extract {
        /// A tar, compressed or not.
        archive: PathBuf,
        /// What the uncompressed tar must digest to.
        expected: Option<DiffId>,
        /// The folder.
        into: PathBuf,
        /// The trees below, lowest first.
        lowers: Vec<PathBuf>,
        /// Names that begin with `.wh.` delete, as in a layer.
        whiteouts: bool,
        /// The time of folders that the archive only implies, in seconds since 1970.
        epoch: i64,
    },
    /// Gives the root folder of a tree the metadata of the root of another.
    InheritRoot {
        /// The tree.
        tree: PathBuf,
        /// The tree below it.
        below: PathBuf,
    },
    /// Copies a host folder into an existing empty folder, as a root file system.
    ImportFolder {
        /// On the host.
        source: PathBuf,
        /// The folder.
        into: PathBuf,
        /// The time of all entries, in seconds since 1970.
        epoch: i64,
    },
    /// Makes a root file system equal to what unpacking its own layer would give.
    Settle {
        /// The tree.
        tree: PathBuf,
        /// Latest time of any entry, in seconds since 1970.
        epoch: i64,
    },
    /// Writes a tree as a compressed layer.
    Pack {
        /// The tree.
        tree: PathBuf,
        /// Latest time of any entry, in seconds since 1970.
        epoch: i64,
        /// The file to write.
        blob: PathBuf,
        /// Threads for compression.
        threads: usize,
    },
    /// Removes files and folders, whoever owns what is in them.
    Remove {
        /// Absolute paths.
        paths: Vec<PathBuf>,
    },
    /// Writes what trees show as one into a tar.
    Archive {
        /// The trees, lowest first.
        lowers: Vec<PathBuf>,
        /// Latest time of any entry, in seconds since 1970.
        epoch: i64,
        /// An existing file, whose content is replaced.
        archive: PathBuf,
    },
    /// Counts how much of the disk folders take, whoever owns what is in them.
    Measure {
        /// Absolute paths.
        folders: Vec<PathBuf>,
    },
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskReport {
    /// Of [`Task::Extract`].
    Extracted(Extracted),
    /// Of [`Task::Pack`].
    Packed(PackedLayer),
    /// Of [`Task::Measure`]: bytes for each folder; none for one that cannot be read.
    Measured(Vec<Option<u64>>),
    /// Of the others.
    Done,
}

impl TaskReport {
    /// The error for an answer that `task` does not give.
    pub fn unexpected(&self, _task: &str) -> SandboxError {
        SandboxError::UnexpectedAnswer
    }
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// How many entries it has.
    pub entries: u64,
    /// The latest time of any entry, in seconds since 1970.
    pub newest_mtime: i64,
    /// Whether the archive does not list its root folder.
    pub implies_root: bool,
    /// Whether something else of the tree depends on the trees below.
    pub needs_below: bool,
}

/// A layer as it was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The size of the tar in bytes.
    pub tar_size: u64,
}

impl PackedLayer {
    /// The layer as images name it.
    pub fn descriptor(&self) -> LayerDescriptor {
        LayerDescriptor {
            diff_id: self.diff_id,
            digest: self.digest,
            size: self.size,
            media_type: MediaType::ImageLayerGzip,
        }
    }
}

/// What the helper is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Whether a step can be run with what the envelope says, on the file system of an empty
    /// folder; without one, whether namespaces can be made.
    Probe {
        /// The folder, left empty.
        scratch: Option<PathBuf>,
    },
    /// To run a step; the listener for those who enter its root comes with the request.
    Step(StepSpec),
    /// To keep a root open, on an upper that is thrown away; the listener comes with the request.
    Open(RootSpec),
    /// To work on trees.
    Task(Task),
    /// To run a command of the host and see to its end.
    HostCommand {
        /// The command and its arguments.
        argv: Vec<String>,
        /// Added to the environment.
        environment: Vec<(String, String)>,
        /// Where it starts.
        working_folder: PathBuf,
        /// Whether its standard output goes to the descriptor that comes with the request.
        has_stdout: bool,
    },
}

/// A request with what the helper needs to know to serve it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    /// Whether it makes a user namespace.
    pub(super) user_namespace: bool,
    /// Whether more than one id is mapped into it.
    pub(super) many_ids: bool,
    /// What a step is made with.
    pub(super) means: Means,
    /// What is asked.
    pub(super) request: Request,
}

/// What the helper answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The user namespace is there; its ids are to be mapped now.
    NeedsIds,
    /// Of [`Request::Probe`].
    Ready,
    /// Of [`Request::Step`].
    Step(StepReport),
    /// Of [`Request::Open`]: the root was closed as asked.
    Closed,
    /// Of [`Request::Task`].
    Task(TaskReport),
    /// Of [`Request::HostCommand`].
    HostCommand {
        /// The command's exit code.
        code: i32,
    },
    /// The request failed.
    Failed {
        /// Which kind of error.
        kind: FailureKind,
        /// The message, its causes included.
        text: String,
    },
}

/// The kinds of errors that cross the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FailureKind {
    UserNamespace,
    /// There can be no process namespace with a `/proc` of its own.
    Processes,
    /// There can be no overlay to write to.
    Overlay,
    Setup,
    Work,
    Secret,
    Network,
    Cancelled,
}

impl Answer {
    /// The error that this answer is, or the error that it is none.
    pub(super) fn unexpected(self) -> SandboxError {
        match self {
            Self::Failed {
                kind: FailureKind::UserNamespace,
                text,
            } => SandboxError::UserNamespace(text),
            Self::Failed {
                kind: FailureKind::Processes,
                text,
            } => SandboxError::Processes(text),
            Self::Failed {
                kind: FailureKind::Overlay,
                text,
            } => SandboxError::Overlay(text),
            Self::Failed {
                kind: FailureKind::Setup,
                text,
            } => SandboxError::Setup(text),
            Self::Failed {
                kind: FailureKind::Network,
                text,
            } => SandboxError::Network(text),
            Self::Failed {
                kind: FailureKind::Secret,
                text,
            } => SandboxError::SecretLeft(text),
            Self::Failed {
                kind: FailureKind::Work,
                text,
            } => SandboxError::Work(text),
            Self::Failed {
                kind: FailureKind::Cancelled,
                ..
            } => SandboxError::Cancelled,
            _ => SandboxError::UnexpectedAnswer,
        }
    }
}
