//! Post-processors: what becomes of a built artifact.
//!
//! An *artifact* is an image in the store, or files that a post-processor made of one. A
//! post-processor takes an artifact and gives one; in a chain each gets the previous one's.

mod archives;
mod artifice;
mod checksum;
mod compress;
mod docker_import;
mod docker_push;
mod docker_tag;
mod error;
mod joint;
mod manifest;
mod oci_push;
mod progress;
mod shell_local;

pub use error::PostProcessError;
pub use joint::JointIndexes;
pub use progress::Meter;

use crate::digest::Digest;
use crate::image::{self, Image};
use crate::mask::Masker;
use crate::provision::Said;
use crate::sandbox::Cancel;
use crate::store::{Platform, Store};
use crate::template::Arguments;
use crate::template::gotemplate::GoTemplateData;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that a build or a post-processor made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// `image`, `oci-layout`, `oci-archive`, …
    pub kind: &'static str,
    /// The image that it is, or was made of; none for what no image belongs to.
    pub digest: Option<Digest>,
    /// What is printed for it: the image's digest, or a path.
    pub value: String,
    /// Its files on the host; none for an image in the store.
    pub files: Vec<PathBuf>,
    /// Names that it has in the store, for an image.
    pub names: Vec<String>,
    /// What Packer's docker plugin calls such an artifact; none for what Packer does not know.
    pub packer: Option<PackerName>,
}

/// What scripts around Packer know an artifact by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackerName {
    /// What made it.
    pub builder: &'static str,
    /// Which one it is.
    pub id: String,
    /// What it is, in words.
    pub description: String,
}

impl PackerName {
    /// An image, by its id or by one of its tags.
    pub fn image(builder: &'static str, id: &str, tags: &[String]) -> Option<Self> {
        let mut description = format!("Imported Docker image: {id}");
        if !tags.is_empty() {
            description.push_str(&format!(" with tags {}", tags.join(" ")));
        }
        Some(Self {
            builder,
            id: id.to_owned(),
            description,
        })
    }
}

/// What Packer says made an image that Docker has.
pub const DOCKER_IMPORT: &str = "packer.post-processor.docker-import";

impl Artifact {
    /// The artifact that a build itself makes.
    pub fn image(digest: Digest, name: &str) -> Self {
        Self {
            kind: "image",
            digest: Some(digest),
            value: digest.to_string(),
            files: Vec::new(),
            names: vec![name.to_owned()],
            packer: None,
        }
    }

    /// The artifact of a build that Packer knows as an image of Docker, with the digest of its
    /// configuration.
    pub fn committed(digest: Digest, config: Digest, name: &str) -> Self {
        Self {
            packer: PackerName::image(DOCKER_IMPORT, &config.to_string(), &[]),
            ..Self::image(digest, name)
        }
    }

    /// The artifact of a build that Packer knows as a container: a tar of its files, or nothing.
    /// `name` is the path as the template has it.
    pub fn container(file: Option<(&str, PathBuf)>) -> Self {
        let (name, files) = match file {
            Some((name, path)) => (name, vec![path]),
            None => ("", Vec::new()),
        };
        Self {
            kind: "docker-export",
            digest: None,
            value: name.to_owned(),
            files,
            names: Vec::new(),
            packer: Some(PackerName {
                builder: "packer.docker",
                id: "Container".to_owned(),
                description: format!("Exported Docker file: {name}"),
            }),
        }
    }

    /// The artifact of a build that leaves nothing.
    pub fn nothing() -> Self {
        Self {
            kind: "null",
            digest: None,
            value: String::new(),
            files: Vec::new(),
            names: Vec::new(),
            packer: None,
        }
    }

    /// The artifact of a build that is one file; `name` is its path as the template has it.
    pub fn file(name: &str, path: PathBuf) -> Self {
        Self {
            kind: "file",
            digest: None,
            value: name.to_owned(),
            files: vec![path],
            names: Vec::new(),
            packer: None,
        }
    }

    /// What made it, as scripts around Packer know it.
    pub fn builder_id(&self) -> String {
        if let Some(name) = &self.packer {
            return name.builder.to_owned();
        }
        match self.kind {
            "null" => "fnoeding.null".to_owned(),
            "file" => "packer.file".to_owned(),
            kind @ ("artifice" | "checksum" | "compress") => {
                format!("packer.post-processor.{kind}")
            }
            kind => format!("hardtack.{kind}"),
        }
    }

    /// What scripts call it: the digest of its image, or what Packer calls such an artifact.
    pub fn id(&self) -> String {
        if let Some(name) = &self.packer {
            return name.id.clone();
        }
        match (self.digest, self.kind) {
            (Some(digest), _) => digest.to_string(),
            (None, "null") => "Null".to_owned(),
            (None, "file") => "File".to_owned(),
            // Packer has no id for these.
            (None, "artifice" | "checksum" | "compress") => String::new(),
            (None, _) => self.value.clone(),
        }
    }

    /// What it is, in words: Packer's where Packer has it.
    pub fn description(&self) -> String {
        if let Some(name) = &self.packer {
            return name.description.clone();
        }
        match self.kind {
            "null" => "Did not export anything. This is the null builder".to_owned(),
            "file" => format!("Stored file: {}", self.value),
            "artifice" | "checksum" => {
                let names = self.files.iter().map(|file| file.display().to_string());
                let names = names.collect::<Vec<_>>().join(", ");
                format!("Created artifact from files: {names}")
            }
            "compress" => format!("compressed artifacts in: {}", self.value),
            kind => format!("{kind} {}", self.value),
        }
    }

    /// An artifact at `path`, which is a file or a folder.
    fn at(kind: &'static str, path: &Path, files: Vec<PathBuf>, input: &Self) -> Self {
        Self {
            kind,
            digest: input.digest,
            value: path.display().to_string(),
            files,
            names: Vec::new(),
            packer: None,
        }
    }
}

/// What every post-processor may need to know about the build and the run.
pub struct Context<'a> {
    /// The store that holds the image; its layers may still be where they can be fetched from.
    pub store: &'a Store,
    /// Speaks to registries.
    pub registries: &'a crate::registry::Client,
    /// The image that the build made; none for a source that makes none.
    pub image: Option<&'a Image>,
    /// The build's full name.
    pub build_name: &'a str,
    /// The source's name, which Packer calls the build's name.
    pub source_name: &'a str,
    /// The source's type.
    pub source_type: &'a str,
    /// Relative host paths start here.
    pub working_folder: &'a Path,
    /// Names this run; the same for all builds of it.
    pub run_id: &'a str,
    /// When the run began.
    pub now: jiff::Timestamp,
    /// Whether what another run left is replaced where it would otherwise be extended.
    pub force: bool,
    /// Hides what must not lie in a file.
    pub masker: &'a Masker,
    /// Stops what runs.
    pub cancel: &'a Cancel,
    /// The indexes that several builds of the run push together.
    pub joint: &'a JointIndexes,
    /// The builds of the run whose images belong to an index, by its name.
    pub partners: &'a dyn Fn(&str) -> BTreeSet<String>,
    /// Takes what is said, as it comes.
    pub say: &'a (dyn Fn(Said<'_>) + Sync),
}

impl<'a> Context<'a> {
    /// The image of an artifact: the build's own, unless a post-processor before made another one.
    fn image_of(&self, artifact: &Artifact) -> Result<Cow<'a, Image>, PostProcessError> {
        match (artifact.digest, self.image) {
            (Some(digest), Some(own)) if digest == own.manifest.digest => Ok(Cow::Borrowed(own)),
            (Some(digest), _) => {
                let descriptor = self.store.describe_manifest(&digest)?;
                let descriptor = descriptor.ok_or(PostProcessError::NoImage)?;
                // A manifest is for whatever it is for, and none of these is an index.
                let image = image::load(self.store, &descriptor, &Platform::host())?;
                Ok(Cow::Owned(image))
            }
            (None, own) => own.map(Cow::Borrowed).ok_or(PostProcessError::NoImage),
        }
    }
}

/// One post-processor with its options, ready to run.
pub trait PostProcessor: fmt::Debug + Send + Sync {
    /// The block's type.
    fn kind(&self) -> &'static str;

    /// Whether it works on images alone, so that it has no place behind a source that makes none.
    fn needs_image(&self) -> bool {
        false
    }

    /// Whether the input artifact stays whatever the template says, since the output is of no use
    /// without it. Where this is false it stays too unless the template says otherwise.
    fn needs_input(&self) -> bool {
        false
    }

    /// Whether it reads the image's layers, so that those are fetched first which are not in the
    /// store yet.
    fn needs_layers(&self) -> bool {
        false
    }

    /// Whether it makes an image for those that come behind it, even of a build that makes none.
    fn gives_image(&self) -> bool {
        false
    }

    /// Whether it names its artifact for those that come behind it.
    fn gives_names(&self) -> bool {
        false
    }

    /// Whether it works on the names of its input, so that one that gives some must come before it.
    fn needs_names(&self) -> bool {
        false
    }

    /// The names in registries that it gives, as far as its options tell.
    fn pushes(&self) -> Vec<PushedName> {
        Vec::new()
    }

    /// Does the work.
    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError>;
}

/// A name in a registry that a post-processor gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedName {
    /// The reference, `registry/path:tag`.
    pub name: String,
    /// Whether it is an index that the build's image becomes part of, together with those of other
    /// builds.
    pub is_joint: bool,
}

/// What decoding needs to know about the build.
#[derive(Clone, Debug)]
pub struct PrepareContext {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// What a Go template inside a string may refer to.
    pub go_template: GoTemplateData,
}

/// Decodes and checks the options of one post-processor.
type Prepare = fn(&Arguments<'_>, &PrepareContext) -> Option<Box<dyn PostProcessor>>;

/// The post-processors that exist, by their type.
fn registry() -> BTreeMap<&'static str, Prepare> {
    BTreeMap::from([
        ("artifice", artifice::prepare as Prepare),
        ("checksum", checksum::prepare as Prepare),
        ("compress", compress::prepare as Prepare),
        (
            "docker-archive",
            archives::prepare_docker_archive as Prepare,
        ),
        ("docker-import", docker_import::prepare as Prepare),
        ("docker-push", docker_push::prepare as Prepare),
        ("docker-save", archives::prepare_docker_save as Prepare),
        ("docker-tag", docker_tag::prepare as Prepare),
        ("manifest", manifest::prepare as Prepare),
        ("oci-archive", archives::prepare_oci_archive as Prepare),
        ("oci-layout", archives::prepare_oci_layout as Prepare),
        ("oci-push", oci_push::prepare as Prepare),
        ("shell-local", shell_local::prepare as Prepare),
    ])
}

/// The types of all post-processors, sorted.
pub fn kinds() -> Vec<&'static str> {
    registry().into_keys().collect()
}

/// Decodes and checks the options of a post-processor of type `kind`; none for an unknown type or
/// options that are wrong, which `arguments` then holds diagnostics for.
pub fn prepare(
    kind: &str,
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    registry()
        .get(kind)
        .and_then(|prepare| prepare(arguments, context))
}
