//! `hardtack show`.

use super::arguments::Show;
use super::build::open_store;
use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use crate::build::environment_of;
use crate::format;
use crate::image::{self, Image};
use crate::store::{Platform, Store, StoreError};
use crate::text;
use crate::ui::table::{Align, Table};
use anyhow::{Context as _, anyhow};
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The store checks no document larger than this.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Runs the command.
pub fn run(arguments: &Show, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    let image = find(&store, &arguments.image)?;
    if arguments.json {
        output::print_json(&as_json(&store, &image)?)?;
    } else {
        // Labels and variables come from images that others made.
        output::print(&text::neutralise(&as_text(&store, &image)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds an image by name, digest, or the beginning of one.
pub fn find(store: &Store, name: &str) -> Result<Image, CommandError> {
    let descriptor = match store.resolve(name) {
        Err(StoreError::UnknownReference { .. }) => {
            return Err(
                CommandError::user(anyhow!("there is no image {name:?} in the store"))
                    .hint("`hardtack images` lists the images that there are"),
            );
        }
        found => found.map_err(CommandError::user)?,
    };
    image::load(store, &descriptor, &Platform::host()).map_err(CommandError::user)
}

/// One line of the history, with its layer if it has one.
struct Entry<'a> {
    created_by: &'a str,
    layer: Option<&'a crate::store::LayerDescriptor>,
}

fn entries(image: &Image) -> Vec<Entry<'_>> {
    let mut layers = image.layers.iter();
    let mut entries: Vec<Entry<'_>> = image
        .config
        .history
        .iter()
        .map(|history| Entry {
            created_by: history.created_by.as_deref().unwrap_or_default(),
            layer: if history.empty_layer {
                None
            } else {
                layers.next()
            },
        })
        .collect();
    // A base without a full history still has layers.
    entries.extend(layers.map(|layer| Entry {
        created_by: "",
        layer: Some(layer),
    }));
    entries
}

fn as_json(store: &Store, image: &Image) -> Result<serde_json::Value, CommandError> {
    let layers: Vec<_> = entries(image)
        .iter()
        .map(|entry| {
            json!({
                "created_by": entry.created_by,
                "diff_id": entry.layer.map(|layer| layer.diff_id),
                "digest": entry.layer.map(|layer| layer.digest),
                "size": entry.layer.map(|layer| layer.size),
                "media_type": entry.layer.map(|layer| layer.media_type.to_string()),
            })
        })
        .collect();
    let config = store
        .read_blob(&image.config_descriptor.digest, CONFIG_LIMIT)
        .map_err(CommandError::host)?;
    let config: serde_json::Value =
        serde_json::from_slice(&config).context("the configuration is not JSON")?;
    let names: Vec<_> = store
        .references()
        .map_err(CommandError::host)?
        .into_iter()
        .filter(|reference| reference.descriptor.digest == image.manifest.digest)
        .filter_map(|reference| reference.name)
        .collect();
    Ok(json!({
        "digest": image.manifest.digest,
        "config_digest": image.config_descriptor.digest,
        "names": names,
        "annotations": &image.annotations,
        "config": config,
        "layers": layers,
    }))
}

/// The names in one of the configuration's sets.
fn keys(set: &Option<std::collections::BTreeMap<String, serde_json::Value>>) -> String {
    set.iter()
        .flat_map(|set| set.keys().cloned())
        .collect::<Vec<_>>()
        .join(", ")
}

fn as_text(store: &Store, image: &Image) -> Result<String, CommandError> {
    let mut text = String::new();
    let config = &image.config.config;
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<13}{value}", format!("{name}:"));
        }
    };
    let names: Vec<String> = store
        .references()
        .map_err(CommandError::host)?
        .into_iter()
        .filter(|reference| reference.descriptor.digest == image.manifest.digest)
        .filter_map(|reference| reference.name)
        .collect();
    let words = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    field("Digest", image.manifest.digest.to_string());
    field("Config", image.config_descriptor.digest.to_string());
    field("Names", names.join(", "));
    field(
        "Platform",
        format!("{}/{}", image.config.os, image.config.architecture),
    );
    field("Created", image.config.created.clone().unwrap_or_default());
    if let Some(entrypoint) = &config.entrypoint {
        field("Entrypoint", words(entrypoint));
    }
    if let Some(cmd) = &config.cmd {
        field("Cmd", words(cmd));
    }
    for (name, value) in environment_of(config) {
        field("Env", format!("{name}={value}"));
    }
    field("User", config.user.clone().unwrap_or_default());
    field("Workdir", config.working_dir.clone().unwrap_or_default());
    field("Ports", keys(&config.exposed_ports));
    field("Volumes", keys(&config.volumes));
    field(
        "Stop signal",
        config.stop_signal.clone().unwrap_or_default(),
    );
    for (name, value) in config.labels.iter().flatten() {
        field("Label", format!("{name}={value}"));
    }
    for (name, value) in &image.annotations {
        field("Annotation", format!("{name}={value}"));
    }
    let mut table = Table::new([
        ("LAYER", Align::Left),
        ("SIZE", Align::Right),
        ("MADE BY", Align::Left),
    ]);
    for entry in entries(image) {
        table.push([
            entry
                .layer
                .map_or_else(|| "-".to_owned(), |layer| layer.digest.short()),
            entry
                .layer
                .map_or_else(|| "-".to_owned(), |layer| format::bytes(layer.size)),
            entry.created_by.to_owned(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    Ok(text)
}
