//! The display for terminals: a live line for each thing that runs, below what has ended.
//!
//! ```text
//! ✔ oci.base [1/5] shell  cached, 45.2 MB
//! ✔ oci.base [2/5] shell  12.4s, 1.2 MB
//!   oci.base [3/5] file  0.3s
//!   oci.web [1/2] shell  4.0s  Unpacking nginx (1.22.1-9) ...
//! ```
//!
//! Output is not printed, it passes by in the live line; an event that is only a line of output
//! draws nothing, so that a flood of them costs no more than keeping the last lines.

use super::palette::{Palette, Tone};
use super::running::{Activity, Running, Work};
use super::screen::Screen;
use super::summary::Summary;
use super::{Clock, SizeSource, View, wording};
use crate::build::event::{Event, Level};
use crate::{format, text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use std::io::Write;

pub(super) struct Tty {
    screen: Screen,
    /// All live lines; drawn as one so that each redraw shows one moment.
    live: ProgressBar,
    clock: Clock,
    palette: Palette,
    running: Running,
    summary: Summary,
    ended: bool,
}

impl Tty {
    pub(super) fn new(
        output: Box<dyn Write + Send>,
        size: SizeSource,
        clock: Clock,
        palette: Palette,
    ) -> Self {
        let screen = Screen::new(output, size);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let live = ProgressBar::with_draw_target(None, target);
        // The default style, a bar, stays if the template is refused, which a test excludes.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            live.set_style(style);
        }
        Self {
            screen,
            live,
            clock,
            palette,
            running: Running::default(),
            summary: Summary::default(),
            ended: false,
        }
    }

    /// Draws the live lines as they are at `now`.
    fn redraw(&self, now: Timestamp) {
        self.live.set_message(self.live_lines(now));
    }

    /// Prints lines that stay, above the live ones.
    fn print(&self, lines: &str) {
        if self.ended {
            self.screen.draw(lines);
        } else {
            self.live.suspend(|| self.screen.draw(lines));
        }
    }

    fn live_lines(&self, now: Timestamp) -> String {
        let size = self.screen.size();
        let columns = usize::from(size.columns);
        // One row stays free for the cursor, and one for what does not fit.
        let rows = usize::from(size.rows).saturating_sub(2).max(1);
        let activities = self.running.activities();
        let mut lines: Vec<String> = activities
            .iter()
            .take(rows)
            .map(|activity| live_line(activity, now, columns))
            .collect();
        if activities.len() > rows {
            let more = format!("  … and {} more", activities.len() - rows);
            lines.push(text::cut(&more, columns).into_owned());
        }
        lines.join("\n")
    }

    /// Returns what is printed of an event for good; none if nothing is.
    fn tell(&self, event: &Event, ended: &[Activity]) -> Option<String> {
        let mark = self.palette.paint(Tone::Good, "✔");
        let of_build = |mark: &str, build: &str, what: &str| {
            let build = self.palette.paint(Tone::Strong, build);
            format!("{mark} {build} {what}\n")
        };
        match event {
            Event::BaseResolved {
                build,
                base,
                seconds,
                ..
            } => {
                let took = format::duration(*seconds);
                Some(of_build(&mark, build, &format!("base {base}  {took}")))
            }
            Event::StepCached {
                place, layer, from, ..
            } => {
                let step = wording::step(place, self.palette);
                let what = wording::cached(from.as_deref(), layer.as_ref());
                let what = self.palette.paint(Tone::Faint, &what);
                Some(format!("{mark} {step}  {what}\n"))
            }
            Event::StepFinished {
                place,
                layer,
                seconds,
            } => {
                let step = wording::step(place, self.palette);
                let took = format::duration(*seconds);
                let what = wording::with_layer(&took, layer.as_ref());
                Some(format!("{mark} {step}  {what}\n"))
            }
            Event::StepRetried {
                place,
                attempt,
                reason,
            } => {
                let mark = self.palette.paint(Tone::Warning, "!");
                let step = wording::step(place, self.palette);
                let reason = wording::first_line(reason);
                Some(format!(
                    "{mark} {step}  {reason}; attempt {attempt} begins\n"
                ))
            }
            Event::TestCached { build, test, .. } => {
                let what = self.palette.paint(Tone::Faint, "has passed before");
                Some(of_build(&mark, build, &format!("test {test}  {what}")))
            }
            Event::TestPassed {
                build,
                test,
                seconds,
            } => {
                let took = format::duration(*seconds);
                Some(of_build(&mark, build, &format!("test {test}  {took}")))
            }
            Event::TestFailed {
                build,
                test,
                failures,
                ..
            } => {
                let mark = self.palette.paint(Tone::Bad, "✗");
                let failed = wording::failed_checks(failures.len());
                let failed = self.palette.paint(Tone::Bad, &failed);
                Some(of_build(&mark, build, &format!("test {test}  {failed}")))
            }
            Event::PostProcessorFinished {
                build,
                post_processor,
                seconds,
            } => {
                let took = format::duration(*seconds);
                Some(of_build(&mark, build, &format!("{post_processor}  {took}")))
            }
            Event::Notice { build, level, text } => {
                let mark = match level {
                    Level::Info => "-".to_owned(),
                    Level::Warning => self.palette.paint(Tone::Warning, "!"),
                    Level::Error => self.palette.paint(Tone::Bad, "✗"),
                };
                let notice = wording::notice(*level, text, self.palette);
                Some(match build {
                    Some(build) => of_build(&mark, build, &notice),
                    None => format!("{mark} {notice}\n"),
                })
            }
            Event::StepFailed { .. } | Event::BuildFailed { .. } => {
                wording::failure(event, ended, self.palette)
            }
            // What runs is in the live lines, what was built in the summary, and artifacts go to
            // standard output.
            Event::BuildStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepOutput { .. }
            | Event::StepNote { .. }
            | Event::TestStarted { .. }
            | Event::PostProcessorNote { .. }
            | Event::PostProcessorStarted { .. }
            | Event::PostProcessorOutput { .. }
            | Event::Artifact { .. }
            | Event::BuildFinished { .. } => None,
        }
    }
}

impl View for Tty {
    fn show(&mut self, event: Event) {
        match event {
            Event::StepOutput { place, line, .. } => self.running.step_wrote(&place, line),
            Event::PostProcessorOutput {
                build,
                post_processor,
                line,
                ..
            } => {
                self.running
                    .post_processor_wrote(&build, &post_processor, line);
            }
            event => {
                let now = (self.clock)();
                let ended = self.running.observe(&event, now);
                self.summary.observe(&event);
                if let Some(lines) = self.tell(&event, &ended) {
                    self.print(&lines);
                }
                self.tick();
            }
        }
    }

    fn tick(&mut self) {
        if !self.ended {
            self.redraw((self.clock)());
        }
        self.screen.send();
    }

    fn finish(&mut self) {
        if self.ended {
            return;
        }
        self.abandon();
        let lines = self.summary.lines(self.palette);
        if !lines.is_empty() {
            self.screen.draw("\n");
        }
        for line in lines {
            self.screen.draw(&line);
            self.screen.draw("\n");
        }
        self.screen.send();
    }

    fn abandon(&mut self) {
        if !self.ended {
            self.ended = true;
            self.live.finish_and_clear();
            self.screen.send();
        }
    }
}

/// Returns the line that shows `activity` at `now`, cut to `columns`.
fn live_line(activity: &Activity, now: Timestamp, columns: usize) -> String {
    let build = &activity.build;
    let what = match &activity.work {
        Work::Base => format!("{build} base"),
        Work::Step {
            step, steps, name, ..
        } => format!("{build} [{step}/{steps}] {name}"),
        Work::Test(name) => format!("{build} test {name}"),
        Work::PostProcessor(name) => format!("{build} {name}"),
    };
    let elapsed = format::duration(now.duration_since(activity.since).as_secs_f64());
    let waiting = matches!(activity.work, Work::Step { waiting: true, .. });
    let said = match activity.tail.last() {
        _ if waiting => wording::waiting(None),
        Some(line) => line.trim().to_owned(),
        None => String::new(),
    };
    let line = format!("  {what}  {elapsed}  {said}");
    text::cut(line.trim_end(), columns).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::event::EventSink;
    use crate::ui::sample_events::{
        every_event, finished, output, place, started, step_started, two_builds,
    };
    use crate::ui::testing::{Captured, TestClock, settings, shown};
    use crate::ui::{Progress, Size, display};
    use std::num::NonZero;

    /// A display on an emulated terminal of 60 × 12.
    struct Terminal {
        view: Tty,
        clock: TestClock,
        captured: Captured,
    }

    impl Terminal {
        fn new() -> Self {
            Self::of_size(Size {
                columns: 60,
                rows: 12,
            })
        }

        fn of_size(size: Size) -> Self {
            let (clock, captured) = (TestClock::default(), Captured::default());
            let view = Tty::new(
                Box::new(captured.clone()),
                Box::new(move || Some(size)),
                settings(&clock).clock,
                Palette::new(false),
            );
            Self {
                view,
                clock,
                captured,
            }
        }

        fn show(&mut self, events: impl IntoIterator<Item = Event>) {
            for event in events {
                self.view.show(event);
                self.clock.advance(100);
            }
            self.view.tick();
        }

        /// What a user sees on a screen of 60 × 30.
        fn seen(&self) -> String {
            let cells = |count| NonZero::new(count).expect("a screen has cells");
            let mut emulator = vt100::Parser::new(cells(30), cells(60), 0);
            // The line discipline of a terminal does the same.
            let bytes = self.captured.text().replace('\n', "\r\n");
            emulator.process(bytes.as_bytes());
            assert!(!emulator.screen().hide_cursor());
            let rows = emulator.screen().rows(0, 60);
            let rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
            rows.join("\n").trim_end().to_owned()
        }
    }

    #[test]
    fn what_runs_is_live_and_what_ended_stays() {
        let mut terminal = Terminal::new();
        terminal.show(two_builds().into_iter().take(10));
        insta::assert_snapshot!(terminal.seen(), @r#"
        ✔ oci.base base layout fixtures/busybox  3ms
        ✔ oci.base [1/5] shell.packages  cached, 1.2 MB
        ✔ oci.web base layout fixtures/busybox  3ms
          oci.base [2/5] shell.packages  0.6s  Unpacking nginx (1.2…
          oci.web [1/2] file  0.4s  copying
        "#);
        terminal.clock.advance(65_000);
        terminal.show([]);
        insta::assert_snapshot!(terminal.seen(), @r#"
        ✔ oci.base base layout fixtures/busybox  3ms
        ✔ oci.base [1/5] shell.packages  cached, 1.2 MB
        ✔ oci.web base layout fixtures/busybox  3ms
          oci.base [2/5] shell.packages  1m06s  Unpacking nginx (1.…
          oci.web [1/2] file  1m05s  copying
        "#);
    }

    #[test]
    fn a_failure_has_its_last_lines_and_the_end_its_summary() {
        let mut terminal = Terminal::new();
        terminal.show(two_builds());
        terminal.view.finish();
        insta::assert_snapshot!(terminal.seen(), @r#"
        ✔ oci.base base layout fixtures/busybox  3ms
        ✔ oci.base [1/5] shell.packages  cached, 1.2 MB
        ✔ oci.web base layout fixtures/busybox  3ms
        ✔ oci.base [2/5] shell.packages  12.4s, 1.2 MB
        ✔ oci.web [1/2] file  20ms, no changes
        ✗ oci.base [3/5] shell.packages  failed after 3.1s: the scri
        pt exited with status 100
            E: Unable to locate package ngins
        ✗ oci.base  failed after 15.5s
        error: step 3 (shell.packages) failed: the script exited wit
        h status 100
          --> web.pkr.hcl:12:3
        hint: run it again with `--progress=plain` to see all of its
         output

        ✗ oci.base  failed after 15.5s  1/5 steps cached
        ✔ oci.web   built in 12.8s      1/5 steps cached  45.2 MB
          sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c76420
        30defe32c657f
        "#);
    }

    #[test]
    fn every_event_can_be_shown() {
        let mut terminal = Terminal::new();
        terminal.show(every_event());
        terminal.view.finish();
        insta::assert_snapshot!(terminal.seen(), @r#"
        ✔ oci.base base layout fixtures/busybox  3ms
        ✔ oci.base [1/5] shell.packages  cached (registry.example/ca
        che), 1.2 MB
        ! oci.base [2/5] shell.packages  the script exited with stat
        us 100; attempt 2 begins
        ✔ oci.base [2/5] shell.packages  12.4s, 1.2 MB
        ✗ oci.base [3/5] shell.packages  failed after 3.1s: the scri
        pt exited with status 100
        ✔ oci.base test has its files  has passed before
        ✔ oci.base test runs  12ms
        ✗ oci.base test serves the page  1 failure
        ✔ oci.base shell-local  0.3s
        ! oci.base warning: step 4 uses timestamp() and can never be
         cached
        ✗ oci.base  failed after 15.5s
        error: step 3 (shell.packages) failed: the script exited wit
        h status 100
          --> web.pkr.hcl:12:3
        hint: run it again with `--progress=plain` to see all of its
         output

        ✗ oci.base  failed after 15.5s  1/5 steps cached
        "#);
    }

    #[test]
    fn lines_never_wrap_whatever_a_program_writes() {
        for line in [
            "x".repeat(500),
            "漢字".repeat(100),
            "👩‍👩‍👧".repeat(100),
            "e\u{301}".repeat(300),
            "\x1b[2J\x1b[10;10H\x1b[?25l\x1b]0;title\x07shown".to_owned(),
        ] {
            for columns in [0, 1, 2, 3, 40, 60] {
                let mut terminal = Terminal::of_size(Size { columns, rows: 12 });
                let mut line = crate::text::neutralise(&line).into_owned();
                terminal.show([started("a", 5), step_started(place(1))]);
                terminal.show([output(place(1), &std::mem::take(&mut line))]);
                let now = terminal.clock.now();
                for drawn in terminal.view.live_lines(now).lines() {
                    let columns = terminal.view.screen.size().columns;
                    assert!(text::width(drawn) <= usize::from(columns), "{drawn:?}");
                }
            }
        }
    }

    #[test]
    fn more_activities_than_rows_are_counted() {
        let mut terminal = Terminal::of_size(Size {
            columns: 60,
            rows: 5,
        });
        terminal.show((1..=8).map(|number| started(&format!("oci.b{number}"), 1)));
        insta::assert_snapshot!(terminal.seen(), @r#"
        oci.b1 base  0.8s
        oci.b2 base  0.7s
        oci.b3 base  0.6s
        … and 5 more
        "#);
        terminal.show((1..=8).map(|number| finished(&format!("oci.b{number}"))));
        assert_eq!(terminal.seen(), "");
    }

    #[test]
    fn nothing_live_is_left_behind() {
        let mut terminal = Terminal::new();
        terminal.show([started("oci.base", 5), step_started(place(1))]);
        assert_ne!(terminal.seen(), "");
        terminal.view.abandon();
        assert_eq!(terminal.seen(), "");
        terminal.show([output(place(1), "late")]);
        terminal.view.finish();
        assert_eq!(terminal.seen(), "");
    }

    #[test]
    fn a_flood_of_output_draws_nothing() {
        let mut terminal = Terminal::new();
        terminal.show([started("oci.base", 5), step_started(place(1))]);
        let before = terminal.captured.bytes().len();
        for number in 0..100_000 {
            terminal
                .view
                .show(output(place(1), &format!("line {number}")));
        }
        assert_eq!(terminal.captured.bytes().len(), before);
        terminal.show([]);
        assert!(terminal.seen().contains("line 99999"));
    }

    #[test]
    fn a_terminal_is_redrawn_while_no_event_comes() {
        let (clock, captured) = (TestClock::default(), Captured::default());
        let settings = settings(&clock);
        let display = display(Progress::Tty, settings, Box::new(captured.clone()));
        display.emit(started("oci.base", 5));
        clock.advance(7_700);
        while !captured.text().contains("7.7s") {
            std::thread::yield_now();
        }
        drop(display);
        let text = captured.text();
        assert!(text.trim_end().ends_with("\x1b[2K"), "{text:?}");
    }

    #[test]
    fn auto_is_plain_without_a_terminal() {
        let plain = shown(Progress::Plain, two_builds());
        assert_eq!(shown(Progress::Auto, two_builds()), plain);
    }
}
