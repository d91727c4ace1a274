//! Arguments as typed: clap's definitions, whose comments are the help.

use super::amounts;
use super::cache::CacheArguments;
use super::completion::CompletionArguments;
use super::console::ConsoleArguments;
use super::copy::CopyArguments;
use super::doctor::DoctorArguments;
use super::fmt::FmtArguments;
use super::import_dockerfile::ImportArguments;
use super::init::InitArguments;
use super::inspect::InspectArguments;
use super::isolation::LevelParser;
use super::legacy::LegacyArguments;
use super::login::{LoginArguments, LogoutArguments};
use super::plugins::PluginsArguments;
use super::pull::PullArguments;
use super::registries::RegistryArguments;
use super::secret_arguments::SecretArguments;
use super::sharing::SharingArguments;
use super::shell::ShellArguments;
use super::test::TestArguments;
use super::validate::ValidateArguments;
use super::version::VersionArguments;
use crate::plan::Shard;
use crate::sandbox::Confinement;
use crate::sandbox::Network;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Turns an HCL template into a frozen, content-addressed image.
#[derive(Debug, Parser)]
#[command(
    name = "hardtack",
    version = super::version::text(),
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// The folder of the local store [default: $XDG_DATA_HOME/hardtack].
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HARDTACK_STORE",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub store: Option<PathBuf>,

    /// The least isolation that steps may run with; what the host allows is tried out, the best
    /// first.
    #[arg(
        long,
        global = true,
        value_parser = LevelParser,
        default_value = "shared-processes",
        value_name = "LEVEL",
        env = "HARDTACK_ISOLATION",
        hide_env_values = true
    )]
    pub isolation: Confinement,

    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,

    /// Print Packer's machine-readable lines.
    #[arg(long, global = true)]
    pub machine_readable: bool,

    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryArguments,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the images of a template.
    Build(Build),
    /// Show what a build would do: steps, keys, and why a step would run again.
    Plan(Plan),
    /// Check a template: syntax, values and all options, without building anything.
    Validate(ValidateArguments),
    /// Show what a template declares: variables, locals and builds.
    Inspect(InspectArguments),
    /// Rewrite template and variable files in their canonical form.
    Fmt(FmtArguments),
    /// Evaluate expressions with the values of a template.
    Console(ConsoleArguments),
    /// Check that all that a template asks for is there, and record what its bases hold.
    Init(InitArguments),
    /// Write a template that does what a Dockerfile does.
    #[command(name = "import-dockerfile")]
    ImportDockerfile(ImportArguments),
    /// Bring an image of a registry into the store.
    Pull(PullArguments),
    /// Run a command in a built image, on a throw-away layer.
    Run(Run),
    /// Open a shell in a build as it is before or after a step, or as a failed step has left it.
    Shell(ShellArguments),
    /// Check that an image is as `test` blocks, or a file of container-structure-test, expect it.
    Test(TestArguments),
    /// Copy an image, and all that refers to it, between registries, layouts, archives and the store.
    Copy(CopyArguments),
    /// List the images in the store.
    Images(Images),
    /// Show one image: its configuration, and its layers with the step that made each.
    Show(Show),
    /// Check the name and password for a registry, and keep them where Docker and podman do.
    Login(LoginArguments),
    /// Remove the name and password for a registry.
    Logout(LogoutArguments),
    /// Look after the results of steps: list, measure, remove, carry to another machine.
    Cache(CacheArguments),
    /// Find out what this host allows, and what to do about what it does not.
    Doctor(DoctorArguments),
    /// List what is built in, or what a template asks for.
    Plugins(PluginsArguments),
    /// Print a script that makes a shell complete commands, paths, builds and variables.
    Completion(CompletionArguments),
    /// Print the version.
    Version(VersionArguments),
    /// Refused: JSON templates are not supported.
    #[command(hide = true)]
    Fix(LegacyArguments),
    /// Refused: JSON templates are not supported.
    #[command(hide = true, name = "hcl2_upgrade")]
    Hcl2Upgrade(LegacyArguments),
}

/// Which template, with which values, and which of its builds.
#[derive(Args, Debug)]
pub struct TemplateArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Set a variable; beats every other way to set it. May be repeated.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,

    /// Read variables from a .pkrvars.hcl file. May be repeated; later files win.
    #[arg(long = "var-file", value_name = "FILE")]
    pub variable_files: Vec<PathBuf>,

    /// Only the builds whose name matches one of these comma-separated globs, and those that they
    /// start from.
    #[arg(long, value_name = "GLOBS")]
    pub only: Vec<String>,

    /// Not the builds whose name matches one of these comma-separated globs, and not the
    /// post-processors of one of these names or types.
    #[arg(long, value_name = "GLOBS")]
    pub except: Vec<String>,

    /// Only the I-th of N parts of the builds, for CI jobs that build side by side.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Make the parts equally long by the seconds that builds took, from the file that an earlier
    /// `build --metadata-file` wrote. All jobs must be given the same file.
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub shard_costs: Option<PathBuf>,

    /// Warn about values in variable files for variables that are not declared.
    #[arg(long)]
    pub warn_on_undeclared_var: bool,

    /// Run every step, whatever the store holds.
    #[arg(long)]
    pub no_cache: bool,
}

/// `hardtack build`.
#[derive(Args, Debug)]
pub struct Build {
    /// The template.
    #[command(flatten)]
    pub template: TemplateArguments,

    /// Where secrets come from.
    #[command(flatten)]
    pub secrets: SecretArguments,

    /// With whom results of steps are shared.
    #[command(flatten)]
    pub sharing: SharingArguments,

    /// Remove what has not been used for the longest time after the builds, when the store takes
    /// more of the disk than this: 20GB [default: no limit]. Images stay.
    #[arg(
        long,
        value_name = "SIZE",
        env = "HARDTACK_CACHE_SIZE",
        hide_env_values = true,
        value_parser = amounts::limit
    )]
    pub cache_size: Option<u64>,

    /// Refuse images of registries that the lock file does not have, and bases that are not what
    /// it says.
    #[arg(long)]
    pub locked: bool,

    /// How to show progress on stderr.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "MODE",
        env = "HARDTACK_PROGRESS",
        hide_env_values = true
    )]
    pub progress: crate::ui::Progress,

    /// What to do when a step has failed.
    #[arg(long, value_enum, default_value_t, value_name = "ACTION")]
    pub on_error: crate::build::OnError,

    /// Build one after the other, and wait for Enter before each step.
    #[arg(long)]
    pub debug: bool,

    /// Replace what earlier runs left, as the records of the manifest post-processor.
    #[arg(long)]
    pub force: bool,

    /// Begin each line of progress with the time of day (RFC 3339).
    #[arg(long)]
    pub timestamp_ui: bool,

    /// Whether to colour messages [default: on a terminal, unless NO_COLOR or PACKER_NO_COLOR is
    /// set].
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = go_boolean
    )]
    pub color: Option<bool>,

    /// Write digests, layers and artifacts of all builds to this file as JSON (docs/events.md).
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,

    /// Build without running the tests of the images.
    #[arg(long)]
    pub skip_tests: bool,

    /// Write the results of the tests to this file as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// How many builds run at once; 0 for no limit.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub parallel_builds: i64,

    /// Accepted for Packer's sake: the form of a template follows from its files' names.
    #[arg(long, value_name = "TYPE", hide = true, value_parser = ["hcl2", "json"])]
    pub config_type: Option<String>,

    /// Accepted for Packer's sake: there is no registry whose rules could be enforced.
    #[arg(long, hide = true)]
    pub skip_enforcement: bool,

    /// Accepted for Packer's sake: there are no plugins.
    #[arg(long, hide = true)]
    pub ignore_prerelease_plugins: bool,

    /// Accepted for Packer's sake: the order of evaluation follows from references.
    #[arg(long, hide = true)]
    pub use_sequential_evaluation: bool,

    /// Threads for compression [default: one per processor]. The result does not depend on it.
    #[arg(
        long,
        value_name = "N",
        env = "HARDTACK_THREADS",
        hide_env_values = true
    )]
    pub threads: Option<usize>,
}

/// Reads a flag's value as Go, and so Packer, does.
pub fn go_boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("it is true or false".to_owned()),
    }
}

/// `hardtack plan`.
#[derive(Args, Debug)]
pub struct Plan {
    /// The template.
    #[command(flatten)]
    pub template: TemplateArguments,

    /// With whom results of steps are shared.
    #[command(flatten)]
    pub sharing: SharingArguments,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `hardtack run`.
#[derive(Args, Debug)]
pub struct Run {
    /// A build's name, a tag, a digest, or the beginning of one.
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// The command and its arguments [default: what the image's configuration says].
    #[arg(
        value_name = "CMD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,

    /// Set an environment variable. May be repeated.
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// Run as this user instead of the image's.
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,

    /// Start in this folder instead of the image's.
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,

    /// The network that the command sees.
    #[arg(long, value_enum, default_value_t, value_name = "NETWORK")]
    pub network: NetworkArgument,
}

/// The network of a command in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NetworkArgument {
    /// The host's.
    #[default]
    Host,
    /// Nothing but an own loopback.
    None,
    /// One of its own, that reaches what the host reaches (with pasta or slirp4netns).
    User,
}

impl NetworkArgument {
    /// As the sandbox has it.
    pub fn network(self) -> Network {
        match self {
            Self::Host => Network::Host,
            Self::None => Network::None,
            Self::User => Network::User,
        }
    }
}

/// `hardtack images`.
#[derive(Args, Debug)]
pub struct Images {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `hardtack show`.
#[derive(Args, Debug)]
pub struct Show {
    /// A build's name, a tag, a digest, or the beginning of one.
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
