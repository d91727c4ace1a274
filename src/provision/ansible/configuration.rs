//! `ansible.cfg`: which one Ansible will read, and the few of its settings that matter here.
//!
//! All of it counts for a step's key, and Ansible itself reads it; nothing is checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "ansible.cfg";

/// The configuration that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The file; none if there is none.
    pub(super) path: Option<PathBuf>,
    /// By section and key.
    settings: BTreeMap<(String, String), String>,
}

impl Configuration {
    /// Finds it where Ansible does: what `ANSIBLE_CONFIG` names, the working folder, the home
    /// folder, `/etc/ansible`.
    pub(super) fn find(named: Option<&str>, working_folder: &Path, home: Option<&Path>) -> Self {
        let named = named.filter(|it| !it.is_empty()).map(|named| {
            let path = expanded(named, working_folder, home);
            if path.is_dir() { path.join(NAME) } else { path }
        });
        let places = [
            named,
            Some(working_folder.join(NAME)),
            home.map(|home| home.join(".ansible.cfg")),
            Some(Path::new("/etc/ansible").join(NAME)),
        ];
        let Some(path) = places.into_iter().flatten().find(|path| path.is_file()) else {
            return Self::default();
        };
        // What cannot be read is reported when its content is wanted for the key.
        let text = fs::read_to_string(&path).unwrap_or_default();
        Self {
            path: Some(path),
            settings: parse(&text),
        }
    }

    /// A setting; none if it is not made.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let setting = self.settings.get(&(section.to_owned(), key.to_owned()));
        setting.map(String::as_str)
    }

    /// A setting that is a list of paths, which start from the file's folder.
    pub(super) fn paths(&self, key: &str, home: Option<&Path>) -> Option<Vec<PathBuf>> {
        let folder = self.path.as_deref()?.parent()?;
        let list = self.get("defaults", key)?.split(':');
        let list = list.map(str::trim).filter(|it| !it.is_empty());
        Some(list.map(|it| expanded(it, folder, home)).collect())
    }
}

/// A path as Ansible reads it.
pub(super) fn expanded(path: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

/// Reads `[section]` and `key = value` lines; values do not go on in the next line.
fn parse(text: &str) -> BTreeMap<(String, String), String> {
    let mut settings = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            section = name.trim().to_owned();
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            let value = value.split(" ;").next().unwrap_or_default().trim();
            settings.insert(
                (section.clone(), key.trim().to_lowercase()),
                value.to_owned(),
            );
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_is_there_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (home, work) = (folder.path().join("home"), folder.path().join("work"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&work).unwrap();
        let find = |named| Configuration::find(named, &work, Some(&home)).path;
        fs::write(home.join(".ansible.cfg"), "").unwrap();
        assert_eq!(find(None), Some(home.join(".ansible.cfg")));
        fs::write(work.join("ansible.cfg"), "").unwrap();
        assert_eq!(find(None), Some(work.join("ansible.cfg")));
        fs::write(home.join("ansible.cfg"), "").unwrap();
        assert_eq!(find(Some("~/")), Some(home.join("ansible.cfg")));
        assert_eq!(
            find(Some("../home/ansible.cfg")),
            Some(work.join("../home/ansible.cfg"))
        );
        assert_eq!(find(Some("missing")), Some(work.join("ansible.cfg")));
    }

    #[test]
    fn settings_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = "\
# a comment
[defaults]
roles_path = roles : ~/more:/etc/roles ; a note
Forks=5
[privilege_escalation]
become_method: su
";
        fs::write(folder.path().join("ansible.cfg"), text).unwrap();
        let home = Path::new("/home/me");
        let found = Configuration::find(None, folder.path(), Some(home));
        let paths = [
            folder.path().join("roles"),
            "/home/me/more".into(),
            "/etc/roles".into(),
        ];
        assert_eq!(found.paths("roles_path", Some(home)).unwrap(), paths);
        assert_eq!(found.get("defaults", "forks"), Some("5"));
        assert_eq!(
            found.get("privilege_escalation", "become_method"),
            Some("su")
        );
        assert_eq!(found.get("defaults", "become_method"), None);
    }
}
