//! Identity: which ids of the host stand for the ids inside.

use super::SandboxError;
use rustix::process::{getgid, getuid};
use rustix::thread::{CapabilitySet, capabilities};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How ids inside relate to ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Real root: ids are the same inside, there is no user namespace.
    Root,
    /// A user namespace with the caller as root and a range of subordinate ids.
    SubordinateIds {
        /// How many ids there are inside, root included.
        count: u32,
    },
    /// A user namespace in which all ids are the same as around it: for the root of a container.
    SameIds,
    /// A user namespace with the caller as root and no other id.
    SingleId,
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("root"),
            Self::SubordinateIds { count } => {
                write!(formatter, "rootless with {count} subordinate ids")
            }
            Self::SameIds => formatter.write_str("root in a user namespace with the same ids"),
            Self::SingleId => formatter.write_str("rootless with a single id"),
        }
    }
}

/// A range of subordinate ids (`subuid(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
}

/// A mapping of ids, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdMap {
    uid: u32,
    gid: u32,
    kind: MapKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MapKind {
    Root,
    Subordinate {
        uids: Range,
        gids: Range,
        newuidmap: PathBuf,
        newgidmap: PathBuf,
    },
    Same {
        uid_map: String,
        gid_map: String,
    },
    Single,
}

impl IdMap {
    pub(super) fn isolation(&self) -> Isolation {
        match &self.kind {
            MapKind::Root => Isolation::Root,
            MapKind::Subordinate { uids, gids, .. } => Isolation::SubordinateIds {
                count: uids.count.min(gids.count).saturating_add(1),
            },
            MapKind::Same { .. } => Isolation::SameIds,
            MapKind::Single => Isolation::SingleId,
        }
    }

    pub(super) fn tree_namespace(&self) -> String {
        match &self.kind {
            MapKind::Root => "root".to_owned(),
            MapKind::Subordinate { uids, gids, .. } => {
                format!(
                    "ids-{}-{}-{}-{}",
                    self.uid, uids.first, gids.first, uids.count
                )
            }
            // File capabilities are stored in another form than those of root itself.
            MapKind::Same { .. } => "mapped-root".to_owned(),
            MapKind::Single => format!("single-{}", self.uid),
        }
    }

    /// Whether there is a user namespace.
    pub(super) fn has_user_namespace(&self) -> bool {
        self.kind != MapKind::Root
    }

    /// Maps the ids of the user namespace of process `pid`.
    pub(super) fn write(&self, pid: u32) -> Result<(), SandboxError> {
        match &self.kind {
            MapKind::Root => Ok(()),
            MapKind::Same { uid_map, gid_map } => {
                write(pid, "uid_map", uid_map)?;
                write(pid, "gid_map", gid_map)
            }
            MapKind::Single => {
                write(pid, "setgroups", "deny")?;
                write(pid, "uid_map", &format!("0 {} 1", self.uid))?;
                write(pid, "gid_map", &format!("0 {} 1", self.gid))
            }
            MapKind::Subordinate {
                uids,
                gids,
                newuidmap,
                newgidmap,
            } => {
                for (program, own, range) in
                    [(newuidmap, self.uid, uids), (newgidmap, self.gid, gids)]
                {
                    let output = Command::new(program)
                        .args([pid, 0, own, 1, 1, range.first, range.count].map(|n| n.to_string()))
                        .output()
                        .map_err(|error| {
                            SandboxError::IdMap(format!("{}: {error}", program.display()))
                        })?;
                    if !output.status.success() {
                        return Err(SandboxError::IdMap(
                            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                        ));
                    }
                }
                Ok(())
            }
        }
    }
}

fn write(pid: u32, file: &str, text: &str) -> Result<(), SandboxError> {
    fs::write(format!("/proc/{pid}/{file}"), text)
        .map_err(|error| SandboxError::IdMap(format!("{file}: {error}")))
}

/// The mappings to try, the best first.
pub(super) fn candidates() -> Vec<IdMap> {
    let mut all = all();
    // Real root needs no other, and is not to fall back to one that keeps its trees elsewhere.
    if all.first().is_some_and(|map| map.kind == MapKind::Root) {
        all.truncate(1);
    }
    all
}

/// Root of a container as it is, which needs no namespace; none for another user.
pub(super) fn unmapped_root() -> Option<IdMap> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let kind = MapKind::Root;
    (uid == 0).then_some(IdMap { uid, gid, kind })
}

/// All mappings that this user could have, the best first.
pub(super) fn all() -> Vec<IdMap> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let map = |kind| IdMap { uid, gid, kind };
    let is_admin =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    let mut candidates = Vec::new();
    if uid == 0 && is_admin {
        candidates.push(map(MapKind::Root));
    }
    let same = |file: &str| same_ids(&fs::read_to_string(file).ok()?);
    if let (0, Some(uid_map), Some(gid_map)) =
        (uid, same("/proc/self/uid_map"), same("/proc/self/gid_map"))
    {
        candidates.push(map(MapKind::Same { uid_map, gid_map }));
    }
    let name = user_name(uid);
    let range = |file: &str| {
        let text = fs::read_to_string(file).ok()?;
        parse_range(&text, name.as_deref(), uid)
    };
    if let (Some(uids), Some(gids)) = (range("/etc/subuid"), range("/etc/subgid"))
        && let (Some(newuidmap), Some(newgidmap)) = (program("newuidmap"), program("newgidmap"))
    {
        candidates.push(map(MapKind::Subordinate {
            uids,
            gids,
            newuidmap,
            newgidmap,
        }));
    }
    candidates.push(map(MapKind::Single));
    candidates
}

/// The mapping of a new user namespace to all ids that this one has, from its own mapping; none if
/// there is but one.
fn same_ids(own: &str) -> Option<String> {
    let mut text = String::new();
    let mut all = 0u64;
    for line in own.lines() {
        let mut fields = line.split_whitespace();
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.nth(1)?.parse().ok()?;
        text += &format!("{first} {first} {count}\n");
        all += u64::from(count);
    }
    (all > 1).then_some(text)
}

/// The name of user `uid` in the host's `/etc/passwd`.
fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The first usable range for a user in a file of `subuid(5)`.
fn parse_range(text: &str, name: Option<&str>, uid: u32) -> Option<Range> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = Range {
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.parse().ok()?,
        };
        let is_owner = Some(owner) == name || owner.parse() == Ok(uid);
        (is_owner && range.count > 0).then_some(range)
    })
}

/// Finds a program of the host, also where the search path does not lead.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ids_of_this_namespace_are_mapped_again() {
        for (own, expected) in [
            (
                "         0          0 4294967295\n",
                Some("0 0 4294967295\n"),
            ),
            ("0 1000 1\n1 100000 65536\n", Some("0 0 1\n1 1 65536\n")),
            ("0 1000 1\n", None),
            ("", None),
            ("0 x\n", None),
        ] {
            assert_eq!(same_ids(own).as_deref(), expected, "{own:?}");
        }
    }

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "alice:100000:65536\n1001:300000:65536\nbob:1:0\nbob:500000:1000\nbroken\n";
        let range =
            |name, uid| parse_range(text, name, uid).map(|range| (range.first, range.count));
        assert_eq!(range(Some("alice"), 5), Some((100_000, 65_536)));
        assert_eq!(range(None, 1001), Some((300_000, 65_536)));
        assert_eq!(range(Some("bob"), 7), Some((500_000, 1000)));
        assert_eq!(range(Some("carol"), 8), None);
    }
}
