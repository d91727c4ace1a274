//! Programs of Ansible on this host: where they are, and which version they have.
//!
//! The version is part of a step's key, and asking for it takes as long as Python takes to start. So
//! it is read from the package beside the program, which nearly all installations have: those of
//! distributions, of pip, of pipx and of virtual environments. Only another kind is asked.

use crate::sandbox::Cancel;
use crate::sandbox::host_command::{self, HostCommand};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longer files are no scripts that start Ansible.
const SCRIPT_LIMIT: u64 = 64 * 1024;

/// An Ansible that is installed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// The program, an absolute path.
    pub(super) program: PathBuf,
    /// Of ansible-core; none if it does not tell.
    pub(super) version: Option<String>,
    /// Of the collections that came with it.
    pub(super) collections: Option<String>,
}

impl Installation {
    /// Finds `command`, a name or a path, as a shell in `folder` would with this `PATH`.
    pub(super) fn find(command: &str, search_path: &str, folder: &Path) -> Option<Self> {
        let program = Self::locate(command, search_path, folder)?;
        let packages = packages_of(&program);
        let release = packages.as_deref().and_then(|packages| {
            let text = fs::read_to_string(packages.join("ansible/release.py")).ok()?;
            assigned(&text, "__version__")
        });
        let collections = packages.as_deref().and_then(|packages| {
            let path = packages.join("ansible_collections/ansible_release.py");
            assigned(&fs::read_to_string(path).ok()?, "ansible_version")
        });
        Some(Self {
            version: release.or_else(|| ask(&program, folder)),
            program,
            collections,
        })
    }

    /// Finds a program as a shell in `folder` would.
    pub(super) fn locate(command: &str, search_path: &str, folder: &Path) -> Option<PathBuf> {
        let found = if command.contains('/') {
            Some(folder.join(command)).filter(|path| is_program(path))
        } else {
            let folders = search_path.split(':').filter(|it| !it.is_empty());
            let mut paths = folders.map(|it| folder.join(it).join(command));
            paths.find(|path| is_program(path))
        }?;
        Some(behind_shim(&found).unwrap_or(found))
    }

    /// Whether it is older than `major.minor`, as far as it is known.
    pub(super) fn is_older_than(&self, major: u32, minor: u32) -> bool {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        let mut parts = self.version.as_deref().unwrap_or_default().split('.');
        match (number(parts.next()), number(parts.next())) {
            (Some(found), Some(found_minor)) => (found, found_minor) < (major, minor),
            _ => false,
        }
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// The program that a shim of pyenv stands for, if there is only one that it can be.
fn behind_shim(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|it| it.ends_with("shims"))?;
    let versions = fs::read_dir(folder.parent()?.join("versions")).ok()?;
    let name = path.file_name()?;
    let programs = versions
        .flatten()
        .map(|it| it.path().join("bin").join(name));
    let mut programs = programs.filter(|path| is_program(path));
    programs.next().filter(|_| programs.next().is_none())
}

/// The folder of Python packages that a program of Ansible belongs to.
fn packages_of(program: &Path) -> Option<PathBuf> {
    let program = fs::canonicalize(program).ok()?;
    let mut text = String::new();
    let file = fs::File::open(&program).ok()?;
    file.take(SCRIPT_LIMIT).read_to_string(&mut text).ok()?;
    let shebang = text.lines().next()?.strip_prefix("#!")?.trim();
    if !shebang.contains("python") {
        return None;
    }
    // Scripts of a virtual environment name its Python, wherever they are.
    let prefixes = [
        program.parent().and_then(Path::parent),
        Path::new(shebang.split_whitespace().next()?)
            .parent()
            .and_then(Path::parent),
    ];
    let mut found = Vec::new();
    for library in prefixes.into_iter().flatten().map(|it| it.join("lib")) {
        let Ok(entries) = fs::read_dir(&library) else {
            continue;
        };
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with("python3") {
                continue;
            }
            for name in ["site-packages", "dist-packages"] {
                let folder = entry.path().join(name);
                if folder.join("ansible/release.py").is_file() && !found.contains(&folder) {
                    found.push(folder);
                }
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    // Of two, only Python knows which one it takes.
    found.pop().filter(|_| found.is_empty())
}

/// The text that a line `name = 'text'` of Python assigns.
fn assigned(text: &str, name: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let value = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
        let value = value.trim().trim_matches(['\'', '"']);
        (!value.is_empty()).then(|| value.to_owned())
    });
    values.next()
}

/// Asks a program for its version.
fn ask(program: &Path, folder: &Path) -> Option<String> {
    let mut lines = Vec::new();
    let command = HostCommand {
        argv: vec![program.display().to_string(), "--version".to_owned()],
        environment: Vec::new(),
        working_folder: folder.to_owned(),
        stdout: None,
    };
    let mut keep = |_, line: &str| lines.push(line.to_owned());
    let code = host_command::run(&command, &mut keep, &Cancel::default()).ok()?;
    let first = lines.first().filter(|_| code == 0)?;
    // `ansible-playbook [core 2.14.18]`, and `ansible-playbook 2.9.27` before.
    let version = first.rsplit(' ').next()?.trim_end_matches(']');
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn release(folder: &Path, version: &str) {
        fs::create_dir_all(folder.join("ansible")).unwrap();
        let text = format!("# a comment\n\n__version__ = '{version}'\n__author__ = 'x'\n");
        fs::write(folder.join("ansible/release.py"), text).unwrap();
    }

    #[test]
    fn versions_are_read_from_the_package_beside_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let find = |command: &str| Installation::find(command, "none:usr/bin:shims", root);
        assert_eq!(find("ansible-playbook"), None);

        // As Debian has it.
        script(
            &root.join("usr/bin/ansible-playbook"),
            "#! /usr/bin/python3\n",
        );
        release(&root.join("usr/lib/python3/dist-packages"), "2.14.18");
        let found = find("ansible-playbook").unwrap();
        assert_eq!(found.version.as_deref(), Some("2.14.18"));
        assert_eq!(found.collections, None);
        assert!(found.is_older_than(2, 15) && !found.is_older_than(2, 14));

        // As pipx has it: a link out of the search path to a script of a virtual environment.
        let python = root.join("venv/bin/python");
        script(
            &root.join("elsewhere/ansible-playbook"),
            &format!("#!{}\n", python.display()),
        );
        let packages = root.join("venv/lib/python3.11/site-packages");
        release(&packages, "2.19.1");
        fs::create_dir_all(packages.join("ansible_collections")).unwrap();
        fs::write(
            packages.join("ansible_collections/ansible_release.py"),
            "ansible_version = '12.0.0'\n",
        )
        .unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        std::os::unix::fs::symlink("../elsewhere/ansible-playbook", root.join("bin/linked"))
            .unwrap();
        let found = find("bin/linked").unwrap();
        assert_eq!(found.version.as_deref(), Some("2.19.1"));
        assert_eq!(found.collections.as_deref(), Some("12.0.0"));

        // A shim of pyenv.
        script(&root.join("shims/ansible"), "#!/usr/bin/env bash\n");
        let real = root.join("versions/3.12.1/bin/ansible");
        script(&real, "#!/nowhere/python3\n");
        release(
            &root.join("versions/3.12.1/lib/python3.12/site-packages"),
            "2.18.0",
        );
        let found = find("ansible").unwrap();
        assert_eq!(
            (found.program, found.version.as_deref()),
            (real, Some("2.18.0"))
        );
    }

    #[test]
    fn nobody_is_too_old_whose_version_is_not_known() {
        let of = |version: Option<&str>| Installation {
            program: PathBuf::new(),
            version: version.map(str::to_owned),
            collections: None,
        };
        for (version, older) in [
            (Some("2.9.27"), true),
            (Some("2.12.0"), false),
            (Some("2.20.0rc1"), false),
            (Some("3.0"), false),
            (Some("devel"), false),
            (None, false),
        ] {
            assert_eq!(of(version).is_older_than(2, 12), older, "{version:?}");
        }
    }
}
