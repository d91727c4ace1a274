//! Who asks: challenges, tokens that expire, redirects, and whom credentials are shown to.

use super::double::{Answer, Asked, Content, Double};
use super::*;
use std::time::Instant;

/// A registry that wants tokens, which the same server gives out: `tN` for the Nth one, valid as
/// long as `is_valid` says.
fn wants_tokens(
    is_valid: impl Fn(&Asked, usize) -> bool + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync + 'static {
    move |asked, content| {
        let host = asked.header("host").to_owned();
        if asked.target.starts_with("/token") {
            let number = content.count("tokens");
            let body = format!(r#"{{"access_token": "t{number}", "expires_in": 300}}"#);
            return Some(Answer::new(200, body));
        }
        let number = asked.header("authorization").strip_prefix("Bearer t");
        let number = number.and_then(|number| number.parse().ok());
        if number.is_some_and(|number| is_valid(asked, number)) {
            return None;
        }
        Some(Answer::error(401, "UNAUTHORIZED", "who asks?").with(
            "WWW-Authenticate",
            format!(r#"Bearer realm="http://{host}/token?x=1",service="s v",scope="repository:app:pull""#),
        ))
    }
}

fn password() -> Credentials {
    Credentials::Password {
        user: "anna".to_owned(),
        password: "pass".to_owned(),
    }
}

/// A client whose home has credentials for a registry.
fn client_with(registry: &str, credentials: &Credentials) -> (tempfile::TempDir, Store, Client) {
    let (folder, store) = store();
    let settings = settings(folder.path());
    credentials::keep(&settings, registry, credentials).unwrap();
    (folder, store, Client::new(settings))
}

#[test]
fn tokens_are_fetched_once_for_a_scope() {
    let double = Double::start(wants_tokens(|_, _| true));
    let digest = double.content().add_blob(b"blob");
    let (_folder, store, client) = client_with(&double.host, &password());
    let app = repository(&double.host, "app");
    for _ in 0..3 {
        assert_eq!(client.blob_size(&app, &digest).unwrap(), Some(4));
    }
    assert_eq!(double.count("GET", "/token"), 1);
    let asked = double.asked();
    let token = asked
        .iter()
        .find(|it| it.target.starts_with("/token"))
        .unwrap();
    assert_eq!(token.header("authorization"), "Basic YW5uYTpwYXNz");
    for part in [
        "x=1",
        "service=s+v",
        "scope=repository%3Aapp%3Apull",
        "account=anna",
    ] {
        assert!(token.target.contains(part), "{}", token.target);
    }
    let own = store.put_blob(b"other").unwrap();
    let elsewhere = [repository(&double.host, "base")];
    client
        .push_blob(&app, &own, 5, &store, &elsewhere, &|_| {})
        .unwrap();
    let asked = double.asked();
    let token = asked
        .iter()
        .rev()
        .find(|it| it.target.starts_with("/token"))
        .unwrap();
    for part in ["repository%3Aapp%3Apull%2Cpush", "repository%3Abase%3Apull"] {
        assert!(token.target.contains(part), "{}", token.target);
    }
    assert_eq!(double.count("GET", "/token"), 2);
}

#[test]
fn a_token_that_expires_in_mid_upload_is_renewed() {
    // Each token is good for one request that sends something.
    let double = Double::start({
        let used = std::sync::Mutex::new(std::collections::BTreeSet::new());
        wants_tokens(move |asked, number| {
            let mut used = used.lock().unwrap();
            match asked.method.as_str() {
                "PUT" | "PATCH" => number > 0 && used.insert(number),
                _ => !used.contains(&number),
            }
        })
    });
    let (_folder, store, client) = client_with(&double.host, &password());
    let bytes = vec![3; 900_000];
    let digest = store.put_blob(&bytes).unwrap();
    let app = repository(&double.host, "app");
    let pushed = client
        .push_blob(&app, &digest, 900_000, &store, &[], &|_| {})
        .unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert_eq!(double.content().blobs[&digest.to_string()], bytes);
}

#[test]
fn a_registry_that_never_believes_is_given_up_at_once() {
    let cases: [(Option<Credentials>, &str, usize); 2] = [
        (Some(password()), "does not accept the credentials", 4),
        (None, "there are no credentials for it", 4),
    ];
    for (credentials, expected, most) in cases {
        let double = Double::start(wants_tokens(|_, _| false));
        let (folder, _store) = store();
        let settings = settings(folder.path());
        if let Some(credentials) = &credentials {
            credentials::keep(&settings, &double.host, credentials).unwrap();
        }
        let client = Client::new(settings);
        let begin = Instant::now();
        let error = client.tags(&repository(&double.host, "app")).unwrap_err();
        assert!(
            matches!(error, RegistryError::Unauthorized { .. }),
            "{error}"
        );
        let said = error.to_string();
        assert!(
            said.contains(expected) && said.contains("who asks?"),
            "{said}"
        );
        assert!(double.count("GET", "/v2/app") <= most);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn what_gives_no_token_says_why() {
    let cases: [(Answer, &str); 6] = [
        (
            Answer::error(401, "UNAUTHORIZED", "bad pass"),
            "does not accept the credentials that there are for it: UNAUTHORIZED: bad pass",
        ),
        (Answer::new(200, "{}"), "there is none in the answer"),
        (Answer::new(200, "<html>"), "it is not in JSON"),
        (Answer::new(200, r#"{"token": "a\nb"}"#), "characters"),
        (Answer::new(200, vec![b' '; 2 << 20]), "it is too long"),
        (
            Answer::new(302, "").with("Location", "http://127.0.0.1:1/"),
            "302",
        ),
    ];
    for (answer, expected) in cases {
        let fine = wants_tokens(|_, _| true);
        let double =
            Double::start(
                move |asked, content| match asked.target.starts_with("/token") {
                    true => Some(answer.clone()),
                    false => fine(asked, content),
                },
            );
        let (_folder, _store, client) = client_with(&double.host, &password());
        let error = client
            .tags(&repository(&double.host, "app"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn an_identity_token_is_exchanged_by_form() {
    let double = Double::start(wants_tokens(|_, _| true));
    let digest = double.content().add_blob(b"blob");
    let token = Credentials::IdentityToken("i d".to_owned());
    let (_folder, _store, client) = client_with(&double.host, &token);
    client
        .blob_size(&repository(&double.host, "app"), &digest)
        .unwrap();
    let asked = double.asked();
    let token = asked.iter().find(|it| it.is("POST", "/token")).unwrap();
    let body = String::from_utf8_lossy(&token.body).into_owned();
    assert_eq!(
        body,
        "grant_type=refresh_token&refresh_token=i+d&service=s+v&client_id=hardtack&scope=repository%3Aapp%3Apull"
    );
    assert_eq!(token.header("authorization"), "");
}

#[test]
fn servers_that_only_know_forms_get_the_password_in_one() {
    let fine = wants_tokens(|_, _| true);
    let double = Double::start(move |asked, content| match asked.is("GET", "/token") {
        true => Some(Answer::new(405, "")),
        false => fine(asked, content),
    });
    let digest = double.content().add_blob(b"blob");
    let (_folder, _store, client) = client_with(&double.host, &password());
    client
        .blob_size(&repository(&double.host, "app"), &digest)
        .unwrap();
    let asked = double.asked();
    let token = asked.iter().find(|it| it.is("POST", "/token")).unwrap();
    let body = String::from_utf8_lossy(&token.body).into_owned();
    assert!(
        body.starts_with("grant_type=password&username=anna&password=pass&"),
        "{body}"
    );
}

#[test]
fn credentials_stay_with_their_registry() {
    let elsewhere = Double::start(|_, _| None);
    let bytes = vec![9; 100_000];
    let digest = elsewhere.content().add_blob(&bytes);
    let target = format!("http://{}/v2/x/blobs/{digest}?signature=s", elsewhere.host);
    let fine = wants_tokens(|_, _| true);
    let registry = Double::start(move |asked, content| {
        fine(asked, content).or_else(|| {
            asked
                .is("GET", "/blobs/")
                .then(|| Answer::new(307, "").with("Location", target.clone()))
        })
    });
    let (_folder, store, client) = client_with(&registry.host, &password());
    let app = repository(&registry.host, "app");
    client
        .pull_blob(&app, &digest, 100_000, &store, &|_| {})
        .unwrap();
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), "");
    assert!(asked[0].target.ends_with("?signature=s"));
}

#[test]
fn an_address_with_a_signature_that_is_too_old_is_asked_for_again() {
    let elsewhere = Double::start(|asked, _| {
        asked
            .target
            .contains("old")
            .then(|| Answer::new(403, "expired"))
    });
    let digest = elsewhere.content().add_blob(b"blob");
    let host = elsewhere.host.clone();
    let registry = Double::start(move |asked, content| {
        let age = match asked.is("GET", "/blobs/") {
            false => return None,
            true if content.count("asked") == 0 => "old",
            true => "new",
        };
        let target = format!("http://{host}/v2/x/blobs/{digest}?{age}");
        Some(Answer::new(302, "").with("Location", target))
    });
    let (folder, store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&registry.host, "app");
    client.pull_blob(&app, &digest, 4, &store, &|_| {}).unwrap();
}

#[test]
fn uploads_elsewhere_get_no_credentials() {
    let elsewhere = Double::start(|asked, _| {
        let digest = Digest::of("blob").to_string();
        (asked.method == "PUT").then(|| Answer::new(201, "").with("Docker-Content-Digest", digest))
    });
    let target = format!("http://{}/put/here", elsewhere.host);
    let fine = wants_tokens(|_, _| true);
    let registry = Double::start(move |asked, content| {
        fine(asked, content).or_else(|| {
            (asked.method == "POST").then(|| Answer::new(202, "").with("Location", target.clone()))
        })
    });
    let (_folder, store, client) = client_with(&registry.host, &password());
    let digest = store.put_blob(b"blob").unwrap();
    let app = repository(&registry.host, "app");
    client
        .push_blob(&app, &digest, 4, &store, &[], &|_| {})
        .unwrap();
    assert_eq!(elsewhere.asked()[0].header("authorization"), "");
    let asked = registry.asked();
    let post = asked.iter().find(|it| it.method == "POST").unwrap();
    assert_eq!(post.header("content-length"), "0");
}

#[test]
fn a_scope_that_the_registry_asks_for_beside_ours_is_added() {
    let double = Double::start(|asked, content| {
        let host = asked.header("host").to_owned();
        if asked.target.starts_with("/token") {
            let has_more = asked.target.contains("special");
            let name = if has_more { "more" } else { "less" };
            content.count("tokens");
            return Some(Answer::new(200, format!(r#"{{"token": "{name}"}}"#)));
        }
        (asked.header("authorization") != "Bearer more").then(|| {
            Answer::new(401, "").with(
                "WWW-Authenticate",
                format!(r#"Bearer realm="http://{host}/token",scope="special:thing""#),
            )
        })
    });
    let digest = double.content().add_blob(b"blob");
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&double.host, "app");
    assert_eq!(client.blob_size(&app, &digest).unwrap(), Some(4));
}

#[test]
fn a_login_for_one_registry_is_shown_to_no_other() {
    let asks = |asked: &Asked, _: &mut Content| {
        let shown = asked.header("authorization") == "Basic YW5uYTpwYXNz";
        (!shown).then(|| Answer::new(401, "").with("WWW-Authenticate", "Basic realm=x"))
    };
    let (registry, other) = (Double::start(asks), Double::start(asks));
    let digest = registry.content().add_blob(b"blob");
    other.content().add_blob(b"blob");
    let (folder, _store) = store();
    let mut settings = settings(folder.path());
    let mirror = format!("http://{}", other.host);
    settings.mirrors.insert(registry.host.clone(), vec![mirror]);
    let client = Client::new(settings).with_login(&registry.host, password());
    let size = |host: &str| client.blob_size(&repository(host, "app"), &digest);
    assert_eq!(size(&registry.host).unwrap(), Some(4));
    assert!(matches!(
        size(&other.host),
        Err(RegistryError::Unauthorized { .. })
    ));
    assert!(
        other
            .asked()
            .iter()
            .all(|it| it.header("authorization").is_empty())
    );
    assert!(other.asked().len() >= 2);
}

#[test]
fn several_at_once_share_a_token() {
    let double = Double::start(wants_tokens(|_, _| true));
    let blobs: Vec<Vec<u8>> = (0..8u8).map(|number| vec![number; 300_000]).collect();
    for blob in &blobs {
        double.content().add_blob(blob);
    }
    let (_folder, store, client) = client_with(&double.host, &password());
    let app = repository(&double.host, "app");
    std::thread::scope(|scope| {
        for blob in &blobs {
            let (client, app, store) = (&client, &app, &store);
            scope.spawn(move || {
                client
                    .pull_blob(app, &Digest::of(blob), 300_000, store, &|_| {})
                    .unwrap();
            });
        }
    });
    assert_eq!(double.count("GET", "/token"), 1);
    assert_clean(&store);
}

#[test]
fn proxies_are_used_but_for_this_machine() {
    let proxy = Double::start(|asked, _| {
        asked
            .target
            .starts_with("http://")
            .then(|| Answer::new(200, r#"{"tags": ["t"]}"#))
    });
    let (folder, _store) = store();
    let mut settings = settings(folder.path());
    let address = format!("http://{}", proxy.host);
    settings
        .environment
        .insert("HTTP_PROXY".to_owned(), address);
    settings
        .environment
        .insert("https_proxy".to_owned(), "http://127.0.0.1:1".to_owned());
    settings.insecure = vec!["registry.invalid".to_owned()];
    let client = Client::new(settings);
    let tags = client.tags(&repository("registry.invalid", "app")).unwrap();
    assert_eq!(tags, ["t"]);
    let registry = Double::start(|_, _| None);
    let app = repository(&registry.host, "app");
    assert_eq!(client.blob_size(&app, &Digest::of("x")).unwrap(), None);
    assert_eq!(registry.count("HEAD", "/blobs/"), 1);
}

#[test]
fn what_is_elsewhere_is_there() {
    let elsewhere = Double::start(|asked, _| {
        (asked.method == "HEAD").then(|| Answer::new(403, "signed for GET"))
    });
    let bytes = vec![5; 2_000_000];
    let digest = elsewhere.content().add_blob(&bytes);
    let target = format!("http://{}/v2/x/blobs/{digest}", elsewhere.host);
    let registry = Double::start(move |asked, _| {
        asked
            .target
            .contains("/blobs/sha256:")
            .then(|| Answer::new(307, "").with("Location", target.clone()))
    });
    let (folder, store) = store();
    store.put_blob(&bytes).unwrap();
    let client = Client::new(settings(folder.path()));
    let app = repository(&registry.host, "app");
    assert_eq!(client.blob_size(&app, &digest).unwrap(), Some(2_000_000));
    let pushed = client.push_blob(&app, &digest, 2_000_000, &store, &[], &|_| {});
    assert_eq!(pushed.unwrap(), Pushed::Existed);
    assert_eq!(elsewhere.count("HEAD", ""), 0);
}

#[test]
fn a_token_that_is_not_good_for_that_is_a_denial() {
    let double = Double::start(|asked, _| {
        if asked.target.starts_with("/token") {
            return Some(Answer::new(200, r#"{"token": "t"}"#));
        }
        let host = asked.header("host");
        let mut challenge = format!(r#"Bearer realm="http://{host}/token""#);
        if !asked.header("authorization").is_empty() {
            challenge.push_str(r#",error="insufficient_scope""#);
        }
        Some(Answer::error(401, "DENIED", "read only").with("WWW-Authenticate", challenge))
    });
    let (folder, store, client) = client_with(&double.host, &password());
    let digest = store.put_blob(b"blob").unwrap();
    let app = repository(&double.host, "app");
    let push = |client: &Client| client.push_blob(&app, &digest, 4, &store, &[], &|_| {});
    let error = push(&client).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    credentials::forget(&settings(folder.path()), &double.host).unwrap();
    let error = push(&Client::new(settings(folder.path()))).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { .. }),
        "{error}"
    );
}

/// That the registry itself is asked without encryption says nothing about others.
#[test]
fn credentials_go_to_no_other_host_without_encryption() {
    for realm in [
        "http://192.0.2.2:1/token",
        "http://token.example/token",
        "ftp://127.0.0.1/token",
    ] {
        let double = Double::start(move |asked, _| {
            (asked.target != "/v2/").then(|| {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
                Answer::new(401, "").with("WWW-Authenticate", challenge)
            })
        });
        let (_folder, _store, client) = client_with(&double.host, &password());
        let begin = Instant::now();
        let error = client.tags(&repository(&double.host, "app")).unwrap_err();
        let said = error.to_string();
        let is_refused = said.contains("not encrypted") || said.contains("no address");
        assert!(is_refused, "{said}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{said}");
    }
}
