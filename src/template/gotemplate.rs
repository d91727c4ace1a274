//! Go templates in strings: `{{ .Vars }}`, `{{ timestamp }}`.
//!
//! Components render their texts with these at the time they run, apart from the language's own
//! `${…}`. Fields and calls of functions with literal arguments are understood, which is what
//! templates use; pipelines, conditions and loops are refused by name.

use crate::diagnostic::nearest;
use std::collections::BTreeMap;

/// What a Go template can refer to.
#[derive(Clone, Debug)]
pub struct GoTemplateData {
    /// Fields, referred to as `{{ .Name }}`.
    pub fields: BTreeMap<String, String>,
    /// What `{{ build "ID" }}` refers to.
    pub build: BTreeMap<String, String>,
    /// `{{ build_name }}`
    pub build_name: String,
    /// `{{ build_type }}`
    pub build_type: String,
    /// `{{ pwd }}`
    pub working_folder: String,
    /// The time of `{{ timestamp }}` and `{{ isotime }}`.
    pub now: jiff::Timestamp,
}

impl GoTemplateData {
    /// The same with one more field.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

/// Why a Go template has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoTemplateError {
    /// `{{` without `}}`.
    #[error("`{{{{` is not closed by `}}}}`")]
    Unclosed,
    /// A field that is not there.
    #[error("there is no `{{{{ .{name} }}}}` here; {}", suggestion(.name, .known))]
    UnknownField {
        /// The field asked for.
        name: String,
        /// The fields that are there.
        known: Vec<String>,
    },
    /// A function that does not exist.
    #[error("there is no function `{name}` in `{{{{ … }}}}`; {}", suggestion(.name, .known))]
    UnknownFunction {
        /// The function asked for.
        name: String,
        /// The functions that exist.
        known: Vec<String>,
    },
    /// A function with wrong arguments.
    #[error("`{{{{ {name} }}}}` takes {expected}")]
    Arguments {
        /// The function.
        name: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A form that is not understood.
    #[error("`{{{{ {text} }}}}` is not supported; fields and calls of functions are")]
    Unsupported {
        /// The action's text.
        text: String,
    },
}

fn suggestion(name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "there is nothing to refer to".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}

/// The functions, with what they take.
const FUNCTIONS: [(&str, &str); 15] = [
    ("build", "the name of a value, as in `build \"ID\"`"),
    ("build_name", "no arguments"),
    ("build_type", "no arguments"),
    ("clean_resource_name", "a text"),
    ("isotime", "no arguments, or a layout"),
    ("lower", "a text"),
    ("packer_version", "no arguments"),
    ("pwd", "no arguments"),
    (
        "replace",
        "the old text, the new one, how often (-1: always) and a text",
    ),
    ("replace_all", "the old text, the new one and a text"),
    ("split", "a text, a separator and a position"),
    ("strftime", "a format"),
    ("timestamp", "no arguments"),
    ("upper", "a text"),
    ("user", "nothing here: write `${var.NAME}`"),
];

/// Go's keywords for what is not supported.
const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];

/// Renders a text. One without `{{` stays as it is.
pub fn render(text: &str, data: &GoTemplateData) -> Result<String, GoTemplateError> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = split_action(after)?;
        match action
            .strip_prefix('-')
            .filter(|action| action.starts_with(char::is_whitespace))
        {
            Some(_) => output.push_str(before.trim_end()),
            None => output.push_str(before),
        }
        let trims_after =
            action.ends_with('-') && action.trim_end_matches('-').ends_with(char::is_whitespace);
        let action = action.strip_prefix("- ").unwrap_or(action);
        let action = if trims_after {
            action.trim_end_matches('-')
        } else {
            action
        };
        output.push_str(&evaluate(action.trim(), data)?);
        rest = if trims_after {
            after.trim_start()
        } else {
            after
        };
    }
    output.push_str(rest);
    Ok(output)
}

/// The text of an action and what follows it; quoted text may hold `}}`.
fn split_action(text: &str) -> Result<(&str, &str), GoTemplateError> {
    let mut quote = None;
    let mut escaped = false;
    for (index, char) in text.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if char == '\\' => escaped = true,
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if matches!(char, '"' | '`') => quote = Some(char),
            None => {
                if let Some((action, after)) = text.split_at_checked(index)
                    && let Some(after) = after.strip_prefix("}}")
                {
                    return Ok((action, after));
                }
            }
        }
    }
    Err(GoTemplateError::Unclosed)
}

fn evaluate(action: &str, data: &GoTemplateData) -> Result<String, GoTemplateError> {
    let unsupported = || GoTemplateError::Unsupported {
        text: action.to_owned(),
    };
    if action.starts_with("/*") && action.ends_with("*/") {
        return Ok(String::new());
    }
    let words = words(action, data)?.ok_or_else(unsupported)?;
    match words.split_first() {
        Some((Word::Text(text), [])) => Ok(text.clone()),
        Some((Word::Name(name), _)) if KEYWORDS.contains(&name.as_str()) => Err(unsupported()),
        Some((Word::Name(name), arguments)) => {
            // A name among the arguments is a call without arguments of its own.
            let arguments: Vec<String> = arguments
                .iter()
                .map(|word| match word {
                    Word::Text(text) => Ok(text.clone()),
                    Word::Name(name) => call(name, &[], data),
                })
                .collect::<Result<_, _>>()?;
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            call(name, &arguments, data)
        }
        _ => Err(unsupported()),
    }
}

/// A word of an action.
enum Word {
    /// A function's name.
    Name(String),
    /// A literal, or the value of a field.
    Text(String),
}

/// The words of an action; none if it has other parts.
fn words(action: &str, data: &GoTemplateData) -> Result<Option<Vec<Word>>, GoTemplateError> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let word_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = match first {
            '`' => match rest.split_at(1).1.split_once('`') {
                Some((text, after)) => (Word::Text(text.to_owned()), after),
                None => return Ok(None),
            },
            '"' => match quoted(rest) {
                Some((text, after)) => (Word::Text(text), after),
                None => return Ok(None),
            },
            '.' => {
                let (field, after) = rest.split_at(word_end);
                (
                    Word::Text(self::field(field.trim_start_matches('.'), data)?),
                    after,
                )
            }
            '-' | '0'..='9' => {
                let (number, after) = rest.split_at(word_end);
                (Word::Text(number.to_owned()), after)
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let (name, after) = rest.split_at(word_end);
                (Word::Name(name.to_owned()), after)
            }
            _ => return Ok(None),
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Ok(None);
        }
        words.push(word);
        rest = after.trim_start();
    }
    Ok(Some(words))
}

/// A text in double quotes, with Go's escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut output = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((output, text.get(index + 1..)?)),
            '\\' => output.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                same @ ('\\' | '"' | '\'') => same,
                _ => return None,
            }),
            other => output.push(other),
        }
    }
    None
}

fn field(name: &str, data: &GoTemplateData) -> Result<String, GoTemplateError> {
    data.fields
        .get(name)
        .cloned()
        .ok_or_else(|| GoTemplateError::UnknownField {
            name: name.to_owned(),
            known: data.fields.keys().cloned().collect(),
        })
}

fn call(name: &str, arguments: &[&str], data: &GoTemplateData) -> Result<String, GoTemplateError> {
    let wrong = || GoTemplateError::Arguments {
        name: name.to_owned(),
        expected: FUNCTIONS
            .iter()
            .find(|(function, _)| *function == name)
            .map_or("other arguments", |(_, expected)| expected),
    };
    Ok(match (name, arguments) {
        ("build_name", []) => data.build_name.clone(),
        ("build_type", []) => data.build_type.clone(),
        ("pwd", []) => data.working_folder.clone(),
        ("packer_version", []) => super::PACKER_VERSION.to_owned(),
        ("timestamp", []) => data.now.as_second().to_string(),
        ("isotime", []) => data.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ("isotime", [layout]) => library("legacy_isotime", layout, data).ok_or_else(wrong)?,
        ("strftime", [format]) => library("legacy_strftime", format, data).ok_or_else(wrong)?,
        ("upper", [text]) => text.to_uppercase(),
        ("lower", [text]) => text.to_lowercase(),
        ("clean_resource_name", [text]) => text
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() {
                    char
                } else {
                    '-'
                }
            })
            .collect(),
        ("replace_all", [old, new, text]) => text.replace(old, new),
        ("replace", [old, new, count, text]) => match count.parse::<i64>() {
            Ok(count) => match usize::try_from(count) {
                Ok(count) => text.replacen(old, new, count),
                Err(_) => text.replace(old, new),
            },
            Err(_) => return Err(wrong()),
        },
        ("split", [text, separator, position]) => {
            let position: usize = position.parse().map_err(|_| wrong())?;
            text.split(separator)
                .nth(position)
                .ok_or_else(wrong)?
                .to_owned()
        }
        ("build", [key]) => {
            data.build
                .get(*key)
                .cloned()
                .ok_or_else(|| GoTemplateError::UnknownField {
                    name: (*key).to_owned(),
                    known: data.build.keys().cloned().collect(),
                })?
        }
        _ if FUNCTIONS.iter().any(|(function, _)| *function == name) => return Err(wrong()),
        _ => {
            return Err(GoTemplateError::UnknownFunction {
                name: name.to_owned(),
                known: FUNCTIONS
                    .iter()
                    .map(|(function, _)| (*function).to_owned())
                    .collect(),
            });
        }
    })
}

/// The language's function of the same meaning.
fn library(function: &str, argument: &str, data: &GoTemplateData) -> Option<String> {
    use super::functions::{FunctionContext, call};
    let folder = std::path::Path::new(&data.working_folder);
    let context = FunctionContext {
        template_folder: folder,
        working_folder: folder,
        home: None,
        now: data.now,
        random: &|bytes| bytes.fill(0),
        services: None,
    };
    let result = call(function, &[super::Value::string(argument)], &context).ok()?;
    result.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data() -> GoTemplateData {
        GoTemplateData {
            fields: BTreeMap::from([
                ("Vars".to_owned(), "A='1' ".to_owned()),
                ("Path".to_owned(), "/tmp/script.sh".to_owned()),
            ]),
            build: BTreeMap::from([("ID".to_owned(), "abc".to_owned())]),
            build_name: "base".to_owned(),
            build_type: "oci".to_owned(),
            working_folder: "/work".to_owned(),
            now: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        }
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("plain }} text", "plain }} text"),
            (
                "chmod +x {{ .Path }}; {{.Vars}}{{.Path}}",
                "chmod +x /tmp/script.sh; A='1' /tmp/script.sh",
            ),
            (
                "{{timestamp}} {{ isotime }}",
                "1700000000 2023-11-14T22:13:20Z",
            ),
            ("{{ isotime \"2006-01-02\" }}", "2023-11-14"),
            ("{{ upper `a}}b` }}", "A}}B"),
            ("{{ build `ID` }}-{{ build \"ID\" }}", "abc-abc"),
            ("{{ replace \"a\" \"b\" 1 \"aaa\" }}", "baa"),
            ("{{ replace_all `a` `b` .Path }}", "/tmp/script.sh"),
            ("{{ split build_name `s` 0 }}", "ba"),
            ("a {{- /* gone */ -}} b", "ab"),
            ("a {{- build_type -}} b", "aocib"),
            ("{{/* nothing */}}", ""),
            (
                "{{ .Pth }}",
                "there is no `{{ .Pth }}` here; did you mean `Path`?",
            ),
            (
                "{{ .Image }}",
                "there is no `{{ .Image }}` here; known are Path, Vars",
            ),
            (
                "{{ uper `a` }}",
                "there is no function `uper` in `{{ … }}`; did you mean `upper`?",
            ),
            ("{{ upper }}", "`{{ upper }}` takes a text"),
            (
                "{{ if .Path }}x{{ end }}",
                "`{{ if .Path }}` is not supported; fields and calls of functions are",
            ),
            (
                "{{ .Path | upper }}",
                "`{{ .Path | upper }}` is not supported; fields and calls of functions are",
            ),
            ("{{ .Path", "`{{` is not closed by `}}`"),
        ] {
            let rendered = render(text, &data()).unwrap_or_else(|error| error.to_string());
            assert_eq!(rendered, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([{}. \"`\\\\a-c/*-]|\\{\\{|\\}\\}){0,20}") {
            let _outcome = render(&text, &data());
        }
    }
}
