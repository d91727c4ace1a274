//! The lock file: what each base from outside held when `hardtack init` last looked.
//!
//! A *lock* has one entry for each input of a template, by what the template calls it and the
//! platform; its value is a digest. The file is HCL with one block for each entry, sorted, so that
//! a change of one base changes one line.

use crate::base::Input;
use crate::diagnostic::{Diagnostics, Sources};
use crate::digest::Digest;
use crate::template::{self, Arguments, NamedText, World};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The name of the file, beside the template.
pub const FILE_NAME: &str = "hardtack.lock.hcl";

const HEADER: &str = "\
# Written by `hardtack init`. Run it again to find out whether a base has changed since, and with
# -upgrade to accept what has.
";

/// The digests of a template's inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    bases: BTreeMap<Name, Digest>,
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The source's type.
    pub kind: String,
    /// Where it is, from the template's folder.
    pub place: String,
    /// Which of several images; empty if nothing tells.
    pub reference: String,
    /// `linux/amd64`; empty if it is for any.
    pub platform: String,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.place)?;
        for part in [&self.reference, &self.platform] {
            if !part.is_empty() {
                write!(formatter, " {part}")?;
            }
        }
        Ok(())
    }
}

impl Name {
    /// The name of a base's input; `folder` is that of the template.
    pub fn of(kind: &str, input: &Input, folder: &Path) -> Self {
        let platform = input.platform.as_ref();
        Self {
            kind: kind.to_owned(),
            place: relative(&input.path, folder),
            reference: input.reference.clone().unwrap_or_default(),
            platform: platform
                .map(|it| format!("{}/{}", it.os, it.architecture))
                .unwrap_or_default(),
        }
    }
}

/// How two locks differ in one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which one.
    pub name: Name,
    /// What it was; none if it is new.
    pub from: Option<Digest>,
    /// What it is now; none if it is gone.
    pub to: Option<Digest>,
}

impl Lock {
    /// Adds an entry, or replaces it.
    pub fn insert(&mut self, name: Name, digest: Digest) {
        self.bases.insert(name, digest);
    }

    /// What has to be done to this lock to make it `other`, sorted.
    pub fn changes(&self, other: &Lock) -> Vec<Moved> {
        let names = self.bases.keys().chain(other.bases.keys());
        let names: std::collections::BTreeSet<&Name> = names.collect();
        names
            .into_iter()
            .map(|name| Moved {
                name: name.clone(),
                from: self.bases.get(name).copied(),
                to: other.bases.get(name).copied(),
            })
            .filter(|moved| moved.from != moved.to)
            .collect()
    }

    /// Reads a lock file.
    pub fn parse(text: NamedText, world: World) -> Result<Self, (Sources, Diagnostics)> {
        template::read_constants(text, world, |arguments| {
            let mut lock = Self::default();
            for block in arguments.labelled_blocks("base", 2) {
                if let Some((name, digest)) = read_entry(&block) {
                    lock.bases.insert(name, digest);
                }
                block.finish();
            }
            lock
        })
    }

    /// The content of the lock file.
    pub fn to_hcl(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, digest) in &self.bases {
            let quoted = [&name.kind, &name.place].map(|label| template::hcl_quoted(label));
            text += &format!("\nbase {} {} {{\n", quoted[0], quoted[1]);
            // Aligned as `hardtack fmt` does it.
            let digest = digest.to_string();
            let attributes = [
                ("reference", name.reference.as_str()),
                ("platform", name.platform.as_str()),
                ("digest", digest.as_str()),
            ];
            let attributes = attributes.iter().filter(|(_, value)| !value.is_empty());
            let width = attributes.clone().map(|(key, _)| key.len()).max();
            for (key, value) in attributes {
                let width = width.unwrap_or_default();
                text += &format!("  {key:<width$} = {}\n", template::hcl_quoted(value));
            }
            text += "}\n";
        }
        text
    }
}

fn read_entry(block: &Arguments<'_>) -> Option<(Name, Digest)> {
    let (Some(kind), Some(place)) = (block.label(0), block.label(1)) else {
        block.error(
            block.header(),
            "a `base` block has two labels",
            &["remove the file and run `hardtack init` again"],
        );
        return None;
    };
    let name = Name {
        kind: kind.to_owned(),
        place: place.to_owned(),
        reference: block.optional("reference").unwrap_or_default(),
        platform: block.optional("platform").unwrap_or_default(),
    };
    let digest: String = block.required("digest")?;
    match digest.parse() {
        Ok(digest) => Some((name, digest)),
        Err(error) => {
            let error: crate::digest::ParseDigestError = error;
            block.error(block.span("digest"), error.to_string(), &[]);
            None
        }
    }
}

/// The path from a folder, with `..` where it has to go up; both are absolute.
fn relative(path: &Path, folder: &Path) -> String {
    // What cannot be resolved is taken as it is written.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (path, folder) = (real(path), real(folder));
    let shared = path
        .components()
        .zip(folder.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = path
        .components()
        .skip(shared)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn world() -> World {
        World {
            template_folder: PathBuf::new(),
            working_folder: PathBuf::new(),
            home: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            random: Arc::new(|bytes: &mut [u8]| bytes.fill(0)),
            environment: BTreeMap::new(),
            services: Arc::new(crate::template::NoServices),
        }
    }

    fn parse(text: &str) -> Result<Lock, String> {
        let text = NamedText {
            name: FILE_NAME.to_owned(),
            text: text.to_owned(),
        };
        Lock::parse(text, world()).map_err(|(sources, diagnostics)| {
            diagnostics.render(&sources, crate::diagnostic::Colours::Off)
        })
    }

    fn name(kind: &str, place: &str, reference: &str, platform: &str) -> Name {
        Name {
            kind: kind.to_owned(),
            place: place.to_owned(),
            reference: reference.to_owned(),
            platform: platform.to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = Lock::default();
        lock.insert(name("rootfs", "a \"${b}\".tar", "", ""), Digest::of("r"));
        lock.insert(name("oci", "../base", "v1", "linux/amd64"), Digest::of("o"));
        let text = lock.to_hcl();
        assert_eq!(
            text,
            format!(
                "{HEADER}
base \"oci\" \"../base\" {{
  reference = \"v1\"
  platform  = \"linux/amd64\"
  digest    = \"{}\"
}}

base \"rootfs\" \"a \\\"$${{b}}\\\".tar\" {{
  digest = \"{}\"
}}
",
                Digest::of("o"),
                Digest::of("r")
            )
        );
        assert_eq!(parse(&text).unwrap(), lock);
        assert_eq!(parse("").unwrap(), Lock::default());
    }

    #[test]
    fn a_broken_file_is_refused() {
        for (text, expected) in [
            ("base \"oci\" {\n}\n", "two labels"),
            ("base \"oci\" \"x\" {\n}\n", "digest"),
            (
                "base \"oci\" \"x\" {\n  digest = \"sha256:1\"\n}\n",
                "sha256:1",
            ),
            ("image \"x\" {\n}\n", "image"),
            ("base {", "this brace is not closed"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn changes_are_told_one_by_one() {
        let (a, b, c) = (
            name("oci", "a", "", ""),
            name("oci", "b", "", ""),
            name("oci", "c", "", ""),
        );
        let (one, two) = (Digest::of("1"), Digest::of("2"));
        let (mut old, mut new) = (Lock::default(), Lock::default());
        old.insert(a.clone(), one);
        old.insert(b.clone(), one);
        new.insert(b.clone(), two);
        new.insert(c.clone(), two);
        let moved = |name: &Name, from, to| Moved {
            name: name.clone(),
            from,
            to,
        };
        assert_eq!(
            old.changes(&new),
            [
                moved(&a, Some(one), None),
                moved(&b, Some(one), Some(two)),
                moved(&c, None, Some(two)),
            ]
        );
        assert_eq!(new.changes(&new), []);
    }

    #[test]
    fn places_are_told_from_the_template() {
        for (path, folder, expected) in [
            ("/none/a/b", "/none/a", "b"),
            ("/none/b", "/none/a/c", "../../b"),
            ("/none", "/none", "."),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(folder)), expected);
        }
    }
}
