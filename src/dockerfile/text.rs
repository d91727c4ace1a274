//! Texts: words of a Dockerfile in which some variables are only known when the template is used.
//!
//! A variable of the Dockerfile becomes an expression of the template. One that only the base image
//! knows (`$PATH`) stays a variable, of which a shell or the image's configuration finds the value.

use crate::template::hcl_quoted;

/// Begins and ends the number of a part in an expanded word. No Dockerfile holds it.
pub const MARK: char = '\0';

/// A text with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    parts: Vec<Part>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Itself.
    Literal(String),
    /// The value of an expression of the template.
    Expression(String),
    /// A variable of the base image, as it stands in braces: `PATH`, or `HOME:-/root`.
    OfBase(String),
}

impl Text {
    /// A text that is known.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::of([Part::Literal(text.into())])
    }

    /// Joins parts.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut text = Self::default();
        for part in parts {
            match (text.parts.last_mut(), part) {
                (_, Part::Literal(more)) if more.is_empty() => {}
                (Some(Part::Literal(last)), Part::Literal(more)) => last.push_str(&more),
                (_, part) => text.parts.push(part),
            }
        }
        text
    }

    /// Reads an expanded word, in which marks stand for parts of a list.
    pub fn unmarked(word: &str, list: &[Text]) -> Self {
        let pieces = word.split(MARK).enumerate();
        Self::of(pieces.flat_map(|(index, piece)| match index % 2 {
            0 => vec![Part::Literal(piece.to_owned())],
            _ => {
                let known = piece.parse::<usize>().ok().and_then(|it| list.get(it));
                known.map(|text| text.parts.clone()).unwrap_or_default()
            }
        }))
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How long it is as it is kept, in bytes.
    pub fn length(&self) -> usize {
        let parts = self.parts.iter();
        let lengths = parts.map(|part| match part {
            Part::Literal(text) | Part::Expression(text) | Part::OfBase(text) => text.len(),
        });
        lengths.sum()
    }

    /// The text, if all of it is known.
    pub fn known(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The names of the base image's variables in it.
    pub fn names_of_base(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::OfBase(name) => name.split([':', '-', '+']).next(),
            _ => None,
        })
    }

    /// Whether the base image decides about it.
    pub fn is_of_base(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::OfBase(_)))
    }

    /// The text with something behind it.
    pub fn with(mut self, more: &Text) -> Self {
        let parts = std::mem::take(&mut self.parts);
        Self::of(parts.into_iter().chain(more.parts.iter().cloned()))
    }

    /// Whether it begins with this literal.
    pub fn starts_with(&self, prefix: char) -> bool {
        matches!(self.parts.first(), Some(Part::Literal(text)) if text.starts_with(prefix))
    }

    /// Whether it ends with this literal.
    pub fn ends_with(&self, suffix: char) -> bool {
        matches!(self.parts.last(), Some(Part::Literal(text)) if text.ends_with(suffix))
    }

    /// As an expression of the template: a string, quotes included, unless it is a value alone. Variables of the base are taken literally.
    pub fn hcl(&self) -> String {
        // Alone, an expression needs no quotes.
        if let [Part::Expression(expression)] = self.parts.as_slice() {
            return expression.clone();
        }
        let mut quoted = String::from("\"");
        for (index, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(index + 1);
            let of_base;
            let text = match part {
                Part::Literal(text) => text,
                Part::OfBase(name) => {
                    of_base = variable(name, next);
                    &of_base
                }
                Part::Expression(expression) => {
                    quoted.push_str("${");
                    quoted.push_str(expression);
                    quoted.push('}');
                    continue;
                }
            };
            let is_followed = matches!(next, Some(Part::Expression(_)));
            // In front of `${` a dollar sign would take its meaning away.
            let kept = match is_followed {
                true => text.trim_end_matches(['$', '%']),
                false => text,
            };
            quoted.push_str(inner(kept).as_str());
            for sign in text.get(kept.len()..).unwrap_or_default().chars() {
                quoted.push_str(&format!("${{\"{sign}\"}}"));
            }
        }
        quoted.push('"');
        quoted
    }

    /// As a word for the shell, in double quotes; variables of the base are the shell's.
    pub fn shell_word(&self) -> Text {
        self.quoted_with(&['\\', '"', '$', '`'])
    }

    /// As a word of an instruction, in double quotes; variables of the base are the configuration's.
    pub fn instruction_word(&self) -> Text {
        self.quoted_with(&['\\', '"', '$'])
    }

    fn quoted_with(&self, special: &[char]) -> Text {
        let mut parts = vec![Part::Literal("\"".to_owned())];
        parts.extend(self.parts.iter().map(|part| match part {
            Part::Literal(text) => Part::Literal(escaped(text, special)),
            // What a variable holds is not code either.
            Part::Expression(expression) => {
                let mut expression = expression.clone();
                for character in special {
                    let (found, replaced) = (character.to_string(), format!("\\{character}"));
                    expression = format!(
                        "replace({expression}, {}, {})",
                        hcl_quoted(&found),
                        hcl_quoted(&replaced)
                    );
                }
                Part::Expression(expression)
            }
            Part::OfBase(name) => Part::OfBase(name.clone()),
        }));
        parts.push(Part::Literal("\"".to_owned()));
        Text::of(parts)
    }
}

/// A variable as a shell and Docker take it, in braces where it would not end otherwise.
fn variable(name: &str, next: Option<&Part>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ends = match next {
        None => true,
        Some(Part::Literal(text)) => !text.starts_with(is_part),
        Some(_) => false,
    };
    match ends && name.chars().all(is_part) {
        true => format!("${name}"),
        false => format!("${{{name}}}"),
    }
}

/// A literal as it stands within quotes of a template whose strings are Go templates too.
fn inner(text: &str) -> String {
    let quoted = hcl_quoted(&text.replace("{{", "{{\"{{\"}}"));
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A word that a shell takes as it is.
pub fn shell_literal(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r#"'"'"'"#)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::gotemplate::{self, GoTemplateData};
    use proptest::prelude::*;

    #[test]
    fn holes_stay_holes_and_signs_stay_signs() {
        let name = || Part::Expression("var.A".to_owned());
        let literal = |text: &str| Part::Literal(text.to_owned());
        for (parts, expected) in [
            (vec![literal("a"), name()], "\"a${var.A}\""),
            (vec![literal("$"), name()], "\"${\"$\"}${var.A}\""),
            (
                vec![literal("a$$"), name()],
                "\"a${\"$\"}${\"$\"}${var.A}\"",
            ),
            (
                vec![literal("${a} %{b} {{c}}")],
                r#""$${a} %%{b} {{\"{{\"}}c}}""#,
            ),
            (
                vec![Part::OfBase("PATH".into()), literal(":x")],
                "\"$PATH:x\"",
            ),
        ] {
            assert_eq!(Text::of(parts).hcl(), expected);
        }
        let path = Text::of([literal("a\"$"), Part::OfBase("PATH".into())]);
        assert_eq!(path.shell_word().hcl(), r#""\"a\\\"\\$$PATH\"""#);
    }

    proptest! {
        #[test]
        fn a_literal_means_itself(text in "[a-z\n\t\\\\\"${}% é\u{4e2d}\u{1b}]{0,40}") {
            let written = Text::literal(text.clone()).hcl();
            let value = super::super::tests::evaluated(&written);
            let data: GoTemplateData = super::super::tests::nothing();
            prop_assert_eq!(gotemplate::render(&value, &data).unwrap(), text);
        }
    }
}
