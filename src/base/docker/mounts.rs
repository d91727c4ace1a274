//! Mounts of a `docker` source: `volumes`, `tmpfs`, and what `run_command` says of either.
//!
//! As with Docker, they are there for every step and are none of the image.

use crate::base::{SharedMount, SharedMountKind};
use std::path::{Component, Path};

/// What belongs to the sandbox, and is not replaced.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Of a tmpfs, as Docker has it.
const TMPFS_MODE: u32 = 0o1777;

/// A mount, or why there is none.
pub enum Mounted {
    /// It is mounted.
    Mount(SharedMount),
    /// It is done without; why.
    Without(String),
    /// It cannot be mounted; why.
    Wrong(String),
}

/// Reads one volume: a path of the host, and `TARGET[:OPTIONS]`.
pub fn volume(source: &str, target: &str) -> Mounted {
    let (target, options) = target.split_once(':').unwrap_or((target, ""));
    let target = match check(target) {
        Ok(target) => target,
        Err(mounted) => return mounted,
    };
    if !source.starts_with('/') {
        return Mounted::Wrong(format!(
            "{source:?} names a volume of Docker, and there is none here; give a folder of this host by its whole path"
        ));
    }
    let mut writable = true;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => writable = false,
            // What they are about does not exist here.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "nocopy" => {}
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => {}
            other => return Mounted::Wrong(format!("a volume has no option {other:?}")),
        }
    }
    if let Err(error) = std::fs::metadata(source) {
        return Mounted::Wrong(format!("cannot mount {source}: {error}"));
    }
    Mounted::Mount(SharedMount {
        target,
        kind: SharedMountKind::Host {
            source: source.into(),
            writable,
        },
    })
}

/// Reads one `TARGET[:OPTIONS]` of a tmpfs.
pub fn tmpfs(text: &str) -> Mounted {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = match check(target) {
        Ok(target) => target,
        Err(mounted) => return mounted,
    };
    let (mut size, mut mode) = (None, TMPFS_MODE);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let read = match option.split_once('=') {
            Some(("size", value)) => {
                size = bytes(value);
                size.is_some()
            }
            Some(("mode", value)) => match u32::from_str_radix(value, 8) {
                Ok(bits) if bits <= 0o7777 => {
                    mode = bits;
                    true
                }
                _ => false,
            },
            Some(_) => false,
            None => ["rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev"].contains(&option),
        };
        if !read {
            return Mounted::Wrong(format!("a tmpfs has no option {option:?}"));
        }
    }
    Mounted::Mount(SharedMount {
        target,
        kind: SharedMountKind::Memory { size, mode },
    })
}

/// A target without needless parts, or what is wrong with it.
fn check(target: &str) -> Result<String, Mounted> {
    let path = Path::new(target);
    let is_right = path.is_absolute() && !target.contains('\0');
    if !is_right || path.components().any(|part| part == Component::ParentDir) {
        return Err(Mounted::Wrong(format!("{target:?} is no absolute path")));
    }
    let clean: std::path::PathBuf = path.components().collect();
    if clean == Path::new("/") {
        return Err(Mounted::Wrong(
            "the root itself cannot be mounted on".to_owned(),
        ));
    }
    if RESERVED.iter().any(|folder| clean.starts_with(folder)) && clean != Path::new("/dev/shm") {
        let text = format!("{target} is not mounted: it belongs to the sandbox");
        return Err(Mounted::Without(text));
    }
    Ok(clean.display().to_string())
}

/// A number of bytes with Docker's suffixes; none if it is none, or nothing.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(['b', 'B']);
    let (digits, factor) = match text.chars().last()? {
        'k' | 'K' => (text.get(..text.len() - 1)?, 1 << 10),
        'm' | 'M' => (text.get(..text.len() - 1)?, 1 << 20),
        'g' | 'G' => (text.get(..text.len() - 1)?, 1 << 30),
        _ => (text, 1),
    };
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(factor).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_as_docker_reads_them() {
        for (target, expected) in [
            ("/data", Some(("/data", true))),
            ("/data/:ro", Some(("/data", false))),
            ("/data:rw,Z", Some(("/data", true))),
            ("data", None),
            ("/", None),
            ("/a/../b", None),
            ("/data:wrong", None),
            ("/sys/fs/cgroup:ro", None),
        ] {
            let found = match volume("/tmp", target) {
                Mounted::Mount(SharedMount {
                    target,
                    kind: SharedMountKind::Host { writable, .. },
                }) => Some((target, writable)),
                _ => None,
            };
            let expected = expected.map(|(path, writable)| (path.to_owned(), writable));
            assert_eq!(found, expected, "{target}");
        }
        assert!(matches!(volume("named", "/data"), Mounted::Wrong(_)));
        assert!(matches!(volume("/no/such", "/data"), Mounted::Wrong(_)));
        assert!(matches!(volume("/tmp", "/sys/x"), Mounted::Without(_)));
    }

    #[test]
    fn a_tmpfs_has_a_size_and_a_mode() {
        for (text, expected) in [
            ("/run", Some((None, 0o1777))),
            (
                "/run:size=64m,mode=755,noexec",
                Some((Some(64 << 20), 0o755)),
            ),
            ("/run:size=1g", Some((Some(1 << 30), 0o1777))),
            ("/run:size=x", None),
            ("/run:size=99999999999g", None),
            ("/run:mode=9", None),
            ("run", None),
        ] {
            let found = match tmpfs(text) {
                Mounted::Mount(SharedMount {
                    kind: SharedMountKind::Memory { size, mode },
                    ..
                }) => Some((size, mode)),
                _ => None,
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}
