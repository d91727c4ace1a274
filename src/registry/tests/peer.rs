//! Debian's `docker-registry`; left out where it is not installed, but not in CI.

use super::double::{Answer, Asked, Double};
use super::*;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

/// A registry of this test alone.
pub(super) struct Peer {
    child: Child,
    pub(super) host: String,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry with more of its configuration; none if there is none on this machine.
pub(super) fn start(more: &str) -> Option<Peer> {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let configuration = folder.path().join("registry.yml");
    let mut file = std::fs::File::create(&configuration).unwrap();
    let data = folder.path().join("data");
    write!(
        file,
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{more}",
        data.display()
    )
    .unwrap();
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        // Elsewhere than in CI, what needs it is left out.
        assert!(
            std::env::var_os("CI").is_none(),
            "docker-registry is not installed"
        );
        return None;
    };
    let peer = Peer {
        child,
        host: format!("127.0.0.1:{port}"),
        _folder: folder,
    };
    let begin = Instant::now();
    while std::net::TcpStream::connect(&peer.host).is_err() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "it does not start"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Some(peer)
}

#[test]
fn what_is_pushed_can_be_pulled() {
    let Some(peer) = start("") else { return };
    let (folder, store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&peer.host, "team/app");
    let layer = vec![7u8; 3_000_000];
    let digest = store.put_blob(&layer).unwrap();
    let size = layer.len() as u64;
    let push = |repository: &Repository, elsewhere: &[Repository]| {
        client.push_blob(repository, &digest, size, &store, elsewhere, &|_| {})
    };

    assert_eq!(client.blob_size(&app, &digest).unwrap(), None);
    assert_eq!(push(&app, &[]).unwrap(), Pushed::Uploaded);
    assert_eq!(push(&app, &[]).unwrap(), Pushed::Existed);
    assert_eq!(client.blob_size(&app, &digest).unwrap(), Some(size));
    let other = repository(&peer.host, "other");
    assert_eq!(
        push(&other, std::slice::from_ref(&app)).unwrap(),
        Pushed::Mounted
    );
    let third = repository(&peer.host, "third");
    assert!(client.mount_blob(&third, &digest, &app).unwrap());
    let missing = Digest::of("missing");
    assert!(!client.mount_blob(&third, &missing, &app).unwrap());

    let (_other_folder, fresh) = super::store();
    let moved = std::sync::atomic::AtomicU64::new(0);
    let count = |more| {
        moved.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    };
    client
        .pull_blob(&app, &digest, size, &fresh, &count)
        .unwrap();
    fresh.verify_blob(&digest, size).unwrap();
    assert_eq!(moved.into_inner(), size);
    assert_clean(&fresh);
    let error = client
        .pull_blob(&app, &missing, 3, &fresh, &|_| {})
        .unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let error = client
        .pull_blob(&app, &digest, 5, &super::store().1, &|_| {})
        .unwrap_err();
    assert!(matches!(error, RegistryError::Size { .. }), "{error}");

    // Nothing at all is a blob too.
    let empty = store.put_blob(b"").unwrap();
    client
        .push_blob(&app, &empty, 0, &store, &[], &|_| {})
        .unwrap();
    client.pull_blob(&app, &empty, 0, &fresh, &|_| {}).unwrap();
}

#[test]
fn documents_tags_and_referrers() {
    let Some(peer) = start("") else { return };
    let (folder, store) = store();
    let client = Client::new(settings(folder.path()));
    let app = repository(&peer.host, "team/app");
    let error = client.tags(&app).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let config = store.put_blob(b"{}").unwrap();
    client
        .push_blob(&app, &config, 2, &store, &[], &|_| {})
        .unwrap();
    let config = Descriptor::new(MediaType::ImageConfig, config, 2);
    assert_eq!(client.small_blob(&app, &config).unwrap(), b"{}");

    let text = manifest(&config, None);
    let kind = MediaType::ImageManifest;
    assert_eq!(client.describe(&tagged(&app, "1")).unwrap(), None);
    let pushed = client
        .push_document(&tagged(&app, "1"), &kind, text.as_bytes())
        .unwrap();
    client
        .push_document(&tagged(&app, "2"), &kind, text.as_bytes())
        .unwrap();
    assert_eq!(
        client.describe(&tagged(&app, "1")).unwrap(),
        Some(pushed.clone())
    );
    let document = client
        .document(&tagged(&app, "1").at(pushed.digest))
        .unwrap();
    assert_eq!(
        (&document.descriptor, &*document.text),
        (&pushed, text.as_bytes())
    );
    assert_eq!(client.tags(&app).unwrap(), ["1", "2"]);

    // This registry does not keep track of referrers.
    assert!(client.referrers(&app, &pushed.digest).unwrap().is_empty());
    let mut expected = Vec::new();
    for name in ["a", "b"] {
        let mut own = config.clone();
        own.media_type = MediaType::from(format!("application/{name}").as_str());
        let text = manifest(&own, Some(&pushed));
        let by_digest = tagged(&app, "1").at(Digest::of(&text));
        for _twice in 0..2 {
            client
                .push_document(&by_digest, &kind, text.as_bytes())
                .unwrap();
        }
        expected.push((Digest::of(&text), own.media_type));
    }
    let listed = client.referrers(&app, &pushed.digest).unwrap();
    let found: Vec<_> = listed
        .iter()
        .map(|it| (it.digest, it.artifact_type.clone().unwrap()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(listed[0].annotations["a"], "1");
}

#[test]
fn a_password_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let hash = bcrypt::hash("pa:ss", 4).unwrap();
    std::fs::write(&users, format!("anna:{hash}\n")).unwrap();
    let more = format!(
        "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
        users.display()
    );
    let Some(peer) = start(&more) else { return };
    let (home, store) = store();
    let settings = settings(home.path());
    let app = repository(&peer.host, "app");
    let anonymous = Client::new(settings.clone());
    let error = anonymous.tags(&app).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("hardtack login {}", peer.host)),
        "{error}"
    );
    let of = |password: &str| Credentials::Password {
        user: "anna".to_owned(),
        password: password.to_owned(),
    };
    let error = anonymous
        .check_login(&peer.host, Some(&of("wrong")))
        .unwrap_err();
    assert!(error.to_string().contains("does not accept"), "{error}");
    assert!(anonymous.check_login(&peer.host, None).is_err());
    anonymous
        .check_login(&peer.host, Some(&of("pa:ss")))
        .unwrap();

    credentials::keep(&settings, &peer.host, &of("pa:ss")).unwrap();
    let client = Client::new(settings);
    client.check_login(&peer.host, None).unwrap();
    let digest = store.put_blob(&vec![1; 2_000_000]).unwrap();
    let pushed = client
        .push_blob(&app, &digest, 2_000_000, &store, &[], &|_| {})
        .unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
}

/// Hands a request on to a registry.
fn forward(host: &str, asked: &Asked) -> Answer {
    let mut stream = TcpStream::connect(host).unwrap();
    let mut head = format!(
        "{} {} HTTP/1.1\r\nConnection: close\r\n",
        asked.method, asked.target
    );
    for (name, value) in &asked.headers {
        if name != "content-length" && name != "connection" {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", asked.body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&asked.body).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let end = text.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer::new(status, &text[end + 4..]);
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ")
            && !["content-length", "connection"].contains(&&*name.to_ascii_lowercase())
        {
            answer = answer.with(name, value);
        }
    }
    answer
}

#[test]
fn chunks_are_taken_and_sent_anew_after_a_failure() {
    let Some(peer) = start("") else { return };
    let host = peer.host.clone();
    let double = Double::start(move |asked, content| {
        let answer = match asked.method.as_str() {
            // Part of the second chunk arrives, and then nobody answers for the registry.
            "PATCH" if content.count("chunks") == 1 => {
                let mut part = asked.clone();
                part.body.truncate(5_000_000);
                let start: usize = part
                    .header("content-range")
                    .split('-')
                    .next()?
                    .parse()
                    .ok()?;
                let range = format!("{start}-{}", start + part.body.len() - 1);
                part.headers.insert("content-range".to_owned(), range);
                forward(&host, &part);
                Answer::new(502, "")
            }
            _ => forward(&host, asked),
        };
        Some(match asked.method.as_str() {
            "POST" => answer.with("OCI-Chunk-Min-Length", "1000"),
            _ => answer,
        })
    });
    let (folder, store) = store();
    let client = Client::new(settings(folder.path()));
    let bytes: Vec<u8> = (0..10_000_000u32).flat_map(u32::to_le_bytes).collect();
    let size = bytes.len() as u64;
    let digest = store.put_blob(&bytes).unwrap();
    let app = repository(&double.host, "app");
    let pushed = client
        .push_blob(&app, &digest, size, &store, &[], &|_| {})
        .unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    let ranges: Vec<String> = double
        .asked()
        .iter()
        .filter(|asked| asked.method == "PATCH")
        .map(|asked| asked.header("content-range").to_owned())
        .collect();
    // This registry drops an upload that is not where it last said; so it is sent anew.
    let expected = [
        "0-16777215",
        "16777216-33554431",
        "0-16777215",
        "16777216-33554431",
        "33554432-39999999",
    ];
    assert_eq!(ranges, expected);
    let (_folder, fresh) = super::store();
    let direct = repository(&peer.host, "app");
    client
        .pull_blob(&direct, &digest, size, &fresh, &|_| {})
        .unwrap();
}
