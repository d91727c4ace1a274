//! Lists: tags and referrers, page by page, and the index in place of a list.

use super::double::{Answer, Double};
use super::*;

#[test]
fn tags_come_page_by_page() {
    let double = Double::start(|asked, _| {
        let (body, next) = match asked.target.as_str() {
            "/v2/app/tags/list?n=1000" => (
                r#"{"tags": ["b", "a"]}"#,
                "</v2/app/tags/list?last=b>; rel=\"next\"",
            ),
            "/v2/app/tags/list?last=b" => (r#"{"tags": ["c"]}"#, ""),
            "/v2/null/tags/list?n=1000" => (r#"{"tags": null}"#, ""),
            // Without end.
            target if target.contains("/loop/") => {
                (r#"{"tags": ["a"]}"#, "<list?n=1000>; rel=next")
            }
            // To somebody else.
            target if target.contains("/away/") => {
                (r#"{"tags": ["a"]}"#, "<http://127.0.0.1:1/x>; rel=next")
            }
            _ => return None,
        };
        let answer = Answer::new(200, body);
        Some(if next.is_empty() {
            answer
        } else {
            answer.with("Link", next)
        })
    });
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    for (path, expected) in [("app", "a b c"), ("null", ""), ("loop", "a"), ("away", "a")] {
        let tags = client.tags(&repository(&double.host, path)).unwrap();
        assert_eq!(tags.join(" "), expected, "{path}");
    }
}

/// A manifest in a store-less repository of the double, and its descriptor.
fn subject() -> (String, Descriptor) {
    let config = Descriptor::new(MediaType::ImageConfig, Digest::of("{}"), 2);
    let text = manifest(&config, None);
    let descriptor = Descriptor::new(
        MediaType::ImageManifest,
        Digest::of(&text),
        text.len() as u64,
    );
    (text, descriptor)
}

fn referring(number: usize, subject: &Descriptor) -> (String, Descriptor) {
    let kind = MediaType::from(format!("application/kind-{number}").as_str());
    let text = manifest(&Descriptor::new(kind, Digest::of("{}"), 2), Some(subject));
    let descriptor = Descriptor::new(
        MediaType::ImageManifest,
        Digest::of(&text),
        text.len() as u64,
    );
    (text, descriptor)
}

#[test]
fn a_registry_that_keeps_track_is_believed() {
    let (_, about) = subject();
    let (text, ours) = referring(1, &about);
    let (_, theirs) = referring(2, &about);
    let pages = [vec![ours.clone(), theirs.clone()], vec![theirs.clone()]]
        .map(|entries| serde_json::json!({"schemaVersion": 2, "manifests": entries}).to_string());
    let double = Double::start(move |asked, content| {
        if asked.method == "PUT" {
            return Some(content.answer(asked).with("OCI-Subject", "yes"));
        }
        let [first, second] = &pages;
        match asked.target.split_once("/referrers/")?.1.contains("page=2") {
            true => Some(Answer::new(200, second.clone())),
            false => Some(Answer::new(200, first.clone()).with("Link", "<?page=2>; rel=\"next\"")),
        }
    });
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&double.host, "app");
    let reference = tagged(&app, "x").at(ours.digest);
    client
        .push_document(&reference, &MediaType::ImageManifest, text.as_bytes())
        .unwrap();
    assert_eq!(
        client.referrers(&app, &about.digest).unwrap(),
        [ours, theirs]
    );
    // No index was written in place of the list.
    assert_eq!(double.count("PUT", "/manifests/"), 1);
    assert_eq!(double.count("", "/manifests/sha256-"), 0);
}

#[test]
fn an_index_that_others_write_at_the_same_time_loses_nothing() {
    let (_, about) = subject();
    let (text, ours) = referring(1, &about);
    let (_, theirs) = referring(2, &about);
    let tag = format!("sha256-{}", about.digest.hex());
    let index = |entries: &[&Descriptor]| {
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
            "annotations": {"kept": "yes"},
        })
        .to_string()
    };
    let kind = "application/vnd.oci.image.index.v1+json".to_owned();
    let other = (kind, index(&[&theirs]).into_bytes());
    let place = tag.clone();
    let double = Double::start(move |asked, content| {
        // Somebody else writes after our first writing, without having seen it.
        if asked.is("PUT", &place) {
            let answer = content.answer(asked);
            if content.count("indexes") == 0 {
                content.manifests.insert(place.clone(), other.clone());
            }
            return Some(answer);
        }
        None
    });
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&double.host, "app");
    let reference = tagged(&app, "x").at(ours.digest);
    client
        .push_document(&reference, &MediaType::ImageManifest, text.as_bytes())
        .unwrap();
    let listed = client.referrers(&app, &about.digest).unwrap();
    let digests: Vec<_> = listed.iter().map(|it| it.digest).collect();
    assert_eq!(digests, [theirs.digest, ours.digest]);
    let index = client.document(&tagged(&app, &tag)).unwrap();
    assert!(String::from_utf8_lossy(&index.text).contains(r#""kept":"yes""#));
    assert_eq!(
        listed[1].artifact_type,
        Some(MediaType::from("application/kind-1"))
    );
}

#[test]
fn an_index_that_others_always_overwrite_is_an_error() {
    let (_, about) = subject();
    let (text, ours) = referring(1, &about);
    let tag = format!("sha256-{}", about.digest.hex());
    let double = Double::start(move |asked, content| {
        asked.is("PUT", &tag).then(|| {
            let answer = content.answer(asked);
            content.manifests.remove(&tag);
            answer
        })
    });
    let (folder, _store) = store();
    let client = Client::new(settings(folder.path()));
    let reference = tagged(&repository(&double.host, "app"), "x").at(ours.digest);
    let pushed = client.push_document(&reference, &MediaType::ImageManifest, text.as_bytes());
    let error = pushed.unwrap_err().to_string();
    assert!(error.contains("again and again"), "{error}");
}
