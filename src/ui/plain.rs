//! The plain display: lines for logs, in the order of the events.
//!
//! A line that begins with `==>` tells what happened, an indented one is output:
//!
//! ```text
//! ==> oci.base [2/5] shell: running
//!     oci.base: Reading package lists...
//! ==> oci.base [2/5] shell: finished in 12.4s, 45.2 MB
//! ```

use super::palette::{Palette, Tone};
use super::running::{Running, Work};
use super::summary::Summary;
use super::{Clock, Stamps, View, wording};
use crate::build::event::{Event, StepPlace};
use crate::{format, text};
use std::io::Write;

/// How many bytes of an output line are shown; log viewers choke on more.
const LINE_BYTES: usize = 16 * 1024;

pub(super) struct Plain {
    output: Box<dyn Write + Send>,
    clock: Clock,
    palette: Palette,
    stamps: Option<Stamps>,
    running: Running,
    summary: Summary,
    /// Whether builds ran at the same time, so that a failed step's output may stand apart.
    interleaved: bool,
    finished: bool,
}

impl Plain {
    pub(super) fn new(
        output: Box<dyn Write + Send>,
        clock: Clock,
        palette: Palette,
        stamps: Option<Stamps>,
    ) -> Self {
        Self {
            output,
            clock,
            palette,
            stamps,
            running: Running::default(),
            summary: Summary::default(),
            interleaved: false,
            finished: false,
        }
    }

    fn print(&mut self, text: &str) {
        match &self.stamps {
            None => super::write(&mut *self.output, text.as_bytes()),
            Some(stamps) => {
                let stamp = stamps.of((self.clock)());
                let lines = text.lines().map(|line| format!("{stamp}: {line}\n"));
                let text: String = lines.collect();
                super::write(&mut *self.output, text.as_bytes());
            }
        }
    }

    /// Prints an output line, or several if it holds line feeds.
    fn print_output(&mut self, build: &str, line: &str) {
        let mut printed = String::with_capacity(build.len() + line.len() + 8);
        for line in line.split('\n') {
            let line = text::shorten(line, LINE_BYTES);
            printed.push_str("    ");
            printed.push_str(build);
            printed.push_str(": ");
            printed.push_str(&line);
            printed.truncate(printed.trim_end().len());
            printed.push('\n');
        }
        self.print(&printed);
    }

    /// Returns what is told of an event that is no output.
    fn tell(&self, event: &Event) -> String {
        let arrow = self.palette.paint(Tone::Good, "==>");
        let of_build = |build: &str, what: &str| {
            let build = self.palette.paint(Tone::Strong, build);
            format!("{arrow} {build}: {what}")
        };
        let of_step = |place: &StepPlace, what: &str| {
            let step = wording::step(place, self.palette);
            format!("{arrow} {step}: {what}")
        };
        let after = |seconds: f64| format::duration(seconds);
        match event {
            Event::BuildStarted { build, steps } => of_build(
                build,
                &format!("building, {}", format::count(*steps, "step")),
            ),
            Event::BaseResolved {
                build,
                base,
                digest,
                seconds,
            } => {
                let digest = digest.map(|digest| format!(" ({digest})"));
                let digest = digest.unwrap_or_default();
                let after = after(*seconds);
                of_build(build, &format!("base {base}{digest} found in {after}"))
            }
            Event::StepStarted { place, .. } => of_step(place, "running"),
            Event::StepNote { place, text } => of_step(place, text),
            Event::StepCached {
                place, layer, from, ..
            } => of_step(place, &wording::cached(from.as_deref(), layer.as_ref())),
            Event::StepWaiting { place, cache } => {
                of_step(place, &wording::waiting(cache.as_deref()))
            }
            Event::StepRetried {
                place,
                attempt,
                reason,
            } => {
                let reason = wording::first_line(reason);
                of_step(place, &format!("{reason}; attempt {attempt} begins"))
            }
            Event::StepFinished {
                place,
                layer,
                seconds,
            } => {
                let finished = format!("finished in {}", after(*seconds));
                of_step(place, &wording::with_layer(&finished, layer.as_ref()))
            }
            Event::StepFailed {
                place,
                reason,
                seconds,
            } => {
                let after = after(*seconds);
                let reason = wording::first_line(reason);
                of_step(place, &format!("failed after {after}: {reason}"))
            }
            Event::TestStarted { build, test } => of_build(build, &format!("test {test}: running")),
            Event::TestCached { build, test, .. } => {
                of_build(build, &format!("test {test}: has passed before"))
            }
            Event::TestPassed {
                build,
                test,
                seconds,
            } => of_build(
                build,
                &format!("test {test}: passed in {}", after(*seconds)),
            ),
            Event::TestFailed {
                build,
                test,
                failures,
                seconds,
                ..
            } => {
                let failed = wording::failed_checks(failures.len());
                of_build(
                    build,
                    &format!("test {test}: failed after {}, {failed}", after(*seconds)),
                )
            }
            Event::PostProcessorStarted {
                build,
                post_processor,
            } => of_build(build, &format!("{post_processor}: running")),
            Event::PostProcessorNote {
                build,
                post_processor,
                text,
            } => of_build(build, &format!("{post_processor}: {text}")),
            Event::PostProcessorFinished {
                build,
                post_processor,
                seconds,
            } => {
                let after = after(*seconds);
                of_build(build, &format!("{post_processor}: finished in {after}"))
            }
            Event::Notice { build, level, text } => {
                let notice = wording::notice(*level, text, self.palette);
                match build {
                    Some(build) => of_build(build, &notice),
                    None => notice,
                }
            }
            Event::Artifact {
                build,
                value,
                description,
                ..
            } if value.is_empty() => of_build(build, description),
            Event::Artifact {
                build, kind, value, ..
            } => of_build(build, &format!("{kind} {value}")),
            Event::BuildFinished {
                build,
                digest,
                bytes,
                cached,
                steps,
                seconds,
            } => {
                let after = after(*seconds);
                let what = match digest {
                    Some(digest) => {
                        let size = format::bytes(*bytes);
                        format!("built in {after}, {cached}/{steps} steps cached, {size}, {digest}")
                    }
                    None => format!("finished in {after}"),
                };
                of_build(build, &what)
            }
            Event::BuildFailed {
                build,
                error,
                seconds,
                ..
            } => {
                let what = format!("failed after {}\n{}", after(*seconds), error.trim_end());
                of_build(build, &what)
            }
            Event::StepOutput { .. } | Event::PostProcessorOutput { .. } => String::new(),
        }
    }
}

impl View for Plain {
    fn show(&mut self, event: Event) {
        match event {
            Event::StepOutput { place, line, .. } => {
                self.print_output(&place.build, &line);
                if self.interleaved {
                    self.running.step_wrote(&place, line);
                }
            }
            Event::PostProcessorOutput {
                build,
                post_processor,
                line,
                ..
            } => {
                self.print_output(&build, &line);
                if self.interleaved {
                    self.running
                        .post_processor_wrote(&build, &post_processor, line);
                }
            }
            event => {
                let ended = self.running.observe(&event, (self.clock)());
                self.summary.observe(&event);
                self.interleaved |= self.running.has_several_builds();
                let mut told = String::new();
                let failed = |work: &Work| match event {
                    Event::StepFailed { .. } => true,
                    Event::BuildFailed { .. } => matches!(work, Work::PostProcessor(_)),
                    _ => false,
                };
                wording::push_line(&mut told, &self.tell(&event));
                for activity in ended.iter().filter(|activity| failed(&activity.work)) {
                    wording::push_tail(&mut told, &activity.tail);
                }
                self.print(&told);
            }
        }
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) || self.summary.is_short() {
            return;
        }
        let mut told = self.palette.paint(Tone::Good, "==>");
        told.push_str(" summary\n");
        for line in self.summary.lines(self.palette) {
            wording::push_line(&mut told, &format!("    {line}"));
        }
        self.print(&told);
    }
}

#[cfg(test)]
mod tests {
    use crate::build::event::Event;
    use crate::ui::Progress;
    use crate::ui::sample_events::{
        every_event, failed, finished, output, place, started, step_failed, step_started,
        two_builds,
    };
    use crate::ui::testing::shown;

    #[test]
    fn two_builds_at_once() {
        insta::assert_snapshot!(shown(Progress::Plain, two_builds()), @r#"
        ==> oci.base: building, 5 steps
        ==> oci.web: building, 2 steps
        ==> oci.base: base layout fixtures/busybox (sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2) found in 3ms
        ==> oci.base [1/5] shell.packages: cached, 1.2 MB
        ==> oci.base [2/5] shell.packages: running
        ==> oci.web: base layout fixtures/busybox (sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2) found in 3ms
        ==> oci.web [1/2] file: running
            oci.base: Reading package lists...
            oci.web: copying
            oci.base: Unpacking nginx (1.22.1-9) ...
        ==> oci.base [2/5] shell.packages: finished in 12.4s, 1.2 MB
        ==> oci.base [3/5] shell.packages: running
            oci.base: E: Unable to locate package ngins
        ==> oci.web [1/2] file: finished in 20ms, no changes
        ==> oci.base [3/5] shell.packages: failed after 3.1s: the script exited with status 100
            E: Unable to locate package ngins
        ==> oci.base: failed after 15.5s
        error: step 3 (shell.packages) failed: the script exited with status 100
          --> web.pkr.hcl:12:3
        hint: run it again with `--progress=plain` to see all of its output
        ==> oci.web: built in 12.8s, 1/5 steps cached, 45.2 MB, sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
        ==> summary
            ✗ oci.base  failed after 15.5s  1/5 steps cached
            ✔ oci.web   built in 12.8s      1/5 steps cached  45.2 MB
              sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
        "#);
    }

    #[test]
    fn every_event_has_its_line() {
        insta::assert_snapshot!(shown(Progress::Plain, every_event()), @r#"
        ==> oci.base: building, 5 steps
        ==> oci.base: base layout fixtures/busybox (sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2) found in 3ms
        ==> oci.base [2/5] shell.packages: running
        ==> oci.base [2/5] shell.packages: Running local shell script: /tmp/script.sh
        ==> oci.base [1/5] shell.packages: cached (registry.example/cache), 1.2 MB
        ==> oci.base [3/5] shell.packages: waiting for the cache "apt", which another step has
            oci.base: Unpacking nginx (1.22.1-9) ...
        ==> oci.base [2/5] shell.packages: the script exited with status 100; attempt 2 begins
        ==> oci.base [2/5] shell.packages: finished in 12.4s, 1.2 MB
        ==> oci.base [3/5] shell.packages: failed after 3.1s: the script exited with status 100
        ==> oci.base: test serves the page: running
        ==> oci.base: test has its files: has passed before
        ==> oci.base: test runs: passed in 12ms
        ==> oci.base: test serves the page: failed after 10.0s, 1 failure
        ==> oci.base: shell-local: running
        ==> oci.base: shell-local: Running local shell script: /tmp/script.sh
            oci.base: signed
        ==> oci.base: shell-local: finished in 0.3s
        ==> oci.base: warning: step 4 uses timestamp() and can never be cached
        ==> oci.base: oci-archive out/base.tar
        ==> oci.base: built in 12.8s, 1/5 steps cached, 45.2 MB, sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
        ==> oci.base: failed after 15.5s
        error: step 3 (shell.packages) failed: the script exited with status 100
          --> web.pkr.hcl:12:3
        hint: run it again with `--progress=plain` to see all of its output
        "#);
    }

    #[test]
    fn a_single_build_needs_no_summary_and_no_repetition() {
        let events = vec![
            started("oci.base", 5),
            step_started(place(1)),
            output(place(1), "only once"),
            step_failed(place(1), 0.5),
            failed("oci.base"),
        ];
        let shown = shown(Progress::Plain, events);
        assert_eq!(shown.matches("only once").count(), 1);
        assert!(!shown.contains("summary"));
    }

    #[test]
    fn output_cannot_pass_for_our_own_lines() {
        let events = vec![
            started("oci.base", 5),
            step_started(place(1)),
            output(
                place(1),
                "a\n==> oci.base: built\r\x1b[2K==> oci.base: fine",
            ),
            output(place(1), &"x".repeat(20_000)),
            finished("oci.base"),
        ];
        let shown = shown(Progress::Plain, events);
        assert!(shown.contains("    oci.base: ==> oci.base: fine\n"));
        assert!(shown.contains("… (3616 more bytes)\n"));
        let ours = shown.lines().filter(|line| line.starts_with("==>"));
        assert_eq!(ours.count(), 3);
    }

    #[test]
    fn an_interrupted_build_is_in_the_summary() {
        let shown = shown(Progress::Plain, vec![started("oci.base", 5)]);
        insta::assert_snapshot!(shown, @r#"
        ==> oci.base: building, 5 steps
        ==> summary
            ✗ oci.base  stopped  0/5 steps cached
        "#);
    }

    #[test]
    fn a_notice_may_concern_no_build() {
        let notice = Event::Notice {
            build: None,
            level: crate::build::event::Level::Info,
            text: "text".to_owned(),
        };
        assert_eq!(shown(Progress::Plain, vec![notice]), "note: text\n");
    }
}
