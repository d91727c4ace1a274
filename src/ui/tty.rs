//! Live lines on a terminal: one for each running step, permanent ones for what has ended.

use super::{Display, plain, summary, text};
use crate::build::event::{Event, EventSink, LogStream, StepPlace};
use crate::mask::Masker;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often live lines are drawn, at most.
const FRAMES_PER_SECOND: u8 = 12;
/// How many of a step's last lines are shown when it fails.
const LAST_LINES: usize = 20;
/// A line's shown text changes this often, at most, however much a step writes.
const LINE_INTERVAL: Duration = Duration::from_millis(80);

/// Shows events on a terminal.
pub struct Tty {
    lines: MultiProgress,
    state: Mutex<State>,
    masker: Masker,
}

#[derive(Default)]
struct State {
    running: BTreeMap<(String, usize), Running>,
    summary: Vec<String>,
}

/// A step that runs.
struct Running {
    bar: ProgressBar,
    last: VecDeque<String>,
    drawn: Instant,
}

impl Tty {
    /// Draws on stderr.
    pub fn new(masker: Masker) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(FRAMES_PER_SECOND);
        Self {
            lines: MultiProgress::with_draw_target(target),
            state: Mutex::new(State::default()),
            masker,
        }
    }

    /// Writes lines that stay, above the live ones.
    fn keep(&self, lines: &str) {
        for line in self.masker.mask(lines).lines() {
            // Who does not look any more misses nothing that decides anything.
            let _ = self.lines.println(line);
        }
    }

    fn begin(&self, state: &mut State, place: &StepPlace) {
        let bar = self.lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!(
            "{} [{}/{}] {}",
            place.build, place.step, place.steps, place.name
        ));
        bar.enable_steady_tick(Duration::from_millis(120));
        let running = Running {
            bar,
            last: VecDeque::new(),
            drawn: Instant::now(),
        };
        state
            .running
            .insert((place.build.clone(), place.step), running);
    }

    fn end(&self, state: &mut State, place: &StepPlace) -> VecDeque<String> {
        match state.running.remove(&(place.build.clone(), place.step)) {
            Some(running) => {
                running.bar.finish_and_clear();
                self.lines.remove(&running.bar);
                running.last
            }
            None => VecDeque::new(),
        }
    }

    fn output(&self, state: &mut State, place: &StepPlace, line: &str) {
        let Some(running) = state.running.get_mut(&(place.build.clone(), place.step)) else {
            return;
        };
        if running.last.len() == LAST_LINES {
            running.last.pop_front();
        }
        running.last.push_back(line.to_owned());
        if running.drawn.elapsed() >= LINE_INTERVAL {
            running.drawn = Instant::now();
            running
                .bar
                .set_message(text::visible(&self.masker.mask(line)));
        }
    }
}

impl EventSink for Tty {
    fn emit(&self, event: Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        if let Some(line) = summary::of(&event) {
            state.summary.push(line);
        }
        match &event {
            Event::StepStarted { place, .. } => {
                self.begin(&mut state, place);
                return;
            }
            Event::StepOutput {
                place,
                line,
                stream: LogStream::Stdout | LogStream::Stderr,
            } => {
                self.output(&mut state, place, line);
                return;
            }
            Event::StepFinished { place, .. } => {
                self.end(&mut state, place);
            }
            Event::StepFailed { place, .. } => {
                // BuildFailed brings the last lines again, in its message.
                self.end(&mut state, place);
            }
            _ => {}
        }
        if let Some(line) = plain::line(&event) {
            self.keep(&line);
        }
    }
}

impl Display for Tty {
    fn finish(&self) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        for running in std::mem::take(&mut state.running).into_values() {
            running.bar.finish_and_clear();
        }
        let lines = std::mem::take(&mut state.summary);
        drop(state);
        self.keep(&lines.join("\n"));
        let _ = self.lines.clear();
    }
}
