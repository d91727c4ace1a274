//! Means: what a step's isolation is made of on this host, as the probe found it.

use serde::{Deserialize, Serialize};

/// How much a step is kept apart from what else runs, weakest first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// A root folder of its own, and nothing more.
    Chroot,
    /// All namespaces but one of processes: what else runs is seen in `/proc`.
    #[default]
    SharedProcesses,
    /// All namespaces, and a `/proc` of its own.
    Full,
}

impl Confinement {
    /// The name that options and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chroot => "chroot",
            Self::SharedProcesses => "shared-processes",
            Self::Full => "full",
        }
    }
}

/// What a step writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writable {
    /// The upper of an overlay.
    Overlay,
    /// A copy of all that lies below, which is compared afterwards.
    Copy,
}

impl Writable {
    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }
}

/// What every step of this run is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    /// How much it is kept apart.
    pub confinement: Confinement,
    /// What it writes to.
    pub writable: Writable,
}

impl Means {
    /// The best that there is.
    pub const BEST: Self = Self {
        confinement: Confinement::Full,
        writable: Writable::Overlay,
    };

    /// What a chroot takes.
    pub const CHROOT: Self = Self {
        confinement: Confinement::Chroot,
        writable: Writable::Copy,
    };

    /// Whether the step has a process namespace, whose end is the end of all that runs in it.
    pub(super) fn has_process_namespace(self) -> bool {
        self.confinement == Confinement::Full
    }

    /// Whether the step has namespaces at all, and so can be given mounts.
    pub(super) fn has_namespaces(self) -> bool {
        self.confinement > Confinement::Chroot
    }

    /// What is missing, how to get it, and how to refuse; none where nothing is.
    pub fn notice(self) -> Option<String> {
        let shared = || {
            let reach = match super::landlock::keeps_apart() {
                true => ", but can neither signal nor trace it",
                false => " and can signal what the same user runs",
            };
            format!(
                "steps share the process list of this host (isolation: shared-processes): a new /proc is refused, so they see what else runs{reach}; in a container, --security-opt systempaths=unconfined (Docker), --security-opt unmask=ALL (podman) or procMount: Unmasked (Kubernetes) gives them their own, and --isolation=full refuses to build without"
            )
        };
        let copied = "each step runs on a copy of all layers below it, which is slow: the store cannot be the upper of an overlay here; put it on a volume, or name another folder with --store";
        match (self.confinement, self.writable) {
            (Confinement::Full, Writable::Overlay) => None,
            (Confinement::Full, Writable::Copy) => Some(copied.to_owned()),
            (Confinement::SharedProcesses, Writable::Overlay) => Some(shared()),
            (Confinement::SharedProcesses, Writable::Copy) => Some(format!("{}; {copied}", shared())),
            (Confinement::Chroot, _) => Some(
                "steps run in a chroot (isolation: chroot), on a copy of all layers below them: they have no namespaces and no /proc, and the network and the privileges of this container; run it with --security-opt seccomp=unconfined for more".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_said() {
        let means = |confinement, writable| Means {
            confinement,
            writable,
        };
        assert_eq!(Means::BEST.notice(), None);
        let text = means(Confinement::SharedProcesses, Writable::Overlay)
            .notice()
            .unwrap();
        assert!(
            text.contains("shared-processes") && !text.contains("copy"),
            "{text}"
        );
        let text = means(Confinement::Full, Writable::Copy).notice().unwrap();
        assert!(
            text.contains("copy") && !text.contains("isolation"),
            "{text}"
        );
        let text = means(Confinement::Chroot, Writable::Copy).notice().unwrap();
        assert!(
            text.contains("isolation: chroot") && !text.contains("--store"),
            "{text}"
        );
    }

    #[test]
    fn weaker_comes_first() {
        assert!(Confinement::Chroot < Confinement::SharedProcesses);
        assert!(Confinement::default() < Confinement::Full);
    }
}
