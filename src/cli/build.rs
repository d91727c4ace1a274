//! `hardtack build`.

use super::arguments::Build;
use super::error::CommandError;
use super::surroundings::Surroundings;
use crate::build::event::EventSink;
use crate::build::{self, BuildError, Outcome};
use crate::postprocess::Artifact;
use crate::store::Store;
use crate::ui;
use anyhow::Context as _;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
pub fn run(arguments: &Build, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let plan = super::plan::prepare(&arguments.template, surroundings)?;
    let store = open_store(surroundings)?;
    let display = Arc::new(ui::display(
        arguments.progress,
        ui::Settings {
            terminal: surroundings.stderr_is_terminal,
            color: surroundings.color,
            size: Box::new(super::surroundings::terminal_size),
            clock: Box::new(jiff::Timestamp::now),
            secrets: plan.secrets.clone(),
        },
        Box::new(std::io::stderr()),
    ));
    let events: Arc<dyn EventSink> = display.clone();
    let mut environment = surroundings.build_environment(store, events);
    environment.no_cache = arguments.template.no_cache;
    environment.parallel_builds = usize::try_from(arguments.parallel_builds)
        .ok()
        .filter(|count| *count > 0);
    if let Some(threads) = arguments.threads {
        environment.threads = threads.clamp(1, 1024);
    }
    let outcomes = build::run(environment, plan).map_err(CommandError::host)?;
    display.finish();

    let mut stdout = std::io::stdout().lock();
    for (outcome, artifact) in artifacts(&outcomes) {
        writeln!(
            stdout,
            "{} {} {}",
            outcome.name, artifact.kind, artifact.value
        )
        .context("cannot write to stdout")?;
    }
    if let Some(path) = &arguments.metadata_file {
        write_metadata(&surroundings.working_folder.join(path), &outcomes)?;
    }
    if outcomes
        .iter()
        .any(|outcome| is_host_error(outcome.result.as_ref().err()))
    {
        return Ok(ExitCode::from(4));
    }
    Ok(if outcomes.iter().all(|outcome| outcome.result.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Opens the store of this run.
pub fn open_store(surroundings: &Surroundings) -> Result<Store, CommandError> {
    Store::open(&surroundings.store).map_err(|error| {
        CommandError::host(error).hint("--store DIR or HARDTACK_STORE name another folder")
    })
}

/// Whether an error is the host's and not the template's.
fn is_host_error(error: Option<&BuildError>) -> bool {
    matches!(error, Some(BuildError::Sandbox(error)) if error.is_of_host())
}

fn artifacts(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, &Artifact)> {
    outcomes.iter().flat_map(|outcome| {
        let built = outcome.result.as_ref().ok();
        built
            .into_iter()
            .flat_map(move |built| built.artifacts.iter().map(move |it| (outcome, it)))
    })
}

/// Writes what was built as JSON, in one piece.
fn write_metadata(path: &Path, outcomes: &[Outcome]) -> Result<(), CommandError> {
    let mut builds = serde_json::Map::new();
    for outcome in outcomes {
        let Ok(built) = &outcome.result else { continue };
        let layers: Vec<_> = built
            .layers
            .iter()
            .map(|layer| {
                json!({
                    "diff_id": layer.layer.diff_id,
                    "digest": layer.layer.digest,
                    "size": layer.layer.size,
                    "media_type": layer.layer.media_type.to_string(),
                    "step": layer.step,
                    "key": layer.key,
                    "cached": layer.cached,
                })
            })
            .collect();
        let artifacts: Vec<_> = built
            .artifacts
            .iter()
            .map(|artifact| {
                json!({
                    "kind": artifact.kind,
                    "value": artifact.value,
                    "digest": artifact.digest,
                    "files": artifact.files,
                    "names": artifact.names,
                })
            })
            .collect();
        builds.insert(
            outcome.name.clone(),
            json!({
                "digest": built.digest,
                "config": built.config,
                "layers": layers,
                "artifacts": artifacts,
                "seconds": outcome.seconds,
            }),
        );
    }
    let mut text = serde_json::to_string_pretty(&json!({ "builds": builds }))
        .context("cannot write the metadata as JSON")?;
    text.push('\n');
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
