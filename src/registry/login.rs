//! Login: whether a registry accepts credentials.

use super::{Client, RegistryError, Repository};
use reqwest::Method;
use reqwest::header::HeaderMap;

/// Asks the registry as such, which wants to know who asks if it ever does (distribution
/// specification, "Determining Support").
pub(super) fn check(client: &Client, registry: &str) -> Result<(), RegistryError> {
    let nothing = Repository {
        registry: registry.to_owned(),
        path: String::new(),
    };
    let subject = format!("the login to {registry}");
    client.at_registry(&nothing, "", &subject, |session, patience| {
        let url = session.endpoint.base.clone();
        let answer = session.ask(Method::GET, url, HeaderMap::new(), patience)?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(session.missing(answer, "interface of a registry")),
        }
    })
}
