//! The lock file beside a template: read before a build, written when something was pinned.

use super::error::CommandError;
use super::surroundings::Surroundings;
use super::template;
use crate::mask::Masker;
use crate::plan::lock::{self, Lock};
use crate::template::NamedText;
use anyhow::Context as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The lock file of a template.
#[derive(Clone, Debug)]
pub struct LockFile {
    /// Its path as the user would write it.
    shown: PathBuf,
    path: PathBuf,
}

impl LockFile {
    /// The one of the template at `template`, whether it exists or not.
    pub fn of(template: &Path, surroundings: &Surroundings) -> Self {
        let shown = if surroundings.working_folder.join(template).is_dir() {
            template.join(lock::FILE_NAME)
        } else {
            template.with_file_name(lock::FILE_NAME)
        };
        Self {
            path: surroundings.working_folder.join(&shown),
            shown,
        }
    }

    /// The path as the user would write it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The folder that it is in, an absolute path.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Reads it; none if there is none yet.
    pub fn read(
        &self,
        surroundings: &Surroundings,
        masker: &Masker,
    ) -> Result<Option<Lock>, CommandError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(anyhow::Error::new(error)
                    .context(format!("cannot read {}", self.shown.display()))
                    .into());
            }
        };
        let text = NamedText {
            name: self.shown.display().to_string(),
            text,
        };
        match Lock::parse(text, template::world(surroundings)) {
            Ok(lock) => Ok(Some(lock)),
            Err((sources, diagnostics)) => {
                template::print_diagnostics(diagnostics, &sources, surroundings.color, masker);
                Err(CommandError::reported())
            }
        }
    }

    /// Held while it is read, changed and written.
    pub fn hold(&self) -> Result<File, CommandError> {
        let hold = || -> io::Result<File> {
            let folder = File::open(self.folder())?;
            folder.lock()?;
            Ok(folder)
        };
        Ok(hold().with_context(|| format!("cannot lock {}", self.shown.display()))?)
    }

    /// Writes it; a reader sees the old text or the new one.
    pub fn write(&self, lock: &Lock) -> Result<(), CommandError> {
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .prefix(".hardtack.lock-")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(self.folder())?;
            file.write_all(lock.to_hcl().as_bytes())?;
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", self.shown.display()))?;
        Ok(())
    }
}
