//! Proxies: the servers that requests go through, by the variables that every tool reads.

use super::NetworkError;
use reqwest::{ClientBuilder, NoProxy, Proxy};
use std::collections::BTreeMap;

/// Requests to this machine itself, and to the metadata services of clouds, never go through a proxy.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16";

/// The proxies for both schemes, and for which hosts there is none.
#[derive(Clone, Debug)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    direct: String,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in capitals or else in small letters.
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| {
            [name.to_owned(), name.to_lowercase()]
                .iter()
                .filter_map(|name| environment.get(name))
                .find(|value| !value.is_empty())
                .cloned()
        };
        // A web server's child gets the header `Proxy` of any request as this variable.
        let is_web_server_child = environment.contains_key("REQUEST_METHOD");
        Self {
            http: get("HTTP_PROXY").filter(|_| !is_web_server_child),
            https: get("HTTPS_PROXY"),
            direct: match get("NO_PROXY") {
                Some(hosts) => format!("{ALWAYS_DIRECT},{hosts}"),
                None => ALWAYS_DIRECT.to_owned(),
            },
        }
    }

    /// Lets a client use these proxies, and no others.
    pub fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, NetworkError> {
        let direct = || NoProxy::from_string(&self.direct);
        let mut builder = builder.no_proxy();
        if let Some(address) = &self.http {
            let proxy = Proxy::http(address).map_err(|_| NetworkError::Proxy("HTTP_PROXY"))?;
            builder = builder.proxy(proxy.no_proxy(direct()));
        }
        if let Some(address) = &self.https {
            let proxy = Proxy::https(address).map_err(|_| NetworkError::Proxy("HTTPS_PROXY"))?;
            builder = builder.proxy(proxy.no_proxy(direct()));
        }
        Ok(builder)
    }
}
