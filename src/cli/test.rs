//! `hardtack test`: checks an image that is there already.

use super::arguments::NetworkArgument;
use super::build::open_store;
use super::error::CommandError;
use super::interrupt;
use super::output;
use super::output_file::OutputFile;
use super::surroundings::Surroundings;
use super::test_file::{self, TestFile};
use super::variable_arguments::VariableArguments;
use crate::base::{self, Pins};
use crate::build;
use crate::check::{Outcome, TestResult, junit};
use crate::copy::Place;
use crate::format;
use crate::image::{self, Image, Layout, archive};
use crate::mask::Masker;
use crate::registry::{Client, Reference};
use crate::store::{Platform, Store};
use crate::ui::palette::{Palette, Tone};
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `hardtack test`.
#[derive(Args, Debug)]
#[command(after_help = "\
Files:
  *.hcl             `test` blocks at the top level, with variables and locals
  *.yaml, *.json    container-structure-test, schema version 2.0.0

The exit code is 0 if all tests passed, 1 if one failed, and 4 for what this host does not allow.")]
pub struct TestArguments {
    /// The image: a name or digest of the store, REGISTRY/REPOSITORY[:TAG], the path of a layout or an
    /// archive, or one of the places of `hardtack copy`.
    #[arg(value_name = "IMAGE")]
    pub image: Place,

    /// The files with tests.
    #[arg(value_name = "FILE", required = true)]
    pub test_files: Vec<PathBuf>,

    /// Variables and their values.
    #[command(flatten)]
    pub variables: VariableArguments,

    /// Run only the tests whose name matches this glob. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub filter: Vec<String>,

    /// The network of all tests, whatever they ask for.
    #[arg(long, value_enum, value_name = "NETWORK")]
    pub network: Option<NetworkArgument>,

    /// Which image of an index, as linux/arm64 [default: this machine's].
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,

    /// How to print the results.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,

    /// Write the results to this file as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Runs the command.
pub fn run(
    arguments: &TestArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let report = match &arguments.junit {
        Some(path) => {
            let path = surroundings.working_folder.join(path);
            Some(OutputFile::prepare(&path, "--junit")?)
        }
        None => None,
    };
    let filter = Filter::new(&arguments.filter)?;
    // All files first, so that a mistake in the last one does not show up after minutes.
    let mut files = Vec::with_capacity(arguments.test_files.len());
    let mut is_right = true;
    for path in &arguments.test_files {
        match test_file::read(path, &arguments.variables, surroundings) {
            Ok(file) => files.push(file),
            Err(error) => {
                is_right = false;
                error.report(surroundings.color);
            }
        }
    }
    if !is_right {
        return Err(CommandError::reported());
    }
    for file in &mut files {
        file.tests.retain(|test| filter.takes(&test.name));
        if let Some(network) = arguments.network {
            let tests = file.tests.iter_mut();
            tests.for_each(|test| test.network = network.network());
        }
    }
    if files.iter().all(|file| file.tests.is_empty()) {
        return Err(CommandError::user(anyhow!("no test is to be run"))
            .hint("the files have none, or --filter leaves out all of them"));
    }

    let store = open_store(surroundings)?;
    let mut environment = surroundings.build_environment(store, crate::ui::silent());
    environment.cancel = interrupt::cancel_on_signals();
    environment.registries = Client::new(surroundings.registry_settings(&environment.cancel));
    let store = &environment.store;
    let folder = &surroundings.working_folder;
    let image = find(
        &arguments.image,
        arguments,
        store,
        &environment.registries,
        folder,
    )
    .with_context(|| format!("cannot test {}", arguments.image))?;

    let printer = Printer {
        palette: Palette::new(surroundings.color),
        format: arguments.format,
    };
    let mut suites: BTreeMap<String, Vec<TestResult>> = BTreeMap::new();
    let mut ended = Ok(());
    for file in &files {
        let mut results = Vec::with_capacity(file.tests.len());
        if ended.is_ok() {
            ended = printer.try_file(file, &environment, &image, &mut results);
        }
        let missed = file.tests.get(results.len()..).unwrap_or_default();
        results.extend(build::skipped_tests(missed, &Masker::of(&file.secrets)));
        suites.insert(file.name.clone(), results);
    }
    // Also after an interruption: what has failed until then is to be seen.
    if let Some(report) = report {
        let text = junit::document(&suites, &surroundings.now.to_string());
        report.replace(text.as_bytes())?;
    }
    ended?;
    printer.end(&image, &suites)?;
    let has_failed = suites.values().flatten().any(TestResult::has_failed);
    Ok(ExitCode::from(u8::from(has_failed)))
}

/// Finds the image, and brings its documents into the store.
fn find(
    place: &Place,
    arguments: &TestArguments,
    store: &Store,
    client: &Client,
    folder: &Path,
) -> anyhow::Result<Image> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let stored = |name: &str| -> anyhow::Result<Image> {
        Ok(image::load(store, &store.resolve(name)?, &platform)?)
    };
    let remote = |name: &str| -> anyhow::Result<Image> {
        let reference: Reference = name.parse()?;
        let digest = Pins::default().digest(&reference, client)?;
        let repository = &reference.repository;
        Ok(base::find_remote(
            client, store, repository, digest, &platform,
        )?)
    };
    let in_files = |files: &dyn image::ImageSource, name: Option<&str>| -> anyhow::Result<Image> {
        let image = image::resolve(files, store, name, &platform)?;
        image::import_layers(files, store, &image.layers)?;
        Ok(image)
    };
    match place {
        Place::Store(name) => stored(name),
        Place::Registry(name) => remote(name),
        Place::Layout(path, name) => in_files(&Layout::open(&folder.join(path))?, name.as_deref()),
        Place::OciArchive(path, name) | Place::DockerArchive(path, name) => {
            in_files(&*archive::open(&folder.join(path), store)?, name.as_deref())
        }
        Place::Plain(name) => {
            let is_registry = Reference::names_registry(name);
            if !is_registry && let Ok(descriptor) = store.resolve(name) {
                return Ok(image::load(store, &descriptor, &platform)?);
            }
            let path = folder.join(name);
            if path.join("oci-layout").is_file() {
                return in_files(&Layout::open(&path)?, None);
            }
            if path.is_file() {
                return in_files(&*archive::open(&path, store)?, None);
            }
            if !is_registry && !name.contains(['/', ':']) {
                return stored(name);
            }
            remote(name)
        }
    }
}

/// Which tests run.
struct Filter(Vec<globset::GlobMatcher>);

impl Filter {
    fn new(globs: &[String]) -> Result<Self, CommandError> {
        let compiled = globs.iter().map(|glob| {
            let compiled = globset::Glob::new(glob);
            compiled.with_context(|| format!("--filter {glob:?} is no glob"))
        });
        let compiled: anyhow::Result<Vec<_>> = compiled.collect();
        Ok(Self(
            compiled?
                .iter()
                .map(globset::Glob::compile_matcher)
                .collect(),
        ))
    }

    fn takes(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|glob| glob.is_match(name))
    }
}

/// Prints results.
struct Printer {
    palette: Palette,
    format: Format,
}

impl Printer {
    /// Runs the tests of a file, tells of each as it ends, and adds what became of it to `results`.
    fn try_file(
        &self,
        file: &TestFile,
        environment: &build::Environment,
        image: &Image,
        results: &mut Vec<TestResult>,
    ) -> Result<(), CommandError> {
        let masker = Masker::of(&file.secrets);
        let mut printed = Ok(());
        let mut told = |result: TestResult| {
            if self.format == Format::Text && printed.is_ok() {
                printed = output::print(&self.lines(&result));
            }
            results.push(result);
        };
        let tests = &file.tests;
        let ended = build::try_tests(environment, image, tests, &file.sources, &masker, &mut told);
        printed?;
        ended.map_err(|error| match error.is_of_host() {
            true => CommandError::host(error),
            false => CommandError::user(error),
        })
    }

    fn lines(&self, result: &TestResult) -> String {
        let took = format::duration(result.seconds);
        let name = &result.name;
        match result.outcome {
            Outcome::Failed { .. } => {
                let mark = self.palette.paint(Tone::Bad, "✗");
                format!("{mark} {name}  {took}\n{}", result.report())
            }
            _ => {
                let mark = self.palette.paint(Tone::Good, "✔");
                format!("{mark} {name}  {took}\n")
            }
        }
    }

    fn end(
        &self,
        image: &Image,
        suites: &BTreeMap<String, Vec<TestResult>>,
    ) -> Result<(), CommandError> {
        let all = suites.values().flatten();
        let failed = all.clone().filter(|it| it.has_failed()).count();
        let passed = all.count() - failed;
        if self.format == Format::Text {
            return output::print(&format!("{passed} passed, {failed} failed\n"));
        }
        output::print_json(&json!({
            "digest": image.manifest.digest,
            "passed": passed,
            "failed": failed,
            "files": suites,
        }))
    }
}
