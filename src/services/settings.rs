//! Settings: what the environment and files of the user's home say about services.

use super::http::Trust;
use crate::template::ServiceError;
use reqwest::Url;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file of settings that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where settings are looked up.
pub(super) struct Settings {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) home: Option<PathBuf>,
}

/// The variables that say whom an encrypted connection trusts.
pub(super) struct TrustVariables {
    pub(super) authorities: &'static str,
    pub(super) authorities_folder: &'static str,
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    pub(super) server_name: &'static str,
}

impl Settings {
    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A variable that says yes or no, in any way that Go's tools understand.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ServiceError> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(ServiceError::new(format!(
                "{name} is {other:?}, which is neither true nor false"
            ))),
        }
    }

    /// The content of a file below the user's home; none if there is no such file.
    pub(super) fn file_of_home(&self, name: &str) -> Result<Option<String>, ServiceError> {
        match &self.home {
            Some(home) => optional_file(&home.join(name)),
            None => Ok(None),
        }
    }

    /// What an encrypted connection relies on, by the variables of a service.
    pub(super) fn trust(
        &self,
        variables: &TrustVariables,
        anyone: bool,
    ) -> Result<Trust, ServiceError> {
        for name in [variables.authorities_folder, variables.server_name] {
            if self.get(name).is_some() {
                return Err(
                    ServiceError::new(format!("{name} is not supported")).help(format!(
                        "name a file of certificates in {}",
                        variables.authorities
                    )),
                );
            }
        }
        let mut trust = Trust {
            anyone,
            ..Trust::default()
        };
        if let Some(path) = self.get(variables.authorities) {
            trust.authorities = file(variables.authorities, Path::new(path))?.into_bytes();
        }
        if let (Some(certificate), Some(key)) =
            (self.get(variables.certificate), self.get(variables.key))
        {
            let certificate = file(variables.certificate, Path::new(certificate))?;
            let key = file(variables.key, Path::new(key))?;
            trust.identity = format!("{key}\n{certificate}").into_bytes();
        }
        Ok(trust)
    }
}

/// The content of a file that a variable names.
pub(super) fn file(variable: &str, path: &Path) -> Result<String, ServiceError> {
    read(path).map_err(|error| {
        let path = path.display();
        ServiceError::new(format!("cannot read {path}, named by {variable}: {error}"))
    })
}

/// The content of a file; none if there is no such file.
pub(super) fn optional_file(path: &Path) -> Result<Option<String>, ServiceError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ServiceError::new(format!(
            "cannot read {}: {error}",
            path.display()
        ))),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// The address of something on a server, of which `path` may have any characters.
pub(super) fn below(variable: &str, address: &str, path: &str) -> Result<Url, ServiceError> {
    let mut url = Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            ServiceError::new(format!("{variable} is not the address of a server"))
                .help("it has the form http://HOST:PORT or https://HOST:PORT")
        })?;
    // An address with a host has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    Ok(url)
}
