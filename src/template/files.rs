//! Files of a template: which ones belong to it, and their texts. Nothing is parsed here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The texts that a template is made of.
#[derive(Clone, Debug, Default)]
pub struct TemplateTexts {
    /// The folder of the template, as given.
    pub folder: PathBuf,
    /// `*.pkr.hcl`, then `*.pkr.json`, each in the order of their names.
    pub templates: Vec<NamedText>,
    /// `*.auto.pkrvars.hcl`, then `*.auto.pkrvars.json`, each in the order of their names, then
    /// the variable files asked for.
    pub variable_files: Vec<NamedText>,
}

/// A text and what messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedText {
    /// The path as the user would write it.
    pub name: String,
    /// The content, without a byte order mark.
    pub text: String,
}

/// Why a template's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path does not exist, or is not readable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file with bytes that are no text.
    #[error("{} is not UTF-8: invalid byte at offset {offset}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where the text ends.
        offset: usize,
    },
    /// A file too large to be a template.
    #[error("{} is larger than {} MiB", path.display(), LARGEST_FILE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A folder without templates.
    #[error("there is no *.pkr.hcl or *.pkr.json file in {}", path.display())]
    NoTemplate {
        /// The folder.
        path: PathBuf,
    },
    /// A template of Packer's first language.
    #[error("{} is a JSON template of Packer's first language, which is not supported", path.display())]
    LegacyJson {
        /// The file.
        path: PathBuf,
    },
    /// A template on standard input.
    #[error("a template cannot come from standard input")]
    StandardInput,
    /// A file of another kind.
    #[error("{} is not an HCL template", path.display())]
    NotHcl {
        /// The file.
        path: PathBuf,
    },
    /// A variable file with neither suffix.
    #[error("cannot tell the format of {}", path.display())]
    UnknownVariableFormat {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            FileError::NotHcl { .. } => Some("a template's name ends in .pkr.hcl or .pkr.json"),
            FileError::LegacyJson { .. } => {
                Some("`packer hcl2_upgrade FILE` converts it to HCL, which hardtack builds")
            }
            FileError::StandardInput => {
                Some("Packer takes only JSON templates there; name a file or a folder")
            }
            FileError::UnknownVariableFormat { .. } => {
                Some("the name of a variable file ends in .pkrvars.hcl or .pkrvars.json")
            }
            FileError::NotText { .. } => Some("save the file in the encoding UTF-8"),
            FileError::Read { .. } | FileError::TooLarge { .. } | FileError::NoTemplate { .. } => {
                None
            }
        }
    }
}

/// The size in bytes up to which a file is taken for a template.
const LARGEST_FILE: u64 = 64 << 20;

/// Reads a template, a file or a folder of files, and the variable files asked for. Everything
/// that is wrong is returned, not the first only.
pub fn read(path: &Path, variable_files: &[PathBuf]) -> Result<TemplateTexts, Vec<FileError>> {
    let mut errors = Vec::new();
    let mut texts = TemplateTexts::default();
    let mut automatic = Vec::new();
    let mut templates = Vec::new();
    match fs::metadata(path) {
        Err(_) if path == Path::new("-") => errors.push(FileError::StandardInput),
        Err(source) => errors.push(FileError::Read {
            path: path.to_owned(),
            source,
        }),
        Ok(metadata) if metadata.is_dir() => {
            texts.folder = path.to_owned();
            match list(path) {
                Err(error) => errors.push(error),
                Ok(listing) => {
                    templates = listing.templates;
                    automatic = listing.variable_files;
                    if templates.is_empty() && errors.is_empty() {
                        errors.push(FileError::NoTemplate {
                            path: path.to_owned(),
                        });
                    }
                }
            }
        }
        Ok(_) => {
            texts.folder = folder_of(path);
            match name_of(path) {
                name if name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json") => {
                    templates.push(path.to_owned());
                }
                name if name.ends_with(".json") => errors.push(FileError::LegacyJson {
                    path: path.to_owned(),
                }),
                _ => errors.push(FileError::NotHcl {
                    path: path.to_owned(),
                }),
            }
        }
    }
    for file in variable_files {
        match name_of(file) {
            name if name.ends_with(".hcl") || name.ends_with(".json") => {
                automatic.push(file.clone());
            }
            _ => errors.push(FileError::UnknownVariableFormat { path: file.clone() }),
        }
    }
    let mut named = |path: PathBuf| match read_text(&path) {
        Ok(text) => Some(NamedText {
            name: path.display().to_string(),
            text,
        }),
        Err(error) => {
            errors.push(error);
            None
        }
    };
    texts.templates = templates.into_iter().filter_map(&mut named).collect();
    texts.variable_files = automatic.into_iter().filter_map(&mut named).collect();
    if errors.is_empty() {
        Ok(texts)
    } else {
        Err(errors)
    }
}

/// Reads the file of a `templatefile()` call; the path is relative to the template's folder.
pub(super) fn read_template_file(folder: &Path, path: &str) -> Result<String, FileError> {
    read_text(&folder.join(path))
}

/// The files of a folder that belong to a template.
struct Listing {
    templates: Vec<PathBuf>,
    variable_files: Vec<PathBuf>,
}

fn list(folder: &Path) -> Result<Listing, FileError> {
    let failed = |source| FileError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    // A folder may be called anything.
    paths.retain(|path| !path.is_dir());
    let ending = |endings: [&str; 2]| {
        let with = |ending| {
            paths
                .iter()
                .filter(move |path| name_of(path).ends_with(ending))
        };
        endings.into_iter().flat_map(with).cloned().collect()
    };
    Ok(Listing {
        templates: ending([".pkr.hcl", ".pkr.json"]),
        variable_files: ending([".auto.pkrvars.hcl", ".auto.pkrvars.json"]),
    })
}

/// Reads a file of a template, without a byte order mark.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.len() > LARGEST_FILE {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| FileError::NotText {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(unmarked) => unmarked.to_owned(),
        None => text,
    })
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

/// The folder that a file is in, in the user's words: `.` if they gave a bare name.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn messages(result: Result<TemplateTexts, Vec<FileError>>, folder: &Path) -> Vec<String> {
        let shown = folder.display().to_string();
        let errors = result.err().unwrap_or_default();
        errors
            .iter()
            .map(|error| error.to_string().replace(&shown, "T"))
            .collect()
    }

    #[test]
    fn a_folder_gives_its_files_in_order() {
        let folder = folder(&[
            ("b.pkr.hcl", b"b"),
            ("a.pkr.hcl", b"\xef\xbb\xbfa"),
            ("a.pkr.json", b"c"),
            ("y.auto.pkrvars.json", b"y"),
            ("z.auto.pkrvars.hcl", b"z"),
            ("other.pkrvars.hcl", b"o"),
            ("notes.txt", b"\xff"),
        ]);
        let given = folder.path().join("other.pkrvars.hcl");
        let texts = read(folder.path(), &[given]).unwrap();
        let all =
            |texts: &[NamedText]| texts.iter().map(|one| one.text.clone()).collect::<String>();
        assert_eq!(all(&texts.templates), "abc");
        assert_eq!(all(&texts.variable_files), "zyo");
        assert_eq!(texts.folder, folder.path());
    }

    #[test]
    fn a_file_stands_alone() {
        let folder = folder(&[("a.pkr.hcl", b"a"), ("z.auto.pkrvars.hcl", b"z")]);
        let texts = read(&folder.path().join("a.pkr.hcl"), &[]).unwrap();
        assert_eq!(texts.templates.len(), 1);
        assert!(texts.variable_files.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = folder(&[
            ("a.pkr.hcl", b"x = \"\xff\""),
            ("v.yaml", b""),
            ("old.json", b"{}"),
        ]);
        let path = folder.path();
        assert_eq!(
            messages(read(path, &[path.join("v.yaml")]), path),
            [
                "cannot tell the format of T/v.yaml",
                "T/a.pkr.hcl is not UTF-8: invalid byte at offset 5",
            ]
        );
        assert_eq!(
            messages(read(&path.join("old.json"), &[]), path),
            ["T/old.json is a JSON template of Packer's first language, which is not supported"]
        );
        assert_eq!(
            messages(read(&path.join("none"), &[]), path),
            ["cannot read T/none: No such file or directory (os error 2)"]
        );
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(
            messages(read(empty.path(), &[]), empty.path()),
            ["there is no *.pkr.hcl or *.pkr.json file in T"]
        );
    }
}
