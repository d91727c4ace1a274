//! `hardtack doctor`: what this host allows, and what to do about what it does not.

use super::error::CommandError;
use super::error::ErrorKind;
use super::output;
use super::surroundings::{self, Surroundings};
use crate::doctor::{Finding, Patient, Report, State, examine};
use crate::sandbox;
use crate::store::{Scratch, Store};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;

/// What a store that has nothing in it takes at least, in bytes.
const PROBE_LENGTH: usize = 16 * 1024;

/// `hardtack doctor`.
#[derive(Args, Debug)]
pub struct DoctorArguments {
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: a line for each, with remedies below it.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Examines the host; the exit code is that of errors of the host if no build can run.
pub fn run(
    arguments: &DoctorArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let folder = surroundings.store_folder().ok();
    // Where steps will write decides what they can write to.
    let (scratch, store_refusal) = match folder.map(Ground::find) {
        Some(Ok(ground)) => (Some(ground), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
        None => (None, None),
    };
    // Elsewhere at least all the rest can be tried.
    let elsewhere = tempfile::tempdir().ok();
    let settings = sandbox::Settings {
        scratch: scratch
            .as_ref()
            .map(Ground::path)
            .or(elsewhere.as_ref().map(TempDir::path))
            .map(Path::to_owned),
        ..surroundings.sandbox_settings()
    };
    let report = examine(&Patient {
        store: folder,
        store_refusal,
        sandbox: &settings,
        search_path: surroundings.environment.get("PATH").map(OsString::from),
        environment: &surroundings.environment,
        program: surroundings::program(),
    });
    match arguments.format {
        Format::Text => output::print(&text(&report))?,
        Format::Json => {
            let document = serde_json::to_value(&report).map_err(anyhow::Error::new)?;
            output::print_json(&document)?;
        }
    }
    Ok(if report.can_build {
        ExitCode::SUCCESS
    } else {
        ErrorKind::Host.exit_code()
    })
}

/// An empty folder on the file system of the store, until this is dropped.
enum Ground {
    /// In the store.
    Store(Scratch),
    /// Where the store would be made: looking makes none.
    Beside(TempDir),
}

impl Ground {
    fn find(store: &Path) -> anyhow::Result<Self> {
        let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut it| it.next().is_none());
        if fs::symlink_metadata(store).is_ok() && !is_empty(store) {
            return Ok(Self::Store(Store::open(store)?.scratch()?));
        }
        let folder = store.ancestors().find(|it| it.exists());
        let folder = folder.unwrap_or(Path::new("."));
        let failed = || format!("cannot create the store {}", store.display());
        let ground = tempfile::tempdir_in(folder).with_context(failed)?;
        // A full disk still has place for the name of a folder.
        let probe = ground.path().join("probe");
        fs::write(&probe, [0; PROBE_LENGTH]).with_context(failed)?;
        fs::remove_file(&probe).with_context(failed)?;
        Ok(Self::Beside(ground))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Store(scratch) => scratch.path(),
            Self::Beside(folder) => folder.path(),
        }
    }
}

fn text(report: &Report) -> String {
    let width = report
        .findings
        .iter()
        .map(|it| it.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for Finding {
        name,
        state,
        text: found,
        remedies,
    } in &report.findings
    {
        let state = match state {
            State::Good => "ok",
            State::Missing => "missing",
            State::Weak => "weak",
            State::Bad => "error",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{state:<8} {name:<width$}  {found}");
        for remedy in remedies {
            let _ = writeln!(text, "{:8} {:width$}  > {remedy}", "", "");
        }
    }
    let _ = match &report.mode {
        Some(mode) if report.can_build => writeln!(text, "\nbuilds can run: {mode}"),
        _ => writeln!(text, "\nbuilds cannot run here"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_leaves_no_store_behind() {
        let folder = tempfile::tempdir().unwrap();
        let empty = |path: &Path| fs::read_dir(path).unwrap().next().is_none();
        let store = folder.path().join("deep/store");
        let ground = Ground::find(&store).unwrap();
        assert!(ground.path().is_dir());
        drop(ground);
        assert!(empty(folder.path()));
        drop(Ground::find(folder.path()).unwrap());
        assert!(empty(folder.path()));

        Store::open(&store).unwrap();
        let ground = Ground::find(&store).unwrap();
        assert!(ground.path().starts_with(fs::canonicalize(&store).unwrap()));
        let foreign = folder.path();
        assert!(Ground::find(foreign).is_err());
    }

    #[test]
    fn states_stand_in_words_and_remedies_below_them() {
        let finding = |name, state, text: &str, remedies: &[&str]| Finding {
            name,
            state,
            text: text.to_owned(),
            remedies: remedies.iter().map(|it| (*it).to_owned()).collect(),
        };
        let mut report = Report {
            can_build: true,
            mode: Some("root".to_owned()),
            findings: vec![
                finding("kernel", State::Good, "Linux 6.18", &[]),
                finding(
                    "ansible",
                    State::Missing,
                    "none",
                    &["apt-get install ansible"],
                ),
            ],
        };
        assert_eq!(
            text(&report),
            "ok       kernel   Linux 6.18\n\
             missing  ansible  none\n                  > apt-get install ansible\n\
             \nbuilds can run: root\n"
        );
        report.can_build = false;
        assert!(text(&report).ends_with("\nbuilds cannot run here\n"));
    }
}
