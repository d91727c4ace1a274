//! Loading: from texts to a checked, evaluated template, with everything that is wrong.

use super::body::{Body, header};
use super::build::{self, Build, DeclaredSources};
use super::changing;
use super::files::{self, TemplateTexts};
use super::loaded::Template;
use super::locals::{self, Locals};
use super::parse::parse_body;
use super::scope::{Globals, Names, Reach, Scope, World};
use super::secrets::Secrets;
use super::settings::{self, PACKER_VERSION};
use super::value::Value;
use super::variables::{self, GivenValues, Variables};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, Sources, did_you_mean};
use hcl::edit::Span;
use hcl::edit::structure::{Block, Structure};
use std::path::PathBuf;
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
    /// What could be made of the template, so that its components can be checked too. Values
    /// that failed are unknown in it. None if not even its blocks are known.
    pub partial: Option<Box<Template>>,
}

/// Reads and checks a template.
pub fn load(arguments: LoadArguments) -> Result<Loaded, LoadError> {
    match files::read(&arguments.path, &arguments.variable_files) {
        Ok(texts) => load_texts(texts, &arguments.variables, arguments.world),
        Err(errors) => {
            let diagnostics = Diagnostics::new();
            for error in errors {
                let help = error.help().map(str::to_owned);
                diagnostics.push(Diagnostic::error(error.to_string()).help_maybe(help));
            }
            Err(LoadError {
                sources: Sources::new(),
                diagnostics,
                partial: None,
            })
        }
    }
}

/// Checks a template whose texts are read already.
pub fn load_texts(
    texts: TemplateTexts,
    arguments: &[String],
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
    for file in files {
        match parse_body(file, &sources, &diagnostics) {
            Some(body) => declarations.add(file, body, &diagnostics),
            None => declarations.incomplete = true,
        }
    }
    let mut given = GivenValues::default();
    let variables = &declarations.variables;
    given.add_environment(&world.environment, variables, &mut sources);
    for text in texts.variable_files {
        let file = sources.add(text.name, text.text);
        given.add_file(file, variables, &sources, &diagnostics);
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
            partial: None,
        });
    }
    world.template_folder = texts.folder;
    let mut globals = Arc::new(globals(sources, &declarations, world));
    let mut secrets = globals.secrets.clone();
    let builds = declarations.evaluate(&globals, &given, &mut secrets, &diagnostics);
    // They have been evaluated, and from here on their text only serves messages.
    let sources = &mut Arc::make_mut(&mut globals).sources;
    secret_places
        .into_iter()
        .for_each(|place| sources.hide(place));
    let template = Template::new(
        globals,
        builds,
        declarations.tool_settings,
        changing::of_locals(&declarations.locals),
    );
    if diagnostics.has_errors() {
        return Err(LoadError {
            sources: template.sources().clone(),
            diagnostics,
            partial: Some(Box::new(template)),
        });
    }
    Ok(Loaded {
        template,
        warnings: diagnostics,
    })
}

fn globals(sources: Sources, declarations: &Declarations, world: World) -> Globals {
    fn empty<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Names {
        names.map(|name| (name.clone(), OnceLock::new())).collect()
    }
    let text = |path: &std::path::Path| Value::string(path.to_string_lossy());
    Globals {
        sources,
        variables: empty(declarations.variables.keys()),
        locals: empty(declarations.locals.keys()),
        path: Value::object([
            ("root", text(&world.template_folder)),
            ("cwd", text(&world.working_folder)),
        ]),
        packer: Value::object([("version", Value::string(PACKER_VERSION))]),
        world,
        secrets: Secrets::default(),
    }
}

/// The blocks of all files.
#[derive(Default)]
struct Declarations {
    packer: Vec<Body>,
    variables: Variables,
    locals: Locals,
    sources: DeclaredSources,
    builds: Vec<Body>,
    tool_settings: Vec<Body>,
    /// Whether a block could not be taken over.
    incomplete: bool,
}

/// The types of top-level blocks.
const BLOCKS: [&str; 11] = [
    "packer",
    "variable",
    "variables",
    "local",
    "locals",
    "source",
    "data",
    "build",
    "hardtack",
    "hcp_packer_registry",
    "communicator",
];

impl Declarations {
    fn add(&mut self, file: FileId, body: hcl::edit::structure::Body, diagnostics: &Diagnostics) {
        for structure in body {
            match structure {
                Structure::Block(block) => self.add_block(file, block, diagnostics),
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    let span = SourceSpan::new(file, attribute.key.span().unwrap_or(0..0));
                    let error =
                        Diagnostic::error(format!("there is no argument `{name}` here")).at(span);
                    diagnostics.push(error.help(
                        "a template is made of blocks; for a name of your own write `locals { … }`",
                    ));
                }
            }
        }
    }

    fn add_block(&mut self, file: FileId, block: Block, diagnostics: &Diagnostics) {
        let name = block.ident.as_str().to_owned();
        let labels: &[&str] = match name.as_str() {
            "variable" | "local" => &["NAME"],
            "source" | "data" | "communicator" => &["TYPE", "NAME"],
            _ => &[],
        };
        let span = header(file, &block);
        let is_known = BLOCKS.contains(&name.as_str());
        if is_known && block.labels.len() != labels.len() {
            let example: String = labels.iter().map(|label| format!("\"{label}\" ")).collect();
            let count = match labels.len() {
                0 => "no labels",
                1 => "one label",
                _ => "two labels",
            };
            diagnostics.push(
                Diagnostic::error(format!("a `{name}` block has {count}"))
                    .at(span)
                    .help(format!("write `{name} {example}{{ … }}`")),
            );
            // What it was to declare is not known.
            self.incomplete |= !labels.is_empty();
            return;
        }
        match name.as_str() {
            "packer" => self.packer.push(Body::new(file, block)),
            "variable" => {
                variables::declare_one(file, block, &mut self.variables, diagnostics);
            }
            "variables" => {
                variables::declare_all(file, block, &mut self.variables, diagnostics);
            }
            "local" => locals::declare_one(file, block, &mut self.locals, diagnostics),
            "locals" => locals::declare_all(file, block, &mut self.locals, diagnostics),
            "source" => self.add_source(Body::new(file, block), diagnostics),
            "build" => self.builds.push(Body::new(file, block)),
            "hardtack" => self.tool_settings.push(Body::new(file, block)),
            "data" => {
                diagnostics.push(Diagnostic::error("data sources are not supported yet").at(span))
            }
            "hcp_packer_registry" => diagnostics.push(
                Diagnostic::warning("the HCP registry is not supported; this block is ignored")
                    .at(span),
            ),
            "communicator" => diagnostics
                .push(Diagnostic::warning("a top-level communicator has no effect").at(span)),
            _ => diagnostics.push(
                Diagnostic::error(format!("there is no block `{name}` here"))
                    .at(span)
                    .help_maybe(misplaced(&name).or_else(|| did_you_mean(&name, BLOCKS))),
            ),
        }
    }

    fn add_source(&mut self, body: Body, diagnostics: &Diagnostics) {
        let (Some(kind), Some(name)) = (body.label(0), body.label(1)) else {
            return;
        };
        let key = (kind.to_owned(), name.to_owned());
        if let Some(first) = self.sources.get(&key) {
            diagnostics.push(
                Diagnostic::error(format!("source `{kind}.{name}` is declared twice"))
                    .at(body.header())
                    .note(first.header(), "first here"),
            );
            return;
        }
        self.sources.insert(key, body);
    }

    fn evaluate(
        &self,
        globals: &Arc<Globals>,
        given: &GivenValues,
        secrets: &mut Secrets,
        diagnostics: &Diagnostics,
    ) -> Vec<Build> {
        let scope = |reach| Scope::new(globals.clone(), reach);
        let (constants, everything) = (scope(Reach::Constants), scope(Reach::Everything));
        for body in &self.packer {
            settings::check(body, &constants, diagnostics);
        }
        let defaults = scope(Reach::Defaults);
        variables::evaluate(
            &self.variables,
            given,
            &defaults,
            &constants,
            secrets,
            diagnostics,
        );
        locals::evaluate(&self.locals, &everything, secrets, diagnostics);
        let builds = self.builds.iter();
        builds
            .map(|body| build::decode(body, &self.sources, &everything, diagnostics))
            .collect()
    }
}

/// Where a block belongs that is not for the top level.
fn misplaced(name: &str) -> Option<String> {
    let place = match name {
        "provisioner"
        | "post-processor"
        | "post-processors"
        | "error-cleanup-provisioner"
        | "config"
        | "test" => "a `build` block",
        "required_plugins" => "a `packer` block",
        "validation" => "a `variable` block",
        "dynamic" => return Some("`dynamic` works inside `source` and `build` blocks".to_owned()),
        _ => return None,
    };
    Some(format!("it belongs in {place}"))
}
