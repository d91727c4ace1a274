//! Authorization: what is shown to a registry that wants to know who asks.
//!
//! A registry says what it wants by a *challenge*: a name and password with each request, or a
//! *token*, which another server gives out for a *scope* (Docker token authentication
//! specification). Both are remembered by the registry's address. Credentials are only ever sent to
//! the registry that they were given for and to the server that it names for tokens.

use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::error::harmless;
use super::patience::{Failure, Patience};
use super::reference::Repository;
use super::transport::Transport;
use super::{Credentials, RegistryError, Settings, credentials, session, token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What registries want to be shown, and what there is to show.
pub(super) struct Authorizer {
    /// A registry, and what it is shown in place of what the user's files have for it.
    given: Option<(String, Credentials)>,
    /// What the registry of an address wants.
    schemes: Mutex<BTreeMap<String, Scheme>>,
    /// Tokens by address and scopes. The inner lock is held while one is fetched.
    tokens: Mutex<BTreeMap<Place, Arc<Mutex<Kept>>>>,
    /// Credentials by repository, so that helpers are asked once.
    credentials: Mutex<BTreeMap<Repository, Option<Credentials>>>,
}

/// The address of a registry, and scopes.
type Place = (String, String);

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: String, service: String },
}

/// The token for some scopes.
#[derive(Default)]
struct Kept {
    token: Option<(HeaderValue, Instant)>,
    /// A scope that the registry asked for beside ours.
    asked: Option<String>,
}

/// For what a request is authorized.
pub(super) struct Purpose<'a> {
    pub(super) settings: &'a Settings,
    pub(super) transport: &'a Transport,
    pub(super) endpoint: &'a Endpoint,
    /// Whose credentials are used; with an empty path those of the registry.
    pub(super) repository: &'a Repository,
    pub(super) scopes: &'a [String],
    /// For messages.
    pub(super) subject: &'a str,
}

/// The header that is shown.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) header: HeaderValue,
    /// Whether it was made for this request, so that another one would be the same.
    is_new: bool,
}

impl Authorizer {
    pub(super) fn new(given: Option<(String, Credentials)>) -> Self {
        Self {
            given,
            schemes: Mutex::default(),
            tokens: Mutex::default(),
            credentials: Mutex::default(),
        }
    }

    /// Shows these credentials for a repository from now on.
    pub(super) fn log_in(&self, repository: &Repository, credentials: Credentials) {
        let known = self.credentials.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.insert(repository.clone(), Some(credentials));
    }

    /// What to show for a request; nothing if the registry does not ask, as far as is known.
    pub(super) fn shown(
        &self,
        purpose: &Purpose<'_>,
        patience: &mut Patience,
    ) -> Result<Option<Shown>, Failure> {
        let origin = origin(purpose.endpoint);
        let scheme = {
            let schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            schemes.get(&origin).cloned()
        };
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => match self.credentials(purpose)? {
                Some(Credentials::Password { user, password }) => Ok(Some(Shown {
                    header: basic(&user, &password)?,
                    is_new: true,
                })),
                Some(Credentials::IdentityToken(_)) => Err(unauthorized(
                    purpose,
                    "wants a name and a password, and there is only a token for it",
                )),
                None => Err(unauthorized(
                    purpose,
                    "wants to know who asks, and there are no credentials for it",
                )),
            },
            Some(Scheme::Bearer { realm, service }) => {
                let kept = self.kept(origin, purpose.scopes);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((header, end)) = &kept.token
                    && Instant::now() < *end
                {
                    return Ok(Some(Shown {
                        header: header.clone(),
                        is_new: false,
                    }));
                }
                let mut scopes = purpose.scopes.to_vec();
                scopes.extend(kept.asked.clone());
                let credentials = self.credentials(purpose)?;
                let server = token::Server {
                    realm: &realm,
                    service: &service,
                };
                let (header, lifetime) =
                    token::fetch(purpose, &server, credentials.as_ref(), &scopes, patience)?;
                kept.token = Some((header.clone(), Instant::now() + lifetime));
                Ok(Some(Shown {
                    header,
                    is_new: true,
                }))
            }
        }
    }

    /// Learns from an answer with status 401 what the registry wants. An error if what was shown
    /// is the best there is.
    pub(super) fn learn(
        &self,
        purpose: &Purpose<'_>,
        headers: &HeaderMap,
        shown: Option<&Shown>,
        detail: &str,
    ) -> Result<(), Failure> {
        let challenges: Vec<Challenge> = headers
            .get_all("www-authenticate")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Challenge::parse)
            .collect();
        let (scheme, asked) = scheme(purpose, &challenges)?;
        let origin = origin(purpose.endpoint);
        {
            let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            let before = schemes.insert(origin.clone(), scheme.clone());
            if before.is_some() && before.as_ref() != Some(&scheme) && shown.is_some() {
                // It wants something else than a moment ago.
                return Ok(());
            }
        }
        let Some(shown) = shown else {
            return Ok(());
        };
        let is_denied = challenges
            .iter()
            .any(|it| it.get("error") == Some("insufficient_scope"));
        let refused = || {
            if is_denied && self.has_credentials(purpose) {
                return Failure::Final(RegistryError::Denied {
                    subject: purpose.subject.to_owned(),
                    registry: purpose.endpoint.registry.clone(),
                    detail: detail.to_owned(),
                });
            }
            let reason = match self.has_credentials(purpose) {
                true => format!("does not accept the credentials that there are for it{detail}"),
                false => {
                    format!("wants to know who asks, and there are no credentials for it{detail}")
                }
            };
            unauthorized(purpose, &reason)
        };
        if scheme == Scheme::Basic {
            return Err(refused());
        }
        let kept = self.kept(origin, purpose.scopes);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |asked: &String| purpose.scopes.contains(asked);
        let asks_more =
            asked.is_some() && !asked.as_ref().is_some_and(is_ours) && kept.asked != asked;
        // Another thread may have fetched a new one meanwhile.
        if kept
            .token
            .as_ref()
            .is_some_and(|(header, _)| *header == shown.header)
        {
            kept.token = None;
        }
        if asks_more {
            kept.asked = asked;
            return Ok(());
        }
        match shown.is_new {
            true => Err(refused()),
            false => Ok(()),
        }
    }

    fn kept(&self, origin: String, scopes: &[String]) -> Arc<Mutex<Kept>> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .entry((origin, scopes.join(" ")))
            .or_default()
            .clone()
    }

    fn has_credentials(&self, purpose: &Purpose<'_>) -> bool {
        self.credentials(purpose).is_ok_and(|it| it.is_some())
    }

    fn credentials(&self, purpose: &Purpose<'_>) -> Result<Option<Credentials>, RegistryError> {
        if let Some((registry, given)) = &self.given
            && *registry == purpose.endpoint.registry
        {
            return Ok(Some(given.clone()));
        }
        let repository = Repository {
            registry: purpose.endpoint.registry.clone(),
            path: match purpose.repository.path.as_str() {
                "" => String::new(),
                path => format!("{}{path}", purpose.endpoint.prefix),
            },
        };
        let mut known = self
            .credentials
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = known.get(&repository) {
            return Ok(credentials.clone());
        }
        let found =
            credentials::find(purpose.settings, &repository).map_err(session::credentials)?;
        known.insert(repository, found.clone());
        Ok(found)
    }
}

fn origin(endpoint: &Endpoint) -> String {
    endpoint.base.origin().ascii_serialization()
}

pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, RegistryError> {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let mut header = HeaderValue::from_str(&format!("Basic {encoded}"))
        .map_err(|error| RegistryError::Setting(error.to_string()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// What the challenges ask for, and for which scope.
fn scheme(
    purpose: &Purpose<'_>,
    challenges: &[Challenge],
) -> Result<(Scheme, Option<String>), Failure> {
    for challenge in challenges {
        if challenge.scheme == "bearer"
            && let Some(realm) = challenge.get("realm")
        {
            let scheme = Scheme::Bearer {
                realm: realm.to_owned(),
                service: challenge.get("service").unwrap_or_default().to_owned(),
            };
            let scope = challenge.get("scope").filter(|scope| !scope.is_empty());
            return Ok((scheme, scope.map(str::to_owned)));
        }
    }
    if challenges.iter().any(|it| it.scheme == "basic") {
        return Ok((Scheme::Basic, None));
    }
    let schemes: Vec<&str> = challenges.iter().map(|it| it.scheme.as_str()).collect();
    Err(unauthorized(
        purpose,
        &match schemes.is_empty() {
            true => "wants to know who asks, and does not say how".to_owned(),
            false => format!(
                "wants to know who asks by {}, which is not supported",
                harmless(&schemes.join(" or "))
            ),
        },
    ))
}

pub(super) fn unauthorized(purpose: &Purpose<'_>, reason: &str) -> Failure {
    Failure::Final(RegistryError::Unauthorized {
        subject: purpose.subject.to_owned(),
        registry: purpose.endpoint.registry.clone(),
        reason: reason.to_owned(),
    })
}
