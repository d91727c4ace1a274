//! Referrers: what says that it belongs to a manifest (distribution specification, "Listing
//! Referrers").
//!
//! A registry that does not keep track of them has an index under a tag made of the manifest's
//! digest instead, which whoever adds one rewrites ("Referrers Tag Schema").

use super::patience::Failure;
use super::session::Session;
use super::tags::{json, next_page};
use super::{Client, Reference, Referrers, RegistryError, Repository, documents};
use crate::digest::Digest;
use crate::store::Descriptor;
use oci_spec::image::MediaType;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers that are read for one manifest.
const PAGES_LIMIT: usize = 100;
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
                return Err(session.refused(answer, "list of referrers"));
            }
            let next = next_page(session, &url, &answer);
            let index: Index = json(session, &mut answer)?;
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
            let entries = entries(client, &fallback(repository, digest))?;
            let parsed = entries.1.into_iter().map(serde_json::from_value);
            parsed
                .collect::<Result<_, _>>()
                .map_err(|error| RegistryError::Invalid {
                    subject,
                    reason: error.to_string(),
                })?
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
        let (before, mut entries) = entries(client, &reference)?;
        if entries.iter().any(|entry| is_about(entry, &ours)) {
            return Ok(());
        }
        entries.push(entry.clone());
        let index = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageIndex,
            "manifests": entries,
        });
        // Between reading and writing as little time as possible; what happens in it is noticed
        // by reading again.
        let now = client.describe(&reference)?.map(|now| now.digest);
        if now == before {
            let text = index.to_string();
            documents::write(client, &reference, &MediaType::ImageIndex, text.as_bytes())?;
        }
    }
    let (_, entries) = entries(client, &reference)?;
    if entries.iter().any(|entry| is_about(entry, &ours)) {
        return Ok(());
    }
    Err(RegistryError::Invalid {
        subject: format!("{reference}, which lists what refers to {}", subject.digest),
        reason: "others write it again and again".to_owned(),
    })
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

/// The entries of the index, as they are, and its digest; none if there is no index yet.
fn entries(
    client: &Client,
    reference: &Reference,
) -> Result<(Option<Digest>, Vec<Value>), RegistryError> {
    let document = match documents::read(client, reference) {
        Ok(document) => document,
        Err(RegistryError::NotFound { .. }) => return Ok((None, Vec::new())),
        Err(error) => return Err(error),
    };
    let index: Index =
        serde_json::from_slice(&document.text).map_err(|error| RegistryError::Invalid {
            subject: reference.to_string(),
            reason: error.to_string(),
        })?;
    let entries = index.manifests.unwrap_or_default();
    Ok((Some(document.descriptor.digest), entries))
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

fn is_about(entry: &Value, digest: &str) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest)
}
