//! Pushes: which builds give the same names in registries.

use super::{PlannedBuild, PlannedPostProcessor};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use std::collections::{BTreeMap, BTreeSet};

/// The builds whose images become part of the index `name`.
pub fn partners(builds: &[PlannedBuild], name: &str) -> BTreeSet<String> {
    let joins = |it: &PlannedPostProcessor| {
        let mut pushes = it.pushes.iter();
        pushes.any(|pushed| pushed.is_joint && pushed.name == name)
    };
    let builds = builds
        .iter()
        .filter(|build| build.post_processors.iter().flatten().any(joins));
    builds.map(|build| build.name.clone()).collect()
}

/// For each index, the places of the builds whose images become part of it.
pub fn joined(builds: &[PlannedBuild]) -> Vec<Vec<usize>> {
    let mut joined: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, build) in builds.iter().enumerate() {
        let all = build.post_processors.iter().flatten();
        for pushed in all.flat_map(|it| &it.pushes).filter(|it| it.is_joint) {
            joined.entry(&pushed.name).or_default().push(place);
        }
    }
    joined.into_values().collect()
}

/// Warns of names that several builds give and that are no index of all of them: they go to
/// whoever is last.
pub fn warn_of_rivals(builds: &[PlannedBuild], diagnostics: &Diagnostics) {
    let mut givers: BTreeMap<&str, (BTreeSet<&str>, bool, SourceSpan)> = BTreeMap::new();
    for build in builds {
        for post_processor in build.post_processors.iter().flatten() {
            for pushed in &post_processor.pushes {
                let first = || (BTreeSet::new(), true, post_processor.span);
                let (names, is_joint, _) = givers.entry(&pushed.name).or_insert_with(first);
                names.insert(&build.name);
                *is_joint &= pushed.is_joint;
            }
        }
    }
    for (name, (builds, is_joint, span)) in givers {
        if builds.len() > 1 && !is_joint {
            let builds: Vec<_> = builds.into_iter().collect();
            let text = format!(
                "{name} is pushed by the builds {}; it goes to whichever is last",
                builds.join(", ")
            );
            diagnostics.push(
                Diagnostic::warning(text)
                    .at(span)
                    .help("set `index = true` for one index of images for several platforms, or tell the tags apart by ${source.name}"),
            );
        }
    }
}
