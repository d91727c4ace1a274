//! Values as YAML text, laid out as libyaml does: strings and keys in double quotes or, if they have
//! several lines, as literal blocks; lists under a key not indented; lines folded behind column 80.
//!
//! The writer keeps the three things that decide whether the next token needs a space or a new
//! line: the column, whether white space was written last, and whether the line so far is nothing
//! but indentation and the indicators `-`, `?` and `:`.

use super::FunctionError;
use super::signature::check_text_size;
use crate::template::value::Value;
use std::fmt::Write;

/// Strings are folded at the first space behind this column.
const WIDTH: usize = 80;

/// What each level is indented by.
const INDENT: usize = 2;

/// The most bytes of a key that is written in front of its colon on one line.
const LONGEST_SIMPLE_KEY: usize = 128;

/// The YAML text of a value that is wholly known.
pub(super) fn encode(value: &Value) -> Result<String, FunctionError> {
    let mut writer = Writer {
        text: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
    };
    writer.node(value, None, Place::Root)?;
    writer.indent(0);
    // Without quotes nobody could tell where the document ends.
    if matches!(value, Value::Null(_) | Value::Bool(_) | Value::Number(_)) {
        writer.text.push_str("...\n");
    }
    check_text_size(Some(writer.text.len()))?;
    Ok(writer.text)
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Element,
    /// The key or the value of a mapping.
    Entry,
}

struct Writer {
    text: String,
    column: usize,
    whitespace: bool,
    indention: bool,
}

impl Writer {
    /// Writes a node within a collection that is indented by `outer`; the root is in none.
    fn node(
        &mut self,
        value: &Value,
        outer: Option<usize>,
        place: Place,
    ) -> Result<(), FunctionError> {
        check_text_size(Some(self.text.len()))?;
        let deeper = outer.map_or(0, |outer| outer + INDENT);
        match value {
            Value::Null(_) => self.token("null"),
            Value::Bool(bool) => self.token(if *bool { "true" } else { "false" }),
            Value::Number(number) => self.token(&number.to_string()),
            Value::String(string) => {
                let indent = outer.unwrap_or(0) + INDENT;
                if string.contains('\n') && allows_block(string) {
                    self.literal(string, indent);
                } else {
                    self.quoted(string, Some(indent));
                }
            }
            Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
                if elements.is_empty() {
                    self.token("[]");
                    return Ok(());
                }
                // Behind `key:` the elements are as far to the left as the key.
                let indent = match outer {
                    Some(outer) if place == Place::Entry && !self.indention => outer,
                    _ => deeper,
                };
                for element in elements.iter() {
                    self.indent(indent);
                    self.indicator("-");
                    self.node(element, Some(indent), Place::Element)?;
                }
            }
            Value::Map(_, entries) | Value::Object(entries) => {
                if entries.is_empty() {
                    self.token("{}");
                    return Ok(());
                }
                for (key, entry) in entries.iter() {
                    self.indent(deeper);
                    if key.len() <= LONGEST_SIMPLE_KEY && !key.contains(is_break) {
                        self.quoted(key, None);
                        self.put(":");
                        self.whitespace = false;
                        self.indention = false;
                    } else {
                        self.indicator("?");
                        self.node(&Value::String(key.clone()), Some(deeper), Place::Entry)?;
                        self.indent(deeper);
                        self.indicator(":");
                    }
                    self.node(entry, Some(deeper), Place::Entry)?;
                }
            }
            Value::Unknown(_) => return Err(FunctionError::new("value is not known")),
        }
        Ok(())
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }

    /// Goes to a column, on a new line unless this one is still only indentation.
    fn indent(&mut self, indent: usize) {
        let stays =
            self.indention && (self.column < indent || self.column == indent && self.whitespace);
        if !stays {
            self.line_break();
        }
        while self.column < indent {
            self.put(" ");
        }
        self.whitespace = true;
        self.indention = true;
    }

    /// Writes a `-`, `?` or `:` that a nested collection may follow on the same line.
    fn indicator(&mut self, indicator: &str) {
        self.space();
        self.put(indicator);
        self.whitespace = false;
    }

    fn token(&mut self, token: &str) {
        self.space();
        self.put(token);
        self.whitespace = false;
        self.indention = false;
    }

    fn space(&mut self) {
        if !self.whitespace {
            self.put(" ");
        }
    }

    /// Writes a string in quotes, folded if there is an indentation to fold to.
    fn quoted(&mut self, string: &str, indent: Option<usize>) {
        self.space();
        self.put("\"");
        let mut after_space = false;
        for (at, letter) in string.char_indices() {
            if letter == ' ' {
                let rest = &string[at + 1..];
                match indent {
                    Some(indent)
                        if !after_space && self.column > WIDTH && at > 0 && !rest.is_empty() =>
                    {
                        self.indent(indent);
                        if rest.starts_with(' ') {
                            self.put("\\");
                        }
                    }
                    _ => self.put(" "),
                }
                after_space = true;
            } else {
                self.letter(letter);
                after_space = false;
            }
        }
        self.put("\"");
        self.whitespace = false;
        self.indention = false;
    }

    /// Writes one letter of a quoted string.
    fn letter(&mut self, letter: char) {
        let short = match letter {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            letter if is_printable(letter) => {
                self.text.push(letter);
                self.column += 1;
                return;
            }
            letter => {
                let code = u32::from(letter);
                let before = self.text.len();
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(self.text, "\\x{code:02X}"),
                    0x100..=0xffff => write!(self.text, "\\u{code:04X}"),
                    _ => write!(self.text, "\\U{code:08X}"),
                };
                self.column += self.text.len() - before;
                return;
            }
        };
        self.text.push('\\');
        self.text.push(short);
        self.column += 2;
    }

    /// Writes a string line by line, as it is.
    fn literal(&mut self, string: &str, indent: usize) {
        self.space();
        self.put("|");
        if string.starts_with(|first| first == ' ' || is_break(first)) {
            self.put("2");
        }
        let mut from_end = string.chars().rev();
        match (from_end.next().is_some_and(is_break), from_end.next()) {
            (false, _) => self.put("-"),
            (true, None) => self.put("+"),
            (true, Some(last)) if is_break(last) => self.put("+"),
            (true, Some(_)) => {}
        }
        self.line_break();
        self.whitespace = true;
        self.indention = true;
        let mut at_start = true;
        for letter in string.chars() {
            if is_break(letter) {
                self.text.push(letter);
                self.column = 0;
                self.indention = true;
                at_start = true;
            } else {
                if at_start {
                    self.indent(indent);
                }
                self.text.push(letter);
                self.column += 1;
                self.indention = false;
                at_start = false;
            }
        }
    }
}

/// Whether a string of several lines can be written as it is.
fn allows_block(string: &str) -> bool {
    let mut previous = None;
    for letter in string.chars() {
        if !is_printable(letter) || is_break(letter) && previous == Some(' ') {
            return false;
        }
        previous = Some(letter);
    }
    previous != Some(' ')
}

fn is_break(letter: char) -> bool {
    matches!(letter, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether libyaml writes the letter as it is; nothing beyond the basic plane.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r##"
yamlencode("x") = "\"x\"\n"
yamlencode("") = "\"\"\n"
yamlencode(1) = "1\n...\n"
yamlencode(-1.5) = "-1.5\n...\n"
yamlencode(1e30) = "1000000000000000000000000000000\n...\n"
yamlencode(true) = "true\n...\n"
yamlencode(null) = "null\n...\n"
yamlencode([]) = "[]\n"
yamlencode({}) = "{}\n"
yamlencode({"a":[1,2,{"b":"x"}],"c":{},"d":[],"e":null,"f":true,"g":"multi\nline","h":1.5,"i":[[1,2],[]],"k\"y":"é\t\u0001"}) = "\"a\":\n- 1\n- 2\n- \"b\": \"x\"\n\"c\": {}\n\"d\": []\n\"e\": null\n\"f\": true\n\"g\": |-\n  multi\n  line\n\"h\": 1.5\n\"i\":\n- - 1\n  - 2\n- []\n\"k\\\"y\": \"é\\t\\x01\"\n"
yamlencode([[["a"]],{"a":{"b":[1]}}]) = "- - - \"a\"\n- \"a\":\n    \"b\":\n    - 1\n"
yamlencode([[],{},[{}],[[]]]) = "- []\n- {}\n- - {}\n- - []\n"
yamlencode({"a":[{"x":1,"y":[1,{"z":2}]},[{"q":1}]]}) = "\"a\":\n- \"x\": 1\n  \"y\":\n  - 1\n  - \"z\": 2\n- - \"q\": 1\n"
yamlencode(["a\nb\n","a\nb\n\n","\n","\na"," a\nb","a \nb","a\n b","a\tb\nc","é\nü","😀","😀\nx","a\n","x\r\ny","\u00a0x","\u2028","a\u0085b\n"]) = "- |\n  a\n  b\n- |+\n  a\n  b\n\n- |2+\n\n- |2-\n\n  a\n- |2-\n   a\n  b\n- \"a \\nb\"\n- |-\n  a\n   b\n- \"a\\tb\\nc\"\n- |-\n  é\n  ü\n- \"\\U0001F600\"\n- \"\\U0001F600\\nx\"\n- |\n  a\n- \"x\\r\\ny\"\n- \"\u00a0x\"\n- \"\\L\"\n- \"a\\Nb\\n\"\n"
yamlencode("a\nb\n\n\n") = "|+\n  a\n  b\n\n\n"
yamlencode("  a\n\n b\n") = "|2\n    a\n\n   b\n"
yamlencode("a\n   ") = "\"a\\n   \"\n"
yamlencode("   \n") = "\"   \\n\"\n"
yamlencode("\n") = "|2+\n\n"
yamlencode("a\u2028b\nc") = "|-\n  a\u2028  b\n  c\n"
yamlencode([["a\nb"]]) = "- - |-\n    a\n    b\n"
yamlencode({"k\nl":"v","a":{"b":[["x\ny"]]}}) = "\"a\":\n  \"b\":\n  - - |-\n      x\n      y\n? |-\n  k\n  l\n: \"v\"\n"
yamlencode({"k\nl":{"b":1,"c":2},"m\nn":[1,[2]],"o\np":"q\nr"}) = "? |-\n  k\n  l\n: \"b\": 1\n  \"c\": 2\n? |-\n  m\n  n\n: - 1\n  - - 2\n? |-\n  o\n  p\n: |-\n  q\n  r\n"
yamlencode({"a b":"c: d","é":1,"":""}) = "\"\": \"\"\n\"a b\": \"c: d\"\n\"é\": 1\n"
yamlencode("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccccccccccccccccccccc ddddddddddd") = "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n  ccccccccccccccccccccccccccccccccccccccc ddddddddddd\"\n"
yamlencode(["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  ccccccccccccccc ddddddddd eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee   f"]) = "- \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n  \\ ccccccccccccccc ddddddddd eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\n  \\  f\"\n"
yamlencode({"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":{"b":1,"c":[2]}}) = "? \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n: \"b\": 1\n  \"c\":\n  - 2\n"
yamlencode(["\u0000\u0007\u001b\u007f\u0080\ufeff\ufffd\ue000"]) = "- \"\\0\\a\\e\\x7F\\x80\\uFEFF\ufffd\ue000\"\n"
yamlencode("$\"\\${x}") = "\"$\\\"\\\\${x}\"\n"
"##;
}
