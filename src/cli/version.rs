//! `hardtack version`.

use super::error::CommandError;
use super::say::Say;
use super::surroundings::Surroundings;
use crate::mask::Masker;
use clap::Args;
use std::process::ExitCode;

/// `hardtack version`.
#[derive(Args, Debug)]
pub struct VersionArguments {}

/// The number of this version, as Packer writes versions for people.
pub fn text() -> &'static str {
    concat!("v", env!("CARGO_PKG_VERSION"))
}

/// Runs the command.
pub fn run(surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let say = Say::new(surroundings);
    let nothing_secret = Masker::default();
    // The type of the second line is misspelt in Packer, and so it is in scripts.
    for (kind, data) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("version-prelease", ""),
        ("version-commit", ""),
    ] {
        say.line(kind, &[data], &nothing_secret)?;
    }
    say.text(&format!("hardtack {}", text()), &nothing_secret)?;
    Ok(ExitCode::SUCCESS)
}
