//! YAML as a tree whose every part knows its place, for files in which each field is known by name.
//! JSON is read the same way, since all of it is YAML.

use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, did_you_mean};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use std::collections::BTreeMap;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// How many parts a file may have, counting those that aliases repeat.
const MAX_NODES: usize = 100_000;

/// A part of a file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is.
    pub place: SourceSpan,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Scalar { text: String, is_plain: bool },
    List(Vec<Node>),
    Map(Vec<(String, SourceSpan, Node)>),
}

/// Reads the one document of a text; none after an error.
pub fn parse(text: &str, file: FileId, diagnostics: &Diagnostics) -> Option<Node> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        file,
        offsets: text.char_indices().map(|(offset, _)| offset).collect(),
        length: text.len(),
        anchors: BTreeMap::new(),
        count: 0,
    };
    match reader.document() {
        Ok(node) => Some(node),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    }
}

type Failure = Box<Diagnostic>;

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    file: FileId,
    /// Where each character begins, in bytes.
    offsets: Vec<usize>,
    length: usize,
    /// Parts with an anchor, and of how many parts each consists.
    anchors: BTreeMap<usize, (Node, usize)>,
    count: usize,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Node, Failure> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                Event::StreamEnd => {
                    return found.ok_or_else(|| self.wrong(span, "the file is empty"));
                }
                _ if found.is_some() => {
                    return Err(self.wrong(span, "the file has a second document"));
                }
                event => found = Some(self.node((event, span), 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Failure> {
        match self.events.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let place = self.place(error.marker().index(), error.marker().index());
                Err(Box::new(
                    Diagnostic::error(format!("this is not YAML: {}", error.info())).at(place),
                ))
            }
            None => Err(Box::new(Diagnostic::error("the file ends too early"))),
        }
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, Failure> {
        if depth > MAX_DEPTH {
            let what = format!("this is nested more than {MAX_DEPTH} levels deep");
            return Err(self.wrong(span, &what));
        }
        let before = self.count;
        self.charge(1, span)?;
        let (kind, anchor) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let Some((node, size)) = known else {
                    return Err(self.wrong(span, "this alias refers to what it is part of"));
                };
                self.charge(size, span)?;
                return Ok(Node {
                    place: self.place(span.start.index(), span.end.index()),
                    ..node
                });
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                (Kind::Scalar { text, is_plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => return Err(self.wrong(span, "a value is missing here")),
        };
        let node = Node {
            place: self.place(span.start.index(), span.end.index()),
            kind,
        };
        // Anchors are numbered from 1.
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.count - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Failure> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Failure> {
        let mut entries: Vec<(String, SourceSpan, Node)> = Vec::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(key, ..), span) => (key.into_owned(), span),
                (_, span) => return Err(self.wrong(span, "a key must be a text")),
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if key == "<<" {
                match value.kind {
                    Kind::List(items) => merged.extend(items),
                    _ => merged.push(value),
                }
                continue;
            }
            let place = self.place(span.start.index(), span.end.index());
            if let Some((_, first, _)) = entries.iter().find(|(name, ..)| *name == key) {
                return Err(Box::new(
                    Diagnostic::error(format!("`{key}` is set twice"))
                        .at(place)
                        .note(*first, "first here"),
                ));
            }
            entries.push((key, place, value));
        }
        for node in merged {
            let Kind::Map(more) = node.kind else {
                let error = Diagnostic::error("only a mapping can be merged").at(node.place);
                return Err(Box::new(error));
            };
            for (key, place, value) in more {
                if !entries.iter().any(|(name, ..)| *name == key) {
                    entries.push((key, place, value));
                }
            }
        }
        Ok(Kind::Map(entries))
    }

    fn charge(&mut self, nodes: usize, span: Span) -> Result<(), Failure> {
        self.count = self.count.saturating_add(nodes);
        match self.count > MAX_NODES {
            true => Err(self.wrong(span, &format!("the file has more than {MAX_NODES} values"))),
            false => Ok(()),
        }
    }

    fn wrong(&self, span: Span, what: &str) -> Failure {
        let place = self.place(span.start.index(), span.end.index());
        Box::new(Diagnostic::error(what).at(place))
    }

    fn place(&self, start: usize, end: usize) -> SourceSpan {
        let offset = |index: usize| self.offsets.get(index).copied().unwrap_or(self.length);
        let start = offset(start);
        SourceSpan::new(self.file, start..offset(end).max(start))
    }
}

impl Node {
    /// Whether it is left empty.
    fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, is_plain } => {
                *is_plain && matches!(text.as_str(), "" | "~" | "null")
            }
            _ => false,
        }
    }

    /// A text; numbers and truth values are taken as they are written.
    pub fn text(&self, diagnostics: &Diagnostics) -> Option<String> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text.clone()),
            _ => self.refuse("a text", diagnostics),
        }
    }

    /// A whole number.
    pub fn number(&self, diagnostics: &Diagnostics) -> Option<u32> {
        let number = match &self.kind {
            Kind::Scalar { text, .. } => text.parse().ok(),
            _ => None,
        };
        number.or_else(|| self.refuse("a whole number that is not negative", diagnostics))
    }

    /// `true` or `false`, or one of the words that YAML 1.1 has for them.
    pub fn boolean(&self, diagnostics: &Diagnostics) -> Option<bool> {
        let text = match &self.kind {
            Kind::Scalar { text, .. } => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => self.refuse("true or false", diagnostics),
        }
    }

    /// The members of a list.
    pub fn items(&self, diagnostics: &Diagnostics) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => {
                self.refuse::<()>("a list", diagnostics);
                &[]
            }
        }
    }

    /// The texts of a list.
    pub fn texts(&self, diagnostics: &Diagnostics) -> Vec<(String, SourceSpan)> {
        let items = self.items(diagnostics).iter();
        items
            .filter_map(|item| Some((item.text(diagnostics)?, item.place)))
            .collect()
    }

    /// Opens a mapping, whose fields are then asked for by name.
    pub fn fields<'n>(&'n self, diagnostics: &'n Diagnostics) -> Fields<'n> {
        let entries = match &self.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ => {
                self.refuse::<()>("a mapping", diagnostics);
                &[]
            }
        };
        Fields {
            place: self.place,
            entries,
            diagnostics,
            asked: Vec::new(),
        }
    }

    fn refuse<T>(&self, wanted: &str, diagnostics: &Diagnostics) -> Option<T> {
        diagnostics.push(Diagnostic::error(format!("{wanted} is required here")).at(self.place));
        None
    }
}

/// A mapping that is being read.
pub struct Fields<'n> {
    /// Where the mapping is.
    pub place: SourceSpan,
    entries: &'n [(String, SourceSpan, Node)],
    /// Takes what is wrong.
    pub diagnostics: &'n Diagnostics,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// A field; none if it is missing or left empty.
    pub fn optional(&mut self, name: &'static str) -> Option<&'n Node> {
        self.asked.push(name);
        let found = self.entries.iter().find(|(key, ..)| key == name);
        found
            .map(|(_, _, node)| node)
            .filter(|node| !node.is_null())
    }

    /// A text that must be there and not empty.
    pub fn required_text(&mut self, name: &'static str) -> Option<(String, SourceSpan)> {
        let Some(node) = self.optional(name) else {
            let error = Diagnostic::error(format!("`{name}` is required"));
            self.diagnostics.push(error.at(self.place));
            return None;
        };
        let text = node.text(self.diagnostics)?;
        if text.is_empty() {
            let error = Diagnostic::error(format!("`{name}` must not be empty"));
            self.diagnostics.push(error.at(node.place));
        }
        Some((text, node.place))
    }

    /// The members of a list that may be missing.
    pub fn list(&mut self, name: &'static str) -> &'n [Node] {
        let node = self.optional(name);
        node.map_or(&[], |node| node.items(self.diagnostics))
    }

    /// Reports every field that was not asked for.
    pub fn finish(self) {
        for (key, place, _) in self.entries {
            if !self.asked.contains(&key.as_str()) {
                let error = Diagnostic::error(format!("there is no field `{key}` here"));
                let help = did_you_mean(key, self.asked.iter().copied());
                self.diagnostics.push(error.at(*place).help_maybe(help));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Colours, Sources};

    fn errors(text: &str) -> String {
        let mut sources = Sources::new();
        let file = sources.add("t.yaml", text);
        let diagnostics = Diagnostics::new();
        parse(text, file, &diagnostics);
        diagnostics.render(&sources, Colours::Off)
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "# ü\na: [é, \"b\"]\n";
        let mut sources = Sources::new();
        let file = sources.add("t.yaml", text);
        let diagnostics = Diagnostics::new();
        let node = parse(text, file, &diagnostics).unwrap();
        let mut fields = node.fields(&diagnostics);
        let texts = fields.optional("a").unwrap().texts(&diagnostics);
        let found: Vec<(&str, &str)> = texts
            .iter()
            .map(|(text, place)| (text.as_str(), sources.slice(*place)))
            .collect();
        assert_eq!(found, [("é", "é"), ("b", "\"b\"")]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        for (text, expected) in [
            ("", "the file is empty"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("a: 1\na: 2\n", "t.yaml:2:1"),
            ("a: [1\n", "this is not YAML"),
            ("a: &x [*x]\n", "part of"),
            ("<<: 1\n", "only a mapping can be merged"),
            ("[a]: 1\n", "a key must be a text"),
        ] {
            let found = errors(text);
            assert!(found.contains(expected), "{text:?}: {found}");
        }
    }

    #[test]
    fn hostile_texts_are_refused() {
        let mut laughs = "- &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs += &format!("- &a{level} [{aliases}]\n");
        }
        for (text, expected) in [
            (laughs, "more than 100000 values"),
            ("[".repeat(200), "nested more than 64 levels deep"),
        ] {
            let found = errors(&text);
            assert!(found.contains(expected), "{found}");
        }
    }
}
