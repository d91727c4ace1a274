//! Secret stores, against doubles of their servers.

use super::http::doubles::{Answer, Server, ok, redirect, status};
use super::*;
use std::fs;

const NOW: &str = "2015-08-30T12:36:00Z";

fn services_at(home: Option<PathBuf>, environment: &[(&str, &str)]) -> NetworkServices {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    NetworkServices::new(environment, home, Box::new(|| NOW.parse().unwrap()))
}

fn services(environment: &[(&str, &str)]) -> NetworkServices {
    services_at(None, environment)
}

/// The path of a request.
fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// The message and help of a failure.
fn failure<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> String {
    let error = result.unwrap_err();
    format!("{} | {}", error.message, error.help.unwrap_or_default())
}

fn vault_server() -> Server {
    Server::start(|request| {
        if !request.contains("x-vault-token: t0p\r\n") {
            return status("403 Forbidden", r#"{"errors":["permission denied"]}"#);
        }
        match path(request) {
            "/v1/secret/data/app" => ok(
                r#"{"data":{"data":{"password":"p2","port":5432,"list":[]},"metadata":{"version":3}}}"#,
            ),
            "/v1/kv/app" => ok(r#"{"data":{"password":"p1"}}"#),
            "/v1/kv/odd" => ok(r#"{"data":{"data":"d"}}"#),
            "/v1/kv/a%3Fb%20c" => ok(r#"{"data":{"k":"v"}}"#),
            "/v1/kv/warned" => status(
                "404 Not Found",
                r#"{"warnings":["Invalid path for a versioned K/V secrets engine"]}"#,
            ),
            "/v1/kv/malformed" => ok("{"),
            "/v1/kv/empty" => ok("{}"),
            "/v1/kv/moved" => redirect("307 Temporary Redirect", "http://127.0.0.2:1/v1/kv/moved"),
            "/v1/kv/sealed" => status(
                "503 Service Unavailable",
                r#"{"errors":["Vault is sealed"]}"#,
            ),
            _ => status("404 Not Found", r#"{"errors":[]}"#),
        }
    })
}

#[test]
fn vault_gives_secrets_of_both_engines() {
    let server = vault_server();
    let services = services(&[
        ("VAULT_ADDR", &server.address),
        ("VAULT_TOKEN", "t0p"),
        ("VAULT_NAMESPACE", "team"),
    ]);
    for (path, key, expected) in [
        ("secret/data/app", "password", "p2"),
        ("/secret/data/app", "port", "5432"),
        ("kv/app", "password", "p1"),
        ("kv/odd", "data", "d"),
        ("kv/a?b c", "k", "v"),
    ] {
        assert_eq!(services.vault(path, key).as_deref(), Ok(expected), "{path}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 4, "each secret is read once");
    for request in requests {
        assert!(request.contains("x-vault-namespace: team\r\n"), "{request}");
        assert!(request.contains("x-vault-request: true\r\n"), "{request}");
    }
}

#[test]
fn vault_failures_say_what_to_do() {
    let server = vault_server();
    let environment = [
        ("VAULT_ADDR", server.address.as_str()),
        ("VAULT_TOKEN", "t0p"),
    ];
    let services_of = services;
    let services = services_of(&environment);
    for (path, key, expected) in [
        ("kv/app", "user", "has no key \"user\" | it has: password"),
        ("secret/data/app", "list", "is not a text"),
        ("kv/nothing", "k", "Vault has no secret \"kv/nothing\" | "),
        ("kv/warned", "k", "Invalid path for a versioned"),
        (
            "kv/malformed",
            "k",
            "is not Vault | check the address in VAULT_ADDR",
        ),
        ("kv/empty", "k", "has no data"),
        (
            "kv/moved",
            "k",
            "redirects to http://127.0.0.2:1/v1/kv/moved",
        ),
        (
            "kv/sealed",
            "k",
            "status 503 for the secret \"kv/sealed\": Vault is sealed",
        ),
    ] {
        let message = failure(services.vault(path, key));
        assert!(message.contains(expected), "{message}");
    }
    let refused = services_of(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "wrong")]);
    let message = failure(refused.vault("kv/app", "password"));
    assert!(
        message.contains("permission denied | check that the token"),
        "{message}"
    );
    assert!(!message.contains("wrong"), "{message}");
    let message = failure(services_of(&[]).vault("kv/app", "password"));
    assert!(
        message.contains("no token for Vault | set VAULT_TOKEN"),
        "{message}"
    );
    let wrong = services_of(&[("VAULT_TOKEN", "t0p"), ("VAULT_ADDR", "unix:///run/vault")]);
    let message = failure(wrong.vault("kv/app", "password"));
    assert!(
        message.contains("VAULT_ADDR is not the address of a server"),
        "{message}"
    );
    let unsure = services_of(&[("VAULT_TOKEN", "t0p"), ("VAULT_SKIP_VERIFY", "maybe")]);
    let message = failure(unsure.vault("kv/app", "password"));
    assert!(
        message.contains("VAULT_SKIP_VERIFY is \"maybe\""),
        "{message}"
    );
}

#[test]
fn vault_takes_the_token_of_a_login() {
    let server = vault_server();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".vault-token"), "t0p\n").unwrap();
    let environment = [("VAULT_ADDR", server.address.as_str())];
    let services = services_at(Some(home.path().to_owned()), &environment);
    assert_eq!(services.vault("kv/app", "password").as_deref(), Ok("p1"));
}

#[test]
fn consul_gives_values() {
    let server = Server::start(|request| match path(request) {
        "/v1/kv/app/version?ns=team" => ok(r#"[{"Key":"app/version","Value":"MS4y"}]"#),
        "/v1/kv/empty?ns=team" => ok(r#"[{"Key":"empty","Value":null}]"#),
        "/v1/kv/binary?ns=team" => ok(r#"[{"Key":"binary","Value":"/w=="}]"#),
        "/v1/kv/page?ns=team" => ok("<html>"),
        "/v1/kv/secret?ns=team" => status("403 Forbidden", "Permission denied"),
        "/v1/kv/broken?ns=team" => Answer::Whole("500 Oops", Vec::new(), "no leader\n".to_owned()),
        _ => status("404 Not Found", ""),
    });
    let host = server.address.strip_prefix("http://").unwrap();
    let services = services(&[
        ("CONSUL_HTTP_ADDR", host),
        ("CONSUL_HTTP_TOKEN", "t0p"),
        ("CONSUL_HTTP_AUTH", "user:pw"),
        ("CONSUL_NAMESPACE", "team"),
    ]);
    assert_eq!(services.consul_key("/app/version").as_deref(), Ok("1.2"));
    assert_eq!(services.consul_key("app/version").as_deref(), Ok("1.2"));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].contains("x-consul-token: t0p\r\n"));
    assert!(requests[0].contains("authorization: Basic dXNlcjpwdw==\r\n"));
    for (key, expected) in [
        ("empty", "the value of Consul's key \"empty\" is empty"),
        ("binary", "is not text"),
        ("page", "is not Consul"),
        ("secret", "Permission denied | set CONSUL_HTTP_TOKEN"),
        ("broken", "status 500 for the key \"broken\": no leader"),
        ("other", "Consul has no key \"other\""),
    ] {
        let message = failure(services.consul_key(key));
        assert!(message.contains(expected), "{message}");
    }
}

/// A double of Secrets Manager, and of the metadata services of containers and machines.
fn aws_server() -> Server {
    Server::start(|request| match (path(request), request) {
        ("/latest/api/token", _) => ok("m3tadata"),
        ("/latest/meta-data/iam/security-credentials/", _) => ok("builder\n"),
        ("/latest/meta-data/iam/security-credentials/builder" | "/container", _) => ok(
            r#"{"AccessKeyId":"AKIDROLE","SecretAccessKey":"s3cret","Token":"s3ssion","Expiration":"2015-08-30T18:36:00Z"}"#,
        ),
        (_, request) if request.contains(r#""SecretId":"app""#) => {
            ok(r#"{"Name":"app","SecretString":"{\"user\":\"u\"}"}"#)
        }
        (_, request) if request.contains(r#""SecretId":"binary""#) => {
            ok(r#"{"Name":"binary","SecretBinary":"AAAA"}"#)
        }
        (_, request) if request.contains(r#""SecretId":"page""#) => ok("<html>"),
        (_, request) if request.contains(r#""SecretId":"expired""#) => status(
            "400 Bad Request",
            r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"expired"}"#,
        ),
        _ => status(
            "400 Bad Request",
            r#"{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find it."}"#,
        ),
    })
}

#[test]
fn aws_is_asked_with_a_signed_request() {
    let server = aws_server();
    let services = services(&[
        ("AWS_ENDPOINT_URL", &server.address),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_SESSION_TOKEN", "s3ssion"),
    ]);
    for _ in 0..2 {
        assert_eq!(services.aws_secret("app").as_deref(), Ok(r#"{"user":"u"}"#));
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    for part in [
        "POST / HTTP/1.1\r\n",
        "x-amz-target: secretsmanager.GetSecretValue\r\n",
        "content-type: application/x-amz-json-1.1\r\n",
        "x-amz-date: 20150830T123600Z\r\n",
        "x-amz-security-token: s3ssion\r\n",
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/secretsmanager/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=",
        r#"{"SecretId":"app","VersionStage":"AWSCURRENT"}"#,
    ] {
        assert!(requests[0].contains(part), "{part} in {}", requests[0]);
    }
    for (name, expected) in [
        (
            "other",
            "eu-central-1 refuses the secret \"other\": ResourceNotFoundException: Secrets Manager can't find it. | check the name",
        ),
        (
            "expired",
            "ExpiredTokenException: expired | the credentials are not valid",
        ),
        ("binary", "the secret \"binary\" is binary"),
        ("page", "is not AWS Secrets Manager"),
    ] {
        let message = failure(services.aws_secret(name));
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("s3"), "{message}");
    }
}

#[test]
fn aws_credentials_are_found_where_its_tools_look() {
    let server = aws_server();
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[default]\nregion = us-east-1\n[profile ci]\nregion = eu-west-1\nendpoint_url = {}\n[profile sso]\nregion = eu-west-1\nsso_session = s\n",
        server.address
    );
    fs::write(home.path().join(".aws/config"), config).unwrap();
    let credentials = "[ci]\naws_access_key_id = AKIDCI\naws_secret_access_key = s\n";
    fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    let container = format!("{}/container", server.address);
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.address.as_str());
    let endpoint = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.address.as_str());
    let none = ("AWS_EC2_METADATA_DISABLED", "true");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("AWS_PROFILE", "ci")], "AKIDCI/20150830/eu-west-1/"),
        (
            &[
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
                endpoint,
                none,
            ],
            "AKIDROLE/20150830/us-east-1/",
        ),
        (&[metadata, endpoint], "AKIDROLE/20150830/us-east-1/"),
    ];
    for (environment, expected) in cases {
        let services = services_at(Some(home.path().to_owned()), environment);
        assert!(services.aws_secret("app").is_ok(), "{environment:?}");
        let request = server.requests().pop().unwrap();
        assert!(
            request.contains(&format!("Credential={expected}")),
            "{request}"
        );
    }
    let plain = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/");
    let failures: &[(&[(&str, &str)], &str)] = &[
        (
            &[none],
            "there are no credentials for AWS | set AWS_ACCESS_KEY_ID",
        ),
        (&[("AWS_PROFILE", "nobody")], "no profile \"nobody\""),
        (
            &[("AWS_PROFILE", "sso")],
            "but sso_session, which is not supported",
        ),
        (
            &[plain, none],
            "neither encrypted nor an address of this machine",
        ),
        (&[("AWS_REGION", "a/b"), none], "\"a/b\" is not a region"),
    ];
    for (environment, expected) in failures {
        let services = services_at(Some(home.path().to_owned()), environment);
        let message = failure(services.aws_secret("app"));
        assert!(message.contains(expected), "{message}");
    }
    let message = failure(services(&[none]).aws_secret("app"));
    assert!(
        message.contains("no region of AWS is chosen | set AWS_REGION"),
        "{message}"
    );
}

#[test]
fn a_page_is_fetched_once_and_a_change_each_time() {
    let server = Server::start(|_| ok("page"));
    let services = services(&[]);
    let mut request = HttpRequest {
        url: server.address.clone(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    for method in ["GET", "GET", "POST", "POST"] {
        request.method = method.to_owned();
        assert_eq!(services.http(&request).unwrap().text(), "page");
    }
    assert_eq!(server.requests().len(), 3);
}
