//! The summary: how each build of a command ended.

use super::palette::{Palette, Tone};
use super::table::{Align, Table};
use crate::build::event::Event;
use crate::digest::Digest;
use crate::format;

/// The builds of a command, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Summary {
    builds: Vec<Build>,
}

#[derive(Debug)]
struct Build {
    name: String,
    steps: usize,
    cached: usize,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// It has neither finished nor failed: the command was interrupted.
    Stopped,
    Built {
        digest: Option<Digest>,
        bytes: u64,
        seconds: f64,
    },
    Failed {
        seconds: f64,
    },
}

impl Summary {
    /// Follows `event`.
    pub(super) fn observe(&mut self, event: &Event) {
        match event {
            Event::BuildStarted { build, steps } => self.build(build).steps = *steps,
            Event::StepCached { place, .. } => self.build(&place.build).cached += 1,
            Event::BuildFinished {
                build,
                digest,
                bytes,
                cached,
                steps,
                seconds,
            } => {
                let build = self.build(build);
                build.cached = *cached;
                build.steps = *steps;
                build.outcome = Outcome::Built {
                    digest: *digest,
                    bytes: *bytes,
                    seconds: *seconds,
                };
            }
            Event::BuildFailed { build, seconds, .. } => {
                self.build(build).outcome = Outcome::Failed { seconds: *seconds };
            }
            _ => {}
        }
    }

    /// Returns whether there is one build at most, and it was not interrupted.
    pub(super) fn is_short(&self) -> bool {
        let stopped = |build: &Build| matches!(build.outcome, Outcome::Stopped);
        self.builds.len() <= 1 && !self.builds.iter().any(stopped)
    }

    /// Returns the lines of each build: how it ended, its time, cache hits and size; and its
    /// digest on a second line, as both together are too wide for most terminals.
    pub(super) fn lines(&self, palette: Palette) -> Vec<String> {
        let mut table =
            Table::without_header([Align::Left, Align::Left, Align::Left, Align::Right]);
        for build in &self.builds {
            let (outcome, size) = match &build.outcome {
                Outcome::Stopped => ("stopped".to_owned(), String::new()),
                Outcome::Built {
                    digest,
                    bytes,
                    seconds,
                } => (
                    format!("built in {}", format::duration(*seconds)),
                    digest.map(|_| format::bytes(*bytes)).unwrap_or_default(),
                ),
                Outcome::Failed { seconds } => (
                    format!("failed after {}", format::duration(*seconds)),
                    String::new(),
                ),
            };
            let cached = format!("{}/{} steps cached", build.cached, build.steps);
            table.push([build.name.clone(), outcome, cached, size]);
        }
        let mut lines = Vec::new();
        for (build, line) in self.builds.iter().zip(table.lines()) {
            match &build.outcome {
                Outcome::Built { digest, .. } => {
                    lines.push(format!("{} {line}", palette.paint(Tone::Good, "✔")));
                    lines.extend(digest.map(|digest| format!("  {digest}")));
                }
                Outcome::Failed { .. } | Outcome::Stopped => {
                    lines.push(format!("{} {line}", palette.paint(Tone::Bad, "✗")));
                }
            }
        }
        lines
    }

    fn build(&mut self, name: &str) -> &mut Build {
        let known = self.builds.iter().position(|build| build.name == name);
        let index = known.unwrap_or_else(|| {
            self.builds.push(Build {
                name: name.to_owned(),
                steps: 0,
                cached: 0,
                outcome: Outcome::Stopped,
            });
            self.builds.len() - 1
        });
        &mut self.builds[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample_events::{finished, started, two_builds};

    fn summary(events: &[Event]) -> Summary {
        let mut summary = Summary::default();
        events.iter().for_each(|event| summary.observe(event));
        summary
    }

    #[test]
    fn each_build_has_a_line() {
        let mut events = two_builds();
        events.push(started("oci.interrupted", 3));
        let lines = summary(&events).lines(Palette::new(false)).join("\n");
        insta::assert_snapshot!(lines, @r#"
        ✗ oci.base         failed after 15.5s  1/5 steps cached
        ✔ oci.web          built in 12.8s      1/5 steps cached  45.2 MB
          sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
        ✗ oci.interrupted  stopped             0/3 steps cached
        "#);
    }

    #[test]
    fn a_single_build_that_ended_is_short() {
        assert!(summary(&[]).is_short());
        assert!(summary(&[started("a", 5), finished("a")]).is_short());
        assert!(!summary(&[started("a", 5)]).is_short());
        assert!(!summary(&two_builds()).is_short());
    }
}
