//! Trust: which servers are believed to be who they say, and what they are shown in turn.

use super::NetworkError;
use reqwest::{Certificate, ClientBuilder, Identity};

/// What an encrypted connection relies on. By default on the system's certificate authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trust {
    /// Certificate authorities beside those of the system, in PEM.
    pub authorities: Vec<u8>,
    /// The client's own certificate and private key, in PEM; none if it is empty.
    pub identity: Vec<u8>,
    /// Any certificate is believed.
    pub anyone: bool,
}

impl Trust {
    /// Lets a client rely on this.
    pub fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, NetworkError> {
        // The first to ask installs it; any later one finds it there.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let mut builder = builder.tls_danger_accept_invalid_certs(self.anyone);
        if !self.authorities.is_empty() {
            let authorities = Certificate::from_pem_bundle(&self.authorities)
                .ok()
                .filter(|authorities| !authorities.is_empty())
                .ok_or(NetworkError::Authorities)?;
            builder = builder.tls_certs_merge(authorities);
        }
        if !self.identity.is_empty() {
            let identity =
                Identity::from_pem(&self.identity).map_err(|_| NetworkError::Identity)?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}
