//! Runs a plan: schedules builds and steps, asks the cache, emits events.
//!
//! A *build* goes from its base through its steps to an image in the store, then through its
//! post-processors. Builds run side by side; within one build a step starts as soon as the digest
//! of the layer below is known, while that layer is still being compressed.

mod again;
mod assemble;
mod chain;
mod error;
pub mod event;
mod failure;
mod host;
mod kept;
mod lookup;
mod mounts;
mod on_error;
mod others;
mod outputs;
mod packing;
mod post;
mod predict;
pub mod requirements;
mod root_archive;
mod run;
mod schedule;
mod signals;
pub mod state;
mod step;
mod steps;
mod tests_of_image;
mod trees;
mod try_image;
mod unpack;

pub use error::BuildError;
pub use lookup::environment_of;
pub use on_error::OnError;
pub use others::OtherImages;
pub use predict::{Forecast, StepForecast, forecast};
pub use schedule::run;
pub use signals::StopSignals;
pub use tests_of_image::{skipped_tests, try_tests};
pub use try_image::{open_image, unpack_image};

use crate::base::Pins;
use crate::cache::Cache;
use crate::check::Results;
use crate::digest::{Digest, StepKey};
use crate::postprocess::{Artifact, JointIndexes};
use crate::provision::Operator;
use crate::registry::Client;
use crate::sandbox::{Cancel, LazySandbox};
use crate::store::{LayerDescriptor, Store};
use event::{Event, EventSink, Level};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What all builds of one run share.
pub struct Environment {
    /// Where everything is kept.
    pub store: Store,
    /// What steps have made before, here and elsewhere.
    pub cache: Cache,
    /// Speaks to registries.
    pub registries: Client,
    /// What references of registries stand for.
    pub pins: Arc<Pins>,
    /// The indexes that several builds push together.
    pub joint: JointIndexes,
    /// Runs steps; only probed when one must really run.
    pub sandbox: LazySandbox,
    /// Takes what happens.
    pub events: Arc<dyn EventSink>,
    /// Stops everything.
    pub cancel: Cancel,
    /// Threads for compression.
    pub threads: usize,
    /// How many builds run at once; none for no limit.
    pub parallel_builds: Option<usize>,
    /// Run every step, whatever the store holds.
    pub no_cache: bool,
    /// Leave out the tests.
    pub skip_tests: bool,
    /// Takes what becomes of tests.
    pub test_results: Results,
    /// What happens when a step has failed.
    pub on_error: OnError,
    /// Wait for the user before each step.
    pub debug: bool,
    /// Replace what another run left where it would otherwise be extended.
    pub force: bool,
    /// Who answers questions.
    pub operator: Arc<dyn Operator>,
    /// When the run began.
    pub now: jiff::Timestamp,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<i64>,
    /// Names this run.
    pub run_id: String,
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// What has been said of this host.
    pub said: Mutex<BTreeSet<String>>,
    /// Images of builds that others mount.
    pub others: OtherImages,
}

impl Environment {
    fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// Says what this host does not give, once in a run.
    fn note(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(text.to_owned()) {
            self.emit(Event::Notice {
                build: None,
                level: Level::Warning,
                text: text.to_owned(),
            });
        }
    }
}

/// One layer of a built image and where it came from.
#[derive(Clone, Debug)]
pub struct BuiltLayer {
    /// The layer.
    pub layer: LayerDescriptor,
    /// The step that made it; none for a layer of the base.
    pub step: Option<String>,
    /// That step's key.
    pub key: Option<StepKey>,
    /// Whether it came from the store.
    pub cached: bool,
}

/// A build that ended well.
#[derive(Clone, Debug)]
pub struct Built {
    /// The manifest's digest; none if it makes no image.
    pub digest: Option<Digest>,
    /// The configuration's digest.
    pub config: Option<Digest>,
    /// All layers, lowest first.
    pub layers: Vec<BuiltLayer>,
    /// What is left of it, in the order in which it was made.
    pub artifacts: Vec<Artifact>,
}

/// How one build of a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The build's name.
    pub name: String,
    /// The image, or that it failed (which an event has told in full).
    pub result: Result<Built, BuildError>,
    /// Wall-clock seconds.
    pub seconds: f64,
}
