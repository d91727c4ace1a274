//! Exclusion: members of a source folder that are left out, by patterns as in `.dockerignore`.

use crate::provision::ProvisionError;
use globset::{GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Folders below a source may nest this deep.
const DEPTH_LIMIT: usize = 200;

/// Patterns, of which the last one that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Exclusion {
    written: Vec<String>,
    /// Each with whether it excludes.
    patterns: Vec<(GlobMatcher, bool)>,
}

/// What a member of a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder, with its permission bits.
    Folder(u32),
    /// A link, with its target.
    Link(PathBuf),
    /// Anything else.
    File,
}

/// A member of a folder that is not left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// From the folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

impl Exclusion {
    /// Reads patterns; an error says what is wrong with one. `!` before one takes back what those
    /// before it exclude.
    pub fn read(written: &[String]) -> Result<Self, String> {
        let mut patterns = Vec::with_capacity(written.len());
        for pattern in written {
            let (plain, excludes) = match pattern.strip_prefix('!') {
                Some(plain) => (plain, false),
                None => (pattern.as_str(), true),
            };
            let glob =
                glob(plain).map_err(|problem| format!("{pattern:?} is no pattern: {problem}"))?;
            patterns.push((glob, excludes));
        }
        Ok(Self {
            written: written.to_vec(),
            patterns,
        })
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns, as they were given.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether a member is left out: a pattern matches it, or a folder that it is in.
    pub fn excludes(&self, path: &Path) -> bool {
        let mut is_excluded = false;
        for (glob, excludes) in &self.patterns {
            let mut all = path.ancestors().filter(|it| !it.as_os_str().is_empty());
            if all.any(|path| glob.is_match(path)) {
                is_excluded = *excludes;
            }
        }
        is_excluded
    }

    /// The members of `root` that are not left out, folders before what is in them, sorted. A folder
    /// that is left out is there if something in it is not.
    pub fn members(&self, root: &Path) -> Result<Vec<Member>, ProvisionError> {
        let mut members = Vec::new();
        let mut pending = vec![(PathBuf::new(), 0)];
        while let Some((folder, depth)) = pending.pop() {
            let whole = root.join(&folder);
            if depth > DEPTH_LIMIT {
                return Err(ProvisionError::TooDeep {
                    path: whole,
                    limit: DEPTH_LIMIT,
                });
            }
            for entry in fs::read_dir(&whole).map_err(ProvisionError::read(&whole))? {
                let entry = entry.map_err(ProvisionError::read(&whole))?;
                let path = folder.join(entry.file_name());
                let whole = entry.path();
                let metadata = entry.metadata().map_err(ProvisionError::read(&whole))?;
                let kind = metadata.file_type();
                if kind.is_dir() {
                    pending.push((path.clone(), depth + 1));
                }
                if self.excludes(&path) {
                    continue;
                }
                let kind = if kind.is_dir() {
                    Kind::Folder(metadata.permissions().mode() & 0o7777)
                } else if kind.is_symlink() {
                    let target = fs::read_link(&whole).map_err(ProvisionError::read(&whole))?;
                    Kind::Link(target)
                } else {
                    Kind::File
                };
                members.push(Member { path, kind });
            }
        }
        members.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(members)
    }

    /// Copies what is not left out of `root` to a new folder `copy`.
    pub fn copy(&self, root: &Path, copy: &Path) -> Result<(), ProvisionError> {
        let modes = |path: &Path| fs::metadata(path).map(|it| it.permissions());
        fs::create_dir_all(copy).map_err(ProvisionError::write(copy))?;
        let mut folders = vec![(
            copy.to_owned(),
            modes(root).map_err(ProvisionError::read(root))?,
        )];
        for member in self.members(root)? {
            let (from, to) = (root.join(&member.path), copy.join(&member.path));
            if let Some(above) = to.parent() {
                fs::create_dir_all(above).map_err(ProvisionError::write(above))?;
            }
            match member.kind {
                Kind::Folder(mode) => {
                    fs::create_dir_all(&to).map_err(ProvisionError::write(&to))?;
                    folders.push((to, fs::Permissions::from_mode(mode)));
                }
                Kind::Link(target) => symlink(target, &to).map_err(ProvisionError::write(&to))?,
                Kind::File if from.is_file() => {
                    fs::copy(&from, &to).map_err(ProvisionError::read(&from))?;
                }
                Kind::File => {
                    return Err(ProvisionError::UnsupportedType {
                        path: from,
                        kind: "special file",
                    });
                }
            }
        }
        // At last: a folder may be one that nothing can be written to.
        for (folder, mode) in folders.into_iter().rev() {
            fs::set_permissions(&folder, mode).map_err(ProvisionError::write(&folder))?;
        }
        Ok(())
    }
}

/// A pattern of one path, in which `*` stands for no slash and `**` for any folders.
pub fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
    // There are no alternatives in braces.
    let pattern = pattern.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

/// A path for a label, with what is no text escaped.
pub fn shown(path: &Path) -> String {
    let path: &OsStr = path.as_os_str();
    path.as_bytes().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&str]) -> Exclusion {
        let patterns: Vec<String> = patterns.iter().map(|&it| it.to_owned()).collect();
        Exclusion::read(&patterns).unwrap()
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let exclusion = of(&[
            ".git",
            "*.md",
            "!README.md",
            "**/*.pyc",
            "src/*/tmp?",
            "a{b}",
        ]);
        for (path, expected) in [
            (".git", true),
            (".git/config", true),
            ("x.md", true),
            ("README.md", false),
            ("docs/x.md", false),
            ("a/b/c.pyc", true),
            ("c.pyc", true),
            ("src/x/tmp1", true),
            ("src/x/tmp1/y", true),
            ("src/x/y/tmp1", false),
            ("a{b}", true),
            ("ab", false),
        ] {
            assert_eq!(exclusion.excludes(Path::new(path)), expected, "{path}");
        }
        assert!(Exclusion::read(&["[".to_owned()]).is_err());
    }

    #[test]
    fn what_is_not_left_out_is_copied_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("keep/deep")).unwrap();
        fs::create_dir_all(root.join("gone")).unwrap();
        for name in ["keep/deep/a", "keep/b.o", "gone/c", "gone/kept"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("/nowhere", root.join("keep/link")).unwrap();
        fs::set_permissions(root.join("keep"), fs::Permissions::from_mode(0o500)).unwrap();
        let copy = folder.path().join("copy");
        of(&["gone", "!gone/kept", "**/*.o"])
            .copy(&root, &copy)
            .unwrap();
        let found = of(&[]).members(&copy).unwrap();
        let names: Vec<String> = found.iter().map(|it| shown(&it.path)).collect();
        assert_eq!(
            names,
            [
                "gone",
                "gone/kept",
                "keep",
                "keep/deep",
                "keep/deep/a",
                "keep/link"
            ]
        );
        assert_eq!(found[2].kind, Kind::Folder(0o500));
        assert_eq!(found[5].kind, Kind::Link("/nowhere".into()));
    }
}
