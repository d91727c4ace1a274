//! Services over the network: what templates ask of secret stores and web servers.
//!
//! A *service* is a server that a function or a data source asks while a template is evaluated.
//! How to reach it stands in the environment, in the variables that the service's own tools read.
//! Nothing is opened before the first question; each question is asked once in a run.

mod answers;
mod aws;
mod consul;
pub mod http;
mod settings;
mod vault;

use crate::network::Trust;
use crate::template::{HttpRequest, HttpResponse, ServiceError, Services};
use answers::Answers;
use http::{Client, Elsewhere, Exchange};
use settings::Settings;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long a web server may take for all of its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a secret store may take for an answer.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// The pauses before a secret store that is busy is asked again.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Tells the time, by which requests to AWS are signed.
pub type Clock = Box<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The services, as the environment says how to reach them.
pub struct NetworkServices {
    settings: Settings,
    clock: Clock,
    client: Client,
    vault_secrets: Answers<String, vault::Secret>,
    consul_values: Answers<String, String>,
    aws_access: Answers<(), aws::Access>,
    aws_secrets: Answers<String, String>,
    pages: Answers<HttpRequest, HttpResponse>,
}

impl NetworkServices {
    /// Takes over the environment and the user's home; opens nothing.
    pub fn new(environment: BTreeMap<String, String>, home: Option<PathBuf>, clock: Clock) -> Self {
        Self {
            client: Client::new(&environment),
            settings: Settings { environment, home },
            clock,
            vault_secrets: Answers::default(),
            consul_values: Answers::default(),
            aws_access: Answers::default(),
            aws_secrets: Answers::default(),
            pages: Answers::default(),
        }
    }
}

impl Services for NetworkServices {
    fn vault(&self, path: &str, key: &str) -> Result<String, ServiceError> {
        let path = path.trim_matches('/').to_owned();
        let read = || vault::read(&self.client, &self.settings, &path);
        self.vault_secrets.get_or_ask(&path, read)?.text(&path, key)
    }

    fn consul_key(&self, key: &str) -> Result<String, ServiceError> {
        let key = key.strip_prefix('/').unwrap_or(key).to_owned();
        let read = || consul::read(&self.client, &self.settings, &key);
        self.consul_values.get_or_ask(&key, read)
    }

    fn aws_secret(&self, name: &str) -> Result<String, ServiceError> {
        self.aws_secrets.get_or_ask(&name.to_owned(), || {
            let find = || aws::Access::find(&self.client, &self.settings);
            let access = self.aws_access.get_or_ask(&(), find)?;
            aws::secret(&self.client, &access, name, (self.clock)())
        })
    }

    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, ServiceError> {
        let ask = || {
            let exchange = Exchange {
                request: request.clone(),
                trust: Trust::default(),
                patience: PATIENCE,
                elsewhere: Elsewhere::Follow,
            };
            Ok(self.client.send(exchange)?)
        };
        match request.method.as_str() {
            "GET" | "HEAD" => self.pages.get_or_ask(request, ask),
            // Asking for a change twice may change something twice.
            _ => ask(),
        }
    }
}

/// Asks a secret store, again after a pause if it is busy. Its credentials go nowhere else.
fn ask_store(
    client: &Client,
    request: HttpRequest,
    trust: Trust,
) -> Result<HttpResponse, http::HttpError> {
    let exchange = Exchange {
        request,
        trust,
        patience: STORE_PATIENCE,
        elsewhere: Elsewhere::Refuse,
    };
    for pause in RETRY_PAUSES {
        let response = client.send(exchange.clone())?;
        if !matches!(response.status, 429 | 500 | 502..=599) {
            return Ok(response);
        }
        thread::sleep(pause);
    }
    client.send(exchange)
}

#[cfg(test)]
mod tests;
