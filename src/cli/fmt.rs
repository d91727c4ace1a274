//! `hardtack fmt`: writes template and variable files in their canonical form.

use super::arguments::go_boolean;
use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use super::template::print_diagnostics;
use crate::mask::Masker;
use crate::template::canonical::format;
use crate::template::{NamedText, read_text};
use anyhow::Context as _;
use clap::Args;
use similar::TextDiff;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Packer's exit code of `-check` when something is not formatted.
const NOT_FORMATTED: u8 = 3;

/// `hardtack fmt`.
#[derive(Args, Debug)]
pub struct FmtArguments {
    /// Files, folders whose *.pkr.hcl and *.pkrvars.hcl files are meant, or `-` for standard input.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Write nothing; exit with 3 if a file is not in the canonical form.
    #[arg(long)]
    pub check: bool,

    /// Show what changes.
    #[arg(long)]
    pub diff: bool,

    /// Whether to write the files [default: true].
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = go_boolean
    )]
    pub write: Option<bool>,

    /// Format the folders inside a folder too.
    #[arg(long)]
    pub recursive: bool,
}

/// Runs the command. A file that is wrong is left alone, and the others are formatted all the same.
pub fn run(
    arguments: &FmtArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let mut formatting = Formatting {
        arguments,
        color: surroundings.color,
        changes: false,
        fails: false,
    };
    for path in &arguments.paths {
        if path.as_os_str() == "-" {
            formatting.standard_input()?;
            continue;
        }
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        match list(path, arguments.recursive, &mut seen, &mut files) {
            Ok(()) => {}
            Err(error) => formatting.fail(&error),
        }
        for file in files {
            if let Err(error) = formatting.file(&file) {
                formatting.fail(&error);
            }
        }
    }
    Ok(ExitCode::from(match &formatting {
        it if it.fails => 1,
        it if it.changes && arguments.check => NOT_FORMATTED,
        _ => 0,
    }))
}

struct Formatting<'a> {
    arguments: &'a FmtArguments,
    color: bool,
    /// Whether a text was not in the canonical form.
    changes: bool,
    /// Whether an error was told.
    fails: bool,
}

impl Formatting<'_> {
    fn fail(&mut self, error: &CommandError) {
        error.report(self.color);
        self.fails = true;
    }

    fn file(&mut self, path: &Path) -> Result<(), CommandError> {
        let name = path.display().to_string();
        let text = read_text(path).map_err(|error| {
            let help = error.help();
            let refused = CommandError::user(error);
            help.into_iter().fold(refused, CommandError::hint)
        })?;
        let Some(formatted) = self.formatted(&name, &text) else {
            return Ok(());
        };
        if formatted == text {
            return Ok(());
        }
        self.changes = true;
        if self.arguments.write.unwrap_or(true) && !self.arguments.check {
            replace(path, &formatted)?;
        }
        output::print(&format!("{name}\n"))?;
        self.show(&name, &text, &formatted)
    }

    /// Standard input has no place to be written back to, so its canonical form is the output.
    fn standard_input(&mut self) -> Result<(), CommandError> {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        let Some(formatted) = self.formatted("<stdin>", &text) else {
            return Ok(());
        };
        self.changes |= formatted != text;
        if self.arguments.diff {
            self.show("<stdin>", &text, &formatted)
        } else if self.arguments.check {
            Ok(())
        } else {
            output::print(&formatted)
        }
    }

    /// The canonical form; none after errors of syntax, which are told.
    fn formatted(&mut self, name: &str, text: &str) -> Option<String> {
        let text = NamedText {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        match format(text) {
            Ok(formatted) => Some(formatted),
            Err((sources, diagnostics)) => {
                print_diagnostics(diagnostics, &sources, self.color, &Masker::default());
                self.fails = true;
                None
            }
        }
    }

    fn show(&self, name: &str, before: &str, after: &str) -> Result<(), CommandError> {
        if !self.arguments.diff || before == after {
            return Ok(());
        }
        let difference = TextDiff::from_lines(before, after);
        let mut unified = difference.unified_diff();
        unified.header(&format!("old/{name}"), &format!("new/{name}"));
        output::print(&unified.to_string())
    }
}

/// The files that a path means, in the order of their names. A file is meant by its own path
/// whatever the folder holds; a folder of links to itself is entered once.
fn list(
    path: &Path,
    recursive: bool,
    seen: &mut BTreeSet<(u64, u64)>,
    files: &mut Vec<PathBuf>,
) -> Result<(), CommandError> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_dir() {
        if !is_formatted(path) {
            let refused = anyhow::anyhow!("{} is no template or variable file", path.display());
            return Err(CommandError::user(refused)
                .hint("files named *.pkr.hcl and *.pkrvars.hcl are formatted"));
        }
        files.push(path.to_owned());
        return Ok(());
    }
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return Ok(());
    }
    let mut entries = fs::read_dir(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the folder {}", path.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        // `fmt .` tells `a.pkr.hcl`, not `./a.pkr.hcl`.
        let inner = match path.as_os_str() == "." {
            true => PathBuf::from(name),
            false => path.join(name),
        };
        if inner.is_dir() {
            if recursive {
                list(&inner, recursive, seen, files)?;
            }
        } else if is_formatted(&inner) {
            files.push(inner);
        }
    }
    Ok(())
}

fn is_formatted(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".pkr.hcl") || name.ends_with(b".pkrvars.hcl")
}

/// Replaces the content of a file at once, and keeps its mode and owner. Where a link leads is
/// replaced, not the link.
fn replace(path: &Path, content: &str) -> Result<(), CommandError> {
    let failed = || format!("cannot write {}", path.display());
    let target = fs::canonicalize(path).with_context(failed)?;
    let metadata = fs::metadata(&target).with_context(failed)?;
    // A rename would go through all the same.
    let _writable = fs::OpenOptions::new()
        .write(true)
        .open(&target)
        .with_context(failed)?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".hardtack-fmt-")
        .tempfile_in(folder)
        .with_context(failed)?;
    file.write_all(content.as_bytes()).with_context(failed)?;
    fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid())).with_context(failed)?;
    file.as_file()
        .set_permissions(metadata.permissions())
        .with_context(failed)?;
    file.persist(&target).with_context(failed)?;
    Ok(())
}
