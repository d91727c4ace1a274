//! Bodies: the insides of blocks, as written and not yet evaluated.

use super::syntax::{self, Block, Name};
use super::value::Value;
use crate::diagnostic::SourceSpan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The inside of a block. It owns what it needs, so that it can be kept and evaluated again, with
/// other names in scope, on any thread.
#[derive(Clone, Debug)]
pub struct Body {
    pub(super) header: SourceSpan,
    pub(super) labels: Vec<Name>,
    /// The block itself, and blocks merged into it.
    pub(super) parts: Vec<Arc<syntax::Body>>,
    /// The iterators of the `dynamic` blocks that it comes from.
    pub(super) names: Vec<(Arc<str>, Value)>,
    /// Arguments that have been read already.
    pub(super) taken: &'static [&'static str],
    /// Arguments that replace others in the build of one source, by the source's name.
    pub(super) overrides: Option<Overrides>,
}

/// The `override` argument of a provisioner.
#[derive(Clone, Debug)]
pub(super) struct Overrides {
    pub(super) span: SourceSpan,
    pub(super) by_source: Arc<BTreeMap<Arc<str>, Value>>,
}

impl Body {
    pub(super) fn new(block: &Block) -> Body {
        Body::of_content(block.header(), block.labels.clone(), block.body.clone())
    }

    pub(super) fn of_content(
        header: SourceSpan,
        labels: Vec<Name>,
        content: Arc<syntax::Body>,
    ) -> Body {
        Body {
            header,
            labels,
            parts: vec![content],
            names: Vec::new(),
            taken: &[],
            overrides: None,
        }
    }

    /// The place of the block's type and labels.
    pub fn header(&self) -> SourceSpan {
        self.header
    }

    /// The place of an argument, or of the header if it is not written.
    pub(super) fn attribute_span(&self, name: &str) -> SourceSpan {
        let written = self.parts.iter().find_map(|part| part.attribute(name));
        written.map_or(self.header, |attribute| attribute.span())
    }

    /// The names of the sources whose builds have other arguments.
    pub(super) fn overridden_sources(&self) -> impl Iterator<Item = &str> {
        let overrides = self.overrides.iter();
        overrides.flat_map(|overrides| overrides.by_source.keys().map(|name| &**name))
    }

    /// The text of a label.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index).map(|label| &*label.text)
    }

    /// The place of a label, or of the header if there is no such label.
    pub fn label_span(&self, index: usize) -> SourceSpan {
        self.labels
            .get(index)
            .map_or(self.header, |label| label.span)
    }
}
