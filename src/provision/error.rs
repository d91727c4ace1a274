//! What can go wrong in a checked provisioner: before its actions, or while it works on the host.

use crate::sandbox::SandboxError;
use std::io;
use std::path::PathBuf;

/// Why a provisioner failed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A host file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file for the step cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A host file is of a type that cannot be copied into an image.
    #[error("{} is a {kind}, which cannot be an input of a step", path.display())]
    UnsupportedType {
        /// Which one.
        path: PathBuf,
        /// `socket`, `device`, …
        kind: &'static str,
    },
    /// A host folder is nested so deeply that it is more likely a mistake than an input.
    #[error("{} lies more than {limit} folders deep", path.display())]
    TooDeep {
        /// Which one.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A host command could not be run.
    #[error(transparent)]
    Command(#[from] SandboxError),
    /// A host command ended with a code that is not allowed.
    #[error("the command exited with code {code}, allowed are {allowed:?}")]
    Exit {
        /// What it ended with.
        code: i32,
        /// What it may end with.
        allowed: Vec<i32>,
    },
    /// A playbook has failed.
    #[error("the playbook failed (ansible-playbook ended with code {code})")]
    Playbook {
        /// What `ansible-playbook` ended with.
        code: i32,
        /// A program that tasks needed in the root and did not find.
        missing: Option<String>,
    },
    /// A program of this host has failed.
    #[error("`{program}` ended with code {code}")]
    ProgramFailed {
        /// Its command line.
        program: String,
        /// What it ended with.
        code: i32,
        /// Its last lines.
        lines: Vec<String>,
    },
    /// A program that must be on this host is not.
    #[error("there is no {program} on this host")]
    MissingProgram {
        /// As the template names it.
        program: String,
        /// What to do.
        remedy: String,
    },
    /// A program of this host is too old.
    #[error("{} is version {version}, and at least {oldest} is needed", program.display())]
    OldProgram {
        /// Which one.
        program: PathBuf,
        /// What it is.
        version: String,
        /// What it must be.
        oldest: String,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Interrupted,
    /// A question has no answer, since nobody is there to give one.
    #[error("nobody answers: standard input is closed")]
    NoAnswer,
    /// A formula for Salt cannot be fetched.
    #[error("cannot get the formula of {address}: {reason}")]
    Formula {
        /// What git was to clone.
        address: String,
        /// Its last words.
        reason: String,
    },
    /// A Go template in an option cannot be rendered.
    #[error("cannot render {option}: {problem}")]
    GoTemplate {
        /// The option.
        option: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl ProvisionError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::MissingProgram { remedy, .. } => remedy,
            Self::ProgramFailed { lines, .. } if !lines.is_empty() => {
                return Some(format!(
                    "the last lines that it wrote:\n  {}",
                    lines.join("\n  ")
                ));
            }
            Self::OldProgram { .. } => {
                "install a newer one, or try this one with `skip_version_check = true`"
            }
            Self::Playbook {
                missing: Some(missing),
                ..
            } if missing == "python" => {
                "the image has no Python where Ansible looks: install python3 in a shell step before this one, or say where it is with the variable ansible_python_interpreter"
            }
            Self::Playbook {
                missing: Some(missing),
                ..
            } if missing == "sh" => "Ansible needs a shell in the image, /bin/sh",
            Self::Playbook {
                missing: Some(missing),
                ..
            } => {
                return Some(format!(
                    "the image has no {missing}; without become_exe and become_flags none is needed"
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Wraps a failure to read `path`.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read {
            path: path.into(),
            source,
        }
    }

    /// Wraps a failure to write `path`.
    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write {
            path: path.into(),
            source,
        }
    }
}
