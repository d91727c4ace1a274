//! Transfers: files from the host into the root, and out of it.
//!
//! The host's side is opened before the root changes, so that afterwards every path is one of the
//! root. Packer's rules for trailing slashes hold.

use super::users::User;
use super::{inside, users};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, mkdirat, open, openat,
    readlinkat, statat, symlinkat, unlinkat,
};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Folders may nest this deep.
const DEPTH_LIMIT: usize = 200;

/// Host files on their way into the root.
#[derive(Debug)]
pub struct Upload {
    source: OwnedFd,
    name: OsString,
    contents_only: bool,
    destination: String,
    owner: String,
    mode: Option<u32>,
}

impl Upload {
    /// Opens the source on the host; a link stands for what it points to.
    pub fn open(source: &Path, contents_only: bool, destination: String) -> Result<Self, String> {
        let name = source.file_name().unwrap_or(OsStr::new("")).to_owned();
        let source = open(
            source,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        )
        .map_err(|error| format!("open {}: {error}", source.display()))?;
        Ok(Self {
            source,
            name,
            contents_only,
            destination,
            owner: String::new(),
            mode: None,
        })
    }

    /// All of it belongs to `owner`, a `USER[:GROUP]`, or to root if that is empty.
    pub fn owned_by(self, owner: String) -> Self {
        Self { owner, ..self }
    }

    /// All of it gets these permission bits; none keeps those of the host.
    pub fn with_mode(self, mode: Option<u32>) -> Self {
        Self { mode, ..self }
    }

    /// Opens a source that is in the root itself, once that is entered.
    pub fn open_inside(source: &str, destination: String) -> Result<Self, String> {
        // Without a slash at the end, which only a folder may have.
        let path: PathBuf = Path::new("/").join(source).components().collect();
        let name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
        Ok(Self {
            source: inside::open(&path, OFlags::RDONLY | OFlags::NONBLOCK)
                .map_err(|error| format!("open {source}: {error}"))?,
            name,
            contents_only: source.ends_with('/'),
            destination,
            owner: String::new(),
            mode: None,
        })
    }

    /// Copies, inside the root.
    pub fn carry_out(self) -> Result<(), String> {
        let failed = |error: io::Error| format!("copy to {}: {error}", self.destination);
        let stat = fstat(&self.source).map_err(|error| failed(error.into()))?;
        let destination = Path::new("/").join(&self.destination);
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let says_folder = self.destination.ends_with('/') || self.destination.ends_with("/.");
        let into_folder = || says_folder || inside::is_folder(&destination);
        let target = match (is_folder, self.contents_only) {
            (true, true) => destination,
            (true, false) => destination.join(&self.name),
            (false, _) if into_folder() => destination.join(&self.name),
            (false, _) => destination,
        };
        let owner = users::resolve(&self.owner)
            .map_err(|text| format!("copy to {}: {text}", self.destination))?;
        let parent = target.parent().unwrap_or(Path::new("/"));
        let parent = inside::make_folder(parent).map_err(failed)?;
        // As Docker: folders that only lead there belong to whom the files belong to.
        for folder in &parent.made {
            let folder = inside::open_folder(folder).map_err(failed)?;
            inside::give(folder.as_fd(), &owner).map_err(failed)?;
        }
        let parent = parent.descriptor;
        let copier = Copier::IntoRoot {
            owner,
            mode: self.mode,
        };
        match target.file_name() {
            Some(name) => copier.copy(self.source, &stat, parent.as_fd(), name, 0),
            // The contents of a folder into the root itself.
            None => copier.copy_entries(self.source.as_fd(), parent.as_fd(), 0),
        }
        .map_err(failed)
    }
}

/// A file of the root on its way to the host.
#[derive(Debug)]
pub struct Download {
    source: String,
    folder: OwnedFd,
    /// None where the folder itself is meant.
    name: Option<OsString>,
    /// Folders of the host that were made for it, outermost first, each by what it lies in.
    made: Vec<(OwnedFd, OsString)>,
}

impl Download {
    /// Opens the folder on the host, and makes it if there is none.
    pub fn open(source: String, destination: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("make {}: {error}", destination.display());
        let says_folder = destination.as_os_str().as_bytes().ends_with(b"/");
        let (folder, name) = if says_folder || destination.is_dir() {
            (destination.to_owned(), None)
        } else {
            let parent = destination.parent().unwrap_or(Path::new("/"));
            (
                parent.to_owned(),
                destination.file_name().map(OsStr::to_owned),
            )
        };
        let made = make_folders(&folder).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(&folder, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self {
            source,
            folder,
            name,
            made,
        })
    }

    /// Copies, inside the root; after a failure the host has nothing that it did not have.
    pub fn carry_out(self) -> Result<(), String> {
        let copied = self.copy();
        if copied.is_err() {
            for (parent, name) in self.made.iter().rev() {
                // What somebody else has put there stays.
                let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
            }
        }
        copied
    }

    fn copy(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("copy {}: {error}", self.source);
        let path = Path::new("/").join(&self.source);
        let source = inside::open(&path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(failed)?;
        let copier = Copier::OntoHost;
        let stat = fstat(&source).map_err(|error| failed(error.into()))?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_folder && self.source.ends_with('/') && self.name.is_none() {
            return copier
                .copy_entries(source.as_fd(), self.folder.as_fd(), 0)
                .map_err(failed);
        }
        let name = self
            .name
            .clone()
            .or_else(|| path.file_name().map(OsStr::to_owned));
        let name = name.unwrap_or_else(|| OsString::from_vec(b"root".to_vec()));
        copier
            .copy(source, &stat, self.folder.as_fd(), &name, 0)
            .map_err(failed)
    }
}

/// Makes a folder of the host with all that it lies in; gives what was made.
fn make_folders(folder: &Path) -> io::Result<Vec<(OwnedFd, OsString)>> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|it| !it.exists()).collect();
    let mut made = Vec::with_capacity(missing.len());
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(_) if path.is_dir() => continue,
            Err(error) => return Err(error),
        }
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            let parent = open(parent, flags, Mode::empty())?;
            made.push((parent, name.to_owned()));
        }
    }
    Ok(made)
}

/// Removes a file, or a folder with all that it holds.
fn remove(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let Ok(inner) = inside::open_at(folder, name, flags) else {
        return inside::remove_file(folder, name);
    };
    for name in members(inner.as_fd())? {
        remove(inner.as_fd(), &name)?;
    }
    Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// The names of all members of a folder, sorted.
fn members(folder: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort();
    Ok(names)
}

/// Which way files go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copier {
    IntoRoot { owner: User, mode: Option<u32> },
    OntoHost,
}

impl Copier {
    /// Copies one opened file or folder to `name` in `folder`.
    fn copy(
        &self,
        source: OwnedFd,
        stat: &Stat,
        folder: BorrowedFd<'_>,
        name: &OsStr,
        depth: usize,
    ) -> io::Result<()> {
        let mode = self.mode(stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                inside::remove_file(folder, name)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut target = File::from(openat(folder, name, flags, mode)?);
                let copied = io::copy(&mut File::from(source), &mut target);
                self.or_remove(copied, folder, name, true)?;
                self.give(target.as_fd())?;
                // Changing the owner takes set-user-id bits away.
                rustix::fs::fchmod(&target, mode)?;
                Ok(())
            }
            FileType::Directory => {
                let is_new = match mkdirat(folder, name, mode) {
                    Ok(()) => true,
                    Err(rustix::io::Errno::EXIST) => false,
                    Err(error) => return Err(error.into()),
                };
                let target = self.open_folder(folder, name)?;
                if depth == 0 && self.is_within(target.as_fd(), stat)? {
                    return Err(io::Error::other(
                        "it lies in the source, which would be copied into itself without end; name a destination outside of it",
                    ));
                }
                // A folder that is there keeps its own mode.
                if is_new {
                    self.give(target.as_fd())?;
                    rustix::fs::fchmod(&target, mode)?;
                }
                let copied = self.copy_entries(source.as_fd(), target.as_fd(), depth + 1);
                self.or_remove(copied, folder, name, is_new)
            }
            _ => Err(io::Error::other(format!(
                "{} is neither a file nor a folder",
                name.display()
            ))),
        }
    }

    /// Copies all members of a folder.
    fn copy_entries(
        &self,
        source: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH_LIMIT {
            return Err(io::Error::other(format!(
                "more than {DEPTH_LIMIT} folders deep"
            )));
        }
        for name in members(source)? {
            let stat = statat(source, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let link = readlinkat(source, &name, Vec::new())?;
                inside::remove_file(target, &name)?;
                symlinkat(link, target, &name)?;
                self.give_link(target, &name)?;
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let opened = openat(source, &name, flags, Mode::empty())?;
            let stat = fstat(&opened)?;
            self.copy(opened, &stat, target, &name, depth)?;
        }
        Ok(())
    }

    /// Removes from the host what a failed copy has made there; in the root it goes with the step.
    fn or_remove<T>(
        &self,
        copied: io::Result<T>,
        folder: BorrowedFd<'_>,
        name: &OsStr,
        is_new: bool,
    ) -> io::Result<T> {
        if copied.is_err() && is_new && *self == Self::OntoHost {
            // The failure to copy is what counts.
            let _ = remove(folder, name);
        }
        copied
    }

    /// Whether a folder lies somewhere below that of `source`.
    fn is_within(&self, folder: BorrowedFd<'_>, source: &Stat) -> io::Result<bool> {
        // What the root holds is nowhere around a folder of the host.
        if *self == Self::OntoHost {
            return Ok(false);
        }
        let place = |stat: &Stat| (stat.st_dev, stat.st_ino);
        let mut below = place(&fstat(folder)?);
        let mut folder = inside::open_at(folder, OsStr::new(".."), OFlags::PATH)?;
        loop {
            let here = place(&fstat(&folder)?);
            // The root is its own parent.
            if here == below {
                return Ok(false);
            }
            if here == place(source) {
                return Ok(true);
            }
            below = here;
            folder = inside::open_at(folder.as_fd(), OsStr::new(".."), OFlags::PATH)?;
        }
    }

    /// Makes a copy belong to whom it should.
    fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::IntoRoot { owner, .. } => inside::give(file, owner),
            Self::OntoHost => Ok(()),
        }
    }

    /// Makes the copy of a link belong to whom it should.
    fn give_link(&self, folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let Self::IntoRoot { owner, .. } = self else {
            return Ok(());
        };
        match owner.owner() {
            (0, 0) => Ok(()),
            (uid, gid) => {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                chownat(
                    folder,
                    name,
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
                Ok(())
            }
        }
    }

    /// Permissions of the copy. On the host, what an image calls set-user-id is not.
    fn mode(&self, stat: &Stat) -> Mode {
        let kept = match self {
            Self::IntoRoot {
                mode: Some(mode), ..
            } => return Mode::from_raw_mode(mode & 0o7777),
            Self::IntoRoot { mode: None, .. } => 0o7777,
            Self::OntoHost => 0o777,
        };
        Mode::from_raw_mode(stat.st_mode & kept)
    }

    fn open_folder(&self, folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self {
            // A link to a folder is followed, as the root's own programs would.
            Self::IntoRoot { .. } => inside::open_at(folder, name, flags),
            // A link of the host would be followed in the root.
            Self::OntoHost => inside::open_at(folder, name, flags | OFlags::NOFOLLOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_download_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("image");
        fs::create_dir_all(image.join("a/b")).unwrap();
        fs::write(image.join("a/b/file"), "x").unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, image.join("pipe"), fifo, Mode::RWXU, 0).unwrap();
        let download = |source: &Path, target: &str| {
            let target = root.path().join(target);
            let source = source.display().to_string();
            Download::open(source, &target).unwrap().carry_out()
        };
        let error = download(&image, "new/deep/copy").unwrap_err();
        assert!(error.contains("pipe is neither"), "{error}");
        assert!(!root.path().join("new").exists());
        fs::create_dir(root.path().join("old")).unwrap();
        assert!(download(&image, "old/copy").is_err());
        assert!(
            members(File::open(root.path().join("old")).unwrap().as_fd())
                .unwrap()
                .is_empty()
        );
        assert_eq!(download(&image.join("a"), "new/deep/copy"), Ok(()));
        assert!(root.path().join("new/deep/copy/b/file").is_file());
    }

    #[test]
    fn a_folder_is_not_copied_into_itself() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        fs::create_dir_all(path("sub/deep")).unwrap();
        fs::write(path("sub/file"), "x").unwrap();
        std::os::unix::fs::symlink(path("sub/deep"), path("link")).unwrap();
        let copy = |source: &str, destination: &str| {
            let upload = Upload::open_inside(&path(source), path(destination)).unwrap();
            upload.carry_out()
        };
        for (source, destination) in [
            ("sub/", "sub/copy"),
            ("sub/", "sub/deep/er/copy"),
            ("sub", "sub"),
            ("sub/", "link"),
        ] {
            let error = copy(source, destination).unwrap_err();
            assert!(error.contains("lies in the source"), "{source}: {error}");
        }
        for (source, destination) in [("sub/", "sub"), ("sub/", "subs"), ("sub/deep/", "sub")] {
            assert_eq!(copy(source, destination), Ok(()), "{destination}");
        }
        assert!(root.path().join("subs/file").is_file());
    }
}
