//! Checks: what an image must fulfil, and whether it does.
//!
//! A *test* is a named group of checks that share one root of the image, on a throw-away upper: a
//! command with what it writes, a service with its ports, files, users, groups, and what the image's
//! configuration says. Tests come from `test` blocks ([`decode`]) or from files of
//! container-structure-test ([`structure`]); both become the same [`Test`]. [`run()`] makes the checks
//! in a root that somebody else has opened. When that is, and what follows from a failure, is not
//! decided here.

mod account;
mod command;
mod config;
mod decode;
mod expand;
mod expected;
mod file;
pub mod junit;
mod pattern;
mod port;
mod result;
mod run;
pub mod structure;
mod tail;

pub use decode::decode;
pub use expected::{Expected, Fault};
pub use result::{Failure, Outcome, Results, TestResult};
pub use run::{Findings, run};

use crate::diagnostic::SourceSpan;
use crate::sandbox::Network;
use account::{GroupCheck, UserCheck};
use command::CommandCheck;
use config::ConfigCheck;
use file::FileCheck;
use port::PortCheck;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One test. Serialised, it is all of it that decides whether an image passes.
#[derive(Clone, Debug, Serialize)]
pub struct Test {
    /// Names it among those of a build or a file.
    #[serde(skip)]
    pub name: String,
    /// Where it is written.
    #[serde(skip)]
    pub place: SourceSpan,
    /// What its commands can reach.
    pub network: Network,
    /// The longest that all of it may take.
    pub timeout: Duration,
    /// Added to the image's environment.
    env: BTreeMap<String, String>,
    /// Whom commands run as, instead of the image's user.
    user: Option<String>,
    /// Where commands start, instead of the image's folder.
    workdir: Option<String>,
    /// Whether `$NAME` in the command, paths and variables stands for a variable of the image.
    expands: bool,
    /// Commands that come first, and must succeed.
    setup: Vec<Expected<Vec<String>>>,
    /// What runs in the background meanwhile.
    start: Service,
    /// The command that is looked at.
    command: Option<CommandCheck>,
    /// Commands that come last, whatever came before.
    teardown: Vec<Vec<String>>,
    files: Vec<FileCheck>,
    users: Vec<UserCheck>,
    groups: Vec<GroupCheck>,
    ports: Vec<PortCheck>,
    config: Option<ConfigCheck>,
}

impl Test {
    /// A test without any check.
    fn new(name: String, place: SourceSpan) -> Self {
        Self {
            name,
            place,
            network: Network::None,
            timeout: DEFAULT_TIMEOUT,
            env: BTreeMap::new(),
            user: None,
            workdir: None,
            expands: false,
            setup: Vec::new(),
            start: Service::Nothing,
            command: None,
            teardown: Vec::new(),
            files: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            ports: Vec::new(),
            config: None,
        }
    }

    /// Whether it looks at the root, and not only at the configuration.
    pub fn needs_root(&self) -> bool {
        self.runs_program()
            || !self.files.is_empty()
            || !self.users.is_empty()
            || !self.groups.is_empty()
            || !self.ports.is_empty()
    }

    /// Whether it runs a program of the image.
    pub fn runs_program(&self) -> bool {
        self.command.is_some() || !self.setup.is_empty() || !matches!(self.start, Service::Nothing)
    }
}

/// Goes up when the same test may come to another result on the same image.
pub const FORMAT: u32 = 1;

/// How long a test may take that does not say so itself.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// What runs in the background while checks are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    /// Nothing.
    Nothing,
    /// The image's own entrypoint and command.
    OfImage(Expected<()>),
    /// This command.
    Command(Expected<Vec<String>>),
}
