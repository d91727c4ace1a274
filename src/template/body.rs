//! Bodies: the insides of blocks, as written and not yet evaluated.

use super::value::Value;
use crate::diagnostic::{FileId, SourceSpan};
use hcl::edit::structure::{Block, BlockLabel};
use hcl::edit::{Span, structure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The inside of a block. It owns what it needs, so that it can be kept and evaluated again, with
/// other names in scope, on any thread.
#[derive(Clone, Debug)]
pub struct Body {
    pub(super) header: SourceSpan,
    pub(super) labels: Vec<BodyLabel>,
    /// The block itself, and blocks merged into it.
    pub(super) parts: Vec<BodyPart>,
    /// The iterators of the `dynamic` blocks that it comes from.
    pub(super) names: Vec<(Arc<str>, Value)>,
    /// Arguments that have been read already.
    pub(super) taken: &'static [&'static str],
    /// Arguments that replace others in the build of one source, by the source's name.
    pub(super) overrides: Option<Overrides>,
}

/// The text of one block of a body.
#[derive(Clone, Debug)]
pub(super) struct BodyPart {
    pub(super) file: FileId,
    pub(super) content: Arc<structure::Body>,
}

/// A label of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BodyLabel {
    pub(super) text: String,
    pub(super) span: SourceSpan,
}

/// The `override` argument of a provisioner.
#[derive(Clone, Debug)]
pub(super) struct Overrides {
    pub(super) span: SourceSpan,
    pub(super) by_source: Arc<BTreeMap<Arc<str>, Value>>,
}

impl Body {
    pub(super) fn new(file: FileId, block: Block) -> Body {
        let header = header(file, &block);
        let labels = labels(file, &block);
        Body::of_content(file, header, labels, Arc::new(block.body))
    }

    pub(super) fn of_content(
        file: FileId,
        header: SourceSpan,
        labels: Vec<BodyLabel>,
        content: Arc<structure::Body>,
    ) -> Body {
        Body {
            header,
            labels,
            parts: vec![BodyPart { file, content }],
            names: Vec::new(),
            taken: &[],
            overrides: None,
        }
    }

    /// The place of the block's type and labels.
    pub fn header(&self) -> SourceSpan {
        self.header
    }

    /// The text of a label.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index).map(|label| label.text.as_str())
    }

    /// The place of a label, or of the header if there is no such label.
    pub fn label_span(&self, index: usize) -> SourceSpan {
        self.labels.get(index).map_or(self.header, |label| label.span)
    }
}

/// The place of a block's type and labels.
pub(super) fn header(file: FileId, block: &Block) -> SourceSpan {
    let start = block.ident.span().unwrap_or(0..0);
    let end = block.labels.last().and_then(Span::span).unwrap_or_else(|| start.clone());
    SourceSpan::new(file, start.start..end.end.max(start.end))
}

pub(super) fn labels(file: FileId, block: &Block) -> Vec<BodyLabel> {
    let label = |label: &BlockLabel| BodyLabel {
        text: label.as_str().to_owned(),
        span: SourceSpan::new(file, label.span().unwrap_or(0..0)),
    };
    block.labels.iter().map(label).collect()
}
