//! The options that every provisioner in the sandbox has, beside Packer's.

use super::Settings;
use super::limits;
use super::mount::{self, StepMount};
use crate::base::StartChanges;
use crate::provision::Input;
use crate::sandbox::{Limits, Network};
use crate::template::Arguments;
use std::path::{Path, PathBuf};

/// How many files `inputs` may name.
const INPUT_LIMIT: usize = 100_000;

/// Those options, decoded.
pub struct Sandboxed {
    /// Whether the store may answer for the step.
    pub cache: bool,
    /// What its commands can reach; none after an error.
    pub network: Option<Network>,
    /// Further files that it depends on.
    pub inputs: Vec<Input>,
    /// What is mounted while it runs.
    pub mounts: Vec<StepMount>,
    /// What its commands may use.
    pub limits: Limits,
}

impl Sandboxed {
    /// Decodes them, with what the source says of all steps; what is wrong is reported.
    pub fn decode(arguments: &Arguments<'_>, settings: &Settings, start: &StartChanges) -> Self {
        let cache = arguments.optional("cache").unwrap_or(true);
        let network: Option<String> = arguments.optional("network");
        let network = match network.as_deref() {
            None => Some(start.network.unwrap_or_default()),
            Some("host") => Some(Network::Host),
            Some("none") => Some(Network::None),
            Some("user") => Some(Network::User),
            Some(other) => {
                arguments.error(
                    arguments.span("network"),
                    format!("network cannot be {other:?}"),
                    &["it is \"host\" (the default), \"none\", or \"user\" for a network of its own"],
                );
                None
            }
        };
        let patterns: Vec<String> = arguments.optional("inputs").unwrap_or_default();
        let mut inputs = Vec::new();
        for pattern in patterns {
            match expand(&pattern, &settings.working_folder) {
                Ok(found) => inputs.extend(found),
                Err(problem) => {
                    arguments.error(
                        arguments.span("inputs"),
                        problem,
                        &["inputs are paths or globs from the working directory; use \"${path.root}/…\" for files beside the template"],
                    );
                }
            }
        }
        let mut mounts = mount::decode(arguments, &settings.working_folder);
        for shared in &start.mounts {
            // What the step itself mounts there wins.
            let target = Some(&shared.target);
            if !mounts.iter().any(|own| own.target.as_ref() == target) {
                mounts.push(StepMount::shared(shared, arguments.header()));
            }
        }
        inputs.extend(mounts.iter().filter_map(StepMount::input));
        // What a step does to this host, the store cannot do again.
        let changes_host = mounts.iter().any(StepMount::changes_host);
        Self {
            cache: cache && !changes_host,
            network,
            inputs,
            mounts,
            limits: limits::decode(arguments),
        }
    }
}

/// Finds the files and folders that `pattern` names, sorted.
fn expand(pattern: &str, working_folder: &Path) -> Result<Vec<Input>, String> {
    let whole = working_folder.join(pattern);
    // Labels begin where the pattern has its first wildcard, wherever the template lies.
    let fixed: PathBuf = whole
        .components()
        .take_while(|part| {
            !part
                .as_os_str()
                .to_string_lossy()
                .contains(['*', '?', '[', '{'])
        })
        .collect();
    let above = fixed.parent().map(Path::to_owned).unwrap_or_default();
    let label = |path: &Path| {
        path.strip_prefix(&above)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    if whole.exists() {
        return Ok(vec![Input {
            label: label(&whole),
            path: whole,
            is_generated: false,
        }]);
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Err(format!("there is no file or folder {pattern}"));
    }
    let glob = globset::GlobBuilder::new(&whole.display().to_string())
        .literal_separator(true)
        .build()
        .map_err(|error| format!("{pattern} is not a glob: {}", error.kind()))?
        .compile_matcher();
    let mut found = Vec::new();
    let mut pending = vec![fixed];
    let mut seen = 0;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > INPUT_LIMIT {
                return Err(format!("{pattern} covers more than {INPUT_LIMIT} files"));
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if glob.is_match(&path) {
                found.push(Input {
                    label: label(&path),
                    path,
                    is_generated: false,
                });
            }
        }
    }
    if found.is_empty() {
        return Err(format!("no file matches {pattern}"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
