//! `hardtack build`.

use super::arguments::Build;
use super::error::CommandError;
use super::metadata::MetadataFile;
use super::surroundings::{self, Surroundings};
use super::{output, template};
use crate::build::event::{Event, EventSink, Level};
use crate::build::{self, Outcome};
use crate::diagnostic::Severity;
use crate::mask::{Masker, Secrets};
use crate::store::Store;
use crate::ui::{self, Display, Progress};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
pub fn run(arguments: &Build, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    match build(arguments, surroundings) {
        // Whoever reads JSON lines gets no other ones.
        Err(error) if arguments.progress == Progress::Json => {
            if let Some(text) = error.text(false) {
                let display = display(arguments, surroundings, Secrets::default());
                display.emit(notice(Level::Error, &text));
            }
            Ok(error.exit_code())
        }
        result => result,
    }
}

fn build(arguments: &Build, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let is_json = arguments.progress == Progress::Json;
    let metadata = match &arguments.metadata_file {
        Some(path) => {
            let path = surroundings.working_folder.join(path);
            Some(MetadataFile::prepare(&path)?)
        }
        None => None,
    };
    let color = surroundings.color && !is_json;
    let checked = template::check(&arguments.template, surroundings, color);
    let secrets = match &checked.plan {
        Some(plan) => plan.secrets.clone(),
        None => Secrets::default(),
    };
    let display = Arc::new(display(arguments, surroundings, secrets));
    if is_json {
        for message in &checked.messages {
            let level = match message.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            };
            display.emit(notice(level, &message.text));
        }
    } else {
        checked.print_messages(arguments.progress != Progress::Quiet);
    }
    let plan = checked.plan.ok_or_else(CommandError::reported)?;
    let store = open_store(surroundings)?;
    let events: Arc<dyn EventSink> = display.clone();
    let mut environment = surroundings.build_environment(store, events);
    environment.no_cache = arguments.template.no_cache;
    environment.parallel_builds = usize::try_from(arguments.parallel_builds)
        .ok()
        .filter(|count| *count > 0);
    if let Some(threads) = arguments.threads {
        environment.threads = threads.clamp(1, 1024);
    }
    let outcomes = build::run(environment, plan).map_err(CommandError::host)?;
    display.finish();

    output::print(&artifact_lines(&outcomes, &checked.masker))?;
    if let Some(metadata) = metadata {
        metadata.write(&outcomes, &checked.masker)?;
    }
    let errors = || outcomes.iter().filter_map(|it| it.result.as_ref().err());
    Ok(match errors().next() {
        None => ExitCode::SUCCESS,
        Some(_) if errors().any(|error| error.is_of_host()) => ExitCode::from(4),
        Some(_) => ExitCode::from(1),
    })
}

/// Opens the store of this run.
pub fn open_store(surroundings: &Surroundings) -> Result<Store, CommandError> {
    Store::open(surroundings.store_folder()?).map_err(|error| {
        CommandError::host(error).hint("--store DIR or HARDTACK_STORE name another folder")
    })
}

fn display(arguments: &Build, surroundings: &Surroundings, secrets: Secrets) -> Display {
    ui::display(
        arguments.progress,
        ui::Settings {
            terminal: surroundings.stderr_is_terminal,
            color: surroundings.color,
            size: Box::new(surroundings::terminal_size),
            clock: Box::new(jiff::Timestamp::now),
            secrets,
        },
        Box::new(std::io::stderr()),
    )
}

fn notice(level: Level, text: &str) -> Event {
    Event::Notice {
        build: None,
        level,
        text: text.trim_end().to_owned(),
    }
}

/// One line for each artifact: the build, what it is, and its digest or place.
fn artifact_lines(outcomes: &[Outcome], masker: &Masker) -> String {
    let mut lines = String::new();
    for outcome in outcomes {
        let Ok(built) = &outcome.result else { continue };
        for artifact in &built.artifacts {
            let line = format!("{} {} {}", outcome.name, artifact.kind, artifact.value);
            lines.push_str(&masker.mask_neutral(&line));
            lines.push('\n');
        }
    }
    lines
}
