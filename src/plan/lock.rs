//! The lock file: what the inputs of a template stood for when they were first used.
//!
//! A *lock* has one entry for each image of a registry, by its reference, and one for each other
//! base from outside, by what the template calls it and the platform; its value is a digest. The
//! A list of roles and collections has one too, by the list's content. The
//! file is HCL with one block for each entry, sorted, so that a change of one base changes one line.
//! Builds take the images of registries from it; of the others, it tells what has changed.

use crate::base::{Input, Pins, Place};
use crate::diagnostic::{Diagnostics, Sources};
use crate::digest::Digest;
use crate::provision::{Installed, RequirementName};
use crate::registry::Reference;
use crate::template::{self, Arguments, NamedText, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// The name of the file, beside the template.
pub const FILE_NAME: &str = "hardtack.lock.hcl";

const HEADER: &str = "\
# Written by hardtack: the digests that a build starts from. `hardtack init -upgrade` moves them.
# Keep this file under version control.
";

const REMEDY: &str = "remove the file and run `hardtack init` again";

/// The digests of a template's inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    images: BTreeMap<Reference, Digest>,
    bases: BTreeMap<BaseName, Digest>,
    requirements: BTreeMap<RequirementName, Installed>,
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// An image of a registry.
    Image(Reference),
    /// Any other base.
    Base(BaseName),
    /// A list of roles and collections.
    Requirement(RequirementName),
}

/// A base that is a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseName {
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
        match self {
            Self::Image(reference) => reference.fmt(formatter),
            Self::Base(name) => name.fmt(formatter),
            Self::Requirement(name) => name.fmt(formatter),
        }
    }
}

impl fmt::Display for BaseName {
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
        let place = match &input.place {
            Place::Registry(reference) => return Self::Image(reference.clone()),
            Place::Path(path) => relative(path, folder),
            Place::Store(name) => format!("store:{name}"),
        };
        let platform = input.platform.as_ref();
        Self::Base(BaseName {
            kind: kind.to_owned(),
            place,
            reference: input.reference.clone().unwrap_or_default(),
            platform: platform
                .map(|it| format!("{}/{}", it.os, it.architecture))
                .unwrap_or_default(),
        })
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
        match name {
            Name::Image(reference) => drop(self.images.insert(reference, digest)),
            Name::Base(name) => drop(self.bases.insert(name, digest)),
            Name::Requirement(name) => {
                let parts = Vec::new();
                self.insert_requirement(name, Installed { digest, parts });
            }
        }
    }

    /// Adds what a list of requirements stands for, or replaces it.
    pub fn insert_requirement(&mut self, name: RequirementName, installed: Installed) {
        self.requirements.insert(name, installed);
    }

    /// The digest of an entry.
    pub fn get(&self, name: &Name) -> Option<Digest> {
        match name {
            Name::Image(reference) => self.images.get(reference).copied(),
            Name::Base(name) => self.bases.get(name).copied(),
            Name::Requirement(name) => self.requirements.get(name).map(|it| it.digest),
        }
    }

    /// What references stand for in a build. With `is_strict`, nothing may be added.
    pub fn pins(&self, is_strict: bool) -> Pins {
        Pins::new(self.images.clone(), is_strict).with_requirements(self.requirements.clone())
    }

    /// Adds what a build has pinned; says whether that is anything.
    pub fn adopt(&mut self, pins: &Pins) -> bool {
        let found = pins.found();
        let requirements = pins.found_requirements();
        let is_new = !found.is_empty() || !requirements.is_empty();
        self.images.extend(found);
        self.requirements.extend(requirements);
        is_new
    }

    fn names(&self) -> impl Iterator<Item = Name> {
        let images = self.images.keys().cloned().map(Name::Image);
        let bases = self.bases.keys().cloned().map(Name::Base);
        let requirements = self.requirements.keys().cloned().map(Name::Requirement);
        images.chain(bases).chain(requirements)
    }

    /// What has to be done to this lock to make it `other`, sorted.
    pub fn changes(&self, other: &Lock) -> Vec<Moved> {
        let names: BTreeSet<Name> = self.names().chain(other.names()).collect();
        names
            .into_iter()
            .map(|name| Moved {
                from: self.get(&name),
                to: other.get(&name),
                name,
            })
            .filter(|moved| moved.from != moved.to)
            .collect()
    }

    /// Reads a lock file.
    pub fn parse(text: NamedText, world: World) -> Result<Self, (Sources, Diagnostics)> {
        template::read_constants(text, world, |arguments| {
            let mut lock = Self::default();
            for block in arguments.labelled_blocks("image", 1) {
                if let Some((reference, digest)) = read_image(&block)
                    && lock.images.insert(reference, digest).is_some()
                {
                    report_second(&block);
                }
                block.finish();
            }
            for block in arguments.labelled_blocks("base", 2) {
                if let Some((name, digest)) = read_entry(&block)
                    && lock.bases.insert(name, digest).is_some()
                {
                    report_second(&block);
                }
                block.finish();
            }
            for block in arguments.labelled_blocks("requirements", 2) {
                if let Some((name, installed)) = read_requirement(&block)
                    && lock.requirements.insert(name, installed).is_some()
                {
                    report_second(&block);
                }
                block.finish();
            }
            lock
        })
    }

    /// The content of the lock file.
    pub fn to_hcl(&self) -> String {
        let mut text = HEADER.to_owned();
        for (reference, digest) in &self.images {
            let name = template::hcl_quoted(&reference.to_string());
            let digest = template::hcl_quoted(&digest.to_string());
            text += &format!("\nimage {name} {{\n  digest = {digest}\n}}\n");
        }
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
        for (name, installed) in &self.requirements {
            let quoted = [&name.kind, &name.file].map(|label| template::hcl_quoted(label));
            let digests = [name.list, installed.digest]
                .map(|digest| template::hcl_quoted(&digest.to_string()));
            let parts = installed.parts.iter().map(|it| template::hcl_quoted(it));
            let parts: String = parts.map(|it| format!("    {it},\n")).collect();
            let [kind, file] = quoted;
            let [list, digest] = digests;
            text += &format!(
                "\nrequirements {kind} {file} {{\n  list   = {list}\n  digest = {digest}\n  installed = [\n{parts}  ]\n}}\n"
            );
        }
        text
    }
}

/// As a merge of two branches can leave it.
fn report_second(block: &Arguments<'_>) {
    block.error(
        block.header(),
        "this is locked twice",
        &["keep one of the blocks, or remove both and run `hardtack init` again"],
    );
}

fn read_image(block: &Arguments<'_>) -> Option<(Reference, Digest)> {
    let text = block.label(0).unwrap_or_default();
    let reference = match text.parse::<Reference>() {
        Ok(reference) if reference.digest.is_none() => Some(reference),
        Ok(_) => {
            block.error(
                block.header(),
                "the reference of an `image` block has no digest",
                &[REMEDY],
            );
            None
        }
        Err(error) => {
            block.error(block.header(), error.to_string(), &[REMEDY]);
            None
        }
    };
    let digest = read_digest(block)?;
    Some((reference?, digest))
}

fn read_entry(block: &Arguments<'_>) -> Option<(BaseName, Digest)> {
    let (Some(kind), Some(place)) = (block.label(0), block.label(1)) else {
        block.error(block.header(), "a `base` block has two labels", &[REMEDY]);
        return None;
    };
    let name = BaseName {
        kind: kind.to_owned(),
        place: place.to_owned(),
        reference: block.optional("reference").unwrap_or_default(),
        platform: block.optional("platform").unwrap_or_default(),
    };
    Some((name, read_digest(block)?))
}

fn read_requirement(block: &Arguments<'_>) -> Option<(RequirementName, Installed)> {
    let parts: Vec<String> = block.optional("installed").unwrap_or_default();
    let (list, digest) = (read_named_digest(block, "list"), read_digest(block));
    let (Some(kind), Some(file)) = (block.label(0), block.label(1)) else {
        let text = "a `requirements` block has two labels";
        block.error(block.header(), text, &[REMEDY]);
        return None;
    };
    let name = RequirementName {
        kind: kind.to_owned(),
        file: file.to_owned(),
        list: list?,
    };
    let digest = digest?;
    Some((name, Installed { digest, parts }))
}

fn read_digest(block: &Arguments<'_>) -> Option<Digest> {
    read_named_digest(block, "digest")
}

fn read_named_digest(block: &Arguments<'_>, name: &str) -> Option<Digest> {
    let digest: String = block.required(name)?;
    match digest.parse() {
        Ok(digest) => Some(digest),
        Err(error) => {
            let error: crate::digest::ParseDigestError = error;
            block.error(block.span(name), error.to_string(), &[REMEDY]);
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
        Name::Base(BaseName {
            kind: kind.to_owned(),
            place: place.to_owned(),
            reference: reference.to_owned(),
            platform: platform.to_owned(),
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = Lock::default();
        lock.insert(name("rootfs", "a \"${b}\".tar", "", ""), Digest::of("r"));
        lock.insert(name("oci", "../base", "v1", "linux/amd64"), Digest::of("o"));
        lock.insert(Name::Image("debian:12".parse().unwrap()), Digest::of("i"));
        let name = RequirementName {
            kind: "galaxy".to_owned(),
            file: "requirements.yml".to_owned(),
            list: Digest::of("l"),
        };
        let installed = Installed {
            digest: Digest::of("d"),
            parts: vec!["a.b 1.0.0".to_owned(), "web 3".to_owned()],
        };
        lock.insert_requirement(name, installed);
        let text = lock.to_hcl();
        assert_eq!(
            text,
            format!(
                "{HEADER}
image \"docker.io/library/debian:12\" {{
  digest = \"{}\"
}}

base \"oci\" \"../base\" {{
  reference = \"v1\"
  platform  = \"linux/amd64\"
  digest    = \"{}\"
}}

base \"rootfs\" \"a \\\"$${{b}}\\\".tar\" {{
  digest = \"{}\"
}}

requirements \"galaxy\" \"requirements.yml\" {{
  list   = \"{}\"
  digest = \"{}\"
  installed = [
    \"a.b 1.0.0\",
    \"web 3\",
  ]
}}
",
                Digest::of("i"),
                Digest::of("o"),
                Digest::of("r"),
                Digest::of("l"),
                Digest::of("d")
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
            ("image \"x\" {\n}\n", "digest"),
            ("requirements \"galaxy\" \"x\" {\n}\n", "list"),
            ("bases \"x\" {\n}\n", "bases"),
            ("base {", "this brace is not closed"),
            (
                "base \"oci\" \"x\" {\n  digest = \"DIGEST\"\n}\nbase \"oci\" \"x\" {\n  digest = \"DIGEST\"\n}\n",
                "locked twice",
            ),
            (
                "image \"x\" {\n  digest = \"DIGEST\"\n}\nimage \"docker.io/library/x\" {\n  digest = \"DIGEST\"\n}\n",
                "locked twice",
            ),
        ] {
            let text = text.replace("DIGEST", &Digest::of("x").to_string());
            let error = parse(&text).unwrap_err();
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
