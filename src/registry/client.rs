//! The client: the operations of the distribution specification that an image needs.

use super::{Credentials, Progress, Reference, RegistryError, Repository, Settings};
use crate::digest::Digest;
use crate::store::{Descriptor, Store};
use oci_spec::image::MediaType;

/// Speaks to registries; clones share connections and tokens.
#[derive(Clone)]
pub struct Client {}

/// A manifest or an index, byte by byte as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// The text.
    pub text: Vec<u8>,
}

/// How a blob came to be in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Existed,
    /// The registry had it in another repository.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// What refers to a manifest (distribution specification, "Listing Referrers").
pub type Referrers = Vec<Descriptor>;

impl Client {
    /// A client that has not asked anything yet.
    pub fn new(_settings: Settings) -> Self {
        unimplemented!()
    }

    /// The same client for somebody with these credentials for a registry.
    pub fn with_login(&self, _registry: &str, _credentials: Credentials) -> Self {
        unimplemented!()
    }

    /// What a reference means at this moment, without reading it; none if there is no such thing.
    pub fn describe(&self, _reference: &Reference) -> Result<Option<Descriptor>, RegistryError> {
        unimplemented!()
    }

    /// Reads a manifest or an index.
    pub fn document(&self, _reference: &Reference) -> Result<Document, RegistryError> {
        unimplemented!()
    }

    /// Reads a small blob whole, such as an image's configuration; it has the digest and size of
    /// `descriptor`.
    pub fn small_blob(
        &self,
        _repository: &Repository,
        _descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        unimplemented!()
    }

    /// The size of a blob; none if the repository does not have it.
    pub fn blob_size(
        &self,
        _repository: &Repository,
        _digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        unimplemented!()
    }

    /// Brings a blob into the store, unless it is there.
    pub fn pull_blob(
        &self,
        _repository: &Repository,
        _digest: &Digest,
        _size: u64,
        _store: &Store,
        _progress: Progress<'_>,
    ) -> Result<(), RegistryError> {
        unimplemented!()
    }

    /// Brings a blob of the store into a repository, unless it is there; `elsewhere` are
    /// repositories of the same registry that may have it.
    pub fn push_blob(
        &self,
        _repository: &Repository,
        _digest: &Digest,
        _size: u64,
        _store: &Store,
        _elsewhere: &[Repository],
        _progress: Progress<'_>,
    ) -> Result<Pushed, RegistryError> {
        unimplemented!()
    }

    /// Asks a registry to take over a blob from another of its repositories; false if it does not.
    /// Needs no bytes.
    pub fn mount_blob(
        &self,
        _repository: &Repository,
        _digest: &Digest,
        _from: &Repository,
    ) -> Result<bool, RegistryError> {
        unimplemented!()
    }

    /// Writes a manifest or an index, whose blobs are there, under its tag or else its digest. One
    /// with a `subject` is found by [`Client::referrers`] afterwards, whatever the registry knows.
    pub fn push_document(
        &self,
        _reference: &Reference,
        _media_type: &MediaType,
        _text: &[u8],
    ) -> Result<Descriptor, RegistryError> {
        unimplemented!()
    }

    /// What refers to a manifest.
    pub fn referrers(
        &self,
        _repository: &Repository,
        _digest: &Digest,
    ) -> Result<Referrers, RegistryError> {
        unimplemented!()
    }

    /// The tags of a repository.
    pub fn tags(&self, _repository: &Repository) -> Result<Vec<String>, RegistryError> {
        unimplemented!()
    }

    /// Whether a registry accepts these credentials; none for what the user's files say.
    pub fn check_login(
        &self,
        _registry: &str,
        _credentials: Option<&Credentials>,
    ) -> Result<(), RegistryError> {
        unimplemented!()
    }
}
