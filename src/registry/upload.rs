//! Uploads: blobs on their way out (distribution specification, "Pushing blobs").
//!
//! A blob that the registry has is not sent; one that it has elsewhere is taken over. What must be
//! sent goes in one request, or in chunks where it is large or the registry wants it so. After a
//! failure the registry is asked how far it came, and it goes on from there.

use super::download::Content;
use super::patience::{Failure, Patience};
use super::session::{self, Incoming, Session};
use super::{Client, Progress, Pushed, RegistryError, Repository};
use crate::digest::Digest;
use crate::store::{Store, StoreError};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, Url};
use std::cell::Cell;
use std::io::{Seek as _, SeekFrom};

/// A blob larger than this goes in chunks: what was taken need not be sent again after a cut.
const WHOLE_LIMIT: u64 = 1024 * 1024 * 1024;
/// The size of its chunks.
const CHUNK: u64 = 256 * 1024 * 1024;
/// The size of chunks where the registry says that it wants some, unless they must be larger.
const SMALL_CHUNK: u64 = 16 * 1024 * 1024;
/// The smallest chunk that is tried where larger ones are refused.
const SMALLEST_CHUNK: u64 = 256 * 1024;
/// Repositories that a registry is asked to take a blob from.
const MOUNTS: usize = 3;

/// Brings a blob of the store into a repository, unless it is there.
pub(super) fn from_store(
    client: &Client,
    repository: &Repository,
    (digest, size): Content,
    store: &Store,
    elsewhere: &[Repository],
    progress: Progress<'_>,
) -> Result<Pushed, RegistryError> {
    let mut upload = Upload {
        digest,
        size,
        store,
        elsewhere: elsewhere
            .iter()
            .filter(|other| other.registry == repository.registry && *other != repository)
            .take(MOUNTS)
            .collect(),
        progress,
        is_absent: false,
        session: None,
        chunk: None,
        furthest: 0,
        refusals: 0,
    };
    let subject = format!("blob {digest} for {repository}");
    client.at_registry(repository, "pull,push", &subject, |session, patience| {
        let mounted = upload.elsewhere.iter();
        let scopes: Vec<_> = mounted
            .map(|other| session.endpoint.scope(other, "pull"))
            .collect();
        session.scopes.extend(scopes);
        upload.run(session, patience)
    })
}

/// Asks a registry to take over a blob from another of its repositories.
pub(super) fn mount(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    from: &Repository,
) -> Result<bool, RegistryError> {
    if from.registry != repository.registry {
        return Ok(false);
    }
    let subject = format!("blob {digest} for {repository}");
    client.at_registry(repository, "pull,push", &subject, |session, patience| {
        session.scopes.push(session.endpoint.scope(from, "pull"));
        let url = uploads(session, Some((digest, from)))?;
        let answer = session.ask(Method::POST, url.clone(), HeaderMap::new(), patience)?;
        if answer.status == StatusCode::ACCEPTED {
            // It opened an upload instead, which nobody will use.
            let location = session.location(&url, &answer)?;
            let _closed = session.ask(Method::DELETE, location, HeaderMap::new(), patience);
        }
        match answer.status {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::BAD_REQUEST => Ok(false),
            _ => Err(session.refused(answer)),
        }
    })
}

/// The address where uploads begin, perhaps with what is to be taken over.
fn uploads(
    session: &Session<'_>,
    mount: Option<(&Digest, &Repository)>,
) -> Result<Url, RegistryError> {
    let mut url = session.url("blobs/uploads/")?;
    if let Some((digest, from)) = mount {
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", &from.path);
    }
    Ok(url)
}

/// How far a blob has come, over all attempts.
struct Upload<'a> {
    digest: Digest,
    size: u64,
    store: &'a Store,
    /// Repositories that may have it and were not asked yet.
    elsewhere: Vec<&'a Repository>,
    progress: Progress<'a>,
    /// Whether the registry said that it does not have it.
    is_absent: bool,
    session: Option<Open>,
    /// The size of chunks; none if it goes in one request.
    chunk: Option<u64>,
    /// The most that was ever sent: only what goes beyond is progress.
    furthest: u64,
    /// Offsets that the registry refused one after the other.
    refusals: u32,
}

/// An upload that the registry has begun.
#[derive(Clone)]
struct Open {
    location: Url,
    /// How many bytes the registry has.
    offset: u64,
    /// Whether that must be asked, since something failed.
    is_unsure: bool,
}

impl Upload<'_> {
    /// Goes on from wherever the last attempt ended.
    fn run(&mut self, session: &Session<'_>, patience: &mut Patience) -> Result<Pushed, Failure> {
        if !self.is_absent {
            if self.is_there(session, patience)? {
                return Ok(match self.furthest {
                    0 => Pushed::Existed,
                    _ => Pushed::Uploaded,
                });
            }
            self.is_absent = true;
        }
        loop {
            let open = match self.session.clone() {
                Some(open) if open.is_unsure => self.ask(session, patience, open)?,
                Some(open) => open,
                None => match self.begin(session, patience)? {
                    Some(open) => open,
                    None => return Ok(Pushed::Mounted),
                },
            };
            // Until the opposite is known, this attempt fails.
            self.session = Some(Open {
                is_unsure: true,
                ..open.clone()
            });
            if self.step(session, patience, open)? {
                return Ok(Pushed::Uploaded);
            }
        }
    }

    fn is_there(&self, session: &Session<'_>, patience: &mut Patience) -> Result<bool, Failure> {
        let url = session.url(&format!("blobs/{}", self.digest))?;
        let answer = session.ask(Method::HEAD, url, HeaderMap::new(), patience)?;
        match answer.status {
            StatusCode::OK => Ok(true),
            status if status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(session.refused(answer)),
        }
    }

    /// Begins an upload; none if the registry took the blob over from elsewhere.
    fn begin(
        &mut self,
        session: &Session<'_>,
        patience: &mut Patience,
    ) -> Result<Option<Open>, Failure> {
        while let Some(from) = self.elsewhere.pop() {
            let url = uploads(session, Some((&self.digest, from)))?;
            let answer = session.ask(Method::POST, url.clone(), HeaderMap::new(), patience)?;
            match answer.status {
                StatusCode::CREATED => return Ok(None),
                StatusCode::ACCEPTED if self.elsewhere.is_empty() => {
                    return self.opened(session, &url, &answer).map(Some);
                }
                StatusCode::ACCEPTED => {
                    let location = session.location(&url, &answer)?;
                    let _closed = session.ask(Method::DELETE, location, HeaderMap::new(), patience);
                }
                // What it does not take over is sent.
                _ => {}
            }
        }
        let url = uploads(session, None)?;
        let answer = session.ask(Method::POST, url.clone(), HeaderMap::new(), patience)?;
        match answer.status {
            StatusCode::ACCEPTED => self.opened(session, &url, &answer).map(Some),
            _ => Err(session.refused(answer)),
        }
    }

    fn opened(
        &mut self,
        session: &Session<'_>,
        url: &Url,
        answer: &Incoming,
    ) -> Result<Open, Failure> {
        let least = answer.header("oci-chunk-min-length");
        if let Some(least) = least.and_then(|text| text.trim().parse::<u64>().ok())
            && least > 0
        {
            // A registry that says how small chunks may be wants chunks.
            self.chunk = Some(self.chunk.unwrap_or(SMALL_CHUNK).max(least));
        } else if self.chunk.is_none() && self.size > WHOLE_LIMIT {
            self.chunk = Some(CHUNK);
        }
        Ok(Open {
            location: session.location(url, answer)?,
            offset: 0,
            is_unsure: false,
        })
    }

    /// Asks how far an upload came.
    fn ask(
        &mut self,
        session: &Session<'_>,
        patience: &mut Patience,
        open: Open,
    ) -> Result<Open, Failure> {
        let url = open.location.clone();
        let answer = session.ask(Method::GET, url, HeaderMap::new(), patience)?;
        let is_known = matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::ACCEPTED);
        let location = match answer.header("location") {
            Some(_) if is_known => session.location(&open.location, &answer)?,
            _ => open.location,
        };
        match offset(&answer).filter(|offset| is_known && *offset <= self.size) {
            Some(offset) => Ok(Open {
                location,
                offset,
                is_unsure: false,
            }),
            None => {
                // It is gone, or finished meanwhile.
                self.forget();
                let error = session.invalid("the registry has lost the upload");
                Err(Failure::Again(error))
            }
        }
    }

    fn forget(&mut self) {
        self.session = None;
        self.is_absent = false;
    }

    /// Sends what comes next; true if that was all.
    fn step(
        &mut self,
        session: &Session<'_>,
        patience: &mut Patience,
        open: Open,
    ) -> Result<bool, Failure> {
        let left = self.size.saturating_sub(open.offset);
        let is_whole = open.offset == 0 && self.chunk.is_none();
        if is_whole {
            let url = self.finishing(&open.location);
            let answer = self.send(session, patience, Method::PUT, url, (0, self.size), false)?;
            return self.finished(session, answer);
        }
        if left == 0 {
            let url = self.finishing(&open.location);
            let answer = self.send(session, patience, Method::PUT, url, (open.offset, 0), false)?;
            return self.finished(session, answer);
        }
        let length = self.chunk.unwrap_or(left).min(left);
        let url = open.location.clone();
        let part = (open.offset, length);
        let answer = self.send(session, patience, Method::PATCH, url, part, true)?;
        if !matches!(
            answer.status,
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED
        ) {
            return Err(self.refused(session, answer));
        }
        self.refusals = 0;
        let location = session.location(&open.location, &answer)?;
        let sent = open.offset.saturating_add(length);
        // The registry's word counts: it may have taken less.
        let offset = offset(&answer).filter(|it| *it > 0).unwrap_or(sent);
        if offset <= open.offset || offset > sent {
            let error =
                session.invalid("the registry says that it has another part than it was sent");
            return Err(Failure::Transient(error, None));
        }
        self.session = Some(Open {
            location,
            offset,
            is_unsure: false,
        });
        Ok(false)
    }

    fn send(
        &mut self,
        session: &Session<'_>,
        patience: &mut Patience,
        method: Method,
        url: Url,
        (offset, length): (u64, u64),
        is_part: bool,
    ) -> Result<Incoming, Failure> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, kind);
        if is_part {
            let end = offset.saturating_add(length).saturating_sub(1);
            let range = HeaderValue::from_str(&format!("{offset}-{end}"));
            headers.extend(range.ok().map(|range| (CONTENT_RANGE, range)));
        }
        if length == 0 {
            return session.send(method, url, headers, session::Content::Empty, patience);
        }
        let mut file = self.store.open_blob(&self.digest)?;
        let path = self.store.blob_path(&self.digest);
        file.seek(SeekFrom::Start(offset))
            .map_err(|source| StoreError::io("read", &path, source))?;
        let reached = Cell::new(offset);
        let furthest = self.furthest;
        let taken = |more: u64| {
            let before = reached.get();
            let after = before.saturating_add(more);
            reached.set(after);
            if after > furthest {
                (self.progress)(after - before.max(furthest));
            }
        };
        let content = session::Content::Reader(&mut file, length, &taken);
        let answer = session.send(method, url, headers, content, patience);
        if reached.get() > self.furthest {
            self.furthest = reached.get();
            patience.renew();
        }
        answer
    }

    fn finishing(&self, location: &Url) -> Url {
        let mut url = location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.digest.to_string());
        url
    }

    fn finished(&mut self, session: &Session<'_>, answer: Incoming) -> Result<bool, Failure> {
        if !answer.status.is_success() {
            return Err(self.refused(session, answer));
        }
        let found = answer.header("docker-content-digest");
        match found.and_then(|text| text.trim().parse::<Digest>().ok()) {
            Some(found) if found != self.digest => Err(Failure::Final(RegistryError::Mismatch {
                repository: session.repository.clone(),
                what: format!("blob {}", self.digest),
                expected: self.digest,
                found,
            })),
            _ => Ok(true),
        }
    }

    /// What to do about a part that the registry did not take.
    fn refused(&mut self, session: &Session<'_>, answer: Incoming) -> Failure {
        self.refusals += 1;
        match answer.status {
            // It is at another place than we thought; if that does not help, from the beginning.
            StatusCode::RANGE_NOT_SATISFIABLE if self.refusals <= 4 => {
                if self.refusals > 1 {
                    self.forget();
                }
                Failure::Again(session.invalid("the registry expects another part"))
            }
            StatusCode::NOT_FOUND if self.refusals <= 2 => {
                self.forget();
                Failure::Again(session.invalid("the registry has lost the upload"))
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                let failure = session.refused(answer);
                let smaller = match self.chunk {
                    None => self.size.min(CHUNK) / 4,
                    Some(chunk) => chunk.min(self.size) / 4,
                };
                if smaller < SMALLEST_CHUNK {
                    return failure;
                }
                self.chunk = Some(smaller);
                self.forget();
                Failure::Again(failure.error())
            }
            StatusCode::BAD_REQUEST => {
                // It may be our copy that is damaged, and nobody else would say so.
                if let Err(error) = self.store.verify_blob(&self.digest, self.size) {
                    return Failure::Final(error.into());
                }
                session.refused(answer)
            }
            _ => session.refused(answer),
        }
    }
}

/// How many bytes the registry has: `Range: 0-N` counts to the last one. Nothing and one byte are
/// written alike.
fn offset(answer: &Incoming) -> Option<u64> {
    let range = answer.header(RANGE.as_str())?.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    match range.split_once('-')?.1.trim().parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}
