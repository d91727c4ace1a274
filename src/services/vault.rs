//! HashiCorp Vault: secrets of the key-value engines, versions 1 and 2.
//!
//! The server and the credentials are those of Vault's own command line.

use super::ask_store;
use super::http::Client;
use super::settings::{Settings, TrustVariables, below};
use crate::template::{HttpRequest, HttpResponse, ServiceError};
use serde_json::{Map, Value};

/// Where Vault is if nothing says otherwise.
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

const TRUST: TrustVariables = TrustVariables {
    authorities: "VAULT_CACERT",
    authorities_folder: "VAULT_CAPATH",
    certificate: "VAULT_CLIENT_CERT",
    key: "VAULT_CLIENT_KEY",
    server_name: "VAULT_TLS_SERVER_NAME",
};

/// The texts of one secret, by key.
#[derive(Clone)]
pub(super) struct Secret(Map<String, Value>);

impl Secret {
    /// The text below a key.
    pub(super) fn text(&self, path: &str, key: &str) -> Result<String, ServiceError> {
        match self.0.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
            Some(_) => Err(ServiceError::new(format!(
                "the key {key:?} of Vault's secret {path:?} is not a text"
            ))),
            None => {
                let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
                Err(
                    ServiceError::new(format!("Vault's secret {path:?} has no key {key:?}"))
                        .help(format!("it has: {}", known.join(", "))),
                )
            }
        }
    }
}

/// Reads the secret at `path`, which for version 2 of the engine contains `data/`.
pub(super) fn read(
    client: &Client,
    settings: &Settings,
    path: &str,
) -> Result<Secret, ServiceError> {
    let variable = match settings.get("VAULT_AGENT_ADDR") {
        Some(_) => "VAULT_AGENT_ADDR",
        None => "VAULT_ADDR",
    };
    let address = settings.get(variable).unwrap_or(DEFAULT_ADDRESS);
    let mut headers = vec![
        ("X-Vault-Request".to_owned(), "true".to_owned()),
        ("X-Vault-Token".to_owned(), token(settings)?),
    ];
    if let Some(namespace) = settings.get("VAULT_NAMESPACE") {
        headers.push(("X-Vault-Namespace".to_owned(), namespace.to_owned()));
    }
    let request = HttpRequest {
        url: below(variable, address, &format!("v1/{path}"))?.to_string(),
        method: "GET".to_owned(),
        headers,
        body: Vec::new(),
    };
    let trust = settings.trust(&TRUST, settings.flag("VAULT_SKIP_VERIFY")?.unwrap_or(false))?;
    let response = ask_store(client, request, trust).map_err(|error| {
        let error = ServiceError::from(error);
        match settings.get(variable) {
            Some(_) => error,
            None => error.help("set VAULT_ADDR to the address of the Vault server"),
        }
    })?;
    secret(path, &response)
}

fn token(settings: &Settings) -> Result<String, ServiceError> {
    let token = match settings.get("VAULT_TOKEN") {
        Some(token) => Some(token.to_owned()),
        None => settings.file_of_home(".vault-token")?,
    };
    token
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| {
            ServiceError::new("there is no token for Vault").help(
                "set VAULT_TOKEN, and VAULT_ADDR to the address of the server; or log in with `vault login`",
            )
        })
}

fn secret(path: &str, response: &HttpResponse) -> Result<Secret, ServiceError> {
    let content: Option<Map<String, Value>> = serde_json::from_slice(&response.body).ok();
    let said = said(content.as_ref());
    match response.status {
        200..=299 => {}
        404 => {
            return Err(
                ServiceError::new(format!("Vault has no secret {path:?}{said}")).help(
                    "a secret of the key-value engine version 2 has the path MOUNT/data/NAME, one of version 1 MOUNT/NAME",
                ),
            );
        }
        403 => {
            return Err(
                ServiceError::new(format!("Vault refuses the secret {path:?}{said}"))
                    .help("check that the token in VAULT_TOKEN is valid and may read it"),
            );
        }
        status => {
            return Err(ServiceError::new(format!(
                "Vault fails with status {status} for the secret {path:?}{said}"
            )));
        }
    }
    let Some(mut content) = content else {
        return Err(ServiceError::new(format!(
            "what answers for the secret {path:?} is not Vault"
        ))
        .help("check the address in VAULT_ADDR"));
    };
    match content.remove("data") {
        Some(Value::Object(mut data)) => match data.remove("data") {
            Some(Value::Object(versioned)) => Ok(Secret(versioned)),
            // Version 1, where `data` may be a key like any other.
            Some(other) => {
                data.insert("data".to_owned(), other);
                Ok(Secret(data))
            }
            None => Ok(Secret(data)),
        },
        _ => Err(ServiceError::new(format!(
            "Vault's answer for {path:?} has no data{said}"
        ))),
    }
}

/// What Vault says about an answer, to be put behind a message.
fn said(content: Option<&Map<String, Value>>) -> String {
    let mut texts = Vec::new();
    for name in ["errors", "warnings"] {
        let list = content.and_then(|content| content.get(name)?.as_array());
        texts.extend(list.into_iter().flatten().filter_map(Value::as_str));
    }
    match texts.is_empty() {
        true => String::new(),
        false => format!(": {}", texts.join("; ").trim()),
    }
}
