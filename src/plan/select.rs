//! Which builds run: `-only`, `-except` and `--shard`.

use super::{PlannedBuild, Settings, shard};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::template::{Build, Component};
use globset::{Glob, GlobMatcher};

/// Which of the builds of these names are asked for. Patterns that are no globs have their errors
/// from [`select`].
pub fn asked(names: &[String], settings: &Settings) -> Vec<bool> {
    let compiled = |patterns: &[String]| -> Vec<GlobMatcher> {
        patterns.iter().filter_map(|it| glob(it).ok()).collect()
    };
    let (only, except) = (compiled(&settings.only), compiled(&settings.except));
    let is_asked = |name: &String| {
        let matches = |globs: &[GlobMatcher]| globs.iter().any(|glob| glob.is_match(name));
        (settings.only.is_empty() || matches(&only)) && !matches(&except)
    };
    names.iter().map(is_asked).collect()
}

/// Keeps the builds that are asked for and those that they start from, which run without their
/// post-processors. `names` are those of all builds that the template has, planned or not, and
/// `declared` its `build` blocks. Patterns that match nothing are warned about, as in Packer.
pub fn select(
    builds: Vec<PlannedBuild>,
    names: &[String],
    declared: &[Build],
    settings: &Settings,
    diagnostics: &Diagnostics,
) -> Vec<PlannedBuild> {
    let only = compile(&settings.only, "-only", diagnostics);
    let except = compile(&settings.except, "-except", diagnostics);
    let chains = declared.iter().flat_map(|build| &build.post_processors);
    let post_processors: Vec<&Component> = chains.flatten().collect();
    warn_of_useless("-only", &only, names, &[], diagnostics);
    warn_of_useless("-except", &except, names, &post_processors, diagnostics);
    let planned: Vec<String> = builds.iter().map(|build| build.name.clone()).collect();
    let mut asked = self::asked(&planned, settings);
    if let Some(shard) = settings.shard {
        asked = shard::members(&builds, &asked, shard, &settings.costs);
    }
    let mut needed = asked.clone();
    let mut pending: Vec<usize> = (0..builds.len()).filter(|it| needed[*it]).collect();
    while let Some(index) = pending.pop() {
        for next in builds[index].needs() {
            if !std::mem::replace(&mut needed[next], true) {
                pending.push(next);
            }
        }
    }
    if !names.is_empty() && !self::asked(names, settings).contains(&true) {
        diagnostics.push(
            Diagnostic::error("no builds to run: -only and -except leave none")
                .help(format!("builds are {}", names.join(", "))),
        );
    }
    // Places change when builds are left out.
    let mut places = Vec::with_capacity(builds.len());
    let mut count = 0;
    for needed in &needed {
        places.push(count);
        count += usize::from(*needed);
    }
    builds
        .into_iter()
        .enumerate()
        .filter(|(index, _)| needed[*index])
        .map(|(index, mut build)| {
            build.depends_on = build.depends_on.map(|dependency| places[dependency]);
            for dependency in &mut build.mounts_from {
                *dependency = places[*dependency];
            }
            if !asked[index] {
                build.post_processors.clear();
            }
            build
        })
        .collect()
}

/// Whether `-except` leaves out a post-processor of this type and name. Patterns that are no globs
/// have their errors from [`select`].
pub fn is_excepted(component: &Component, except: &[String]) -> bool {
    except
        .iter()
        .filter_map(|pattern| glob(pattern).ok())
        .any(|glob| covers(&glob, component))
}

fn covers(glob: &GlobMatcher, component: &Component) -> bool {
    let name = component.name.as_deref();
    name.is_some_and(|name| glob.is_match(name)) || glob.is_match(&component.kind)
}

fn warn_of_useless(
    flag: &str,
    patterns: &[(String, GlobMatcher)],
    names: &[String],
    post_processors: &[&Component],
    diagnostics: &Diagnostics,
) {
    for (pattern, glob) in patterns {
        if !names.iter().any(|name| glob.is_match(name))
            && !post_processors.iter().any(|it| covers(glob, it))
        {
            diagnostics.push(
                Diagnostic::warning(format!("{flag}={pattern} matches no build"))
                    .help(format!("builds are {}", names.join(", "))),
            );
        }
    }
}

fn compile(
    patterns: &[String],
    flag: &str,
    diagnostics: &Diagnostics,
) -> Vec<(String, GlobMatcher)> {
    let mut compiled = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        match glob(pattern) {
            Ok(glob) => compiled.push((pattern.clone(), glob)),
            Err(error) => diagnostics.push(Diagnostic::error(format!(
                "{flag}={pattern} is not a glob: {}",
                error.kind()
            ))),
        }
    }
    compiled
}

/// Globs are over names, which are no paths: `*` covers everything.
fn glob(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(Glob::new(pattern)?.compile_matcher())
}
