//! HashiCorp Consul: values of its key-value store.
//!
//! The server and the credentials are those of Consul's own command line.

use super::ask_store;
use super::http::Client;
use super::settings::{Settings, TrustVariables, below, file};
use crate::template::{HttpRequest, ServiceError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::path::Path;

/// Where Consul is if nothing says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

const TRUST: TrustVariables = TrustVariables {
    authorities: "CONSUL_CACERT",
    authorities_folder: "CONSUL_CAPATH",
    certificate: "CONSUL_CLIENT_CERT",
    key: "CONSUL_CLIENT_KEY",
    server_name: "CONSUL_TLS_SERVER_NAME",
};

/// One entry of an answer.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Value")]
    value: Option<String>,
}

/// Reads the value of a key.
pub(super) fn read(
    client: &Client,
    settings: &Settings,
    key: &str,
) -> Result<String, ServiceError> {
    let given = settings.get("CONSUL_HTTP_ADDR").unwrap_or(DEFAULT_ADDRESS);
    let encrypted = settings.flag("CONSUL_HTTP_SSL")?.unwrap_or(false);
    let address = match given.split_once("://") {
        Some(("http", host)) if encrypted => format!("https://{host}"),
        Some(_) => given.to_owned(),
        None if encrypted => format!("https://{given}"),
        None => format!("http://{given}"),
    };
    let mut url = below("CONSUL_HTTP_ADDR", &address, &format!("v1/kv/{key}"))?;
    for (name, variable) in [
        ("ns", "CONSUL_NAMESPACE"),
        ("partition", "CONSUL_PARTITION"),
    ] {
        if let Some(value) = settings.get(variable) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let request = HttpRequest {
        url: url.to_string(),
        method: "GET".to_owned(),
        headers: headers(settings)?,
        body: Vec::new(),
    };
    let verify = settings.flag("CONSUL_HTTP_SSL_VERIFY")?.unwrap_or(true);
    let response = ask_store(client, request, settings.trust(&TRUST, !verify)?).map_err(|error| {
        ServiceError::from(error)
            .help("set CONSUL_HTTP_ADDR to the address of a Consul agent, and CONSUL_HTTP_TOKEN if it asks for a token")
    })?;
    match response.status {
        200..=299 => {}
        404 => return Err(ServiceError::new(format!("Consul has no key {key:?}"))),
        403 => {
            return Err(ServiceError::new(format!(
                "Consul refuses the key {key:?}: {}",
                response.text().trim()
            ))
            .help("set CONSUL_HTTP_TOKEN to a token that may read it"));
        }
        status => {
            return Err(ServiceError::new(format!(
                "Consul fails with status {status} for the key {key:?}: {}",
                response.text().trim()
            )));
        }
    }
    let unreadable = || {
        ServiceError::new(format!("what answers for the key {key:?} is not Consul"))
            .help("check the address in CONSUL_HTTP_ADDR")
    };
    let entries: Vec<Entry> = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let entry = entries.into_iter().next().ok_or_else(unreadable)?;
    let bytes = STANDARD
        .decode(entry.value.unwrap_or_default())
        .map_err(|_| unreadable())?;
    if bytes.is_empty() {
        return Err(ServiceError::new(format!(
            "the value of Consul's key {key:?} is empty"
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| ServiceError::new(format!("the value of Consul's key {key:?} is not text")))
}

fn headers(settings: &Settings) -> Result<Vec<(String, String)>, ServiceError> {
    let mut headers = Vec::new();
    let token = match (
        settings.get("CONSUL_HTTP_TOKEN"),
        settings.get("CONSUL_HTTP_TOKEN_FILE"),
    ) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => Some(file("CONSUL_HTTP_TOKEN_FILE", Path::new(path))?),
        (None, None) => None,
    };
    if let Some(token) = token {
        headers.push(("X-Consul-Token".to_owned(), token.trim().to_owned()));
    }
    if let Some(login) = settings.get("CONSUL_HTTP_AUTH") {
        let login = match login.contains(':') {
            true => login.to_owned(),
            false => format!("{login}:"),
        };
        headers.push((
            "Authorization".to_owned(),
            format!("Basic {}", STANDARD.encode(login)),
        ));
    }
    Ok(headers)
}
