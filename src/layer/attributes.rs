//! Extended attributes: which ones belong to a file, and which ones are ours or the overlay's.
//!
//! A file of a tree carries attributes of three owners. Those of the *file* (capabilities, access
//! lists, whatever programs set) go into layers and come out of them. Those of the *overlay*
//! describe the merge on this machine and never leave it; a file's own attribute that happens to
//! begin with `user.overlay.` is stored escaped as `user.overlay.overlay.`, as the kernel does.
//! Those of *hardtack* record what could not be set without privileges (see `metadata.rs`).

use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// An extended attribute: name and value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// Records the owner of a file or folder as `UID:GID`, where the ids could not be set.
pub(super) const OWNER_RECORD: &CStr = c"user.hardtack.owner";
/// Records a device node as `c:MAJOR:MINOR` or `b:MAJOR:MINOR` on an empty regular file.
pub(super) const DEVICE_RECORD: &CStr = c"user.hardtack.device";
/// Marks a folder that hides the folder of the same name below it.
pub(super) const OPAQUE: &CStr = c"user.overlay.opaque";
/// File capabilities (capabilities(7), "File capabilities").
pub(super) const CAPABILITY: &CStr = c"security.capability";

const OVERLAY: &[u8] = b"user.overlay.";
const ESCAPED_OVERLAY: &[u8] = b"user.overlay.overlay.";
const FUSE_OVERLAY_OPAQUE: &[u8] = b"user.fuseoverlayfs.opaque";

/// Never part of a layer: made by the overlay or by hardtack, or valid on this host alone
/// (labels and signatures of the host's security modules).
const HOST_ONLY: [&[u8]; 8] = [
    b"user.overlay.",
    b"trusted.overlay.",
    b"user.fuseoverlayfs.",
    b"user.hardtack.",
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"security.apparmor",
];

/// What an attribute on disk means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The file's own, with the name that programs see.
    File(Vec<u8>),
    /// The overlay's or this host's: never part of a layer.
    Host,
}

/// Tells whose attribute `stored` is.
pub(super) fn meaning(stored: &[u8]) -> Meaning {
    if let Some(rest) = stored.strip_prefix(ESCAPED_OVERLAY) {
        return Meaning::File([OVERLAY, rest].concat());
    }
    if HOST_ONLY.iter().any(|prefix| stored.starts_with(prefix)) {
        return Meaning::Host;
    }
    Meaning::File(stored.to_vec())
}

/// Returns the name under which a file's own attribute `name` is stored; none if the name is
/// reserved, so that an archive cannot forge hardtack's records or steer the overlay.
pub(super) fn stored_name(name: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = name.strip_prefix(OVERLAY) {
        return Some([ESCAPED_OVERLAY, rest].concat());
    }
    match meaning(name) {
        Meaning::File(_) => Some(name.to_vec()),
        Meaning::Host => None,
    }
}

/// Tells whether the overlay left this attribute as bookkeeping that a finished tree should not
/// have. [`OPAQUE`] is not: it is part of the tree.
pub(super) fn is_overlay_bookkeeping(stored: &[u8]) -> bool {
    let private = stored.starts_with(OVERLAY) && !stored.starts_with(ESCAPED_OVERLAY);
    (private && stored != OPAQUE.to_bytes())
        || stored.starts_with(b"trusted.overlay.")
        || stored.starts_with(b"user.fuseoverlayfs.")
}

/// Tells whether the content lies elsewhere because of an overlay option, so that the file or
/// folder cannot be read as it stands.
pub(super) fn is_redirect(stored: &[u8]) -> bool {
    [
        &b"user.overlay.redirect"[..],
        b"user.overlay.metacopy",
        b"trusted.overlay.redirect",
        b"trusted.overlay.metacopy",
    ]
    .contains(&stored)
}

/// Tells whether `attributes`, as stored, mark an opaque folder.
pub(super) fn is_opaque(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|(name, value)| {
        value == b"y" && (name == OPAQUE.to_bytes() || name == FUSE_OVERLAY_OPAQUE)
    })
}

/// Returns capabilities as version 2: version 3 only adds the user id that is root in the
/// namespace of this host, which means nothing elsewhere.
pub(super) fn portable_capability(value: Vec<u8>) -> Vec<u8> {
    const VERSION_3: u8 = 3;
    const VERSION_2: u8 = 2;
    const VERSION_2_LENGTH: usize = 20;
    match value.get(3) {
        Some(&VERSION_3) if value.len() > VERSION_2_LENGTH => {
            let mut portable = value;
            portable.truncate(VERSION_2_LENGTH);
            portable[3] = VERSION_2;
            portable
        }
        _ => value,
    }
}

/// Where attributes are read and written.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// An open file or folder.
    Open(BorrowedFd<'a>),
    /// A name in an open folder; a link is not followed.
    Named(BorrowedFd<'a>, &'a CStr),
}

impl Place<'_> {
    /// Lists the attributes as stored, sorted by name.
    pub(super) fn attributes(self) -> Result<Vec<Attribute>, Errno> {
        let mut names = vec![0u8; 1024];
        let length = loop {
            match self.list_into(&mut names) {
                Ok(length) => break length,
                Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 4, 0),
                // The file system has no attributes at all.
                Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
                Err(errno) => return Err(errno),
            }
        };
        names.truncate(length);
        let mut attributes = Vec::new();
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let Ok(name) = CString::new(name) else {
                continue;
            };
            match self.value(&name) {
                Ok(value) => attributes.push((name.into_bytes(), value)),
                // Removed since it was listed, or listed for others only.
                Err(Errno::NODATA) => {}
                Err(errno) => return Err(errno),
            }
        }
        attributes.sort_unstable();
        Ok(attributes)
    }

    /// Sets one attribute under its stored name.
    pub(super) fn set(self, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        let flags = rustix::fs::XattrFlags::empty();
        match self {
            Self::Open(file) => rustix::fs::fsetxattr(file, name, value, flags),
            Self::Named(folder, file) => {
                rustix::fs::lsetxattr(proc_path(folder, file), name, value, flags)
            }
        }
    }

    /// Removes one attribute under its stored name; it is no error if it is not there.
    pub(super) fn remove(self, name: &CStr) -> Result<(), Errno> {
        let result = match self {
            Self::Open(file) => rustix::fs::fremovexattr(file, name),
            Self::Named(folder, file) => rustix::fs::lremovexattr(proc_path(folder, file), name),
        };
        match result {
            Err(Errno::NODATA) => Ok(()),
            other => other,
        }
    }

    fn value(self, name: &CStr) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0u8; 256];
        loop {
            let result = match self {
                Self::Open(file) => rustix::fs::fgetxattr(file, name, &mut value[..]),
                Self::Named(folder, file) => {
                    rustix::fs::lgetxattr(proc_path(folder, file), name, &mut value[..])
                }
            };
            match result {
                Ok(length) => {
                    value.truncate(length);
                    return Ok(value);
                }
                Err(Errno::RANGE) if value.len() < 1 << 20 => value.resize(value.len() * 16, 0),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn list_into(self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(file) => rustix::fs::flistxattr(file, buffer),
            Self::Named(folder, file) => rustix::fs::llistxattr(proc_path(folder, file), buffer),
        }
    }
}

/// The path of `name` in an open folder for calls that take no descriptor. The kernel goes from
/// the descriptor itself, so that nothing on the way can be exchanged.
pub(super) fn proc_path(folder: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stored_escaped_and_read_back() {
        for (name, stored) in [
            (&b"user.mime_type"[..], Some(&b"user.mime_type"[..])),
            (b"security.capability", Some(b"security.capability")),
            (b"system.posix_acl_access", Some(b"system.posix_acl_access")),
            (b"user.overlay.opaque", Some(b"user.overlay.overlay.opaque")),
            (
                b"user.overlay.redirect",
                Some(b"user.overlay.overlay.redirect"),
            ),
            (
                b"user.overlay.overlay.x",
                Some(b"user.overlay.overlay.overlay.x"),
            ),
            (b"user.hardtack.owner", None),
            (b"trusted.overlay.opaque", None),
            (b"user.fuseoverlayfs.opaque", None),
            (b"security.selinux", None),
            (b"security.ima", None),
        ] {
            assert_eq!(stored_name(name).as_deref(), stored, "{name:?}");
            if let Some(stored) = stored {
                assert_eq!(meaning(stored), Meaning::File(name.to_vec()));
                assert!(!is_overlay_bookkeeping(stored));
            }
        }
    }

    #[test]
    fn what_the_overlay_leaves_is_known() {
        for name in ["origin", "impure", "uuid", "nlink", "redirect"] {
            let stored = format!("user.overlay.{name}");
            assert_eq!(meaning(stored.as_bytes()), Meaning::Host);
            assert!(is_overlay_bookkeeping(stored.as_bytes()));
        }
        assert!(!is_overlay_bookkeeping(OPAQUE.to_bytes()));
    }

    #[test]
    fn capabilities_lose_the_namespace_they_were_set_in() {
        let version_2 = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let mut version_3 = version_2.to_vec();
        version_3[3] = 3;
        version_3.extend([0xe9, 3, 0, 0]);
        assert_eq!(portable_capability(version_3), version_2);
        assert_eq!(portable_capability(version_2.to_vec()), version_2);
        assert_eq!(portable_capability(vec![1]), [1]);
    }
}
