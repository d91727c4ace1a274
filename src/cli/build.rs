//! `hardtack build`.

use super::arguments::Build;
use super::error::CommandError;
use super::init::{line_of, look_at_inputs};
use super::lock_file::LockFile;
use super::metadata;
use super::operator::StandardInput;
use super::output;
use super::output_file::OutputFile;
use super::sharing;
use super::surroundings::{self, Surroundings};
use super::template::{self, Request};
use crate::base::Pins;
use crate::build::event::{Event, EventSink, Level};
use crate::build::{self, Environment, OnError, Outcome};
use crate::cache::prune::limit;
use crate::check::{TestResult, junit};
use crate::diagnostic::Severity;
use crate::mask::{Masker, Secrets};
use crate::plan::Plan;
use crate::plan::lock::Lock;
use crate::sandbox::LazySandbox;
use crate::store::Store;
use crate::ui::{self, Display, Progress, Stamps};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
pub fn run(arguments: &Build, surroundings: &Surroundings) -> Result<ExitCode, CommandError> {
    let output = Output::of(arguments, surroundings);
    match build(arguments, surroundings, &output) {
        // Whoever reads lines of a fixed form gets no other ones.
        Err(error) if output.is_for_programs() => {
            if let Some(text) = error.text(false) {
                let display = output.display(Secrets::default());
                display.emit(notice(Level::Error, &text));
            }
            Ok(error.exit_code())
        }
        result => result,
    }
}

fn build(
    arguments: &Build,
    surroundings: &Surroundings,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let prepared = |path: &Option<PathBuf>, option| match path {
        Some(path) => {
            OutputFile::prepare(&surroundings.working_folder.join(path), option).map(Some)
        }
        None => Ok(None),
    };
    let metadata_file = prepared(&arguments.metadata_file, "--metadata-file")?;
    let junit_file = prepared(&arguments.junit, "--junit")?;
    let request = Request {
        secrets: Some(arguments.secrets.flags.clone()),
        ..Request::to_build(&arguments.template, surroundings)?
    };
    let checked = template::check(request, surroundings, output.color);
    let secrets = match &checked.plan {
        Some(plan) => plan.secrets.clone(),
        None => Secrets::default(),
    };
    let mut output = output.clone();
    if output.progress == Progress::Auto && checked.plan.as_ref().is_some_and(Plan::asks) {
        // Live lines would be drawn over the question.
        output.progress = Progress::Plain;
    }
    let display = Arc::new(output.display(secrets));
    if output.is_for_programs() {
        for message in &checked.messages {
            let level = match message.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            };
            display.emit(notice(level, &message.text));
        }
    } else {
        checked.print_messages(output.progress != Progress::Quiet);
    }
    let plan = checked.plan.ok_or_else(CommandError::reported)?;
    let store = open_store(surroundings)?;
    let events: Arc<dyn EventSink> = display.clone();
    let mut environment = surroundings.build_environment(store, events);
    environment.no_cache = arguments.template.no_cache;
    environment.skip_tests = arguments.skip_tests;
    let test_results = environment.test_results.clone();
    let warn = surroundings::warnings(&environment.events);
    environment.cache = sharing::cache(
        &arguments.sharing,
        &plan.sharing,
        &environment,
        surroundings,
        warn,
    );
    environment.parallel_builds = usize::try_from(arguments.parallel_builds)
        .ok()
        .filter(|count| *count > 0);
    environment.on_error = arguments.on_error;
    environment.debug = arguments.debug;
    environment.force = arguments.force;
    if arguments.debug {
        environment.parallel_builds = Some(1);
    }
    // Programs that read lines cannot be asked, as in Packer.
    if !output.is_for_programs() {
        environment.operator = Arc::new(StandardInput::new(display.clone()));
    }
    if let Some(threads) = arguments.threads {
        environment.threads = threads.clamp(1, 1024);
    }
    let lock_file = LockFile::of(&arguments.template.path, surroundings);
    let lock = lock_file.read(surroundings, &checked.masker)?;
    let pins = Arc::new(lock.clone().unwrap_or_default().pins(arguments.locked));
    environment.pins = Arc::clone(&pins);
    if arguments.locked {
        check_locked(&plan, &environment, &lock.unwrap_or_default(), &lock_file)?;
    }
    let outcomes = build::run(environment, plan).map_err(CommandError::host)?;
    // Also after a failure: the next attempt is to start from the same images.
    if let Err(error) = keep_pins(&pins, &lock_file, surroundings, &checked.masker) {
        let text = error.text(false).unwrap_or_default();
        display.emit(notice(Level::Warning, &text));
    }
    if let Some(size) = arguments.cache_size {
        let store = open_store(surroundings)?;
        if let Err(error) = limit(
            &store,
            &LazySandbox::new(surroundings.sandbox_settings()),
            size,
            surroundings.now.into(),
        ) {
            let text = format!("the store is not made smaller: {error}");
            display.emit(notice(Level::Warning, &text));
        }
    }
    display.finish();

    if output.progress != Progress::MachineReadable {
        output::print(&artifact_lines(&outcomes, &checked.masker))?;
    }
    if let Some(file) = metadata_file {
        metadata::write(&file, &outcomes, &test_results, &checked.masker)?;
    }
    if let Some(file) = junit_file {
        let begin = surroundings.now.to_string();
        let suites = masked_names(test_results.by_build(), &checked.masker);
        file.replace(junit::document(&suites, &begin).as_bytes())?;
    }
    let errors = || outcomes.iter().filter_map(|it| it.result.as_ref().err());
    Ok(match errors().next() {
        None => ExitCode::SUCCESS,
        Some(_) if errors().any(|error| error.is_of_host()) => ExitCode::from(4),
        Some(_) => ExitCode::from(1),
    })
}

/// How and where the build is shown: what the flags mean together.
#[derive(Clone)]
pub struct Output {
    progress: Progress,
    color: bool,
    terminal: bool,
    stamps: Option<Stamps>,
}

impl Output {
    fn of(arguments: &Build, surroundings: &Surroundings) -> Self {
        let progress = match arguments.progress {
            _ if surroundings.machine_readable => Progress::MachineReadable,
            // Live lines have no time at which they were written.
            Progress::Auto if arguments.timestamp_ui => Progress::Plain,
            // They would be drawn over the questions.
            Progress::Auto if arguments.debug || arguments.on_error == OnError::Ask => {
                Progress::Plain
            }
            progress => progress,
        };
        let mut output = Self {
            progress,
            color: arguments.color.unwrap_or(surroundings.color),
            terminal: surroundings.stderr_is_terminal,
            stamps: arguments.timestamp_ui.then(|| Stamps {
                zone: surroundings.zone.clone(),
            }),
        };
        output.color &= !output.is_for_programs();
        output
    }

    /// Beside a command that is no build.
    pub fn on_stderr(surroundings: &Surroundings) -> Self {
        Self {
            progress: Progress::Auto,
            color: surroundings.color,
            terminal: surroundings.stderr_is_terminal,
            stamps: None,
        }
    }

    /// Whether each line has a form that programs rely on.
    fn is_for_programs(&self) -> bool {
        matches!(self.progress, Progress::Json | Progress::MachineReadable)
    }

    /// Shows what happens from now on.
    pub fn display(&self, secrets: Secrets) -> Display {
        let output: Box<dyn Write + Send> = match self.progress {
            // Scripts read Packer's lines from there.
            Progress::MachineReadable => Box::new(std::io::stdout()),
            _ => Box::new(std::io::stderr()),
        };
        let settings = ui::Settings {
            terminal: self.terminal,
            color: self.color,
            size: Box::new(surroundings::terminal_size),
            clock: Box::new(jiff::Timestamp::now),
            stamps: self.stamps.clone(),
            secrets,
        };
        ui::display(self.progress, settings, output)
    }
}

/// Errors unless every base is what the lock file says.
fn check_locked(
    plan: &Plan,
    environment: &Environment,
    lock: &Lock,
    file: &LockFile,
) -> Result<(), CommandError> {
    let found = look_at_inputs(plan, environment, file.folder())?;
    let mut moved = lock.changes(&found);
    // Builds that are left out need none of what is locked for them.
    moved.retain(|one| one.to.is_some());
    if moved.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = moved.iter().map(line_of).collect();
    let error = anyhow::anyhow!(
        "the bases, and what steps require, are not what {} says:\n{}",
        file.shown().display(),
        list.concat().trim_end()
    );
    Err(CommandError::user(error)
        .hint("run `hardtack init` to lock what is new, and `hardtack init -upgrade` to accept what has changed"))
}

/// Writes what the build has pinned to the lock file.
fn keep_pins(
    pins: &Pins,
    file: &LockFile,
    surroundings: &Surroundings,
    masker: &Masker,
) -> Result<(), CommandError> {
    if pins.found().is_empty() && pins.found_requirements().is_empty() {
        return Ok(());
    }
    let _held = file.hold()?;
    // Read again: another build may have written it meanwhile.
    let mut lock = file.read(surroundings, masker)?.unwrap_or_default();
    lock.adopt(pins);
    file.write(&lock)
}

/// Opens the store of this run.
pub fn open_store(surroundings: &Surroundings) -> Result<Store, CommandError> {
    Store::open(surroundings.store_folder()?).map_err(|error| {
        CommandError::host(error).hint("--store DIR or HARDTACK_STORE name another folder")
    })
}

/// The results of tests under the names of builds as they may be shown.
fn masked_names(
    results: BTreeMap<String, Vec<TestResult>>,
    masker: &Masker,
) -> BTreeMap<String, Vec<TestResult>> {
    let results = results.into_iter();
    results
        .map(|(build, results)| (masker.mask(&build).into_owned(), results))
        .collect()
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
            // A build that leaves nothing has nothing to name.
            if artifact.value.is_empty() {
                continue;
            }
            let line = format!("{} {} {}", outcome.name, artifact.kind, artifact.value);
            lines.push_str(&masker.mask_neutral(&line));
            lines.push('\n');
        }
    }
    lines
}
