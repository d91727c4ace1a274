//! `hardtack pull`: brings an image of a registry into the store.

use super::build::open_store;
use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use crate::base::{self, Pins};
use crate::build;
use crate::registry::{Client, Reference, fetch};
use crate::sandbox::Cancel;
use crate::store::Platform;
use anyhow::Context as _;
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
    let store = open_store(surroundings)?;
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let client = Client::new(surroundings.registry_settings(&Cancel::default()));
    let reference = &arguments.reference;
    let pull = || -> anyhow::Result<_> {
        let digest = Pins::default().digest(reference, &client)?;
        let image = base::find_remote(&client, &store, &reference.repository, digest, &platform)?;
        fetch::layers(&client, &store, &image.layers, &|_| {})?;
        store.set_reference(&reference.to_string(), &image.manifest, None)?;
        Ok((digest, image))
    };
    let (digest, image) = pull().with_context(|| format!("cannot pull {reference}"))?;
    if arguments.unpack {
        let events = crate::ui::silent();
        let environment = surroundings.build_environment(store, events);
        build::unpack_image(&environment, &image).map_err(CommandError::host)?;
    }
    let pinned = Reference {
        digest: Some(digest),
        ..reference.clone()
    };
    output::print(&format!("{pinned}\n"))?;
    Ok(ExitCode::SUCCESS)
}
