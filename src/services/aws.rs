//! AWS Secrets Manager: the text of a secret.
//!
//! Region, endpoint and credentials are found where AWS's own tools look for them. One request is
//! made, signed by ourselves: all of AWS's client library for it would be out of proportion.

mod access;
mod credentials;
mod profile;
mod signature;

pub(super) use access::Access;

use super::ask_store;
use super::http::{Client, Trust};
use crate::template::{HttpRequest, ServiceError};
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use signature::Signature;

/// What Secrets Manager answers.
#[derive(Deserialize)]
struct SecretValue {
    #[serde(rename = "SecretString")]
    text: Option<String>,
}

/// What AWS says of a failure.
#[derive(Default, Deserialize)]
struct Failure {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

/// Reads the current text of a secret, by its name or ARN.
pub(super) fn secret(
    client: &Client,
    access: &Access,
    name: &str,
    now: Timestamp,
) -> Result<String, ServiceError> {
    let body = json!({ "SecretId": name, "VersionStage": "AWSCURRENT" }).to_string();
    let url = Url::parse(&access.endpoint).map_err(|_| {
        ServiceError::new(format!(
            "{:?} is not the address of AWS Secrets Manager",
            access.endpoint
        ))
        .help(
            "AWS_ENDPOINT_URL_SECRETS_MANAGER and AWS_ENDPOINT_URL have the form http://HOST:PORT",
        )
    })?;
    let mut headers = vec![
        (
            "content-type".to_owned(),
            "application/x-amz-json-1.1".to_owned(),
        ),
        (
            "x-amz-target".to_owned(),
            "secretsmanager.GetSecretValue".to_owned(),
        ),
    ];
    let signature = Signature {
        credentials: &access.credentials,
        region: &access.region,
        service: "secretsmanager",
        now,
    };
    signature.sign("POST", &url, &mut headers, body.as_bytes());
    let request = HttpRequest {
        url: url.to_string(),
        method: "POST".to_owned(),
        headers,
        body: body.into_bytes(),
    };
    let response = ask_store(client, request, Trust::default())?;
    if response.status != 200 {
        let failure: Failure = serde_json::from_slice(&response.body).unwrap_or_default();
        let kind = failure.kind.rsplit('#').next().unwrap_or_default();
        let error = ServiceError::new(format!(
            "AWS Secrets Manager in {} refuses the secret {name:?}: {}",
            access.region,
            match (kind, failure.message.as_str()) {
                ("", _) => format!("status {}", response.status),
                (kind, "") => kind.to_owned(),
                (kind, message) => format!("{kind}: {message}"),
            }
        ));
        return Err(match kind {
            "ResourceNotFoundException" => {
                error.help("check the name of the secret, and the region in AWS_REGION")
            }
            "UnrecognizedClientException" | "ExpiredTokenException" | "InvalidClientTokenId" => {
                error.help("the credentials are not valid, or not any more: get new ones")
            }
            _ => error,
        });
    }
    let value: SecretValue = serde_json::from_slice(&response.body).map_err(|_| {
        ServiceError::new(format!(
            "what answers for the secret {name:?} is not AWS Secrets Manager"
        ))
        .help("check AWS_ENDPOINT_URL")
    })?;
    value
        .text
        .ok_or_else(|| ServiceError::new(format!("the secret {name:?} is binary, not a text")))
}
