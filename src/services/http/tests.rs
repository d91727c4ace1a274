//! The client against doubles of servers.

use super::doubles::{Answer, Server, ok, redirect, status};
use super::*;
use std::time::Instant;

fn client() -> Client {
    client_with(&[])
}

fn client_with(environment: &[(&str, &str)]) -> Client {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let limits = Limits {
        connect: Duration::from_millis(500),
        silence: Duration::from_millis(300),
        body_bytes: 100_000,
    };
    Client::with_limits(&environment, limits)
}

fn get(url: impl Into<String>) -> Exchange {
    Exchange {
        request: HttpRequest {
            url: url.into(),
            method: "GET".to_owned(),
            headers: vec![
                ("X-Token".to_owned(), "t0p".to_owned()),
                ("Accept".to_owned(), "text/plain".to_owned()),
            ],
            body: Vec::new(),
        },
        trust: Trust::default(),
        patience: Duration::from_secs(5),
        elsewhere: Elsewhere::Follow,
    }
}

#[test]
fn an_answer_has_status_headers_and_body() {
    let server = Server::start(|request| match request.starts_with("POST /form HTTP/1.1") {
        true => Answer::Whole("201 Created", vec!["X-A: 1".to_owned()], "done".to_owned()),
        false => status("404 Not Found", "nothing"),
    });
    let client = client();
    let mut post = get(format!("{}/form", server.address));
    post.request.method = "POST".to_owned();
    post.request.body = b"a=1".to_vec();
    let response = client.send(post).unwrap();
    assert_eq!((response.status, &*response.text()), (201, "done"));
    assert_eq!(response.header("x-a"), Some("1"));
    let request = &server.requests()[0];
    assert!(request.ends_with("\r\n\r\na=1"), "{request}");
    assert!(request.contains("user-agent: hardtack/"), "{request}");
    let missing = client.send(get(server.address.clone())).unwrap();
    assert_eq!((missing.status, &*missing.text()), (404, "nothing"));
}

#[test]
fn redirects_are_followed_and_tokens_stay_with_their_server() {
    let other = Server::start(|_| ok("other"));
    let target = format!("{}/there", other.address);
    let server = Server::start(move |request| match request.split(' ').nth(1) {
        Some("/here") => redirect("302 Found", "/same"),
        Some("/same") => ok("same"),
        Some("/loop") => redirect("301 Moved Permanently", "/loop"),
        _ => redirect("307 Temporary Redirect", &target),
    });
    let client = client();
    let send = |path: &str| client.send(get(format!("{}{path}", server.address)));
    assert_eq!(send("/here").unwrap().text(), "same");
    assert!(server.requests()[1].contains("x-token: t0p"));
    assert_eq!(send("/away").unwrap().text(), "other");
    let request = &other.requests()[0];
    assert!(
        !request.contains("t0p") && request.contains("accept: text/plain"),
        "{request}"
    );
    assert!(matches!(
        send("/loop"),
        Err(HttpError::TooManyRedirects { .. })
    ));

    let mut refusing = get(format!("{}/away", server.address));
    refusing.elsewhere = Elsewhere::Refuse;
    let error = client.send(refusing).unwrap_err();
    assert!(
        matches!(error, HttpError::RedirectedElsewhere { .. }),
        "{error}"
    );
    let mut post = get(format!("{}/away", server.address));
    post.request.method = "POST".to_owned();
    post.request.body = b"secret".to_vec();
    let error = client.send(post).unwrap_err();
    assert!(
        matches!(error, HttpError::RedirectedElsewhere { .. }),
        "{error}"
    );
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn slow_and_endless_servers_are_given_up() {
    let silent = Server::start(|_| Answer::Silence(Duration::from_secs(20)));
    let begin = Instant::now();
    let error = client().send(get(silent.address.clone())).unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error}");
    let mut hasty = get(silent.address.clone());
    hasty.patience = Duration::from_millis(50);
    let error = client().send(hasty).unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let endless = Server::start(|_| Answer::Endless);
    let error = client().send(get(endless.address.clone())).unwrap_err();
    assert!(matches!(error, HttpError::TooLong { .. }), "{error}");
}

#[test]
fn what_cannot_be_asked_is_named() {
    let url = |url: &str| get(url);
    let mut method = get("http://127.0.0.1:1/");
    method.request.method = "G T".to_owned();
    let mut header = get("http://127.0.0.1:1/");
    header.request.headers = vec![("X-Key".to_owned(), "a\nb".to_owned())];
    for (exchange, expected) in [
        (url("ftp://host/x"), "\"ftp://host/x\" is not an address"),
        (url("user:pw@host/x"), "\"host/x\" is not an address"),
        (
            url("http://u:pw@127.0.0.1:1/x?token=t"),
            "cannot ask http://127.0.0.1:1/x: ",
        ),
        (method, "\"G T\" is not an HTTP method"),
        (header, "the header \"X-Key\" has characters"),
    ] {
        let message = client().send(exchange).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
        for secret in ["pw", "token", "a\nb"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

#[test]
fn proxies_come_from_the_given_environment() {
    let proxy = Server::start(|_| ok("by proxy"));
    let environment = [
        ("http_proxy", proxy.address.as_str()),
        ("NO_PROXY", "direct.invalid"),
    ];
    let send = |client: &Client, url: &str| client.send(get(url));
    let client = client_with(&environment);
    assert_eq!(
        send(&client, "http://somewhere.invalid/x").unwrap().text(),
        "by proxy"
    );
    assert!(proxy.requests()[0].starts_with("GET http://somewhere.invalid/x HTTP/1.1"));
    assert!(send(&client, "http://direct.invalid/").is_err());
    let server = Server::start(|_| ok("direct"));
    assert_eq!(send(&client, &server.address).unwrap().text(), "direct");
    let in_server = client_with(&[("HTTP_PROXY", &proxy.address), ("REQUEST_METHOD", "GET")]);
    assert!(send(&in_server, "http://somewhere.invalid/").is_err());
}

#[tokio::test]
async fn it_can_be_used_and_dropped_in_asynchronous_code() {
    let server = Server::start(|_| ok("fine"));
    let client = client();
    assert_eq!(
        client.send(get(server.address.clone())).unwrap().text(),
        "fine"
    );
    drop(client);
}
