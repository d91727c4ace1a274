//! Transport: one HTTP request and its answer, for threads that wait.
//!
//! An *exchange* runs in the client's own thread; whoever waits for it learns of *events*: the
//! head of the answer, a piece of its body, or that the next piece of the request's body is
//! wanted. So both bodies are moved and hashed by the caller, while connections are served
//! meanwhile, and a caller that goes away ends its exchange. A stalled exchange and the end of the
//! run are noticed here; what an answer means is not known here.

mod body;
mod worker;

use crate::network::{NetworkError, Proxies, Trust, chain, place};
use body::Upload;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use worker::{Event, Job, Worker};

/// How often a wait looks whether the run was ended.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pieces of an answer that wait for the caller.
const AHEAD: usize = 16;
/// The size of a piece of a request's body.
const PIECE: usize = 64 * 1024;

/// Sends requests.
pub(super) struct Transport {
    proxies: Proxies,
    connect: Duration,
    is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    clients: Mutex<BTreeMap<Option<Trust>, reqwest::Client>>,
    worker: OnceLock<Result<Worker, String>>,
}

/// What is sent.
pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
    /// What the connection relies on, if it is encrypted.
    pub(super) trust: Trust,
    /// How long nothing may happen.
    pub(super) silence: Duration,
    /// How long nothing may happen once all is sent.
    pub(super) patience: Duration,
}

/// The body of a request.
pub(super) enum Body<'a> {
    Empty,
    Bytes(Bytes),
    /// So many bytes of a reader, and who learns of those that were taken.
    Reader(&'a mut dyn Read, u64, &'a dyn Fn(u64)),
}

/// An answer whose body is still to come.
pub(super) struct Incoming {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where the answer comes from, as messages show it.
    pub(super) place: String,
    silence: Duration,
    is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    events: Receiver<Event>,
    credit: Arc<Semaphore>,
    /// Dropped with the answer, which ends the exchange.
    _wanted: oneshot::Sender<()>,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("interrupted")]
    Cancelled,
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("cannot start a network connection: {0}")]
    Start(String),
    #[error("{place} does not answer in time")]
    Silent { place: String },
    /// The other side does not encrypt.
    #[error("{place} does not speak TLS")]
    Plain { place: String },
    /// The other side's certificate is not trusted.
    #[error("the certificate of {place} is not trusted: {reason}")]
    Certificate { place: String, reason: String },
    /// The other side ended the encrypted connection on purpose.
    #[error("{place} refuses the connection: {reason}")]
    Refused { place: String, reason: String },
    #[error("cannot reach {place}: {reason}")]
    Connect { place: String, reason: String },
    /// The connection ended before the answer did.
    #[error("the connection to {place} was cut: {reason}")]
    Cut { place: String, reason: String },
    /// What is sent cannot be read.
    #[error("cannot read what is sent: {0}")]
    Source(#[source] io::Error),
}

impl Transport {
    pub(super) fn new(
        environment: &BTreeMap<String, String>,
        connect: Duration,
        is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        Self {
            proxies: Proxies::from_environment(environment),
            connect,
            is_cancelled,
            clients: Mutex::default(),
            worker: OnceLock::new(),
        }
    }

    /// Sends a request and waits for the head of its answer; any status is an answer. Redirects
    /// are not followed.
    pub(super) fn send(&self, outgoing: Outgoing<'_>) -> Result<Incoming, TransportError> {
        if (self.is_cancelled)() {
            return Err(TransportError::Cancelled);
        }
        let worker = self.worker.get_or_init(Worker::start).as_ref();
        let worker = worker.map_err(|error| TransportError::Start(error.clone()))?;
        let client = self.client(&outgoing.url, &outgoing.trust)?;
        let place = place(&outgoing.url);
        let (sender, events) = mpsc::channel();
        let (wanted, unwanted) = oneshot::channel();
        let credit = Arc::new(Semaphore::new(AHEAD));
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&outgoing.method);
        let mut request = client
            .request(outgoing.method, outgoing.url)
            .headers(outgoing.headers);
        let mut source = None;
        match outgoing.body {
            // Some servers insist on a length, even of nothing.
            Body::Empty if has_body => request = request.header(CONTENT_LENGTH, "0"),
            Body::Empty => {}
            Body::Bytes(bytes) => request = request.body(bytes),
            Body::Reader(reader, length, taken) => {
                let (pieces, upload) = Upload::new(length, sender.clone());
                request = request.body(reqwest::Body::wrap(upload));
                source = Some((reader, length, taken, pieces));
            }
        }
        worker.run(Job {
            request,
            events: sender,
            credit: credit.clone(),
            unwanted,
        })?;
        let mut incoming = Incoming {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            place,
            silence: match source {
                Some(_) => outgoing.silence,
                None => outgoing.patience,
            },
            is_cancelled: self.is_cancelled.clone(),
            events,
            credit,
            _wanted: wanted,
        };
        loop {
            match incoming.event()? {
                Some(Event::Head(status, headers)) => {
                    incoming.status = status;
                    incoming.headers = *headers;
                    incoming.silence = outgoing.silence;
                    return Ok(incoming);
                }
                Some(Event::Wanted) => {
                    let Some((reader, left, taken, pieces)) = &mut source else {
                        continue;
                    };
                    if *left == 0 {
                        continue;
                    }
                    let piece = read_piece(*reader, *left).map_err(TransportError::Source)?;
                    *left = left.saturating_sub(piece.len() as u64);
                    if *left == 0 {
                        incoming.silence = outgoing.patience;
                    }
                    taken(piece.len() as u64);
                    // The exchange has ended; its last event says why.
                    let _ended = pieces.send(piece);
                }
                // Others do not come before the head.
                Some(_) => {}
                None => {
                    return Err(TransportError::Cut {
                        place: incoming.place,
                        reason: "it ended without an answer".to_owned(),
                    });
                }
            }
        }
    }

    fn client(&self, url: &Url, trust: &Trust) -> Result<reqwest::Client, NetworkError> {
        let key = (url.scheme() == "https").then(|| trust.clone());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("hardtack/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect);
        let builder = match &key {
            // A machine without any certificates can still ask without encryption.
            None => Trust::default().apply(builder)?.tls_certs_only([]),
            Some(trust) => trust.apply(builder)?,
        };
        let client = self.proxies.apply(builder)?.build();
        // What can be wrong with it was looked at above, but for the certificates together.
        let client = client.map_err(|_| NetworkError::Authorities)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl Incoming {
    /// The next piece of the body; none at its end.
    pub(super) fn piece(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            match self.event()? {
                Some(Event::Piece(piece)) => {
                    self.credit.add_permits(1);
                    return Ok(Some(piece));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The body up to `limit` bytes, and whether that was all. What is read whole must not come in
    /// drops for ever.
    pub(super) fn read(&mut self, limit: usize) -> Result<(Vec<u8>, bool), TransportError> {
        let end = Instant::now() + self.silence.saturating_mul(4);
        let mut text = Vec::new();
        while let Some(piece) = self.piece()? {
            if Instant::now() > end {
                let place = self.place.clone();
                return Err(TransportError::Silent { place });
            }
            let room = limit.saturating_sub(text.len());
            if piece.len() > room {
                text.extend_from_slice(&piece[..room]);
                return Ok((text, false));
            }
            text.extend_from_slice(&piece);
        }
        Ok((text, true))
    }

    /// A header's value, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next event; none when the exchange is over.
    fn event(&self) -> Result<Option<Event>, TransportError> {
        let begin = Instant::now();
        loop {
            if (self.is_cancelled)() {
                return Err(TransportError::Cancelled);
            }
            let left = self.silence.saturating_sub(begin.elapsed());
            match self.events.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(Event::Failed(error)) => return Err(failure(&self.place, &error)),
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Timeout) if left > LOOK_EVERY => {}
                Err(RecvTimeoutError::Timeout) => {
                    let place = self.place.clone();
                    return Err(TransportError::Silent { place });
                }
            }
        }
    }
}

/// Reads the next piece of at most `left` bytes; a reader that ends early is an error.
fn read_piece(reader: &mut dyn Read, left: u64) -> io::Result<Bytes> {
    let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = vec![0; size];
    reader.read_exact(&mut piece)?;
    Ok(piece.into())
}

fn failure(place: &str, error: &reqwest::Error) -> TransportError {
    let place = place.to_owned();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => return TransportError::Plain { place },
            Some(
                error @ (rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented),
            ) => {
                let reason = error.to_string();
                return TransportError::Certificate { place, reason };
            }
            // It says itself that it does not want us, as without a certificate of ours.
            Some(error @ rustls::Error::AlertReceived(_)) => {
                let reason = error.to_string();
                return TransportError::Refused { place, reason };
            }
            _ => {}
        }
        // An I/O error shows the cause of its content as its own, and hides the content.
        let content = error.downcast_ref::<io::Error>();
        cause = match content.and_then(io::Error::get_ref) {
            Some(content) => Some(content),
            None => error.source(),
        };
    }
    let reason = said(error);
    match error.is_connect() {
        true if error.is_timeout() => TransportError::Silent { place },
        true => TransportError::Connect { place, reason },
        false => TransportError::Cut { place, reason },
    }
}

/// What an error says beside the address, and beside the client that it is an error of.
fn said(error: &reqwest::Error) -> String {
    use std::error::Error;
    let client = error.source();
    match client.and_then(Error::source).or(client) {
        Some(cause) => chain(cause),
        None => error.to_string(),
    }
}
