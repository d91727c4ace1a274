//! Trees and archives for the tests of this module: made from a list, and read back into one.

use super::folder::FolderStack;
use super::metadata::{self, Applier, Attributes, Kind, Metadata};
use rustix::fs::{AtFlags, Mode};
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

/// A folder that is removed at the end, however deep.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
    pub(super) open: File,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        Self { folder, open }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

impl Drop for Scratch {
    /// Removes what the temporary folder's own removal could not: folders without permissions.
    fn drop(&mut self) {
        for listed in super::folder::list(self.fd()).unwrap_or_default() {
            // The temporary folder reports nothing either.
            let _ = super::remove::remove(self.fd(), &listed.name, b"");
        }
    }
}

/// Whether this process may do what root may. If not, what it may not is recorded or lost.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this process may give a file to these ids: root where all of them are mapped.
pub(super) fn may_own(uid: u32, gid: u32) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    is_root() && (map.contains("4294967295") || (uid, gid) == (0, 0))
}

/// One object of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    pub(super) content: Vec<u8>,
    /// The first path of the same file, if it has several.
    pub(super) same_as: Option<Vec<u8>>,
}

impl Node {
    pub(super) fn new(kind: Kind) -> Self {
        let attributes = Attributes {
            mode: 0o644,
            ..Attributes::of_implied_folder(1_000)
        };
        Self {
            metadata: Metadata { kind, attributes },
            content: Vec::new(),
            same_as: None,
        }
    }

    pub(super) fn file(content: &[u8]) -> Self {
        let size = content.len() as u64;
        Self {
            content: content.to_vec(),
            ..Self::new(Kind::File { size })
        }
    }

    pub(super) fn folder() -> Self {
        Self::new(Kind::Folder { opaque: false }).mode(0o755)
    }

    pub(super) fn link(target: &[u8]) -> Self {
        let target = target.to_vec();
        Self::new(Kind::Symlink { target }).mode(0o777)
    }

    /// Sets the mode; an ordinary user keeps access, since nothing could be read back otherwise.
    pub(super) fn mode(mut self, mode: u32) -> Self {
        let access = match self.metadata.kind {
            _ if is_root() => 0,
            Kind::Folder { .. } => 0o700,
            _ => 0o600,
        };
        self.metadata.attributes.mode = mode | access;
        self
    }

    pub(super) fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.metadata.attributes.uid, self.metadata.attributes.gid) = (uid, gid);
        self
    }

    pub(super) fn time(mut self, seconds: i64) -> Self {
        self.metadata.attributes.modified = seconds;
        self
    }

    pub(super) fn attribute(mut self, name: &str, value: &[u8]) -> Self {
        let extended = &mut self.metadata.attributes.extended;
        extended.push((name.as_bytes().to_vec(), value.to_vec()));
        extended.sort();
        self
    }

    pub(super) fn same_as(path: &[u8]) -> Self {
        Self {
            same_as: Some(path.to_vec()),
            ..Self::file(b"")
        }
    }
}

/// What can be kept of `metadata`: only files and folders can record an owner.
pub(super) fn keepable(mut metadata: Metadata) -> Metadata {
    let records = matches!(
        metadata.kind,
        Kind::File { .. }
            | Kind::Folder { .. }
            | Kind::CharacterDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Whiteout
    );
    if !records && !is_root() {
        metadata.attributes.uid = rustix::process::geteuid().as_raw();
        metadata.attributes.gid = rustix::process::getegid().as_raw();
    }
    metadata
}

/// The objects of a tree by path; the root has the empty one.
pub(super) type Nodes = BTreeMap<Vec<u8>, Node>;

/// Makes `nodes` in the empty folder `root`. Folders must be given.
pub(super) fn make(root: BorrowedFd<'_>, nodes: &Nodes) {
    let mut applier = Applier::new();
    let open = |path: &[u8]| {
        let mut stack = FolderStack::new(root).unwrap();
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            stack.push(&CString::new(name).unwrap()).unwrap();
        }
        stack
    };
    let split = |path: &[u8]| {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let parent = path[..slash.unwrap_or(0)].to_vec();
        let name = &path[slash.map_or(0, |slash| slash + 1)..];
        (open(&parent), CString::new(name).unwrap())
    };
    for (path, node) in nodes.iter().filter(|(path, _)| !path.is_empty()) {
        let (parent, name) = split(path);
        let Metadata { kind, attributes } = &node.metadata;
        if let Some(first) = &node.same_as {
            let (from, old) = split(first);
            let flags = AtFlags::empty();
            rustix::fs::linkat(from.current(), &old, parent.current(), &name, flags).unwrap();
            continue;
        }
        match kind {
            Kind::Folder { .. } => {
                rustix::fs::mkdirat(parent.current(), &name, Mode::RWXU).unwrap();
            }
            Kind::File { .. } => {
                let file = metadata::create_file(parent.current(), &name).unwrap();
                super::copy::write_all(&file, &node.content, 0).unwrap();
                applier
                    .apply_open(file.as_fd(), attributes, true, path)
                    .unwrap();
            }
            kind => applier
                .create_special(parent.current(), &name, kind, attributes, path)
                .unwrap()
                .unwrap(),
        }
    }
    for (path, node) in nodes.iter().rev() {
        if let Kind::Folder { opaque } = node.metadata.kind {
            let folder = open(path);
            if opaque {
                applier.make_opaque(folder.current(), path).unwrap();
            }
            applier
                .apply_open(folder.current(), &node.metadata.attributes, true, path)
                .unwrap();
        }
    }
}

/// Reads a tree back.
pub(super) fn read(root: BorrowedFd<'_>) -> Nodes {
    let mut nodes = Nodes::new();
    let mut first_names = HashMap::new();
    let mut stack = FolderStack::new(root).unwrap();
    let mut pending = Vec::new();
    let enter = |stack: &FolderStack, nodes: &mut Nodes| {
        let metadata = Metadata::of_folder(stack.current(), stack.path()).unwrap();
        let node = Node {
            metadata,
            content: Vec::new(),
            same_as: None,
        };
        nodes.insert(stack.path().to_vec(), node);
        stack.list().unwrap().into_iter()
    };
    pending.push(enter(&stack, &mut nodes));
    while let Some(names) = pending.last_mut() {
        let Some(listed) = names.next() else {
            pending.pop();
            stack.pop().unwrap();
            continue;
        };
        let path = stack.path_of(&listed.name);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(stack.current(), &listed.name, flags).unwrap();
        if metadata::is_folder(&stat) {
            stack.push(&listed.name).unwrap();
            pending.push(enter(&stack, &mut nodes));
            continue;
        }
        let (mut metadata, file) =
            Metadata::of_file(stack.current(), &listed.name, &stat, &path).unwrap();
        let mut content = Vec::new();
        if let (Kind::File { .. }, Some(file)) = (&metadata.kind, file) {
            File::from(file).read_to_end(&mut content).unwrap();
        }
        let mut same_as = None;
        if metadata.kind == Kind::Whiteout {
            // A mark is a mark, whatever its metadata are.
            metadata.attributes = Attributes::of_implied_folder(0);
        } else if stat.st_nlink > 1 {
            let first = first_names
                .entry(stat.st_ino)
                .or_insert_with(|| path.clone());
            same_as = (*first != path).then(|| first.clone());
        }
        nodes.insert(
            path,
            Node {
                metadata,
                content,
                same_as,
            },
        );
    }
    nodes
}

/// An entry for an archive that no honest tool writes.
pub(super) struct RawEntry {
    pub(super) header: tar::Header,
    pub(super) data: Vec<u8>,
}

impl RawEntry {
    /// An entry of type `flag` with a name, a link target and data, all unchecked.
    pub(super) fn new(flag: u8, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        let fields = header.as_ustar_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        fields.typeflag = [flag];
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000);
        header.set_size(data.len() as u64);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        let data = data.to_vec();
        Self { header, data }
    }

    pub(super) fn change(mut self, change: impl FnOnce(&mut tar::Header)) -> Self {
        change(&mut self.header);
        self
    }
}

/// One PAX record, with its length.
pub(super) fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

/// An archive of `entries`, with its end marker.
pub(super) fn archive(entries: Vec<RawEntry>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut entry in entries {
        entry.header.set_cksum();
        bytes.extend_from_slice(entry.header.as_bytes());
        bytes.extend_from_slice(&entry.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
