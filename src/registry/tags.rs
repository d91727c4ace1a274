//! Tags: the names in a repository (distribution specification, "Listing Tags").

use super::patience::Failure;
use super::session::{Incoming, Session};
use super::{Client, MANIFEST_LIMIT, RegistryError, Repository};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

/// Names in one answer.
const PAGE: &str = "1000";
/// Answers that are read.
const PAGES_LIMIT: usize = 1000;
/// Names that are read, however many are in one answer.
const TAGS_LIMIT: usize = 1_000_000;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

/// The tags, in order.
pub(super) fn list(client: &Client, repository: &Repository) -> Result<Vec<String>, RegistryError> {
    let subject = format!("the tags of {repository}");
    client.at_registry(repository, "pull", &subject, |session, patience| {
        let mut url = session.url("tags/list")?;
        url.query_pairs_mut().append_pair("n", PAGE);
        let mut tags = Vec::new();
        for _ in 0..PAGES_LIMIT {
            let mut answer = session.ask(Method::GET, url.clone(), HeaderMap::new(), patience)?;
            if answer.status != StatusCode::OK {
                return Err(session.missing(answer, "tags"));
            }
            let next = next_page(session, &url, &answer);
            let Page { tags: more } = page(session, &mut answer)?;
            let more = more.unwrap_or_default();
            let is_last = more.is_empty();
            tags.extend(more);
            if tags.len() > TAGS_LIMIT {
                break;
            }
            match next {
                Some(next) if !is_last => url = next,
                _ => {
                    tags.sort();
                    tags.dedup();
                    return Ok(tags);
                }
            }
            patience.renew();
        }
        Err(Failure::Final(
            session.invalid("the registry goes on and on"),
        ))
    })
}

/// The whole of an answer in JSON.
pub(super) fn page<T: serde::de::DeserializeOwned>(
    session: &Session<'_>,
    answer: &mut Incoming,
) -> Result<T, Failure> {
    let limit = usize::try_from(MANIFEST_LIMIT).unwrap_or(usize::MAX);
    let (text, is_whole) = answer.read(limit).map_err(|error| session.failure(error))?;
    if !is_whole {
        return Err(Failure::Final(RegistryError::TooLarge {
            subject: session.subject.clone(),
            limit: MANIFEST_LIMIT,
        }));
    }
    serde_json::from_slice(&text)
        .map_err(|error| Failure::Final(session.invalid(error.to_string())))
}

/// Where a list goes on (RFC 8288, `rel="next"`), which is at the same registry.
pub(super) fn next_page(session: &Session<'_>, url: &Url, answer: &Incoming) -> Option<Url> {
    let link = answer.header("link")?;
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim().trim_end_matches(',');
        parameter == "rel=next" || parameter == "rel=\"next\""
    });
    let next = url.join(target).ok()?;
    (is_next && next.origin() == session.endpoint.base.origin() && next != *url).then_some(next)
}
