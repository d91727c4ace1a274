//! Sources that make no image: `null` and `file`.
//!
//! An *imageless* source has no base and no layers. Its build is what its provisioners do on this
//! host, and what its post-processors make of its artifact: nothing, or one file.

use crate::postprocess::Artifact;
use crate::template::{Arguments, Value};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How options of `null` begin that say how Packer connects to a machine.
const COMMUNICATOR_PREFIXES: [&str; 3] = ["ssh_", "winrm_", "pause_before_connecting"];

/// An imageless source with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imageless {
    /// `null`: nothing of its own.
    Null,
    /// `file`: writes one file.
    File {
        /// What it holds.
        content: Content,
        /// Where it is written, as the template has it.
        target: String,
    },
}

/// What a `file` source writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A copy of a host file.
    CopyOf(PathBuf),
}

/// Why a `file` source failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct ImagelessError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What decoding needs to know about the build.
#[derive(Clone, Debug)]
pub struct PrepareContext {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
}

/// The types of these sources, sorted.
pub fn kinds() -> [&'static str; 2] {
    ["file", "null"]
}

/// Decodes and checks the options of a source of type `kind`; none for another type or options
/// that are wrong, which `arguments` then holds diagnostics for.
pub fn prepare(
    kind: &str,
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Imageless> {
    match kind {
        "null" => prepare_null(arguments),
        "file" => prepare_file(arguments, context),
        _ => None,
    }
}

fn prepare_null(arguments: &Arguments<'_>) -> Option<Imageless> {
    let communicator: Option<String> = arguments.optional("communicator");
    for name in arguments.names() {
        if COMMUNICATOR_PREFIXES.iter().any(|it| name.starts_with(it)) {
            let _: Option<Value> = arguments.optional(name);
            arguments.warning(
                arguments.span(name),
                format!("{name} has no effect: hardtack connects to no other machine"),
                &[],
            );
        }
    }
    if let Some(other) = communicator.filter(|it| it != "none") {
        arguments.error(
            arguments.span("communicator"),
            format!("a null source cannot connect by {other:?}"),
            &["hardtack builds on this host alone; write `communicator = \"none\"`, and use shell-local"],
        );
        return None;
    }
    Some(Imageless::Null)
}

fn prepare_file(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Imageless> {
    let content: Option<String> = arguments.optional("content");
    let source: Option<String> = arguments.optional("source");
    let target: Option<String> = arguments.required("target");
    if arguments.any_failed(&["content", "source"]) {
        return None;
    }
    let content = match (content, source) {
        (Some(_), Some(_)) => {
            arguments.error(
                arguments.span("source"),
                "a file source takes its content from one place, and both content and source are given",
                &["leave out one of them"],
            );
            return None;
        }
        (_, Some(source)) => Content::CopyOf(context.working_folder.join(source)),
        (content, None) => Content::Text(content.unwrap_or_default()),
    };
    Some(Imageless::File {
        content,
        target: target?,
    })
}

impl Imageless {
    /// What it is, in a few words.
    pub fn description(&self) -> String {
        match self {
            Self::Null => "none".to_owned(),
            Self::File { target, .. } => format!("file {target}"),
        }
    }

    /// Makes the artifact. An existing file is replaced, as in Packer; one that is made can be
    /// read by its owner alone.
    pub fn make(&self, working_folder: &Path) -> Result<Artifact, ImagelessError> {
        let (content, target) = match self {
            Self::Null => return Ok(Artifact::nothing()),
            Self::File { content, target } => (content, target),
        };
        let path = working_folder.join(target);
        let failed = |operation: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| ImagelessError {
                operation,
                path,
                source,
            }
        };
        if let Some(folder) = path.parent() {
            let mut builder = DirBuilder::new();
            let builder = builder.recursive(true).mode(0o755);
            builder.create(folder).map_err(failed("create", folder))?;
        }
        let create = || {
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&path).map_err(failed("write", &path))
        };
        match content {
            Content::Text(text) => {
                let written = create()?.write_all(text.as_bytes());
                written.map_err(failed("write", &path))?;
            }
            Content::CopyOf(source) => {
                let mut from = File::open(source).map_err(failed("read", source))?;
                // Before the target is emptied, in case both are one file.
                if fs::canonicalize(source).ok() != fs::canonicalize(&path).ok() {
                    io::copy(&mut from, &mut create()?).map_err(failed("write", &path))?;
                }
            }
        }
        // As the template has it: that is what Packer prints.
        Ok(Artifact::file(target, PathBuf::from(target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: Content, target: &str) -> Imageless {
        Imageless::File {
            content,
            target: target.to_owned(),
        }
    }

    #[test]
    fn a_file_is_written_below_new_folders_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["a longer text", "short"] {
            let source = file(Content::Text(text.to_owned()), "deep/er/file");
            let artifact = source.make(folder.path()).unwrap();
            assert_eq!(artifact.description(), "Stored file: deep/er/file");
            let written = fs::read_to_string(folder.path().join("deep/er/file")).unwrap();
            assert_eq!(written, text);
        }
    }

    #[test]
    fn a_copy_of_itself_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        file(Content::CopyOf(path.clone()), "file")
            .make(folder.path())
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_source_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let source = file(Content::CopyOf(folder.path().join("missing")), "file");
        let error = source.make(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
        assert!(!folder.path().join("file").exists());
    }
}
