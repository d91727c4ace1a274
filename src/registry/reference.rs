//! References: what an image in a registry is called.
//!
//! A *reference* is `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, in the grammar of Docker's
//! `distribution/reference`, whose shorthands are written out when it is read: `debian` is
//! `docker.io/library/debian:latest`. Nothing here asks a registry.

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// Docker's own registry, which shorthands mean.
pub(super) const DOCKER: &str = "docker.io";
/// The longest host and path together, in bytes.
const NAME_LIMIT: usize = 255;
/// The longest tag, in bytes.
const TAG_LIMIT: usize = 128;

/// A repository of a registry: `docker.io/library/debian`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The host, with a port if one was given; `docker.io` for Docker's.
    pub registry: String,
    /// The path below it: `library/debian`.
    pub path: String,
}

/// A repository, and one of its images: by tag, by digest, or by a tag that must have the digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The tag; none if only a digest was given.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no reference of an image: {reason}")]
pub struct ReferenceError {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl Repository {
    /// The name as Docker shows it, without what goes without saying: `debian`.
    pub fn familiar(&self) -> String {
        match self.registry.as_str() {
            DOCKER => {
                let path = self.path.strip_prefix("library/");
                path.unwrap_or(&self.path).to_owned()
            }
            _ => self.to_string(),
        }
    }
}

impl Reference {
    /// Whether `text` begins with a registry's host, so that it cannot mean one of Docker's own.
    pub fn names_registry(text: &str) -> bool {
        text.split_once('/')
            .is_some_and(|(first, _)| is_host(first))
    }

    /// The same repository with a digest in place of tag and digest.
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// Without the digest.
    pub fn without_digest(&self) -> Self {
        Self {
            digest: None,
            ..self.clone()
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a reference as Docker does: `debian` is `docker.io/library/debian:latest`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        read(text).map_err(|reason| ReferenceError {
            text: text.to_owned(),
            reason,
        })
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// Reads a reference that has neither tag nor digest.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError {
            text: text.to_owned(),
            reason,
        };
        let (name, tag, digest) = parts(text);
        if tag.is_some() || digest.is_some() {
            return Err(error(
                "a repository is wanted here, without a tag and a digest",
            ));
        }
        repository(name).map_err(error)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(formatter)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether a text is a host with or without a port, as registries are named.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return false,
            };
            ("ipv6", port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn read(text: &str) -> Result<Reference, &'static str> {
    let (name, tag, digest) = parts(text);
    let repository = repository(name)?;
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let digest = digest.map(read_digest).transpose()?;
    let tag = match (tag, digest) {
        (None, None) => Some("latest"),
        (tag, _) => tag,
    };
    Ok(Reference {
        repository,
        tag: tag.map(str::to_owned),
        digest,
    })
}

/// Name, tag and digest, none of them checked.
fn parts(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon before a slash is that of a port.
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag), digest),
        _ => (rest, None, digest),
    }
}

fn repository(name: &str) -> Result<Repository, &'static str> {
    if name.is_empty() {
        return Err("it has no name");
    }
    if name.contains("://") {
        return Err("it is written without a scheme, such as registry.example/team/app:1");
    }
    if name.len() == 64 && name.bytes().all(is_hex) {
        return Err("64 hexadecimal digits are no name");
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
        _ => (DOCKER, name.to_owned()),
    };
    if !is_registry(registry) {
        return Err("what precedes the first slash is no host with or without a port");
    }
    let registry = match registry {
        "index.docker.io" => DOCKER,
        other => other,
    };
    let path = match registry {
        DOCKER if !path.contains('/') => format!("library/{path}"),
        _ => path,
    };
    check_path(&path)?;
    if registry.len() + 1 + path.len() > NAME_LIMIT {
        return Err("its name has more than 255 characters");
    }
    Ok(Repository {
        registry: registry.to_owned(),
        path,
    })
}

/// Whether what precedes the first slash is a host, and not the first part of a path at Docker's.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    for component in path.split('/') {
        if component.is_empty() {
            return Err("a part of its path is empty");
        }
        if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("its path must be in lower case");
        }
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        if !component.bytes().all(allowed) {
            return Err("its path may have lower-case letters, digits, and . _ - between them");
        }
        if !separators(component).all(|it| matches!(it, "." | "_" | "__") || is_dashes(it)) {
            return Err("the parts of its path have . _ __ or dashes between letters and digits");
        }
    }
    Ok(())
}

/// What stands between the letters and digits of a component, and an empty text for each edge that
/// is no letter or digit.
fn separators(component: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let edges = [component.chars().next(), component.chars().next_back()];
    let wrong_edges = edges
        .into_iter()
        .filter(move |edge| !edge.is_some_and(is_word))
        .map(|_| "");
    component
        .split(is_word)
        .filter(|separator| !separator.is_empty())
        .chain(wrong_edges)
}

fn is_dashes(separator: &str) -> bool {
    !separator.is_empty() && separator.bytes().all(|byte| byte == b'-')
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let allowed = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    if tag.is_empty() {
        return Err("its tag is empty");
    }
    if tag.len() > TAG_LIMIT {
        return Err("its tag has more than 128 characters");
    }
    if !tag.bytes().all(allowed) || !tag.bytes().next().is_some_and(is_word) {
        return Err(
            "its tag may have letters, digits, and _ . - and begins with a letter, a digit or _",
        );
    }
    Ok(())
}

fn read_digest(text: &str) -> Result<Digest, &'static str> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let is_other = text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm != "sha256"
            && algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
            && hex.len() >= 32
            && hex.bytes().all(is_hex)
    });
    Err(match is_other {
        true => "only sha256 digests are supported",
        false => "its digest is not sha256: and 64 lower-case hexadecimal digits",
    })
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("index.docker.io/a/b:1", "docker.io/a/b:1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000"),
            ("localhost:5000/app:x", "localhost:5000/app:x"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("[2001:db8::1]/app", "[2001:db8::1]/app:latest"),
            ("HOST/app", "HOST/app:latest"),
            (
                "r.example/a__b.c-d--e_f:V1.0-x_",
                "r.example/a__b.c-d--e_f:V1.0-x_",
            ),
            ("xn--n3h.com/myimage", "xn--n3h.com/myimage:latest"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<Reference>().unwrap(), reference);
        }
        let by_digest = format!("r.example/app@sha256:{HEX}");
        let reference: Reference = by_digest.parse().unwrap();
        assert_eq!((&reference.tag, reference.to_string()), (&None, by_digest));
        let both: Reference = format!("app:1@sha256:{HEX}").parse().unwrap();
        assert_eq!(
            both.to_string(),
            format!("docker.io/library/app:1@sha256:{HEX}")
        );
        assert_eq!(both.without_digest().to_string(), "docker.io/library/app:1");
        let digest = Digest::of("x");
        assert_eq!(
            (both.at(digest).tag, both.at(digest).digest),
            (None, Some(digest))
        );
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_rule() {
        let long_tag = format!("app:{}", "a".repeat(129));
        let long_name = format!("r.example/{}", "a/".repeat(130) + "a");
        let sha512 = format!("app@sha512:{HEX}{HEX}");
        let upper = format!("app@sha256:{}", HEX.to_uppercase());
        for (text, reason) in [
            ("", "no name"),
            (":1", "no name"),
            (HEX, "64 hexadecimal"),
            ("App", "lower case"),
            ("r.example/App", "lower case"),
            ("https://r.example/app", "without a scheme"),
            ("r.example/", "is empty"),
            ("r.example//app", "is empty"),
            ("r.example/app/", "is empty"),
            ("-r.example/app", "no host"),
            ("r.example:port/app", "no host"),
            ("r.example:70000/app", "no host"),
            ("[::1/app", "no host"),
            ("r.example/a..b", "letters and digits"),
            ("r.example/a___b", "letters and digits"),
            ("r.example/-a", "letters and digits"),
            ("r.example/a_", "letters and digits"),
            ("r.example/../x", "letters and digits"),
            ("r.example/a b", "lower-case letters, digits"),
            ("r.example/ä", "lower-case letters, digits"),
            ("app:", "tag is empty"),
            ("app:.x", "its tag may"),
            ("app:a b", "its tag may"),
            (&long_tag, "128"),
            (&long_name, "255"),
            ("app@", "its digest"),
            ("app@sha256:00", "its digest"),
            (&upper, "its digest"),
            (&sha512, "only sha256"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        let repository: Repository = "localhost:5000/a/b".parse().unwrap();
        assert_eq!(repository.to_string(), "localhost:5000/a/b");
        for text in ["app:1", &format!("app@sha256:{HEX}"), "A"] {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_is_told_from_a_path() {
        for (text, expected) in [
            ("debian", false),
            ("team/app", false),
            ("localhost:5000", false),
            ("localhost/app", true),
            ("r.example/app:1", true),
            ("host:1/app", true),
        ] {
            assert_eq!(Reference::names_registry(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,60}|.{0,20}") {
            if let Ok(reference) = text.parse::<Reference>() {
                proptest::prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }
}
