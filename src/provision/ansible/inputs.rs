//! What of this host a playbook reads: the files that decide what it does.
//!
//! Only Ansible knows which files a play will read, and only while it runs. So all counts that it can
//! read by convention: the folder of the playbook as a whole. Where that folder is also where builds
//! are started or described, their results may lie in it; there, only what Ansible looks for by name
//! counts, and YAML files. Whatever the text of a counted YAML file names, and is there, counts too,
//! wherever it is.

use super::references::{self, Reference};
use crate::provision::Input;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What no task reads: version control, what Python and editors keep, and Ansible's own leavings.
const IGNORED: [&str; 8] = [
    ".ansible",
    ".git",
    ".hg",
    ".mypy_cache",
    ".pytest_cache",
    ".svn",
    ".vagrant",
    "__pycache__",
];
const IGNORED_ENDS: [&str; 5] = [".pyc", ".retry", ".swp", ".lock.hcl", "~"];

/// The folders beside a playbook that Ansible looks into by name.
const KNOWN: [&str; 30] = [
    "action_plugins",
    "become_plugins",
    "cache_plugins",
    "callback_plugins",
    "cliconf_plugins",
    "collections",
    "connection_plugins",
    "defaults",
    "doc_fragments",
    "files",
    "filter_plugins",
    "group_vars",
    "handlers",
    "host_vars",
    "inventory",
    "library",
    "lookup_plugins",
    "meta",
    "module_utils",
    "playbooks",
    "plugins",
    "roles",
    "shell_plugins",
    "strategy_plugins",
    "tasks",
    "templates",
    "test_plugins",
    "vars",
    "vars_plugins",
    "vault",
];

/// Files that count, by the labels that the key knows them by.
#[derive(Debug, Default)]
pub(super) struct Counted {
    files: BTreeMap<String, PathBuf>,
    /// Real paths of folders that have been looked into.
    folders: BTreeSet<PathBuf>,
    /// Real paths of the files.
    known: BTreeSet<PathBuf>,
    /// YAML files whose text has not been looked at, with their labels' folder.
    unread: Vec<PathBuf>,
}

impl Counted {
    /// Counts a playbook and what it can read. What lies in `working_folder` is not all its own.
    pub(super) fn playbook(&mut self, playbook: &Path, working_folder: &Path) {
        let folder = playbook.parent().unwrap_or(Path::new("/"));
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        self.file(playbook, name_of(playbook), true);
        if is_shared(&folder, working_folder) {
            self.known_members(&folder);
        } else {
            self.tree(&folder, "", true);
        }
        self.referenced(&folder);
    }

    /// Counts the variables that belong to an inventory in `folder`.
    pub(super) fn inventory_variables(&mut self, folder: &Path, label: &str) {
        for name in ["group_vars", "host_vars"] {
            let path = folder.join(name);
            if path.is_dir() {
                self.tree(&path, &format!("{label}/{name}"), false);
            }
        }
    }

    /// Counts a file, or a folder with all that is in it, if it is there.
    pub(super) fn path(&mut self, path: &Path, label: &str) {
        if path.is_dir() {
            self.tree(path, label, false);
        } else if path.exists() {
            self.file(path, label.to_owned(), false);
        }
    }

    /// Counts which collections are installed in `folder`. Each has a list of its files with their
    /// digests, and the digest of that list in its manifest, so that the manifest is enough.
    pub(super) fn installed_collections(&mut self, folder: &Path, label: &str) {
        let members = |folder: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        };
        for namespace in members(&folder.join("ansible_collections")) {
            for collection in members(&namespace) {
                let name = format!("{label}/{}.{}", name_of(&namespace), name_of(&collection));
                let manifest = collection.join("MANIFEST.json");
                if manifest.is_file() {
                    self.file(&manifest, name, false);
                } else if collection.is_dir() {
                    self.tree(&collection, &name, false);
                }
            }
        }
    }

    /// All that counts, sorted by label.
    pub(super) fn inputs(self) -> Vec<Input> {
        let files = self.files.into_iter();
        files
            .map(|(label, path)| Input {
                label,
                // Of a link that leads nowhere, that is all there is to say.
                is_generated: !path.exists(),
                path,
            })
            .collect()
    }

    fn file(&mut self, path: &Path, label: String, is_read: bool) {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.real_file(path, real, label, is_read);
    }

    fn real_file(&mut self, path: &Path, real: PathBuf, label: String, is_read: bool) {
        if is_read && is_yaml(path) {
            self.unread.push(real.clone());
        }
        self.known.insert(real);
        self.files.insert(label, path.to_owned());
    }

    /// Counts all that is in a folder, links followed as Ansible follows them.
    fn tree(&mut self, path: &Path, label: &str, is_read: bool) {
        let mut pending = vec![(path.to_owned(), label.to_owned())];
        while let Some((folder, label)) = pending.pop() {
            let real = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
            if !self.folders.insert(real.clone()) {
                continue;
            }
            let Ok(entries) = fs::read_dir(&folder) else {
                // Whoever digests it says what is wrong.
                self.files.insert(label, folder);
                continue;
            };
            let mut is_empty = true;
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                is_empty = false;
                if is_ignored(&name) {
                    continue;
                }
                let label = match label.as_str() {
                    "" => name.clone(),
                    label => format!("{label}/{name}"),
                };
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => pending.push((path, label)),
                    Ok(kind) if kind.is_file() => {
                        self.real_file(&path, real.join(entry.file_name()), label, is_read);
                    }
                    Ok(kind) if kind.is_symlink() && path.is_dir() => pending.push((path, label)),
                    Ok(kind) if kind.is_symlink() => self.file(&path, label, is_read),
                    _ => {}
                }
            }
            if is_empty && !label.is_empty() {
                self.files.insert(label, folder);
            }
        }
    }

    /// Counts what Ansible looks for by name in the folder of a playbook.
    fn known_members(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if KNOWN.contains(&name.as_str()) {
                    self.tree(&path, &name, true);
                }
            } else if is_yaml(&path) && !is_ignored(&name) {
                self.file(&path, name, true);
            }
        }
    }

    /// Counts what the text of YAML files names, also of those that come to it that way.
    fn referenced(&mut self, playbook_folder: &Path) {
        while let Some(file) = self.unread.pop() {
            let own = file.parent().unwrap_or(playbook_folder);
            for reference in references::of_file(&file) {
                for folder in BTreeSet::from([own, playbook_folder]) {
                    self.reference(&reference, folder, playbook_folder);
                }
            }
        }
    }

    fn reference(&mut self, reference: &Reference, folder: &Path, playbook_folder: &Path) {
        let path = folder.join(&reference.path);
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        if metadata.is_dir() && !reference.may_be_folder {
            return;
        }
        let Ok(real) = fs::canonicalize(&path) else {
            return;
        };
        let is_covered = real.ancestors().any(|it| self.folders.contains(it));
        // A folder above the playbook is everything, and nobody means that.
        if is_covered || self.known.contains(&real) || playbook_folder.starts_with(&real) {
            return;
        }
        let label = relative(&real, playbook_folder);
        if metadata.is_dir() {
            self.tree(&real, &label, true);
        } else if metadata.is_file() {
            self.file(&real, label, true);
        }
    }
}

/// Whether builds are started or described in a folder, so that not all in it is a playbook's.
fn is_shared(folder: &Path, working_folder: &Path) -> bool {
    let working_folder = fs::canonicalize(working_folder);
    if working_folder.is_ok_and(|it| it.starts_with(folder)) {
        return true;
    }
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json")
    })
}

fn is_ignored(name: &str) -> bool {
    IGNORED.contains(&name) || IGNORED_ENDS.iter().any(|end| name.ends_with(end))
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == "yml" || extension == "yaml"
}

fn name_of(path: &Path) -> String {
    crate::provision::input::base_name(path)
}

/// The path from a folder, with `..` where it has to go up; both are real paths.
fn relative(path: &Path, folder: &Path) -> String {
    let (mut path_parts, mut folder_parts) = (path.components(), folder.components());
    loop {
        let (path, folder) = (path_parts.clone().next(), folder_parts.clone().next());
        if path.is_none() || path != folder {
            break;
        }
        path_parts.next();
        folder_parts.next();
    }
    let up = folder_parts.map(|_| Component::ParentDir);
    let whole: PathBuf = up.chain(path_parts).collect();
    whole.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn labels(playbook: &Path, working_folder: &Path) -> Vec<String> {
        let mut counted = Counted::default();
        counted.playbook(playbook, working_folder);
        let inputs = counted.inputs();
        assert!(inputs.iter().all(|it| it.path.exists() != it.is_generated));
        inputs.into_iter().map(|input| input.label).collect()
    }

    #[test]
    fn a_folder_of_its_own_counts_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            &[
                ("play/site.yml", "- import_playbook: ../others/base.yml\n"),
                ("play/odd/data.bin", ""),
                ("play/.git/config", ""),
                ("play/filter_plugins/__pycache__/x.pyc", ""),
                ("play/site.retry", ""),
                (
                    "others/base.yml",
                    "vars_files: [more.yml, '../far/x.yml']\n",
                ),
                ("others/more.yml", ""),
                ("others/unused.yml", ""),
                ("far/x.yml", "src: ../play/odd/data.bin"),
                ("roles/web/tasks/main.yml", ""),
            ],
        );
        fs::create_dir(root.join("play/empty")).unwrap();
        symlink("../roles", root.join("play/roles")).unwrap();
        symlink("nowhere", root.join("play/broken")).unwrap();
        symlink(".", root.join("play/circle")).unwrap();
        assert_eq!(
            labels(&root.join("play/site.yml"), &root.join("work")),
            [
                "../far/x.yml",
                "../others/base.yml",
                "../others/more.yml",
                "broken",
                "empty",
                "odd/data.bin",
                "roles/web/tasks/main.yml",
                "site.yml",
            ]
        );
    }

    #[test]
    fn beside_a_template_only_known_and_named_files_count() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            &[
                (
                    "site.yml",
                    "copy: src=app.conf dest=/etc/out\nwith_fileglob: 'conf.d/*.conf'\n\
                     template: {src: \"{{ playbook_dir }}/tmpl/x.j2\"}\n# see ../ and out\n",
                ),
                ("web.pkr.hcl", ""),
                ("hardtack.lock.hcl", ""),
                ("app.conf", ""),
                ("unnamed.conf", ""),
                ("conf.d/a.conf", ""),
                ("tmpl/x.j2", ""),
                ("tmpl/y.j2", ""),
                ("group_vars/all.yml", ""),
                ("roles/web/files/index.html", ""),
                ("out/layout/index.json", ""),
            ],
        );
        let expected = [
            "app.conf",
            "conf.d/a.conf",
            "group_vars/all.yml",
            "roles/web/files/index.html",
            "site.yml",
            "tmpl/x.j2",
        ];
        assert_eq!(labels(&root.join("site.yml"), Path::new("/")), expected);
        fs::remove_file(root.join("web.pkr.hcl")).unwrap();
        assert_eq!(labels(&root.join("site.yml"), &root.join("out")), expected);
    }

    #[test]
    fn installed_collections_count_by_their_manifests() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[
                ("ansible_collections/a/b/MANIFEST.json", "{}"),
                ("ansible_collections/a/b/plugins/x.py", ""),
                ("ansible_collections/a/c/galaxy.yml", ""),
            ],
        );
        let mut counted = Counted::default();
        counted.installed_collections(folder.path(), "installed");
        let labels: Vec<String> = counted.inputs().into_iter().map(|it| it.label).collect();
        assert_eq!(labels, ["installed/a.b", "installed/a.c/galaxy.yml"]);
    }
}
