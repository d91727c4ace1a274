//! Blocks of a body, in either syntax.
//!
//! In the native syntax they are written as such. In JSON, `"kind": { "label": { … } }` stands for
//! a block, and an array in any of these places for several.

use super::{
    Attribute, Block, Body, Expression, ExpressionKind, Item, Name, ObjectItem, ObjectKey, Syntax,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use std::borrow::Cow;
use std::sync::Arc;

impl Body {
    /// The arguments. In JSON these are all properties but comments, those too that stand for
    /// blocks.
    pub(in crate::template) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.items.iter().filter_map(|item| match item {
            Item::Attribute(attribute)
                if self.syntax == Syntax::Native || &*attribute.name.text != "//" =>
            {
                Some(attribute)
            }
            _ => None,
        })
    }

    /// The argument of a name.
    pub(in crate::template) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes()
            .find(|attribute| &*attribute.name.text == name)
    }

    /// The blocks that are written as such.
    pub(in crate::template) fn written_blocks(&self) -> impl Iterator<Item = &Block> {
        self.items.iter().filter_map(|item| match item {
            Item::Block(block) => Some(block),
            Item::Attribute(_) => None,
        })
    }

    /// The blocks of some types, each given with the number of its labels, in the order of the
    /// text. How many labels a block of the native syntax has is not looked at.
    pub(in crate::template) fn blocks(
        &self,
        types: &[(&str, usize)],
        diagnostics: &Diagnostics,
    ) -> Vec<Cow<'_, Block>> {
        let mut found = Vec::new();
        for item in &self.items {
            match item {
                Item::Block(block) => {
                    if types.iter().any(|(kind, _)| *kind == &*block.kind.text) {
                        found.push(Cow::Borrowed(block));
                    }
                }
                Item::Attribute(attribute) => {
                    let asked = types
                        .iter()
                        .find(|(kind, _)| *kind == &*attribute.name.text);
                    if let Some((_, labels)) = asked
                        && self.syntax == Syntax::Json
                    {
                        let mut made = Vec::new();
                        let mut unpacking = Unpacking {
                            kind: &attribute.name,
                            labels: *labels,
                            made: &mut made,
                            diagnostics,
                        };
                        unpacking.unpack(&attribute.value, &mut Vec::new());
                        found.extend(made.into_iter().map(Cow::Owned));
                    }
                }
            }
        }
        found
    }
}

/// Blocks being made of a JSON property.
struct Unpacking<'a> {
    kind: &'a Name,
    labels: usize,
    made: &'a mut Vec<Block>,
    diagnostics: &'a Diagnostics,
}

impl Unpacking<'_> {
    fn unpack(&mut self, value: &Expression, labels: &mut Vec<Name>) {
        let items = match &value.kind {
            ExpressionKind::Null => return,
            ExpressionKind::Tuple(elements) => {
                elements
                    .iter()
                    .for_each(|element| self.unpack(element, labels));
                return;
            }
            ExpressionKind::Object(items) => items,
            _ => {
                let kind = &self.kind.text;
                let wanted = match self.labels.saturating_sub(labels.len()) {
                    0 => "the arguments of the block".to_owned(),
                    _ => "labels and, below them, the block".to_owned(),
                };
                self.diagnostics.push(
                    Diagnostic::error(format!("`{kind}` is a block: it needs an object"))
                        .at(value.span)
                        .help(format!("the object holds {wanted}")),
                );
                return;
            }
        };
        if labels.len() == self.labels {
            self.made.push(Block {
                kind: self.kind.clone(),
                labels: labels.clone(),
                body: Arc::new(body_of(items)),
            });
            return;
        }
        for item in items {
            let Some(label) = name_of(item) else { continue };
            labels.push(label);
            self.unpack(&item.value, labels);
            labels.pop();
        }
    }
}

fn body_of(items: &[ObjectItem]) -> Body {
    let items = items.iter().filter_map(|item| {
        Some(Item::Attribute(Attribute {
            name: name_of(item)?,
            value: Arc::new(item.value.clone()),
        }))
    });
    Body {
        items: items.collect(),
        syntax: Syntax::Json,
    }
}

/// The key of an item as it is written.
fn name_of(item: &ObjectItem) -> Option<Name> {
    match &item.key {
        ObjectKey::Name(name) => Some(name.clone()),
        ObjectKey::Expression(key) => match &key.kind {
            ExpressionKind::JsonString(string) => Some(Name {
                text: string.text.clone(),
                span: key.span,
            }),
            _ => None,
        },
    }
}
