//! The names of variables, locals and data sources that an expression refers to.

use super::syntax::{Expression, ExpressionKind, StepKind, Traversal};
use crate::diagnostic::SourceSpan;
use std::sync::Arc;

/// What an expression refers to below one root, such as `local`.
#[derive(Debug)]
pub(super) struct References {
    /// Each reference to one name, in the order of the text.
    pub(super) names: Vec<Reference>,
    /// Whether it refers to the root as a whole, or by a computed name.
    pub(super) whole: bool,
}

/// One reference.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) name: Arc<str>,
    /// The name below the name, as in `data.TYPE.NAME`, if there is one.
    pub(super) second: Option<Arc<str>>,
    pub(super) span: SourceSpan,
}

/// Collects what an expression refers to below a root.
pub(super) fn references(expression: &Expression, root: &str) -> References {
    let mut found = References {
        names: Vec::new(),
        whole: false,
    };
    collect(expression, root, &mut found);
    found
}

fn collect(expression: &Expression, root: &str, found: &mut References) {
    match &expression.kind {
        ExpressionKind::Variable(name) if &**name == root => found.whole = true,
        ExpressionKind::Traversal(traversal) => {
            if let Some(reference) = reference(traversal, root, expression.span) {
                found.names.push(reference);
                // The root is accounted for; what indexes it further may hold references of its
                // own.
                for step in &traversal.steps {
                    if let StepKind::Index(index) = &step.kind {
                        collect(index, root, found);
                    }
                }
                return;
            }
            expression.each_part(&mut |part| collect(part, root, found));
        }
        _ => expression.each_part(&mut |part| collect(part, root, found)),
    }
}

fn reference(traversal: &Traversal, root: &str, span: SourceSpan) -> Option<Reference> {
    match &traversal.root.kind {
        ExpressionKind::Variable(name) if &**name == root => {}
        _ => return None,
    }
    let mut names = traversal.steps.iter().map(|step| match &step.kind {
        StepKind::Attribute(name) => Some(name.text.clone()),
        StepKind::Index(index) => match &index.kind {
            ExpressionKind::Text(name) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    });
    Some(Reference {
        name: names.next()??,
        second: names.next().flatten(),
        span,
    })
}
