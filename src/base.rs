//! Bases: where the first layers of a build come from.
//!
//! A *base* is what a template's `source` block resolves to: an image whose layers are taken as
//! they are (`oci`, `docker`), or a root file system that becomes layer 0 (`rootfs`, `debootstrap`).
//! Resolving a base that has been resolved before reads a few small files; nothing is unpacked
//! until a step must really run on it.

pub mod debootstrap;
pub mod docker;
mod error;
mod folder;
mod imported;
pub mod oci;
mod pins;
mod remote;
pub mod rootfs;

pub use error::BaseError;
pub use pins::Pins;
pub use remote::find as find_remote;

use crate::cache::Cache;
use crate::digest::{DiffId, Digest, StepKey};
use crate::image::{ConfigChanges, Image};
use crate::registry::{Client, Reference};
use crate::sandbox::{Cancel, LazySandbox, Network};
use crate::store::{LayerDescriptor, Platform, Store};
use crate::template::Arguments;
use crate::template::gotemplate::GoTemplateData;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What resolving a base may use.
pub struct Context<'a> {
    /// The store that takes the layers.
    pub store: &'a Store,
    /// What was made before, here and elsewhere.
    pub cache: &'a Cache,
    /// Speaks to registries.
    pub registries: &'a Client,
    /// What references of registries stand for.
    pub pins: &'a Pins,
    /// Unpacks and imports; only probed when needed.
    pub sandbox: &'a LazySandbox,
    /// Stops what runs.
    pub cancel: &'a Cancel,
    /// Threads for compression.
    pub threads: usize,
    /// When the run began.
    pub now: jiff::Timestamp,
    /// `SOURCE_DATE_EPOCH`, which beats what the base says.
    pub source_date_epoch: Option<i64>,
    /// Ask again for what could have changed, instead of taking the store's word.
    pub no_cache: bool,
    /// Takes lines of output of programs that make the base.
    pub output: &'a (dyn Fn(&str) + Sync),
}

/// What looking at a base from outside may use.
pub struct InputContext<'a> {
    /// Takes manifests.
    pub store: &'a Store,
    /// Speaks to registries.
    pub registries: &'a Client,
    /// What references of registries stand for.
    pub pins: &'a Pins,
}

/// One layer of a base and what the history says about it, where the base has no history of its own.
#[derive(Clone, Debug)]
pub struct BaseLayer {
    /// The layer.
    pub layer: LayerDescriptor,
    /// The history's `created_by`.
    pub created_by: String,
    /// The key under which it is found again.
    pub key: StepKey,
}

/// A base whose content is known.
#[derive(Clone, Debug)]
pub struct ResolvedBase {
    /// The image that is extended; none for a base made of a root file system, or for scratch.
    pub image: Option<Image>,
    /// Layers that are not part of `image`.
    pub layers: Vec<BaseLayer>,
    /// The source date epoch that follows from the base, in seconds since 1970.
    pub epoch: i64,
    /// The repository and digest under which a registry has the image, as `busybox@sha256:…`.
    pub repository_digest: Option<String>,
}

impl ResolvedBase {
    /// The diffIDs of all layers, lowest first.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        let image = self.image.iter().flat_map(|image| image.layers.iter());
        image
            .chain(self.layers.iter().map(|base| &base.layer))
            .map(|layer| layer.diff_id)
            .collect()
    }
}

/// How steps start, beyond what the base's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartChanges {
    /// Variables, which replace those of the base.
    pub env: Vec<(String, String)>,
    /// The user in place of the base's.
    pub user: Option<String>,
    /// The folder in place of the base's.
    pub workdir: Option<String>,
    /// What steps can reach that do not say so themselves.
    pub network: Option<Network>,
    /// To whom uploaded files belong.
    pub upload_owner: UploadOwner,
    /// What is mounted while any step runs.
    pub mounts: Vec<SharedMount>,
}

/// Something that is mounted while any step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMount {
    /// Absolute, in the root.
    pub target: String,
    /// What it is.
    pub kind: SharedMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedMountKind {
    /// A file or folder of this host.
    Host {
        /// Where it is.
        source: PathBuf,
        /// Whether steps can change it.
        writable: bool,
    },
    /// Memory that is thrown away after each step.
    Memory {
        /// In bytes.
        size: Option<u64>,
        /// Permission bits of its root folder.
        mode: u32,
    },
}

/// To whom uploaded files belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UploadOwner {
    /// To root.
    #[default]
    Root,
    /// To the user of the base's configuration.
    ImageUser,
    /// To this one, as `USER[:GROUP]`.
    Named(String),
}

/// What is left of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An image, which is known by the digest of its manifest.
    Image,
    /// An image that scripts know as Packer's: by the digest of its configuration.
    Committed,
    /// A tar of its files.
    RootArchive {
        /// Where it is written, as the template has it.
        path: String,
    },
    /// Nothing.
    Nothing,
}

impl Outcome {
    /// Whether there is an image to be named, pushed or saved.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Image | Self::Committed)
    }
}

/// Where a base comes from, and what is there at this moment: what a lock file remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub place: Place,
    /// Which of several images.
    pub reference: Option<String>,
    /// What it is for; none for a root file system, which does not say.
    pub platform: Option<Platform>,
    /// The digest of the image's manifest, or of the content of a root file system.
    pub digest: Digest,
}

/// Where a base is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file or folder, by its absolute path.
    Path(PathBuf),
    /// An image of a registry, by tag.
    Registry(Reference),
    /// An image of the store, by name.
    Store(String),
}

/// One source with its options, ready to be resolved.
pub trait Base: fmt::Debug + Send + Sync {
    /// The source's type.
    fn kind(&self) -> &'static str;

    /// What it is, in a few words: `layout fixtures/busybox`.
    fn description(&self) -> String;

    /// The build of the same template that this base is the result of.
    fn depends_on(&self) -> Option<&str> {
        None
    }

    /// What it is for, where the template says so.
    fn platform(&self) -> Option<&Platform> {
        None
    }

    /// How its steps start, where that is not up to the image alone.
    fn start(&self) -> Option<&StartChanges> {
        None
    }

    /// What it changes in the image's configuration.
    fn changes(&self) -> ConfigChanges {
        ConfigChanges::default()
    }

    /// A remark for the image's history.
    fn message(&self) -> Option<&str> {
        None
    }

    /// What its builds leave.
    fn outcome(&self) -> Outcome {
        Outcome::Image
    }

    /// What lies outside the store and the template and makes up the base, as far as it can be
    /// found out without unpacking anything. Of an image, the manifest comes into the store.
    fn input(&self, _context: &InputContext<'_>) -> Result<Option<Input>, BaseError> {
        Ok(None)
    }

    /// Finds out the content.
    ///
    /// For a base that depends on another build, `built` is that build's image.
    fn resolve(
        &self,
        context: &Context<'_>,
        built: Option<&Image>,
    ) -> Result<ResolvedBase, BaseError>;
}

/// What decoding needs to know about the run.
#[derive(Clone, Debug)]
pub struct PrepareContext {
    /// Relative host paths start here.
    pub working_folder: PathBuf,
    /// What to build for.
    pub platform: Platform,
    /// What a Go template inside a string may refer to.
    pub go_template: GoTemplateData,
}

/// Decodes and checks the options of one source.
type Prepare = fn(&Arguments<'_>, &PrepareContext) -> Option<Box<dyn Base>>;

/// The sources that exist, by their type.
fn registry() -> BTreeMap<&'static str, Prepare> {
    BTreeMap::from([
        ("debootstrap", debootstrap::prepare as Prepare),
        ("docker", docker::prepare as Prepare),
        ("oci", oci::prepare as Prepare),
        ("rootfs", rootfs::prepare as Prepare),
    ])
}

/// The types of all sources, sorted.
pub fn kinds() -> Vec<&'static str> {
    registry().into_keys().collect()
}

/// Decodes and checks the options of a source of type `kind`; none for an unknown type or options
/// that are wrong, which `arguments` then holds diagnostics for.
pub fn prepare(
    kind: &str,
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn Base>> {
    registry()
        .get(kind)
        .and_then(|prepare| prepare(arguments, context))
}
