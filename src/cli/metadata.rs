//! The file of `--metadata-file`: what was built, as JSON (docs/events.md).

use super::error::CommandError;
use super::output_file::OutputFile;
use crate::build::{BuiltLayer, Outcome};
use crate::check::{Results, TestResult};
use crate::mask::Masker;
use crate::plan::Costs;
use crate::postprocess::Artifact;
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Writes what became of all builds; those that failed are not in it.
pub fn write(
    file: &OutputFile,
    outcomes: &[Outcome],
    tests: &Results,
    masker: &Masker,
) -> Result<(), CommandError> {
    let document = document(outcomes, &tests.by_build(), masker);
    let mut text =
        serde_json::to_string_pretty(&document).context("cannot write the metadata as JSON")?;
    text.push('\n');
    file.replace(text.as_bytes())
}

/// Reads from such a file how long each build took, in seconds.
pub fn read_costs(path: &Path) -> Result<Costs, CommandError> {
    #[derive(Deserialize)]
    struct Document {
        builds: BTreeMap<String, Build>,
    }
    #[derive(Deserialize)]
    struct Build {
        seconds: f64,
    }
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document: Document = serde_json::from_slice(&text).with_context(|| {
        let path = path.display();
        format!("{path} is not what `hardtack build --metadata-file` writes")
    })?;
    let seconds = document.builds.into_iter();
    Ok(seconds
        .map(|(name, build)| (name, build.seconds.max(0.0)))
        .collect())
}

fn document(
    outcomes: &[Outcome],
    tests: &BTreeMap<String, Vec<TestResult>>,
    masker: &Masker,
) -> Value {
    let mut builds = serde_json::Map::new();
    for outcome in outcomes {
        let Ok(built) = &outcome.result else { continue };
        let layers: Vec<_> = built.layers.iter().map(|it| layer(it, masker)).collect();
        let artifacts: Vec<_> = built
            .artifacts
            .iter()
            .map(|it| artifact(it, masker))
            .collect();
        builds.insert(
            masker.mask(&outcome.name).into_owned(),
            json!({
                "digest": built.digest,
                "config": built.config,
                "layers": layers,
                "artifacts": artifacts,
                "tests": tests.get(&outcome.name).map(Vec::as_slice).unwrap_or_default(),
                "seconds": outcome.seconds,
            }),
        );
    }
    json!({ "builds": builds })
}

fn layer(layer: &BuiltLayer, masker: &Masker) -> Value {
    json!({
        "diff_id": layer.layer.diff_id,
        "digest": layer.layer.digest,
        "size": layer.layer.size,
        "media_type": layer.layer.media_type.to_string(),
        "step": layer.step.as_ref().map(|step| masker.mask(step)),
        "key": layer.key,
        "cached": layer.cached,
    })
}

fn artifact(artifact: &Artifact, masker: &Masker) -> Value {
    let files: Vec<_> = artifact
        .files
        .iter()
        .map(|file| masker.mask(&file.to_string_lossy()).into_owned())
        .collect();
    let names: Vec<_> = artifact
        .names
        .iter()
        .map(|name| masker.mask(name))
        .collect();
    json!({
        "kind": artifact.kind,
        "value": masker.mask(&artifact.value),
        "digest": artifact.digest,
        "files": files,
        "names": names,
    })
}
