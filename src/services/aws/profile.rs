//! Profiles: the sections of `~/.aws/config` and `~/.aws/credentials`.

use crate::services::settings::{Settings, file};
use crate::template::ServiceError;
use std::collections::BTreeMap;
use std::path::Path;

/// The settings of the chosen profile. What stands in `credentials` wins over `config`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile that `AWS_PROFILE` names, or `default`.
    ///
    /// # Errors
    /// A file cannot be read, or there is no such profile though it is named.
    pub(super) fn read(settings: &Settings) -> Result<Self, ServiceError> {
        let chosen = settings.get("AWS_PROFILE");
        let name = chosen.unwrap_or("default");
        let text = |variable: &str, usual: &str| match settings.get(variable) {
            Some(path) => file(variable, Path::new(path)).map(Some),
            None => settings.file_of_home(usual),
        };
        let config = text("AWS_CONFIG_FILE", ".aws/config")?.unwrap_or_default();
        let credentials =
            text("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?.unwrap_or_default();
        let heading = match name {
            "default" => "default".to_owned(),
            name => format!("profile {name}"),
        };
        let mut found = section(&config, &heading);
        if found.is_none() && name == "default" {
            found = section(&config, "profile default");
        }
        let secret = section(&credentials, name);
        if chosen.is_some() && found.is_none() && secret.is_none() {
            return Err(
                ServiceError::new(format!("there is no profile {name:?} of AWS"))
                    .help("AWS_PROFILE names a section of ~/.aws/config or ~/.aws/credentials"),
            );
        }
        let mut values = found.unwrap_or_default();
        values.extend(secret.unwrap_or_default());
        Ok(Self {
            name: name.to_owned(),
            values,
        })
    }

    /// A setting that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}

/// The settings of a section, with names in lower case. Indented lines belong to nested settings,
/// of which none is needed here.
fn section(text: &str, heading: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let title = rest.split(']').next().unwrap_or_default();
            inside = title.split_whitespace().eq(heading.split_whitespace());
            if inside {
                found.get_or_insert_default();
            }
        } else if inside
            && !line.starts_with([' ', '\t'])
            && let (Some(found), Some((name, value))) = (&mut found, trimmed.split_once('='))
        {
            // A comment begins behind a space.
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default();
            found.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_aws_writes_them() {
        let text = "# c\n[default]\nregion=eu-west-1 # here\n\n[profile  ci]\nRegion = us-east-1\ns3 =\n  region = nested\nkey = a=b#c\n[other]\nkey = no\n";
        let of = |heading: &str| {
            section(text, heading).map(|found| found.into_iter().collect::<Vec<_>>())
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of("default"), Some(vec![pair("region", "eu-west-1")]));
        assert_eq!(
            of("profile ci"),
            Some(vec![
                pair("key", "a=b#c"),
                pair("region", "us-east-1"),
                pair("s3", "")
            ])
        );
        assert_eq!(of("ci"), None);
    }
}
