//! Scopes: what the variables of a Dockerfile stand for at one of its lines.

use super::text::{MARK, Part, Text};
use crate::image::expansion::{self, Variables};
use std::collections::BTreeMap;

/// How long the values in one word may be together; the kernel hands over no longer variable either.
const LENGTH_LIMIT: usize = 128 * 1024;

/// What variables stand for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `ENV`, by name; with those of the stage that this one starts from.
    pub env: BTreeMap<String, Text>,
    /// `ARG`, by name.
    pub arguments: BTreeMap<String, Text>,
    /// Whether the base image may have further ones.
    pub has_unknown_base: bool,
}

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexpanded(pub String);

impl Scope {
    /// Takes the quotes of a word away, and puts in what variables stand for.
    pub fn expand(&self, word: &str, escape: char) -> Result<Text, Unexpanded> {
        let mut lookup = Lookup {
            scope: self,
            marked: Vec::new(),
            length: 0,
            problem: None,
        };
        let expanded = expansion::expand(word, escape, &mut lookup).map_err(Unexpanded)?;
        match lookup.problem {
            Some(problem) => Err(Unexpanded(problem)),
            None => Ok(Text::unmarked(&expanded, &lookup.marked)),
        }
    }

    fn get(&self, name: &str) -> Option<&Text> {
        self.env.get(name).or_else(|| self.arguments.get(name))
    }
}

struct Lookup<'a> {
    scope: &'a Scope,
    marked: Vec<Text>,
    /// How long the values are together that were put in.
    length: usize,
    problem: Option<String>,
}

impl Lookup<'_> {
    /// Whether a value can be put in. Each may hold the one before it twice, so that a few lines give
    /// more than any memory holds.
    fn has_room(&mut self, text: &Text) -> bool {
        self.length = self.length.saturating_add(text.length());
        let has_room = self.length <= LENGTH_LIMIT;
        if !has_room {
            self.problem = Some(format!(
                "the values of its variables are longer than {LENGTH_LIMIT} bytes"
            ));
        }
        has_room
    }

    fn mark(&mut self, text: Text) -> String {
        if !self.has_room(&text) {
            return String::new();
        }
        self.marked.push(text);
        format!("{MARK}{}{MARK}", self.marked.len() - 1)
    }
}

impl Variables for Lookup<'_> {
    fn value(&mut self, name: &str) -> Option<String> {
        match self.scope.get(name) {
            Some(text) => match text.known() {
                Some(known) => self.has_room(text).then(|| known.to_owned()),
                None => {
                    let text = text.clone();
                    Some(self.mark(text))
                }
            },
            None if self.scope.has_unknown_base => {
                let of_base = Text::of([Part::OfBase(name.to_owned())]);
                Some(self.mark(of_base))
            }
            None => None,
        }
    }

    fn choice(
        &mut self,
        name: &str,
        modifier: char,
        counts_empty: bool,
        word: &str,
    ) -> Option<String> {
        let text = match self.scope.get(name) {
            Some(text) if text.known().is_some() => return None,
            Some(text) => text.clone(),
            None if !self.scope.has_unknown_base => return None,
            None => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@".contains(c);
                if !word.chars().all(is_plain) {
                    self.problem = Some(format!("${{{name}…}} depends on the base image"));
                }
                let colon = if counts_empty { "" } else { ":" };
                let of_base = Part::OfBase(format!("{name}{colon}{modifier}{word}"));
                return Some(self.mark(Text::of([of_base])));
            }
        };
        if text.is_of_base() {
            self.problem = Some(format!("${{{name}…}} depends on the base image"));
            return Some(String::new());
        }
        let value = text.hcl();
        let word = Text::unmarked(word, &self.marked).hcl();
        let expression = match modifier {
            '-' => format!("({value} != \"\" ? {value} : {word})"),
            '+' => format!("({value} != \"\" ? {word} : \"\")"),
            // A template says by itself that a value is missing only if it has no default.
            _ => {
                self.problem = Some(format!("${{{name}?…}} cannot be said in a template"));
                return Some(String::new());
            }
        };
        Some(self.mark(Text::of([Part::Expression(expression)])))
    }
}
