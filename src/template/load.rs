//! Loading: from texts to a checked, evaluated template, with everything that is wrong.

use super::arguments::Arguments;
use super::body::Body;
use super::build::{self, Build};
use super::changing;
use super::component::{Component, ComponentGroup};
use super::data::DataSources;
use super::files::{self, FileError, NamedText, TemplateTexts};
use super::graph::Graph;
use super::loaded::Template;
use super::locals::{self, Locals};
use super::registry;
use super::scope::{Globals, Reach, Scope, World};
use super::secrets::Secrets;
use super::settings::{self, PACKER_VERSION};
use super::sources::{self, DeclaredSources, SourceBlocks};
use super::syntax::{self, Block, Item, Strings, Syntax, parse_body, parse_json_body};
use super::unused;
use super::value::Value;
use super::variables::{self, GivenValues, Variables};
use crate::diagnostic::{
    Diagnostic, Diagnostics, FileId, SourceSpan, Sources, Topic, did_you_mean,
};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadArguments {
    /// A template file, or a folder of them.
    pub path: PathBuf,
    /// Variable files, the weakest first.
    pub variable_files: Vec<PathBuf>,
    /// Values of variables, each `NAME=VALUE`; stronger than variable files.
    pub variables: Vec<String>,
    /// Whether data sources are asked; if not, their values are unknown.
    pub evaluate_data_sources: bool,
    /// What evaluation sees of the world. The template's folder is filled in from the path.
    pub world: World,
}

/// A template and what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The template.
    pub template: Template,
    /// Warnings.
    pub warnings: Diagnostics,
}

/// Everything that is wrong with a template.
#[derive(Debug)]
pub struct LoadError {
    /// The texts that the diagnostics point into.
    pub sources: Sources,
    /// Errors, and warnings.
    pub diagnostics: Diagnostics,
    /// Whether what the blocks declare is unclear, or a variable can have no value of its type.
    /// What comes of locals, builds and rules of variables does not count.
    pub is_malformed: bool,
    /// What could be made of the template, so that its components can be checked too. Values
    /// that failed are unknown in it. None if not even its blocks are known.
    pub partial: Option<Box<Template>>,
}

/// Reads and checks a template.
pub fn load(arguments: LoadArguments) -> Result<Loaded, LoadError> {
    match files::read(&arguments.path, &arguments.variable_files) {
        Ok(texts) => load_texts(
            texts,
            &arguments.variables,
            arguments.evaluate_data_sources,
            arguments.world,
        ),
        Err(errors) => {
            let diagnostics = Diagnostics::new();
            push_file_errors(errors, &diagnostics);
            Err(LoadError {
                sources: Sources::new(),
                diagnostics,
                is_malformed: true,
                partial: None,
            })
        }
    }
}

/// Checks a template whose texts are read already.
pub fn load_texts(
    texts: TemplateTexts,
    arguments: &[String],
    evaluate_data_sources: bool,
    mut world: World,
) -> Result<Loaded, LoadError> {
    let diagnostics = Diagnostics::new();
    let mut sources = Sources::new();
    let mut declarations = Declarations::default();
    let files: Vec<FileId> = texts
        .templates
        .into_iter()
        .map(|text| sources.add(text.name, text.text))
        .collect();
    let parse_template = |file| parse(file, &sources, Strings::Templates, &diagnostics);
    let bodies: Vec<syntax::Body> = files.into_iter().map(parse_template).collect();
    // What could not be parsed may have declared anything.
    declarations.incomplete = diagnostics.has_errors();
    for body in &bodies {
        declarations.add(body, &diagnostics);
    }
    let mut given = GivenValues::default();
    let variables = &declarations.variables;
    given.add_environment(&world.environment, variables, &mut sources);
    for text in texts.variable_files {
        let file = sources.add(text.name, text.text);
        let body = parse(file, &sources, Strings::Texts, &diagnostics);
        given.add_file(&body, variables, &diagnostics);
    }
    for argument in arguments {
        given.add_argument(argument, variables, &mut sources, &diagnostics);
    }
    // With a file that could not be parsed, what it declares would be reported as missing.
    let secret_places = variables::sensitive_places(variables, &given);
    if declarations.incomplete {
        secret_places
            .into_iter()
            .for_each(|place| sources.hide(place));
        return Err(LoadError {
            sources,
            diagnostics,
            is_malformed: true,
            partial: None,
        });
    }
    world.template_folder = texts.folder;
    let locals = std::mem::take(&mut declarations.locals);
    let data = std::mem::take(&mut declarations.data);
    let graph = Graph::new(locals, data, &diagnostics);
    let changing = changing::of_graph(&graph);
    let variables = declarations.variables.keys();
    let mut globals = Arc::new(globals(sources, variables, graph, world));
    declarations.evaluate_variables(&globals, &given, &diagnostics);
    let is_malformed = diagnostics.has_errors_beside(&[Topic::UnsetVariable, Topic::RefusedValue]);
    let (builds, tests) = declarations.evaluate(&globals, evaluate_data_sources, &diagnostics);
    if !diagnostics.has_errors() {
        unused::warn(
            &bodies,
            &declarations.variables,
            &globals.graph,
            &diagnostics,
        );
    }
    // They have been evaluated, and from here on their text only serves messages.
    let sources = &mut Arc::make_mut(&mut globals).sources;
    secret_places
        .into_iter()
        .for_each(|place| sources.hide(place));
    let constants = Scope::new(globals.clone(), Reach::Constants);
    let plugins = settings::required_plugins(&declarations.packer, &constants);
    let template = Template::new(
        globals,
        builds,
        declarations.tool_settings,
        plugins,
        changing,
        evaluate_data_sources,
    )
    .with_tests(tests);
    if diagnostics.has_errors() {
        return Err(LoadError {
            sources: template.sources().clone(),
            diagnostics,
            is_malformed,
            partial: Some(Box::new(template)),
        });
    }
    Ok(Loaded {
        template,
        warnings: diagnostics,
    })
}

/// Checks the syntax of a template and of variable files, and the types and labels of the blocks
/// at the top level. Nothing is evaluated.
pub fn check_syntax(path: &Path, variable_files: &[PathBuf]) -> (Sources, Diagnostics) {
    let diagnostics = Diagnostics::new();
    let mut sources = Sources::new();
    let texts = files::read(path, variable_files).unwrap_or_else(|errors| {
        push_file_errors(errors, &diagnostics);
        TemplateTexts::default()
    });
    let mut declarations = Declarations::default();
    for text in texts.templates {
        let file = sources.add(text.name, text.text);
        let body = parse(file, &sources, Strings::Templates, &diagnostics);
        declarations.add(&body, &diagnostics);
        // Files of a folder that are templates of their own may share sources, as in Packer.
        declarations.sources.clear();
    }
    for text in texts.variable_files {
        let file = sources.add(text.name, text.text);
        let _values = parse(file, &sources, Strings::Texts, &diagnostics);
    }
    (sources, diagnostics)
}

/// Reads a text that is not a template but of its syntax: blocks whose values are constants.
/// `read` gets the whole as one body, and what it takes no notice of is an error.
pub fn read_constants<T>(
    text: NamedText,
    world: World,
    read: impl FnOnce(&Arguments<'_>) -> T,
) -> Result<T, (Sources, Diagnostics)> {
    let diagnostics = Diagnostics::new();
    let mut sources = Sources::new();
    let file = sources.add(text.name, text.text);
    let content = parse(file, &sources, Strings::Texts, &diagnostics);
    if diagnostics.has_errors() {
        return Err((sources, diagnostics));
    }
    let start = SourceSpan::new(file, 0..0);
    let body = Body::of_content(start, Vec::new(), Arc::new(content));
    let globals = Arc::new(globals(sources, iter::empty(), Graph::default(), world));
    let scope = Scope::new(globals.clone(), Reach::Constants);
    let arguments = Arguments::open(&body, &scope, &diagnostics);
    let value = read(&arguments);
    arguments.finish();
    match diagnostics.has_errors() {
        true => Err((globals.sources.clone(), diagnostics)),
        false => Ok(value),
    }
}

fn push_file_errors(errors: Vec<FileError>, diagnostics: &Diagnostics) {
    for error in errors {
        let help = error.help().map(str::to_owned);
        diagnostics.push(Diagnostic::error(error.to_string()).help_maybe(help));
    }
}

fn globals<'a>(
    sources: Sources,
    variables: impl Iterator<Item = &'a Arc<str>>,
    graph: Graph,
    world: World,
) -> Globals {
    let text = |path: &std::path::Path| Value::string(path.to_string_lossy());
    Globals {
        sources,
        variables: variables
            .map(|name| (name.clone(), OnceLock::new()))
            .collect(),
        graph: Arc::new(graph),
        path: Value::object([
            ("root", text(&world.template_folder)),
            ("cwd", text(&world.working_folder)),
        ]),
        packer: Value::object([("version", Value::string(PACKER_VERSION))]),
        world,
        secrets: Secrets::default(),
        spent: Arc::default(),
    }
}

/// The blocks of all files.
#[derive(Default)]
struct Declarations {
    packer: Vec<Body>,
    variables: Variables,
    locals: Locals,
    data: DataSources,
    sources: SourceBlocks,
    builds: Vec<Body>,
    tests: Vec<Body>,
    tool_settings: Vec<Body>,
    registries: Vec<Body>,
    /// Whether a block could not be taken over.
    incomplete: bool,
}

/// The types of top-level blocks, each with the number of its labels.
const BLOCKS: [(&str, usize); 12] = [
    ("packer", 0),
    ("variable", 1),
    ("variables", 0),
    ("local", 1),
    ("locals", 0),
    ("source", 2),
    ("data", 2),
    ("build", 0),
    ("test", 1),
    ("hardtack", 0),
    ("hcp_packer_registry", 0),
    ("communicator", 2),
];

/// Parses a file in the syntax that its name tells.
fn parse(
    file: FileId,
    sources: &Sources,
    strings: Strings,
    diagnostics: &Diagnostics,
) -> syntax::Body {
    if sources.name(file).ends_with(".json") {
        parse_json_body(file, sources, strings, diagnostics)
    } else {
        parse_body(file, sources, diagnostics)
    }
}

impl Declarations {
    fn add(&mut self, body: &syntax::Body, diagnostics: &Diagnostics) {
        match body.syntax {
            Syntax::Native => {
                for item in &body.items {
                    match item {
                        Item::Block(block) => self.add_block(block, diagnostics),
                        Item::Attribute(attribute) => diagnostics.push(
                            Diagnostic::error(format!("there is no argument `{}` here", attribute.name.text))
                                .at(attribute.name.span)
                                .help("a template is made of blocks; for a name of your own write `locals { … }`"),
                        ),
                    }
                }
            }
            Syntax::Json => {
                for block in body.blocks(&BLOCKS, diagnostics) {
                    self.add_block(&block, diagnostics);
                }
                for attribute in body.attributes() {
                    if labels_of(&attribute.name.text).is_none() {
                        diagnostics
                            .push(no_such_block(&attribute.name.text).at(attribute.name.span));
                    }
                }
            }
        }
    }

    fn add_block(&mut self, block: &Block, diagnostics: &Diagnostics) {
        let name = &*block.kind.text;
        let span = block.header();
        if let Some(wanted) = labels_of(name)
            && block.labels.len() != wanted
        {
            let (count, example) = match (wanted, name) {
                (0, _) => ("no labels", ""),
                (1, _) => ("one label", "\"NAME\" "),
                _ => ("two labels", "\"TYPE\" \"NAME\" "),
            };
            diagnostics.push(
                Diagnostic::error(format!("a `{name}` block has {count}"))
                    .at(span)
                    .help(format!("write `{name} {example}{{ … }}`")),
            );
            // What it was to declare is not known.
            self.incomplete |= wanted > 0;
            return;
        }
        match name {
            "packer" => self.packer.push(Body::new(block)),
            "variable" => variables::declare_one(block, &mut self.variables, diagnostics),
            "variables" => variables::declare_all(block, &mut self.variables, diagnostics),
            "local" => locals::declare_one(block, &mut self.locals, diagnostics),
            "locals" => locals::declare_all(block, &mut self.locals, diagnostics),
            "source" => sources::declare(block, &mut self.sources, diagnostics),
            "build" => self.builds.push(Body::new(block)),
            "test" => self.tests.push(Body::new(block)),
            "hardtack" => self.tool_settings.push(Body::new(block)),
            "data" => self.data.declare(block, diagnostics),
            "hcp_packer_registry" => self.registries.push(Body::new(block)),
            "communicator" => diagnostics
                .push(Diagnostic::warning("a top-level communicator has no effect").at(span)),
            _ => diagnostics.push(no_such_block(name).at(span)),
        }
    }

    fn evaluate_variables(
        &self,
        globals: &Arc<Globals>,
        given: &GivenValues,
        diagnostics: &Diagnostics,
    ) {
        let scope = |reach| Scope::new(globals.clone(), reach);
        let (constants, defaults) = (scope(Reach::Constants), scope(Reach::Defaults));
        for body in &self.packer {
            settings::check(body, &constants, diagnostics);
        }
        variables::evaluate(&self.variables, given, &defaults, &constants, diagnostics);
    }

    fn evaluate(
        &self,
        globals: &Arc<Globals>,
        asks: bool,
        diagnostics: &Diagnostics,
    ) -> (Vec<Build>, Vec<Component>) {
        let everything = Scope::new(globals.clone(), Reach::Everything);
        globals.graph.check(&everything, diagnostics);
        for body in &self.registries {
            registry::check(body, &everything, diagnostics);
        }
        // What comes to nothing anyway is no reason to ask anybody.
        let everything = everything.asking(asks && !diagnostics.has_errors());
        let sources = DeclaredSources::of(&self.sources, &everything, diagnostics);
        let builds = self.builds.iter();
        let builds =
            builds.flat_map(|body| build::decode(body, &sources, &everything, diagnostics));
        let tests = self.tests.iter().filter_map(|body| {
            let group = ComponentGroup::Test;
            Component::decode(body.clone(), group, &everything, diagnostics)
        });
        (builds.collect(), tests.collect())
    }
}

/// How many labels a top-level block has.
fn labels_of(name: &str) -> Option<usize> {
    let known = BLOCKS.iter().find(|(known, _)| *known == name);
    known.map(|(_, labels)| *labels)
}

fn no_such_block(name: &str) -> Diagnostic {
    let known = BLOCKS.iter().map(|(name, _)| *name);
    Diagnostic::error(format!("there is no block `{name}` here"))
        .help_maybe(misplaced(name).or_else(|| did_you_mean(name, known)))
}

/// Where a block belongs that is not for the top level.
fn misplaced(name: &str) -> Option<String> {
    let place = match name {
        "provisioner"
        | "post-processor"
        | "post-processors"
        | "error-cleanup-provisioner"
        | "config" => "a `build` block",
        "required_plugins" => "a `packer` block",
        "validation" => "a `variable` block",
        "dynamic" => return Some("`dynamic` works inside `source` and `build` blocks".to_owned()),
        _ => return None,
    };
    Some(format!("it belongs in {place}"))
}
