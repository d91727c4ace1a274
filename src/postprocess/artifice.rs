//! The `artifice` post-processor: other files take the place of the artifact.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::provision::Said;
use crate::template::Arguments;
use globset::{GlobBuilder, GlobMatcher};
use std::fs;
use std::path::{Path, PathBuf};

/// An `artifice` post-processor.
#[derive(Clone, Debug)]
struct Artifice {
    /// Paths and globs.
    files: Vec<String>,
}

/// Decodes the options of an `artifice` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let files: Vec<String> = arguments.required("files")?;
    let mut valid = true;
    if files.is_empty() {
        arguments.error(
            arguments.span("files"),
            "files names nothing that could be the artifact",
            &["name files, or globs such as \"out/*.tar\""],
        );
        valid = false;
    }
    for pattern in &files {
        if let Err(error) = glob(pattern) {
            arguments.error(
                arguments.span("files"),
                format!("{pattern:?} is not a glob: {error}"),
                &[],
            );
            valid = false;
        }
    }
    valid.then(|| Box::new(Artifice { files }) as Box<dyn PostProcessor>)
}

impl PostProcessor for Artifice {
    fn kind(&self) -> &'static str {
        "artifice"
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let mut files = Vec::new();
        for pattern in &self.files {
            let found = find(pattern, context.working_folder)?;
            if found.is_empty() {
                return Err(PostProcessError::NothingFound {
                    pattern: pattern.clone(),
                });
            }
            files.extend(found);
        }
        let names: Vec<String> = files
            .iter()
            .map(|file: &PathBuf| file.display().to_string())
            .collect();
        let names = names.join(", ");
        (context.say)(Said::Note(&format!("Using these artifact files: {names}")));
        Ok(Artifact {
            kind: "artifice",
            digest: input.digest,
            value: names,
            files,
            names: Vec::new(),
            packer: None,
        })
    }
}

/// Compiles one part of a path.
fn glob(part: &str) -> Result<GlobMatcher, String> {
    let mut builder = GlobBuilder::new(part);
    let glob = builder.literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

/// Finds what a path or glob names, sorted; as in Go a wildcard does not cross a slash.
fn find(pattern: &str, working_folder: &Path) -> Result<Vec<PathBuf>, PostProcessError> {
    let mut found = vec![if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        PathBuf::new()
    }];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in found {
            if !part.contains(['*', '?', '[', '{']) {
                next.push(folder.join(part));
                continue;
            }
            // A pattern that does not compile was refused when the options were read.
            let (Ok(entries), Ok(glob)) = (fs::read_dir(working_folder.join(&folder)), glob(part))
            else {
                continue;
            };
            for entry in entries {
                let entry = entry.map_err(PostProcessError::file("read", &folder))?;
                if glob.is_match(entry.file_name()) {
                    next.push(folder.join(entry.file_name()));
                }
            }
        }
        found = next;
    }
    found.retain(|path| working_folder.join(path).is_file());
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_a_folder_and_folders_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.tar", "a.tar", "x/c.tar", "y/d.tar", "y/e.txt"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        for (pattern, expected) in [
            ("*.tar", &["a.tar", "b.tar"][..]),
            ("*/*.tar", &["x/c.tar", "y/d.tar"]),
            ("./y/{d,e}.*", &["./y/d.tar", "./y/e.txt"]),
            ("x", &[]),
            ("missing", &[]),
        ] {
            let found = find(pattern, folder.path()).unwrap();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
