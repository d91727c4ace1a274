//! The `oci` source: an existing image, or nothing at all, as the base.

use super::{Base, BaseError, Context, Input, PrepareContext, ResolvedBase};
use crate::image::{self, Image, ImageSource, Layout, archive};
use crate::store::{Platform, Store, StoreError};
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
    /// An image in the local store.
    Stored { name: String },
    /// The result of another build of the template.
    Build { name: String },
}

/// An `oci` source.
#[derive(Clone, Debug)]
struct Oci {
    origin: Origin,
    platform: Platform,
}

/// Decodes the options of an `oci` source.
pub fn prepare(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Box<dyn Base>> {
    let layout: Option<String> = arguments.optional("layout");
    let archive: Option<String> = arguments.optional("archive");
    let scratch: bool = arguments.optional("scratch").unwrap_or(false);
    let image: Option<String> = arguments.optional("image");
    let from: Option<String> = arguments.optional("from");
    let reference: Option<String> = arguments.optional("reference");

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
            &["`layout` and `archive` name a path, `image` a name in the store, `from` another build of this template; `scratch = true` starts empty"],
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
        Origin::Stored { name }
    } else if let Some(name) = from {
        Origin::Build { name }
    } else {
        Origin::Scratch
    };
    valid.then(|| {
        Box::new(Oci {
            origin,
            platform: context.platform.clone(),
        }) as Box<dyn Base>
    })
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
            Origin::Stored { name } => format!("image {name}"),
            Origin::Build { name } => format!("build {name}"),
        }
    }

    fn depends_on(&self) -> Option<&str> {
        match &self.origin {
            Origin::Build { name } => Some(name),
            _ => None,
        }
    }

    fn input(&self, store: &Store) -> Result<Option<Input>, BaseError> {
        let (path, reference, source): (_, _, Box<dyn ImageSource>) = match &self.origin {
            Origin::Layout {
                path, reference, ..
            } => (path, reference, Box::new(Layout::open(path)?)),
            Origin::Archive {
                path, reference, ..
            } => (path, reference, archive::open(path, store)?),
            Origin::Scratch | Origin::Stored { .. } | Origin::Build { .. } => return Ok(None),
        };
        let image = image::resolve(source.as_ref(), store, reference.as_deref(), &self.platform)?;
        Ok(Some(Input {
            path: path.clone(),
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
        let image = match &self.origin {
            Origin::Scratch => {
                let epoch = context.source_date_epoch.unwrap_or(0);
                return Ok(ResolvedBase {
                    image: None,
                    layers: Vec::new(),
                    epoch,
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
            Origin::Stored { name } => {
                let descriptor = match context.store.resolve(name) {
                    Err(StoreError::UnknownReference { .. }) => {
                        return Err(BaseError::UnknownImage { name: name.clone() });
                    }
                    found => found?,
                };
                image::load(context.store, &descriptor, &self.platform)?
            }
            Origin::Build { name } => built
                .cloned()
                .ok_or_else(|| BaseError::Dependency { name: name.clone() })?,
        };
        let (found, wanted) = (
            &image.config.architecture,
            self.platform.architecture.to_string(),
        );
        if !found.is_empty() && *found != wanted {
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
        })
    }
}
