//! Files of a template: which ones belong to it, and their texts. Nothing is parsed here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The texts that a template is made of.
#[derive(Clone, Debug, Default)]
pub struct TemplateTexts {
    /// The folder of the template, as given.
    pub folder: PathBuf,
    /// `*.pkr.hcl`, in the order of their names.
    pub templates: Vec<NamedText>,
    /// `*.auto.pkrvars.hcl` in the order of their names, then the variable files asked for.
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
    #[error("there is no *.pkr.hcl file in {}", path.display())]
    NoTemplate {
        /// The folder.
        path: PathBuf,
    },
    /// HCL's JSON syntax.
    #[error("{}: HCL's JSON syntax is not supported yet", path.display())]
    JsonSyntax {
        /// The file.
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
            FileError::NotHcl { .. } => Some("a template's name ends in .pkr.hcl"),
            FileError::LegacyJson { .. } => {
                Some("`packer hcl2_upgrade FILE` converts it to HCL, which hardtack builds")
            }
            FileError::StandardInput => {
                Some("Packer takes only JSON templates there; name a file or a folder")
            }
            FileError::JsonSyntax { .. } => Some("write it as .pkr.hcl or .pkrvars.hcl"),
            FileError::UnknownVariableFormat { .. } => {
                Some("the name of a variable file ends in .pkrvars.hcl")
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
                    errors.extend(listing.refused);
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
                name if name.ends_with(".pkr.hcl") => templates.push(path.to_owned()),
                name if name.ends_with(".pkr.json") => {
                    errors.push(FileError::JsonSyntax {
                        path: path.to_owned(),
                    });
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
            name if name.ends_with(".hcl") => automatic.push(file.clone()),
            name if name.ends_with(".json") => {
                errors.push(FileError::JsonSyntax { path: file.clone() });
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
#[derive(Default)]
struct Listing {
    templates: Vec<PathBuf>,
    variable_files: Vec<PathBuf>,
    refused: Vec<FileError>,
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
    let mut listing = Listing::default();
    for path in paths {
        let name = name_of(&path).to_owned();
        let json = name.ends_with(".pkr.json") || name.ends_with(".auto.pkrvars.json");
        if path.is_dir() {
            // A folder may be called anything.
        } else if name.ends_with(".pkr.hcl") {
            listing.templates.push(path);
        } else if name.ends_with(".auto.pkrvars.hcl") {
            listing.variable_files.push(path);
        } else if json {
            listing.refused.push(FileError::JsonSyntax { path });
        }
    }
    Ok(listing)
}

fn read_text(path: &Path) -> Result<String, FileError> {
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
            ("z.auto.pkrvars.hcl", b"z"),
            ("other.pkrvars.hcl", b"o"),
            ("notes.txt", b"\xff"),
        ]);
        let given = folder.path().join("other.pkrvars.hcl");
        let texts = read(folder.path(), &[given]).unwrap();
        let all =
            |texts: &[NamedText]| texts.iter().map(|one| one.text.clone()).collect::<String>();
        assert_eq!(all(&texts.templates), "ab");
        assert_eq!(all(&texts.variable_files), "zo");
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
            ("b.pkr.json", b"{}"),
            ("v.yaml", b""),
            ("old.json", b"{}"),
        ]);
        let path = folder.path();
        assert_eq!(
            messages(read(path, &[path.join("v.yaml")]), path),
            [
                "T/b.pkr.json: HCL's JSON syntax is not supported yet",
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
            ["there is no *.pkr.hcl file in T"]
        );
    }
}
