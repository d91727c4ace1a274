//! One exchange with a server, or with several if the first points to others.

use super::{Elsewhere, Exchange, HttpError, Limits, Proxies, Trust};
use crate::network::{chain, place};
use crate::template::HttpResponse;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use reqwest::{Client, Method, Response, StatusCode, Url};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// Headers that may be sent to a server that another one points to: they describe the wanted
/// answer. Any other may be a password, whatever its name.
const HARMLESS_HEADERS: [&str; 4] = ["accept", "accept-language", "accept-encoding", "user-agent"];

/// The open connections, by what they rely on.
pub(super) struct Connections {
    limits: Limits,
    proxies: Proxies,
    clients: Mutex<BTreeMap<Reliance, Client>>,
}

/// What a connection relies on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reliance {
    /// On nothing: it is not encrypted.
    Plain,
    /// On certificates.
    Certificates(Trust),
}

impl Connections {
    pub(super) fn new(limits: Limits, proxies: Proxies) -> Self {
        Self {
            limits,
            proxies,
            clients: Mutex::default(),
        }
    }

    /// Sends the request, follows redirects and reads the answer.
    pub(super) async fn exchange(&self, exchange: Exchange) -> Result<HttpResponse, HttpError> {
        let url = address(&exchange.request.url)?;
        let place = place(&url);
        tokio::time::timeout(exchange.patience, self.follow(exchange, url))
            .await
            .unwrap_or(Err(HttpError::Timeout { place }))
    }

    async fn follow(&self, exchange: Exchange, url: Url) -> Result<HttpResponse, HttpError> {
        let Exchange { request, .. } = exchange;
        let start = place(&url);
        let mut url = url;
        let mut method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::Method(request.method.clone()))?;
        let mut headers = header_map(&request.headers)?;
        let mut body = Some(request.body).filter(|body| !body.is_empty());
        for _ in 0..=MAX_REDIRECTS {
            let client = self.client(&url, &exchange.trust)?;
            let mut builder = client
                .request(method.clone(), url.clone())
                .headers(headers.clone());
            if let Some(body) = &body {
                builder = builder.body(body.clone());
            }
            let response = builder.send().await.map_err(|error| failure(&url, error))?;
            let Some(target) = redirection(&url, &response) else {
                return self.read(&url, response).await;
            };
            let keeps_method = matches!(
                response.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            if !keeps_method {
                if method != Method::HEAD {
                    method = Method::GET;
                }
                body = None;
            }
            if target.origin() != url.origin() {
                if exchange.elsewhere == Elsewhere::Refuse || body.is_some() {
                    return Err(HttpError::RedirectedElsewhere {
                        place: place(&url),
                        target: place(&target),
                    });
                }
                headers = harmless(&headers);
            }
            url = target;
        }
        Err(HttpError::TooManyRedirects { place: start })
    }

    async fn read(&self, url: &Url, mut response: Response) -> Result<HttpResponse, HttpError> {
        let limit = self.limits.body_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failure(url, error))?
        {
            if body.len().saturating_add(chunk.len()) > limit {
                let place = place(url);
                return Err(HttpError::TooLong { place, limit });
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Ok(HttpResponse {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body,
        })
    }

    fn client(&self, url: &Url, trust: &Trust) -> Result<Client, HttpError> {
        let reliance = match url.scheme() {
            "http" => Reliance::Plain,
            _ => Reliance::Certificates(trust.clone()),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&reliance) {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(self.limits.connect)
            .read_timeout(self.limits.silence);
        let builder = match &reliance {
            // A machine without any certificates can still ask without encryption.
            Reliance::Plain => Trust::default().apply(builder)?.tls_certs_only([]),
            Reliance::Certificates(trust) => trust.apply(builder)?,
        };
        let client = self
            .proxies
            .apply(builder)?
            .build()
            .map_err(|error| HttpError::Start(chain(&error)))?;
        clients.insert(reliance, client.clone());
        Ok(client)
    }
}

/// Where the answer sends the request, if it does.
fn redirection(url: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location)
        .ok()
        .filter(|target| matches!(target.scheme(), "http" | "https"))
}

/// Reads an absolute address.
fn address(text: &str) -> Result<Url, HttpError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| HttpError::Address {
            // What is not understood may still have a password before the `@`.
            url: text.rsplit('@').next().unwrap_or_default().to_owned(),
        })
}

fn header_map(given: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("hardtack/", env!("CARGO_PKG_VERSION"))),
    );
    let mut replaced = false;
    for (name, value) in given {
        let wrong = || HttpError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| wrong())?;
        if key == USER_AGENT && !replaced {
            replaced = true;
            headers.insert(key, value);
        } else {
            headers.append(key, value);
        }
    }
    Ok(headers)
}

fn harmless(headers: &HeaderMap) -> HeaderMap {
    let kept = headers
        .iter()
        .filter(|(name, _)| HARMLESS_HEADERS.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn failure(url: &Url, error: reqwest::Error) -> HttpError {
    let place = place(url);
    if error.is_timeout() {
        return HttpError::Timeout { place };
    }
    let reason = chain(&error.without_url());
    HttpError::Connection { place, reason }
}
