//! What a root is given beside its layers: mounts, variables, and limits.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// Memory that is empty at first and thrown away.
    Tmpfs {
        /// In bytes; none for half of the machine's memory.
        size: Option<u64>,
        /// Permission bits of its root folder.
        mode: u32,
    },
}
