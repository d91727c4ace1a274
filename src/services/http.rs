//! The HTTP client: one request, one whole answer.
//!
//! A *client* has a thread of its own in which all connections live, started by the first request;
//! so it can be used from anywhere, inside and outside of asynchronous code, and costs nothing
//! where nothing is asked. Proxies come from the environment that it is given.

mod exchange;

pub use crate::network::Trust;
use crate::network::{NetworkError, Proxies};
use crate::template::{HttpRequest, HttpResponse, ServiceError};
use exchange::Connections;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How far connections are trusted with time and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a byte of the answer.
    pub silence: Duration,
    /// The largest body of an answer, in bytes.
    pub body_bytes: usize,
}

impl Default for Limits {
    /// Those for servers on the internet; a body may be as long as a text that functions read.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            body_bytes: 64 << 20,
        }
    }
}

/// A request and how it is to be made.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What is sent.
    pub request: HttpRequest,
    /// What the connection relies on.
    pub trust: Trust,
    /// How long everything may take, redirects included.
    pub patience: Duration,
    /// What happens when the server points to another one.
    pub elsewhere: Elsewhere,
}

/// What to do with a redirect to another scheme, host or port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Go there, without a body and without headers that may be meant for the first server alone.
    Follow,
    /// Say so: the request makes no sense without its credentials.
    Refuse,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be asked.
    #[error("{url:?} is not an address of the form http://HOST/PATH or https://HOST/PATH")]
    Address {
        /// What was given, without a password.
        url: String,
    },
    /// The method has characters that methods do not have.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
    /// The header has characters that headers do not have. The value may be a secret.
    #[error("the header {0:?} has characters that a header cannot have")]
    Header(String),
    /// Connections cannot be made as asked.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The connection failed.
    #[error("cannot ask {place}: {reason}")]
    Connection {
        /// The address without query and password.
        place: String,
        /// Why.
        reason: String,
    },
    /// The server is too slow.
    #[error("{place} does not answer in time")]
    Timeout {
        /// The address without query and password.
        place: String,
    },
    /// The answer is too long.
    #[error("the answer of {place} is longer than {limit} bytes")]
    TooLong {
        /// The address without query and password.
        place: String,
        /// The most that is read.
        limit: usize,
    },
    /// The server points from one place to the next.
    #[error("{place} redirects too often")]
    TooManyRedirects {
        /// The address without query and password.
        place: String,
    },
    /// The server points to another one, which must not learn the request's content.
    #[error("{place} redirects to {target}, which is another server and is sent no credentials")]
    RedirectedElsewhere {
        /// The address without query and password.
        place: String,
        /// The same of the other server.
        target: String,
    },
    /// The client's thread cannot be started, or has ended.
    #[error("cannot start a network connection: {0}")]
    Start(String),
}

impl From<HttpError> for ServiceError {
    fn from(error: HttpError) -> Self {
        let help = match &error {
            HttpError::Connection { .. } | HttpError::Timeout { .. } => {
                "check that the address is right and that this machine can reach it; a proxy is taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            }
            HttpError::RedirectedElsewhere { .. } => "name the other server instead",
            _ => return ServiceError::new(error.to_string()),
        };
        ServiceError::new(error.to_string()).help(help)
    }
}

/// Makes requests. Nothing is started before the first one.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    proxies: Proxies,
    worker: OnceLock<Result<UnboundedSender<Job>, String>>,
}

/// A request, and who waits for its answer.
#[derive(Debug)]
struct Job {
    exchange: Exchange,
    answer: mpsc::Sender<Result<HttpResponse, HttpError>>,
}

impl Client {
    /// A client with the proxies of `environment`.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        Self::with_limits(environment, Limits::default())
    }

    /// A client with limits of its own.
    pub fn with_limits(environment: &BTreeMap<String, String>, limits: Limits) -> Self {
        Self {
            limits,
            proxies: Proxies::from_environment(environment),
            worker: OnceLock::new(),
        }
    }

    /// Sends a request and waits for the whole answer; any status is an answer.
    pub fn send(&self, exchange: Exchange) -> Result<HttpResponse, HttpError> {
        let worker = self.worker.get_or_init(|| self.start());
        let jobs = worker
            .as_ref()
            .map_err(|error| HttpError::Start(error.clone()))?;
        let (answer, answers) = mpsc::channel();
        let ended = || HttpError::Start("its thread has ended".to_owned());
        jobs.send(Job { exchange, answer }).map_err(|_| ended())?;
        answers.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Starts the thread; it ends when the client is dropped.
    fn start(&self) -> Result<UnboundedSender<Job>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (sender, jobs) = unbounded_channel();
        let connections = Connections::new(self.limits, self.proxies.clone());
        thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(work(jobs, connections)))
            .map_err(|error| error.to_string())?;
        Ok(sender)
    }
}

async fn work(mut jobs: UnboundedReceiver<Job>, connections: Connections) {
    let connections = std::sync::Arc::new(connections);
    while let Some(Job { exchange, answer }) = jobs.recv().await {
        let connections = connections.clone();
        tokio::spawn(async move {
            // Who asked may be gone.
            let _nobody_waits = answer.send(connections.exchange(exchange).await);
        });
    }
}

#[cfg(test)]
pub(super) mod doubles;
#[cfg(test)]
mod tests;
