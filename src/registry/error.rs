//! What can go wrong with a registry.

use super::credentials::CredentialsError;
use super::reference::Repository;
use crate::digest::Digest;
use crate::format;
use crate::network::NetworkError;
use crate::store::StoreError;
use crate::text;
use std::time::Duration;

/// Why something was not read from a registry, or not written to it.
///
/// `subject` is what was asked for and where: `blob sha256:… of localhost:5000/app`.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store could not take or give a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Connections cannot be made as asked.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A file with credentials, or a helper, could not be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A setting is wrong.
    #[error("{0}")]
    Setting(String),
    /// The client's thread cannot be started, or has ended.
    #[error("cannot start a network connection: {0}")]
    Start(String),
    /// There is no such manifest or blob, or it is hidden from whoever asks.
    #[error("{repository} has no {what}")]
    NotFound {
        /// The repository.
        repository: Repository,
        /// `tag 12`, `blob sha256:…`.
        what: String,
    },
    /// Nothing says where a blob can be had.
    #[error("the blob {digest} is not in the store, and nothing says where it can be had")]
    NoOrigin {
        /// The blob.
        digest: Digest,
    },
    /// The run was ended.
    #[error("interrupted")]
    Interrupted,
    /// What came is not what its digest says.
    #[error("{what} of {repository} should be {expected} but is {found}")]
    Mismatch {
        /// The repository.
        repository: Repository,
        /// What was asked for.
        what: String,
        /// Its digest.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// What came is shorter or longer than announced.
    #[error("{subject} should have {expected} bytes but has {}{found}", if *.is_more { "more than " } else { "" })]
    Size {
        /// What was asked for.
        subject: String,
        /// The announced size.
        expected: u64,
        /// How many bytes came.
        found: u64,
        /// Whether there were more, which were not read.
        is_more: bool,
    },
    /// The registry wants to know who asks, or does not believe it.
    #[error("{subject}: {registry} {reason}; log in with: hardtack login {registry}")]
    Unauthorized {
        /// What was asked for.
        subject: String,
        /// Whose credentials are missing or wrong.
        registry: String,
        /// What it says.
        reason: String,
    },
    /// Whoever asks may not do that.
    #[error("{subject}: {registry} does not allow that{detail}")]
    Denied {
        /// What was asked for.
        subject: String,
        /// Who says so.
        registry: String,
        /// What else it says, behind a colon.
        detail: String,
    },
    /// The registry wants to be asked less often, for longer than the budget.
    #[error("{subject}: {registry} has been asked too often{}{detail}", wait(*.after))]
    TooManyRequests {
        /// What was asked for.
        subject: String,
        /// Who says so.
        registry: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
        /// What else it says, behind a colon.
        detail: String,
    },
    /// Encryption is expected and not spoken.
    #[error(
        "{subject}: {place} does not speak TLS; if that is meant to be so, allow it with --insecure-registry {registry}"
    )]
    Plain {
        /// What was asked for.
        subject: String,
        /// The address that was asked.
        place: String,
        /// The registry to allow.
        registry: String,
    },
    /// The certificate is not trusted.
    #[error(
        "{subject}: the certificate of {place} is not trusted: {reason}; name its authority with --registry-ca FILE, or trust anyone with --insecure-registry {registry}"
    )]
    Certificate {
        /// What was asked for.
        subject: String,
        /// The address that was asked.
        place: String,
        /// The registry to allow.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection, or it ends again and again.
    #[error("{subject}: {reason}")]
    Connection {
        /// What was asked for.
        subject: String,
        /// Where and why.
        reason: String,
    },
    /// The registry takes too long.
    #[error("{subject}: {place} does not answer in time")]
    Timeout {
        /// What was asked for.
        subject: String,
        /// The address that was asked.
        place: String,
    },
    /// The registry answers with an error that has no meaning of its own here.
    #[error("{subject}: {registry} answers {status}{detail}")]
    Status {
        /// What was asked for.
        subject: String,
        /// Who says so.
        registry: String,
        /// The status: `500 Internal Server Error`.
        status: String,
        /// What else it says, behind a colon.
        detail: String,
    },
    /// A document is larger than any real one.
    #[error("{subject} has more than the {limit} bytes that are read")]
    TooLarge {
        /// What was asked for.
        subject: String,
        /// The limit.
        limit: u64,
    },
    /// An answer or a document contradicts the specification or itself.
    #[error("{subject} is not valid: {reason}")]
    Invalid {
        /// What was asked for.
        subject: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// A manifest in the format of 2014, which has no configuration.
    #[error(
        "{subject} is a manifest of schema 1, which no registry should serve any more; push the image again with a current tool"
    )]
    Schema1 {
        /// What was asked for.
        subject: String,
    },
}

/// The most that is shown of what others wrote, in columns.
const SHOWN: usize = 300;

impl RegistryError {
    /// An answer or a document contradicts the specification. The reason may quote it, however long
    /// and harmful that is.
    pub(super) fn invalid(subject: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Invalid {
            subject: subject.into(),
            reason: harmless(&reason.to_string()),
        }
    }

    /// Whether the registry has answered, and what it gives is not there or not right; else asking
    /// again, or asking otherwise, could help.
    pub fn is_wrong_answer(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::NoOrigin { .. }
                | Self::Mismatch { .. }
                | Self::Size { .. }
                | Self::TooLarge { .. }
                | Self::Invalid { .. }
                | Self::Schema1 { .. }
        )
    }
}

/// What others wrote, as one short line that does nothing to a terminal.
pub(super) fn harmless(text: &str) -> String {
    // What is cut off need not be looked at.
    let text = text::neutralise(&text::shorten(text, 16 * SHOWN)).replace('\n', " ");
    text::cut(text.trim(), SHOWN).into_owned()
}

fn wait(after: Option<Duration>) -> String {
    match after {
        Some(after) => format!(
            " and wants to be asked again in {}, which is longer than the time that is left",
            format::duration(after.as_secs_f64())
        ),
        None => String::new(),
    }
}
