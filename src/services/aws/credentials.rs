//! Credentials for AWS, from where AWS's own tools take them: the environment, the files of the
//! user's home, the container, the machine.

use super::profile::Profile;
use crate::services::http::{Client, Elsewhere, Exchange, Trust};
use crate::services::settings::{Settings, file};
use crate::template::{HttpRequest, HttpResponse, ServiceError};
use reqwest::Url;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// How long the metadata services may take: a machine that has none must not wait for it.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);

/// The metadata service of a container.
const CONTAINER: &str = "http://169.254.170.2";

/// The metadata service of a machine.
const MACHINE: &str = "http://169.254.169.254";

/// Settings of a profile that stand for credentials to be fetched by other programs or services.
const INDIRECT: [&str; 5] = [
    "role_arn",
    "credential_process",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// A key of AWS, and its secret.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    #[serde(rename = "Token")]
    pub(super) session_token: Option<String>,
}

/// Looks for credentials.
pub(super) fn find(
    client: &Client,
    settings: &Settings,
    profile: &Profile,
) -> Result<Credentials, ServiceError> {
    let from_environment = (
        settings.get("AWS_ACCESS_KEY_ID"),
        settings.get("AWS_SECRET_ACCESS_KEY"),
        settings.get("AWS_SESSION_TOKEN"),
    );
    let from_profile = (
        profile.get("aws_access_key_id"),
        profile.get("aws_secret_access_key"),
        profile.get("aws_session_token"),
    );
    for (id, secret, token) in [from_environment, from_profile] {
        if let (Some(id), Some(secret)) = (id, secret) {
            return Ok(Credentials {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned(),
                session_token: token.map(str::to_owned),
            });
        }
    }
    if let Some(indirect) = INDIRECT.iter().find(|name| profile.get(name).is_some()) {
        return Err(ServiceError::new(format!(
            "the profile {:?} of AWS has no credentials of its own but {indirect}, which is not supported",
            profile.name
        ))
        .help("run `eval \"$(aws configure export-credentials --format env)\"` before"));
    }
    if settings.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        return Err(
            ServiceError::new("AWS_WEB_IDENTITY_TOKEN_FILE is not supported")
                .help("run `eval \"$(aws configure export-credentials --format env)\"` before"),
        );
    }
    if let Some(found) = of_container(client, settings)? {
        return Ok(found);
    }
    if let Some(found) = of_machine(client, settings)? {
        return Ok(found);
    }
    Err(ServiceError::new("there are no credentials for AWS").help(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a profile of ~/.aws/credentials with AWS_PROFILE",
    ))
}

/// Those that the environment of a container points to.
fn of_container(client: &Client, settings: &Settings) -> Result<Option<Credentials>, ServiceError> {
    let relative = settings.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = match (relative, settings.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        (Some(path), _) => format!("{CONTAINER}{path}"),
        (None, Some(address)) if may_see_token(address) => address.to_owned(),
        (None, Some(_)) => {
            return Err(ServiceError::new(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither encrypted nor an address of this machine",
            ));
        }
        (None, None) => return Ok(None),
    };
    let token = match (
        settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    ) {
        (Some(path), _) => Some(file(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            Path::new(path),
        )?),
        (None, token) => token.map(str::to_owned),
    };
    let headers = token.map(|token| ("Authorization", token.trim().to_owned()));
    let response = ask(client, "GET", &url, headers).map_err(|error| {
        ServiceError::new(format!(
            "the container gives no credentials for AWS: {}",
            error.message
        ))
    })?;
    decode(&response, "container").map(Some)
}

/// Whether the address is one that a token may be sent to.
fn may_see_token(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
        || host == "[::1]";
    url.scheme() == "https"
        || is_loopback
        || ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"].contains(&host)
}

/// Those of the role that a machine at AWS has; none if there is no such machine.
fn of_machine(client: &Client, settings: &Settings) -> Result<Option<Credentials>, ServiceError> {
    if settings.flag("AWS_EC2_METADATA_DISABLED")? == Some(true) {
        return Ok(None);
    }
    let address = settings
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or(MACHINE)
        .trim_end_matches('/');
    let lifetime = ("X-aws-ec2-metadata-token-ttl-seconds", "60".to_owned());
    // Elsewhere nobody answers, or something that knows nothing of this.
    let token = match ask(
        client,
        "PUT",
        &format!("{address}/latest/api/token"),
        Some(lifetime),
    ) {
        Ok(response) if response.status == 200 => response.text().into_owned(),
        _ => return Ok(None),
    };
    let get = |path: &str| {
        let header = ("X-aws-ec2-metadata-token", token.clone());
        let url = format!("{address}/latest/meta-data/iam/security-credentials/{path}");
        ask(client, "GET", &url, Some(header))
    };
    let roles = get("")?;
    let text = roles.text();
    let role = text.lines().next().unwrap_or_default().trim();
    if roles.status != 200 || role.is_empty() {
        return Err(ServiceError::new("this machine at AWS has no role, so no credentials")
            .help("attach an instance profile to it, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
    }
    decode(&get(role)?, "machine").map(Some)
}

fn decode(response: &HttpResponse, place: &str) -> Result<Credentials, ServiceError> {
    let found = serde_json::from_slice(&response.body).ok();
    found.filter(|_| response.status == 200).ok_or_else(|| {
        ServiceError::new(format!(
            "the {place} gives no credentials for AWS, but status {}",
            response.status
        ))
    })
}

fn ask(
    client: &Client,
    method: &str,
    url: &str,
    header: Option<(&str, String)>,
) -> Result<HttpResponse, ServiceError> {
    let exchange = Exchange {
        request: HttpRequest {
            url: url.to_owned(),
            method: method.to_owned(),
            headers: header
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            body: Vec::new(),
        },
        trust: Trust::default(),
        patience: METADATA_PATIENCE,
        elsewhere: Elsewhere::Refuse,
    };
    Ok(client.send(exchange)?)
}
