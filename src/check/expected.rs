//! Expectations with their places, and faults: expectations that are not fulfilled.

use crate::diagnostic::SourceSpan;
use serde::{Serialize, Serializer};
use std::fmt;

/// Something that is expected, and where that is written. Only what it is is serialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected<T> {
    /// What it is.
    pub value: T,
    /// Where it is written.
    pub place: SourceSpan,
}

impl<T> Expected<T> {
    /// Something expected at `place`.
    pub fn new(value: T, place: SourceSpan) -> Self {
        Self { value, place }
    }

    /// The same without its value.
    pub(super) fn without_value(&self) -> Expected<()> {
        Expected::new((), self.place)
    }

    /// The same as a text.
    pub(super) fn in_words(&self) -> Expected<String>
    where
        T: fmt::Display,
    {
        Expected::new(self.value.to_string(), self.place)
    }

    /// That it is not fulfilled.
    pub(super) fn fault(
        &self,
        what: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Fault {
        Fault {
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
            place: self.place,
        }
    }
}

impl<T: Serialize> Serialize for Expected<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// An expectation that is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was looked at: `exit code`, `file /etc/passwd: mode`.
    pub what: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// Where the expectation is written.
    pub place: SourceSpan,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            expected,
            found,
            ..
        } = self;
        write!(formatter, "{what}: expected {expected}, found {found}")
    }
}
