//! Staging: host files that lie in the root while a step's tool reads them.
//!
//! ansible-local, puppet-masterless, salt-masterless and chef-solo do the same with other tools.
//! A *staged* file or folder is put into the root, a command that `/bin/sh` runs reads it, and
//! after the step it is gone, with the folders that were made for it.

use super::input::base_name;
use super::{Input, ProvisionError, StartState};
use crate::sandbox::Action;
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What a checkout has beside its files: it changes with every commit, and no tool reads it.
const HISTORY: &str = ".git";

/// Keeps Python from writing `__pycache__` folders.
const NO_BYTECODE: &str = "PYTHONDONTWRITEBYTECODE";

/// Something that lies in the root while the step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The option that names it, with a number if it names several.
    label: String,
    /// Where it lies in the root.
    target: String,
    content: Content,
    /// It stays in the image.
    is_kept: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// A host file.
    File(PathBuf),
    /// What a host folder contains.
    Folder(PathBuf),
    /// A text that is not from a file.
    Text(String),
}

impl Staged {
    /// A host file.
    pub fn file(label: &str, source: PathBuf, target: String) -> Self {
        Self::new(label, target, Content::File(source))
    }

    /// What a host folder contains, without the history of its repository.
    pub fn folder(label: &str, source: PathBuf, target: String) -> Self {
        Self::new(label, target, Content::Folder(source))
    }

    /// Host folders, each at `prefix` with its own name.
    pub fn folders_by_name(label: &str, sources: Vec<PathBuf>, prefix: &str) -> Vec<Self> {
        let numbered = sources.into_iter().enumerate();
        numbered
            .map(|(index, source)| {
                let target = format!("{prefix}/{}", file_name(&source));
                Self::folder(&format!("{label}[{index}]"), source, target)
            })
            .collect()
    }

    /// Host folders, each at `prefix` with its number.
    pub fn folders_by_number(label: &str, sources: Vec<PathBuf>, prefix: &str) -> Vec<Self> {
        let numbered = sources.into_iter().enumerate();
        numbered
            .map(|(index, source)| {
                let target = format!("{prefix}{index}");
                Self::folder(&format!("{label}[{index}]"), source, target)
            })
            .collect()
    }

    /// A text.
    pub fn text(label: &str, text: String, target: String) -> Self {
        Self::new(label, target, Content::Text(text))
    }

    /// The same, to stay in the image.
    pub fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    fn new(label: &str, target: String, content: Content) -> Self {
        Self {
            label: label.to_owned(),
            target,
            content,
            is_kept: false,
        }
    }

    /// Where it lies in the root.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What of it decides the step's result, beside the content of host files.
    pub fn key_material(&self) -> serde_json::Value {
        match &self.content {
            Content::Text(text) => json!({ "target": self.target, "text": text }),
            Content::File(_) => json!({ "target": self.target, "kept": self.is_kept }),
            Content::Folder(path) => {
                // Inputs follow the link that they are, so these are told here.
                let links = Members::of(path).map(|members| members.links);
                let links = links.unwrap_or_default().into_iter();
                let escaped = |text: &OsStr| text.as_bytes().escape_ascii().to_string();
                let links: BTreeMap<String, String> = links
                    .map(|(name, target)| (escaped(&name), escaped(target.as_os_str())))
                    .collect();
                json!({ "target": self.target, "kept": self.is_kept, "links": links })
            }
        }
    }

    /// The host files that it consists of.
    pub fn inputs(&self) -> Vec<Input> {
        let input = |path: &Path, label: String| Input {
            label,
            path: path.to_owned(),
            is_generated: false,
        };
        match &self.content {
            Content::Text(_) => Vec::new(),
            Content::File(path) => {
                vec![input(path, format!("{} {}", self.label, base_name(path)))]
            }
            Content::Folder(path) => {
                let label = format!("{} {}", self.label, base_name(path));
                // A folder that cannot be read is told when it is digested.
                match Members::of(path) {
                    Ok(members) => members
                        .others
                        .iter()
                        .map(|member| input(member, format!("{label}/{}", base_name(member))))
                        .collect(),
                    Err(_) => vec![input(path, label)],
                }
            }
        }
    }

    /// Puts it into the root, for `owner`; what is not on the host passes through `scratch`, named by
    /// `number`.
    fn actions(
        &self,
        scratch: &Path,
        number: usize,
        owner: &str,
    ) -> Result<Vec<Action>, ProvisionError> {
        let upload = |source: PathBuf, contents_only: bool, destination: String| Action::Upload {
            source,
            contents_only,
            destination,
            owner: owner.to_owned(),
            mode: None,
        };
        let target = || self.target.clone();
        Ok(match &self.content {
            Content::File(path) => vec![upload(path.clone(), false, target())],
            Content::Text(text) => {
                let source = scratch.join(format!("staged_{number}"));
                fs::write(&source, text).map_err(ProvisionError::write(&source))?;
                // Not what the umask of this process makes of it.
                fs::set_permissions(&source, fs::Permissions::from_mode(0o644))
                    .map_err(ProvisionError::write(&source))?;
                vec![upload(source, false, target())]
            }
            Content::Folder(path) => {
                let members = Members::of(path).map_err(ProvisionError::read(path))?;
                let links = scratch.join(format!("staged_{number}"));
                make_links(&links, &members.links).map_err(ProvisionError::write(&links))?;
                // It makes the folder too, whatever that contains.
                let mut actions = vec![upload(links, true, target())];
                let folder = format!("{}/", self.target);
                let others = members.others.into_iter();
                actions.extend(others.map(|member| upload(member, false, folder.clone())));
                actions
            }
        })
    }

    /// What is taken away after the step: all of it, or where something lies already, what is new.
    fn temporary(&self) -> Vec<Action> {
        let mut paths = vec![self.target.clone()];
        if let Content::Folder(path) = &self.content {
            let members = fs::read_dir(path).into_iter().flatten().flatten();
            let mut names: Vec<String> = members
                .filter_map(|member| member.file_name().into_string().ok())
                .collect();
            names.sort_unstable();
            paths.extend(names.iter().map(|name| format!("{}/{name}", self.target)));
        }
        paths
            .into_iter()
            .map(|path| Action::Temporary { path })
            .collect()
    }
}

/// The members of a host folder, but for the history of its repository. Links are told apart: one
/// by one, the others would be what they lead to.
struct Members {
    links: BTreeMap<OsString, PathBuf>,
    /// Sorted.
    others: Vec<PathBuf>,
}

impl Members {
    fn of(folder: &Path) -> std::io::Result<Self> {
        let mut members = Self {
            links: BTreeMap::new(),
            others: Vec::new(),
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name() == HISTORY {
                continue;
            }
            if entry.file_type()?.is_symlink() {
                let target = fs::read_link(entry.path())?;
                members.links.insert(entry.file_name(), target);
            } else {
                members.others.push(entry.path());
            }
        }
        members.others.sort();
        Ok(members)
    }
}

/// Makes a folder that has the same links.
fn make_links(folder: &Path, links: &BTreeMap<OsString, PathBuf>) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    // Not what the umask of this process makes of it.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for (name, target) in links {
        symlink(target, folder.join(name))?;
    }
    Ok(())
}

/// Puts everything into the root.
///
/// `folder` is where commands write as well; it is temporary unless it `stays`.
pub fn stage(
    staged: &[Staged],
    folder: Option<(&str, bool)>,
    scratch: &Path,
    start: &StartState,
) -> Result<Vec<Action>, ProvisionError> {
    let mut actions = Vec::new();
    let stays = folder.is_some_and(|(_, stays)| stays);
    if let Some((folder, false)) = folder {
        actions.push(Action::Temporary {
            path: folder.to_owned(),
        });
    }
    for one in staged.iter().filter(|one| !stays && !one.is_kept) {
        actions.extend(one.temporary());
    }
    // Who runs the tool can write where the tool does, and read what only its owner may.
    let owner = folder.map_or("", |_| start.user.as_str());
    for (number, one) in staged.iter().enumerate() {
        actions.extend(one.actions(scratch, number, owner)?);
    }
    Ok(actions)
}

/// Runs a command line as the base's user.
pub fn run(command: String, start: &StartState, accept: Vec<i32>) -> Action {
    Action::Run {
        files: Vec::new(),
        command: start.command(["/bin/sh", "-c", &command]),
        accept,
    }
}

/// Runs a command line of a tool that is written in Python. What the tool consists of is part of
/// the layers below, so it is not the step's work to compile it.
pub fn run_python(command: String, start: &StartState, accept: Vec<i32>) -> Action {
    let mut start = start.clone();
    let mut names = start.environment.iter().map(|(name, _)| name);
    if names.all(|name| name != NO_BYTECODE) {
        let variable = (NO_BYTECODE.to_owned(), "1".to_owned());
        start.environment.push(variable);
    }
    run(command, &start, accept)
}

/// Whether commands run as root, who needs no sudo.
pub fn is_root(start: &StartState) -> bool {
    let user = start.user.split(':').next().unwrap_or_default();
    matches!(user, "" | "0" | "root")
}

/// All exit codes but those of a command that cannot be run: for options that ignore failures. A
/// tool that is missing has not failed.
pub fn any_exit_code() -> Vec<i32> {
    (0..=255)
        .filter(|code| ![126, 127].contains(code))
        .collect()
}

/// A text as one word of a shell's command line; one without special characters stays as it is.
pub fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\"'\"'")))
}

/// The last part of a path as text, also of one that ends in `/`.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
