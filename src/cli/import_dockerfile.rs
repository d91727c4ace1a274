//! `hardtack import-dockerfile`: writes a template that does what a Dockerfile does.

use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use super::template::print_diagnostics;
use crate::dockerfile::{Import, Translation, translate};
use crate::mask::Masker;
use crate::plan::lock;
use crate::store::Platform;
use crate::template::read_text;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

/// `hardtack import-dockerfile`.
#[derive(Args, Debug)]
pub struct ImportArguments {
    /// A Dockerfile, or `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write the template to this file [default: standard output, for a file beside the Dockerfile].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The folder that COPY copies from [default: the Dockerfile's].
    #[arg(long, value_name = "DIR")]
    pub context: Option<PathBuf>,
}

/// Runs the command. What cannot be translated is told and left out, and the exit code is 1 then.
pub fn run(
    arguments: &ImportArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let is_stdin = arguments.file.as_os_str() == "-";
    let working_folder = &surroundings.working_folder;
    let text = if is_stdin {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        text
    } else {
        read_text(&arguments.file).map_err(CommandError::user)?
    };
    if let Some(output) = arguments.output.as_deref().filter(|_| !is_stdin)
        && is_same_file(output, &arguments.file)
    {
        let error = anyhow!(
            "{} is the Dockerfile itself, which the template would replace",
            output.display()
        );
        let help = "--output names another file, as template.pkr.hcl";
        return Err(CommandError::user(error).hint(help));
    }
    let name = match is_stdin {
        true => "Dockerfile".to_owned(),
        false => arguments.file.display().to_string(),
    };
    let beside = arguments.file.parent().filter(|_| !is_stdin);
    let context = arguments
        .context
        .as_deref()
        .or(beside)
        .unwrap_or(Path::new(""));
    let context = absolute(working_folder, context);
    if !context.is_dir() {
        let error = anyhow!("there is no folder {}", context.display());
        return Err(
            CommandError::user(error).hint("--context names the folder that COPY copies from")
        );
    }
    // The template lies in its folder, and one on standard output beside the Dockerfile.
    let folder = match &arguments.output {
        Some(output) => output.parent().unwrap_or(Path::new("")),
        None => beside.unwrap_or(Path::new("")),
    };
    let folder = absolute(working_folder, folder);
    // The first build writes the lock file, and the second one is to be the same.
    let names = arguments.output.iter().filter_map(|it| it.file_name());
    let names = names.chain([OsStr::new(lock::FILE_NAME)]);
    let inside = folder.strip_prefix(&context).ok();
    let own_files: Vec<String> = names
        .filter_map(|name| Some(inside?.join(name).display().to_string()))
        .collect();
    let (ignored_name, ignored) = ignored(&context, &arguments.file)?;
    let short = Path::new(&name).file_name();
    let translated = translate(&Import {
        name: &short.map_or(name.clone(), |name| name.to_string_lossy().into_owned()),
        text: &text,
        context: &context,
        context_name: &relative(&folder, &context),
        ignored: &ignored,
        ignored_name: &ignored_name.display().to_string(),
        own_files: &own_files,
        platform: &Platform::host(),
    });
    let Translation {
        template,
        is_whole,
        diagnostics,
        sources,
    } = match translated {
        Ok(translation) => translation,
        Err((diagnostics, sources)) => {
            print_diagnostics(
                diagnostics,
                &sources,
                surroundings.color,
                &Masker::default(),
            );
            return Ok(ExitCode::from(1));
        }
    };
    print_diagnostics(
        diagnostics,
        &sources,
        surroundings.color,
        &Masker::default(),
    );
    match &arguments.output {
        Some(output) => fs::write(output, template)
            .with_context(|| format!("cannot write {}", output.display()))?,
        None => output::print(&template)?,
    }
    Ok(ExitCode::from(u8::from(!is_whole)))
}

/// Whether two paths lead to the same file, by whatever links.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// The ignore file and its text: one of the Dockerfile's own wins over the context's.
fn ignored(context: &Path, file: &Path) -> Result<(PathBuf, String), CommandError> {
    let mut own = file.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match fs::read_to_string(&path) {
            Ok(text) => return Ok((path, text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(anyhow::Error::from(error)
                    .context(format!("cannot read {}", path.display()))
                    .into());
            }
        }
    }
    Ok((context.join(".dockerignore"), String::new()))
}

/// A path without `.` and `..`, from the root.
fn absolute(working_folder: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in working_folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(whole.pop()),
            part => whole.push(part),
        }
    }
    whole
}

/// How `to` is named from `from`; its whole path where they have nothing in common.
fn relative(from: &Path, to: &Path) -> String {
    let common = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    if common <= 1 && from != to {
        return to.display().to_string();
    }
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down = to.components().skip(common);
    let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_each_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, hard, other] =
            ["Dockerfile", "link", "hard", "other"].map(|name| folder.path().join(name));
        fs::write(&file, "FROM scratch").unwrap();
        fs::write(&other, "FROM scratch").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        fs::hard_link(&file, &hard).unwrap();
        for same in [&file, &link, &hard, &folder.path().join("./Dockerfile")] {
            assert!(is_same_file(same, &file), "{}", same.display());
        }
        assert!(!is_same_file(&other, &file));
        assert!(!is_same_file(&folder.path().join("new"), &file));
    }

    #[test]
    fn the_context_is_named_from_the_template() {
        for (from, to, expected) in [
            ("/a/b", "/a/b", ""),
            ("/a/b", "/a/b/c", "c"),
            ("/a/b/c", "/a/x", "../../x"),
            ("/a", "/b", "/b"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), expected);
        }
        assert_eq!(
            absolute(Path::new("/a/b"), Path::new("../c/./d")),
            Path::new("/a/c/d")
        );
    }
}
