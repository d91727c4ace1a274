//! Walks through trees: the parts of an expression, one after another.

use super::{
    Binary, Body, Conditional, Element, Expression, ExpressionKind, For, Item, ObjectKey, StepKind,
    Template,
};

impl Expression {
    /// Calls `visit` with each expression directly inside this one, in the order of the text.
    pub(in crate::template) fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        match &self.kind {
            ExpressionKind::Null
            | ExpressionKind::Bool(_)
            | ExpressionKind::Number(_)
            | ExpressionKind::Text(_)
            | ExpressionKind::Variable(_) => {}
            ExpressionKind::Template(template) => template.each_part(visit),
            ExpressionKind::JsonString(string) => visit(&string.template),
            ExpressionKind::Tuple(elements) => elements.iter().for_each(visit),
            ExpressionKind::Object(items) => {
                for item in items {
                    if let ObjectKey::Expression(key) = &item.key {
                        visit(key);
                    }
                    visit(&item.value);
                }
            }
            ExpressionKind::Parenthesis(inner) | ExpressionKind::Unary(_, inner) => visit(inner),
            ExpressionKind::Traversal(traversal) => {
                visit(&traversal.root);
                for step in &traversal.steps {
                    if let StepKind::Index(index) = &step.kind {
                        visit(index);
                    }
                }
            }
            ExpressionKind::Call(call) => call.arguments.iter().for_each(visit),
            ExpressionKind::Conditional(conditional) => {
                let Conditional { condition, yes, no } = &**conditional;
                [condition, yes, no].into_iter().for_each(visit);
            }
            ExpressionKind::Binary(binary) => {
                let Binary { first, rest } = &**binary;
                visit(first);
                rest.iter().for_each(|(_, operand)| visit(operand));
            }
            ExpressionKind::For(repetition) => {
                let For {
                    collection,
                    key,
                    value,
                    condition,
                    ..
                } = &**repetition;
                visit(collection);
                key.iter().for_each(&mut *visit);
                visit(value);
                condition.iter().for_each(&mut *visit);
            }
        }
    }
}

impl Template {
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        for element in &self.elements {
            match element {
                Element::Literal { .. } => {}
                Element::Interpolation(expression) => visit(expression),
                Element::If(directive) => {
                    visit(&directive.condition);
                    directive.yes.each_part(visit);
                    if let Some(no) = &directive.no {
                        no.each_part(visit);
                    }
                }
                Element::For(directive) => {
                    visit(&directive.collection);
                    directive.content.each_part(visit);
                }
            }
        }
    }
}

impl Body {
    /// Calls `visit` with the value of each argument of this body and of the blocks inside.
    pub(in crate::template) fn each_value<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        for item in &self.items {
            match item {
                Item::Attribute(attribute) => visit(&attribute.value),
                Item::Block(block) => block.body.each_value(visit),
            }
        }
    }
}
