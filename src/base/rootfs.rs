//! The `rootfs` source: a tar, compressed or not, or a folder, as layer 0.

use super::{
    Base, BaseError, Context, Input, InputContext, Place, PrepareContext, ResolvedBase, folder,
    imported,
};
use crate::digest::{Digest, StepKey};
use crate::image::Image;
use crate::sandbox::{Task, TaskReport};
use crate::template::Arguments;
use serde_json::json;
use std::fs::File;
use std::path::PathBuf;

/// A `rootfs` source.
#[derive(Clone, Debug)]
struct Rootfs {
    path: PathBuf,
    shown: String,
}

/// Decodes the options of a `rootfs` source.
pub fn prepare(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Box<dyn Base>> {
    let shown: String = arguments.required("path")?;
    let path = context.working_folder.join(&shown);
    if !path.exists() {
        arguments.error(
            arguments.span("path"),
            format!("there is no file or folder {shown}"),
            &[&format!("paths are looked up from the working directory {}; use \"${{path.root}}/…\" for what lies beside the template", context.working_folder.display())],
        );
        return None;
    }
    Some(Box::new(Rootfs { path, shown }))
}

impl Rootfs {
    /// The digest of the folder's members or of the archive's bytes.
    fn content(&self) -> Result<Digest, BaseError> {
        if self.path.is_dir() {
            return folder::digest(&self.path);
        }
        let file = File::open(&self.path).map_err(BaseError::read(&self.path))?;
        let (digest, _) = Digest::of_reader(file).map_err(BaseError::read(&self.path))?;
        Ok(digest)
    }
}

impl Base for Rootfs {
    fn kind(&self) -> &'static str {
        "rootfs"
    }

    fn description(&self) -> String {
        self.shown.clone()
    }

    fn input(&self, _context: &InputContext<'_>) -> Result<Option<Input>, BaseError> {
        Ok(Some(Input {
            place: Place::Path(self.path.clone()),
            reference: None,
            platform: None,
            digest: self.content()?,
        }))
    }

    fn resolve(
        &self,
        context: &Context<'_>,
        _built: Option<&Image>,
    ) -> Result<ResolvedBase, BaseError> {
        let is_folder = self.path.is_dir();
        let content = self.content()?;
        let key = json!({
            "format": 1,
            "source": "rootfs",
            "content": content,
            "folder": is_folder,
            "epoch": context.source_date_epoch,
        });
        let key = StepKey(Digest::of(key.to_string()));
        imported::layer(context, key, "rootfs", |root| {
            let sandbox = context.sandbox.get()?;
            if is_folder {
                // A folder has no time of its own that a copy of it would keep.
                let epoch = context.source_date_epoch.unwrap_or(0);
                let task = Task::ImportFolder {
                    source: self.path.clone(),
                    into: root.to_owned(),
                    epoch,
                };
                sandbox.task(&task, context.cancel)?;
                return Ok(epoch);
            }
            let task = Task::Extract {
                archive: self.path.clone(),
                expected: None,
                into: root.to_owned(),
                lowers: Vec::new(),
                whiteouts: false,
                epoch: context.source_date_epoch.unwrap_or(0),
            };
            match sandbox.task(&task, context.cancel)? {
                TaskReport::Extracted(extracted) => {
                    Ok(context.source_date_epoch.unwrap_or(extracted.newest_mtime))
                }
                other => Err(other.unexpected("extract").into()),
            }
        })
    }
}
