//! Authorization: what is shown to a registry that wants to know who asks.
//!
//! A registry says what it wants by a *challenge*: a name and password with each request, or a
//! *token*, which another server gives out for a *scope* (Docker token authentication
//! specification). Both are remembered by the registry's address. Credentials are only ever sent to
//! the registry that they were given for and to the server that it names for tokens.

use super::challenge::Challenge;
use super::endpoint::{Endpoint, is_loopback, may_be_plain, stall};
use super::error::harmless;
use super::patience::{Failure, Patience};
use super::reference::Repository;
use super::transport::{Body, Outgoing, Transport};
use super::{Credentials, RegistryError, Settings, credentials, session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What we are called by servers that give out tokens.
const CLIENT: &str = "hardtack";
/// More than any token has.
const TOKEN_LIMIT: usize = 1024 * 1024;
/// How long a token holds that does not say it (token specification, "expires_in").
const DEFAULT_LIFETIME: u64 = 60;
/// Longer than any token holds.
const LONGEST_LIFETIME: u64 = 24 * 60 * 60;

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

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
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
                let (header, lifetime) =
                    self.fetch(purpose, &realm, &service, &scopes, patience)?;
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
        let refused = || {
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

    /// Asks the server that gives out tokens.
    fn fetch(
        &self,
        purpose: &Purpose<'_>,
        realm: &str,
        service: &str,
        scopes: &[String],
        patience: &mut Patience,
    ) -> Result<(HeaderValue, Duration), Failure> {
        let url = realm_address(purpose, realm)?;
        let credentials = self.credentials(purpose)?;
        let by_form = |grant: &[(&str, &str)]| {
            let mut form = url.clone();
            form.set_query(None);
            form.query_pairs_mut()
                .extend_pairs(grant)
                .append_pair("service", service)
                .append_pair("client_id", CLIENT)
                .append_pair("scope", &scopes.join(" "));
            form.query().unwrap_or_default().to_owned()
        };
        let answer = match &credentials {
            Some(Credentials::IdentityToken(token)) => {
                let form = by_form(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
                self.ask(purpose, url, None, Some(form), patience)?
            }
            other => {
                let mut asked = url.clone();
                {
                    let mut query = asked.query_pairs_mut();
                    if !service.is_empty() {
                        query.append_pair("service", service);
                    }
                    for scope in scopes {
                        query.append_pair("scope", scope);
                    }
                }
                let password = match other {
                    Some(Credentials::Password { user, password }) => Some((user, password)),
                    _ => None,
                };
                let header = match password {
                    Some((user, password)) => {
                        asked.query_pairs_mut().append_pair("account", user);
                        Some(basic(user, password)?)
                    }
                    None => None,
                };
                let answer = self.ask(purpose, asked, header, None, patience)?;
                let is_unknown = matches!(
                    answer.status,
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                );
                match password {
                    // A server of the other kind (Docker OAuth2 specification).
                    Some((user, password)) if is_unknown => {
                        let form = by_form(&[
                            ("grant_type", "password"),
                            ("username", user),
                            ("password", password),
                        ]);
                        self.ask(purpose, url, None, Some(form), patience)?
                    }
                    _ => answer,
                }
            }
        };
        self.token(purpose, answer, credentials.is_some())
    }

    fn token(
        &self,
        purpose: &Purpose<'_>,
        mut answer: session::Incoming,
        has_credentials: bool,
    ) -> Result<(HeaderValue, Duration), Failure> {
        let registry = &purpose.endpoint.registry;
        let wrong = |reason: &str| {
            Failure::Final(RegistryError::invalid(
                format!("{}: the token for {registry}", purpose.subject),
                reason.to_owned(),
            ))
        };
        if matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
        ) {
            let detail = session::detail(&mut answer);
            let reason = match has_credentials {
                true => format!("does not accept the credentials that there are for it{detail}"),
                false => format!("gives no token to anonymous users{detail}"),
            };
            return Err(unauthorized(purpose, &reason));
        }
        if answer.status != StatusCode::OK {
            return Err(session::status(answer, purpose.subject, registry));
        }
        let (text, is_whole) = answer
            .read(TOKEN_LIMIT)
            .map_err(|error| session::failure(error, purpose.subject, registry))?;
        if !is_whole {
            return Err(wrong("it is too long"));
        }
        let answer: TokenAnswer =
            serde_json::from_slice(&text).map_err(|_| wrong("it is not in JSON"))?;
        let token = [answer.token, answer.access_token];
        let token = token.into_iter().flatten().find(|token| !token.is_empty());
        let token = token.ok_or_else(|| wrong("there is none in the answer"))?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| wrong("it has characters that a header cannot have"))?;
        header.set_sensitive(true);
        let lifetime = answer.expires_in.unwrap_or(DEFAULT_LIFETIME);
        // It must still hold when the request arrives.
        let lifetime = Duration::from_secs(lifetime.min(LONGEST_LIFETIME)).mul_f64(0.9);
        Ok((header, lifetime))
    }

    fn ask(
        &self,
        purpose: &Purpose<'_>,
        url: Url,
        authorization: Option<HeaderValue>,
        form: Option<String>,
        patience: &mut Patience,
    ) -> Result<session::Incoming, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(header) = authorization {
            headers.insert(AUTHORIZATION, header);
        }
        let (method, body) = match form {
            Some(form) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, kind);
                (Method::POST, Body::Bytes(form.into()))
            }
            None => (Method::GET, Body::Empty),
        };
        let registry = &purpose.endpoint.registry;
        let trust = purpose.endpoint.trust_of(&url, purpose.settings);
        let sent = purpose.transport.send(Outgoing {
            method,
            url,
            headers,
            body,
            trust,
            silence: stall(patience),
            patience: stall(patience),
        });
        let answer = sent.map_err(|error| session::failure(error, purpose.subject, registry))?;
        if session::is_transient(answer.status) {
            return Err(session::status(answer, purpose.subject, registry));
        }
        Ok(answer)
    }
}

fn origin(endpoint: &Endpoint) -> String {
    endpoint.base.origin().ascii_serialization()
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, RegistryError> {
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

/// The address of the server that gives out tokens: encrypted, unless the registry is not.
fn realm_address(purpose: &Purpose<'_>, realm: &str) -> Result<Url, Failure> {
    let wrong = |reason: &str| {
        unauthorized(
            purpose,
            &format!(
                "says that tokens are to be had at {:?}, {reason}",
                harmless(realm)
            ),
        )
    };
    let url = Url::parse(realm)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| wrong("which is no address"))?;
    let is_local = url.host_str().is_some_and(is_loopback);
    if url.scheme() == "http"
        && !purpose.endpoint.is_plain()
        && !is_local
        && !may_be_plain(purpose.settings, &url)
    {
        return Err(wrong("which is not encrypted"));
    }
    Ok(url)
}

fn unauthorized(purpose: &Purpose<'_>, reason: &str) -> Failure {
    Failure::Final(RegistryError::Unauthorized {
        subject: purpose.subject.to_owned(),
        registry: purpose.endpoint.registry.clone(),
        reason: reason.to_owned(),
    })
}
