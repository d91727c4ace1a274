//! Which builds run: `-only` and `-except`.

use super::{PlannedBuild, Settings};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::template::Component;
use globset::{Glob, GlobMatcher};

/// Keeps the builds that are asked for and those that they start from, which run without their
/// post-processors. Patterns that match nothing are warned about, as in Packer.
pub fn select(
    builds: Vec<PlannedBuild>,
    settings: &Settings,
    diagnostics: &Diagnostics,
) -> Vec<PlannedBuild> {
    let only = compile(&settings.only, "-only", diagnostics);
    let except = compile(&settings.except, "-except", diagnostics);
    for (pattern, matcher) in &only {
        if !builds.iter().any(|build| matcher.is_match(&build.name)) {
            let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
            diagnostics.push(
                Diagnostic::warning(format!("-only={pattern} matches no build"))
                    .help(format!("builds are {}", names.join(", "))),
            );
        }
    }
    let asked: Vec<bool> = builds
        .iter()
        .map(|build| {
            let matches = |patterns: &[(String, GlobMatcher)]| {
                patterns
                    .iter()
                    .any(|(_, matcher)| matcher.is_match(&build.name))
            };
            (settings.only.is_empty() || matches(&only)) && !matches(&except)
        })
        .collect();
    let mut needed = asked.clone();
    for begin in 0..builds.len() {
        let mut current = begin;
        // A circle has been reported; the bound only ends the walk.
        for _ in 0..builds.len() {
            match builds[current].depends_on {
                Some(next) if needed[current] => {
                    needed[next] = true;
                    current = next;
                }
                _ => break,
            }
        }
    }
    if !builds.is_empty() && !asked.contains(&true) {
        let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
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
            if !asked[index] {
                build.post_processors.clear();
            }
            build
        })
        .collect()
}

/// Whether `-except` names a post-processor by its name or type.
pub fn is_excepted(component: &Component, except: &[String]) -> bool {
    except
        .iter()
        .any(|name| component.name.as_deref() == Some(name.as_str()) || component.kind == *name)
}

fn compile(
    patterns: &[String],
    flag: &str,
    diagnostics: &Diagnostics,
) -> Vec<(String, GlobMatcher)> {
    let mut compiled = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        match Glob::new(pattern) {
            Ok(glob) => compiled.push((pattern.clone(), glob.compile_matcher())),
            Err(error) => diagnostics.push(Diagnostic::error(format!(
                "{flag}={pattern} is not a glob: {}",
                error.kind()
            ))),
        }
    }
    compiled
}
