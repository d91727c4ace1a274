//! The function library of the template language.
//!
//! A function turns values into a value. Each one is declared in the table of its category: its
//! name, its parameters and what computes it; counting, converting and refusing arguments is done
//! here once for all. `try`, `can`, `convert`, `templatefile` and `env` are not functions in this
//! sense, since they see expressions rather than values; the evaluator has them.

mod character_sets;
mod collections;
mod contextual;
mod cryptography;
mod csv_text;
mod dates;
mod digits;
mod encoding;
mod files;
mod floats;
mod folder_walk;
mod format_text;
mod go_layout;
mod hashes;
mod json_text;
mod letter_case;
mod maps;
mod network;
mod numeric;
mod path_pattern;
mod pattern_syntax;
mod patterns;
mod rsa_key;
mod sets;
mod signature;
mod slash_path;
mod strings;
mod timestamp_text;
mod uuids;
mod yaml_decode;
mod yaml_encode;
mod yaml_scalars;

use crate::template::services::{ServiceError, Services};
use crate::template::value::Value;
use jiff::Timestamp;
use signature::Function;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// What functions see of the world beside their arguments; fixed for a whole run.
pub struct FunctionContext<'a> {
    /// The folder of the template: `file`, `fileexists` and `fileset` start here.
    pub template_folder: &'a Path,
    /// The absolute working folder: `abspath` and `filebase64` start here.
    pub working_folder: &'a Path,
    /// The user's home, for paths that begin with `~`.
    pub home: Option<&'a Path>,
    /// The time that `timestamp`, `legacy_isotime` and `legacy_strftime` tell.
    pub now: Timestamp,
    /// Fills its argument with random bytes, for `uuidv4`.
    pub random: &'a dyn Fn(&mut [u8]),
    /// Whom `vault`, `consul_key` and the functions of AWS ask; none where nothing can be asked.
    pub services: Option<&'a dyn Services>,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionError {
    /// The argument that is at fault, counted from 0; none when it is the call as a whole.
    pub argument: Option<usize>,
    /// What is wrong; it names the parameter when there is one.
    pub message: String,
    /// What the user can do, if that is known.
    pub help: Option<String>,
}

impl FunctionError {
    fn new(message: impl Into<String>) -> FunctionError {
        FunctionError {
            argument: None,
            message: message.into(),
            help: None,
        }
    }

    fn at(argument: usize, message: impl Into<String>) -> FunctionError {
        FunctionError {
            argument: Some(argument),
            message: message.into(),
            help: None,
        }
    }
}

impl From<ServiceError> for FunctionError {
    fn from(error: ServiceError) -> FunctionError {
        FunctionError {
            argument: None,
            message: error.message,
            help: error.help,
        }
    }
}

/// Calls the function `name`.
///
/// An argument that is not known yet makes the result unknown, unless the function can do without.
///
/// # Errors
/// No such function (ask [`exists`] beforehand), a wrong number of arguments, one that cannot be
/// converted to its parameter's type or is null, or what the function itself refuses.
pub fn call(
    name: &str,
    arguments: &[Value],
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    match TABLE.get(name) {
        Some(function) => function.call(arguments, context),
        None => Err(FunctionError::new(format!(
            "there is no function named {name:?}"
        ))),
    }
}

/// Whether the language has the function `name`.
pub fn exists(name: &str) -> bool {
    TABLE.contains_key(name)
}

/// A regular expression in the language's syntax, which is Go's, rewritten for the `regex` crate. One
/// that is wrong stays wrong.
pub fn go_pattern(pattern: &str) -> String {
    pattern_syntax::rewrite(pattern)
}

/// The names of all functions, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().copied()
}

/// Whether the function `name` gives another result in another run with the same arguments and
/// files.
pub fn changes_each_run(name: &str) -> bool {
    TABLE
        .get(name)
        .is_some_and(|function| function.changes_each_run)
}

/// Whether the function `name` asks a secret store, so that no output may show its result.
pub fn gives_secret(name: &str) -> bool {
    TABLE
        .get(name)
        .is_some_and(|function| function.gives_secret)
}

static TABLE: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
    [
        collections::FUNCTIONS,
        contextual::FUNCTIONS,
        cryptography::FUNCTIONS,
        dates::FUNCTIONS,
        encoding::FUNCTIONS,
        files::FUNCTIONS,
        hashes::FUNCTIONS,
        maps::FUNCTIONS,
        network::FUNCTIONS,
        numeric::FUNCTIONS,
        patterns::FUNCTIONS,
        sets::FUNCTIONS,
        strings::FUNCTIONS,
        uuids::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .map(|function| (function.name, function))
    .collect()
});

#[cfg(test)]
mod cases;
