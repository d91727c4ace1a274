//! One file with credentials: read whole, changed in place, written whole.

use super::{Credentials, CredentialsError, DOCKER_KEY};
use crate::registry::reference::DOCKER;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// More than any such file has.
const SIZE_LIMIT: u64 = 4 * 1024 * 1024;

/// Docker's `config.json` or podman's `auth.json`.
pub(super) struct CredentialsFile {
    path: PathBuf,
    content: Map<String, Value>,
}

/// Where the credentials of a registry are.
pub(super) enum Place {
    /// In a helper of this name.
    Helper(String),
    /// In the file.
    Here(Credentials),
}

impl CredentialsFile {
    /// A file that is not there yet.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            content: Map::new(),
        }
    }

    /// Reads a file; none if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let failed = |source| CredentialsError::Io {
            operation: "read",
            path: path.to_owned(),
            source,
        };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = Vec::new();
        file.take(SIZE_LIMIT)
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.trim_ascii().is_empty() {
            return Ok(Some(Self::new(path)));
        }
        let content = serde_json::from_slice(&text).map_err(|error| CredentialsError::File {
            path: path.to_owned(),
            // Only the place: the text may be a secret.
            reason: format!(
                "line {}, column {} is not as in a JSON object",
                error.line(),
                error.column()
            ),
        })?;
        Ok(Some(Self {
            path: path.to_owned(),
            content,
        }))
    }

    /// Where the credentials of `name`, a repository of `registry` or the registry itself, may be,
    /// the most likely place first.
    pub(super) fn places(
        &self,
        registry: &str,
        name: &str,
    ) -> Result<Vec<Place>, CredentialsError> {
        let mut places = Vec::new();
        places.extend(self.helper(registry).map(|it| Place::Helper(it.to_owned())));
        let mut name = name;
        loop {
            for (_, entry) in self.entries(name) {
                places.extend(self.credentials(name, entry)?.map(Place::Here));
            }
            match name.rsplit_once('/') {
                Some((parent, _)) => name = parent,
                None => return Ok(places),
            }
        }
    }

    /// The helper that has the credentials of a registry.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let of_registry = self.content.get("credHelpers").and_then(|helpers| {
            let helpers = helpers.as_object()?;
            let mut matching = helpers
                .iter()
                .filter(|(key, _)| normalised(key) == registry);
            matching.next()?.1.as_str()
        });
        of_registry
            .or_else(|| self.content.get("credsStore")?.as_str())
            .filter(|name| !name.is_empty())
    }

    /// Whether the file says anything about this very registry.
    pub(super) fn knows(&self, registry: &str) -> bool {
        self.helper(registry).is_some() || self.entries(registry).next().is_some()
    }

    /// Sets or empties the entry of a registry, under `key` unless it has one already.
    pub(super) fn set(&mut self, registry: &str, key: &str, credentials: Option<&Credentials>) {
        let first = self.entries(registry).next().map(|(key, _)| key.clone());
        let key = first.unwrap_or_else(|| key.to_owned());
        let entry = match credentials {
            None => json!({}),
            Some(Credentials::Password { user, password }) => {
                json!({"auth": STANDARD.encode(format!("{user}:{password}"))})
            }
            Some(Credentials::IdentityToken(token)) => json!({"identitytoken": token}),
        };
        let entries = self.content.entry("auths").or_insert_with(|| json!({}));
        if !entries.is_object() {
            *entries = json!({});
        }
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key, entry);
        }
    }

    /// Removes the entries of a registry; says whether there were any.
    pub(super) fn remove(&mut self, registry: &str) -> bool {
        let Some(Value::Object(entries)) = self.content.get_mut("auths") else {
            return false;
        };
        let before = entries.len();
        entries.retain(|key, _| normalised(key) != registry);
        entries.len() != before
    }

    /// Writes the file, for its owner alone.
    pub(super) fn write(&self) -> Result<(), CredentialsError> {
        self.try_write().map_err(|source| CredentialsError::Io {
            operation: "write",
            path: self.path.clone(),
            source,
        })
    }

    fn try_write(&self) -> io::Result<()> {
        // What a link points to is replaced, not the link.
        let path = match fs::canonicalize(&self.path) {
            Ok(path) => path,
            Err(error) if is_absence(&error) => self.path.clone(),
            Err(error) => return Err(error),
        };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        create_private(folder)?;
        // Made for the owner alone, and stays so.
        let mut file = tempfile::Builder::new()
            .prefix(".hardtack-")
            .tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &self.content)?;
        file.write_all(b"\n")?;
        file.as_file().sync_data()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The entries of `name`: a registry, or a repository or a folder of repositories.
    fn entries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.content
            .get("auths")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(move |(key, _)| normalised(key) == name)
    }

    fn credentials(
        &self,
        name: &str,
        entry: &Value,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let text = |field: &str| {
            let text = entry.get(field)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        let Some(encoded) = text("auth") else {
            return Ok(text("username")
                .zip(text("password"))
                .map(|(user, password)| Credentials::Password { user, password }));
        };
        let decoded = STANDARD
            .decode(encoded.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        decoded
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .map(|(user, password)| {
                Some(Credentials::Password {
                    user: user.to_owned(),
                    password: password.trim_matches('\0').to_owned(),
                })
            })
            .ok_or_else(|| CredentialsError::File {
                path: self.path.clone(),
                reason: format!("\"auth\" of {name} is not USER:PASSWORD in base64"),
            })
    }
}

/// The registry or repository that a key means: with a scheme, its path says nothing.
fn normalised(key: &str) -> &str {
    if key == DOCKER_KEY {
        return DOCKER;
    }
    let scheme = ["https://", "http://"];
    let name = match scheme.iter().find_map(|scheme| key.strip_prefix(scheme)) {
        Some(address) => address.split('/').next().unwrap_or_default(),
        None => {
            let key = key.trim_end_matches('/');
            let version = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2"));
            version.unwrap_or(key)
        }
    };
    match name {
        "index.docker.io" | "registry-1.docker.io" => DOCKER,
        name => name,
    }
}

/// Makes a folder and those above it; the folder itself is for its owner alone.
fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
