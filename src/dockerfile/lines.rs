//! Lines: a Dockerfile's text cut into instructions, with continuations joined and heredocs read.
//!
//! Nothing here knows what an instruction means; only those of some names may have heredocs.

use std::ops::Range;

/// Instructions that may have heredocs.
const WITH_HEREDOCS: [&str; 3] = ["ADD", "COPY", "RUN"];
/// How many heredocs one instruction may have.
const HEREDOC_LIMIT: usize = 100;

/// A Dockerfile, cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The character that joins lines and takes meanings away.
    pub escape: char,
    /// The instructions, in order.
    pub instructions: Vec<Line>,
}

/// One instruction with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In capitals.
    pub name: String,
    /// What follows it, in one line.
    pub rest: String,
    /// The same as it is written, line by line, without what joins the lines.
    pub pieces: Vec<String>,
    /// What stands in heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// Where it is.
    pub range: Range<usize>,
}

/// A text that follows an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// What ends it.
    pub name: String,
    /// The word that announces it, as it is written.
    pub word: String,
    /// Whether variables in it count.
    pub is_expanded: bool,
    /// The text, each line with its end.
    pub content: String,
}

/// Why a text is no Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// What is wrong.
    pub problem: String,
    /// Where.
    pub range: Range<usize>,
}

/// Cuts a text.
pub fn cut(text: &str) -> Result<Lines, LineError> {
    if let Some(place) = text.find('\0') {
        return Err(LineError {
            problem: "it holds a NUL character".to_owned(),
            range: place..place + 1,
        });
    }
    let mut physical = Physical { text, place: 0 };
    let escape = directives(text);
    let mut instructions = Vec::new();
    while let Some((start, line)) = physical.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut end = start + line.len();
        let mut pieces = Vec::new();
        let mut current = line.trim_start().to_owned();
        loop {
            let Some(joined) = continued(&current, escape) else {
                pieces.push(current.trim_end().to_owned());
                break;
            };
            pieces.push(joined.to_owned());
            // Comments and empty lines within an instruction are none of it.
            let next = loop {
                match physical.next() {
                    None => break None,
                    Some((_, line)) if line.trim().is_empty() => {}
                    Some((_, line)) if line.trim_start().starts_with('#') => {}
                    Some(next) => break Some(next),
                }
            };
            let Some((start, line)) = next else { break };
            end = start + line.len();
            current = line.to_owned();
        }
        let whole = pieces.concat();
        let (name, rest) = match whole.split_once(char::is_whitespace) {
            Some((name, rest)) => (name.to_owned(), rest.trim().to_owned()),
            None => (whole.clone(), String::new()),
        };
        let name = name.to_ascii_uppercase();
        if let Some(first) = pieces.first_mut() {
            let argument = first.split_once(char::is_whitespace);
            *first = argument.map_or(String::new(), |(_, rest)| rest.trim_start().to_owned());
        }
        let mut heredocs = Vec::new();
        if WITH_HEREDOCS.contains(&name.as_str()) {
            for announced in announced(&rest) {
                if heredocs.len() == HEREDOC_LIMIT {
                    return Err(LineError {
                        problem: format!("it has more than {HEREDOC_LIMIT} heredocs"),
                        range: start..end,
                    });
                }
                let (heredoc, last) = body(&mut physical, announced).map_err(|name| LineError {
                    problem: format!("the heredoc {name} has no end"),
                    range: start..end,
                })?;
                end = last;
                heredocs.push(heredoc);
            }
        }
        instructions.push(Line {
            name,
            rest,
            pieces,
            heredocs,
            range: start..end,
        });
    }
    Ok(Lines {
        escape,
        instructions,
    })
}

/// The lines of a text as they stand there, without their ends.
struct Physical<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Physical<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = self
            .text
            .get(self.place..)
            .filter(|rest| !rest.is_empty())?;
        let start = self.place;
        let line = rest.split('\n').next().unwrap_or_default();
        self.place += line.len() + 1;
        Some((start, line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// Reads the comments at the beginning that say how to read the rest; gives the escape character.
fn directives(text: &str) -> char {
    let mut escape = '\\';
    for line in text.lines() {
        let Some((name, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|comment| comment.split_once('='))
        else {
            break;
        };
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "`") => escape = '`',
            ("escape" | "syntax" | "check", _) => {}
            // An ordinary comment: what follows are ordinary comments too.
            _ => break,
        }
    }
    escape
}

/// The line without what joins it to the next one; none if nothing does.
fn continued(line: &str, escape: char) -> Option<&str> {
    let joined = line.trim_end().strip_suffix(escape)?;
    (!joined.ends_with(escape)).then_some(joined)
}

/// A heredoc whose text has not been read yet.
struct Announced {
    name: String,
    word: String,
    is_expanded: bool,
    strips_tabs: bool,
}

/// The heredocs that a line announces, outside of quotes.
fn announced(rest: &str) -> Vec<Announced> {
    let mut found = Vec::new();
    let mut quote = None;
    let mut characters = rest.char_indices();
    while let Some((index, character)) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '<') => {
                let begin = rest.get(index..).unwrap_or_default();
                if let Some(heredoc) = announcement(begin) {
                    let length = heredoc.word.len();
                    found.push(heredoc);
                    characters = rest.char_indices();
                    while characters.as_str().len() > rest.len() - index - length {
                        characters.next();
                    }
                } else {
                    // `<<<` is a here-string of a shell.
                    while characters.as_str().starts_with('<') {
                        characters.next();
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Reads `<<NAME`, `<<-NAME`, `<<"NAME"` or `<<'NAME'`.
fn announcement(text: &str) -> Option<Announced> {
    let rest = text.strip_prefix("<<")?;
    let (strips_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = rest.get(quote.map_or(0, char::len_utf8)..)?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let length = inner.find(|c| !is_part(c)).unwrap_or(inner.len());
    let (name, after) = inner.split_at(length);
    let is_closed = quote.is_none_or(|quote| after.starts_with(quote));
    if name.is_empty() || !is_closed || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let length = text.len() - after.len() + quote.map_or(0, char::len_utf8);
    Some(Announced {
        name: name.to_owned(),
        word: text.get(..length)?.to_owned(),
        is_expanded: quote.is_none(),
        strips_tabs,
    })
}

/// Reads the text of a heredoc, and where it ends; an error is its name.
fn body(physical: &mut Physical<'_>, announced: Announced) -> Result<(Heredoc, usize), String> {
    let mut content = String::new();
    while let Some((start, line)) = physical.next() {
        let line = match announced.strips_tabs {
            true => line.trim_start_matches('\t'),
            false => line,
        };
        if line == announced.name {
            let heredoc = Heredoc {
                name: announced.name,
                word: announced.word,
                is_expanded: announced.is_expanded,
                content,
            };
            return Ok((heredoc, start + line.len()));
        }
        content.push_str(line);
        content.push('\n');
    }
    Err(announced.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, String)> {
        let lines = cut(text).unwrap().instructions.into_iter();
        lines.map(|line| (line.name, line.rest)).collect()
    }

    fn one(text: &str) -> Line {
        cut(text).unwrap().instructions.remove(0)
    }

    #[test]
    fn instructions_are_joined_and_comments_left_out() {
        let text = "# syntax=docker/dockerfile:1\n\nfrom a\n  # note\nRUN x \\\n# within\n\n   && y \\ \n  z\r\nCMD\n";
        let expected = [("FROM", "a"), ("RUN", "x    && y   z"), ("CMD", "")];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(of(text), expected);
        let run = &cut(text).unwrap().instructions[1];
        assert_eq!(run.pieces, ["x ", "   && y ", "  z"]);
        assert!(text[run.range.clone()].starts_with("RUN x"));
        assert_eq!(one("RUN echo \\\\\nCMD").rest, "echo \\\\");
        assert_eq!(one("RUN a \\").rest, "a");
    }

    #[test]
    fn the_escape_character_can_be_changed() {
        let lines = cut("# escape=`\nRUN a `\n b\n").unwrap();
        assert_eq!((lines.escape, &*lines.instructions[0].rest), ('`', "a  b"));
        assert_eq!(cut("# a comment\n# escape=`\n").unwrap().escape, '\\');
    }

    #[test]
    fn heredocs_are_read_to_their_ends() {
        let line = one("RUN <<EOF cat\nset -e\n  EOF\n# kept\nEOF\nCMD x\n");
        assert_eq!(line.heredocs[0].content, "set -e\n  EOF\n# kept\n");
        let line = one("COPY <<-\"A\" <<B /x/\n\tone\n\tA\ntwo\nB\n");
        let found: Vec<_> = line
            .heredocs
            .iter()
            .map(|it| (it.name.as_str(), it.is_expanded, it.content.as_str()))
            .collect();
        assert_eq!(found, [("A", false, "one\n"), ("B", true, "two\n")]);
        for text in [
            "RUN echo '<<EOF'",
            "RUN cat <<<word",
            "RUN $((1<<2))",
            "ENV a=<<EOF",
        ] {
            assert!(one(text).heredocs.is_empty(), "{text}");
        }
        assert!(cut("RUN <<EOF\nnever\n").is_err());
        assert!(cut("RUN a\0b").is_err());
    }
}
