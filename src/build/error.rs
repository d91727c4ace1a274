//! What can go wrong in a build.

use crate::base::BaseError;
use crate::diagnostic::SourceSpan;
use crate::digest::{DiffId, Digest};
use crate::image::ImageError;
use crate::imageless::ImagelessError;
use crate::postprocess::PostProcessError;
use crate::provision::{Installed, ProvisionError, RequirementName};
use crate::registry::RegistryError;
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The base cannot be used.
    #[error("cannot use the base, {base}")]
    Base {
        /// What it is, in words.
        base: String,
        /// Why.
        source: BaseError,
    },
    /// A step's command ended with a code that is not allowed.
    #[error("{}", exit_text(*code, allowed))]
    Exit {
        /// What it ended with.
        code: i32,
        /// What it may end with.
        allowed: Vec<i32>,
    },
    /// A step took too long.
    #[error("timed out after {}", crate::format::duration(limit.as_secs_f64()))]
    TimedOut {
        /// How long it may take.
        limit: Duration,
    },
    /// The kernel killed a process of a step that went on.
    #[error(
        "the kernel has killed a process of the step at its limit `memory`, {}; the step has succeeded without it, but its result may be wrong",
        crate::format::bytes(*limit)
    )]
    KilledAtLimit {
        /// How much it may use.
        limit: u64,
    },
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
    /// What a step requires has no pin, and must have one.
    #[error("{name} is not in the lock file, or has changed since it was locked")]
    RequirementNotLocked {
        /// Which list.
        name: RequirementName,
    },
    /// What a step requires is not what the lock file says.
    #[error(
        "{name} is not what the lock file says: {}",
        differences(expected, found)
    )]
    RequirementMoved {
        /// Which list.
        name: RequirementName,
        /// What was locked.
        expected: Box<Installed>,
        /// What there is now.
        found: Box<Installed>,
    },
    /// A provisioner failed beside its commands in the sandbox.
    #[error(transparent)]
    Provision(ProvisionError),
    /// A source that makes no image failed.
    #[error(transparent)]
    Imageless(#[from] ImagelessError),
    /// A step failed, and then the error-cleanup-provisioner.
    #[error("the error-cleanup-provisioner failed: {cleanup}; what failed first: {original}")]
    Cleanup {
        /// Why the error-cleanup-provisioner failed.
        cleanup: Box<BuildError>,
        /// Why the step failed.
        original: Box<BuildError>,
    },
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image cannot be put together.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer cannot be had from where it is.
    #[error("cannot pull the layer {digest}")]
    Fetch {
        /// Its blob.
        digest: Digest,
        /// Why.
        source: RegistryError,
    },
    /// A layer is another one than whoever promised it said.
    #[error("the layer {digest} should unpack to {expected} but {}", other(found))]
    WrongLayer {
        /// Its blob.
        digest: Digest,
        /// What its tar should digest to.
        expected: DiffId,
        /// What it digests to; none if it is no compressed file at all.
        found: Option<DiffId>,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack the layer {digest}")]
    Unpack {
        /// Its blob.
        digest: Digest,
        /// Why.
        source: SandboxError,
    },
    /// A tree in the store is not what its layer was made of.
    #[error("the tree of layer {expected} changed while it was packed, it is now {found}")]
    TreeChanged {
        /// What it was.
        expected: DiffId,
        /// What it is.
        found: DiffId,
    },
    /// A tree that this build made has gone.
    #[error("the tree of layer {diff_id} has been removed from the store during the build")]
    TreeMissing {
        /// Its layer.
        diff_id: DiffId,
    },
    /// The image is not what its tests expect.
    #[error("{} of the image failed: {}", tests_text(failed.len(), *total), failed.join(", "))]
    Tests {
        /// The names of those that failed.
        failed: Vec<String>,
        /// How many there are.
        total: usize,
        /// What is wrong, in full.
        report: String,
    },
    /// A post-processor failed.
    #[error("post-processor {name} failed")]
    PostProcessor {
        /// Its type, and its name if it has one.
        name: String,
        /// Its place in the template.
        span: SourceSpan,
        /// Why.
        source: Box<PostProcessError>,
    },
    /// Options that depend on the build's result are wrong.
    #[error("{0}")]
    Options(String),
    /// The build that this one starts from failed.
    #[error("the build {name} that this one starts from failed")]
    Dependency {
        /// Its name.
        name: String,
    },
    /// A build that makes no image has no root to look at.
    #[error("this build makes no image, so there is no root to look at")]
    NoRoot,
    /// Nothing is kept of a failed step.
    #[error("nothing is kept of a failed step of this build")]
    NothingFailed,
    /// A host file cannot be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// `create`, `read`, …
        operation: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A mistake in hardtack itself.
    #[error("{0}; this is a bug in hardtack")]
    Internal(&'static str),
}

impl BuildError {
    /// Wraps a failure to do `operation` with `path`.
    pub fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.into(),
            source,
        }
    }

    /// What to do about it, where that does not depend on the template.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Provision(error) => error.hint(),
            Self::KilledAtLimit { .. } => {
                Some("raise `memory` in the block `limits`, or have the step use less".to_owned())
            }
            Self::RequirementNotLocked { .. } => {
                Some("run `hardtack init`, or build without --locked".to_owned())
            }
            Self::RequirementMoved { .. } => Some(
                "run `hardtack init -upgrade` to take what there is now, or name versions in the list"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the host is at fault, and not the template.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Sandbox(error)
            | Self::Unpack { source: error, .. }
            | Self::Base {
                source: BaseError::Sandbox(error),
                ..
            }
            | Self::Provision(ProvisionError::Command(error)) => error.is_of_host(),
            Self::Cleanup { original, .. } => original.is_of_host(),
            _ => false,
        }
    }

    /// Whether trying the step again could help.
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(
            self,
            Self::Exit { .. }
                | Self::TimedOut { .. }
                | Self::KilledAtLimit { .. }
                | Self::Provision(ProvisionError::Playbook { .. })
        )
    }
}

impl From<ProvisionError> for BuildError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Exit { code, allowed } => Self::Exit { code, allowed },
            ProvisionError::Interrupted => Self::Interrupted,
            error => Self::Provision(error),
        }
    }
}

/// What has moved, by the names of the parts.
fn differences(expected: &Installed, found: &Installed) -> String {
    let only = |these: &Installed, those: &Installed| -> Vec<String> {
        let parts = these.parts.iter().filter(|it| !those.parts.contains(it));
        parts.cloned().collect()
    };
    let (gone, new) = (only(expected, found), only(found, expected));
    if gone.is_empty() && new.is_empty() {
        let parts = found.parts.join(", ");
        return format!("{parts} has other files under the same version");
    }
    format!("{} instead of {}", new.join(", "), gone.join(", "))
}

fn other(found: &Option<DiffId>) -> String {
    match found {
        Some(found) => format!("gives {found}"),
        None => "cannot be decompressed".to_owned(),
    }
}

/// So many allowed exit codes are listed.
const LISTED_CODES: usize = 16;

fn tests_text(failed: usize, total: usize) -> String {
    match total {
        1 => "the test".to_owned(),
        total => format!("{failed} of {total} tests"),
    }
}

fn exit_text(code: i32, allowed: &[i32]) -> String {
    let mut text = match code {
        126 => "the command cannot be executed (exit code 126)".to_owned(),
        127 => "a command was not found (exit code 127)".to_owned(),
        code @ 129..=192 => format!(
            "the command was killed by signal {} (exit code {code})",
            code - 128
        ),
        code => format!("the command exited with code {code}"),
    };
    // Nearly all of them are no list that anybody reads.
    if allowed != [0] && allowed.len() <= LISTED_CODES {
        text.push_str(&format!(", allowed are {allowed:?}"));
    }
    text
}
