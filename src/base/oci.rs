//! The `oci` source: an existing image, or nothing at all, as the base.

use super::{
    Base, BaseError, Context, Input, InputContext, Pins, Place, PrepareContext, ResolvedBase,
    remote,
};
use crate::image::{self, Image, ImageSource, Layout, archive};
use crate::registry::{Client, Reference};
use crate::store::descriptor::ParsePlatformError;
use crate::store::{Descriptor, Platform, Store, StoreError};
use crate::template::Arguments;
use std::path::PathBuf;

/// Which image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// A folder in the OCI image layout.
    Layout {
        path: PathBuf,
        shown: String,
        reference: Option<String>,
    },
    /// An archive of an OCI image layout, or one for `docker load`.
    Archive {
        path: PathBuf,
        shown: String,
        reference: Option<String>,
    },
    /// No layers at all.
    Scratch,
    /// An image in the local store, or else of a registry.
    Named {
        name: String,
        /// Whether the store is asked first even for a name that has a registry's host.
        stored_first: bool,
    },
    /// The result of another build of the template.
    Build { name: String },
}

/// An `oci` source.
#[derive(Clone, Debug)]
struct Oci {
    origin: Origin,
    /// What the template asks for, or what is built for without it.
    platform: Platform,
    /// Whether the template asks for it.
    has_platform: bool,
}

/// Decodes the options of an `oci` source.
pub fn prepare(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Box<dyn Base>> {
    let layout: Option<String> = arguments.optional("layout");
    let archive: Option<String> = arguments.optional("archive");
    let scratch: bool = arguments.optional("scratch").unwrap_or(false);
    let image: Option<String> = arguments.optional("image");
    let from: Option<String> = arguments.optional("from");
    let reference: Option<String> = arguments.optional("reference");
    let platform: Option<String> = arguments.optional("platform");

    let mut valid = true;
    let given = [
        layout.is_some(),
        archive.is_some(),
        scratch,
        image.is_some(),
        from.is_some(),
    ];
    let is_one = given.iter().filter(|given| **given).count() == 1;
    if !is_one && !arguments.any_failed(&["layout", "archive", "scratch", "image", "from"]) {
        let problem = if given.contains(&true) {
            "only one of layout, archive, scratch, image and from can be given"
        } else {
            "one of layout, archive, scratch, image and from must be given"
        };
        arguments.error(
            arguments.header(),
            problem,
            &["`layout` and `archive` name a path, `image` an image of the store or of a registry, `from` another build of this template; `scratch = true` starts empty"],
        );
        valid = false;
    }
    if reference.is_some() && layout.is_none() && archive.is_none() {
        arguments.error(
            arguments.span("reference"),
            "reference goes with layout or archive",
            &["it names one of several images in a layout"],
        );
        valid = false;
    }
    let wanted = self::platform(arguments, "platform", platform.as_deref());
    valid &= wanted.is_some();
    let wanted = wanted.flatten();
    let has_platform = wanted.is_some();
    let platform = wanted.unwrap_or_else(|| context.platform.clone());
    let mut existing = |option: &str, shown: String, folder: bool| {
        let path = context.working_folder.join(&shown);
        let fits = if folder {
            path.is_dir()
        } else {
            path.is_file()
        };
        if !fits {
            let what = if folder { "folder" } else { "file" };
            arguments.error(
                arguments.span(option),
                format!("there is no {what} {shown}"),
                &[&format!("paths are looked up from the working directory {}; use \"${{path.root}}/…\" for what lies beside the template", context.working_folder.display())],
            );
            valid = false;
        }
        (path, shown)
    };
    let origin = if let Some(shown) = layout {
        let (path, shown) = existing("layout", shown, true);
        Origin::Layout {
            path,
            shown,
            reference,
        }
    } else if let Some(shown) = archive {
        let (path, shown) = existing("archive", shown, false);
        Origin::Archive {
            path,
            shown,
            reference,
        }
    } else if let Some(name) = image {
        valid &= check_name(arguments, &name);
        Origin::Named {
            name,
            stored_first: false,
        }
    } else if let Some(name) = from {
        Origin::Build { name }
    } else {
        Origin::Scratch
    };
    valid.then(|| {
        Box::new(Oci {
            origin,
            platform,
            has_platform,
        }) as Box<dyn Base>
    })
}

/// Reads what an option says to build for: nothing, if it is not given; none after an error.
pub fn platform(
    arguments: &Arguments<'_>,
    option: &str,
    text: Option<&str>,
) -> Option<Option<Platform>> {
    let parsed: Result<Option<Platform>, ParsePlatformError> = text.map(str::parse).transpose();
    if let Err(error) = &parsed {
        arguments.error(
            arguments.span(option),
            error.to_string(),
            &["write it like \"linux/arm64\" or \"linux/arm/v7\""],
        );
    }
    parsed.ok()
}

/// An image by its name alone; none after an error. With `stored_first`, the store may have it under
/// any name.
pub fn named_image(
    arguments: &Arguments<'_>,
    context: &PrepareContext,
    name: &str,
    platform: Option<Platform>,
    stored_first: bool,
) -> Option<Box<dyn Base>> {
    check_name(arguments, name).then(|| {
        Box::new(Oci {
            origin: Origin::Named {
                name: name.to_owned(),
                stored_first,
            },
            has_platform: platform.is_some(),
            platform: platform.unwrap_or_else(|| context.platform.clone()),
        }) as Box<dyn Base>
    })
}

/// Reports an `image` that can be none; says whether it is right.
fn check_name(arguments: &Arguments<'_>, name: &str) -> bool {
    if Reference::names_registry(name)
        && let Err(error) = name.parse::<Reference>()
    {
        arguments.error(arguments.span("image"), error.to_string(), &[]);
        return false;
    }
    true
}

impl Oci {
    /// Brings an image into the store; layers that are there are not read again.
    fn import(
        &self,
        context: &Context<'_>,
        source: &dyn ImageSource,
        reference: Option<&str>,
    ) -> Result<Image, BaseError> {
        let image = image::resolve(source, context.store, reference, &self.platform)?;
        image::import_layers(source, context.store, &image.layers)?;
        Ok(image)
    }

    /// Finds an image of a registry; its layers stay there.
    fn remote(
        &self,
        store: &Store,
        client: &Client,
        pins: &Pins,
        reference: &Reference,
    ) -> Result<Image, BaseError> {
        let digest = pins.digest(reference, client)?;
        let image = remote::find(client, store, &reference.repository, digest, &self.platform)?;
        pins.confirm(reference);
        Ok(image)
    }
}

/// What a name stands for.
enum Named {
    Stored(Descriptor),
    Remote(Reference),
}

/// A name that has a registry's host, or is pinned, is that registry's; any other is looked up in
/// the store first.
fn named(store: &Store, name: &str, stored_first: bool, pins: &Pins) -> Result<Named, BaseError> {
    let reference = name.parse::<Reference>();
    let is_pinned = reference.as_ref().is_ok_and(|it| pins.has(it));
    if stored_first || (!Reference::names_registry(name) && !is_pinned) {
        // Docker's names without a tag mean the latest.
        let latest = format!("{name}:latest");
        let names = [name, &latest];
        for name in names.into_iter().take(if stored_first { 2 } else { 1 }) {
            match store.resolve(name) {
                Ok(descriptor) => return Ok(Named::Stored(descriptor)),
                Err(StoreError::UnknownReference { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let reference = reference.map_err(|error| BaseError::Name {
        name: name.to_owned(),
        error,
    })?;
    Ok(Named::Remote(reference))
}

impl Base for Oci {
    fn kind(&self) -> &'static str {
        "oci"
    }

    fn description(&self) -> String {
        match &self.origin {
            Origin::Layout { shown, .. } => format!("layout {shown}"),
            Origin::Archive { shown, .. } => format!("archive {shown}"),
            Origin::Scratch => "scratch".to_owned(),
            Origin::Named { name, .. } => format!("image {name}"),
            Origin::Build { name } => format!("build {name}"),
        }
    }

    fn depends_on(&self) -> Option<&str> {
        match &self.origin {
            Origin::Build { name } => Some(name),
            _ => None,
        }
    }

    fn platform(&self) -> Option<&Platform> {
        self.has_platform.then_some(&self.platform)
    }

    fn input(&self, context: &InputContext<'_>) -> Result<Option<Input>, BaseError> {
        let store = context.store;
        if let Origin::Named { name, stored_first } = &self.origin {
            let reference = match named(store, name, *stored_first, context.pins)? {
                Named::Remote(reference) => reference,
                Named::Stored(descriptor) => {
                    return Ok(Some(Input {
                        place: Place::Store(name.clone()),
                        reference: None,
                        platform: None,
                        digest: descriptor.digest,
                    }));
                }
            };
            // A lock file names nothing that cannot be built on.
            self.remote(store, context.registries, context.pins, &reference)?;
            let digest = context.pins.digest(&reference, context.registries)?;
            return Ok(Some(Input {
                place: Place::Registry(reference.without_digest()),
                reference: None,
                platform: None,
                digest,
            }));
        }
        let (path, reference, source): (_, _, Box<dyn ImageSource>) = match &self.origin {
            Origin::Layout {
                path, reference, ..
            } => (path, reference, Box::new(Layout::open(path)?)),
            Origin::Archive {
                path, reference, ..
            } => (path, reference, archive::open(path, store)?),
            Origin::Scratch | Origin::Named { .. } | Origin::Build { .. } => return Ok(None),
        };
        let image = image::resolve(source.as_ref(), store, reference.as_deref(), &self.platform)?;
        Ok(Some(Input {
            place: Place::Path(path.clone()),
            reference: reference.clone(),
            platform: Some(self.platform.clone()),
            digest: image.manifest.digest,
        }))
    }

    fn resolve(
        &self,
        context: &Context<'_>,
        built: Option<&Image>,
    ) -> Result<ResolvedBase, BaseError> {
        let mut repository_digest = None;
        let image = match &self.origin {
            Origin::Scratch => {
                let epoch = context.source_date_epoch.unwrap_or(0);
                return Ok(ResolvedBase {
                    image: None,
                    layers: Vec::new(),
                    epoch,
                    repository_digest: None,
                });
            }
            Origin::Layout {
                path, reference, ..
            } => self.import(context, &Layout::open(path)?, reference.as_deref())?,
            Origin::Archive {
                path, reference, ..
            } => {
                let archive = archive::open(path, context.store)?;
                self.import(context, archive.as_ref(), reference.as_deref())?
            }
            Origin::Named { name, stored_first } => {
                match named(context.store, name, *stored_first, context.pins)? {
                    Named::Stored(descriptor) => {
                        image::load(context.store, &descriptor, &self.platform)?
                    }
                    Named::Remote(reference) => {
                        let pins = context.pins;
                        let image =
                            self.remote(context.store, context.registries, pins, &reference)?;
                        let digest = pins.digest(&reference, context.registries)?;
                        let repository = reference.repository.familiar();
                        repository_digest = Some(format!("{repository}@{digest}"));
                        image
                    }
                }
            }
            Origin::Build { name } => built
                .cloned()
                .ok_or_else(|| BaseError::Dependency { name: name.clone() })?,
        };
        let (found, wanted) = (
            &image.config.architecture,
            self.platform.architecture.to_string(),
        );
        // A build that starts from another is for whatever that one is for.
        let is_free = matches!(self.origin, Origin::Build { .. }) && !self.has_platform;
        if !is_free && !found.is_empty() && *found != wanted {
            return Err(BaseError::Architecture {
                found: found.clone(),
                wanted,
            });
        }
        let created = image.config.created.as_deref();
        let created = created.and_then(|created| created.parse::<jiff::Timestamp>().ok());
        let epoch = context
            .source_date_epoch
            .or(created.map(|created| created.as_second()))
            .unwrap_or(0);
        Ok(ResolvedBase {
            image: Some(image),
            layers: Vec::new(),
            epoch,
            repository_digest,
        })
    }
}
