//! What a file of a tree is, apart from its content: *effective* metadata, read and applied.
//!
//! Trees are kept by a process that may be root in a user namespace only, or no root at all. What
//! it may not set on disk it records in attributes, and what is read here has the records applied:
//!
//! | not possible | stored as |
//! |---|---|
//! | an owner that the namespace does not map, of a file or folder | owner unchanged, `user.hardtack.owner` = `UID:GID` |
//! | a device node | an empty file, `user.hardtack.device` = `c:MAJOR:MINOR` or `b:MAJOR:MINOR` |
//! | such an owner of a link or a fifo, which cannot have attributes | not at all; counted in [`Losses`] |
//!
//! A record counts only on a file that belongs to this process's user, as every file does whose
//! owner could not be set: who owns a file by other means cannot forge one, and a real change of
//! owner later on outweighs it. A device record counts only while its file is empty.
//!
//! Both directions are here, and nowhere else, so that they cannot disagree.

use super::attributes::{self, Attribute, Meaning, Place};
use super::error::{Context, LayerError, Result, TreePath};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The permission bits of a mode, with setuid, setgid and sticky.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// What kind of object a name in a tree stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File { size: u64 },
    Folder { opaque: bool },
    Symlink { target: Vec<u8> },
    Fifo,
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Socket,
    Whiteout,
}

/// Owner, permissions, time and attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Permission bits ([`PERMISSIONS`]).
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970; fractions are dropped towards the past.
    pub(super) modified: i64,
    /// The file's own extended attributes by name, sorted.
    pub(super) extended: Vec<Attribute>,
}

/// Effective metadata of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// What could not be kept of the metadata asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Links, fifos and sockets whose owner is neither mapped here nor recordable.
    pub owners: u64,
    /// Extended attributes that this file system or these privileges do not allow.
    pub attributes: u64,
}

impl Metadata {
    /// Reads the metadata of an open folder. `path` is for messages.
    pub(super) fn of_folder(folder: BorrowedFd<'_>, path: &[u8]) -> Result<Self> {
        let stat = rustix::fs::fstat(folder).context("inspect", path)?;
        let stored = Place::Open(folder)
            .attributes()
            .context("read the attributes of", path)?;
        let opaque = attributes::is_opaque(&stored);
        Ok(Self {
            kind: Kind::Folder { opaque },
            attributes: Attributes::effective(&stat, stored, path)?,
        })
    }

    /// Reads the metadata of `name` in `parent`, which is no folder and has the status `stat`.
    /// A regular file is returned open for reading.
    pub(super) fn of_file(
        parent: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        path: &[u8],
    ) -> Result<(Self, Option<OwnedFd>)> {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if is_whiteout(stat) {
            let attributes = Attributes::effective(stat, Vec::new(), path)?;
            let kind = Kind::Whiteout;
            return Ok((Self { kind, attributes }, None));
        }
        if file_type == FileType::RegularFile {
            let file = rustix::fs::openat(
                parent,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .context("open", path)?;
            let stored = Place::Open(file.as_fd())
                .attributes()
                .context("read the attributes of", path)?;
            let device = if stat.st_size == 0 && may_have_records(stat) {
                recorded_device(&stored, path)?
            } else {
                None
            };
            let kind = device.unwrap_or(Kind::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
            });
            let attributes = Attributes::effective(stat, stored, path)?;
            return Ok((Self { kind, attributes }, Some(file)));
        }
        let stored = Place::Named(parent, name)
            .attributes()
            .context("read the attributes of", path)?;
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        let kind = match file_type {
            FileType::Symlink => Kind::Symlink {
                target: rustix::fs::readlinkat(parent, name, Vec::new())
                    .context("read the link", path)?
                    .into_bytes(),
            },
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharacterDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::Directory | FileType::Unknown => {
                return Err(LayerError::Replaced {
                    path: TreePath::new(path),
                });
            }
        };
        let attributes = Attributes::effective(stat, stored, path)?;
        Ok((Self { kind, attributes }, None))
    }
}

/// Tells whether `stat` is that of a deletion mark: a character device 0:0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn may_have_records(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Tells whether `stat` is that of a folder.
pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Attributes {
    fn effective(stat: &Stat, stored: Vec<Attribute>, path: &[u8]) -> Result<Self> {
        let (mut uid, mut gid) = (stat.st_uid, stat.st_gid);
        let mut extended = Vec::new();
        for (name, value) in stored {
            if name == attributes::OWNER_RECORD.to_bytes() && may_have_records(stat) {
                (uid, gid) = parse_owner(&value).ok_or_else(|| invalid_record(path))?;
            }
            match attributes::meaning(&name) {
                Meaning::Host => {}
                Meaning::File(name) if name == attributes::CAPABILITY.to_bytes() => {
                    extended.push((name, attributes::portable_capability(value)));
                }
                Meaning::File(name) => extended.push((name, value)),
            }
        }
        extended.sort_unstable();
        Ok(Self {
            mode: stat.st_mode & PERMISSIONS,
            uid,
            gid,
            modified: stat.st_mtime,
            extended,
        })
    }

    /// Those of a folder that nothing is known of.
    pub(super) fn of_implied_folder(modified: i64) -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified,
            extended: Vec::new(),
        }
    }
}

/// Applies metadata to new objects, as far as this process may.
pub(super) struct Applier {
    uid: u32,
    gid: u32,
    /// What could not be kept so far.
    pub(super) losses: Losses,
}

impl Applier {
    /// Begins for new objects, which belong to this process's user and group.
    pub(super) fn new() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            losses: Losses::default(),
        }
    }

    /// Applies `wanted` to a regular file or folder that this process has just created and holds
    /// open. `inherits_group` says that the group may be that of the folder around it.
    pub(super) fn apply_open(
        &mut self,
        file: BorrowedFd<'_>,
        wanted: &Attributes,
        inherits_group: bool,
        path: &[u8],
    ) -> Result<()> {
        let place = Place::Open(file);
        // Ordinary attributes first: they need write permission, which the mode may take away.
        // Capabilities last: a change of owner removes them.
        self.set_extended(
            place,
            wanted,
            |name| name != attributes::CAPABILITY.to_bytes(),
            path,
        )?;
        if inherits_group || (wanted.uid, wanted.gid) != (self.uid, self.gid) {
            match rustix::fs::fchown(
                file,
                Some(Uid::from_raw(wanted.uid)),
                Some(Gid::from_raw(wanted.gid)),
            ) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::PERM) => {
                    let record = format!("{}:{}", wanted.uid, wanted.gid);
                    place
                        .set(attributes::OWNER_RECORD, record.as_bytes())
                        .context("record the owner of", path)?;
                }
                Err(errno) => return Err(errno).context("set the owner of", path),
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(wanted.mode & PERMISSIONS))
            .context("set the mode of", path)?;
        self.set_extended(
            place,
            wanted,
            |name| name == attributes::CAPABILITY.to_bytes(),
            path,
        )?;
        rustix::fs::futimens(file, &times(wanted.modified)).context("set the time of", path)
    }

    /// Creates `name` in `folder` as `kind`, with `wanted`. Regular files and folders are created
    /// by the caller and finished by [`Applier::apply_open`].
    pub(super) fn create_special(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        kind: &Kind,
        wanted: &Attributes,
        path: &[u8],
    ) -> Result<std::result::Result<(), Errno>> {
        let node = |file_type, device| {
            rustix::fs::mknodat(folder, name, file_type, Mode::RUSR | Mode::WUSR, device)
        };
        let made = match kind {
            Kind::Symlink { target } => {
                let target = CString::new(target.clone())
                    .map_err(|_| Errno::INVAL)
                    .context("create the link", path)?;
                rustix::fs::symlinkat(&target, folder, name)
            }
            Kind::Fifo => node(FileType::Fifo, 0),
            Kind::Whiteout => return Ok(node(FileType::CharacterDevice, 0)),
            Kind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                match node(FileType::CharacterDevice, device) {
                    Err(Errno::PERM) => {
                        return self.record_device(folder, name, 'c', *major, *minor, wanted, path);
                    }
                    other => other,
                }
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                match node(FileType::BlockDevice, device) {
                    Err(Errno::PERM) => {
                        return self.record_device(folder, name, 'b', *major, *minor, wanted, path);
                    }
                    other => other,
                }
            }
            Kind::File { .. } | Kind::Folder { .. } | Kind::Socket => Err(Errno::INVAL),
        };
        if let Err(errno) = made {
            return Ok(Err(errno));
        }
        self.apply_named(
            folder,
            name,
            matches!(kind, Kind::Symlink { .. }),
            wanted,
            path,
        )?;
        Ok(Ok(()))
    }

    /// Marks an open folder as opaque.
    pub(super) fn make_opaque(&self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        Place::Open(folder)
            .set(attributes::OPAQUE, b"y")
            .context("make opaque", path)
    }

    fn apply_named(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        is_link: bool,
        wanted: &Attributes,
        path: &[u8],
    ) -> Result<()> {
        // The group may be inherited from a setgid folder, so it is set whatever it should be.
        match rustix::fs::chownat(
            folder,
            name,
            Some(Uid::from_raw(wanted.uid)),
            Some(Gid::from_raw(wanted.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::PERM) => self.losses.owners += 1,
            Err(errno) => return Err(errno).context("set the owner of", path),
        }
        if !is_link {
            // fchmodat(2) cannot refuse links on older kernels; this descriptor is of the object
            // itself, and is no link.
            let object = rustix::fs::openat(
                folder,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .context("open", path)?;
            let mut object_path = attributes::proc_path(object.as_fd(), c"");
            object_path.pop();
            rustix::fs::chmod(object_path, Mode::from_raw_mode(wanted.mode & PERMISSIONS))
                .context("set the mode of", path)?;
        }
        self.set_extended(Place::Named(folder, name), wanted, |_| true, path)?;
        rustix::fs::utimensat(
            folder,
            name,
            &times(wanted.modified),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .context("set the time of", path)
    }

    #[allow(clippy::too_many_arguments)]
    fn record_device(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        letter: char,
        major: u32,
        minor: u32,
        wanted: &Attributes,
        path: &[u8],
    ) -> Result<std::result::Result<(), Errno>> {
        let file = match create_file(folder, name) {
            Ok(file) => file,
            Err(errno) => return Ok(Err(errno)),
        };
        let record = format!("{letter}:{major}:{minor}");
        Place::Open(file.as_fd())
            .set(attributes::DEVICE_RECORD, record.as_bytes())
            .context("record the device", path)?;
        self.apply_open(file.as_fd(), wanted, true, path)?;
        Ok(Ok(()))
    }

    fn set_extended(
        &mut self,
        place: Place<'_>,
        wanted: &Attributes,
        choose: impl Fn(&[u8]) -> bool,
        path: &[u8],
    ) -> Result<()> {
        for (name, value) in &wanted.extended {
            if !choose(name) {
                continue;
            }
            let Some(stored) = attributes::stored_name(name) else {
                continue;
            };
            let set = CString::new(stored)
                .map_err(|_| Errno::INVAL)
                .and_then(|stored| place.set(&stored, value));
            match set {
                Ok(()) => {}
                // Not allowed to this process (`trusted.`), on this kind of file (`user.` on a
                // link), with these ids (access lists), or by this file system at all.
                Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP | Errno::ACCESS) => {
                    self.losses.attributes += 1;
                }
                Err(errno) => return Err(errno).context("set the attributes of", path),
            }
        }
        Ok(())
    }
}

/// Tells whether files created below `folder` may get another group than this process's.
pub(super) fn new_files_inherit_group(folder: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
    const SET_GROUP_ID: u32 = 0o2000;
    let stat = rustix::fs::fstat(folder)?;
    let group = rustix::process::getegid().as_raw();
    Ok(stat.st_mode & SET_GROUP_ID != 0 || stat.st_gid != group)
}

/// Creates the regular file `name`, which must not exist, writable by its owner alone.
pub(super) fn create_file(
    folder: BorrowedFd<'_>,
    name: &CStr,
) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::openat(
        folder,
        name,
        OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )
}

/// The argument that sets both times to `seconds` since 1970.
pub(super) fn times(seconds: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn parse_owner(record: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(record).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

fn recorded_device(stored: &[Attribute], path: &[u8]) -> Result<Option<Kind>> {
    let name = attributes::DEVICE_RECORD.to_bytes();
    let Some((_, record)) = stored.iter().find(|(stored, _)| stored == name) else {
        return Ok(None);
    };
    parse_device(record)
        .map(Some)
        .ok_or_else(|| invalid_record(path))
}

fn parse_device(record: &[u8]) -> Option<Kind> {
    let mut fields = std::str::from_utf8(record).ok()?.split(':');
    let letter = fields.next()?;
    let major = fields.next()?.parse().ok()?;
    let minor = fields.next()?.parse().ok()?;
    match (letter, fields.next()) {
        ("c", None) => Some(Kind::CharacterDevice { major, minor }),
        ("b", None) => Some(Kind::BlockDevice { major, minor }),
        _ => None,
    }
}

fn invalid_record(path: &[u8]) -> LayerError {
    LayerError::Tree {
        operation: "understand the user.hardtack attributes of",
        path: TreePath::new(path),
        source: Errno::INVAL.into(),
    }
}
