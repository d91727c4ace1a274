//! Documents: manifests and indexes, read and written byte by byte.
//!
//! What a document is must be said in one voice: by the registry's `Content-Type`, by its own
//! `mediaType` and by what it lists; one that says two things could be an image to us and another
//! one to the next reader (CVE-2021-41190).

use super::client::Document;
use super::patience::Failure;
use super::session::{Content, Incoming, Session};
use super::{Client, MANIFEST_LIMIT, Reference, RegistryError};
use crate::digest::Digest;
use crate::image::manifest::DocumentKind;
use crate::store::Descriptor;
use bytes::Bytes;
use oci_spec::image::MediaType;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is read: images and indexes in both families of formats.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// Content types that say nothing.
const SILENT_TYPES: [&str; 5] = [
    "",
    "application/json",
    "application/octet-stream",
    "binary/octet-stream",
    "text/plain",
];
/// Precedes the media types of Docker's first format.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What a document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    schema_version: Option<u64>,
    media_type: Option<String>,
    #[serde(borrow)]
    manifests: Option<&'a RawValue>,
    #[serde(borrow)]
    layers: Option<&'a RawValue>,
    #[serde(borrow)]
    fs_layers: Option<&'a RawValue>,
    /// What it refers to, for those that write it.
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
}

/// What a reference means at this moment.
pub(super) fn describe(
    client: &Client,
    reference: &Reference,
) -> Result<Descriptor, RegistryError> {
    let (what, subject) = names(reference);
    let described = client.for_reading(&reference.repository, &subject, |session, patience| {
        let url = session.url(&format!("manifests/{}", name(reference)))?;
        let answer = session.ask(Method::HEAD, url, accepting(), patience)?;
        match answer.status {
            StatusCode::OK => described(session, reference, &answer),
            status if status.is_redirection() => Ok(None),
            // An error has no body here that could say more.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
            _ => Err(session.missing(answer, &what)),
        }
    })?;
    match described {
        Some(descriptor) => Ok(descriptor),
        // The headers do not say enough.
        None => Ok(read(client, reference)?.descriptor),
    }
}

/// Reads a document and checks it.
pub(super) fn read(client: &Client, reference: &Reference) -> Result<Document, RegistryError> {
    let (what, subject) = names(reference);
    client.for_reading(&reference.repository, &subject, |session, patience| {
        let url = session.url(&format!("manifests/{}", name(reference)))?;
        let mut answer = session.ask(Method::GET, url, accepting(), patience)?;
        if answer.status != StatusCode::OK {
            return Err(session.missing(answer, &what));
        }
        let limit = usize::try_from(MANIFEST_LIMIT).unwrap_or(usize::MAX);
        let (text, is_whole) = answer.read(limit).map_err(|error| session.failure(error))?;
        if !is_whole {
            return Err(Failure::Final(RegistryError::TooLarge {
                subject: session.subject.clone(),
                limit: MANIFEST_LIMIT,
            }));
        }
        let digest = Digest::of(&text);
        let announced = reference.digest.or_else(|| announced_digest(&answer));
        if let Some(expected) = announced
            && expected != digest
        {
            return Err(Failure::Final(RegistryError::Mismatch {
                repository: reference.repository.clone(),
                what: what.clone(),
                expected,
                found: digest,
            }));
        }
        let media_type = judge(&content_type(&answer), &text)
            .map_err(|refusal| refusal.error(&session.subject))?;
        let descriptor = Descriptor::new(media_type, digest, text.len() as u64);
        Ok(Document { descriptor, text })
    })
}

/// Writes a document. The second value is what it refers to, if the registry does not keep track
/// of that (distribution specification, "Pushing Manifests with Subject").
pub(super) fn write(
    client: &Client,
    reference: &Reference,
    media_type: &MediaType,
    text: &[u8],
) -> Result<(Descriptor, Option<Descriptor>), RegistryError> {
    let digest = Digest::of(text);
    let (what, subject) = names(reference);
    if let Some(expected) = reference.digest
        && expected != digest
    {
        return Err(RegistryError::Mismatch {
            repository: reference.repository.clone(),
            what,
            expected,
            found: digest,
        });
    }
    if text.len() as u64 > MANIFEST_LIMIT {
        return Err(RegistryError::TooLarge {
            subject,
            limit: MANIFEST_LIMIT,
        });
    }
    let refers_to = refers_to(text)
        .map_err(|error| RegistryError::invalid(subject.clone(), error.to_string()))?;
    let content_type = HeaderValue::from_str(media_type.as_ref());
    let content_type = content_type.map_err(|_| RegistryError::Invalid {
        subject: subject.clone(),
        reason: format!("{:?} is no media type", media_type.as_ref()),
    })?;
    let name = match &reference.tag {
        Some(tag) => tag.clone(),
        None => digest.to_string(),
    };
    let content = Bytes::copy_from_slice(text);
    let knows_subject = client.at_registry(
        &reference.repository,
        "pull,push",
        &subject,
        |session, patience| {
            let url = session.url(&format!("manifests/{name}"))?;
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.clone());
            let content = Content::Bytes(content.clone());
            let answer = session.send(Method::PUT, url, headers, content, patience)?;
            if !answer.status.is_success() {
                return Err(session.refused(answer));
            }
            if let Some(found) = announced_digest(&answer)
                && found != digest
            {
                return Err(Failure::Final(RegistryError::Mismatch {
                    repository: reference.repository.clone(),
                    what: what.clone(),
                    expected: digest,
                    found,
                }));
            }
            Ok(answer.header("oci-subject").is_some())
        },
    )?;
    let descriptor = Descriptor::new(media_type.clone(), digest, text.len() as u64);
    Ok((descriptor, refers_to.filter(|_| !knows_subject)))
}

/// What a document refers to.
fn refers_to(text: &[u8]) -> serde_json::Result<Option<Descriptor>> {
    let outline: Outline<'_> = serde_json::from_slice(text)?;
    let subject = outline.subject.map(|it| serde_json::from_str(it.get()));
    subject.transpose()
}

/// What a document is, by all that is said about it.
fn judge(content_type: &str, text: &[u8]) -> Result<MediaType, Refusal> {
    if content_type.starts_with(SCHEMA_1) {
        return Err(Refusal::Schema1);
    }
    let outline: Outline<'_> =
        serde_json::from_slice(text).map_err(|error| Refusal::Invalid(error.to_string()))?;
    if outline.schema_version == Some(1) || outline.fs_layers.is_some() {
        return Err(Refusal::Schema1);
    }
    if outline.manifests.is_some() && outline.layers.is_some() {
        let reason = "it lists both manifests and layers";
        return Err(Refusal::Invalid(reason.to_owned()));
    }
    let is_silent = SILENT_TYPES.contains(&content_type);
    let media_type = match outline.media_type.as_deref().filter(|it| !it.is_empty()) {
        Some(own) if is_silent || own.eq_ignore_ascii_case(content_type) => own,
        Some(own) => {
            return Err(Refusal::Invalid(format!(
                "it says that it is {own:?}, and the registry that it is {content_type:?}"
            )));
        }
        None if !is_silent => content_type,
        // Nothing else could have such a list.
        None if outline.manifests.is_some() => MediaType::ImageIndex.as_ref(),
        None if outline.layers.is_some() => MediaType::ImageManifest.as_ref(),
        None => {
            let reason = "nothing says what it is";
            return Err(Refusal::Invalid(reason.to_owned()));
        }
    };
    let media_type = MediaType::from(media_type);
    let wrong = match DocumentKind::of(&media_type) {
        Some(DocumentKind::Index) => outline.layers.map(|_| "an index has no layers"),
        Some(DocumentKind::Manifest) => outline.manifests.map(|_| "a manifest has no manifests"),
        None => None,
    };
    match wrong {
        Some(reason) => Err(Refusal::Invalid(reason.to_owned())),
        None => Ok(media_type),
    }
}

/// Why a document is not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Schema1,
    Invalid(String),
}

impl Refusal {
    fn error(self, subject: &str) -> RegistryError {
        let subject = subject.to_owned();
        match self {
            Refusal::Schema1 => RegistryError::Schema1 { subject },
            Refusal::Invalid(reason) => RegistryError::invalid(subject, reason),
        }
    }
}

/// What the headers say; none if that is not enough.
fn described(
    session: &Session<'_>,
    reference: &Reference,
    answer: &Incoming,
) -> Result<Option<Descriptor>, Failure> {
    let content_type = content_type(answer);
    if content_type.starts_with(SCHEMA_1) {
        return Err(Failure::Final(Refusal::Schema1.error(&session.subject)));
    }
    let size = answer
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let (Some(digest), Some(size)) = (announced_digest(answer), size) else {
        return Ok(None);
    };
    let media_type = MediaType::from(content_type.as_str());
    if DocumentKind::of(&media_type).is_none() {
        return Ok(None);
    }
    if let Some(expected) = reference.digest
        && expected != digest
    {
        return Err(Failure::Final(RegistryError::Mismatch {
            repository: reference.repository.clone(),
            what: names(reference).0,
            expected,
            found: digest,
        }));
    }
    if size > MANIFEST_LIMIT {
        return Err(Failure::Final(RegistryError::TooLarge {
            subject: session.subject.clone(),
            limit: MANIFEST_LIMIT,
        }));
    }
    Ok(Some(Descriptor::new(media_type, digest, size)))
}

/// The media type of an answer, without parameters.
fn content_type(answer: &Incoming) -> String {
    let value = answer.header("content-type").unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn announced_digest(answer: &Incoming) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn accepting() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    headers
}

/// What is asked for: the digest, since a tag may have moved on.
fn name(reference: &Reference) -> String {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    }
}

/// What is asked for, for messages: alone, and with its repository.
fn names(reference: &Reference) -> (String, String) {
    let what = match &reference.digest {
        Some(digest) => format!("manifest {digest}"),
        None => format!("tag {}", name(reference)),
    };
    let subject = format!("{what} of {}", reference.repository);
    (what, subject)
}
