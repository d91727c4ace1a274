//! The `manifest` post-processor: Packer's JSON record of what was built.
//!
//! Like Packer it appends to an existing file, so that scripts find the last run by
//! `last_run_uuid`; `-force` drops what other runs have left. A file that is not such a record is never overwritten.
//! Sensitive values are masked in it, as it is made to be kept and passed on.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::template::Arguments;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A `manifest` post-processor.
#[derive(Clone, Debug)]
struct Manifest {
    output: String,
    strip_path: bool,
    strip_time: bool,
    custom_data: BTreeMap<String, String>,
}

/// Decodes the options of a `manifest` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    Some(Box::new(Manifest {
        output: arguments
            .optional("output")
            .unwrap_or_else(|| "packer-manifest.json".to_owned()),
        strip_path: arguments.optional("strip_path").unwrap_or(false),
        strip_time: arguments.optional("strip_time").unwrap_or(false),
        custom_data: arguments.optional("custom_data").unwrap_or_default(),
    }))
}

/// The file's content, with Packer's names.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// As they stand in the file: scripts may have added to them.
    builds: Vec<Box<RawValue>>,
    last_run_uuid: String,
}

/// One build of the record.
#[derive(Debug, Serialize)]
struct Build<'a> {
    name: &'a str,
    builder_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_time: Option<i64>,
    /// As Go writes a slice without elements: null.
    files: Option<Vec<BuildFile>>,
    artifact_id: String,
    packer_run_uuid: &'a str,
    custom_data: Option<&'a BTreeMap<String, String>>,
}

/// One file of an artifact.
#[derive(Debug, Serialize)]
struct BuildFile {
    name: String,
    size: u64,
}

impl PostProcessor for Manifest {
    fn kind(&self) -> &'static str {
        "manifest"
    }

    fn needs_input(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let path = context.working_folder.join(&self.output);
        let mut files = Vec::new();
        for file in &input.files {
            let size = fs::metadata(file)
                .map_err(PostProcessError::file("read", file))?
                .len();
            let name = if self.strip_path {
                file.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            } else {
                file.display().to_string()
            };
            let name = context.masker.mask(&name).into_owned();
            files.push(BuildFile { name, size });
        }
        let masked = |text: &String| context.masker.mask(text).into_owned();
        let data = self.custom_data.iter();
        let custom_data = data
            .map(|(name, value)| (masked(name), masked(value)))
            .collect::<BTreeMap<_, _>>();
        let build = Build {
            name: context.source_name,
            builder_type: context.source_type,
            build_time: (!self.strip_time).then(|| context.now.as_second()),
            files: (!files.is_empty()).then_some(files),
            artifact_id: input.id(),
            packer_run_uuid: context.run_id,
            custom_data: (!custom_data.is_empty()).then_some(&custom_data),
        };
        append(&path, &build, context.run_id, context.force)?;
        // What comes behind it in a chain works on what was built, as in Packer.
        Ok(input.clone())
    }
}

/// Adds one build to the record at `path`; parallel builds take turns.
fn append(
    path: &Path,
    build: &impl Serialize,
    run_id: &str,
    force: bool,
) -> Result<(), PostProcessError> {
    let write_error = |source: io::Error| PostProcessError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    };
    let unwritable = |error: serde_json::Error| PostProcessError::ForeignManifest {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(write_error)?;
    }
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o664)
        .open(path)
        .map_err(write_error)?;
    file.lock().map_err(write_error)?;
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(PostProcessError::file("read", path))?;
    let mut record: Record = if text.trim().is_empty() {
        Record::default()
    } else {
        serde_json::from_str(&text).map_err(|error| PostProcessError::ForeignManifest {
            path: path.to_owned(),
            problem: error.to_string(),
        })?
    };
    if force && record.last_run_uuid != run_id {
        record = Record::default();
    }
    record.builds.push(raw(build).map_err(unwritable)?);
    record.last_run_uuid = run_id.to_owned();
    let text = serde_json::to_string_pretty(&record).map_err(unwritable)?;
    file.rewind().map_err(write_error)?;
    file.set_len(0).map_err(write_error)?;
    file.write_all(text.as_bytes()).map_err(write_error)
}

/// One build, indented as it stands in the record, with Go's escapes.
fn raw(build: &impl Serialize) -> serde_json::Result<Box<RawValue>> {
    let mut text = serde_json::to_string_pretty(build)?;
    // These stand only within strings.
    for (letter, escape) in [
        ("&", "\\u0026"),
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ] {
        text = text.replace(letter, escape);
    }
    // No string of JSON holds a line feed.
    RawValue::from_string(text.replace('\n', "\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_record_grows_and_a_foreign_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/packer-manifest.json");
        append(&path, &json!({"name": "a"}), "run-1", false).unwrap();
        append(&path, &json!({"name": "b"}), "run-2", false).unwrap();
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            record["builds"],
            json!([json!({"name": "a"}), json!({"name": "b"})])
        );
        assert_eq!(record["last_run_uuid"], "run-2");

        for name in ["c", "d"] {
            append(&path, &json!({ "name": name }), "run-3", true).unwrap();
        }
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            record["builds"],
            json!([json!({"name": "c"}), json!({"name": "d"})])
        );

        fs::write(&path, "precious").unwrap();
        let error = append(&path, &json!({}), "run-3", false).unwrap_err();
        assert!(matches!(error, PostProcessError::ForeignManifest { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
