//! The client: the operations of the distribution specification that an image needs.

use super::authorization::Authorizer;
use super::endpoint::{self, Endpoint, Endpoints};
use super::patience::{Failure, Patience};
use super::session::Session;
use super::transport::Transport;
use super::{Credentials, Progress, Reference, RegistryError, Repository, Settings};
use super::{documents, download, login, referrers, tags, upload};
use crate::digest::Digest;
use crate::store::{Descriptor, Store};
use oci_spec::image::MediaType;
use reqwest::Url;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Until a connection stands, encryption included; less if the budget is smaller.
const CONNECT: Duration = Duration::from_secs(15);

/// Speaks to registries; clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// Whether what is read may come from mirrors.
    uses_mirrors: bool,
}

struct Inner {
    settings: Settings,
    transport: Transport,
    endpoints: Endpoints,
    authorizer: Authorizer,
    /// Mirrors that have not answered; they are not asked again.
    silent: Mutex<BTreeSet<Url>>,
}

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
    pub fn new(settings: Settings) -> Self {
        Self::with_credentials(settings, None)
    }

    /// A client that shows a registry these credentials.
    fn with_credentials(settings: Settings, given: Option<(String, Credentials)>) -> Self {
        let transport = Transport::new(
            &settings.environment,
            CONNECT.min(settings.budget / 2),
            settings.is_cancelled.clone(),
        );
        Self {
            inner: Arc::new(Inner {
                settings,
                transport,
                endpoints: Endpoints::default(),
                authorizer: Authorizer::new(given),
                silent: Mutex::default(),
            }),
            uses_mirrors: true,
        }
    }

    /// The same client without mirrors, for whoever writes: what a mirror has says nothing about
    /// what the registry has.
    pub fn direct(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            uses_mirrors: false,
        }
    }

    /// A client that shows `registry` these credentials in place of those of the user's files; others,
    /// its mirrors among them, do not see them.
    pub fn with_login(&self, registry: &str, credentials: Credentials) -> Self {
        let given = Some((registry.to_owned(), credentials));
        Self::with_credentials(self.inner.settings.clone(), given)
    }

    /// Shows these credentials for a repository in place of those of the user's files, to whoever asks
    /// with this client or a clone of it. The registry's mirrors do not see them.
    pub fn log_in(&self, repository: &Repository, credentials: Credentials) {
        self.inner.authorizer.log_in(repository, credentials);
    }

    /// What a reference means at this moment, without reading it; none if there is no such thing.
    pub fn describe(&self, reference: &Reference) -> Result<Option<Descriptor>, RegistryError> {
        absent(documents::describe(self, reference))
    }

    /// Reads a manifest or an index.
    pub fn document(&self, reference: &Reference) -> Result<Document, RegistryError> {
        documents::read(self, reference)
    }

    /// Reads a small blob whole, such as an image's configuration; it has the digest and size of
    /// `descriptor`.
    pub fn small_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        download::small(self, repository, &descriptor.digest, descriptor.size)
    }

    /// The size of a blob; none if the repository does not have it.
    pub fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        absent(download::size(self, repository, digest))
    }

    /// Brings a blob into the store, unless it is there.
    pub fn pull_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        store: &Store,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError> {
        download::into_store(self, repository, (*digest, size), store, progress)
    }

    /// Brings a blob of the store into a repository, unless it is there; `elsewhere` are
    /// repositories of the same registry that may have it.
    pub fn push_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        store: &Store,
        elsewhere: &[Repository],
        progress: Progress<'_>,
    ) -> Result<Pushed, RegistryError> {
        upload::from_store(
            self,
            repository,
            (*digest, size),
            store,
            elsewhere,
            progress,
        )
    }

    /// Asks a registry to take over a blob from another of its repositories; false if it does not.
    /// Needs no bytes.
    pub fn mount_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<bool, RegistryError> {
        upload::mount(self, repository, digest, from)
    }

    /// Writes a manifest or an index, whose blobs are there, under its tag or else its digest. One
    /// with a `subject` is found by [`Client::referrers`] afterwards, whatever the registry knows.
    pub fn push_document(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        text: &[u8],
    ) -> Result<Descriptor, RegistryError> {
        let (descriptor, subject) = documents::write(self, reference, media_type, text)?;
        if let Some(subject) = subject {
            referrers::add(
                &self.direct(),
                &reference.repository,
                &subject,
                text,
                &descriptor,
            )?;
        }
        Ok(descriptor)
    }

    /// What refers to a manifest.
    pub fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Referrers, RegistryError> {
        referrers::list(self, repository, digest)
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        tags::list(self, repository)
    }

    /// Whether a registry accepts these credentials; none for what the user's files say.
    pub fn check_login(
        &self,
        registry: &str,
        credentials: Option<&Credentials>,
    ) -> Result<(), RegistryError> {
        match credentials {
            None => login::check(self, registry),
            Some(credentials) => {
                login::check(&self.with_login(registry, credentials.clone()), registry)
            }
        }
    }

    /// Repeats `attempt` at a registry until it succeeds, fails for good or the budget is used up.
    /// `actions` is what is done with the repository: `pull`, `pull,push`.
    pub(super) fn at_registry<T>(
        &self,
        repository: &Repository,
        actions: &str,
        subject: &str,
        mut attempt: impl FnMut(&mut Session<'_>, &mut Patience) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let inner = &*self.inner;
        self.patience(inner.settings.budget).repeat(|patience| {
            let endpoint = inner.endpoints.registry(
                &inner.settings,
                &inner.transport,
                &repository.registry,
                subject,
                patience,
            )?;
            let mut session = self.session(endpoint, repository, actions, subject);
            attempt(&mut session, patience)
        })
    }

    /// Does the same at the mirrors of a registry, one by one, and then at the registry itself.
    pub(super) fn for_reading<T>(
        &self,
        repository: &Repository,
        subject: &str,
        mut attempt: impl FnMut(&mut Session<'_>, &mut Patience) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let inner = &*self.inner;
        let mirrors = endpoint::mirrors(&inner.settings, &repository.registry)?;
        for endpoint in mirrors.into_iter().filter(|_| self.uses_mirrors) {
            let base = endpoint.base.clone();
            if self.silent().contains(&base) {
                continue;
            }
            let mut session = self.session(endpoint, repository, "pull", subject);
            // Patience with a mirror is for nobody's good: there is another place.
            let mut patience = self.patience(inner.settings.budget / 4);
            match patience.repeat(|patience| attempt(&mut session, patience)) {
                Err(error @ (RegistryError::Interrupted | RegistryError::Store(_))) => {
                    return Err(error);
                }
                // Whatever else is asked would wait as long.
                Err(RegistryError::Timeout { .. } | RegistryError::Connection { .. }) => {
                    self.silent().insert(base);
                }
                // The registry itself knows better, or fails in its own words.
                Err(_) => {}
                done => return done,
            }
        }
        self.at_registry(repository, "pull", subject, attempt)
    }

    fn session<'a>(
        &'a self,
        endpoint: Endpoint,
        repository: &'a Repository,
        actions: &str,
        subject: &str,
    ) -> Session<'a> {
        // Without a repository it is about the registry as such.
        let scopes = match repository.path.as_str() {
            "" => Vec::new(),
            _ => vec![endpoint.scope(repository, actions)],
        };
        Session {
            settings: &self.inner.settings,
            transport: &self.inner.transport,
            authorizer: &self.inner.authorizer,
            endpoint,
            repository,
            scopes,
            subject: subject.to_owned(),
        }
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<Url>> {
        let silent = &self.inner.silent;
        silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self, budget: Duration) -> Patience {
        Patience::new(budget, self.inner.settings.is_cancelled.clone())
    }
}

/// None in place of an error that says that there is no such thing.
fn absent<T>(result: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(RegistryError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
