//! `hardtack copy`: brings an image from one place to another, byte for byte.

use super::arguments::go_boolean;
use super::build::open_store;
use super::error::CommandError;
use super::interrupt;
use super::output;
use super::surroundings::Surroundings;
use crate::copy::{self, CopyError, Place, Settings};
use crate::postprocess::Meter;
use crate::provision::Said;
use crate::registry::Client;
use crate::store::Platform;
use clap::Args;
use std::process::ExitCode;

/// `hardtack copy`.
#[derive(Args, Debug)]
#[command(after_help = "\
Places:
  [docker://]HOST/PATH[:TAG][@DIGEST]  a registry
  oci:PATH[:NAME]                      a folder in the OCI image layout
  oci-archive:PATH[:NAME]              a tar of such a folder
  docker-archive:PATH[:NAME]           what `docker save` writes; holds one image
  store:NAME                           an image of `hardtack images`

No digest changes on the way, but for docker-archive, which has no manifests.")]
pub struct CopyArguments {
    /// What is copied. A name without a host is looked up in the store first.
    #[arg(value_name = "SRC")]
    pub from: Place,

    /// Where to.
    #[arg(value_name = "DST")]
    pub to: Place,

    /// Copy an index with all its images, which is the default.
    #[arg(long, conflicts_with = "platform")]
    pub all: bool,

    /// Of an index, copy only the image for this platform, as linux/arm64.
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,

    /// Whether to copy what refers to the image too: signatures, SBOMs.
    #[arg(
        long,
        action = clap::ArgAction::Set,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = go_boolean
    )]
    pub referrers: bool,
}

/// Runs the command; it prints what the target is called, with the digest.
pub fn run(
    arguments: &CopyArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    let cancel = interrupt::cancel_on_signals();
    // What killed runs have left; folders that only the sandbox can empty wait for a build.
    store.sweep().map_err(CommandError::host)?;
    let client = Client::new(surroundings.registry_settings(&cancel));
    let meter = Meter::new(&output::note, "moved");
    let settings = Settings {
        client: &client,
        store: &store,
        working_folder: &surroundings.working_folder,
        platform: arguments.platform.as_ref(),
        referrers: arguments.referrers,
        progress: &|bytes| meter.add(bytes),
    };
    let (from, to) = (&arguments.from, &arguments.to);
    let copied = copy::copy(from, to, &settings).map_err(|error| failed(error, from, to))?;
    let plural = if copied.documents == 1 { "" } else { "s" };
    let mut text = format!("{} manifest{plural}", copied.documents);
    if copied.referrers > 0 {
        text.push_str(&format!(" ({} that refer to another)", copied.referrers));
    }
    output::note(Said::Note(&format!(
        "{text}, {}",
        copied.moved.in_words("copied")
    )));
    output::print(&format!("{}\n", copied.target))?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: CopyError, from: &Place, to: &Place) -> CommandError {
    let context = format!("cannot copy {from} to {to}");
    CommandError::user(anyhow::Error::new(error).context(context))
}
