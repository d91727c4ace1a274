//! Tokens: what a server gives out for some scopes (Docker token authentication specification).
//!
//! Whoever asks shows the credentials that there are for the registry, or none. What a token is
//! good for, and how long it is kept, is the caller's matter.

use super::authorization::{Purpose, basic, unauthorized};
use super::endpoint::{is_loopback, may_be_plain, stall};
use super::error::harmless;
use super::patience::{Failure, Patience};
use super::transport::{Body, Outgoing};
use super::{Credentials, RegistryError, session};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// What we are called by servers that give out tokens.
const CLIENT: &str = "hardtack";
/// More than any token has.
const TOKEN_LIMIT: usize = 1024 * 1024;
/// How long a token holds that does not say it (token specification, "expires_in").
const DEFAULT_LIFETIME: u64 = 60;
/// Longer than any token holds.
const LONGEST_LIFETIME: u64 = 24 * 60 * 60;

/// A server that gives out tokens, as a registry names it.
pub(super) struct Server<'a> {
    /// Its address.
    pub(super) realm: &'a str,
    /// What the registry is called there.
    pub(super) service: &'a str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<Value>,
}

/// Asks the server that gives out tokens.
pub(super) fn fetch(
    purpose: &Purpose<'_>,
    server: &Server<'_>,
    credentials: Option<&Credentials>,
    scopes: &[String],
    patience: &mut Patience,
) -> Result<(HeaderValue, Duration), Failure> {
    let service = server.service;
    let url = realm_address(purpose, server.realm)?;
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
    let answer = match credentials {
        Some(Credentials::IdentityToken(token)) => {
            let form = by_form(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
            ask(purpose, url, None, Some(form), patience)?
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
            let answer = ask(purpose, asked, header, None, patience)?;
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
                    ask(purpose, url, None, Some(form), patience)?
                }
                _ => answer,
            }
        }
    };
    token(purpose, answer, credentials.is_some())
}

fn token(
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
    let lifetime = answer.expires_in.as_ref().and_then(Value::as_u64);
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
    // It must still hold when the request arrives.
    let lifetime = Duration::from_secs(lifetime.min(LONGEST_LIFETIME)).mul_f64(0.9);
    Ok((header, lifetime))
}

fn ask(
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

/// The address of the server that gives out tokens: encrypted, unless it may be asked without.
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
    // What the registry itself may be sent without encryption, it is sent as well when it gives out
    // the tokens.
    let endpoint = purpose.endpoint;
    let is_registry = endpoint.is_plain() && url.host_str() == endpoint.base.host_str();
    if url.scheme() == "http"
        && !is_registry
        && !is_local
        && !may_be_plain(purpose.settings, &url)
    {
        return Err(wrong("which is not encrypted"));
    }
    Ok(url)
}
