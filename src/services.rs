//! Services over the network: what templates ask of secret stores and web servers.
//!
//! A *service* is a server that a function or a data source asks while a template is evaluated.
//! How to reach it stands in the environment, in the variables that the service's own tools read.
//! Nothing is opened before the first question; each question is asked once in a run.

mod answers;
pub mod http;
mod tls;

use crate::template::{HttpRequest, HttpResponse, ServiceError, Services};
use answers::Answers;
use http::{Client, Elsewhere, Exchange};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tls::Trust;

/// How long a web server may take for all of its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The services, as the environment says how to reach them.
pub struct NetworkServices {
    environment: BTreeMap<String, String>,
    home: Option<PathBuf>,
    client: Client,
    pages: Answers<HttpRequest, HttpResponse>,
}

impl NetworkServices {
    /// Takes over the environment and the user's home; opens nothing.
    pub fn new(environment: BTreeMap<String, String>, home: Option<PathBuf>) -> Self {
        Self {
            client: Client::new(&environment),
            environment,
            home,
            pages: Answers::default(),
        }
    }
}

impl Services for NetworkServices {
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
