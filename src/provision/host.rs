//! Provisioners that work on this host: `shell-local`, `sleep`, `breakpoint`.
//!
//! They change no layer, so nothing of them is kept: they run each time.

use super::ProvisionError;
use crate::sandbox::{Cancel, OutputStream};
use std::fmt;
use std::path::Path;

/// One provisioner of the host with its options, ready to run.
pub trait HostProvisioner: fmt::Debug + Send + Sync {
    /// The block's type, as `shell-local`.
    fn kind(&self) -> &'static str;

    /// Whether it asks the operator, over whose answer nothing may be drawn.
    fn asks(&self) -> bool {
        false
    }

    /// Does the work.
    fn run(&self, context: &HostContext<'_>) -> Result<(), ProvisionError>;
}

/// What a provisioner of the host may need to know about the run.
pub struct HostContext<'a> {
    /// Where commands start: the working directory, as in Packer.
    pub working_folder: &'a Path,
    /// Names this run (`PACKER_RUN_UUID`).
    pub run_id: &'a str,
    /// Stops what runs.
    pub cancel: &'a Cancel,
    /// Who answers questions.
    pub operator: &'a dyn Operator,
    /// Takes what is said, as it comes.
    pub say: &'a (dyn Fn(Said<'_>) + Sync),
}

/// Something that a provisioner of the host, or a post-processor, says while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// What it does now.
    Note(&'a str),
    /// A line that its command wrote.
    Line(OutputStream, &'a str),
}

/// The person, or the script, in front of a run.
pub trait Operator: Send + Sync {
    /// Shows a question and waits for a line; none if nobody answers, or when the run is cancelled.
    fn ask(&self, question: &str, cancel: &Cancel) -> Option<String>;

    /// Whether a person is there who can use a shell.
    fn is_at_terminal(&self) -> bool {
        false
    }
}
