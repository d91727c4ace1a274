//! Reports: how the error that ends a command is shown.
//!
//! A *report* is one sentence that says what could not be done, the causes below it, and hints
//! what to do:
//!
//! ```text
//! error: cannot read layout `base`
//!   caused by: cannot open `base/index.json`
//!   caused by: No such file or directory (os error 2)
//! hint: `hardtack images` lists the images of the store
//! ```
//!
//! Errors of templates have their own form with source lines (`diagnostic`). The sentence is
//! shown as its module wrote it, in lower case and without a full stop.

use super::palette::{Palette, Tone};
use crate::mask::Masker;
use std::error::Error;
use std::fmt::Write;

/// An error that is ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Report {
    /// Makes a report of one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Makes a report of `error` and its sources; a source whose text the error above it already
    /// ends with is not told twice.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut report = Self::new(error.to_string());
        let mut told = report.message.clone();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !told.ends_with(&text) {
                report.causes.push(text.clone());
                told = text;
            }
            source = cause.source();
        }
        report
    }

    /// Adds a hint: one sentence that says what the user can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the lines to print to standard error, each with a line feed.
    pub fn render(&self, palette: Palette, masker: &Masker) -> String {
        let mut rendered = String::new();
        let mut line = |start: &str, tone: Tone, label: &str, message: &str| {
            let message = masker.mask_neutral(message);
            // Further lines of a message stand below its first word.
            let indent = " ".repeat(start.len() + label.len() + 2);
            let message = message.trim_end().replace('\n', &format!("\n{indent}"));
            let label = palette.paint(tone, &format!("{label}:"));
            // Writing to a string cannot fail.
            let _ = writeln!(rendered, "{start}{label} {message}");
        };
        line("", Tone::Bad, "error", &self.message);
        for cause in &self.causes {
            line("  ", Tone::Faint, "caused by", cause);
        }
        for hint in &self.hints {
            line("", Tone::Hint, "hint", hint);
        }
        rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failure {
        text: &'static str,
        source: Option<Box<Failure>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Failure>> {
        let (text, rest) = texts.split_first()?;
        let source = chain(rest);
        Some(Box::new(Failure { text, source }))
    }

    fn report(texts: &[&'static str]) -> Report {
        Report::of(&*chain(texts).expect("there is a text"))
    }

    #[test]
    fn a_report_has_causes_and_hints() {
        let report = report(&["cannot read layout `base`", "cannot open `a`", "not found"])
            .hint("`hardtack images` lists the images of the store")
            .hint("or use `scratch = true`");
        insta::assert_snapshot!(report.render(Palette::new(false), &Masker::default()), @r#"
        error: cannot read layout `base`
          caused by: cannot open `a`
          caused by: not found
        hint: `hardtack images` lists the images of the store
        hint: or use `scratch = true`
        "#);
    }

    #[test]
    fn a_cause_is_told_once() {
        let report = report(&[
            "cannot open `a`: not found",
            "not found",
            "not found",
            "why",
        ]);
        assert_eq!(report.causes, ["why"]);
    }

    #[test]
    fn further_lines_are_indented_and_secrets_hidden() {
        let report = report(&["one\ntwo hunter2\n", "thr\x1b[1mee hun\x1b[0mter2\nfour"]);
        insta::assert_snapshot!(report.render(Palette::new(false), &Masker::new(["hunter2"])), @r#"
        error: one
               two <sensitive>
          caused by: three <sensitive>
                     four
        "#);
    }

    #[test]
    fn colour_marks_the_labels_only() {
        let rendered = Report::new("no")
            .hint("yes")
            .render(Palette::new(true), &Masker::default());
        assert_eq!(
            rendered,
            "\x1b[1;31merror:\x1b[0m no\n\x1b[1;36mhint:\x1b[0m yes\n"
        );
    }
}
