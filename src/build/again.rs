//! Again: a build that was promised a layer which cannot be had, or is another one, begins anew.
//!
//! A record counts before its layer is looked at, so what is wrong with the layer shows late: when
//! a step must run on it, or an output needs its bytes. The record is forgotten then, and the build
//! starts from its base once more; everything but that one step is found again. Each time at least
//! one record is forgotten that is not used again in this run, so this comes to an end.

use super::event::{Event, Level};
use super::failure::{self, Failure};
use super::{BuildError, Environment};
use crate::digest::Digest;

/// Runs a build until nothing that it fails on was promised by a record; tells `attempt` whether
/// it is not the first.
pub fn run<T>(
    environment: &Environment,
    build: &str,
    mut attempt: impl FnMut(bool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut is_again = false;
    loop {
        let failure = match attempt(is_again) {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        let Some(layer) = promised_layer(environment, &failure.0) else {
            return Err(failure);
        };
        // A record that cannot be removed is not used again in this run all the same.
        let is_wrong = match &failure.0 {
            BuildError::Fetch { source, .. } => source.is_wrong_answer(),
            _ => true,
        };
        let Ok(forgotten) = environment.cache.distrust(&layer, is_wrong) else {
            return Err(failure);
        };
        if forgotten.is_empty() {
            return Err(failure);
        }
        is_again = true;
        environment.emit(Event::Notice {
            build: Some(build.to_owned()),
            level: Level::Warning,
            text: format!(
                "a cached result cannot be used: {}; its step runs again",
                failure::one_line(&failure.0)
            ),
        });
    }
}

/// The layer that a build has failed on, if a record of this run promised it.
pub fn promised_layer(environment: &Environment, error: &BuildError) -> Option<Digest> {
    let layer = match error {
        BuildError::Fetch { digest, .. } | BuildError::WrongLayer { digest, .. } => digest,
        BuildError::Unpack { digest, .. } if !error.is_of_host() => digest,
        _ => return None,
    };
    let counts = !environment.cancel.is_cancelled() && environment.cache.is_taken(layer);
    counts.then_some(*layer)
}
