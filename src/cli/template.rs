//! From a template on the command line to a plan, with all that is to be said about it.

use super::arguments::TemplateArguments;
use super::surroundings::{self, Surroundings};
use crate::diagnostic::{Colours, Diagnostics, Severity, Sources};
use crate::mask::Masker;
use crate::plan::{Plan, Settings};
use crate::services::NetworkServices;
use crate::store::Platform;
use crate::template::{self, LoadArguments, World};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

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
pub fn check(arguments: &TemplateArguments, surroundings: &Surroundings, color: bool) -> Checked {
    let load = LoadArguments {
        path: arguments.path.clone(),
        variables: arguments.variables.clone(),
        variable_files: arguments.variable_files.clone(),
        world: World {
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
        },
    };
    let colours = if color { Colours::On } else { Colours::Off };
    let (template, diagnostics) = match template::load(load) {
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
    let masker = Masker::of(template.secrets());
    let settings = Settings {
        working_folder: surroundings.working_folder.clone(),
        platform: Platform::host(),
        only: arguments.only.clone(),
        except: arguments.except.clone(),
        now: surroundings.now,
    };
    match Plan::new(template, settings, diagnostics) {
        Err((diagnostics, sources)) => Checked {
            plan: None,
            messages: messages(diagnostics, &sources, colours, &masker),
            masker,
        },
        Ok((plan, warnings)) => Checked {
            messages: messages(warnings, plan.sources(), colours, &masker),
            plan: Some(plan),
            masker,
        },
    }
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
        for message in &self.messages {
            if with_warnings || message.severity == Severity::Error {
                // Nobody is left to be told if stderr is closed.
                let _ = writeln!(std::io::stderr(), "{}", message.text);
            }
        }
    }
}
