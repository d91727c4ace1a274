//! What runs at this moment, and the last lines that each of it wrote.
//!
//! An *activity* is one thing that takes time: finding a base, a step, a post-processor. The
//! steps of one build may overlap by a little, since a layer is packed while the next step runs.

use super::wording;
use crate::build::event::{Event, StepPlace};
use crate::text;
use jiff::Timestamp;
use std::collections::VecDeque;

/// How many lines of output are shown with a failure.
const TAIL_LINES: usize = 20;

/// How many bytes of such a line are kept, so that a program which never ends its line does not
/// fill the memory.
const TAIL_LINE_BYTES: usize = 4096;

/// All that runs, in the order in which it began.
#[derive(Debug, Default)]
pub(super) struct Running {
    activities: Vec<Activity>,
}

/// One thing that runs.
#[derive(Debug)]
pub(super) struct Activity {
    /// The build that it belongs to.
    pub(super) build: String,
    /// What it is.
    pub(super) work: Work,
    /// When it began.
    pub(super) since: Timestamp,
    /// What it wrote.
    pub(super) tail: Tail,
}

/// What an activity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The build looks for its base.
    Base,
    /// A step runs.
    Step {
        /// Counts from 1.
        step: usize,
        /// How many there are.
        steps: usize,
        /// The provisioner.
        name: String,
        /// Whether it waits for the same step elsewhere.
        waiting: bool,
    },
    /// A test of the image runs.
    Test(String),
    /// A post-processor runs.
    PostProcessor(String),
}

/// The last lines of an output.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    dropped: u64,
}

impl Running {
    /// Returns the activities in the order in which they began.
    pub(super) fn activities(&self) -> &[Activity] {
        &self.activities
    }

    /// Follows `event`, which happened at `now`; returns the activities that it ends.
    pub(super) fn observe(&mut self, event: &Event, now: Timestamp) -> Vec<Activity> {
        match event {
            Event::BuildStarted { build, .. } => {
                self.begin(build, Work::Base, now);
                Vec::new()
            }
            Event::BaseResolved { build, .. } => self.end(build, |work| *work == Work::Base),
            Event::StepWaiting { place, cache: None } => self.begin_step(place, true, now),
            // It has begun, and goes on by itself: what it writes takes the place of this.
            Event::StepWaiting {
                place,
                cache: Some(cache),
            } => {
                self.step_wrote(place, wording::waiting(Some(cache)));
                Vec::new()
            }
            Event::StepStarted { place, .. } => self.begin_step(place, false, now),
            Event::StepCached { place, .. }
            | Event::StepFinished { place, .. }
            | Event::StepFailed { place, .. } => {
                self.end(&place.build, |work| work.is_step(place.step))
            }
            Event::TestStarted { build, test } => {
                self.begin(build, Work::Test(test.clone()), now);
                Vec::new()
            }
            Event::TestPassed { build, test, .. } | Event::TestFailed { build, test, .. } => self
                .end(
                    build,
                    |work| matches!(work, Work::Test(name) if name == test),
                ),
            Event::PostProcessorStarted {
                build,
                post_processor,
            } => {
                self.begin(build, Work::PostProcessor(post_processor.clone()), now);
                Vec::new()
            }
            Event::PostProcessorFinished {
                build,
                post_processor,
                ..
            } => self.end(build, |work| work.is_post_processor(post_processor)),
            Event::BuildFinished { build, .. } | Event::BuildFailed { build, .. } => {
                self.end(build, |_| true)
            }
            Event::StepOutput { .. }
            | Event::StepNote { .. }
            | Event::TestCached { .. }
            | Event::PostProcessorNote { .. }
            | Event::StepRetried { .. }
            | Event::PostProcessorOutput { .. }
            | Event::Notice { .. }
            | Event::Artifact { .. } => Vec::new(),
        }
    }

    /// Keeps a line that a step wrote.
    pub(super) fn step_wrote(&mut self, place: &StepPlace, line: String) {
        self.wrote(&place.build, line, |work| work.is_step(place.step));
    }

    /// Keeps a line that a post-processor wrote.
    pub(super) fn post_processor_wrote(&mut self, build: &str, name: &str, line: String) {
        self.wrote(build, line, |work| work.is_post_processor(name));
    }

    /// Returns whether more than one build has something running.
    pub(super) fn has_several_builds(&self) -> bool {
        self.activities
            .split_first()
            .is_some_and(|(first, rest)| rest.iter().any(|other| other.build != first.build))
    }

    fn begin_step(&mut self, place: &StepPlace, waiting: bool, now: Timestamp) -> Vec<Activity> {
        // A step that waited runs now: it goes on in another form and has not ended.
        self.end(&place.build, |work| work.is_step(place.step));
        let work = Work::Step {
            step: place.step,
            steps: place.steps,
            name: place.name.clone(),
            waiting,
        };
        self.begin(&place.build, work, now);
        Vec::new()
    }

    fn begin(&mut self, build: &str, work: Work, now: Timestamp) {
        self.activities.push(Activity {
            build: build.to_owned(),
            work,
            since: now,
            tail: Tail::default(),
        });
    }

    fn end(&mut self, build: &str, ends: impl Fn(&Work) -> bool) -> Vec<Activity> {
        self.activities
            .extract_if(.., |activity| {
                activity.build == build && ends(&activity.work)
            })
            .collect()
    }

    fn wrote(&mut self, build: &str, line: String, by: impl Fn(&Work) -> bool) {
        let mut activities = self.activities.iter_mut();
        if let Some(activity) =
            activities.find(|activity| activity.build == build && by(&activity.work))
        {
            activity.tail.push(line);
        }
    }
}

impl Work {
    fn is_step(&self, number: usize) -> bool {
        matches!(self, Work::Step { step, .. } if *step == number)
    }

    fn is_post_processor(&self, sought: &str) -> bool {
        matches!(self, Work::PostProcessor(name) if name == sought)
    }
}

impl Tail {
    /// Returns the lines that are kept, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Returns how many earlier lines are not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the newest line that is not blank.
    pub(super) fn last(&self) -> Option<&str> {
        self.lines().filter(|line| !line.trim().is_empty()).last()
    }

    fn push(&mut self, line: String) {
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines
            .push_back(match text::shorten(&line, TAIL_LINE_BYTES) {
                std::borrow::Cow::Owned(shortened) => shortened,
                std::borrow::Cow::Borrowed(_) => line,
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample_events::{failed, place, started, step_finished, step_started};

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn works(running: &Running) -> Vec<&Work> {
        let activities = running.activities().iter();
        activities.map(|activity| &activity.work).collect()
    }

    fn step(number: usize, waiting: bool) -> Work {
        Work::Step {
            step: number,
            steps: 5,
            name: "shell.packages".to_owned(),
            waiting,
        }
    }

    #[test]
    fn activities_come_and_go() {
        let mut running = Running::default();
        running.observe(&started("oci.base", 5), now());
        running.observe(&started("oci.web", 2), now());
        assert_eq!(works(&running), [&Work::Base, &Work::Base]);
        assert!(running.has_several_builds());

        running.observe(&failed("oci.web"), now());
        assert!(!running.has_several_builds());
        let waiting = |cache: Option<&str>| Event::StepWaiting {
            place: place(1),
            cache: cache.map(str::to_owned),
        };
        running.observe(&waiting(None), now());
        assert_eq!(works(&running), [&Work::Base, &step(1, true)]);
        running.observe(&step_started(place(1)), now());
        running.observe(&waiting(Some("apt")), now());
        let tail = running.activities().last().unwrap().tail.last();
        assert_eq!(
            tail,
            Some("waiting for the cache \"apt\", which another step has")
        );
        running.observe(&step_started(place(2)), now());
        let ended = running.observe(&step_finished(place(1), 1.0), now());
        assert_eq!(ended.len(), 1);
        assert_eq!(works(&running), [&Work::Base, &step(2, false)]);
        assert_eq!(running.observe(&failed("oci.base"), now()).len(), 2);
        assert!(works(&running).is_empty());
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut running = Running::default();
        running.observe(&step_started(place(1)), now());
        for number in 1..=30 {
            running.step_wrote(&place(1), number.to_string());
        }
        running.step_wrote(&place(1), "x".repeat(TAIL_LINE_BYTES + 1));
        running.step_wrote(&place(1), " ".to_owned());
        running.step_wrote(&place(2), "not running".to_owned());
        let ended = running.observe(&step_finished(place(1), 1.0), now());
        let tail = &ended[0].tail;
        assert_eq!(tail.dropped(), 12);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert_eq!(tail.lines().next(), Some("13"));
        assert!(
            tail.last()
                .is_some_and(|line| line.ends_with("(1 more bytes)"))
        );
    }
}
