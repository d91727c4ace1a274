//! Standard output: data for whoever called, and nothing else.

use super::error::CommandError;
use crate::provision::Said;
use anyhow::Context as _;
use std::io::{ErrorKind, Write};

/// Writes `text` to standard output. A reader that has gone, as `head` does, wants no more and is
/// no error.
pub fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context("cannot write to standard output")?),
    }
}

/// Writes `document` to standard output as JSON, indented.
pub fn print_json(document: &serde_json::Value) -> Result<(), CommandError> {
    let mut text = serde_json::to_string_pretty(document).context("cannot write JSON")?;
    text.push('\n');
    print(&text)
}

/// Tells on standard error how far a command is.
pub fn note(said: Said<'_>) {
    if let Said::Note(text) = said {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
