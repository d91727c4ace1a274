//! Services: what a template asks of others over the network while it is evaluated.
//!
//! The language knows what it asks for, not how: a `Services` of the run's [`World`](super::World)
//! does that, so that nothing below the command line opens connections of its own accord.

use std::borrow::Cow;

/// Answers what functions and data sources ask. A question that was answered once in a run has the
/// same answer for the rest of it.
pub trait Services: Send + Sync {
    /// The text below `key` of the Vault secret at `path`.
    fn vault(&self, path: &str, key: &str) -> Result<String, ServiceError>;

    /// The value of a key in Consul.
    fn consul_key(&self, key: &str) -> Result<String, ServiceError>;

    /// The text of an AWS Secrets Manager secret, with nothing looked up in it.
    fn aws_secret(&self, name: &str) -> Result<String, ServiceError>;

    /// One HTTP request. Any status is an answer; only a failure to get one is an error.
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, ServiceError>;
}

/// Services that answer nothing, for texts in which nothing can be asked.
pub struct NoServices;

impl Services for NoServices {
    fn vault(&self, _path: &str, _key: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("Vault cannot be asked here"))
    }

    fn consul_key(&self, _key: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("Consul cannot be asked here"))
    }

    fn aws_secret(&self, _name: &str) -> Result<String, ServiceError> {
        Err(ServiceError::new("AWS cannot be asked here"))
    }

    fn http(&self, _request: &HttpRequest) -> Result<HttpResponse, ServiceError> {
        Err(ServiceError::new("servers cannot be asked here"))
    }
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpRequest {
    /// An absolute URL with the scheme `http` or `https`.
    pub url: String,
    /// The method, in capitals.
    pub method: String,
    /// Names and values. They are sent to the host of the URL alone, not to one that it redirects
    /// to, except for those that only describe the request or the wanted answer.
    pub headers: Vec<(String, String)>,
    /// What is sent along; nothing if it is empty.
    pub body: Vec<u8>,
}

/// The answer to an HTTP request, after redirects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status, such as 200.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The content as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The first value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// Why a service gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What failed, and of which service.
    pub message: String,
    /// What the user can do, if that is known.
    pub help: Option<String>,
}

impl ServiceError {
    /// An error of which only the cause is known.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
