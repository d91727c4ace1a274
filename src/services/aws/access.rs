//! Access: as whom, in which region and at which address AWS is asked.

use super::credentials::{self, Credentials};
use super::profile::Profile;
use crate::services::http::Client;
use crate::services::settings::Settings;
use crate::template::ServiceError;

/// All that a request to Secrets Manager needs beside its content.
#[derive(Clone)]
pub(in crate::services) struct Access {
    pub(super) region: String,
    pub(super) endpoint: String,
    pub(super) credentials: Credentials,
}

impl Access {
    /// Looks for region, endpoint and credentials.
    pub(in crate::services) fn find(
        client: &Client,
        settings: &Settings,
    ) -> Result<Self, ServiceError> {
        let profile = Profile::read(settings)?;
        let region = (settings.get("AWS_REGION"))
            .or_else(|| settings.get("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"))
            .ok_or_else(|| {
                ServiceError::new("no region of AWS is chosen")
                    .help("set AWS_REGION, or write `region = …` in ~/.aws/config")
            })?
            .to_owned();
        // It becomes a part of a host's name.
        if !region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(ServiceError::new(format!(
                "{region:?} is not a region of AWS"
            )));
        }
        let ignored = settings
            .flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")?
            .unwrap_or(false);
        let configured = (settings.get("AWS_ENDPOINT_URL_SECRETS_MANAGER"))
            .or_else(|| settings.get("AWS_ENDPOINT_URL"))
            .or_else(|| profile.get("endpoint_url"))
            .filter(|_| !ignored);
        let endpoint = match configured {
            Some(address) => address.to_owned(),
            None => format!("https://secretsmanager.{region}.{}/", domain(&region)),
        };
        Ok(Self {
            region,
            endpoint,
            credentials: credentials::find(client, settings, &profile)?,
        })
    }
}

/// The domain of the part of AWS that a region belongs to.
fn domain(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    }
}
