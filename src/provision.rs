//! Provisioners: what a step does to the root.
//!
//! A *provisioner* is one block of a template whose options are decoded and checked. It knows
//! three things: what its result depends on (options and host files, for the key), what the
//! history of the image says about it, and which actions the sandbox runs. It runs nothing itself,
//! and `build/` never asks which one it is.
//!
//! Some provisioners work on this host instead ([`HostProvisioner`]). They change no layer, and
//! have no result that could be kept.

mod ansible;
mod ansible_local;
mod breakpoint;
mod chef_solo;
pub mod error;
pub mod file;
pub mod host;
pub mod input;
mod puppet_masterless;
pub mod requirement;
mod salt_masterless;
pub mod shell;
mod shell_local;
mod sleep;
mod staging;
#[cfg(test)]
mod testing;
mod tool_options;

pub use error::ProvisionError;
pub use file::{Exclusion, pattern_glob};
pub use host::{HostContext, HostProvisioner, Operator, Said};
pub use input::Input;
pub use requirement::{Installed, Requirement, RequirementName};
pub use shell_local::{Host, ShellLocal};

use crate::diagnostic::Diagnostic;
use crate::sandbox::{Action, OpenRoot, RootCommand};
use crate::template::Arguments;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What Packer gives as its HTTP server's address where there is none, as here.
pub const NO_HTTP_ADDRESS: &str = "ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER";

/// What every provisioner may need to know about the template and the run.
#[derive(Clone, Debug)]
pub struct Context {
    /// The folder that relative host paths start from: the working directory, as in Packer.
    pub working_folder: PathBuf,
    /// The name of the source as the template's `source` block gives it (`PACKER_BUILD_NAME`).
    pub source_name: String,
    /// The type of the source (`PACKER_BUILDER_TYPE`).
    pub source_type: String,
    /// What may be known of the process that hardtack is.
    pub caller: Arc<Caller>,
    /// What a Go template inside a string may refer to.
    pub go_template: crate::template::gotemplate::GoTemplateData,
}

/// What programs of this host that a provisioner starts find in their surroundings.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
}

/// How a command starts inside the root: what the base image's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartState {
    /// Environment variables, in the order of the configuration.
    pub environment: Vec<(String, String)>,
    /// `USER` of the base, empty for root.
    pub user: String,
    /// `WORKDIR` of the base, empty for `/`.
    pub workdir: String,
    /// To whom uploaded files belong, as `USER[:GROUP]`; empty for root.
    pub upload_owner: String,
}

impl StartState {
    /// A command that starts there.
    pub fn command<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> RootCommand {
        RootCommand {
            argv: argv.into_iter().map(str::to_owned).collect(),
            env: self.environment.clone(),
            user: self.user.clone(),
            workdir: self.workdir.clone(),
        }
    }
}

/// Where a step finds what it requires, in its scratch.
pub const REQUIREMENT: &str = "requirement";

/// One provisioner with its options, ready to run.
pub trait Provisioner: fmt::Debug + Send + Sync {
    /// The block's type, as `shell`.
    fn kind(&self) -> &'static str;

    /// One line for the image's history. It names no host path, so that it is the same everywhere.
    fn summary(&self) -> String;

    /// All rendered options that the result depends on. Host paths are left out: the content of
    /// the files counts, and [`Provisioner::inputs`] names them.
    fn key_material(&self) -> serde_json::Value;

    /// The host files and folders that the actions read, by a label that does not depend on where
    /// the template lies.
    fn inputs(&self) -> Vec<Input>;

    /// Whether the step has an effect outside the image, so that it must run each time.
    fn changes_host(&self) -> bool {
        false
    }

    /// The actions, in order. Files that exist only for the step are written to `scratch`, an
    /// empty folder that is removed after it.
    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError>;

    /// What this host lacks for the step to run, as a warning without a place; its result may still come
    /// from a cache.
    fn lack(&self) -> Option<Diagnostic> {
        None
    }

    /// What it takes from elsewhere, pinned by the lock file. Before [`Provisioner::actions`], the
    /// folder [`REQUIREMENT`] of the scratch is made a link to where that is installed.
    fn requirement(&self) -> Option<&dyn Requirement> {
        None
    }

    /// What works on this host while the root is open to it, at the action [`Action::Open`]; none
    /// where there is no such action.
    fn visitor(&self) -> Option<&dyn Visitor> {
        None
    }

    /// What to do about a command that ended with this code, if the provisioner knows.
    fn hint(&self, _code: i32) -> Option<String> {
        None
    }
}

/// Work on this host that enters the root of a step.
pub trait Visitor: Send + Sync {
    /// Does the work. `start` is how commands of the image begin, `scratch` the folder that
    /// [`Provisioner::actions`] got. What it runs must end when [`OpenRoot::closed`] is set off, which
    /// `context.cancel` already is then.
    fn visit(
        &self,
        root: &OpenRoot,
        start: &StartState,
        scratch: &Path,
        context: &HostContext<'_>,
    ) -> Result<(), ProvisionError>;
}

/// A provisioner by where it works.
#[derive(Debug)]
pub enum Prepared {
    /// On the root, in the sandbox.
    Root(Box<dyn Provisioner>),
    /// On this host.
    Host(Box<dyn HostProvisioner>),
}

/// Decodes and checks the options of one provisioner.
///
/// Returns none after adding at least one diagnostic to `arguments`.
type Prepare<P> = fn(&Arguments<'_>, &Context) -> Option<Box<P>>;

/// The provisioners that work on the root, by their type.
fn root_registry() -> BTreeMap<&'static str, Prepare<dyn Provisioner>> {
    BTreeMap::from([
        ("ansible", ansible::prepare as Prepare<dyn Provisioner>),
        ("ansible-local", ansible_local::prepare as Prepare<_>),
        ("chef-solo", chef_solo::prepare as Prepare<_>),
        ("file", file::prepare as Prepare<_>),
        (
            "puppet-masterless",
            puppet_masterless::prepare as Prepare<_>,
        ),
        ("salt-masterless", salt_masterless::prepare as Prepare<_>),
        ("shell", shell::prepare as Prepare<_>),
    ])
}

/// The provisioners that work on this host, by their type.
fn host_registry() -> BTreeMap<&'static str, Prepare<dyn HostProvisioner>> {
    BTreeMap::from([
        ("breakpoint", breakpoint::prepare as Prepare<_>),
        ("shell-local", shell_local::prepare as Prepare<_>),
        ("sleep", sleep::prepare as Prepare<_>),
    ])
}

/// The types of all provisioners, sorted.
pub fn kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = root_registry().into_keys().collect();
    kinds.extend(host_kinds());
    kinds.sort_unstable();
    kinds
}

/// The types of the provisioners that work on this host, sorted.
pub fn host_kinds() -> Vec<&'static str> {
    host_registry().into_keys().collect()
}

/// Decodes and checks the options of a provisioner of type `kind`; none for an unknown type or
/// options that are wrong, which `arguments` then holds diagnostics for.
pub fn prepare(kind: &str, arguments: &Arguments<'_>, context: &Context) -> Option<Prepared> {
    if let Some(prepare) = host_registry().get(kind) {
        return prepare(arguments, context).map(Prepared::Host);
    }
    let prepare = root_registry().get(kind).copied()?;
    prepare(arguments, context).map(Prepared::Root)
}
