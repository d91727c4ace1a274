//! Pins: which digest each reference of a registry stands for, from the first time that it is asked
//! until somebody moves it.
//!
//! The pins of a template are kept in its lock file; this module knows no files.

use super::BaseError;
use crate::digest::Digest;
use crate::provision::{Installed, RequirementName};
use crate::registry::{Client, Reference};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a run does with references that move.
#[derive(Debug, Default)]
pub struct Pins {
    /// The pins that the run began with.
    known: BTreeMap<Reference, Digest>,
    /// Those that it added.
    found: Mutex<BTreeMap<Reference, Found>>,
    /// What lists of requirements stood for when the run began, and what it added.
    requirements: BTreeMap<RequirementName, Installed>,
    found_requirements: Mutex<BTreeMap<RequirementName, Installed>>,
    /// Whether what has no pin is refused.
    is_strict: bool,
}

/// What a reference was found to stand for.
#[derive(Clone, Copy, Debug)]
struct Found {
    digest: Digest,
    /// Whether there is an image under that digest: a registry can announce anything.
    is_confirmed: bool,
}

impl Pins {
    /// The pins of a lock file. With `is_strict`, nothing may be added.
    pub fn new(known: BTreeMap<Reference, Digest>, is_strict: bool) -> Self {
        Self {
            known,
            is_strict,
            ..Self::default()
        }
    }

    /// The same with pins of requirements.
    pub fn with_requirements(mut self, known: BTreeMap<RequirementName, Installed>) -> Self {
        self.requirements = known;
        self
    }

    /// What a list of requirements stands for, as far as the run knows.
    pub fn requirement(&self, name: &RequirementName) -> Option<Installed> {
        // The list decides, wherever it lies.
        let is_same = |other: &&RequirementName| other.list == name.list && other.kind == name.kind;
        let find = |pins: &BTreeMap<RequirementName, Installed>| {
            let name = pins.keys().find(is_same)?;
            pins.get(name).cloned()
        };
        let found = || {
            let found = self.found_requirements.lock();
            find(&found.unwrap_or_else(PoisonError::into_inner))
        };
        find(&self.requirements).or_else(found)
    }

    /// Pins what a list of requirements stands for.
    pub fn add_requirement(&self, name: RequirementName, installed: Installed) {
        let found = self.found_requirements.lock();
        let mut found = found.unwrap_or_else(PoisonError::into_inner);
        found.insert(name, installed);
    }

    /// The pins of requirements that the run has added so far.
    pub fn found_requirements(&self) -> BTreeMap<RequirementName, Installed> {
        let found = self.found_requirements.lock();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether what is not pinned is refused.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Whether the run began with a pin of this reference.
    pub fn has(&self, reference: &Reference) -> bool {
        self.known.contains_key(reference)
    }

    /// What the run has added so far, of what was confirmed.
    pub fn found(&self) -> BTreeMap<Reference, Digest> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let confirmed = found.iter().filter(|(_, found)| found.is_confirmed);
        confirmed
            .map(|(reference, found)| (reference.clone(), found.digest))
            .collect()
    }

    /// Tells that there is an image under the digest of a reference.
    pub fn confirm(&self, reference: &Reference) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.get_mut(reference) {
            found.is_confirmed = true;
        }
    }

    /// The digest of a reference: its own, else the pinned one, else what the registry says now,
    /// which holds for the whole run, and is a pin once it is confirmed.
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
        if let Some(found) = found.get(reference) {
            return Ok(found.digest);
        }
        let Some(descriptor) = client.describe(reference)? else {
            return Err(BaseError::UnknownReference {
                reference: reference.clone(),
            });
        };
        let digest = descriptor.digest;
        let is_confirmed = false;
        found.insert(
            reference.clone(),
            Found {
                digest,
                is_confirmed,
            },
        );
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn client() -> Client {
        Client::new(crate::registry::Settings {
            environment: BTreeMap::new(),
            home: None,
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            authorities: Vec::new(),
            budget: Duration::from_secs(1),
            is_cancelled: Arc::new(|| true),
        })
    }

    #[test]
    fn what_is_pinned_needs_no_registry() {
        let locked: Reference = "debian:12".parse().unwrap();
        let digest = Digest::of("locked");
        let pins = Pins::new(BTreeMap::from([(locked.clone(), digest)]), true);
        assert_eq!(pins.digest(&locked, &client()).unwrap(), digest);
        let own = Digest::of("own");
        let reference: Reference = format!("debian:13@{own}").parse().unwrap();
        assert_eq!(pins.digest(&reference, &client()).unwrap(), own);
        let other = "debian:13".parse().unwrap();
        assert!(matches!(
            pins.digest(&other, &client()),
            Err(BaseError::NotLocked { .. })
        ));
        assert!(pins.found().is_empty());
    }

    #[test]
    fn only_what_was_confirmed_becomes_a_pin() {
        let reference: Reference = "debian:12".parse().unwrap();
        let digest = Digest::of("announced");
        let pins = Pins::default();
        let found = Found {
            digest,
            is_confirmed: false,
        };
        pins.found.lock().unwrap().insert(reference.clone(), found);
        // The run stays with it, and the lock file does not learn of it.
        assert_eq!(pins.digest(&reference, &client()).unwrap(), digest);
        assert!(pins.found().is_empty());
        pins.confirm(&reference);
        assert_eq!(pins.found(), BTreeMap::from([(reference, digest)]));
    }
}
