//! References: what an image in a registry is called.

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// A repository of a registry: `docker.io/library/debian`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The host, with a port if one was given; `docker.io` for Docker's.
    pub registry: String,
    /// The path below it: `library/debian`.
    pub path: String,
}

/// A repository, and one of its images: by tag, by digest, or by a tag that must have the digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The tag; none if only a digest was given.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no reference of an image: {reason}")]
pub struct ReferenceError {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl Reference {
    /// Whether `text` begins with a registry's host, so that it cannot mean one of Docker's own.
    pub fn names_registry(_text: &str) -> bool {
        unimplemented!()
    }

    /// The same repository with a digest in place of tag and digest.
    pub fn at(&self, _digest: Digest) -> Self {
        unimplemented!()
    }

    /// Without the digest.
    pub fn without_digest(&self) -> Self {
        unimplemented!()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a reference as Docker does: `debian` is `docker.io/library/debian:latest`.
    fn from_str(_text: &str) -> Result<Self, ReferenceError> {
        unimplemented!()
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// Reads a reference that has neither tag nor digest.
    fn from_str(_text: &str) -> Result<Self, ReferenceError> {
        unimplemented!()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(formatter)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}
