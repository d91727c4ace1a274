//! Signature version 4: how a request to AWS shows who makes it.
//!
//! A *canonical request* is the one spelling of a request that both sides hash. Specification:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use super::credentials::Credentials;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// As whom, for what and when a request is signed.
pub(super) struct Signature<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) now: Timestamp,
}

impl Signature<'_> {
    /// Adds the headers of the signature to those of a request, all of which are signed. The
    /// address must have no query.
    pub(super) fn sign(
        &self,
        method: &str,
        url: &Url,
        headers: &mut Vec<(String, String)>,
        body: &[u8],
    ) {
        let now = self.now.to_zoned(TimeZone::UTC);
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = now.strftime("%Y%m%d").to_string();
        headers.push(("x-amz-date".to_owned(), time.clone()));
        if let Some(token) = &self.credentials.session_token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        let mut signed: BTreeMap<String, &str> = headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.trim()))
            .collect();
        let host = host(url);
        signed.insert("host".to_owned(), &host);
        let names: Vec<&str> = signed.keys().map(String::as_str).collect();
        let names = names.join(";");
        let mut lines = String::new();
        for (name, value) in &signed {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{name}:{value}");
        }
        let path = url.path();
        let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{}", hash(body));
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hash(canonical.as_bytes())
        );
        let signature = hex(&mac(&self.key(&date), &text));
        let id = &self.credentials.access_key_id;
        headers.push((
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        ));
    }

    /// The key of one day, region and service.
    fn key(&self, date: &str) -> Vec<u8> {
        let secret = format!("AWS4{}", self.credentials.secret_access_key).into_bytes();
        [date, self.region, self.service, "aws4_request"]
            .iter()
            .fold(secret, |key, part| mac(&key, part))
    }
}

/// The host as it is sent: with the port, unless it is the usual one.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example credentials of AWS's documentation, with which its test suite is made.
    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: token.map(str::to_owned),
        }
    }

    fn signature<'a>(credentials: &'a Credentials, service: &'a str) -> Signature<'a> {
        Signature {
            credentials,
            region: "us-east-1",
            service,
            now: "2015-08-30T12:36:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_key_is_that_of_the_documentation() {
        let credentials = credentials(None);
        assert_eq!(
            hex(&signature(&credentials, "iam").key("20150830")),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    /// `get-vanilla` and `post-vanilla` of the test suite.
    #[test]
    fn requests_are_signed_as_in_the_test_suite() {
        let credentials = credentials(None);
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        for (method, expected) in [
            (
                "GET",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
        ] {
            let mut headers = Vec::new();
            signature(&credentials, "service").sign(method, &url, &mut headers, b"");
            let (_, authorization) = headers.last().unwrap();
            assert_eq!(
                *authorization,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={expected}"
                )
            );
        }
    }

    #[test]
    fn a_session_token_and_an_unusual_port_are_signed() {
        let credentials = credentials(Some("t0ken"));
        let url = Url::parse("http://127.0.0.1:5000/").unwrap();
        assert_eq!(host(&url), "127.0.0.1:5000");
        let mut headers = vec![("X-Amz-Target".to_owned(), "a".to_owned())];
        signature(&credentials, "service").sign("POST", &url, &mut headers, b"{}");
        assert!(headers.contains(&("x-amz-security-token".to_owned(), "t0ken".to_owned())));
        let (_, authorization) = headers.last().unwrap();
        assert!(
            authorization
                .contains("SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target,"),
            "{authorization}"
        );
    }
}
