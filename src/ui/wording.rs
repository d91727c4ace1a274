//! The phrases that the displays for people share.

use super::palette::{Palette, Tone};
use super::running::{Activity, Tail, Work};
use crate::build::event::{Event, LayerSummary, Level, StepPlace};
use crate::format;
use std::fmt::Write;

/// Says what a step waits for: the same step elsewhere, or a cache.
pub(super) fn waiting(cache: Option<&str>) -> String {
    match cache {
        Some(cache) => format!("waiting for the cache {cache:?}, which another step has"),
        None => "waiting for the same step of another build".to_owned(),
    }
}

/// Names a step: `oci.base [2/5] shell`.
pub(super) fn step(place: &StepPlace, palette: Palette) -> String {
    let StepPlace {
        build,
        step,
        steps,
        name,
    } = place;
    let build = palette.paint(Tone::Strong, build);
    format!("{build} [{step}/{steps}] {name}")
}

/// Says what a step left: `45.2 MB`, `no changes`; none if its size is unknown.
fn layer(layer: Option<&LayerSummary>) -> Option<String> {
    match layer {
        None => Some("no changes".to_owned()),
        Some(layer) => layer.bytes.map(format::bytes),
    }
}

/// Adds to `text` what a step left: `cached, 45.2 MB`.
pub(super) fn with_layer(text: &str, summary: Option<&LayerSummary>) -> String {
    match layer(summary) {
        Some(layer) => format!("{text}, {layer}"),
        None => text.to_owned(),
    }
}

/// Says where a result was found, and what the step left: `cached (registry.example/cache)`.
pub(super) fn cached(from: Option<&str>, summary: Option<&LayerSummary>) -> String {
    match from {
        Some(from) => with_layer(&format!("cached ({from})"), summary),
        None => with_layer("cached", summary),
    }
}

/// Says how much of a test failed: `2 failures`.
pub(super) fn failed_checks(count: usize) -> String {
    format::count(count, "failure")
}

/// Labels a notice: `warning: …`, `note: …`.
pub(super) fn notice(level: Level, text: &str, palette: Palette) -> String {
    let label = match level {
        Level::Info => palette.paint(Tone::Hint, "note:"),
        Level::Warning => palette.paint(Tone::Warning, "warning:"),
        Level::Error => palette.paint(Tone::Bad, "error:"),
    };
    format!("{label} {text}")
}

/// Tells a failure to someone who has not seen the output: what failed, the last lines of it, and
/// the error of the build. None if `event` is no failure.
pub(super) fn failure(event: &Event, ended: &[Activity], palette: Palette) -> Option<String> {
    let mark = palette.paint(Tone::Bad, "✗");
    let failed_after = |seconds: f64| {
        let after = format!("failed after {}", format::duration(seconds));
        palette.paint(Tone::Bad, &after)
    };
    match event {
        Event::StepFailed {
            place,
            reason,
            seconds,
        } => {
            let step = step(place, palette);
            let failed = failed_after(*seconds);
            let reason = first_line(reason);
            let mut told = format!("{mark} {step}  {failed}: {reason}\n");
            for activity in ended {
                push_tail(&mut told, &activity.tail);
            }
            Some(told)
        }
        Event::BuildFailed {
            build,
            error,
            seconds,
            ..
        } => {
            let mut told = String::new();
            // A post-processor has no failure event of its own.
            for activity in ended {
                if let Work::PostProcessor(name) = &activity.work {
                    let build = palette.paint(Tone::Strong, build);
                    let failed = palette.paint(Tone::Bad, "failed");
                    push_line(&mut told, &format!("{mark} {build} {name}  {failed}"));
                    push_tail(&mut told, &activity.tail);
                }
            }
            let build = palette.paint(Tone::Strong, build);
            let failed = failed_after(*seconds);
            push_line(&mut told, &format!("{mark} {build}  {failed}"));
            push_line(&mut told, error.trim_end());
            Some(told)
        }
        _ => None,
    }
}

/// Adds the last lines of an output, indented, and how many there were before them.
pub(super) fn push_tail(text: &mut String, tail: &Tail) {
    if tail.dropped() > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    … {} earlier lines", tail.dropped());
    }
    for line in tail.lines() {
        push_line(text, &format!("    {line}"));
    }
}

/// Returns the first line of a text; the rest of a reason stands in the build's error.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Adds a line with its line feed.
pub(super) fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
