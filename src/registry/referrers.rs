//! Referrers: what says that it belongs to a manifest (distribution specification, "Listing
//! Referrers").
//!
//! A registry that does not keep track of them has an index under a tag made of the manifest's
//! digest instead, which whoever adds one rewrites ("Referrers Tag Schema").

use super::patience::Failure;
use super::session::Session;
use super::tags::{next_page, page};
use super::{Client, Reference, Referrers, RegistryError, Repository, documents};
use crate::digest::Digest;
use crate::store::Descriptor;
use oci_spec::image::MediaType;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Answers that are read for one manifest.
const PAGES_LIMIT: usize = 100;
/// Manifests that are listed for one.
const REFERRERS_LIMIT: usize = 100_000;
/// Times that the index is written anew when others write it too.
const ATTEMPTS: usize = 6;

#[derive(Deserialize)]
struct Index {
    manifests: Option<Vec<Value>>,
}

/// What is written about a manifest in the index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    artifact_type: Option<MediaType>,
    config: Option<Config>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: MediaType,
}

/// What refers to a manifest.
pub(super) fn list(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
) -> Result<Referrers, RegistryError> {
    let subject = format!("what refers to {digest} of {repository}");
    let listed = client.at_registry(repository, "pull", &subject, |session, patience| {
        let mut url = session.url(&format!("referrers/{digest}"))?;
        let mut referrers = Vec::new();
        for _ in 0..PAGES_LIMIT {
            let mut headers = HeaderMap::new();
            let index = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
            headers.insert(ACCEPT, index);
            let mut answer = session.ask(Method::GET, url.clone(), headers, patience)?;
            if !knows_referrers(answer.status) {
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(session.refused(answer));
            }
            if referrers.len() > REFERRERS_LIMIT {
                break;
            }
            let next = next_page(session, &url, &answer);
            let index: Index = page(session, &mut answer)?;
            referrers.extend(descriptors(session, index)?);
            match next {
                Some(next) => url = next,
                None => return Ok(Some(referrers)),
            }
            patience.renew();
        }
        Err(Failure::Final(
            session.invalid("the registry goes on and on"),
        ))
    })?;
    let mut referrers = match listed {
        Some(referrers) => referrers,
        None => {
            let fallback = Fallback::read(client, &fallback(repository, digest))?;
            let parsed = fallback.entries.into_iter().map(serde_json::from_value);
            parsed
                .collect::<Result<_, _>>()
                .map_err(|error| RegistryError::invalid(subject, error.to_string()))?
        }
    };
    // A registry may not know what its filter is for, or list the same twice.
    let mut seen = std::collections::BTreeSet::new();
    referrers.retain(|referrer: &Descriptor| seen.insert(referrer.digest));
    Ok(referrers)
}

/// Adds a manifest to the index of those that refer to `subject`.
pub(super) fn add(
    client: &Client,
    repository: &Repository,
    subject: &Descriptor,
    text: &[u8],
    descriptor: &Descriptor,
) -> Result<(), RegistryError> {
    let reference = fallback(repository, &subject.digest);
    let ours = descriptor.digest.to_string();
    let entry = entry(text, descriptor);
    for _ in 0..ATTEMPTS {
        let mut index = Fallback::read(client, &reference)?;
        if index.has(&ours) {
            return Ok(());
        }
        index.entries.push(entry.clone());
        // Between reading and writing as little time as possible; what happens in it is noticed
        // by reading again.
        let now = client.describe(&reference)?.map(|now| now.digest);
        if now == index.digest {
            let kind = MediaType::ImageIndex;
            documents::write(client, &reference, &kind, index.text().as_bytes())?;
        }
    }
    if Fallback::read(client, &reference)?.has(&ours) {
        return Ok(());
    }
    Err(RegistryError::invalid(
        format!("{reference}, which lists what refers to {}", subject.digest),
        "others write it again and again".to_owned(),
    ))
}

/// Whether a registry answers with this status that it keeps track of referrers. One that does not
/// knows nothing of the address, in one way or another.
fn knows_referrers(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}

fn descriptors(session: &Session<'_>, index: Index) -> Result<Vec<Descriptor>, Failure> {
    let entries = index.manifests.unwrap_or_default();
    let parsed = entries.into_iter().map(serde_json::from_value);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Final(session.invalid(error.to_string())))
}

/// The tag in place of the registry's own list.
fn fallback(repository: &Repository, digest: &Digest) -> Reference {
    Reference {
        repository: repository.clone(),
        tag: Some(format!("sha256-{}", digest.hex())),
        digest: None,
    }
}

/// The index in place of a list.
struct Fallback {
    /// None if there is no index yet.
    digest: Option<Digest>,
    /// What it lists, as it is.
    entries: Vec<Value>,
    /// All else that it holds.
    rest: Map<String, Value>,
}

impl Fallback {
    fn read(client: &Client, reference: &Reference) -> Result<Self, RegistryError> {
        let document = match documents::read(client, reference) {
            Ok(document) => document,
            Err(RegistryError::NotFound { .. }) => {
                return Ok(Self {
                    digest: None,
                    entries: Vec::new(),
                    rest: Map::new(),
                });
            }
            Err(error) => return Err(error),
        };
        let invalid = |reason: String| RegistryError::invalid(reference.to_string(), reason);
        let mut rest: Map<String, Value> =
            serde_json::from_slice(&document.text).map_err(|error| invalid(error.to_string()))?;
        let entries = match rest.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            Some(Value::Null) | None => Vec::new(),
            Some(_) => return Err(invalid("its manifests are no list".to_owned())),
        };
        Ok(Self {
            digest: Some(document.descriptor.digest),
            entries,
            rest,
        })
    }

    fn has(&self, digest: &str) -> bool {
        let digests = self.entries.iter().map(|entry| entry.get("digest"));
        digests.flatten().any(|it| it.as_str() == Some(digest))
    }

    fn text(&self) -> String {
        let mut index = self.rest.clone();
        index.insert("schemaVersion".to_owned(), json!(2));
        index.insert("mediaType".to_owned(), json!(MediaType::ImageIndex));
        index.insert("manifests".to_owned(), json!(self.entries));
        Value::Object(index).to_string()
    }
}

/// The entry of a manifest: what it is, and its annotations.
fn entry(text: &[u8], descriptor: &Descriptor) -> Value {
    let mut entry = descriptor.plain();
    if let Ok(referring) = serde_json::from_slice::<Referring>(text) {
        let config = referring.config.map(|config| config.media_type);
        entry.artifact_type = referring.artifact_type.or(config);
        entry.annotations = referring.annotations.unwrap_or_default();
    }
    json!(entry)
}
