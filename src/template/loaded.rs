//! The loaded template: what the later stages work with.

use super::arguments::Arguments;
use super::body::Body;
use super::build::Build;
use super::changing::{self, Changing, ChangingCall};
use super::component::Component;
use super::scope::{Globals, RandomBytes, Reach, Scope};
use super::settings::RequiredPlugin;
use super::syntax::parse_expression;
use super::value::Value;
use crate::diagnostic::{Diagnostics, Sources};
use crate::mask::Secrets;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A checked template. Bodies of sources and components are evaluated when they are opened, with
/// the names that are known then.
#[derive(Clone, Debug)]
pub struct Template {
    globals: Arc<Globals>,
    builds: Vec<Build>,
    tests: Vec<Component>,
    settings: Vec<Body>,
    plugins: Vec<RequiredPlugin>,
    changing: Changing,
    asks: bool,
}

/// Names that a body can refer to beside those of the template.
#[derive(Clone, Debug, Default)]
pub struct ScopeNames {
    /// `build.name`; none outside provisioners and post-processors.
    pub build_name: Option<String>,
    /// `source.type` and `source.name`, the latter as the build's use calls it.
    pub source: Option<(String, String)>,
    /// Whether data sources are left alone: what is not known of them by then is unknown.
    pub without_data: bool,
    /// Other attributes of `build`. One that is only known later is given as an unknown value.
    pub build: BTreeMap<String, Value>,
}

impl Template {
    pub(super) fn new(
        globals: Arc<Globals>,
        builds: Vec<Build>,
        settings: Vec<Body>,
        plugins: Vec<RequiredPlugin>,
        changing: Changing,
        asks: bool,
    ) -> Template {
        Template {
            globals,
            builds,
            tests: Vec::new(),
            settings,
            plugins,
            changing,
            asks,
        }
    }

    /// The same with tests that belong to no build.
    pub(super) fn with_tests(self, tests: Vec<Component>) -> Template {
        Template { tests, ..self }
    }

    /// The tests that belong to no build, in the order of the files.
    pub fn tests(&self) -> &[Component] {
        &self.tests
    }

    /// The builds, in the order of the files.
    pub fn builds(&self) -> &[Build] {
        &self.builds
    }

    /// The `hardtack` blocks.
    pub fn settings(&self) -> &[Body] {
        &self.settings
    }

    /// The plugins that `packer` blocks ask for.
    pub fn required_plugins(&self) -> &[RequiredPlugin] {
        &self.plugins
    }

    /// Where random bytes come from in this run.
    pub fn random(&self) -> Arc<RandomBytes> {
        self.globals.world.random.clone()
    }

    /// The texts that diagnostics point into.
    pub fn sources(&self) -> &Sources {
        &self.globals.sources
    }

    /// The texts that no output may show: every string inside a sensitive variable or local, and what
    /// comes from a secret store. Evaluating more of the template may add to them.
    pub fn secrets(&self) -> &Secrets {
        self.globals.secrets.texts()
    }

    /// The scope of a body.
    pub fn scope(&self, names: &ScopeNames) -> Scope {
        let asks = self.asks && !names.without_data;
        let mut scope = Scope::new(self.globals.clone(), Reach::Everything).asking(asks);
        if let Some((kind, name)) = &names.source {
            let source =
                Value::object([("type", Value::string(kind)), ("name", Value::string(name))]);
            scope = scope.with("source", source);
        }
        if names.build_name.is_some() || !names.build.is_empty() {
            let others = names
                .build
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()));
            let own = names
                .build_name
                .iter()
                .map(|name| ("name", Value::string(name)));
            scope = scope.with("build", Value::object(others.chain(own)));
        }
        scope
    }

    /// Opens a body for reading. The scope's source picks a provisioner's overrides.
    pub fn arguments<'a>(
        &self,
        body: &Body,
        scope: &Scope,
        diagnostics: &'a Diagnostics,
    ) -> Arguments<'a> {
        Arguments::open(body, scope, diagnostics)
    }

    /// What in the arguments of a component differs in each run, in the order of the text.
    ///
    /// Of the arguments that all components share only `override` is looked at, since the others
    /// do not change what the component does.
    pub fn changing_calls(&self, component: &Component) -> Vec<ChangingCall> {
        let shared = component.body.taken.iter().copied();
        let without: Vec<&str> = shared.filter(|name| *name != "override").collect();
        changing::of_body(&component.body, &self.changing, &without)
    }

    /// The values of the variables, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.globals
            .variables
            .iter()
            .filter_map(|(name, value)| Some((&**name, value.get()?)))
    }

    /// The values of the locals, by name. Those that need data sources which were not asked are
    /// unknown.
    pub fn locals(&self) -> impl Iterator<Item = (&str, Value)> {
        let locals = self.globals.graph.locals();
        locals.map(|(name, value)| (&**name, value))
    }

    /// Whether it has data sources that are asked when something needs them.
    pub fn has_data_sources(&self) -> bool {
        self.asks && self.globals.graph.has_questions()
    }

    /// Evaluates an expression that is not part of the template, such as one typed by a user. On
    /// failure the diagnostics come with the texts they point into.
    pub fn evaluate(&self, text: &str) -> Result<Value, (Sources, Diagnostics)> {
        let mut globals = Globals {
            // Whoever asks again and again shall not run out of answers.
            spent: Arc::default(),
            ..Globals::clone(&self.globals)
        };
        let file = globals.sources.add("<expression>", text);
        let globals = Arc::new(globals);
        let scope = Scope::new(globals.clone(), Reach::Everything).asking(self.asks);
        parse_expression(file, text)
            .and_then(|expression| scope.evaluate(&expression))
            .map_err(|diagnostic| (globals.sources.clone(), Diagnostics::from(diagnostic)))
    }
}
