//! Declared sources: the `source` blocks at the top level, several for one with `for_each`.

use super::body::Body;
use super::for_each::instances;
use super::scope::Scope;
use super::syntax::Block;
use crate::diagnostic::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;
use std::slice;

/// One source that builds can use.
#[derive(Clone, Debug)]
pub(super) struct DeclaredSource {
    pub(super) kind: String,
    /// The block's name; that of one of several ends in its key.
    pub(super) name: String,
    pub(super) body: Body,
}

/// The `source` blocks, by type and name.
pub(super) type SourceBlocks = BTreeMap<(String, String), Body>;

/// Takes over a `source` block; its labels are the type and the name.
pub(super) fn declare(block: &Block, blocks: &mut SourceBlocks, diagnostics: &Diagnostics) {
    let body = Body::new(block);
    let (Some(kind), Some(name)) = (body.label(0), body.label(1)) else {
        return;
    };
    let key = (kind.to_owned(), name.to_owned());
    if let Some(first) = blocks.get(&key) {
        diagnostics.push(
            Diagnostic::error(format!("source `{kind}.{name}` is declared twice"))
                .at(body.header())
                .note(first.header(), "first here"),
        );
        return;
    }
    blocks.insert(key, body);
}

/// All sources.
#[derive(Debug, Default)]
pub(super) struct DeclaredSources {
    /// By the type and name of the block.
    by_block: BTreeMap<(String, String), Vec<DeclaredSource>>,
    /// Those of several that one block stands for: its type and name and the place among them, by
    /// their own type and name.
    by_own_name: BTreeMap<(String, String), ((String, String), usize)>,
}

impl DeclaredSources {
    /// Finds out how many sources each block stands for.
    pub(super) fn of(
        blocks: &SourceBlocks,
        scope: &Scope,
        diagnostics: &Diagnostics,
    ) -> DeclaredSources {
        let mut sources = DeclaredSources::default();
        for (key, body) in blocks {
            let (kind, name) = key;
            let mut declared = Vec::new();
            for instance in instances(body, scope, diagnostics) {
                let own_name = match &instance.key {
                    Some(each) => format!("{name}-{each}"),
                    None => name.clone(),
                };
                let own = (kind.clone(), own_name.clone());
                if instance.key.is_some() {
                    let place = (key.clone(), declared.len());
                    let other = sources.by_own_name.insert(own.clone(), place);
                    let other = other.and_then(|(block, _)| blocks.get(&block));
                    if let Some(first) = other.or_else(|| blocks.get(&own)) {
                        diagnostics.push(
                            Diagnostic::error(format!(
                                "source `{kind}.{own_name}` is declared twice"
                            ))
                            .at(body.header())
                            .note(first.header(), "first here")
                            .help("with `for_each` the key is appended to the name"),
                        );
                    }
                }
                declared.push(DeclaredSource {
                    kind: kind.clone(),
                    name: own_name,
                    body: instance.body,
                });
            }
            sources.by_block.insert(key.clone(), declared);
        }
        sources
    }

    /// The sources of this type and name: all that one block stands for, or one of them.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<&[DeclaredSource]> {
        let key = (kind.to_owned(), name.to_owned());
        if let Some(sources) = self.by_block.get(&key) {
            return Some(sources);
        }
        let (block, place) = self.by_own_name.get(&key)?;
        self.by_block.get(block)?.get(*place).map(slice::from_ref)
    }

    /// `TYPE.NAME` of all, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let keys = self.by_block.keys().chain(self.by_own_name.keys());
        keys.map(|(kind, name)| format!("{kind}.{name}")).collect()
    }
}
