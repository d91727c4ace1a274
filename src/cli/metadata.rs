//! The file of `--metadata-file`: what was built, as JSON (docs/events.md).

use super::error::CommandError;
use crate::build::{BuiltLayer, Outcome};
use crate::mask::Masker;
use crate::plan::Costs;
use crate::postprocess::Artifact;
use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A place that the metadata can be written to.
#[derive(Debug)]
pub struct MetadataFile {
    path: PathBuf,
    /// A pipe or a device is written to, anything else is replaced in one piece.
    is_special: bool,
}

impl MetadataFile {
    /// Makes sure, before anything is built, that `path` can be written.
    pub fn prepare(path: &Path) -> Result<Self, CommandError> {
        let unusable = |problem: anyhow::Error| {
            CommandError::user(problem.context(format!("cannot write {}", path.display())))
                .hint("--metadata-file names a file in a folder that exists and can be written")
        };
        // What a link points at is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let kind = fs::metadata(&target).ok().map(|found| found.file_type());
        if kind.is_some_and(|kind| kind.is_dir()) || path.as_os_str().is_empty() {
            return Err(unusable(anyhow!("it is a folder")));
        }
        let file = Self {
            is_special: kind.is_some_and(|kind| !kind.is_file()),
            path: target,
        };
        let probe = if file.is_special {
            rustix::fs::access(&file.path, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
        } else {
            tempfile::NamedTempFile::new_in(file.folder()).map(drop)
        };
        match probe {
            Ok(()) => Ok(file),
            // Without the name of the file that was tried.
            Err(error) => Err(unusable(match error.get_ref().and_then(|it| it.source()) {
                Some(cause) => anyhow!(cause.to_string()),
                None => error.into(),
            })),
        }
    }

    /// Writes what became of all builds; those that failed are not in it.
    pub fn write(&self, outcomes: &[Outcome], masker: &Masker) -> Result<(), CommandError> {
        let mut text = serde_json::to_string_pretty(&document(outcomes, masker))
            .context("cannot write the metadata as JSON")?;
        text.push('\n');
        self.replace(text.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_special {
            return fs::File::options()
                .write(true)
                .open(&self.path)?
                .write_all(bytes);
        }
        let mut file = tempfile::NamedTempFile::new_in(self.folder())?;
        file.write_all(bytes)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(&self.path)?;
        Ok(())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
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

fn document(outcomes: &[Outcome], masker: &Masker) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", ".", "missing/file", "file/below"] {
            fs::write(folder.path().join("file"), "").unwrap();
            let path = match path {
                "" => PathBuf::new(),
                path => folder.path().join(path),
            };
            assert!(MetadataFile::prepare(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn links_and_devices_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let place = MetadataFile::prepare(&link).unwrap();
        place.write(&[], &Masker::default()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "{\n  \"builds\": {}\n}\n"
        );

        let device = MetadataFile::prepare(Path::new("/dev/null")).unwrap();
        device.write(&[], &Masker::default()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
