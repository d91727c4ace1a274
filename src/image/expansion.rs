//! Expansion: words as the instructions of a Dockerfile have them, with quotes and variables.
//!
//! A *word* is kept as it is written until the variables are known. Then its quotes go away, and
//! `$NAME`, `${NAME}`, `${NAME:-word}` and `${NAME:+word}` become what they stand for.

/// How deeply words may be nested in each other.
const DEPTH_LIMIT: usize = 32;

/// What variables stand for.
pub trait Variables {
    /// The value of a variable; none if it has none.
    fn value(&mut self, name: &str) -> Option<String>;

    /// What `${NAME:-word}` stands for, of a variable whose value is only known later; none of others.
    /// `modifier` is `-`, `+` or `?`; with `counts_empty`, an empty value is one.
    fn choice(
        &mut self,
        _name: &str,
        _modifier: char,
        _counts_empty: bool,
        _word: &str,
    ) -> Option<String> {
        None
    }
}

impl<F: FnMut(&str) -> Option<String>> Variables for F {
    fn value(&mut self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Splits a text at white space outside of quotes; the words are as they are written.
pub fn words(text: &str, escape: char) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None | Some('"'), other) if other == escape => {
                word.push(character);
                word.push(characters.next().ok_or("it ends in a backslash")?);
                continue;
            }
            (None, space) if space.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// The place of the first `=` outside of quotes.
pub fn assignment(word: &str) -> Option<usize> {
    let mut quote = None;
    for (index, character) in word.char_indices() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '=') => return Some(index),
            _ => {}
        }
    }
    None
}

/// Takes the quotes away, and puts in the values of variables; one without a value is empty.
pub fn expand(text: &str, escape: char, variables: &mut dyn Variables) -> Result<String, String> {
    let mut reader = Reader {
        rest: text,
        escape,
        variables,
    };
    reader.word(None, 0)
}

/// A text in which quotes are nothing special, as a word whose variables [`expand`] puts in.
pub fn keeping_quotes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_kept = match character {
            '"' | '\'' => true,
            // It only takes the meaning of a variable away.
            '\\' => characters.peek() != Some(&'$'),
            _ => false,
        };
        if is_kept {
            kept.push('\\');
        }
        kept.push(character);
    }
    kept
}

/// A word that [`expand`] turns into `text`, whatever the variables.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

struct Reader<'a> {
    rest: &'a str,
    escape: char,
    variables: &'a mut dyn Variables,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn takes(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads to the end, or to `end` outside of quotes, which is taken.
    fn word(&mut self, end: Option<char>, depth: usize) -> Result<String, String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("more than {DEPTH_LIMIT} words are nested"));
        }
        let mut text = String::new();
        let mut quote = None;
        loop {
            let Some(character) = self.next() else { break };
            match (quote, character) {
                (None, close) if end == Some(close) => return Ok(text),
                (Some(open), close) if open == close => quote = None,
                (None, '"' | '\'') => quote = Some(character),
                (None | Some('"'), '$') => text.push_str(&self.variable(depth)?),
                (None | Some('"'), other) if other == self.escape => {
                    match (self.next(), quote) {
                        (None, _) => text.push(other),
                        // Inside quotes only these mean something else than themselves.
                        (Some(escaped), Some(_))
                            if !matches!(escaped, '"' | '$') && escaped != self.escape =>
                        {
                            text.push(other);
                            text.push(escaped);
                        }
                        (Some(escaped), _) => text.push(escaped),
                    }
                }
                (_, other) => text.push(other),
            }
        }
        match (quote, end) {
            (Some(_), _) => Err("a quote is not closed".to_owned()),
            (None, Some(_)) => Err("a brace is not closed".to_owned()),
            (None, None) => Ok(text),
        }
    }

    /// Reads what follows a `$`.
    fn variable(&mut self, depth: usize) -> Result<String, String> {
        if !self.takes('{') {
            let name = self.name();
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => self.variables.value(&name).unwrap_or_default(),
            });
        }
        let name = self.name();
        if name.is_empty() {
            return Err("${ is not followed by the name of a variable".to_owned());
        }
        if self.takes('}') {
            return Ok(self.variables.value(&name).unwrap_or_default());
        }
        // With a colon, an empty value counts as none.
        let counts_empty = !self.takes(':');
        let modifier = self.next();
        let word = self.word(Some('}'), depth + 1)?;
        if let Some(modifier @ ('-' | '+' | '?')) = modifier {
            let choice = self.variables.choice(&name, modifier, counts_empty, &word);
            if let Some(choice) = choice {
                return Ok(choice);
            }
        }
        let found = self.variables.value(&name);
        let found = found.filter(|value| counts_empty || !value.is_empty());
        match (modifier, found) {
            (Some('-'), None) | (Some('+'), Some(_)) => Ok(word),
            (Some('-'), Some(value)) => Ok(value),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), Some(value)) => Ok(value),
            (Some('?'), None) => Err(format!("{name} is not set: {word}")),
            _ => Err(format!(
                "the form of ${{{name}…}} is none of ${{{name}}}, ${{{name}:-…}} and ${{{name}:+…}}"
            )),
        }
    }

    fn name(&mut self) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        // `$1a` is the first parameter of a shell, which nobody has here.
        let end = match self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            true => 1,
            false => end,
        };
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, '\\', &mut |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn quotes_go_and_variables_come() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}b", "one-oneb"),
            ("$Ab", ""),
            ("'$A'", "$A"),
            ("\"$A b\"", "one b"),
            (r"\$A", "$A"),
            (r#""\$A \" \n""#, r#"$A " \n"#),
            (r"a\ b", "a b"),
            ("${B:-x $A}", "x one"),
            ("${EMPTY:-x}${EMPTY-x}", "x"),
            ("${A:+yes}${B:+no}", "yes"),
            ("${B:-${C:-deep}}", "deep"),
            ("$", "$"),
            ("100$ $1x", "100$ x"),
            (r#"'it'"'"'s'"#, "it's"),
            ("", ""),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "'a", "\"$A", "${A", "${}", "${A:", "${A#x}", "${B:?no}", "${A/x/y}",
        ] {
            assert!(expanded(text).is_err(), "{text}");
        }
        let deep = "${B:-".repeat(100_000);
        assert!(expanded(&deep).is_err());
    }

    #[test]
    fn words_are_kept_as_they_are_written() {
        let text = r#"a=1  "b c"=d 'e $f' g\ h"#;
        let found = words(text, '\\').unwrap();
        assert_eq!(found, ["a=1", "\"b c\"=d", "'e $f'", r"g\ h"]);
        assert_eq!(assignment(&found[1]), Some(5));
        assert_eq!(assignment("'a=b'"), None);
        assert!(words("\"a", '\\').is_err());
        assert!(words("a\\", '\\').is_err());
    }

    #[test]
    fn what_is_quoted_stays_itself() {
        for text in ["", "a b", "it's $A", "\\", "\"", "''"] {
            assert_eq!(expanded(&quoted(text)).as_deref(), Ok(text));
        }
    }
}
