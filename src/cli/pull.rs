//! `hardtack pull`: brings an image of a registry into the store.

use super::build::open_store;
use super::error::CommandError;
use super::interrupt;
use super::output;
use super::surroundings::Surroundings;
use crate::base::{self, Pins};
use crate::build;
use crate::postprocess::Meter;
use crate::registry::{Client, Reference, fetch};
use crate::store::Platform;
use anyhow::{Context as _, bail};
use clap::Args;
use std::process::ExitCode;

/// `hardtack pull`.
#[derive(Args, Debug)]
pub struct PullArguments {
    /// The image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST].
    #[arg(value_name = "REFERENCE")]
    pub reference: Reference,

    /// Unpack the layers too, so that the first step of a build can start at once.
    #[arg(long)]
    pub unpack: bool,

    /// Which of the images that a tag stands for, as linux/arm64 [default: this machine's].
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
}

/// Runs the command; it prints the reference with its digest, which stands for this very image.
pub fn run(
    arguments: &PullArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let cancel = interrupt::cancel_on_signals();
    let store = open_store(surroundings)?;
    // What killed runs have left; folders that only the sandbox can empty wait for a build.
    store.sweep().map_err(CommandError::host)?;
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let client = Client::new(surroundings.registry_settings(&cancel));
    let reference = &arguments.reference;
    let pull = || -> anyhow::Result<_> {
        let digest = Pins::default().digest(reference, &client)?;
        let image = base::find_remote(&client, &store, &reference.repository, digest, &platform)?;
        // Of a single image, whatever it is for is taken, unless the user says what it must be for.
        let found = image.config.platform();
        if arguments.platform.is_some() && found.architecture != platform.architecture {
            bail!("it is for {found} and for nothing else");
        }
        let meter = Meter::new(&output::note, "pulled");
        fetch::layers(&client, &store, &image.layers, &|bytes| meter.add(bytes))?;
        store.set_reference(&reference.to_string(), &image.manifest, None)?;
        Ok((digest, image))
    };
    let (digest, image) = pull().with_context(|| format!("cannot pull {reference}"))?;
    if arguments.unpack {
        let events = crate::ui::silent();
        let mut environment = surroundings.build_environment(store, events);
        environment.cancel = cancel;
        build::unpack_image(&environment, &image).map_err(CommandError::host)?;
    }
    let pinned = Reference {
        digest: Some(digest),
        ..reference.clone()
    };
    output::print(&format!("{pinned}\n"))?;
    Ok(ExitCode::SUCCESS)
}
