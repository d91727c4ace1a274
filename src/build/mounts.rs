//! Mounts of a step: what its blocks ask for, found on this host.

use crate::plan::{LayerStep, StepMountKind};
use crate::sandbox::{Mount, MountKind};

/// What is to be mounted while a step runs.
pub fn of(layer: &LayerStep) -> Vec<Mount> {
    let mounts = layer.mounts.iter().map(|mount| Mount {
        target: mount.target.clone(),
        kind: match &mount.kind {
            StepMountKind::Bind { source } => MountKind::Bind {
                source: source.clone(),
                writable: false,
            },
            StepMountKind::Tmpfs { size, mode } => MountKind::Tmpfs {
                size: *size,
                mode: *mode,
            },
        },
    });
    mounts.collect()
}
