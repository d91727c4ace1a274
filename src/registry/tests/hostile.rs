//! Registries that fail, lie and stall: in each case a right result or one clear error, in time,
//! and nothing left in the store.

use super::double::{Answer, Asked, Content, Double};
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Longer than a test may take that is not about waiting.
const IN_TIME: Duration = Duration::from_secs(18);

/// A blob of some size that is nothing but itself.
fn blob() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

/// Plays the prank once, or so many times.
fn times(
    count: usize,
    prank: impl Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync + 'static {
    let left = std::sync::atomic::AtomicUsize::new(count);
    move |asked, content| {
        if left.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let answer = prank(asked, content)?;
        left.fetch_sub(1, Ordering::SeqCst);
        Some(answer)
    }
}

type BoxedPrank = Box<dyn Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync>;

/// Pulls the blob from a double with this prank: what came of it, and the double.
fn pull(budget: Duration, prank: BoxedPrank) -> (Result<(), RegistryError>, Double) {
    let double = Double::start(prank);
    let bytes = blob();
    let digest = double.content().add_blob(&bytes);
    let (folder, store) = store();
    let mut settings = settings(folder.path());
    settings.budget = budget;
    let client = Client::new(settings);
    let repository = repository(&double.host, "app");
    let size = bytes.len() as u64;
    let result = client.pull_blob(&repository, &digest, size, &store, &|_| {});
    assert_clean(&store);
    match &result {
        Ok(()) => store.verify_blob(&digest, size).unwrap(),
        Err(_) => assert_eq!(store.blob_size(&digest).unwrap(), None),
    }
    (result, double)
}

/// Pushes the blob to a double with this prank.
fn push(prank: BoxedPrank) -> (Result<Pushed, RegistryError>, Double) {
    let double = Double::start(prank);
    let (folder, store) = store();
    let client = Client::new(settings(folder.path()));
    let bytes = blob();
    let digest = store.put_blob(&bytes).unwrap();
    let repository = repository(&double.host, "app");
    let size = bytes.len() as u64;
    let result = client.push_blob(&repository, &digest, size, &store, &[], &|_| {});
    assert_eq!(
        result.is_ok(),
        double.content().blobs.contains_key(&digest.to_string())
    );
    (result, double)
}

/// Checks all cases at once, since most of their time is waiting.
fn each(cases: Vec<(&str, BoxedPrank)>, check: impl Fn(&str, BoxedPrank) + Sync) {
    std::thread::scope(|scope| {
        for (name, prank) in cases {
            let check = &check;
            scope.spawn(move || check(name, prank));
        }
    });
}

fn gets_blob(asked: &Asked) -> bool {
    asked.is("GET", "/blobs/sha256:")
}

#[test]
fn a_pull_that_fails_for_a_while_succeeds() {
    let honest = |asked: &Asked, content: &mut Content| content.answer(asked);
    let cases: Vec<(&str, BoxedPrank)> = vec![
        (
            "429 with seconds",
            Box::new(times(2, |asked, _| {
                gets_blob(asked).then(|| Answer::new(429, "").with("Retry-After", "0"))
            })),
        ),
        (
            "503 with a date",
            Box::new(times(1, |asked, _| {
                gets_blob(asked).then(|| {
                    Answer::new(503, "")
                        .with("Date", "Sun, 06 Nov 1994 08:49:36 GMT")
                        .with("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")
                })
            })),
        ),
        (
            "502",
            Box::new(times(2, |asked, _| {
                gets_blob(asked).then(|| Answer::new(502, "oh"))
            })),
        ),
        (
            "408",
            Box::new(times(1, |asked, _| {
                gets_blob(asked).then(|| Answer::new(408, ""))
            })),
        ),
        (
            "cut before the head",
            Box::new(times(1, |asked, _| {
                gets_blob(asked).then(|| {
                    Answer {
                        status: 200,
                        length: Some(9),
                        ..Answer::default()
                    }
                    .cut(0)
                })
            })),
        ),
        (
            "cut bodies",
            Box::new(times(3, move |asked, content| {
                gets_blob(asked).then(|| honest(asked, content).cut(100_000))
            })),
        ),
        (
            "a stalled body",
            Box::new(times(1, move |asked, content| {
                gets_blob(asked).then(|| {
                    let mut answer = honest(asked, content);
                    answer.stall = Some((1000, Duration::from_secs(20)));
                    answer
                })
            })),
        ),
        (
            "a short body with the right end",
            Box::new(times(1, |asked, content| {
                gets_blob(asked).then(|| {
                    let whole = content.answer(asked).body;
                    Answer::new(200, &whole[..5000])
                })
            })),
        ),
        (
            "no ranges",
            Box::new(|asked: &Asked, content: &mut Content| {
                if !gets_blob(asked) {
                    return None;
                }
                let mut asked = asked.clone();
                asked.headers.remove("range");
                let answer = content.answer(&asked);
                Some(if content.count("pulls") == 0 {
                    answer.cut(3000)
                } else {
                    answer
                })
            }),
        ),
        (
            "another range than asked for",
            Box::new(|asked: &Asked, content: &mut Content| {
                if !gets_blob(asked) {
                    return None;
                }
                Some(match content.count("pulls") {
                    0 => content.answer(asked).cut(3000),
                    1 => Answer::new(206, "xx").with("Content-Range", "bytes 7-8/9"),
                    _ => content.answer(asked),
                })
            }),
        ),
        (
            "a range that is refused",
            Box::new(|asked: &Asked, content: &mut Content| {
                if !gets_blob(asked) {
                    return None;
                }
                Some(match content.count("pulls") {
                    0 => content.answer(asked).cut(3000),
                    1 => Answer::new(416, ""),
                    _ => content.answer(asked),
                })
            }),
        ),
        (
            "a resumed part of something else",
            Box::new(|asked: &Asked, content: &mut Content| {
                if !gets_blob(asked) {
                    return None;
                }
                let mut answer = content.answer(asked);
                Some(match content.count("pulls") {
                    0 => {
                        answer.body.iter_mut().for_each(|byte| *byte = 1);
                        answer.cut(3000)
                    }
                    _ => answer,
                })
            }),
        ),
    ];
    each(cases, |name, prank| {
        let begin = Instant::now();
        let (result, _double) = pull(Duration::from_secs(8), prank);
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
        assert!(begin.elapsed() < IN_TIME, "{name}");
    });
}

#[test]
fn a_pull_that_cannot_succeed_is_one_clear_error_in_time() {
    let cases: Vec<(&str, BoxedPrank)> = vec![
        (
            "has no blob",
            Box::new(|asked, _| gets_blob(asked).then(|| Answer::error(404, "BLOB_UNKNOWN", "no"))),
        ),
        (
            "does not allow that: DENIED: go\u{fffd} away",
            Box::new(|asked, _| {
                gets_blob(asked).then(|| Answer::error(403, "DENIED", "go\u{7} away\u{1b}[31m"))
            }),
        ),
        (
            "has been asked too often and wants to be asked again in",
            Box::new(|asked, _| {
                gets_blob(asked).then(|| Answer::new(429, "").with("Retry-After", "3600"))
            }),
        ),
        (
            "503",
            Box::new(|asked, _| gets_blob(asked).then(|| Answer::new(503, ""))),
        ),
        (
            "418",
            Box::new(|asked, _| gets_blob(asked).then(|| Answer::new(418, ""))),
        ),
        (
            "has 5000",
            Box::new(|asked, content| {
                gets_blob(asked).then(|| {
                    let mut asked = asked.clone();
                    asked.headers.remove("range");
                    let whole = content.answer(&asked).body;
                    Answer::new(200, &whole[..5000])
                })
            }),
        ),
        (
            "has more than 1200000",
            Box::new(|asked, content| {
                gets_blob(asked).then(|| {
                    let mut answer = content.answer(asked);
                    answer.body.push(0);
                    answer
                })
            }),
        ),
        (
            "should be sha256:",
            Box::new(|asked, content| {
                gets_blob(asked).then(|| {
                    let mut answer = content.answer(asked);
                    answer.body[5] ^= 1;
                    answer
                })
            }),
        ),
        (
            "does not answer in time",
            Box::new(|asked, content| {
                gets_blob(asked).then(|| {
                    let mut answer = content.answer(asked);
                    answer.stall = Some((0, Duration::from_secs(30)));
                    answer
                })
            }),
        ),
        (
            "was cut",
            Box::new(|asked, content| gets_blob(asked).then(|| content.answer(asked).cut(0))),
        ),
        (
            "redirects too often",
            Box::new(|asked, _| {
                gets_blob(asked).then(|| Answer::new(307, "").with("Location", "?again"))
            }),
        ),
        (
            "redirects to what is no address",
            Box::new(|asked, _| {
                gets_blob(asked)
                    .then(|| Answer::new(302, "").with("Location", "file:///etc/passwd"))
            }),
        ),
        (
            "does not say how",
            Box::new(|asked, _| gets_blob(asked).then(|| Answer::new(401, ""))),
        ),
        (
            "by negotiate, which is not supported",
            Box::new(|asked, _| {
                gets_blob(asked).then(|| Answer::new(401, "").with("WWW-Authenticate", "Negotiate"))
            }),
        ),
        (
            "there are no credentials",
            Box::new(|asked, _| {
                gets_blob(asked)
                    .then(|| Answer::new(401, "").with("WWW-Authenticate", "Basic realm=x"))
            }),
        ),
    ];
    each(cases, |expected, prank| {
        let begin = Instant::now();
        let (result, _double) = pull(Duration::from_secs(2), prank);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(
            error.contains("127.0.0.1:") && !error.contains('\x1b'),
            "{error}"
        );
        assert!(begin.elapsed() < IN_TIME, "{expected}");
    });
}

#[test]
fn final_answers_are_not_asked_for_again() {
    for status in [400, 403, 404, 410, 418, 451] {
        let (result, double) = pull(
            Duration::from_secs(5),
            Box::new(move |asked, _| gets_blob(asked).then(|| Answer::new(status, ""))),
        );
        assert!(result.is_err());
        assert_eq!(double.count("GET", "/blobs/"), 1, "{status}");
    }
}

#[test]
fn a_pull_ends_with_the_run() {
    let double = Double::start(|asked, content| {
        gets_blob(asked).then(|| {
            let mut answer = content.answer(asked);
            answer.stall = Some((1000, Duration::from_secs(30)));
            answer
        })
    });
    let digest = double.content().add_blob(&blob());
    let (folder, store) = store();
    let ended = Arc::new(AtomicBool::new(false));
    let mut settings = settings(folder.path());
    settings.budget = Duration::from_secs(60);
    let asked = ended.clone();
    settings.is_cancelled = Arc::new(move || asked.load(Ordering::SeqCst));
    let client = Client::new(settings);
    let repository = repository(&double.host, "app");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            ended.store(true, Ordering::SeqCst);
        });
        let result = client.pull_blob(&repository, &digest, 1_200_000, &store, &|_| {});
        assert!(matches!(result, Err(RegistryError::Interrupted)));
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_clean(&store);
}

#[test]
fn an_upload_that_fails_for_a_while_succeeds() {
    let cases: Vec<(&str, BoxedPrank)> = vec![
        (
            "503 for the beginning",
            Box::new(times(1, |asked, _| {
                (asked.method == "POST").then(|| Answer::new(503, ""))
            })),
        ),
        (
            "503 for the content",
            Box::new(times(2, |asked, _| {
                (asked.method == "PUT").then(|| Answer::new(503, "").with("Retry-After", "0"))
            })),
        ),
        (
            "a part is kept",
            Box::new(times(1, |asked, content| {
                if asked.method != "PUT" {
                    return None;
                }
                let mut part = asked.clone();
                part.method = "PATCH".to_owned();
                part.headers
                    .insert("content-range".to_owned(), "0-9999".to_owned());
                part.body.truncate(10_000);
                content.answer(&part);
                Some(Answer::new(504, ""))
            })),
        ),
        (
            "the upload is lost",
            Box::new(times(1, |asked, content| {
                if asked.method != "PUT" {
                    return None;
                }
                let mut end = asked.clone();
                end.method = "DELETE".to_owned();
                content.answer(&end);
                Some(Answer::new(500, ""))
            })),
        ),
        (
            "it was finished all the same",
            Box::new(times(1, |asked, content| {
                (asked.method == "PUT").then(|| {
                    content.answer(asked);
                    Answer::new(502, "")
                })
            })),
        ),
        (
            "chunks",
            Box::new(|asked: &Asked, content: &mut Content| {
                let answer = content.answer(asked);
                (asked.method == "POST").then(|| answer.with("OCI-Chunk-Min-Length", "100"))
            }),
        ),
        (
            "small chunks after 413",
            Box::new(|asked, _| (asked.body.len() > 300_000).then(|| Answer::new(413, ""))),
        ),
    ];
    each(cases, |name, prank| {
        let begin = Instant::now();
        let (result, _double) = push(prank);
        assert_eq!(result.unwrap(), Pushed::Uploaded, "{name}");
        assert!(begin.elapsed() < IN_TIME, "{name}");
    });
}

#[test]
fn an_upload_that_cannot_succeed_is_one_clear_error() {
    let cases: Vec<(&str, BoxedPrank)> = vec![
        (
            "does not allow that",
            Box::new(|asked, _| {
                (asked.method == "POST").then(|| Answer::error(403, "DENIED", "read only"))
            }),
        ),
        (
            "does not say where to go on",
            Box::new(|asked, _| (asked.method == "POST").then(|| Answer::new(202, ""))),
        ),
        (
            "redirects what is sent",
            Box::new(|asked, _| {
                (asked.method == "PUT").then(|| Answer::new(307, "").with("Location", "/elsewhere"))
            }),
        ),
        (
            "DIGEST_INVALID",
            Box::new(|asked, _| {
                (asked.method == "PUT").then(|| Answer::error(400, "DIGEST_INVALID", "no"))
            }),
        ),
        (
            "should be sha256:",
            Box::new(|asked, _| {
                (asked.method == "PUT").then(|| {
                    Answer::new(201, "").with("Docker-Content-Digest", Digest::of("x").to_string())
                })
            }),
        ),
        (
            "416",
            Box::new(|asked, _| {
                matches!(&*asked.method, "PUT" | "PATCH").then(|| Answer::new(416, ""))
            }),
        ),
        (
            // Whichever of its answers was the last.
            "500 Internal Server Error|lost the upload",
            Box::new(|asked, _| match asked.method.as_str() {
                "PUT" => Some(Answer::new(500, "")),
                "GET" if asked.target.contains("uploads") => Some(Answer::new(404, "")),
                _ => None,
            }),
        ),
    ];
    each(cases, |expected, prank| {
        let begin = Instant::now();
        let (result, _double) = push(prank);
        let error = result.unwrap_err().to_string();
        let mut expectations = expected.split('|');
        let is_expected = expectations.any(|expected| error.contains(expected));
        assert!(is_expected, "{expected}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{expected}");
    });
}

#[test]
fn documents_that_lie_are_refused() {
    let index = "application/vnd.oci.image.index.v1+json";
    let image = "application/vnd.oci.image.manifest.v1+json";
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let big = format!(
        "{{\"schemaVersion\": 2, \"x\": \"{}\"}}",
        "x".repeat(5 << 20)
    );
    let deep = "[".repeat(100_000);
    let cases: [(&str, &str, &str); 14] = [
        (image, r#"{"schemaVersion": 2, "layers": []}"#, image),
        (
            "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
            r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}"#,
            image,
        ),
        (
            "text/plain",
            r#"{"schemaVersion": 2, "manifests": []}"#,
            index,
        ),
        (
            "application/octet-stream",
            r#"{"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": []}"#,
            list,
        ),
        (
            index,
            r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}"#,
            "the registry that it is",
        ),
        (
            image,
            r#"{"manifests": [], "layers": []}"#,
            "both manifests and layers",
        ),
        (image, r#"{"manifests": []}"#, "a manifest has no manifests"),
        (index, r#"{"layers": []}"#, "an index has no layers"),
        (image, r#"{"layers": [], "layers": []}"#, "duplicate field"),
        (image, "<html>", "is not valid"),
        (image, &deep, "is not valid"),
        ("text/html", "{}", "text/html"),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "{}",
            "schema 1",
        ),
        (image, &big, "more than the 4194304 bytes"),
    ];
    for (kind, text, expected) in cases {
        let double = Double::start(|_, _| None);
        let entry = (kind.to_owned(), text.as_bytes().to_vec());
        double.content().manifests.insert("1".to_owned(), entry);
        let (folder, _store) = store();
        let client = Client::new(settings(folder.path()));
        let reference = tagged(&repository(&double.host, "app"), "1");
        let said = match client.document(&reference) {
            Ok(document) => document.descriptor.media_type.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            said.contains(expected),
            "{kind} {}: {said}",
            &text[..text.len().min(80)]
        );
    }
}

#[test]
fn a_document_has_the_digest_that_is_asked_for() {
    let text = r#"{"schemaVersion": 2, "layers": []}"#;
    let image = "application/vnd.oci.image.manifest.v1+json";
    let wrong = Digest::of("other");
    let double = Double::start(move |asked, content| {
        let digest = match asked.target.as_str() {
            "/v2/app/manifests/lie" => wrong.to_string(),
            "/v2/app/manifests/none" => "sha512:x".to_owned(),
            _ => return None,
        };
        content.count("asked");
        Some(
            Answer::new(200, text)
                .with("Content-Type", image)
                .with("Docker-Content-Digest", digest),
        )
    });
    let entry = (image.to_owned(), text.as_bytes().to_vec());
    double.content().manifests.insert(wrong.to_string(), entry);
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&double.host, "app");
    let lie = tagged(&app, "lie");
    for result in [
        client.document(&lie).map(drop),
        client.document(&lie.at(wrong)).map(drop),
        client.describe(&lie.at(wrong)).map(drop),
    ] {
        assert!(matches!(result, Err(RegistryError::Mismatch { .. })));
    }
    // Without a usable digest in the headers the text is read.
    let described = client.describe(&tagged(&app, "none")).unwrap().unwrap();
    assert_eq!(described.digest, Digest::of(text));
}

#[test]
fn mirrors_are_asked_first_and_may_fail() {
    let bytes = blob();
    let registry = Double::start(|_, _| None);
    let good = Double::start(|_, _| None);
    let lying = Double::start(|asked, _| gets_blob(asked).then(|| Answer::new(200, "lies")));
    let digest = registry.content().add_blob(&bytes);
    good.content().add_blob(&bytes);
    let size = bytes.len() as u64;
    let pull = |mirrors: &[String]| {
        let (folder, store) = store();
        let mut settings = settings(folder.path());
        settings
            .mirrors
            .insert(registry.host.clone(), mirrors.to_vec());
        let client = Client::new(settings);
        let app = repository(&registry.host, "app");
        let result = client.pull_blob(&app, &digest, size, &store, &|_| {});
        assert_clean(&store);
        result
    };
    pull(&[format!("http://{}/mirrored", good.host)]).unwrap();
    assert_eq!(good.count("GET", "/v2/mirrored/app/blobs/"), 1);
    assert_eq!(registry.asked().len(), 0);
    let nobody = "http://127.0.0.1:1".to_owned();
    pull(&[nobody, format!("http://{}", lying.host)]).unwrap();
    // Once to go on where the liar ended, and once from the beginning.
    assert_eq!(registry.count("GET", "/blobs/"), 2);
    let error = pull(&["ftp://u:secret@x".to_owned()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is not an address") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn nobody_at_the_address_is_said_soon() {
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let begin = Instant::now();
    let error = client.tags(&repository("127.0.0.1:1", "app")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot reach http://127.0.0.1:1/v2/"),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_comes_in_drops_is_given_up() {
    let double = Double::start(|asked, content| {
        (asked.target != "/v2/").then(|| {
            let mut answer = content.answer(asked);
            answer.drip = Some(Duration::from_millis(50));
            answer
        })
    });
    let digest = double.content().add_blob(&blob());
    let text = r#"{"schemaVersion": 2, "layers": []}"#.to_owned() + &" ".repeat(10_000);
    let kind = "application/vnd.oci.image.manifest.v1+json".to_owned();
    let entry = (kind, text.into_bytes());
    double.content().manifests.insert("1".to_owned(), entry);
    let (folder, store) = store();
    let mut settings = settings(folder.path());
    settings.budget = Duration::from_secs(2);
    let client = Client::new(settings);
    let app = repository(&double.host, "app");
    let begin = Instant::now();
    let error = client
        .pull_blob(&app, &digest, 1_200_000, &store, &|_| {})
        .unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
    assert_clean(&store);
    let error = client.document(&tagged(&app, "1")).unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(40));
}
