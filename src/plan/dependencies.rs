//! Builds that start from other builds or mount their images: which comes first.

use super::names::Names;
use super::{PlannedBuild, Product, StepMountKind, Work};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, nearest};
use std::collections::VecDeque;

/// Finds the build that each `from` names, and reports names that are unknown or ambiguous and
/// builds that need themselves.
pub fn resolve(builds: &mut [PlannedBuild], diagnostics: &Diagnostics) {
    for index in 0..builds.len() {
        let base = builds[index].image().map(|image| &image.base);
        if let Some(name) = base.and_then(|base| base.depends_on()).map(str::to_owned) {
            let place = builds[index].source_span;
            let what = "this source starts from it";
            builds[index].depends_on = find(builds, &name, (place, what), diagnostics);
        }
        let wanted: Vec<(String, SourceSpan)> = mounted(&builds[index])
            .map(|(name, place)| (name.to_owned(), place))
            .collect();
        for (name, place) in wanted {
            let what = "this step mounts its image";
            if let Some(found) = find(builds, &name, (place, what), diagnostics) {
                builds[index].mounts_from.push(found);
                let full = builds[found].name.clone();
                name_in_full(&mut builds[index], &name, &full);
            }
        }
        builds[index].mounts_from.sort_unstable();
        builds[index].mounts_from.dedup();
    }
    report_cycles(builds, diagnostics);
    if !diagnostics.has_errors() {
        inherit_platforms(builds);
    }
}

/// The names of the builds whose images the steps of a build mount, each with its place.
pub(super) fn mounted(build: &PlannedBuild) -> impl Iterator<Item = (&str, SourceSpan)> {
    let steps = build.steps.iter().chain(&build.error_cleanup);
    let layers = steps.filter_map(|step| match &step.work {
        Work::Layer(layer) => Some(layer),
        Work::Host(_) => None,
    });
    let mounts = layers.flat_map(|layer| &layer.mounts);
    mounts.filter_map(|mount| Some((mount.kind.image_of()?, mount.span)))
}

/// Replaces the name that a template gives a build by its own.
fn name_in_full(build: &mut PlannedBuild, name: &str, full: &str) {
    for step in build.steps.iter_mut().chain(&mut build.error_cleanup) {
        let Work::Layer(layer) = &mut step.work else {
            continue;
        };
        for mount in &mut layer.mounts {
            if let StepMountKind::Image { build, .. } = &mut mount.kind
                && build == name
            {
                full.clone_into(build);
            }
        }
    }
}

/// Finds the build that a name means, which is needed for `what`; reports what is wrong with it.
fn find(
    builds: &[PlannedBuild],
    name: &str,
    (place, what): (SourceSpan, &str),
    diagnostics: &Diagnostics,
) -> Option<usize> {
    let names: Vec<Names<'_>> = builds.iter().map(Names::of).collect();
    let found = matching(&names, name);
    match found.as_slice() {
        [one] if builds[*one].image().is_none() => diagnostics.push(
            Diagnostic::error(format!("the build {name:?} makes no image to start from"))
                .at_with(place, what)
                .note(builds[*one].source_span, "its source"),
        ),
        [one] => return Some(*one),
        [] => {
            let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
            let diagnostic =
                Diagnostic::error(format!("there is no build named {name:?}")).at_with(place, what);
            diagnostics.push(match nearest(name, names.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean {near:?}?")),
                None => diagnostic.help(format!("builds are {}", names.join(", "))),
            });
        }
        several => {
            let names: Vec<&str> = several
                .iter()
                .map(|index| builds[*index].name.as_str())
                .collect();
            diagnostics.push(
                Diagnostic::error(format!("{name:?} can be several builds"))
                    .at_with(place, what)
                    .help(format!("name one of {}", names.join(", "))),
            );
        }
    }
    None
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

fn report_cycles(builds: &[PlannedBuild], diagnostics: &Diagnostics) {
    let mut reported = vec![false; builds.len()];
    for begin in 0..builds.len() {
        let Some(circle) = circle(builds, begin) else {
            continue;
        };
        if circle.iter().any(|index| reported[*index]) {
            continue;
        }
        circle.iter().for_each(|index| reported[*index] = true);
        let mut names: Vec<&str> = circle
            .iter()
            .map(|index| builds[*index].name.as_str())
            .collect();
        names.push(names[0]);
        let follows = circle.iter().zip(circle.iter().cycle().skip(1));
        let are_bases = follows
            .into_iter()
            .all(|(above, below)| builds[*above].depends_on == Some(*below));
        let summary = match are_bases {
            true => "builds start from each other in a circle",
            false => "builds need each other in a circle",
        };
        let mut diagnostic = Diagnostic::error(summary)
            .at_with(builds[circle[0]].source_span, "this source is part of it")
            .help(format!("the circle is {}", names.join(" -> ")));
        for index in &circle[1..] {
            diagnostic = diagnostic.note(builds[*index].source_span, "and this one");
        }
        diagnostics.push(diagnostic);
    }
}

/// The shortest way from a build over what it needs back to itself.
fn circle(builds: &[PlannedBuild], begin: usize) -> Option<Vec<usize>> {
    let mut came_from: Vec<Option<usize>> = vec![None; builds.len()];
    let mut pending = VecDeque::from([begin]);
    while let Some(index) = pending.pop_front() {
        for next in builds[index].needs() {
            if next == begin {
                let mut way = vec![index];
                while let Some(above) = way.last().and_then(|last| came_from[*last]) {
                    way.push(above);
                }
                way.reverse();
                return Some(way);
            }
            if came_from[next].is_none() {
                came_from[next] = Some(index);
                pending.push_back(next);
            }
        }
    }
    None
}
