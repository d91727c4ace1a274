//! Inventories: what Ansible is told of the one host that there is, the root of the step.

use super::CONNECTION;
use crate::provision::ProvisionError;
use crate::template::gotemplate::{self, GoTemplateData};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where Ansible learns of hosts.
#[derive(Clone, Debug)]
pub(super) enum Inventory {
    /// From a file of the user's.
    Given(PathBuf),
    /// From one that is made for the step.
    Made(MadeInventory),
}

/// What an inventory is made of.
#[derive(Clone, Debug)]
pub(super) struct MadeInventory {
    /// What the host is called.
    pub(super) host_alias: String,
    /// The groups that it is in.
    pub(super) groups: Vec<String>,
    /// Groups that are there, and empty.
    pub(super) empty_groups: Vec<String>,
    /// The host's line, a Go template.
    pub(super) template: Option<String>,
    /// Has the folders `group_vars` and `host_vars` that apply.
    pub(super) folder: Option<PathBuf>,
}

impl MadeInventory {
    /// The text of the inventory, for a login as `user`.
    pub(super) fn text(&self, user: &str, data: &GoTemplateData) -> Result<String, ProvisionError> {
        let line = match &self.template {
            None => format!("{} ansible_user={user}", self.host_alias),
            Some(template) => {
                // As Packer has it; nothing listens there.
                let data = data
                    .clone()
                    .with("HostAlias", self.host_alias.as_str())
                    .with("Host", "127.0.0.1")
                    .with("Port", "22")
                    .with("User", user);
                let rendered = gotemplate::render(template, &data);
                let rendered = rendered.map_err(|error| ProvisionError::GoTemplate {
                    option: "inventory_file_template",
                    problem: error.to_string(),
                })?;
                rendered.trim_end().to_owned()
            }
        };
        let line = if line.contains("ansible_connection=") {
            line
        } else {
            format!("{line} ansible_connection={CONNECTION}")
        };
        let mut text = format!("{line}\n");
        for group in &self.groups {
            text += &format!("[{group}]\n{line}\n");
        }
        let own: BTreeSet<&String> = self.groups.iter().collect();
        for group in self.empty_groups.iter().filter(|it| !own.contains(it)) {
            text += &format!("[{group}]\n");
        }
        Ok(text)
    }

    /// Writes the inventory into `folder`, with the variables that belong to it beside it.
    pub(super) fn write(&self, text: &str, folder: &Path) -> Result<PathBuf, ProvisionError> {
        fs::create_dir_all(folder).map_err(ProvisionError::write(folder))?;
        let path = folder.join("hosts");
        fs::write(&path, text).map_err(ProvisionError::write(&path))?;
        for name in ["group_vars", "host_vars"] {
            let source = self.folder.as_ref().map(|it| it.join(name));
            if let Some(source) = source.filter(|it| it.is_dir()) {
                let link = folder.join(name);
                symlink(source, &link).map_err(ProvisionError::write(&link))?;
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn data() -> GoTemplateData {
        GoTemplateData {
            fields: BTreeMap::new(),
            build_name: "web".into(),
            build_type: "oci".into(),
            working_folder: "/".into(),
            now: jiff::Timestamp::UNIX_EPOCH,
            random: Arc::new(|bytes: &mut [u8]| bytes.fill(0)),
        }
    }

    fn inventory() -> MadeInventory {
        MadeInventory {
            host_alias: "default".into(),
            groups: vec!["web".into(), "db".into()],
            empty_groups: vec!["cache".into(), "db".into()],
            template: None,
            folder: None,
        }
    }

    #[test]
    fn hosts_stand_in_their_groups() {
        let text = inventory().text("root", &data()).unwrap();
        let line = "default ansible_user=root ansible_connection=hardtack";
        assert_eq!(
            text,
            format!("{line}\n[web]\n{line}\n[db]\n{line}\n[cache]\n")
        );
    }

    #[test]
    fn lines_can_have_a_form_of_their_own() {
        for (template, expected) in [
            (
                "{{ .HostAlias }} ansible_host={{ .Host }}:{{ .Port }} ansible_user={{ .User }} x={{ build_name }}\n",
                "default ansible_host=127.0.0.1:22 ansible_user=app x=web ansible_connection=hardtack\n",
            ),
            ("x ansible_connection=local", "x ansible_connection=local\n"),
        ] {
            let made = MadeInventory {
                template: Some(template.into()),
                groups: Vec::new(),
                empty_groups: Vec::new(),
                ..inventory()
            };
            assert_eq!(made.text("app", &data()).unwrap(), expected);
        }
        let wrong = MadeInventory {
            template: Some("{{ .HostAlias".into()),
            ..inventory()
        };
        let error = wrong.text("app", &data()).unwrap_err().to_string();
        assert!(error.contains("inventory_file_template"), "{error}");
    }

    #[test]
    fn variables_come_along() {
        let folder = tempfile::tempdir().unwrap();
        let given = folder.path().join("inventory");
        fs::create_dir_all(given.join("group_vars")).unwrap();
        fs::write(given.join("group_vars/all.yml"), "x: 1").unwrap();
        let made = MadeInventory {
            folder: Some(given.clone()),
            ..inventory()
        };
        let path = made.write("text", &folder.path().join("own")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(
            fs::read_to_string(path.with_file_name("group_vars/all.yml")).unwrap(),
            "x: 1"
        );
        assert_eq!(fs::read_dir(given).unwrap().count(), 1);
    }
}
