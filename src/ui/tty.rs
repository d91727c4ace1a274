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
use super::{Clock, SizeSource, View, format, text, wording};
use crate::build::event::Event;
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
            Event::StepCached { place, layer, .. } => {
                let step = wording::step(place, self.palette);
                let what = wording::with_layer("cached", layer.as_ref());
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
            Event::PostProcessorFinished {
                build,
                post_processor,
                seconds,
            } => {
                let took = format::duration(*seconds);
                Some(of_build(&mark, build, &format!("{post_processor}  {took}")))
            }
            Event::Notice { build, level, text } => {
                let notice = wording::notice(*level, text, self.palette);
                Some(match build {
                    Some(build) => of_build("!", build, &notice),
                    None => format!("{notice}\n"),
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
        Work::PostProcessor(name) => format!("{build} {name}"),
    };
    let elapsed = format::duration(now.duration_since(activity.since).as_secs_f64());
    let waiting = matches!(activity.work, Work::Step { waiting: true, .. });
    let said = match activity.tail.last() {
        _ if waiting => "waiting for the same step of another build",
        Some(line) => line.trim(),
        None => "",
    };
    let line = format!("  {what}  {elapsed}  {said}");
    text::cut(line.trim_end(), columns).replace('\n', " ")
}
