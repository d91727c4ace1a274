//! Files: what there is at a path of the image.

use super::Expected;
use super::account::Accounts;
use super::decode::one;
use super::expected::Fault;
use super::pattern::Patterns;
use crate::digest::Digest;
use crate::sandbox::{Entry, EntryKind, OpenRoot, SandboxError};
use crate::template::Arguments;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

/// A file larger than this is not searched.
const SEARCH_LIMIT: u64 = 64 << 20;

/// What is expected at a path.
#[derive(Clone, Debug, Serialize)]
pub struct FileCheck {
    /// The absolute path.
    pub path: Expected<String>,
    /// Whether there is anything.
    pub exists: Expected<bool>,
    /// Whether a link stands for what it leads to.
    pub follows: bool,
    /// Of which type.
    pub kind: Option<Expected<Kind>>,
    /// The permission bits.
    pub mode: Option<Expected<u32>>,
    /// Permission bits of which one must be set.
    pub any_mode: Option<Expected<u32>>,
    /// The owner, a name or a number.
    pub owner: Option<Expected<String>>,
    /// The group, a name or a number.
    pub group: Option<Expected<String>>,
    /// In bytes.
    pub size: Option<Expected<u64>>,
    /// Where a link leads.
    pub target: Option<Expected<String>>,
    /// What it holds.
    pub contents: Patterns,
    /// The digest of what it holds.
    pub sha256: Option<Expected<Digest>>,
}

/// The types that can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::File, Kind::Directory, Kind::Link];

    fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Link => "link",
        }
    }

    fn of(kind: EntryKind) -> Option<Self> {
        match kind {
            EntryKind::File => Some(Kind::File),
            EntryKind::Folder => Some(Kind::Directory),
            EntryKind::Link => Some(Kind::Link),
            EntryKind::Other => None,
        }
    }
}

impl FileCheck {
    /// That there is something at a path.
    pub fn new(path: Expected<String>) -> Self {
        Self {
            exists: Expected::new(true, path.place),
            follows: true,
            path,
            kind: None,
            mode: None,
            any_mode: None,
            owner: None,
            group: None,
            size: None,
            target: None,
            contents: Patterns::default(),
            sha256: None,
        }
    }

    /// Takes a `file` block.
    pub fn decode(arguments: &Arguments<'_>) -> Option<Self> {
        let place = arguments.label_span(0);
        let path = arguments.label(0).unwrap_or_default().to_owned();
        if !path.starts_with('/') {
            arguments.error(
                place,
                format!("the path {path:?} is not absolute"),
                &["write it as it is in the image: file \"/etc/passwd\" { … }"],
            );
        }
        let mut check = Self::new(Expected::new(path, place));
        if let Some(exists) = arguments.optional("exists") {
            check.exists = Expected::new(exists, arguments.span("exists"));
        }
        check.kind = one(arguments, "type", |text: String| {
            let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
            found.ok_or_else(|| format!("{text:?} is none of file, directory and link"))
        });
        check.mode = one(arguments, "mode", |text: String| mode(&text));
        check.owner = one(arguments, "owner", Ok);
        check.group = one(arguments, "group", Ok);
        check.size = one(arguments, "size", Ok);
        check.target = one(arguments, "link_target", Ok);
        check.contents = Patterns::decode(arguments, "contains", "excludes");
        check.sha256 = one(arguments, "sha256", |text: String| {
            let digits = text.strip_prefix("sha256:").unwrap_or(&text);
            Digest::from_hex(digits).map_err(|_| "a SHA-256 has 64 hexadecimal digits".to_owned())
        });
        // That a link leads nowhere does not make it go away.
        check.follows = check.exists.value
            && check.target.is_none()
            && check.kind.as_ref().is_none_or(|it| it.value != Kind::Link);
        let others = [
            "type",
            "mode",
            "owner",
            "group",
            "size",
            "link_target",
            "contains",
            "excludes",
            "sha256",
        ];
        if !check.exists.value
            && let Some(other) = others.iter().find(|name| arguments.has(name))
        {
            arguments.error(
                arguments.span(other),
                format!("{other} says something of a file that is expected not to exist"),
                &[],
            );
        }
        Some(check)
    }

    /// What is not fulfilled in `root`, where the check's path is `path`. Files are read until `end`.
    pub fn faults(
        &self,
        root: &OpenRoot,
        path: &str,
        end: Option<Instant>,
    ) -> Result<Vec<Fault>, SandboxError> {
        let what = format!("file {path}");
        let entry = match root.look(path, self.follows) {
            Ok(entry) => entry,
            Err(SandboxError::Work(problem)) => {
                return Ok(vec![self.exists.fault(&what, "something", problem)]);
            }
            Err(error) => return Err(error),
        };
        let entry = match entry {
            None if self.exists.value => {
                return Ok(vec![self.exists.fault(&what, "something", "nothing")]);
            }
            None => return Ok(Vec::new()),
            Some(_) if !self.exists.value => {
                return Ok(vec![self.exists.fault(&what, "nothing", "something")]);
            }
            Some(entry) => entry,
        };
        let mut faults = self.of_entry(&what, &entry);
        if self.owner.is_some() || self.group.is_some() {
            let accounts = Accounts::read(root)?;
            let pairs = [
                (
                    "owner",
                    &self.owner,
                    entry.uid,
                    accounts.user_names(entry.uid),
                ),
                (
                    "group",
                    &self.group,
                    entry.gid,
                    accounts.group_names(entry.gid),
                ),
            ];
            for (word, expected, id, names) in pairs {
                let Some(expected) = expected else { continue };
                let number = id.to_string();
                if number != expected.value && !names.contains(&expected.value) {
                    let found = match names.first() {
                        Some(name) => format!("{name} ({id})"),
                        None => number,
                    };
                    faults.push(expected.fault(format!("{what}: {word}"), &expected.value, found));
                }
            }
        }
        faults.extend(self.of_contents(&what, root, path, end)?);
        Ok(faults)
    }

    fn of_entry(&self, what: &str, entry: &Entry) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(kind) = &self.kind
            && Kind::of(entry.kind) != Some(kind.value)
        {
            let found = Kind::of(entry.kind).map_or("a device, socket or pipe", Kind::name);
            faults.push(kind.fault(format!("{what}: type"), kind.value.name(), found));
        }
        let octal = |mode: u32| format!("{mode:04o}");
        if let Some(mode) = &self.mode
            && entry.mode != mode.value
        {
            faults.push(mode.fault(
                format!("{what}: mode"),
                octal(mode.value),
                octal(entry.mode),
            ));
        }
        if let Some(any) = &self.any_mode
            && entry.mode & any.value == 0
        {
            let expected = format!("one of the bits {}", octal(any.value));
            faults.push(any.fault(format!("{what}: mode"), expected, octal(entry.mode)));
        }
        if let Some(size) = &self.size
            && entry.size != size.value
        {
            let bytes = |size: u64| format!("{size} bytes");
            faults.push(size.fault(
                format!("{what}: size"),
                bytes(size.value),
                bytes(entry.size),
            ));
        }
        if let Some(target) = &self.target
            && entry.target.as_ref() != Some(&target.value)
        {
            let found = match &entry.target {
                Some(target) => format!("{target:?}"),
                None => "no link".to_owned(),
            };
            let expected = format!("{:?}", target.value);
            faults.push(target.fault(format!("{what}: link_target"), expected, found));
        }
        faults
    }

    fn of_contents(
        &self,
        what: &str,
        root: &OpenRoot,
        path: &str,
        end: Option<Instant>,
    ) -> Result<Vec<Fault>, SandboxError> {
        let mut faults = Vec::new();
        let unread = |expected: &Expected<()>, found: String| {
            expected.fault(what, "a file that can be read", found)
        };
        let patterns = self.contents.expected.iter().chain(&self.contents.excluded);
        let of_patterns = patterns.map(Expected::without_value).next();
        let of_digest = self.sha256.as_ref().map(Expected::without_value);
        let Some(first) = of_patterns.as_ref().or(of_digest.as_ref()) else {
            return Ok(faults);
        };
        let open = || match root.read(path) {
            Ok(Some(file)) => Ok(Ok(UntilEnd { file, end })),
            Ok(None) => Ok(Err("nothing".to_owned())),
            Err(SandboxError::Work(problem)) => Ok(Err(problem)),
            Err(error) => Err(error),
        };
        if of_patterns.is_some() {
            let mut bytes = Vec::new();
            let read = open()?.and_then(|file| {
                let read = file.take(SEARCH_LIMIT + 1).read_to_end(&mut bytes);
                read.map_err(|error| error.to_string())
            });
            match read {
                Err(problem) => return Ok(vec![unread(first, problem)]),
                Ok(length) if length as u64 > SEARCH_LIMIT => {
                    let expected = format!("at most {} MiB to search", SEARCH_LIMIT >> 20);
                    faults.push(first.fault(what, expected, "more"));
                }
                Ok(_) => faults.extend(self.contents.faults(what, &bytes)),
            }
        }
        if let Some(sha256) = &self.sha256 {
            let digest =
                open()?.and_then(|file| Digest::of_reader(file).map_err(|error| error.to_string()));
            match digest {
                Err(problem) => faults.push(unread(&sha256.without_value(), problem)),
                Ok((found, _)) if found != sha256.value => faults.push(sha256.fault(
                    format!("{what}: sha256"),
                    sha256.value.hex(),
                    found.hex(),
                )),
                Ok(_) => {}
            }
        }
        Ok(faults)
    }
}

/// A file that is read until a test's time is up: one full of holes may have any size.
struct UntilEnd {
    file: File,
    end: Option<Instant>,
}

impl Read for UntilEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Err(io::Error::other(
                "the test's time was up before all was read",
            ));
        }
        self.file.read(buffer)
    }
}

/// Reads permission bits in octal digits.
fn mode(text: &str) -> Result<u32, String> {
    let is_octal =
        (1..=5).contains(&text.len()) && text.bytes().all(|it| (b'0'..=b'7').contains(&it));
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| is_octal && *mode <= 0o7777)
        .ok_or_else(|| format!("{text:?} is no mode; write octal digits in quotes, as \"0644\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, expected) in [
            ("0644", Some(0o644)),
            ("755", Some(0o755)),
            ("04755", Some(0o4755)),
            ("0", Some(0)),
            ("", None),
            ("0o644", None),
            ("888", None),
            ("17777", None),
            ("+644", None),
            ("rw-r--r--", None),
        ] {
            assert_eq!(mode(text).ok(), expected, "{text:?}");
        }
    }
}
