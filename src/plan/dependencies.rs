//! Builds that start from other builds: which comes first.

use super::names::Names;
use super::{PlannedBuild, Product};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};

/// Finds the build that each `from` names, and reports names that are unknown or ambiguous and
/// builds that start from themselves.
pub fn resolve(builds: &mut [PlannedBuild], diagnostics: &Diagnostics) {
    for index in 0..builds.len() {
        let base = builds[index].image().map(|image| &image.base);
        let Some(name) = base.and_then(|base| base.depends_on()).map(str::to_owned) else {
            continue;
        };
        let names: Vec<Names<'_>> = builds.iter().map(Names::of).collect();
        let found = matching(&names, &name);
        match found.as_slice() {
            [one] if builds[*one].image().is_none() => diagnostics.push(
                Diagnostic::error(format!("the build {name:?} makes no image to start from"))
                    .at_with(builds[index].source_span, "this source starts from it")
                    .note(builds[*one].source_span, "its source"),
            ),
            [one] => builds[index].depends_on = Some(*one),
            [] => {
                let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
                let mut diagnostic = Diagnostic::error(format!("there is no build named {name:?}"))
                    .at_with(builds[index].source_span, "this source starts from it");
                diagnostic = match nearest(&name, names.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean {near:?}?")),
                    None => diagnostic.help(format!("builds are {}", names.join(", "))),
                };
                diagnostics.push(diagnostic);
            }
            several => {
                let names: Vec<&str> = several
                    .iter()
                    .map(|index| builds[*index].name.as_str())
                    .collect();
                diagnostics.push(
                    Diagnostic::error(format!("{name:?} can be several builds"))
                        .at_with(builds[index].source_span, "this source starts from it")
                        .help(format!("name one of {}", names.join(", "))),
                );
            }
        }
    }
    report_cycles(builds, diagnostics);
    if !diagnostics.has_errors() {
        inherit_platforms(builds);
    }
}

/// A build that starts from another is for the same platform, unless it says otherwise. There are
/// no circles.
fn inherit_platforms(builds: &mut [PlannedBuild]) {
    for index in 0..builds.len() {
        let mut below = index;
        while let Some(next) = builds[below]
            .image()
            .filter(|image| image.base.platform().is_none())
            .and(builds[below].depends_on)
        {
            below = next;
        }
        let platform = builds[below].image().map(|image| image.platform.clone());
        if let (Product::Image(image), Some(platform)) = (&mut builds[index].product, platform) {
            image.platform = platform;
        }
    }
}

/// The builds that a name can mean: the full name wins over `TYPE.SOURCE`, that over the name of a
/// build block or a source alone.
pub(super) fn matching(builds: &[Names<'_>], name: &str) -> Vec<usize> {
    let by = |test: &dyn Fn(&Names<'_>) -> bool| -> Vec<usize> {
        (0..builds.len())
            .filter(|index| test(&builds[*index]))
            .collect()
    };
    let attempts = [
        by(&|build| build.full() == name),
        by(&|build| format!("{}.{}", build.source_type, build.local_name) == name),
        by(&|build| build.build_name == Some(name)),
        by(&|build| build.local_name == name),
    ];
    attempts
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn report_cycles(builds: &mut [PlannedBuild], diagnostics: &Diagnostics) {
    let mut reported = vec![false; builds.len()];
    for begin in 0..builds.len() {
        let mut way = vec![begin];
        while let Some(next) = way.last().and_then(|last| builds[*last].depends_on) {
            if let Some(position) = way.iter().position(|index| *index == next) {
                let circle = &way[position..];
                if circle.iter().any(|index| reported[*index]) {
                    break;
                }
                circle.iter().for_each(|index| reported[*index] = true);
                let mut names: Vec<&str> = circle
                    .iter()
                    .map(|index| builds[*index].name.as_str())
                    .collect();
                names.push(names[0]);
                let mut diagnostic = Diagnostic::error("builds start from each other in a circle")
                    .at_with(builds[circle[0]].source_span, "this source is part of it")
                    .help(format!("the circle is {}", names.join(" -> ")));
                for index in &circle[1..] {
                    diagnostic = diagnostic.note(builds[*index].source_span, "and this one");
                }
                diagnostics.push(diagnostic);
                break;
            }
            way.push(next);
        }
    }
}
