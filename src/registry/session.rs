//! Sessions: requests to one endpoint for one purpose, and what the answers mean.
//!
//! A request is repeated here when the registry asks who wants something, and goes on where a
//! redirect points to, without the credentials if that is elsewhere. Whether a failed one is worth
//! another attempt is said here ([`Failure`]); the attempts are made by the caller.

use super::authorization::{Authorizer, Purpose};
use super::credentials::CredentialsError;
use super::endpoint::{Endpoint, may_be_plain, stall};
use super::error::harmless;
use super::patience::{Failure, Patience};
pub(super) use super::transport::Incoming;
use super::transport::{Body, Outgoing, Transport, TransportError};
use super::{RegistryError, Repository, Settings};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use std::io::Read;
use std::time::Duration;

/// Redirects of one request.
const REDIRECTS: usize = 5;
/// Times that a registry may ask who asks, for one request.
const CHALLENGES: usize = 3;
/// How much of an error is read.
const DETAIL_LIMIT: usize = 64 * 1024;

/// Requests to one endpoint for one purpose.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) transport: &'a Transport,
    pub(super) authorizer: &'a Authorizer,
    pub(super) endpoint: Endpoint,
    pub(super) repository: &'a Repository,
    pub(super) scopes: Vec<String>,
    /// For messages: `blob sha256:… of localhost:5000/app`.
    pub(super) subject: String,
}

/// A request's content.
pub(super) enum Content<'a> {
    Empty,
    Bytes(Bytes),
    /// So many bytes of a reader; cannot be sent twice.
    Reader(&'a mut dyn Read, u64, &'a dyn Fn(u64)),
}

impl Session<'_> {
    /// The address of something in the repository.
    pub(super) fn url(&self, rest: &str) -> Result<Url, RegistryError> {
        self.endpoint.url(self.repository, rest)
    }

    /// Asks without a body.
    pub(super) fn ask(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        patience: &mut Patience,
    ) -> Result<Incoming, Failure> {
        self.send(method, url, headers, Content::Empty, patience)
    }

    /// Sends a request. The answer has any status but 401, one that says to try again later, or,
    /// unless only the head was asked for, a redirect.
    pub(super) fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        content: Content<'_>,
        patience: &mut Patience,
    ) -> Result<Incoming, Failure> {
        let mut url = url;
        let mut content = content;
        let mut redirects = 0;
        let mut challenges = 0;
        loop {
            let is_own = url.origin() == self.endpoint.base.origin();
            let purpose = self.purpose();
            let shown = match is_own {
                true => self.authorizer.shown(&purpose, patience)?,
                false => None,
            };
            let mut headers = headers.clone();
            if let Some(shown) = &shown {
                headers.insert(AUTHORIZATION, shown.header.clone());
            }
            let (body, is_once) = match &mut content {
                Content::Empty => (Body::Empty, false),
                Content::Bytes(bytes) => (Body::Bytes(bytes.clone()), false),
                Content::Reader(reader, length, taken) => {
                    (Body::Reader(&mut **reader, *length, *taken), true)
                }
            };
            let patient = match body {
                Body::Empty => stall(patience),
                // What was sent may have to be put in its place.
                _ => patience.left(),
            };
            let sent = self.transport.send(Outgoing {
                method: method.clone(),
                url: url.clone(),
                headers,
                body,
                trust: self.endpoint.trust_of(&url, self.settings),
                silence: stall(patience),
                patience: patient,
            });
            let mut answer = sent.map_err(|error| self.failure(error))?;
            if answer.status == StatusCode::UNAUTHORIZED && is_own {
                let headers = std::mem::take(&mut answer.headers);
                let detail = detail(&mut answer);
                self.authorizer
                    .learn(&purpose, &headers, shown.as_ref(), &detail)?;
                challenges += 1;
                let error = RegistryError::Unauthorized {
                    subject: self.subject.clone(),
                    registry: self.endpoint.registry.clone(),
                    reason: format!("asks again and again who asks{detail}"),
                };
                if challenges > CHALLENGES {
                    return Err(Failure::Final(error));
                }
                if is_once {
                    return Err(Failure::Again(error));
                }
                continue;
            }
            if let Some(target) = self.redirection(&url, &answer)? {
                // It is there; and an address with a signature may be good for reading alone.
                if method == Method::HEAD && target.origin() != url.origin() {
                    return Ok(answer);
                }
                redirects += 1;
                if redirects > REDIRECTS {
                    return Err(Failure::Final(self.invalid("it redirects too often")));
                }
                if is_once {
                    return Err(Failure::Final(
                        self.invalid("it redirects what is sent to it"),
                    ));
                }
                url = target;
                continue;
            }
            if is_transient(answer.status) {
                return Err(status(answer, &self.subject, &self.endpoint.registry));
            }
            if !is_own && is_stale(answer.status) {
                // An address with a signature that holds for a while: the registry gives another.
                return Err(Failure::Again(self.status_error(&mut answer)));
            }
            return Ok(answer);
        }
    }

    /// What an answer to a question for `what` means that is not the one that was hoped for.
    pub(super) fn missing(&self, answer: Incoming, what: &str) -> Failure {
        match answer.status {
            StatusCode::NOT_FOUND => Failure::Final(RegistryError::NotFound {
                repository: self.repository.clone(),
                what: what.to_owned(),
            }),
            _ => self.refused(answer),
        }
    }

    /// What an answer means that is not the one that was hoped for.
    pub(super) fn refused(&self, mut answer: Incoming) -> Failure {
        match answer.status {
            StatusCode::FORBIDDEN => Failure::Final(RegistryError::Denied {
                subject: self.subject.clone(),
                registry: self.endpoint.registry.clone(),
                detail: detail(&mut answer),
            }),
            _ => Failure::Final(self.status_error(&mut answer)),
        }
    }

    pub(super) fn failure(&self, error: TransportError) -> Failure {
        failure(error, &self.subject, &self.endpoint.registry)
    }

    pub(super) fn invalid(&self, reason: impl std::fmt::Display) -> RegistryError {
        RegistryError::invalid(&self.subject, reason)
    }

    /// Where an answer to an upload says that it goes on. A registry behind a proxy that encrypts
    /// may not know it, and leave that out of its address.
    pub(super) fn location(&self, url: &Url, answer: &Incoming) -> Result<Url, Failure> {
        let target = target(url, answer).ok_or_else(|| {
            Failure::Final(self.invalid("its answer does not say where to go on (Location)"))
        })?;
        self.allowed(target)
    }

    fn status_error(&self, answer: &mut Incoming) -> RegistryError {
        RegistryError::Status {
            subject: self.subject.clone(),
            registry: self.endpoint.registry.clone(),
            status: answer.status.to_string(),
            detail: detail(answer),
        }
    }

    fn purpose(&self) -> Purpose<'_> {
        Purpose {
            settings: self.settings,
            transport: self.transport,
            endpoint: &self.endpoint,
            repository: self.repository,
            scopes: &self.scopes,
            subject: &self.subject,
        }
    }

    fn redirection(&self, url: &Url, answer: &Incoming) -> Result<Option<Url>, Failure> {
        if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let target = target(url, answer)
            .ok_or_else(|| Failure::Final(self.invalid("it redirects to what is no address")))?;
        self.allowed(target).map(Some)
    }

    fn allowed(&self, mut target: Url) -> Result<Url, Failure> {
        if target.scheme() == "http" && !self.endpoint.is_plain() {
            if target.host_str() == self.endpoint.base.host_str() {
                let port = self.endpoint.base.port();
                let encrypted = target
                    .set_scheme("https")
                    .and_then(|()| target.set_port(port));
                if encrypted.is_err() {
                    return Err(Failure::Final(
                        self.invalid("it redirects to what is no address"),
                    ));
                }
            } else if !may_be_plain(self.settings, &target) {
                return Err(Failure::Final(self.invalid(format!(
                    "it redirects to {}, which is not encrypted",
                    crate::network::place(&target)
                ))));
            }
        }
        Ok(target)
    }
}

/// Where an answer points to.
fn target(url: &Url, answer: &Incoming) -> Option<Url> {
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    let mut target = url.join(location).ok()?;
    target.set_fragment(None);
    let is_address = matches!(target.scheme(), "http" | "https") && target.has_host();
    // Credentials in an address would be sent as ours.
    let is_bare = target.username().is_empty() && target.password().is_none();
    (is_address && is_bare).then_some(target)
}

/// Whether a status says that another attempt may succeed.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504 | 507..=599)
}

/// Whether a server of blobs says with this status that the address is too old.
fn is_stale(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 410)
}

/// What an answer means that has no meaning of its own.
pub(super) fn status(mut answer: Incoming, subject: &str, registry: &str) -> Failure {
    let after = retry_after(&answer.headers);
    let error = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests {
            subject: subject.to_owned(),
            registry: registry.to_owned(),
            after,
            detail: detail(&mut answer),
        },
        status => RegistryError::Status {
            subject: subject.to_owned(),
            registry: registry.to_owned(),
            status: status.to_string(),
            detail: detail(&mut answer),
        },
    };
    match is_transient(answer.status) {
        true => Failure::Transient(error, after),
        false => Failure::Final(error),
    }
}

/// When the registry wants to be asked again (RFC 9110, section 10.2.3). A date counts from the
/// date of the answer, so that no clock has to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(date.timestamp().as_second())
    };
    let now = date(headers.get(reqwest::header::DATE)?.to_str().ok()?)?;
    let seconds = date(text)?.saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// What a failed exchange means.
pub(super) fn failure(error: TransportError, subject: &str, registry: &str) -> Failure {
    let subject = subject.to_owned();
    let registry = registry.to_owned();
    match error {
        TransportError::Cancelled => Failure::Final(RegistryError::Interrupted),
        TransportError::Network(error) => Failure::Final(error.into()),
        TransportError::Start(reason) => Failure::Final(RegistryError::Start(reason)),
        TransportError::Silent { place } => {
            Failure::Transient(RegistryError::Timeout { subject, place }, None)
        }
        TransportError::Plain { place } => Failure::Final(RegistryError::Plain {
            subject,
            place,
            registry,
        }),
        TransportError::Certificate { place, reason } => {
            Failure::Final(RegistryError::Certificate {
                subject,
                place,
                registry,
                reason,
            })
        }
        error @ TransportError::Refused { .. } => {
            let reason = error.to_string();
            Failure::Final(RegistryError::Connection { subject, reason })
        }
        error @ TransportError::Connect { .. } => {
            let reason = error.to_string();
            Failure::Unreachable(RegistryError::Connection { subject, reason })
        }
        error @ TransportError::Cut { .. } => {
            let reason = error.to_string();
            Failure::Transient(RegistryError::Connection { subject, reason }, None)
        }
        TransportError::Source(error) => Failure::Final(RegistryError::Connection {
            subject,
            reason: format!("cannot read what is sent: {error}"),
        }),
    }
}

/// A failure to find credentials.
pub(super) fn credentials(error: CredentialsError) -> RegistryError {
    match error {
        CredentialsError::Interrupted => RegistryError::Interrupted,
        error => RegistryError::Credentials(error),
    }
}

/// What a registry says about an error (distribution specification, "Error Codes"), behind a colon,
/// harmless and short; empty if it says nothing of use.
pub(super) fn detail(answer: &mut Incoming) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    // What can be read of it is good enough.
    let (body, _) = answer.read(DETAIL_LIMIT).unwrap_or_default();
    let Ok(errors) = serde_json::from_slice::<Errors>(&body) else {
        return String::new();
    };
    let entries = errors.errors.into_iter().take(4).map(|entry| {
        let parts = [entry.code, entry.message];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    });
    let said = entries.collect::<Vec<_>>().join(", ");
    match harmless(&said) {
        said if said.is_empty() => said,
        said => format!(": {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_when_it_wants_to_be_asked_again() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (after, now, expected) in [
            ("120", "", Some(120)),
            (" 0 ", "", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", date, Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", "", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", None),
            ("-5", "", None),
            ("1.5", "", None),
            ("99999999999999999999", "", None),
            ("soon", date, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            if !now.is_empty() {
                headers.insert(reqwest::header::DATE, now.parse().unwrap());
            }
            let found = retry_after(&headers).map(|it| it.as_secs());
            assert_eq!(found, expected, "{after} {now}");
        }
    }
}
