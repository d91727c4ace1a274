//! The network: how connections are made, for all that ask over HTTP.
//!
//! What is reached directly and what by a *proxy*, and whom an encrypted connection *trusts*. No
//! request is made here.

mod proxies;
mod trust;

pub use proxies::Proxies;
pub use trust::Trust;

use reqwest::Url;
use std::error::Error;

/// Why connections cannot be made as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// A proxy's address is none.
    #[error("the value of {0} is not the address of a proxy")]
    Proxy(&'static str),
    /// The certificates to trust are none.
    #[error("the certificate authorities are not certificates in PEM")]
    Authorities,
    /// The certificate to show is none.
    #[error("the client's certificate and key are not a certificate and its key in PEM")]
    Identity,
}

/// The address as messages show it: without password and query, which may be secrets.
pub fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The error and what caused it, without repeating what is said already.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
