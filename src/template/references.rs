//! The names of variables and locals that an expression refers to.

use crate::diagnostic::{FileId, SourceSpan};
use hcl::edit::Span;
use hcl::edit::expr::{Expression, Traversal, TraversalOperator};
use hcl::edit::visit::{Visit, visit_expr, visit_traversal};

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
    pub(super) name: String,
    pub(super) span: SourceSpan,
}

/// Collects what an expression refers to below a root.
pub(super) fn references(file: FileId, expression: &Expression, root: &str) -> References {
    let mut collector = Collector {
        file,
        root,
        found: References { names: Vec::new(), whole: false },
    };
    collector.visit_expr(expression);
    collector.found
}

struct Collector<'a> {
    file: FileId,
    root: &'a str,
    found: References,
}

impl Visit for Collector<'_> {
    fn visit_expr(&mut self, node: &Expression) {
        match node {
            Expression::Variable(name) if name.as_str() == self.root => self.found.whole = true,
            other => visit_expr(self, other),
        }
    }

    fn visit_traversal(&mut self, node: &Traversal) {
        let first = node.operators.first().map(|operator| operator.value());
        let name = match (&node.expr, first) {
            (Expression::Variable(root), Some(operator)) if root.as_str() == self.root => {
                match operator {
                    TraversalOperator::GetAttr(name) => Some(name.as_str()),
                    TraversalOperator::Index(Expression::String(name)) => {
                        Some(name.value().as_str())
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(name) = name else { return visit_traversal(self, node) };
        self.found.names.push(Reference {
            name: name.to_owned(),
            span: SourceSpan::new(self.file, node.span().unwrap_or(0..0)),
        });
        // The root is accounted for; what indexes it further may hold references of its own.
        for operator in &node.operators {
            self.visit_traversal_operator(operator);
        }
    }
}
