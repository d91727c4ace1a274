//! The console on a terminal: line editing, history and completion.

use super::completion::Names;
use super::unfinished::is_unfinished;
use super::{Answer, Session};
use crate::cli::error::CommandError;
use crate::cli::surroundings::Surroundings;
use anyhow::Context as _;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How many lines of history are kept.
const HISTORY_LENGTH: usize = 1000;

/// Answers lines until the user has enough.
pub fn run(session: &Session, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let cannot_edit = "cannot read lines from the terminal";
    let config = Config::builder()
        .completion_type(CompletionType::List)
        // A line that begins with a space is not kept, as in shells.
        .history_ignore_space(true)
        .max_history_size(HISTORY_LENGTH)
        .context(cannot_edit)?
        .build();
    let mut editor: Editor<Assistant, FileHistory> =
        Editor::with_config(config).context(cannot_edit)?;
    editor.set_helper(Some(Assistant {
        names: Names::of(&session.template),
    }));
    let history = history_file(surroundings);
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            // Ctrl-C gives up the line, Ctrl-D the console.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                return Err(CommandError::from(
                    anyhow::Error::new(error).context(cannot_edit),
                ));
            }
        };
        if session.masker.mask(&line) == line {
            // Only the line itself is lost if it cannot be kept.
            let _ = editor.add_history_entry(line.as_str());
        }
        match session.answer(&line) {
            Answer::Text(text) if text.is_empty() && line.trim().is_empty() => {}
            Answer::Text(text) => {
                crate::cli::output::print(&format!("{}\n", session.masker.mask_neutral(&text)))?;
            }
            Answer::Wrong(message) => {
                // Nobody is left to be told if stderr is closed.
                let _ = writeln!(std::io::stderr(), "{}", message.text);
            }
            Answer::Exit => break,
        }
    }
    if let Some(path) = &history
        && make_folder(path).is_ok()
    {
        // Nothing but the history is lost.
        let _ = editor.save_history(path);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where typed lines are kept; none if the user has no home.
fn history_file(surroundings: &Surroundings) -> Option<PathBuf> {
    let given = surroundings.environment.get("XDG_STATE_HOME");
    let folder = given
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(surroundings.home.as_ref()?.join(".local/state")))?;
    Some(folder.join("hardtack/console_history"))
}

/// Makes the folder of a file, for its owner alone.
fn make_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

/// What the line editor asks about a line.
struct Assistant {
    names: Names,
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.names.complete(line, position))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_unfinished(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}
