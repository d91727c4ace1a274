//! `hardtack images`.

use super::arguments::Images;
use super::build::open_store;
use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use crate::format;
use crate::image;
use crate::store::Platform;
use crate::ui::table::{Align, Table};
use serde_json::json;
use std::process::ExitCode;

/// Runs the command.
pub fn run(arguments: &Images, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    let mut listed = Vec::new();
    for reference in store.references().map_err(CommandError::host)? {
        // What another tool put there and is no image of ours to list is still named.
        let image = image::load(&store, &reference.descriptor, &Platform::host()).ok();
        let size = image
            .as_ref()
            .map(|image| image.layers.iter().map(|layer| layer.size).sum::<u64>());
        listed.push((reference, size));
    }
    if arguments.json {
        let images: Vec<_> = listed
            .iter()
            .map(|(reference, size)| {
                json!({
                    "name": reference.name,
                    "digest": reference.descriptor.digest,
                    "size": size,
                    "built": reference.built,
                })
            })
            .collect();
        output::print_json(&images.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("DIGEST", Align::Left),
        ("SIZE", Align::Right),
        ("BUILT", Align::Left),
    ]);
    for (reference, size) in &listed {
        table.push([
            reference
                .name
                .clone()
                .unwrap_or_else(|| "<none>".to_owned()),
            reference.descriptor.digest.short(),
            size.map_or_else(|| "?".to_owned(), format::bytes),
            reference
                .built
                .as_ref()
                .and_then(|built| built.parse().ok())
                .map_or_else(
                    || "?".to_owned(),
                    |built| format::age(built, surroundings.now),
                ),
        ]);
    }
    output::print(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}
