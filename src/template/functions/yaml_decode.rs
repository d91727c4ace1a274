//! YAML text as values: mappings become objects, sequences become tuples.
//!
//! The syntax is read by a library, event by event; here the events become values, with anchors,
//! merge keys (`<<`) and limits. What a scalar means is [`yaml_scalars`](super::yaml_scalars)'.

use super::FunctionError;
use super::signature::{MAX_ELEMENTS, MAX_TEXT_BYTES};
use super::yaml_scalars::{self, Tag};
use crate::template::convert::convert;
use crate::template::value::{Type, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// What the library says of a tab behind a colon.
const TAB_BEHIND_COLON: &str = "':' must be followed by a valid YAML whitespace";

/// The prefix of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

/// Reads a document.
///
/// # Errors
/// Text that is not YAML or not one document, with its line; keys that are not primitive; unknown
/// tags; anchors that are unknown or contain themselves; nesting beyond 128; more than
/// [`MAX_ELEMENTS`] values, counting those that aliases repeat.
pub(super) fn decode(text: &str) -> Result<Value, FunctionError> {
    let mut text = Cow::Borrowed(text);
    let mut read_bytes = 0_usize;
    loop {
        read_bytes = read_bytes.saturating_add(text.len());
        match Reader::new(&text).document() {
            // The library refuses a tab there, which YAML allows; a space means the same.
            Err(Failure::TabBehindColon(place)) if read_bytes < MAX_TEXT_BYTES => {
                text = Cow::Owned(without_tabs_before(&text, place));
            }
            result => return result.map_err(FunctionError::from),
        }
    }
}

/// The text with the white space in front of its letter number `place` made of spaces.
fn without_tabs_before(text: &str, place: usize) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for letter in letters.iter_mut().take(place).rev() {
        match letter {
            '\t' => *letter = ' ',
            ' ' => {}
            _ => break,
        }
    }
    letters.into_iter().collect()
}

/// Why a text cannot be read.
enum Failure {
    /// A tab behind a colon, in front of the letter of that number.
    TabBehindColon(usize),
    Other(FunctionError),
}

impl From<FunctionError> for Failure {
    fn from(error: FunctionError) -> Failure {
        Failure::Other(error)
    }
}

impl From<Failure> for FunctionError {
    fn from(failure: Failure) -> FunctionError {
        match failure {
            Failure::TabBehindColon(_) => {
                FunctionError::at(0, "the YAML has too many tabs behind colons")
            }
            Failure::Other(error) => error,
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// The number of letters of a text whose last line has no end.
    end: Option<usize>,
    /// Values with an anchor and how many values each consists of.
    anchors: BTreeMap<usize, (Value, usize)>,
    /// How many values there are so far.
    count: usize,
}

type Found<'t> = (Event<'t>, Span);

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            events: Parser::new_from_str(text),
            end: (!text.ends_with(['\n', '\r'])).then(|| text.chars().count()),
            anchors: BTreeMap::new(),
            count: 0,
        }
    }

    /// Reads the whole text, which must be one document.
    fn document(&mut self) -> Result<Value, Failure> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::Nothing, _) => {}
                (Event::DocumentStart(_), _) => break,
                _ => return Err(FunctionError::at(0, "the YAML text is empty").into()),
            }
        }
        let first = self.next()?;
        let value = self.node(first, 0)?;
        loop {
            match self.next()? {
                (Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return Ok(value),
                (_, span) => return Err(wrong(span, "only a single document is allowed")),
            }
        }
    }

    fn next(&mut self) -> Result<Found<'t>, Failure> {
        match self.events.next_event() {
            Some(event) => event.map_err(not_yaml),
            None => Err(FunctionError::at(0, "the YAML text ends within a value").into()),
        }
    }

    /// The value that begins with an event.
    fn node(&mut self, (event, span): Found<'t>, depth: usize) -> Result<Value, Failure> {
        if depth > MAX_DEPTH {
            return Err(wrong(
                span,
                &format!("the YAML is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        let before = self.count;
        self.charge(1, span)?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(wrong(
                        span,
                        "an alias cannot refer to a key, or to a value that it is part of",
                    ));
                };
                self.charge(size, span)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = tag_of(tag.as_deref(), span)?;
                let mut text: &str = &text;
                // The library ends the last line of a block even if nothing in the text does.
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && self.end.is_some_and(|end| span.end.index() >= end) {
                    text = text.strip_suffix('\n').unwrap_or(text);
                }
                let value = scalar(tagged, text, style, span)?;
                let is_text = tagged == Tag::None && style != ScalarStyle::Plain;
                match (is_text, value) {
                    (true, Value::Null(_)) => (Value::Null(Type::String), anchor),
                    (true, value) => (as_string(&value, span)?, anchor),
                    (false, value) => (value, anchor),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                check_collection(tag.as_deref(), "seq", "a sequence", span)?;
                (self.sequence(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                check_collection(tag.as_deref(), "map", "a mapping", span)?;
                (self.mapping(depth)?, anchor)
            }
            _ => return Err(wrong(span, "a value is missing")),
        };
        // Anchors are numbered from 1.
        if anchor > 0 {
            let size = self.count - before;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::tuple(elements)),
                event => elements.push(self.node(event, depth + 1)?),
            }
        }
    }

    /// Of repeated keys the last one counts, wherever it comes from.
    fn mapping(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        loop {
            let (text, style, tag, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::object(entries)),
                (Event::Scalar(text, style, _, tag), span) => (text, style, tag, span),
                (_, span) => return Err(wrong(span, "only strings are allowed as mapping keys")),
            };
            let is_merge = match tag.as_deref() {
                None => text == "<<",
                Some(tag) => full_name(tag) == "tag:yaml.org,2002:merge",
            };
            let value_event = |reader: &mut Self| {
                let event = reader.next()?;
                reader.node(event, depth + 1)
            };
            if is_merge {
                let merged = value_event(self)?;
                self.merge(&merged, &mut entries, span)?;
                continue;
            }
            let key = scalar(tag_of(tag.as_deref(), span)?, &text, style, span)?;
            if key.is_null() {
                return Err(wrong(span, "a mapping key cannot be null"));
            }
            let Value::String(key) = as_string(&key, span)? else {
                return Err(wrong(span, "only strings are allowed as mapping keys"));
            };
            let value = value_event(self)?;
            entries.insert(key, value);
        }
    }

    fn merge(
        &mut self,
        merged: &Value,
        entries: &mut BTreeMap<Arc<str>, Value>,
        span: Span,
    ) -> Result<(), Failure> {
        let single = std::slice::from_ref(merged);
        let mappings = match merged.as_elements() {
            Some(elements) => elements.as_slice(),
            None => single,
        };
        for mapping in mappings {
            let Some(more) = mapping.as_entries() else {
                let what = format!("{} cannot be merged into a mapping", mapping.described());
                return Err(wrong(span, &what));
            };
            self.charge(more.len(), span)?;
            let more = more.iter().map(|(key, value)| (key.clone(), value.clone()));
            entries.extend(more);
        }
        Ok(())
    }

    fn charge(&mut self, values: usize, span: Span) -> Result<(), Failure> {
        self.count = self.count.saturating_add(values);
        match self.count > MAX_ELEMENTS {
            true => Err(wrong(
                span,
                &format!("the YAML has more than {MAX_ELEMENTS} values, aliases counted"),
            )),
            false => Ok(()),
        }
    }
}

fn scalar(tag: Tag, text: &str, style: ScalarStyle, span: Span) -> Result<Value, Failure> {
    let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    yaml_scalars::resolve(tag, text, quoted).map_err(|error| wrong(span, &error.message))
}

fn as_string(value: &Value, span: Span) -> Result<Value, Failure> {
    convert(value, &Type::String).map_err(|error| wrong(span, &error.to_string()))
}

fn tag_of(tag: Option<&saphyr_parser::Tag>, span: Span) -> Result<Tag, Failure> {
    let Some(tag) = tag else {
        return Ok(Tag::None);
    };
    let name = full_name(tag);
    name.strip_prefix(CORE)
        .and_then(Tag::named)
        .ok_or_else(|| wrong(span, &format!("the tag {} is not supported", shown(&name))))
}

fn check_collection(
    tag: Option<&saphyr_parser::Tag>,
    usual: &str,
    what: &str,
    span: Span,
) -> Result<(), Failure> {
    match tag.map(full_name) {
        None => Ok(()),
        Some(name) if name.strip_prefix(CORE) == Some(usual) => Ok(()),
        Some(name) => Err(wrong(
            span,
            &format!("{what} cannot have the tag {}", shown(&name)),
        )),
    }
}

fn full_name(tag: &saphyr_parser::Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

/// A tag as people write it.
fn shown(name: &str) -> String {
    match name.strip_prefix(CORE) {
        Some(rest) => format!("!!{rest}"),
        None => name.to_owned(),
    }
}

fn wrong(span: Span, what: &str) -> Failure {
    at_line(span.start.line(), what)
}

fn not_yaml(error: ScanError) -> Failure {
    match error.info() {
        TAB_BEHIND_COLON => Failure::TabBehindColon(error.marker().index()),
        what => at_line(error.marker().line(), what),
    }
}

fn at_line(line: usize, what: &str) -> Failure {
    Failure::Other(FunctionError::at(
        0,
        format!("line {line} of the YAML: {what}"),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const CASES: &str = r##"
yamldecode("a: 1") = {"a":1}
yamldecode("- 1\n- [2, {a: 3}]\n- |\n  x\n  y\n- >\n  f\n  g\n\n  h\n") = [1,[2,{"a":3}],"x\ny\n","f g\nh\n"]
yamldecode("key:    value\nlist:\n- a\n-   b\n") = {"key":"value","list":["a","b"]}
yamldecode("a\n b\n\n c") = "a b\nc"
yamldecode("a\n...\n") = "a"
yamldecode("--- |\n  x\n  y") = "x\ny"
yamldecode("--- |+\n  x\n\n") = "x\n\n"
yamldecode("\"x\\u00e9\\x41\\n\\\n  y\"") = "xéA\ny"
yamldecode("a: 1 # c\nb: x#y") = {"a":1,"b":"x#y"}
yamldecode("a:\tb") = {"a":"b"}
yamldecode("a:\n  b:\tc\n  d:\t \te\nf: {g:\th}") = {"a":{"b":"c","d":"e"},"f":{"g":"h"}}
yamldecode("a: |\n  x") = {"a":"x"}
yamldecode("a: >\n  x") = {"a":"x"}
yamldecode("a: |+\n  x") = {"a":"x"}
yamldecode("a: |-\n  x") = {"a":"x"}
yamldecode("a: |\n  x\n  ") = {"a":"x\n"}
yamldecode("a: |\n  x\n# c") = {"a":"x\n"}
yamldecode("- |\n  x\n- |\n  y") = ["x\n","true"]
yamldecode("\"a\": \"yes\"\n'b': 'no'") = {"a":"yes","b":"no"}
yamldecode("[a, b: c, {d}, e,]") = ["a",{"b":"c"},{"d":null},"e"]
yamldecode("{a, b: , \"c\":d}") = {"a":null,"b":null,"c":"d"}
yamldecode("- \n- a") = [null,"a"]
yamldecode("? a\n: b\n? c\n") = {"a":"b","c":null}
yamldecode("---") = ~ null
yamldecode("~") = ~ null
yamldecode("%YAML 1.1\n---\na: 1") = {"a":1}
yamldecode("%YAML 1.2\n---\na: 1") = ~ {"a":1}
yamldecode("%TAG ! tag:yaml.org,2002:\n---\n!str 1") = "1"
yamldecode("!<tag:yaml.org,2002:str> 1") = "1"
yamldecode("1: 1\ntrue: 2\n1.50: x") = {"1":1,"1.5":"x","true":2}
yamldecode("yes: 1\n0x10: 2\n1_0: 3\n2001-1-2: 4") = {"0x10":2,"10":3,"2001-01-02T00:00:00Z":4,"true":1}
yamldecode("a: 1\na: [2]") = {"a":[2]}
yamldecode("a: &x 1\nb: *x\nc: &x 2\nd: *x") = {"a":1,"b":1,"c":2,"d":2}
yamldecode("a: &x {b: [c]}\nd: [*x, *x]") = {"a":{"b":["c"]},"d":[{"b":["c"]},{"b":["c"]}]}
yamldecode("- &a {p: 1, q: 1}\n- {p: 2, <<: *a}\n- {<<: *a, p: 2}") = [{"p":1,"q":1},{"p":1,"q":1},{"p":2,"q":1}]
yamldecode("- &a {x: 1}\n- &b {y: 2, x: 3}\n- <<: [*a, *b]\n  z: 1") = ~ [{"x":1},{"true":2,"x":3},{"x":3,"true":2,"z":1}]
yamldecode("- &a {x: 1}\n- \"<<\": *a") = [{"x":1},{"x":1}]
yamldecode("- <<") = ~ ["<<"]
yamldecode("<<: 1") = error: a number cannot be merged
yamldecode("<<: [1]") = error: a number cannot be merged
yamldecode("a: !!seq [1]\nb: !!map {x: 1}") = {"a":[1],"b":{"x":1}}
yamldecode("a: !!seq {x: 1}") = error: a mapping cannot have the tag !!seq
yamldecode("a: !!set {x, y}") = error: a mapping cannot have the tag !!set
yamldecode("a: !x 1") = error: line 1 of the YAML: the tag !x is not supported
yamldecode("a: ! 12") = error: is not supported
yamldecode("") = error: the YAML text is empty
yamldecode("# only comment") = error: the YAML text is empty
yamldecode("a: 1\n---\nb: 2") = error: only a single document is allowed
yamldecode("---\na: 1\n---\nb: 2") = error: line 3 of the YAML: only a single document is allowed
yamldecode("a: 1\n...\nb: 2") = error: only a single document is allowed
yamldecode("? [a]\n: b") = error: only strings are allowed as mapping keys
yamldecode("~: 1") = error: a mapping key cannot be null
yamldecode("a: *x") = error: unknown anchor
yamldecode("&k a: 1\nb: *k") = error: an alias cannot refer to a key
yamldecode("a: &x {b: *x}") = error: or to a value that it is part of
yamldecode("a: b: c") = error: line 1 of the YAML: mapping values are not allowed
yamldecode("\t- a") = ~ ["a"]
yamldecode("a:\n\t- b") = error: line 2 of the YAML: tabs disallowed
yamldecode("a: [1") = error: line 2 of the YAML
yamldecode("a: 'x") = error: of the YAML
yamldecode("a: @x") = error: of the YAML
yamldecode("a: `x") = error: of the YAML
yamldecode(null) = error: argument must not be null
"##;

    #[test]
    fn hostile_texts_are_refused() {
        let mut laughs = "- &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs += &format!("- &a{level} [{aliases}]\n");
        }
        let mut merges = "- &a0 {a: 1, b: 2}\n".to_owned();
        for level in 1..30 {
            let before = level - 1;
            merges += &format!("- &a{level} {{x: *a{before}, y: *a{before}, <<: *a{before}}}\n");
        }
        for (text, expected) in [
            (laughs, "more than 1000000 values, aliases counted"),
            (merges, "more than 1000000 values, aliases counted"),
            ("[".repeat(200), "nested more than 128 levels deep"),
            ("- ".repeat(200), "nested more than 128 levels deep"),
            ("[".repeat(100_000), "of the YAML"),
            ("{a: ".repeat(100_000), "of the YAML"),
            ("? ".repeat(100_000), "of the YAML"),
        ] {
            let error = decode(&text).unwrap_err();
            assert!(error.message.contains(expected), "{error}");
        }
    }
}
