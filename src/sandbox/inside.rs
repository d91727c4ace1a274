//! Paths inside the root, resolved by PID 1 once it has entered it.
//!
//! An image may hold any link, also one like `/srv -> /proc/self/fd/5/..`. For PID 1, which has
//! host folders open while it copies, that would lead out of the root. So nothing here follows a
//! *magic link*, a link of /proc that jumps to an open file; all others end in the root by
//! themselves, since it is the root of PID 1 too. Host paths are none of this file's concern.

use super::users::User;
use rustix::fs::{
    CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fstat, mkdirat, openat2, unlinkat,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Of folders that are made because a path needs them.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// Opens an existing file or folder.
pub fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    open_at(CWD, path.as_os_str(), flags)
}

/// Opens a member of an open folder.
pub fn open_at(folder: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    Ok(openat2(
        folder,
        name,
        flags,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )?)
}

/// Opens a folder for reading its entries and making new ones.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Whether there is a folder, or a link to one.
pub fn is_folder(path: &Path) -> bool {
    open(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
}

/// The content of a regular file of at most `limit` bytes; none if it is anything else.
pub fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// Makes an open file or folder belong to a user. What PID 1 makes is root's already.
pub fn give(file: BorrowedFd<'_>, user: &User) -> io::Result<()> {
    let (uid, gid) = user.owner();
    if (uid, gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}

/// A folder with what had to be made for it to exist.
#[derive(Debug)]
pub struct Folder {
    /// Open for reading its entries and making new ones.
    pub descriptor: OwnedFd,
    /// Folders that were made, outermost first.
    pub made: Vec<PathBuf>,
}

/// Opens the folder at `path`, and makes what is missing of it.
pub fn make_folder(path: &Path) -> io::Result<Folder> {
    let mut current = PathBuf::from("/");
    let mut descriptor = open_folder(&current)?;
    let mut made = Vec::new();
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::new(".."),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        current.push(name);
        descriptor = match open_folder(&current) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                mkdirat(&descriptor, name, FOLDER_MODE)?;
                made.push(current.clone());
                open_folder(&current)?
            }
            opened => opened?,
        };
    }
    Ok(Folder { descriptor, made })
}

/// Removes a file or a link; that there is none is fine.
pub fn remove_file(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(folder, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes a folder if it is empty.
pub fn remove_empty_folder(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let parent = open_folder(parent)?;
    Ok(unlinkat(
        parent.as_fd(),
        name,
        rustix::fs::AtFlags::REMOVEDIR,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn magic_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        let open = File::open(folder.path().join("folder")).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        let link = folder.path().join("link");
        symlink(format!("/proc/self/fd/{number}/../"), &link).unwrap();
        assert_eq!(fs::read(link.join("file")).unwrap(), b"text");
        assert_eq!(read(&link.join("file"), 100), None);
        assert!(open_folder(&link).is_err());
        assert!(make_folder(&link.join("new")).is_err());
        assert!(!folder.path().join("new").exists());

        fs::remove_file(&link).unwrap();
        symlink("folder", &link).unwrap();
        let made = make_folder(&link.join("a/b")).unwrap().made;
        assert_eq!(made, [link.join("a"), link.join("a/b")]);
        assert!(folder.path().join("folder/a/b").is_dir());
    }

    #[test]
    fn only_regular_files_of_a_fair_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "text").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"text");
        assert_eq!(read(&path, 3), None);
        assert_eq!(read(folder.path(), 100), None);
        assert_eq!(read(Path::new("/dev/zero"), 100), None);
    }
}
