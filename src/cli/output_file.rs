//! Files that a command reports to: made sure of before it begins, and replaced in one piece.

use super::error::CommandError;
use anyhow::{Context as _, anyhow};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A place that a report can be written to.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    /// A pipe or a device is written to, anything else is replaced in one piece.
    is_special: bool,
}

impl OutputFile {
    /// Makes sure, before anything is done, that `path` can be written. `option` named it.
    pub fn prepare(path: &Path, option: &str) -> Result<Self, CommandError> {
        let unusable = |problem: anyhow::Error| {
            CommandError::user(problem.context(format!("cannot write {}", path.display()))).hint(
                format!("{option} names a file in a folder that exists and can be written"),
            )
        };
        // What a link points at is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let kind = fs::metadata(&target).ok().map(|found| found.file_type());
        if kind.is_some_and(|kind| kind.is_dir()) || path.as_os_str().is_empty() {
            return Err(unusable(anyhow!("it is a folder")));
        }
        let file = Self {
            is_special: kind.is_some_and(|kind| !kind.is_file()),
            path: target,
        };
        let probe = if file.is_special {
            rustix::fs::access(&file.path, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
        } else {
            tempfile::NamedTempFile::new_in(file.folder()).map(drop)
        };
        match probe {
            Ok(()) => Ok(file),
            // Without the name of the file that was tried.
            Err(error) => Err(unusable(match error.get_ref().and_then(|it| it.source()) {
                Some(cause) => anyhow!(cause.to_string()),
                None => error.into(),
            })),
        }
    }

    /// Replaces the file by one with these bytes.
    pub fn replace(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let written = self.try_to_replace(bytes);
        Ok(written.with_context(|| format!("cannot write {}", self.path.display()))?)
    }

    fn try_to_replace(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_special {
            return fs::File::options()
                .write(true)
                .open(&self.path)?
                .write_all(bytes);
        }
        let mut file = tempfile::NamedTempFile::new_in(self.folder())?;
        file.write_all(bytes)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(&self.path)?;
        Ok(())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", ".", "missing/file", "file/below"] {
            fs::write(folder.path().join("file"), "").unwrap();
            let path = match path {
                "" => PathBuf::new(),
                path => folder.path().join(path),
            };
            assert!(
                OutputFile::prepare(&path, "--x").is_err(),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn links_and_devices_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let place = OutputFile::prepare(&link, "--x").unwrap();
        place.replace(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");

        let device = OutputFile::prepare(Path::new("/dev/null"), "--x").unwrap();
        device.replace(b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
