//! Downloads: blobs on their way in.
//!
//! Bytes are hashed as they come and become a blob of the store only when size and digest are
//! right. A transfer that was cut goes on where it ended, at whichever endpoint is next.

use super::patience::{Failure, Patience};
use super::session::Session;
use super::{Client, Progress, RegistryError, Repository};
use crate::digest::Digest;
use crate::image::manifest::DOCUMENT_LIMIT;
use crate::store::{BlobWriter, Store, StoreError};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use std::io::Write as _;

/// So many bytes are progress; fewer within a whole budget are as good as none.
const STEP: u64 = 16 * 1024;

/// A digest and a size.
pub(super) type Content = (Digest, u64);

/// Brings a blob into the store, unless it is there.
pub(super) fn into_store(
    client: &Client,
    repository: &Repository,
    content: Content,
    store: &Store,
    progress: Progress<'_>,
) -> Result<(), RegistryError> {
    let (digest, size) = content;
    if store.has_blob(&digest, size)? {
        return Ok(());
    }
    let mut writer = Writer {
        store,
        digest,
        writer: store.blob_writer()?,
    };
    let mut transfer = Transfer::new(repository, content);
    client.for_reading(repository, &transfer.subject(), |session, patience| {
        transfer.run(session, patience, &mut writer, progress)?;
        match writer.take()?.commit(Some(content)) {
            Ok(_) => Ok(()),
            Err(StoreError::Mismatch { found, .. }) => Err(transfer.mismatch(found)),
            Err(error) => Err(error.into()),
        }
    })
}

/// Reads a blob whole.
pub(super) fn small(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    size: u64,
) -> Result<Vec<u8>, RegistryError> {
    let mut transfer = Transfer::new(repository, (*digest, size));
    if size > DOCUMENT_LIMIT {
        return Err(RegistryError::TooLarge {
            subject: transfer.subject(),
            limit: DOCUMENT_LIMIT,
        });
    }
    let mut text = Vec::new();
    client.for_reading(repository, &transfer.subject(), |session, patience| {
        transfer.run(session, patience, &mut text, &|_| {})?;
        let found = Digest::of(&text);
        match found == *digest {
            true => Ok(()),
            false => {
                text.clear();
                Err(transfer.mismatch(found))
            }
        }
    })?;
    Ok(text)
}

/// The size of a blob.
pub(super) fn size(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
) -> Result<u64, RegistryError> {
    let what = format!("blob {digest}");
    let subject = format!("{what} of {repository}");
    client.for_reading(repository, &subject, |session, patience| {
        let url = session.url(&format!("blobs/{digest}"))?;
        let mut answer = session.ask(Method::HEAD, url.clone(), HeaderMap::new(), patience)?;
        if answer.status.is_redirection() {
            // The head of the whole; its body is not waited for.
            answer = session.ask(Method::GET, url, HeaderMap::new(), patience)?;
        }
        if answer.status != StatusCode::OK {
            return Err(session.missing(answer, &what));
        }
        let size = answer.headers.get(CONTENT_LENGTH);
        size.and_then(|value| value.to_str().ok()?.parse().ok())
            .ok_or_else(|| Failure::Final(session.invalid("the registry does not say its size")))
    })
}

/// Where bytes go.
trait Sink {
    /// Throws away what came so far.
    fn restart(&mut self) -> Result<(), StoreError>;

    /// Takes the next piece.
    fn write(&mut self, piece: &[u8]) -> Result<(), StoreError>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> Result<(), StoreError> {
        self.clear();
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// A blob of the store that is not finished.
struct Writer<'a> {
    store: &'a Store,
    digest: Digest,
    writer: BlobWriter,
}

impl Writer<'_> {
    /// Gives what was written, and starts anew.
    fn take(&mut self) -> Result<BlobWriter, StoreError> {
        let fresh = self.store.blob_writer()?;
        Ok(std::mem::replace(&mut self.writer, fresh))
    }
}

impl Sink for Writer<'_> {
    fn restart(&mut self) -> Result<(), StoreError> {
        self.take().map(drop)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.writer
            .write_all(piece)
            .map_err(|source| StoreError::io("write", &self.store.blob_path(&self.digest), source))
    }
}

/// How far a blob has come, over all attempts.
struct Transfer<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    /// Bytes that are there.
    length: u64,
    /// The most that ever were there: only what goes beyond is progress.
    furthest: u64,
    /// How far it was when the budget was last renewed.
    renewed: u64,
    /// Whether what is there came in several pieces.
    is_resumed: bool,
}

impl<'a> Transfer<'a> {
    fn new(repository: &'a Repository, (digest, size): Content) -> Self {
        Self {
            repository,
            digest,
            size,
            length: 0,
            furthest: 0,
            renewed: 0,
            is_resumed: false,
        }
    }

    fn what(&self) -> String {
        format!("blob {}", self.digest)
    }

    fn subject(&self) -> String {
        format!("{} of {}", self.what(), self.repository)
    }

    /// Moves what is missing.
    fn run(
        &mut self,
        session: &Session<'_>,
        patience: &mut Patience,
        sink: &mut impl Sink,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let url = session.url(&format!("blobs/{}", self.digest))?;
        let mut headers = HeaderMap::new();
        if self.length > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.length));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let mut answer = session.ask(Method::GET, url, headers, patience)?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if self.length > 0 => {
                if range_start(answer.header(CONTENT_RANGE.as_str())) != Some(self.length) {
                    self.restart(sink)?;
                    let error = session.invalid("the registry sends another part than asked for");
                    return Err(Failure::Transient(error, None));
                }
                self.is_resumed = true;
            }
            StatusCode::OK => self.restart(sink)?,
            StatusCode::RANGE_NOT_SATISFIABLE if self.length > 0 => {
                self.restart(sink)?;
                return Err(Failure::Transient(self.too_short(), None));
            }
            _ => return Err(session.missing(answer, &self.what())),
        }
        loop {
            let piece = answer.piece().map_err(|error| session.failure(error))?;
            let Some(piece) = piece else { break };
            let length = self.length.saturating_add(piece.len() as u64);
            if length > self.size {
                return Err(Failure::Final(RegistryError::Size {
                    subject: self.subject(),
                    expected: self.size,
                    found: self.size,
                    is_more: true,
                }));
            }
            sink.write(&piece)?;
            self.length = length;
            if length > self.furthest {
                progress(length - self.furthest);
                self.furthest = length;
            }
            if self.furthest.saturating_sub(self.renewed) >= STEP {
                self.renewed = self.furthest;
                patience.renew();
            }
            if patience.left().is_zero() {
                return Err(Failure::Final(RegistryError::Timeout {
                    subject: self.subject(),
                    place: answer.place,
                }));
            }
        }
        match self.length == self.size {
            true => Ok(()),
            false => Err(Failure::Transient(self.too_short(), None)),
        }
    }

    fn restart(&mut self, sink: &mut impl Sink) -> Result<(), Failure> {
        if self.length > 0 {
            sink.restart()?;
        }
        self.length = 0;
        self.is_resumed = false;
        Ok(())
    }

    fn too_short(&self) -> RegistryError {
        RegistryError::Size {
            subject: self.subject(),
            expected: self.size,
            found: self.furthest,
            is_more: false,
        }
    }

    /// All came, and it is something else. What came in pieces may be parts of different things.
    fn mismatch(&mut self, found: Digest) -> Failure {
        let error = RegistryError::Mismatch {
            repository: self.repository.clone(),
            what: self.what(),
            expected: self.digest,
            found,
        };
        self.length = 0;
        match std::mem::take(&mut self.is_resumed) {
            true => Failure::Again(error),
            false => Failure::Final(error),
        }
    }
}

/// Where the part begins that an answer has (RFC 9110, section 14.4).
fn range_start(header: Option<&str>) -> Option<u64> {
    let range = header?.trim().strip_prefix("bytes")?.trim_start();
    range.split_once('-')?.0.trim().parse().ok()
}
