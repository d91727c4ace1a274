//! Pins: which digest each reference of a registry stands for, from the first time that it is asked
//! until somebody moves it.
//!
//! The pins of a template are kept in its lock file; this module knows no files.

use super::BaseError;
use crate::digest::Digest;
use crate::registry::{Client, Reference};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a run does with references that move.
#[derive(Debug, Default)]
pub struct Pins {
    /// The pins that the run began with.
    known: BTreeMap<Reference, Digest>,
    /// Those that it added.
    found: Mutex<BTreeMap<Reference, Digest>>,
    /// Whether a reference without a pin is refused.
    is_strict: bool,
}

impl Pins {
    /// The pins of a lock file. With `is_strict`, nothing may be added.
    pub fn new(known: BTreeMap<Reference, Digest>, is_strict: bool) -> Self {
        Self {
            known,
            found: Mutex::default(),
            is_strict,
        }
    }

    /// Whether what is not pinned is refused.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// What the run has added so far.
    pub fn found(&self) -> BTreeMap<Reference, Digest> {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The digest of a reference: its own, else the pinned one, else what the registry says now,
    /// which is a pin from then on.
    pub fn digest(&self, reference: &Reference, client: &Client) -> Result<Digest, BaseError> {
        if let Some(digest) = reference.digest {
            return Ok(digest);
        }
        if let Some(digest) = self.known.get(reference) {
            return Ok(*digest);
        }
        if self.is_strict {
            return Err(BaseError::NotLocked {
                reference: reference.clone(),
            });
        }
        // Held while the registry is asked: two builds of a run must see the same image.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = found.get(reference) {
            return Ok(*digest);
        }
        let Some(descriptor) = client.describe(reference)? else {
            return Err(BaseError::UnknownReference {
                reference: reference.clone(),
            });
        };
        found.insert(reference.clone(), descriptor.digest);
        Ok(descriptor.digest)
    }
}
