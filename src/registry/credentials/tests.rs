//! Credentials in files and helpers.

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

/// Settings with a home of their own.
fn settings(home: &Path, environment: &[(&str, &str)]) -> Settings {
    let environment = environment.iter();
    Settings {
        environment: environment
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        home: Some(home.to_owned()),
        insecure: Vec::new(),
        mirrors: BTreeMap::new(),
        authorities: Vec::new(),
        budget: Duration::from_secs(5),
        is_cancelled: Arc::new(|| false),
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn found(settings: &Settings, registry: &str, path: &str) -> String {
    let repository = Repository {
        registry: registry.to_owned(),
        path: path.to_owned(),
    };
    match find(settings, &repository) {
        Ok(None) => "none".to_owned(),
        Ok(Some(Credentials::Password { user, password })) => format!("{user}:{password}"),
        Ok(Some(Credentials::IdentityToken(token))) => format!("token {token}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_longest_name_in_the_first_file_wins() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // a:1, b:2, …
    write(
        &home.join(".docker/config.json"),
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "YToxAA=="},
            "https://r.example/v2/": {"auth": "Yjoy"},
            "r.example/team": {"auth": "Yzoz"},
            "r.example/team/app": {"auth": "ZDo0OjU="},
            "token.example": {"auth": "eDp5", "identitytoken": "t0k"},
            "plain.example:5000": {"username": "u", "password": "p"},
            "empty.example": {},
            "bad.example": {"auth": "!!"}
        }}"#,
    );
    write(
        &home.join(".config/containers/auth.json"),
        r#"{"auths": {"first.example": {"auth": "Zjox"}}}"#,
    );
    let settings = settings(home, &[]);
    for (registry, path, expected) in [
        ("docker.io", "library/debian", "a:1"),
        ("r.example", "", "b:2"),
        ("r.example", "other", "b:2"),
        ("r.example", "teams/app", "b:2"),
        ("r.example", "team/other", "c:3"),
        ("r.example", "team/app", "d:4:5"),
        ("r.example", "team/app/part", "d:4:5"),
        ("token.example", "x", "token t0k"),
        ("plain.example:5000", "x", "u:p"),
        ("plain.example", "x", "none"),
        ("empty.example", "x", "none"),
        ("first.example", "x", "f:1"),
    ] {
        assert_eq!(
            found(&settings, registry, path),
            expected,
            "{registry}/{path}"
        );
    }
    assert!(found(&settings, "bad.example", "x").contains("not USER:PASSWORD in base64"));
}

#[test]
fn the_environment_says_where_files_are() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let of = |user: &str| {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:x"));
        format!(r#"{{"auths": {{"r.example": {{"auth": "{pair}"}}}}}}"#)
    };
    let path = |name: &str| home.join(name).display().to_string();
    write(&home.join("docker/config.json"), &of("docker"));
    let docker = ("DOCKER_CONFIG", path("docker"));
    let runtime = ("XDG_RUNTIME_DIR", path("run"));
    let file = ("REGISTRY_AUTH_FILE", path("own.json"));
    let settings = |given: &[&(&str, String)]| {
        let given: Vec<_> = given
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        settings(home, &given)
    };
    assert_eq!(found(&settings(&[]), "r.example", "x"), "none");
    assert_eq!(
        found(&settings(&[&docker, &runtime]), "r.example", "x"),
        "docker:x"
    );
    write(&home.join("run/containers/auth.json"), &of("podman"));
    assert_eq!(
        found(&settings(&[&docker, &runtime]), "r.example", "x"),
        "podman:x"
    );
    assert_eq!(
        found(&settings(&[&docker, &runtime, &file]), "r.example", "x"),
        "none"
    );
    write(&home.join("own.json"), "{\"auths\": \n {\"secret");
    let error = found(&settings(&[&file]), "r.example", "x");
    assert!(
        error.contains("line 2") && !error.contains("secret"),
        "{error}"
    );
    write(&home.join("own.json"), " ");
    assert_eq!(found(&settings(&[&file]), "r.example", "x"), "none");
}

#[test]
fn login_keeps_what_the_file_holds_and_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let settings = settings(home.path(), &[]);
    let path = home.path().join(".docker/config.json");
    let of = |user: &str| Credentials::Password {
        user: user.to_owned(),
        password: "pa:ss".to_owned(),
    };
    let place = keep(&settings, "r.example", &of("first")).unwrap();
    assert_eq!(place, path.display().to_string());
    write(
        &path,
        r#"{"psFormat": "x", "auths": {"https://r.example/v1/": {"auth": "YTox"}}}"#,
    );
    keep(&settings, "r.example", &of("second")).unwrap();
    keep(&settings, "docker.io", &of("third")).unwrap();
    assert_eq!(found(&settings, "r.example", "x"), "second:pa:ss");
    assert_eq!(found(&settings, "docker.io", "x"), "third:pa:ss");
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("psFormat") && text.contains("https://index.docker.io/v1/"),
        "{text}"
    );
    assert_eq!(text.matches("r.example").count(), 1, "{text}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );

    assert_eq!(
        forget(&settings, "r.example").unwrap(),
        [path.display().to_string()]
    );
    assert!(forget(&settings, "r.example").unwrap().is_empty());
    assert_eq!(found(&settings, "r.example", "x"), "none");
    assert_eq!(found(&settings, "docker.io", "x"), "third:pa:ss");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let home = tempfile::tempdir().unwrap();
    let real = home.path().join("real.json");
    write(&real, "{}");
    let link = home.path().join("link.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let settings = settings(
        home.path(),
        &[("REGISTRY_AUTH_FILE", link.to_str().unwrap())],
    );
    keep(
        &settings,
        "r.example",
        &Credentials::IdentityToken("t".to_owned()),
    )
    .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("identitytoken"));
    assert_eq!(found(&settings, "r.example", "x"), "token t");
}

/// A helper that keeps what it is told in files, as a shell script.
fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    fs::create_dir_all(folder).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn helpers_are_asked_and_told() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let bin = home.join("bin");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let settings = settings(home, &[("PATH", &path), ("KEPT", home.to_str().unwrap())]);
    helper(
        &bin,
        "kept",
        r#"case $1 in
        get) cat > "$KEPT/asked"; cat "$KEPT/secret" 2> /dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
        store) cat > "$KEPT/secret" ;;
        erase) cat > /dev/null; rm -f "$KEPT/secret" ;;
        esac"#,
    );
    helper(
        &bin,
        "token",
        r#"echo '{"Username": "<token>", "Secret": "t"}'"#,
    );
    helper(&bin, "broken", "printf 'no \\033[31mkey'; exit 3");
    helper(&bin, "mute", "exit 0");
    write(
        &home.join(".docker/config.json"),
        r#"{"credsStore": "kept", "credHelpers": {
            "token.example": "token", "broken.example": "broken", "mute.example": "mute",
            "missing.example": "missing", "path.example": "../x"}}"#,
    );
    assert_eq!(found(&settings, "docker.io", "library/x"), "none");
    let asked = fs::read_to_string(home.join("asked")).unwrap();
    assert_eq!(asked.trim(), "https://index.docker.io/v1/");
    let credentials = Credentials::Password {
        user: "u".to_owned(),
        password: "p".to_owned(),
    };
    assert_eq!(
        keep(&settings, "docker.io", &credentials).unwrap(),
        "docker-credential-kept"
    );
    assert_eq!(found(&settings, "docker.io", "library/x"), "u:p");
    let file = fs::read_to_string(home.join(".docker/config.json")).unwrap();
    assert!(!file.contains("auth\""), "{file}");
    let forgotten = forget(&settings, "docker.io").unwrap();
    assert_eq!(forgotten.len(), 2, "{forgotten:?}");
    assert_eq!(found(&settings, "docker.io", "library/x"), "none");

    assert_eq!(found(&settings, "token.example", "x"), "token t");
    for (registry, expected) in [
        ("broken.example", "docker-credential-broken"),
        ("broken.example", "fails: no key"),
        ("mute.example", "no JSON"),
        ("missing.example", "is not installed"),
        ("path.example", "is a path"),
    ] {
        let error = found(&settings, registry, "x");
        assert!(
            error.contains(expected) && !error.contains('\x1b'),
            "{error}"
        );
    }
}

#[test]
fn a_helper_that_hangs_ends_with_the_run() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    helper(&bin, "slow", "sleep 60");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut settings = settings(home.path(), &[("PATH", &path)]);
    settings.is_cancelled = Arc::new(|| true);
    write(
        &home.path().join(".docker/config.json"),
        r#"{"credsStore": "slow"}"#,
    );
    let begin = std::time::Instant::now();
    assert_eq!(found(&settings, "r.example", "x"), "interrupted");
    assert!(begin.elapsed() < Duration::from_secs(5));
}
