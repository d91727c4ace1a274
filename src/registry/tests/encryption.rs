//! Encryption: certificates, plain HTTP, and mixing them up; against `docker-registry`, with
//! certificates of `openssl`.

use super::peer::start;
use super::*;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// An authority and a certificate for 127.0.0.1; none without `openssl`.
fn certificates(folder: &Path) -> Option<(PathBuf, PathBuf, PathBuf)> {
    let path = |name: &str| folder.join(name);
    let run = |arguments: &str| {
        let status = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    fs::write(
        path("leaf.ext"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = run(&format!(
        "req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority"
    )) && run(&format!(
        "req {key} -keyout leaf.key -out leaf.csr -subj /CN=leaf"
    )) && run(
        "x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.crt",
    );
    if !made {
        // Elsewhere than in CI, what needs it is left out.
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        return None;
    }
    Some((path("ca.crt"), path("leaf.crt"), path("leaf.key")))
}

#[test]
fn certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let Some((authority, certificate, key)) = certificates(folder.path()) else {
        return;
    };
    let more = |clients: &str| {
        format!(
            "  tls:\n    certificate: {}\n    key: {}\n{clients}",
            certificate.display(),
            key.display()
        )
    };
    let Some(peer) = start(&more("")) else { return };
    let check = |settings: Settings, host: &str| {
        let result = Client::new(settings).check_login(host, None);
        result
            .err()
            .map_or("fine".to_owned(), |error| error.to_string())
    };
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    let said = check(settings.clone(), &peer.host);
    assert!(
        said.contains("is not trusted") && said.contains("--registry-ca"),
        "{said}"
    );

    settings.authorities = fs::read(&authority).unwrap();
    assert_eq!(check(settings.clone(), &peer.host), "fine");
    // The certificate is for another name.
    let by_name = peer.host.replace("127.0.0.1", "localhost");
    let said = check(settings.clone(), &by_name);
    assert!(said.contains("is not trusted"), "{said}");
    settings.authorities = Vec::new();
    settings.insecure = vec![peer.host.clone()];
    assert_eq!(check(settings.clone(), &peer.host), "fine");
    settings.insecure.clear();

    // Certificates in folders, the client's own among them.
    let strict = format!("    clientcas:\n      - {}\n", authority.display());
    let peer = start(&more(&strict)).unwrap();
    let own = home
        .path()
        .join(".config/containers/certs.d")
        .join(&peer.host);
    fs::create_dir_all(&own).unwrap();
    fs::copy(&authority, own.join("ca.crt")).unwrap();
    let said = check(settings.clone(), &peer.host);
    assert!(said.contains("refuses the connection"), "{said}");
    fs::copy(&certificate, own.join("client.cert")).unwrap();
    let said = check(settings.clone(), &peer.host);
    assert!(said.contains("client.key"), "{said}");
    fs::copy(&key, own.join("client.key")).unwrap();
    assert_eq!(check(settings.clone(), &peer.host), "fine");
    settings.authorities = b"no certificates".to_vec();
    let said = check(settings, "127.0.0.1:1");
    assert!(
        said.contains("authorities are not certificates") || said.contains("cannot reach"),
        "{said}"
    );
}

#[test]
fn only_loopback_and_what_is_allowed_are_spoken_to_without_encryption() {
    let Some(peer) = start("") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    // The same registry by a name that is not loopback.
    let other = peer.host.replace("127.0.0.1", "0.0.0.0");
    let client = Client::new(settings.clone());
    client.check_login(&peer.host, None).unwrap();
    client
        .check_login(&peer.host.replace("127.0.0.1", "localhost"), None)
        .unwrap();
    let begin = Instant::now();
    let error = client.check_login(&other, None).unwrap_err();
    assert!(matches!(error, RegistryError::Plain { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("--insecure-registry {other}")),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
    settings.insecure = vec![other.clone()];
    Client::new(settings).check_login(&other, None).unwrap();
}
