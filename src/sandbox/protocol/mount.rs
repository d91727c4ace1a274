//! What a root is given beside its layers: mounts, variables, and limits.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something that is mounted in a root while a step runs. Nothing of it gets into the layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, in the root. It is made where the image lacks it, and goes again after the step.
    pub target: String,
    /// What is mounted.
    pub kind: MountKind,
}

/// What can be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A file or folder of this host, with all that is mounted in it.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Whether the step can change it.
        writable: bool,
    },
    /// A file or folder of other layers, read-only.
    Layers {
        /// Their trees, lowest first.
        lowers: Vec<PathBuf>,
        /// Absolute, in what they make together.
        path: String,
    },
    /// Memory that is empty at first and thrown away.
    Tmpfs {
        /// In bytes; none for half of the machine's memory.
        size: Option<u64>,
        /// Permission bits of its root folder.
        mode: u32,
    },
    /// A folder that is kept between steps.
    Cache {
        /// A folder of the caller's on the host; what is mounted is `fs` in it, which is made where it
        /// is missing.
        folder: PathBuf,
        /// Whom it belongs to when it is made.
        owner: Owner,
    },
    /// A file that only exists in memory, read-only.
    Secret {
        /// What is in it.
        content: SecretBytes,
        /// Whom it belongs to.
        owner: Owner,
    },
    /// A socket at which the keys of an ssh agent can be used, but not changed.
    Agent {
        /// The agent's own socket, on the host.
        socket: PathBuf,
        /// Whom it belongs to.
        owner: Owner,
    },
}

/// Whom something that is made for a mount belongs to, inside, and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Bytes that are shown nowhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Nothing of them, not even how many there are.
impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes(…)")
    }
}

/// A secret that a step is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// What messages call it.
    pub name: String,
    /// What must not be in the layer.
    pub bytes: SecretBytes,
}

/// A cache that is searched for secrets after the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchedCache {
    /// What messages call it.
    pub name: String,
    /// As in [`MountKind::Cache`].
    pub folder: PathBuf,
}

/// What the commands of a step may use; none for no limit, or the usual one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all processes together, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// The longest file that is written, in bytes.
    pub file_size: Option<u64>,
    /// The time on a processor of one process.
    pub cpu_time: Option<Duration>,
}

/// A variable that every command in a root gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretBytes,
}
