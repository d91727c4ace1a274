//! Events: what a build says while it runs.
//!
//! An event is a plain record of one thing that happened. It is produced by `build/`, and shown,
//! counted or written as JSON by `ui/`; nothing here knows how it looks. The serialised form is a
//! documented interface (`docs/events.md`): fields are added, never renamed.

use crate::digest::{DiffId, Digest, StepKey};
use serde::Serialize;

/// Takes events, from any thread, in the order in which they happen within one build.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Which of its two streams a command wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A step's place in its build: for display and to match events to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepPlace {
    /// The build's name, `[BUILD.]TYPE.SOURCE`.
    pub build: String,
    /// Counts from 1.
    pub step: usize,
    /// How many steps the build has.
    pub steps: usize,
    /// The provisioner's type, and its name if it has one: `shell`, `shell.packages`.
    pub name: String,
}

/// A layer as a step left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The size of the uncompressed tar in bytes; none where only the blob is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How serious a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Probably not what the user wants.
    Warning,
    /// Why nothing is built at all.
    Error,
}

/// One thing that happened. `seconds` are wall-clock seconds that it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A build begins.
    BuildStarted {
        /// The build's name.
        build: String,
        /// How many steps it has.
        steps: usize,
    },
    /// The base of a build is known.
    BaseResolved {
        /// The build's name.
        build: String,
        /// What the base is, in words: `layout fixtures/busybox`.
        base: String,
        /// Its manifest's digest, where the base is an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A step runs, because the store has no result for its key or because it works on the host.
    StepStarted {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// Its key; none for a step that works on the host.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<StepKey>,
    },
    /// A step says what it does now.
    StepNote {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// One sentence.
        text: String,
    },
    /// A step's result comes from the store, or from a repository that is trusted.
    StepCached {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// Its key.
        key: StepKey,
        /// Its layer; none if the step changed nothing.
        layer: Option<LayerSummary>,
        /// The repository where it was found; none if the store had it.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// Another build, or another hardtack process, runs the same step or has a cache that this one
    /// must have for itself; it waits for that.
    StepWaiting {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// The id of the cache; none if it waits for the same step.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache: Option<String>,
    },
    /// A step's command wrote a line.
    StepOutput {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// Where it wrote it.
        stream: LogStream,
        /// The line without its end; invalid UTF-8 is replaced.
        line: String,
    },
    /// A step failed and is tried again.
    StepRetried {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// The attempt that begins, from 2.
        attempt: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// A step that ran has ended well.
    StepFinished {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// Its layer; none if the step changed nothing.
        layer: Option<LayerSummary>,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A step failed for good.
    StepFailed {
        /// Which one.
        #[serde(flatten)]
        place: StepPlace,
        /// Why.
        reason: String,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A test of the image begins.
    TestStarted {
        /// The build's name.
        build: String,
        /// The test's name.
        test: String,
    },
    /// A test has passed before with the same image, and does not run.
    TestCached {
        /// The build's name.
        build: String,
        /// The test's name.
        test: String,
        /// The digest of all that the test depends on.
        key: StepKey,
    },
    /// A test ended well.
    TestPassed {
        /// The build's name.
        build: String,
        /// The test's name.
        test: String,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// The image is not what a test expects.
    TestFailed {
        /// The build's name.
        build: String,
        /// The test's name.
        test: String,
        /// What is not as expected: one sentence for each check that failed.
        failures: Vec<String>,
        /// The last lines that its commands wrote.
        output: Vec<String>,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A post-processor begins.
    PostProcessorStarted {
        /// The build's name.
        build: String,
        /// The post-processor's type, and its name if it has one.
        post_processor: String,
    },
    /// A post-processor ended well.
    PostProcessorFinished {
        /// The build's name.
        build: String,
        /// The post-processor's type, and its name if it has one.
        post_processor: String,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A post-processor says what it does now.
    PostProcessorNote {
        /// The build's name.
        build: String,
        /// The post-processor's type, and its name if it has one.
        post_processor: String,
        /// One sentence.
        text: String,
    },
    /// A line that a post-processor's command wrote.
    PostProcessorOutput {
        /// The build's name.
        build: String,
        /// The post-processor's type, and its name if it has one.
        post_processor: String,
        /// Where it wrote it.
        stream: LogStream,
        /// The line without its end.
        line: String,
    },
    /// Something to know beside the builds: a warning, or why there are none.
    Notice {
        /// The build's name, if it concerns one.
        #[serde(skip_serializing_if = "Option::is_none")]
        build: Option<String>,
        /// How serious it is.
        level: Level,
        /// The text, possibly of several lines.
        text: String,
    },
    /// An artifact is ready.
    Artifact {
        /// The build's name.
        build: String,
        /// `image`, `oci-layout`, `oci-archive`, …
        kind: String,
        /// The image's digest, or the path.
        value: String,
        /// Names what made it, as Packer's scripts know it: `packer.file`.
        builder_id: String,
        /// Names it for scripts: an image's digest, or what Packer calls such an artifact.
        id: String,
        /// What it is, in words.
        description: String,
        /// Its files on the host.
        files: Vec<String>,
    },
    /// A build ended well.
    BuildFinished {
        /// The build's name.
        build: String,
        /// The manifest's digest; none for a build that makes no image.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// The sum of the layers' compressed sizes in bytes.
        bytes: u64,
        /// How many steps came from the store.
        cached: usize,
        /// How many steps there are.
        steps: usize,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// A build failed.
    BuildFailed {
        /// The build's name.
        build: String,
        /// Why: the whole message, ready to be shown, possibly of several lines.
        error: String,
        /// Why, in one line.
        reason: String,
        /// Wall-clock seconds.
        seconds: f64,
    },
}
