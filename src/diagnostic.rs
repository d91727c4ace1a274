//! Diagnostics: what is wrong with a template, where, and what to do about it.
//!
//! A diagnostic has a summary, labelled places in source texts, and help. They are collected, not
//! thrown, so that a template's errors are all reported at once. How they look is
//! [`render`]'s alone; the texts they point into are [`Sources`].

mod render;
mod source;
mod suggestion;

pub use render::Colours;
pub use source::{FileId, SourceSpan, Sources};
pub use suggestion::{did_you_mean, nearest};

use std::cell::RefCell;
use std::collections::HashSet;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// Said, and carried on.
    Warning,
}

/// A place in a source text and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: SourceSpan,
    /// What is written beside the underline; may be empty.
    pub text: String,
    /// Whether this is the place at fault, and not one that explains it.
    pub primary: bool,
}

/// What a diagnostic is about, where commands differ in whether they want to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A variable that has no value.
    UnsetVariable,
    /// A value that one of its variable's own rules refuses.
    RefusedValue,
    /// A value in a variable file for a variable that is not declared.
    UndeclaredVariable,
    /// A declaration that nothing refers to.
    Unused,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One line without a full stop.
    pub summary: String,
    /// The places, those at fault first.
    pub labels: Vec<Label>,
    /// What to do, one line each.
    pub help: Vec<String>,
    /// What it is about, if that can matter to who asked.
    pub topic: Option<Topic>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(summary: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            summary: shortened(summary.into()),
            labels: Vec::new(),
            help: Vec::new(),
            topic: None,
        }
    }

    /// A warning without a place.
    pub fn warning(summary: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(summary)
        }
    }

    /// Adds the place at fault.
    pub fn at(self, span: SourceSpan) -> Diagnostic {
        self.label(span, "", true)
    }

    /// Adds the place at fault, with a text beside the underline.
    pub fn at_with(self, span: SourceSpan, text: impl Into<String>) -> Diagnostic {
        self.label(span, text, true)
    }

    /// Adds a place that explains the error.
    pub fn note(self, span: SourceSpan, text: impl Into<String>) -> Diagnostic {
        self.label(span, text, false)
    }

    /// Adds a line of help.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(text.into());
        self
    }

    /// Adds a line of help, if there is one.
    pub fn help_maybe(mut self, text: Option<String>) -> Diagnostic {
        self.help.extend(text);
        self
    }

    /// Says what it is about.
    pub fn about(mut self, topic: Topic) -> Diagnostic {
        self.topic = Some(topic);
        self
    }

    fn label(mut self, span: SourceSpan, text: impl Into<String>, primary: bool) -> Diagnostic {
        self.labels.push(Label {
            span,
            text: text.into(),
            primary,
        });
        self
    }

    /// Renders this one as text that ends in a newline.
    pub fn render(&self, sources: &Sources, colours: Colours) -> String {
        render::render(self, sources, colours)
    }
}

/// Diagnostics as they come in. Adding needs no exclusive access, so that a block and the blocks
/// within it can report to the same list.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: RefCell<Vec<Diagnostic>>,
    /// The same once more, to find those that were said before.
    said: RefCell<HashSet<Diagnostic>>,
}

impl Diagnostics {
    /// An empty list.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one, unless the very same was said before.
    pub fn push(&self, diagnostic: Diagnostic) {
        // The same expression may be evaluated for several builds.
        if self.said.borrow_mut().insert(diagnostic.clone()) {
            self.list.borrow_mut().push(diagnostic);
        }
    }

    /// Adds all of another list.
    pub fn append(&self, other: Diagnostics) {
        for diagnostic in other.into_vec() {
            self.push(diagnostic);
        }
    }

    /// The same without those that are about `topic`.
    pub fn without(self, topic: Topic) -> Diagnostics {
        let mut list = self.list.into_inner();
        list.retain(|diagnostic| diagnostic.topic != Some(topic));
        Diagnostics {
            list: RefCell::new(list),
            said: self.said,
        }
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.list
            .borrow()
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .count()
    }

    /// Whether an error is among them.
    pub fn has_errors(&self) -> bool {
        self.list
            .borrow()
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether an error is among them that is about none of these topics.
    pub fn has_errors_beside(&self, topics: &[Topic]) -> bool {
        self.list.borrow().iter().any(|diagnostic| {
            diagnostic.severity == Severity::Error
                && !diagnostic
                    .topic
                    .is_some_and(|topic| topics.contains(&topic))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The diagnostics, in the order in which they were added.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.list.into_inner()
    }

    /// Renders all, an empty line after each.
    pub fn render(&self, sources: &Sources, colours: Colours) -> String {
        let list = self.list.borrow();
        list.iter()
            .map(|diagnostic| diagnostic.render(sources, colours) + "\n")
            .collect()
    }
}

/// The bytes that are kept of each end of a summary.
const KEPT: usize = 400;

/// A text without its middle, if it is long: what it quotes can be as long as a file.
fn shortened(text: String) -> String {
    if text.len() <= 3 * KEPT {
        return text;
    }
    let start = text.floor_char_boundary(KEPT);
    let end = text.ceil_char_boundary(text.len() - KEPT);
    let (start, end) = (text.get(..start), text.get(end..));
    format!("{} … {}", start.unwrap_or(""), end.unwrap_or(""))
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        let diagnostics = Diagnostics::new();
        diagnostics.push(diagnostic);
        diagnostics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_summaries_are_shortened() {
        let error = Diagnostic::error(format!("cannot parse {:?}: no", "é".repeat(10_000)));
        let summary = error.summary;
        assert!(summary.len() < 1_000, "{}", summary.len());
        assert!(summary.starts_with("cannot parse \"éé") && summary.ends_with("éé\": no"));
    }

    #[test]
    fn warnings_are_no_errors_and_repetitions_are_dropped() {
        let diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::warning("odd"));
        diagnostics.push(Diagnostic::warning("odd"));
        assert_eq!(diagnostics.len(), 1);
        assert!(!diagnostics.has_errors());
        diagnostics.push(Diagnostic::error("wrong"));
        assert!(diagnostics.has_errors());
    }
}
