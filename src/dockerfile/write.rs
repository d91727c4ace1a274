//! Writing: blocks as the text of a template, in its canonical form.

use super::text::Text;
use crate::template::canonical::canonical_form;
use crate::template::hcl_quoted;

/// A block of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Its type and labels.
    header: String,
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    Argument(String, String),
    Block(Block),
    Comment(String),
}

impl Block {
    /// An empty block; labels are quoted.
    pub fn new(kind: &str, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|label| format!(" {}", hcl_quoted(label)));
        Self {
            header: format!("{kind}{}", labels.collect::<String>()),
            members: Vec::new(),
        }
    }

    /// Adds an argument with an expression as its value.
    pub fn set(&mut self, name: &str, expression: impl Into<String>) {
        let expression = expression.into();
        self.members
            .push(Member::Argument(name.to_owned(), expression));
    }

    /// Adds a nested block.
    pub fn add(&mut self, block: Block) {
        self.members.push(Member::Block(block));
    }

    /// Adds a comment; what has several lines is one comment each.
    pub fn comment(&mut self, text: &str) {
        self.members.push(Member::Comment(text.to_owned()));
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn write(&self, text: &mut String) {
        text.push_str(&self.header);
        text.push_str(" {\n");
        let mut was_argument = false;
        for (index, member) in self.members.iter().enumerate() {
            match member {
                Member::Argument(name, expression) => {
                    text.push_str(&format!("{name} = {expression}\n"));
                }
                Member::Block(block) => {
                    if index > 0 && was_argument {
                        text.push('\n');
                    }
                    block.write(text);
                }
                Member::Comment(comment) => write_comment(comment, text),
            }
            was_argument = matches!(member, Member::Argument(..));
        }
        text.push_str("}\n");
    }
}

fn write_comment(comment: &str, text: &mut String) {
    for line in comment.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("# {line}\n"));
    }
}

/// A whole template of these blocks, below a comment.
pub fn template(comment: &str, blocks: &[Block]) -> String {
    let mut text = String::new();
    write_comment(comment, &mut text);
    for block in blocks {
        text.push('\n');
        block.write(&mut text);
    }
    canonical_form(&text)
}

/// A list of texts; on several lines if it is long.
pub fn list(texts: &[Text]) -> String {
    let quoted: Vec<String> = texts.iter().map(Text::hcl).collect();
    let short = format!("[{}]", quoted.join(", "));
    if short.chars().count() <= 90 && texts.len() < 6 {
        return short;
    }
    let lines = quoted.iter().map(|text| format!("{text},\n"));
    format!("[\n{}]", lines.collect::<String>())
}

/// A map of texts, in their order.
pub fn map(pairs: &[(String, Text)]) -> String {
    let key = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(is_part)
            // These are values, or begin an expression.
            && !["true", "false", "null", "for"].contains(&name);
        match is_identifier {
            true => name.to_owned(),
            false => hcl_quoted(name),
        }
    };
    let quoted: Vec<String> = pairs
        .iter()
        .map(|(name, text)| format!("{} = {}", key(name), text.hcl()))
        .collect();
    if let [one] = quoted.as_slice() {
        return format!("{{ {one} }}");
    }
    let lines = quoted.iter().map(|pair| format!("{pair}\n"));
    format!("{{\n{}}}", lines.collect::<String>())
}
