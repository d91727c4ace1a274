//! Settings: how registries are reached, and who asks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How registries are reached. Nothing here is read from the process; `cli` collects it.
#[derive(Clone)]
pub struct Settings {
    /// The environment: proxies, `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `XDG_RUNTIME_DIR`, …
    pub environment: BTreeMap<String, String>,
    /// The user's home folder, where files with credentials lie.
    pub home: Option<PathBuf>,
    /// Hosts (with ports) that may be spoken to without encryption, or with a certificate that
    /// nobody vouches for.
    pub insecure: Vec<String>,
    /// Other places to ask first when something is read: a registry's host, and addresses such as
    /// `https://mirror.example/prefix`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Certificate authorities beside those of the system, in PEM.
    pub authorities: Vec<u8>,
    /// How long one operation (one blob, one manifest) may take with all its repetitions while
    /// nothing moves.
    pub budget: Duration,
    /// Whether the run was ended; asked several times in a second.
    pub is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that stands for both (`identitytoken` of Docker's configuration).
    IdentityToken(String),
}
