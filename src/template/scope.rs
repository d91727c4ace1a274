//! Scopes: the names that an expression can refer to, and the world that functions see.

use super::evaluate::Evaluation;
use super::graph::Graph;
use super::secrets::Secrets;
use super::services::Services;
use super::syntax::Expression;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Sources};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// Fills its argument with random bytes.
pub type RandomBytes = dyn Fn(&mut [u8]) + Send + Sync;

/// What evaluation sees of the world. Everything comes in here, so that the same world gives the
/// same values.
#[derive(Clone)]
pub struct World {
    /// The folder of the template, as given by the user: `path.root`, and where `file()` starts.
    pub template_folder: PathBuf,
    /// The absolute working folder: `path.cwd`.
    pub working_folder: PathBuf,
    /// The user's home, for `pathexpand()`.
    pub home: Option<PathBuf>,
    /// The time that `timestamp()` tells.
    pub now: jiff::Timestamp,
    /// What `uuidv4()` is made of.
    pub random: Arc<RandomBytes>,
    /// Environment variables, for `env()` and `PKR_VAR_…`.
    pub environment: BTreeMap<String, String>,
    /// Whom functions and data sources ask over the network.
    pub services: Arc<dyn Services>,
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets, and random bytes have no form.
        formatter
            .debug_struct("World")
            .field("template_folder", &self.template_folder)
            .field("working_folder", &self.working_folder)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// What all expressions of a template share. Variables are filled in one by one while the template
/// is loaded; a name whose evaluation failed holds an unknown value, so that what depends on it
/// does not fail as well.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    pub(super) sources: Sources,
    pub(super) variables: Names,
    pub(super) graph: Arc<Graph>,
    pub(super) path: Value,
    pub(super) packer: Value,
    pub(super) world: World,
    pub(super) secrets: Secrets,
    /// What the evaluation of the template has cost so far.
    pub(super) spent: Arc<AtomicUsize>,
}

/// Values by name, each set once.
pub(super) type Names = BTreeMap<Arc<str>, OnceLock<Value>>;

/// The names in scope of an expression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scope {
    globals: Arc<Globals>,
    reach: Reach,
    asks: bool,
    frame: Option<Arc<Frame>>,
}

/// Which of the template's names a scope reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// None, and no functions: values that are given, `packer` blocks.
    Constants,
    /// None, and of the functions only `env()`: the defaults of variables.
    Defaults,
    /// Those that the scope itself binds, and functions: the rules of variables, template files.
    Bound,
    /// `var`, `local`, `data`, `path` and `packer`.
    Everything,
}

/// Names bound by a scope, and the names bound around them.
#[derive(Debug)]
struct Frame {
    bound: Bound,
    outer: Option<Arc<Frame>>,
}

#[derive(Debug)]
enum Bound {
    One(Arc<str>, Value),
    All(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Bound {
    fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Bound::One(own, value) => (&**own == name).then_some(value),
            Bound::All(entries) => entries.get(name),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let (one, all) = match self {
            Bound::One(name, _) => (Some(name), None),
            Bound::All(entries) => (None, Some(entries.keys())),
        };
        let names = one.into_iter().chain(all.into_iter().flatten());
        names.map(|name| &**name)
    }
}

impl Scope {
    pub(super) fn new(globals: Arc<Globals>, reach: Reach) -> Scope {
        Scope {
            globals,
            reach,
            asks: false,
            frame: None,
        }
    }

    /// This scope, and whether its expressions ask the data sources that they need. If they do not,
    /// the values are unknown.
    pub(super) fn asking(self, asks: bool) -> Scope {
        Scope { asks, ..self }
    }

    /// This scope without the names that were bound with [`with`](Scope::with).
    pub(super) fn outermost(&self) -> Scope {
        Scope {
            frame: None,
            ..self.clone()
        }
    }

    /// This scope with one more name, which hides an earlier one.
    pub fn with(&self, name: impl Into<Arc<str>>, value: Value) -> Scope {
        self.within(Bound::One(name.into(), value))
    }

    /// This scope with a name for each entry.
    pub(super) fn with_all(&self, entries: Arc<BTreeMap<Arc<str>, Value>>) -> Scope {
        self.within(Bound::All(entries))
    }

    fn within(&self, bound: Bound) -> Scope {
        let frame = Frame {
            bound,
            outer: self.frame.clone(),
        };
        Scope {
            globals: self.globals.clone(),
            reach: self.reach,
            asks: self.asks,
            frame: Some(Arc::new(frame)),
        }
    }

    /// A scope of the same template with none of its names.
    pub(super) fn empty(&self) -> Scope {
        Scope::new(self.globals.clone(), Reach::Bound)
    }

    /// Evaluates an expression.
    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Value, Diagnostic> {
        let evaluation = Evaluation::default();
        let result = evaluation.whole(expression, self);
        // Also if `try` has something else instead.
        match evaluation.into_failure() {
            Some(failure) => Err(failure),
            None => result,
        }
    }

    /// Whether expressions ask the data sources that they need.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// Whether an unknown value need not be a mistake, since it can come from a data source that is
    /// not asked.
    pub(super) fn has_unasked(&self) -> bool {
        !self.asks && self.globals.graph.has_questions()
    }

    pub(super) fn globals(&self) -> &Globals {
        &self.globals
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// The value of a name that was bound with [`with`](Scope::with).
    pub(super) fn bound(&self, name: &str) -> Option<&Value> {
        self.frames().find_map(|frame| frame.bound.get(name))
    }

    /// The names bound with [`with`](Scope::with), innermost first.
    pub(super) fn bound_names(&self) -> impl Iterator<Item = &str> {
        self.frames().flat_map(|frame| frame.bound.names())
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::successors(self.frame.as_deref(), |frame| frame.outer.as_deref())
    }
}
