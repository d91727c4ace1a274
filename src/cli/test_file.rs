//! Files with tests: HCL, or container-structure-test's YAML and JSON.

use super::error::CommandError;
use super::surroundings::Surroundings;
use super::template;
use super::variable_arguments::VariableArguments;
use crate::check::{Test, structure};
use crate::diagnostic::{Diagnostics, Sources, Topic};
use crate::mask::{Masker, Secrets};
use crate::plan::test_blocks;
use crate::template::{self as language, LoadArguments, TemplateTexts};
use anyhow::{Context as _, anyhow};
use std::path::Path;

/// The tests of one file.
pub struct TestFile {
    /// The file, as the user wrote it.
    pub name: String,
    /// The tests.
    pub tests: Vec<Test>,
    /// What their places point into.
    pub sources: Sources,
    /// What must not be shown.
    pub secrets: Secrets,
}

/// Reads a file; all that is wrong with it is reported at once.
pub fn read(
    path: &Path,
    variables: &VariableArguments,
    surroundings: &Surroundings,
) -> Result<TestFile, CommandError> {
    let name = path.display().to_string();
    match name.rsplit('.').next() {
        _ if name.ends_with(".hcl") || name.ends_with(".hcl.json") => {
            read_hcl(path, variables, surroundings)
        }
        Some("yaml" | "yml" | "json") => read_structure(path, surroundings),
        _ => Err(
            CommandError::user(anyhow!("cannot tell the format of {name}"))
                .hint("the name of a file with tests ends in .hcl, or in .yaml, .yml or .json for those of container-structure-test"),
        ),
    }
}

fn read_hcl(
    path: &Path,
    variables: &VariableArguments,
    surroundings: &Surroundings,
) -> Result<TestFile, CommandError> {
    let own = text(path, surroundings)?;
    let variable_files = variables.files.iter().map(|path| text(path, surroundings));
    let texts = TemplateTexts {
        folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        templates: vec![own],
        variable_files: variable_files.collect::<Result<_, _>>()?,
    };
    let arguments = LoadArguments {
        path: path.to_owned(),
        variable_files: variables.files.clone(),
        variables: variables.values.clone(),
        evaluate_data_sources: true,
        world: template::world(surroundings),
    };
    let loaded = language::load_texts(
        texts,
        &arguments.variables,
        arguments.evaluate_data_sources,
        arguments.world,
    );
    let (loaded, diagnostics) = match loaded {
        Ok(loaded) => (loaded.template, loaded.warnings),
        Err(failure) => {
            let secrets = failure.partial.as_ref().map(|it| it.secrets().clone());
            let diagnostics = failure.diagnostics;
            return Err(refuse(diagnostics, &failure.sources, secrets, surroundings));
        }
    };
    let diagnostics = diagnostics.without(Topic::UndeclaredVariable);
    if loaded.tests().is_empty() && !diagnostics.has_errors() {
        return Err(
            CommandError::user(anyhow!("{} has no test blocks", path.display()))
                .hint("write `test \"NAME\" { … }` at the top level; those of a build run when it is built"),
        );
    }
    let tests = test_blocks::decode_file(&loaded, &diagnostics);
    let secrets = loaded.secrets().clone();
    if diagnostics.has_errors() {
        return Err(refuse(
            diagnostics,
            loaded.sources(),
            Some(secrets),
            surroundings,
        ));
    }
    template::print_diagnostics(
        diagnostics,
        loaded.sources(),
        surroundings.color,
        &Masker::of(&secrets),
    );
    Ok(TestFile {
        name: path.display().to_string(),
        tests,
        sources: loaded.sources().clone(),
        secrets,
    })
}

fn read_structure(path: &Path, surroundings: &Surroundings) -> Result<TestFile, CommandError> {
    let text = text(path, surroundings)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let world = structure::World {
        folder: surroundings.working_folder.join(folder),
        environment: &surroundings.environment,
    };
    let (sources, diagnostics, tests) = structure::read(text, &world);
    if diagnostics.has_errors() {
        return Err(refuse(diagnostics, &sources, None, surroundings));
    }
    template::print_diagnostics(
        diagnostics,
        &sources,
        surroundings.color,
        &Masker::default(),
    );
    Ok(TestFile {
        name: path.display().to_string(),
        tests,
        sources,
        secrets: Secrets::default(),
    })
}

fn text(path: &Path, surroundings: &Surroundings) -> Result<language::NamedText, CommandError> {
    let read = language::read_text(&surroundings.working_folder.join(path));
    let text = read.context("a file with tests cannot be used")?;
    Ok(language::NamedText {
        name: path.display().to_string(),
        text,
    })
}

/// Reports all that is wrong.
fn refuse(
    diagnostics: Diagnostics,
    sources: &Sources,
    secrets: Option<Secrets>,
    surroundings: &Surroundings,
) -> CommandError {
    let masker = Masker::of(&secrets.unwrap_or_default());
    template::print_diagnostics(diagnostics, sources, surroundings.color, &masker);
    CommandError::reported()
}
