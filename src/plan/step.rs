//! Steps: one provisioner in one build.

use super::{Names, Settings};
use crate::diagnostic::{Diagnostics, SourceSpan};
use crate::provision::{self, Input, Provisioner};
use crate::sandbox::Network;
use crate::template::{Component, Template};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many files `inputs` may name.
const INPUT_LIMIT: usize = 100_000;

/// One provisioner in one build, checked.
#[derive(Debug)]
pub struct Step {
    /// Counts from 0.
    pub index: usize,
    /// The provisioner's type, and its name if it has one: `shell`, `shell.packages`.
    pub name: String,
    /// The name, with a number that tells it from others of that name before it. It survives
    /// edits elsewhere in the build better than the index does.
    pub id: String,
    /// The provisioner's block.
    pub span: SourceSpan,
    /// What the image's history says.
    pub history: String,
    /// What it does.
    pub provisioner: Box<dyn Provisioner>,
    /// Further files that it depends on.
    pub inputs: Vec<Input>,
    /// Whether the store may answer for it.
    pub cache: bool,
    /// What its commands can reach.
    pub network: Network,
    /// A pause before each attempt.
    pub pause_before: Option<Duration>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// How many further attempts a failure is granted.
    pub max_retries: u32,
    /// Functions in its options whose value differs each time, so that it can never be cached.
    pub volatile: Vec<String>,
}

/// Plans one provisioner; none after an error.
pub fn plan_step(
    template: &Template,
    settings: &Settings,
    names: &Names<'_>,
    component: &Component,
    before: &[Step],
    diagnostics: &mut Diagnostics,
) -> Option<Step> {
    let scope = names.scope(BTreeMap::new());
    let mut arguments = template.arguments(component, &scope, diagnostics);
    if !provision::kinds().contains(&component.kind.as_str()) {
        arguments.unknown_kind("provisioner", &provision::kinds());
        return None;
    }
    let cache = arguments.optional("cache").unwrap_or(true);
    let network: Option<String> = arguments.optional("network");
    let network = match network.as_deref() {
        None | Some("host") => Some(Network::Host),
        Some("none") => Some(Network::None),
        Some(other) => {
            arguments.error(
                arguments.span("network"),
                format!("network cannot be {other:?}"),
                Some("it is \"host\" (the default) or \"none\""),
            );
            None
        }
    };
    let patterns: Vec<String> = arguments.optional("inputs").unwrap_or_default();
    let mut inputs = Vec::new();
    for pattern in patterns {
        match expand(&pattern, &settings.working_folder, template.folder()) {
            Ok(found) => inputs.extend(found),
            Err(problem) => {
                arguments.error(arguments.span("inputs"), problem, Some("inputs are paths or globs from the working directory; use \"${path.root}/…\" for files beside the template"));
            }
        }
    }
    let context = provision::Context {
        working_folder: settings.working_folder.clone(),
        source_name: names.source_name.to_owned(),
        source_type: names.source_type.to_owned(),
        go_template: names.go_template(settings),
    };
    let provisioner = provision::prepare(&component.kind, &mut arguments, &context);
    let volatile = arguments.volatile_functions();
    let valid = arguments.finish();
    let provisioner = provisioner.filter(|_| valid)?;
    let name = component.display_name();
    let summary = mask(&provisioner.summary(), template.secrets());
    let same_name = before.iter().filter(|step| step.name == name).count();
    Some(Step {
        index: before.len(),
        id: format!("{name}#{}", same_name + 1),
        span: component.span,
        history: format!("{name}: {summary}"),
        name,
        provisioner,
        inputs,
        cache,
        network: network?,
        pause_before: component.pause_before,
        timeout: component.timeout,
        max_retries: component.max_retries,
        volatile,
    })
}

/// Replaces sensitive values, which must not lie in an image.
fn mask(text: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "<sensitive>"))
}

/// Finds the files and folders that `pattern` names, sorted.
fn expand(
    pattern: &str,
    working_folder: &Path,
    template_folder: &Path,
) -> Result<Vec<Input>, String> {
    let label = |path: &Path| {
        let short = path.strip_prefix(template_folder).or(path.strip_prefix(working_folder));
        short.unwrap_or(path).display().to_string()
    };
    let whole = working_folder.join(pattern);
    if whole.exists() {
        return Ok(vec![Input { label: label(&whole), path: whole }]);
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Err(format!("there is no file or folder {pattern}"));
    }
    let glob = globset::GlobBuilder::new(&whole.display().to_string())
        .literal_separator(true)
        .build()
        .map_err(|error| format!("{pattern} is not a glob: {}", error.kind()))?
        .compile_matcher();
    // The longest leading part without a wildcard is where the search begins.
    let begin: PathBuf = whole
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let mut found = Vec::new();
    let mut pending = vec![begin];
    let mut seen = 0;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > INPUT_LIMIT {
                return Err(format!("{pattern} covers more than {INPUT_LIMIT} files"));
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if glob.is_match(&path) {
                found.push(Input { label: label(&path), path });
            }
        }
    }
    if found.is_empty() {
        return Err(format!("no file matches {pattern}"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
