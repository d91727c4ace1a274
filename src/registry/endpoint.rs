//! Endpoints: the addresses under which registries and their mirrors are asked.
//!
//! An *endpoint* is an address below which the interface of the distribution specification is,
//! and what a connection to it relies on. Encryption is the rule: a registry is asked without it
//! only if it is this very machine or the user allows it, and then it is tried out once.

use super::patience::{Failure, Patience};
use super::reference::{DOCKER, Repository, is_registry};
use super::transport::{Body, Outgoing, Transport, TransportError};
use super::{RegistryError, Settings, session};
use crate::network::Trust;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where Docker's registry is asked.
const DOCKER_HOST: &str = "registry-1.docker.io";
/// Folders with certificates, by host; those of the user come before.
const CERTIFICATE_FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];
/// More than any file with certificates has.
const CERTIFICATES_LIMIT: u64 = 4 * 1024 * 1024;
/// How much of an answer is read to tell whether it asks for encryption.
const NOTICE_LIMIT: usize = 1024;

/// An address of a registry or of a mirror.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Whose credentials it takes, and what it is called in messages.
    pub(super) registry: String,
    /// `https://HOST[:PORT]/v2/`
    pub(super) base: Url,
    /// Precedes the paths of repositories, with a slash at its end; mostly empty.
    pub(super) prefix: String,
    /// What an encrypted connection relies on.
    pub(super) trust: Trust,
}

/// The endpoints that are known already.
#[derive(Default)]
pub(super) struct Endpoints {
    /// By registry. The inner lock is held while one thread finds out.
    known: Mutex<BTreeMap<String, Arc<Mutex<Option<Endpoint>>>>>,
}

impl Endpoint {
    /// The address of something in a repository: `blobs/sha256:…`.
    pub(super) fn url(&self, repository: &Repository, rest: &str) -> Result<Url, RegistryError> {
        let path = format!("{}{}/{rest}", self.prefix, repository.path);
        self.base
            .join(&path)
            .map_err(|_| RegistryError::Setting(format!("{path:?} is no part of an address")))
    }

    /// The scope that allows `actions` on a repository (Docker token specification).
    pub(super) fn scope(&self, repository: &Repository, actions: &str) -> String {
        format!("repository:{}{}:{actions}", self.prefix, repository.path)
    }

    /// What a connection to `url`, which the registry named, relies on: what was set up for the
    /// registry is not for others.
    pub(super) fn trust_of(&self, url: &Url, settings: &Settings) -> Trust {
        if url.host_str() == self.base.host_str() {
            return self.trust.clone();
        }
        Trust {
            authorities: settings.authorities.clone(),
            identity: Vec::new(),
            anyone: is_allowed(settings, url),
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }
}

impl Endpoints {
    /// Where a registry itself is asked.
    pub(super) fn registry(
        &self,
        settings: &Settings,
        transport: &Transport,
        registry: &str,
        subject: &str,
        patience: &Patience,
    ) -> Result<Endpoint, Failure> {
        let place = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(registry.to_owned()).or_default().clone()
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = &*place {
            return Ok(endpoint.clone());
        }
        let trust = trust(settings, registry)?;
        let finder = Finder {
            transport,
            registry,
            subject,
            trust,
            patience,
        };
        let endpoint = finder.find(settings)?;
        *place = Some(endpoint.clone());
        Ok(endpoint)
    }
}

/// The mirrors of a registry, in their order.
pub(super) fn mirrors(settings: &Settings, registry: &str) -> Result<Vec<Endpoint>, RegistryError> {
    let addresses = settings.mirrors.get(registry).into_iter().flatten();
    addresses
        .map(|address| mirror(settings, registry, address))
        .collect()
}

fn mirror(settings: &Settings, registry: &str, address: &str) -> Result<Endpoint, RegistryError> {
    let wrong = || {
        let text = address.rsplit('@').next().unwrap_or_default();
        RegistryError::Setting(format!(
            "the mirror {text:?} of {registry} is not an address such as https://mirror.example/prefix"
        ))
    };
    let full = match address.contains("://") {
        true => address.to_owned(),
        false => format!("https://{address}"),
    };
    let url = Url::parse(&full).map_err(|_| wrong())?;
    let host = url.host_str().ok_or_else(wrong)?;
    let is_address = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_address {
        return Err(wrong());
    }
    let name = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let prefix = url.path().trim_matches('/');
    let prefix = prefix.strip_prefix("v2").map_or(prefix, |rest| {
        // Docker's form of a mirror's address may end in the interface's own path.
        rest.strip_prefix('/')
            .unwrap_or(if rest.is_empty() { "" } else { prefix })
    });
    let prefix = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Endpoint {
        base: base(url.scheme(), &name).ok_or_else(wrong)?,
        prefix,
        trust: trust(settings, &name)?,
        registry: name,
    })
}

fn base(scheme: &str, host: &str) -> Option<Url> {
    Url::parse(&format!("{scheme}://{host}/v2/")).ok()
}

/// Whether a host, with or without a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|it: IpAddr| it.is_loopback())
}

/// Whether an address may be asked without encryption.
pub(super) fn may_be_plain(settings: &Settings, url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback) || is_allowed(settings, url)
}

/// Whether the user allows to ask an address without encryption or trust.
fn is_allowed(settings: &Settings, url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
    let mut insecure = settings.insecure.iter();
    insecure.any(|allowed| allowed == host || *allowed == with_port)
}

/// What a connection to a registry relies on.
fn trust(settings: &Settings, registry: &str) -> Result<Trust, RegistryError> {
    let mut trust = Trust {
        authorities: settings.authorities.clone(),
        identity: Vec::new(),
        anyone: settings.insecure.iter().any(|host| host == registry),
    };
    let of_user = settings
        .home
        .iter()
        .map(|home| home.join(".config/containers/certs.d"));
    let folders = of_user.chain(CERTIFICATE_FOLDERS.iter().map(PathBuf::from));
    for folder in folders {
        add_certificates(&folder.join(registry), &mut trust)?;
    }
    Ok(trust)
}

/// Adds the authorities `*.crt`, and `*.cert` with its `*.key` unless there is one already
/// (containers-certs.d(5)).
fn add_certificates(folder: &Path, trust: &mut Trust) -> Result<(), RegistryError> {
    // A folder that is not there, or not for us, has nothing for us.
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                trust.authorities.push(b'\n');
                trust.authorities.extend(read_certificates(&path)?);
            }
            Some("cert") if trust.identity.is_empty() => {
                trust.identity = read_certificates(&path)?;
                trust.identity.push(b'\n');
                let key = path.with_extension("key");
                trust.identity.extend(read_certificates(&key)?);
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_certificates(path: &Path) -> Result<Vec<u8>, RegistryError> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(CERTIFICATES_LIMIT).read_to_end(&mut text));
    read.map_err(|error| {
        RegistryError::Setting(format!("cannot read {}: {error}", path.display()))
    })?;
    Ok(text)
}

/// Finds out how a registry is spoken to.
struct Finder<'a> {
    transport: &'a Transport,
    registry: &'a str,
    subject: &'a str,
    trust: Trust,
    patience: &'a Patience,
}

impl Finder<'_> {
    fn find(&self, settings: &Settings) -> Result<Endpoint, Failure> {
        if !is_registry(self.registry) {
            return Err(Failure::Final(RegistryError::Setting(format!(
                "{:?} is no host of a registry",
                self.registry
            ))));
        }
        if is_loopback(self.registry) {
            // Whether a server without encryption understands an attempt to encrypt is luck; one
            // with it notices the opposite at once.
            let plain = match self.probe("http") {
                Ok(true) => return self.endpoint("http"),
                Ok(false) => None,
                Err(error @ TransportError::Cut { .. }) => Some(error),
                Err(error) => return Err(self.failure(error)),
            };
            return match (self.probe("https"), plain) {
                (Ok(_), _) => self.endpoint("https"),
                (Err(TransportError::Plain { .. } | TransportError::Cut { .. }), Some(plain)) => {
                    Err(self.failure(plain))
                }
                (Err(error), _) => Err(self.failure(error)),
            };
        }
        if settings.insecure.iter().any(|host| host == self.registry) {
            let encrypted = match self.probe("https") {
                Ok(_) => return self.endpoint("https"),
                Err(error @ (TransportError::Cancelled | TransportError::Network(_))) => {
                    return Err(self.failure(error));
                }
                Err(error) => error,
            };
            return match self.probe("http") {
                Ok(true) => self.endpoint("http"),
                _ => Err(self.failure(encrypted)),
            };
        }
        self.endpoint("https")
    }

    fn endpoint(&self, scheme: &str) -> Result<Endpoint, Failure> {
        let base = self.base(scheme).ok_or_else(|| {
            RegistryError::Setting(format!("{:?} is no host of a registry", self.registry))
        })?;
        Ok(Endpoint {
            registry: self.registry.to_owned(),
            base,
            prefix: String::new(),
            trust: self.trust.clone(),
        })
    }

    fn base(&self, scheme: &str) -> Option<Url> {
        match self.registry {
            DOCKER => base(scheme, DOCKER_HOST),
            registry => base(scheme, registry),
        }
    }

    /// Whether the registry can be spoken to with this scheme: false if it asks for another.
    fn probe(&self, scheme: &str) -> Result<bool, TransportError> {
        let Some(url) = self.base(scheme) else {
            return Ok(false);
        };
        let silence = stall(self.patience);
        let mut answer = self.transport.send(Outgoing {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            trust: self.trust.clone(),
            silence,
            patience: silence,
        })?;
        if answer.status != StatusCode::BAD_REQUEST {
            return Ok(true);
        }
        let (notice, _) = answer.read(NOTICE_LIMIT)?;
        let notice = String::from_utf8_lossy(&notice).to_ascii_lowercase();
        Ok(!(notice.contains("https") && notice.contains("http request")))
    }

    fn failure(&self, error: TransportError) -> Failure {
        session::failure(error, self.subject, self.registry)
    }
}

/// How long nothing may come of an answer.
pub(super) fn stall(patience: &Patience) -> Duration {
    // A quarter of the budget leaves time for another attempt, where the budget is small.
    (patience.budget() / 4)
        .min(Duration::from_secs(30))
        .min(patience.left())
        .max(Duration::from_millis(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn settings() -> Settings {
        Settings {
            environment: BTreeMap::new(),
            home: None,
            insecure: vec!["plain.example".to_owned(), "r.example:81".to_owned()],
            mirrors: BTreeMap::new(),
            authorities: Vec::new(),
            budget: Duration::from_secs(1),
            is_cancelled: Arc::new(|| false),
        }
    }

    #[test]
    fn mirrors_are_addresses_with_or_without_a_path() {
        for (address, expected) in [
            ("https://m.example", "https://m.example/v2/a/b/tags/list"),
            ("m.example:5000/", "https://m.example:5000/v2/a/b/tags/list"),
            (
                "http://m.example/hub/x/",
                "http://m.example/v2/hub/x/a/b/tags/list",
            ),
            ("https://m.example/v2", "https://m.example/v2/a/b/tags/list"),
            (
                "https://m.example/v2/hub",
                "https://m.example/v2/hub/a/b/tags/list",
            ),
            (
                "https://m.example/v2x",
                "https://m.example/v2/v2x/a/b/tags/list",
            ),
            ("https://[::1]:5000", "https://[::1]:5000/v2/a/b/tags/list"),
            ("ftp://m.example", ""),
            ("https://u:p@m.example", ""),
            ("https://m.example?x", ""),
            ("https://", ""),
        ] {
            let repository = "r.example/a/b".parse().unwrap();
            let url = mirror(&settings(), "r.example", address)
                .and_then(|mirror| mirror.url(&repository, "tags/list"));
            let url = url.map_or(String::new(), |url| url.to_string());
            assert_eq!(url, expected, "{address}");
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
            ("128.0.0.1", false),
            ("0.0.0.0:5000", false),
            ("[::2]", false),
            ("[", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn what_may_be_plain_is_what_the_user_allows() {
        for (url, expected) in [
            ("http://plain.example/x", true),
            ("http://plain.example:81/x", true),
            ("http://r.example:81/x", true),
            ("http://r.example/x", false),
            ("http://127.0.0.1:1/", true),
            ("http://[::1]:1/", true),
            ("http://127.0.0.1.example/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(may_be_plain(&settings(), &url), expected, "{url}");
        }
    }
}
