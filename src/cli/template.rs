//! From a template on the command line to a plan, with all that is to be said about it.

use super::arguments::TemplateArguments;
use super::error::CommandError;
use super::metadata;
use super::surroundings::{self, Surroundings};
use super::variable_arguments::VariableArguments;
use crate::diagnostic::{Colours, Diagnostics, Severity, Sources, Topic};
use crate::mask::Masker;
use crate::plan::secret::{Origins, SecretFlag};
use crate::plan::{Costs, Plan, Settings, Shard};
use crate::provision::Caller;
use crate::services::NetworkServices;
use crate::store::Platform;
use crate::template::{self, LoadArguments, LoadError, Loaded, Template, TemplateTexts, World};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which template, with which values, and which of its builds: what the flags of a command mean.
#[derive(Clone, Debug)]
pub struct Request {
    /// A template file, or a folder of them.
    pub path: PathBuf,
    /// Values of variables, each `NAME=VALUE`.
    pub variables: Vec<String>,
    /// Variable files, the weakest first.
    pub variable_files: Vec<PathBuf>,
    /// Globs over build names; empty for all.
    pub only: Vec<String>,
    /// Globs over build names and post-processors.
    pub except: Vec<String>,
    /// Which part of the builds; none for all.
    pub shard: Option<Shard>,
    /// How long builds take.
    pub costs: Costs,
    /// Whether a value in a variable file that nothing declares is worth a warning.
    pub warn_on_undeclared: bool,
    /// Whether data sources are asked; if not, their values are unknown.
    pub evaluate_data_sources: bool,
    /// The flags that say where secrets come from; none if no step is given any.
    pub secrets: Option<Vec<SecretFlag>>,
}

impl Request {
    /// A template that is looked at and not built.
    pub fn to_look_at(path: &Path, variables: &VariableArguments) -> Self {
        Self {
            path: path.to_owned(),
            variables: variables.values.clone(),
            variable_files: variables.files.clone(),
            only: Vec::new(),
            except: Vec::new(),
            shard: None,
            costs: Costs::default(),
            warn_on_undeclared: false,
            evaluate_data_sources: false,
            secrets: None,
        }
    }
}

impl Request {
    /// A template that is built, or whose builds are planned.
    pub fn to_build(
        arguments: &TemplateArguments,
        surroundings: &Surroundings,
    ) -> Result<Self, CommandError> {
        let costs = match &arguments.shard_costs {
            Some(path) => metadata::read_costs(&surroundings.working_folder.join(path))?,
            None => Costs::default(),
        };
        Ok(Self {
            path: arguments.path.clone(),
            variables: arguments.variables.clone(),
            variable_files: arguments.variable_files.clone(),
            only: patterns(&arguments.only),
            except: patterns(&arguments.except),
            shard: arguments.shard,
            costs,
            warn_on_undeclared: arguments.warn_on_undeclared_var,
            evaluate_data_sources: true,
            secrets: None,
        })
    }
}

/// The patterns of `-only` and `-except`: what commas separate, unless they are in braces.
pub fn patterns(given: &[String]) -> Vec<String> {
    let mut patterns = Vec::new();
    for text in given {
        let mut depth = 0u32;
        let pieces = text.split(|character| {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            character == ',' && depth == 0
        });
        patterns.extend(pieces.map(str::to_owned));
    }
    patterns
}

/// What a template is found to be.
pub struct Checked {
    /// The plan; none if something is wrong.
    pub plan: Option<Plan>,
    /// Errors and warnings.
    pub messages: Vec<Message>,
    /// Hides the template's sensitive values.
    pub masker: Masker,
}

/// One error or warning, rendered and without sensitive values.
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// Its lines, each with its end.
    pub text: String,
}

/// Loads the template and plans its builds. `color` is for the messages.
pub fn check(request: Request, surroundings: &Surroundings, color: bool) -> Checked {
    let colours = if color { Colours::On } else { Colours::Off };
    let (template, diagnostics) = match template::load(load_arguments(&request, surroundings)) {
        Ok(loaded) => (loaded.template, loaded.warnings),
        Err(failure) => match failure.partial {
            Some(template) => (*template, failure.diagnostics),
            None => {
                let masker = Masker::default();
                return Checked {
                    plan: None,
                    messages: messages(failure.diagnostics, &failure.sources, colours, &masker),
                    masker,
                };
            }
        },
    };
    let diagnostics = match request.warn_on_undeclared {
        true => diagnostics,
        false => diagnostics.without(Topic::UndeclaredVariable),
    };
    // Packer has no such warning, and programs compare its lines.
    let diagnostics = match surroundings.machine_readable {
        true => diagnostics.without(Topic::Unused),
        false => diagnostics,
    };
    let masker = Masker::of(template.secrets());
    let settings = Settings {
        working_folder: surroundings.working_folder.clone(),
        caller: Arc::new(Caller {
            environment: surroundings.environment.clone(),
            home: surroundings.home.clone(),
        }),
        platform: Platform::host(),
        only: request.only,
        except: request.except,
        shard: request.shard,
        costs: request.costs,
        now: surroundings.now,
        run_id: surroundings.run_id.clone(),
    };
    match Plan::new(template, settings, diagnostics) {
        Err((diagnostics, sources)) => Checked {
            plan: None,
            messages: messages(diagnostics, &sources, colours, &masker),
            masker,
        },
        Ok((mut plan, warnings)) => {
            let mut said = messages(warnings, plan.sources(), colours, &masker);
            let gathered = request.secrets.map_or(Ok(()), |flags| {
                plan.gather(&Origins {
                    flags,
                    environment: surroundings.environment.clone(),
                    working_folder: surroundings.working_folder.clone(),
                })
            });
            let is_complete = gathered.is_ok();
            if let Err(missing) = gathered {
                said.extend(messages(missing, plan.sources(), colours, &masker));
            }
            Checked {
                messages: said,
                plan: is_complete.then_some(plan),
                masker,
            }
        }
    }
}

/// Checks the syntax of the template and of its variable files. `color` is for the messages.
pub fn check_syntax(request: &Request, color: bool) -> Vec<Message> {
    let colours = if color { Colours::On } else { Colours::Off };
    let (sources, diagnostics) = template::check_syntax(&request.path, &request.variable_files);
    messages(diagnostics, &sources, colours, &Masker::default())
}

/// A template that is only looked at, not built.
pub struct Looked {
    /// The template; none if what its blocks declare is unclear.
    pub template: Option<Template>,
    /// Errors and warnings. That a variable has no value is none: the value is unknown then.
    pub messages: Vec<Message>,
    /// Whether there is such a variable.
    pub has_unset: bool,
    /// Hides the template's sensitive values.
    pub masker: Masker,
}

/// Loads the template, and its components are not checked. `color` is for the messages.
pub fn look(request: &Request, surroundings: &Surroundings, color: bool) -> Looked {
    looked(template::load(load_arguments(request, surroundings)), color)
}

/// What there is without a template: functions, and the names of the tool itself.
pub fn look_nowhere(request: &Request, surroundings: &Surroundings, color: bool) -> Looked {
    let arguments = load_arguments(request, surroundings);
    looked(
        template::load_texts(
            TemplateTexts::default(),
            &arguments.variables,
            arguments.evaluate_data_sources,
            arguments.world,
        ),
        color,
    )
}

fn looked(result: Result<Loaded, LoadError>, color: bool) -> Looked {
    let (template, sources, diagnostics) = match result {
        Ok(loaded) => {
            let sources = loaded.template.sources().clone();
            (Some(loaded.template), sources, loaded.warnings)
        }
        Err(failure) => {
            let template = failure.partial.filter(|_| !failure.is_malformed);
            let template = template.map(|template| *template);
            (template, failure.sources, failure.diagnostics)
        }
    };
    let masker = match &template {
        Some(template) => Masker::of(template.secrets()),
        None => Masker::default(),
    };
    let all = diagnostics.len();
    let diagnostics = diagnostics.without(Topic::UnsetVariable);
    let has_unset = diagnostics.len() < all;
    let diagnostics = diagnostics
        .without(Topic::UndeclaredVariable)
        .without(Topic::Unused);
    let colours = if color { Colours::On } else { Colours::Off };
    Looked {
        messages: messages(diagnostics, &sources, colours, &masker),
        has_unset,
        template,
        masker,
    }
}

fn load_arguments(request: &Request, surroundings: &Surroundings) -> LoadArguments {
    LoadArguments {
        path: request.path.clone(),
        variables: request.variables.clone(),
        variable_files: request.variable_files.clone(),
        evaluate_data_sources: request.evaluate_data_sources,
        world: world(surroundings),
    }
}

/// What evaluation sees of the surroundings.
pub fn world(surroundings: &Surroundings) -> World {
    World {
        // The loader sets it from the path.
        template_folder: PathBuf::new(),
        working_folder: surroundings.working_folder.clone(),
        home: surroundings.home.clone(),
        now: surroundings.now,
        random: Arc::new(surroundings::random),
        environment: surroundings.environment.clone(),
        services: Arc::new(NetworkServices::new(
            surroundings.environment.clone(),
            surroundings.home.clone(),
            Box::new(jiff::Timestamp::now),
        )),
    }
}

/// Writes diagnostics to standard error, an empty line after each.
pub fn print_diagnostics(
    diagnostics: Diagnostics,
    sources: &Sources,
    color: bool,
    masker: &Masker,
) {
    let colours = if color { Colours::On } else { Colours::Off };
    print_messages(&messages(diagnostics, sources, colours, masker));
}

fn messages(
    diagnostics: Diagnostics,
    sources: &Sources,
    colours: Colours,
    masker: &Masker,
) -> Vec<Message> {
    let list = diagnostics.into_vec().into_iter();
    list.map(|diagnostic| Message {
        severity: diagnostic.severity,
        text: masker
            .mask(&diagnostic.render(sources, colours))
            .into_owned(),
    })
    .collect()
}

impl Checked {
    /// Writes the messages to standard error, an empty line after each.
    pub fn print_messages(&self, with_warnings: bool) {
        let messages = self.messages.iter();
        print_messages(messages.filter(|it| with_warnings || it.severity == Severity::Error));
    }
}

/// Writes messages to standard error, an empty line after each.
pub fn print_messages<'m>(messages: impl IntoIterator<Item = &'m Message>) {
    for message in messages {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "{}", message.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_separated_by_commas_outside_braces() {
        let given = ["a,b*".to_owned(), "x.{c,d},e".to_owned(), String::new()];
        // An empty pattern is one that matches nothing.
        assert_eq!(patterns(&given), ["a", "b*", "x.{c,d}", "e", ""]);
    }
}
