//! The order of the graph's nodes: each after those that it refers to.

use super::{Graph, Node};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};

/// A depth-first walk through the graph.
pub(super) struct Order<'a> {
    graph: &'a Graph,
    states: Vec<State>,
    sorted: Vec<usize>,
    diagnostics: &'a Diagnostics,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unvisited,
    Entered,
    Done,
}

/// A node on the way down, and how many of its references have been followed.
struct Step {
    place: usize,
    followed: usize,
}

impl<'a> Order<'a> {
    /// The places of all nodes. Circles are reported.
    pub(super) fn of(graph: &'a Graph, diagnostics: &'a Diagnostics) -> Vec<usize> {
        let count = graph.entries.len();
        let mut order = Order {
            graph,
            states: vec![State::Unvisited; count],
            sorted: Vec::with_capacity(count),
            diagnostics,
        };
        for place in 0..count {
            if order.states[place] == State::Unvisited {
                order.visit(place);
            }
        }
        order.sorted
    }

    fn visit(&mut self, start: usize) {
        let mut path = vec![self.enter(start)];
        while let Some(step) = path.last_mut() {
            let references = &self.graph.entries[step.place].references;
            let Some((place, _)) = references.get(step.followed) else {
                self.states[step.place] = State::Done;
                self.sorted.push(step.place);
                path.pop();
                continue;
            };
            step.followed += 1;
            match self.states[*place] {
                State::Done => {}
                State::Entered => self.report_circle(&path, *place),
                State::Unvisited => {
                    let step = self.enter(*place);
                    path.push(step);
                }
            }
        }
    }

    fn enter(&mut self, place: usize) -> Step {
        self.states[place] = State::Entered;
        Step { place, followed: 0 }
    }

    fn report_circle(&self, path: &[Step], back_to: usize) {
        let start = path.iter().position(|step| step.place == back_to);
        let circle = path.get(start.unwrap_or(0)..).unwrap_or_default();
        let node = |place: usize| &self.graph.entries[place].node;
        let summary = match circle {
            [_] => match node(back_to) {
                Node::Local(name) => format!("local `{name}` refers to itself"),
                Node::Data(kind, name) => format!("data source `{kind}.{name}` refers to itself"),
            },
            _ => {
                let with_data = circle
                    .iter()
                    .any(|step| matches!(node(step.place), Node::Data(..)));
                let what = if with_data {
                    "data sources and locals"
                } else {
                    "locals"
                };
                let mut names: Vec<String> = circle
                    .iter()
                    .map(|step| node(step.place).to_string())
                    .collect();
                names.push(node(back_to).to_string());
                let names = names.join(" -> ");
                format!("{what} refer to each other in a circle: {names}")
            }
        };
        let mut error = Diagnostic::error(summary);
        for (index, step) in circle.iter().enumerate() {
            let Some(span) = self.last_followed(step) else {
                continue;
            };
            error = match index {
                0 => error.at(span),
                _ => error.note(span, ""),
            };
        }
        self.diagnostics.push(error);
    }

    fn last_followed(&self, step: &Step) -> Option<SourceSpan> {
        let references = &self.graph.entries[step.place].references;
        let (_, span) = references.get(step.followed.checked_sub(1)?)?;
        Some(*span)
    }
}
