//! `hardtack console`: evaluates what is typed, with the values of a template in scope.
//!
//! On a terminal every line is answered at once. What comes from a pipe is evaluated line by line
//! too, but as in Packer only the last line's result is printed, so that a script can ask for one
//! value; errors are told for every line.

mod completion;
mod terminal;
mod unfinished;

use super::error::CommandError;
use super::listing;
use super::say::Say;
use super::surroundings::Surroundings;
use super::template::{self, Looked, Message, Request};
use super::variable_arguments::VariableArguments;
use crate::diagnostic::{Colours, Severity};
use crate::mask::Masker;
use crate::template::Template;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
An expression is answered with its value: upper(\"a\"), [for n in range(3): n * 2], var.NAME.
Names are those of the template: var.NAME, local.NAME, path.root, path.cwd, packer.version.

  variables   show all variables and locals with their values
  help        show this
  exit        leave, as Ctrl-D does

Go templates such as {{timestamp}} are not expressions; they are rendered in a component's options.";

/// `hardtack console`.
#[derive(Args, Debug)]
pub struct ConsoleArguments {
    /// A template file, or a folder of *.pkr.hcl files [default: no template].
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,

    /// The language: hcl2 is the only one.
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "hcl2",
        hide_default_value = true
    )]
    pub config_type: String,
}

/// Runs the command.
pub fn run(
    arguments: &ConsoleArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    if arguments.config_type != "hcl2" {
        let error = anyhow!("-config-type cannot be {:?}", arguments.config_type);
        return Err(CommandError::user(error)
            .hint("hcl2 is the only language; Packer's `hcl2_upgrade` converts JSON templates"));
    }
    let say = Say::new(surroundings);
    let color = say.color(surroundings);
    let path = arguments.path.clone().unwrap_or_default();
    let request = Request {
        evaluate_data_sources: true,
        ..Request::to_look_at(&path, &arguments.variables)
    };
    let Looked {
        template,
        messages,
        masker,
        ..
    } = match arguments.path {
        Some(_) => template::look(&request, surroundings, color),
        None => template::look_nowhere(&request, surroundings, color),
    };
    for message in &messages {
        say.message(message, &masker)?;
    }
    let Some(template) = template else {
        return Ok(ExitCode::from(1));
    };
    let session = Session {
        template,
        masker,
        color,
    };
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return terminal::run(&session, surroundings);
    }
    run_piped(&session, std::io::stdin().lock(), &say)
}

/// What lines are evaluated with.
pub struct Session {
    template: Template,
    masker: Masker,
    color: bool,
}

/// What a line comes to.
pub enum Answer {
    /// A text for the user.
    Text(String),
    /// The line is wrong.
    Wrong(Message),
    /// The user has enough.
    Exit,
}

impl Session {
    /// Answers a command or an expression.
    pub fn answer(&self, line: &str) -> Answer {
        match line.trim() {
            "" => Answer::Text(String::new()),
            "exit" => Answer::Exit,
            "help" => Answer::Text(HELP.to_owned()),
            "variables" => Answer::Text(listing::values(&self.template)),
            expression => match self.template.evaluate(expression) {
                Ok(value) => Answer::Text(crate::template::display(&value)),
                Err((sources, diagnostics)) => {
                    let colours = if self.color {
                        Colours::On
                    } else {
                        Colours::Off
                    };
                    let text = diagnostics.render(&sources, colours);
                    Answer::Wrong(Message {
                        severity: Severity::Error,
                        text: self.masker.mask(text.trim_end_matches('\n')).into_owned() + "\n",
                    })
                }
            },
        }
    }
}

fn run_piped(session: &Session, input: impl BufRead, say: &Say) -> Result<ExitCode, CommandError> {
    let mut last = String::new();
    let mut code = ExitCode::SUCCESS;
    for line in input.lines() {
        let line = line.context("cannot read from standard input")?;
        match session.answer(&line) {
            Answer::Text(text) => last = text,
            Answer::Wrong(message) => {
                say.message(&message, &session.masker)?;
                last.clear();
                code = ExitCode::from(1);
            }
            // As in Packer, the lines that follow are evaluated all the same.
            Answer::Exit => last.clear(),
        }
    }
    say.text(&last, &session.masker)?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{TemplateTexts, World, load_texts};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn session() -> Session {
        let world = World {
            template_folder: PathBuf::new(),
            working_folder: PathBuf::from("/work"),
            home: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            random: Arc::new(|bytes: &mut [u8]| bytes.fill(0)),
            environment: BTreeMap::new(),
            services: Arc::new(crate::template::NoServices),
        };
        let loaded = load_texts(TemplateTexts::default(), &[], false, world);
        Session {
            template: loaded.expect("nothing is no error").template,
            masker: Masker::new(["hunter2"]),
            color: false,
        }
    }

    #[test]
    fn lines_are_answered() {
        for (line, expected) in [
            ("1 + 1", "2"),
            ("  [\"a\"] ", "[\n  \"a\",\n]"),
            ("[\n1\n]", "[\n  1,\n]"),
            ("path.root", ""),
            ("", ""),
            (" help ", HELP),
            (
                "variables",
                "> input-variables:\n\n\n> local-variables:\n\n",
            ),
        ] {
            match session().answer(line) {
                Answer::Text(text) => assert_eq!(text, expected, "{line}"),
                Answer::Wrong(message) => panic!("{line}: {}", message.text),
                Answer::Exit => panic!("{line}"),
            }
        }
        assert!(matches!(session().answer("exit"), Answer::Exit));
    }

    #[test]
    fn errors_show_the_line_without_secrets() {
        let Answer::Wrong(message) = session().answer("nope.hunter2") else {
            panic!("`nope` is no name");
        };
        assert!(
            message.text.contains("nope.<sensitive>"),
            "{}",
            message.text
        );
    }
}
