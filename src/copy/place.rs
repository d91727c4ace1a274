//! Places: where something is copied from and to, as a user writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A reference of a registry: `docker://ghcr.io/team/app:1`.
    Registry(String),
    /// Without a scheme: a name in the store, unless it begins with a registry's host, or else a
    /// reference of a registry. Something is never copied to the store without saying so.
    Plain(String),
    /// A folder in the OCI image layout: `oci:PATH[:NAME]`.
    Layout(PathBuf, Option<String>),
    /// A tar of such a folder: `oci-archive:PATH[:NAME]`.
    OciArchive(PathBuf, Option<String>),
    /// What `docker save` writes: `docker-archive:PATH[:NAME]`.
    DockerArchive(PathBuf, Option<String>),
    /// A name in the store: `store:NAME`.
    Store(String),
}

/// Why a text is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no place: {reason}")]
pub struct PlaceError {
    text: String,
    reason: &'static str,
}

impl FromStr for Place {
    type Err = PlaceError;

    /// Reads a place in the form that skopeo has.
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let error = |reason| PlaceError {
            text: text.to_owned(),
            reason,
        };
        let Some((scheme, rest)) = text.split_once(':') else {
            return match text {
                "" => Err(error("it is empty")),
                name => Ok(Self::Plain(name.to_owned())),
            };
        };
        // The name after the path may have colons itself.
        let path = || match rest.split_once(':') {
            _ if rest.is_empty() || rest.starts_with(':') => Err(error("a path is missing")),
            Some((_, "")) => Err(error("a name is missing after the colon")),
            Some((path, name)) => Ok((PathBuf::from(path), Some(name.to_owned()))),
            None => Ok((PathBuf::from(rest), None)),
        };
        match scheme {
            "docker" => match rest.strip_prefix("//") {
                Some("") => Err(error("a reference is missing")),
                Some(reference) => Ok(Self::Registry(reference.to_owned())),
                None => Err(error("a reference is written docker://HOST/PATH[:TAG]")),
            },
            "oci" => path().map(|(path, name)| Self::Layout(path, name)),
            "oci-archive" => path().map(|(path, name)| Self::OciArchive(path, name)),
            "docker-archive" => path().map(|(path, name)| Self::DockerArchive(path, name)),
            "store" if rest.is_empty() => Err(error("a name is missing")),
            "store" => Ok(Self::Store(rest.to_owned())),
            _ if rest.starts_with("//") => Err(error(
                "schemes are docker://, oci:, oci-archive:, docker-archive: and store:",
            )),
            _ => Ok(Self::Plain(text.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path, name) = match self {
            Self::Registry(reference) => return write!(formatter, "docker://{reference}"),
            Self::Plain(name) => return formatter.write_str(name),
            Self::Store(name) => return write!(formatter, "store:{name}"),
            Self::Layout(path, name) => ("oci", path, name),
            Self::OciArchive(path, name) => ("oci-archive", path, name),
            Self::DockerArchive(path, name) => ("docker-archive", path, name),
        };
        write!(formatter, "{scheme}:{}", path.display())?;
        match name {
            Some(name) => write!(formatter, ":{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_skopeo_writes_them() {
        let with = |name: &str| Some(name.to_owned());
        for (text, expected) in [
            (
                "docker://r.example:5000/a:1",
                Place::Registry("r.example:5000/a:1".to_owned()),
            ),
            (
                "127.0.0.1:5000/a:1",
                Place::Plain("127.0.0.1:5000/a:1".to_owned()),
            ),
            ("web.oci.base", Place::Plain("web.oci.base".to_owned())),
            ("oci:out/layout", Place::Layout("out/layout".into(), None)),
            ("oci:/x:a:1", Place::Layout("/x".into(), with("a:1"))),
            (
                "oci-archive:x.tar:1",
                Place::OciArchive("x.tar".into(), with("1")),
            ),
            (
                "docker-archive:x.tar:r:5000/a:1",
                Place::DockerArchive("x.tar".into(), with("r:5000/a:1")),
            ),
            ("store:a:1", Place::Store("a:1".to_owned())),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place, expected, "{text}");
            assert_eq!(place.to_string(), text);
        }
        for text in [
            "",
            "docker://",
            "docker:a",
            "oci:",
            "oci::a",
            "oci:x:",
            "store:",
            "dir://x",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
