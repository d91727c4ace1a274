//! The doctor: what this host allows, which sandbox mode follows, and what to do about the rest.
//!
//! A *finding* is one thing that hardtack needs or can use, with how it stands here and the exact
//! remedy. What can be tried is tried; settings are read only to say why something is refused.

mod container;
mod isolation;
mod machine;
mod network;
mod packages;
mod tools;

pub use container::Container;

use crate::sandbox;
use packages::Packages;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What an examination may know of the process it runs in.
#[derive(Debug)]
pub struct Patient<'a> {
    /// Where the store is or will be; none if nothing says where.
    pub store: Option<&'a Path>,
    /// Why the store cannot be used; none if it can.
    pub store_refusal: Option<String>,
    /// How the sandbox is set up, with an empty folder, of the store if that can be used.
    pub sandbox: &'a sandbox::Settings,
    /// Where programs are looked for.
    pub search_path: Option<OsString>,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// hardtack's own program, for profiles that name it.
    pub program: Option<PathBuf>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// Not there, and builds run without it, but for what needs just that.
    Missing,
    /// Weaker or slower than it could be.
    Weak,
    /// No build can run.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, one word or two; stable.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// The same in words.
    pub text: String,
    /// What to do, a line each; commands can be copied.
    pub remedies: Vec<String>,
}

impl Finding {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self {
            name,
            state,
            text: text.into(),
            remedies: Vec::new(),
        }
    }

    fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, State::Good, text)
    }

    fn remedies(mut self, remedies: impl IntoIterator<Item = String>) -> Self {
        self.remedies.extend(remedies);
        self
    }
}

/// What an examination found, in an order that is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether builds can run.
    pub can_build: bool,
    /// The sandbox mode that builds get; none if none works.
    pub mode: Option<String>,
    /// All that was looked at.
    pub findings: Vec<Finding>,
}

/// Looks at everything.
pub fn examine(patient: &Patient<'_>) -> Report {
    let container = Container::find(patient.environment);
    let packages = Packages::of_this_host();
    let (best, isolation) = isolation::findings(patient, container);
    let mode = best.map(|(isolation, means)| isolation::describe(isolation, means));
    let mut findings = vec![machine::kernel(), container::finding(container)];
    findings.extend(isolation);
    findings.push(machine::control_groups());
    findings.push(machine::disk(
        patient.store,
        patient.store_refusal.as_deref(),
    ));
    let is_root = best.is_some_and(|(isolation, _)| isolation == sandbox::Isolation::Root);
    findings.push(network::finding(is_root, container, packages));
    findings.extend(tools::findings(patient, packages));
    findings.push(machine::emulation(packages));
    Report {
        can_build: mode.is_some() && findings.iter().all(|it| it.state != State::Bad),
        mode,
        findings,
    }
}
