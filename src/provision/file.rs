//! The `file` provisioner: host files into the root, or out of it.
//!
//! An upload runs nothing inside the root. Packer's rules for trailing slashes hold: a
//! destination that ends in `/` is a folder; a source folder that ends in `/` stands for what it
//! contains. Uploaded files belong to root and keep their permission bits, unless `owner`, `mode` or
//! the source say otherwise; their times are the source date epoch, since those of a checkout mean nothing.

mod exclude;

pub use exclude::{Exclusion, glob as pattern_glob};

use super::input::base_name;
use super::{Context, Input, ProvisionError, Provisioner, StartState};
use crate::sandbox::Action;
use crate::template::Arguments;
use exclude::{Kind, Member, shown};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The name that `content` gets in a destination folder, as Packer documents it.
const CONTENT_NAME: &str = "pkr-file-content";

/// What is copied, and which way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Transfer {
    Content(String),
    Upload(Vec<UploadSource>),
    Download(Vec<String>),
    /// Paths in the root, among them what is mounted there.
    Within(Vec<String>),
    /// Folders that are made where they are missing.
    Folders(Vec<String>),
}

/// One host file or folder of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UploadSource {
    path: PathBuf,
    /// The source was written with a trailing slash.
    contents_only: bool,
}

/// A `file` provisioner.
#[derive(Clone, Debug)]
pub struct Files {
    transfer: Transfer,
    /// In the root for an upload; as written in the template for a download.
    destination: String,
    /// Where downloads go on the host.
    working_folder: PathBuf,
    /// The sources are made while the build runs.
    generated: bool,
    /// To whom uploaded files belong; none if the source decides.
    owner: Option<String>,
    /// Permission bits of uploaded files.
    mode: Option<u32>,
    /// What is left out of source folders.
    exclusion: Exclusion,
}

/// Decodes the options of a `file` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let content: Option<String> = arguments.optional("content");
    let source: Option<String> = arguments.optional("source");
    let sources: Option<Vec<String>> = arguments.optional("sources");
    let folders: Option<Vec<String>> = arguments.optional("folders");
    let folders = folders.filter(|folders| !folders.is_empty());
    let destination: Option<String> = match folders {
        None => arguments.required("destination"),
        Some(_) => arguments.optional("destination"),
    };
    let direction: String = arguments
        .optional("direction")
        .unwrap_or_else(|| "upload".to_owned());
    let generated = arguments.optional("generated").unwrap_or(false);
    let owner: Option<String> = arguments.optional("owner");
    let mode: Option<String> = arguments.optional("mode");

    let mut valid = true;
    if direction == "download" {
        for option in ["owner", "mode"].into_iter().filter(|it| arguments.has(it)) {
            arguments.error(
                arguments.span(option),
                format!("{option} goes with uploads"),
                &["what is downloaded belongs to whoever runs the build"],
            );
            valid = false;
        }
    }
    let mode = match mode.as_deref().map(permission_bits) {
        None => None,
        Some(Some(mode)) => Some(mode),
        Some(None) => {
            arguments.error(
                arguments.span("mode"),
                "mode is not a number of permission bits",
                &["write it in octal digits and as a string, as \"0644\""],
            );
            valid = false;
            None
        }
    };
    if !["upload", "download", "within"].contains(&direction.as_str()) {
        arguments.error(
            arguments.span("direction"),
            format!("direction cannot be {direction:?}"),
            &["it is \"upload\" (from the host into the image, the default), \"download\", or \"within\" the image"],
        );
        valid = false;
    }
    let sources = sources.filter(|sources| !sources.is_empty());
    let named: Vec<String> = source
        .iter()
        .cloned()
        .chain(sources.into_iter().flatten())
        .collect();
    let option = if source.is_some() {
        "source"
    } else {
        "sources"
    };
    let given = [content.is_some(), !named.is_empty(), folders.is_some()];
    let is_one = given.iter().filter(|given| **given).count() == 1;
    if !is_one && !arguments.any_failed(&["content", "source", "sources", "folders"]) {
        let problem = match given {
            [true, true, _] => "content cannot be given together with source or sources",
            [_, _, true] => "folders cannot be given together with content, source or sources",
            _ => "one of content, source, sources and folders must be given",
        };
        arguments.error(arguments.header(), problem, &[]);
        valid = false;
    }
    if folders.is_some() && destination.is_some() {
        arguments.error(
            arguments.span("destination"),
            "folders have no destination",
            &["they are made where their paths say"],
        );
        valid = false;
    }
    let exclude: Vec<String> = arguments.optional("exclude").unwrap_or_default();
    let exclusion = match Exclusion::read(&exclude) {
        Ok(exclusion) => exclusion,
        Err(problem) => {
            arguments.error(arguments.span("exclude"), problem, &[]);
            valid = false;
            Exclusion::default()
        }
    };
    if !exclusion.is_empty() && (direction != "upload" || named.is_empty()) {
        arguments.error(
            arguments.span("exclude"),
            "exclude goes with source or sources on the host",
            &[],
        );
        valid = false;
    }
    if content.is_some() && direction != "upload" {
        arguments.error(
            arguments.span("content"),
            format!("content has no direction {direction:?}"),
            &["name the file in the image with `source`"],
        );
        valid = false;
    }
    if destination.as_deref() == Some("") {
        arguments.error(
            arguments.span("destination"),
            "destination must not be empty",
            &[],
        );
        valid = false;
    }

    let transfer = if let Some(content) = content {
        Transfer::Content(content)
    } else if let Some(folders) = folders {
        Transfer::Folders(folders)
    } else if direction == "within" {
        Transfer::Within(named)
    } else if direction == "download" {
        Transfer::Download(named)
    } else {
        let mut uploads = Vec::new();
        for source in named {
            let path = context.working_folder.join(&source);
            if !generated && !path.exists() {
                arguments.error(
                    arguments.span(option),
                    format!("the source {source} does not exist"),
                    &[&format!("sources are looked up from the working directory {}; use \"${{path.root}}/…\" for files beside the template", context.working_folder.display())],
                );
                valid = false;
            }
            uploads.push(UploadSource {
                path,
                contents_only: source.ends_with('/'),
            });
        }
        Transfer::Upload(uploads)
    };
    let destination = match transfer {
        Transfer::Folders(_) => String::new(),
        _ => destination?,
    };
    valid.then(|| {
        Box::new(Files {
            transfer,
            destination,
            working_folder: context.working_folder.clone(),
            generated,
            owner,
            mode,
            exclusion,
        }) as Box<dyn Provisioner>
    })
}

/// Reads up to four octal digits.
fn permission_bits(text: &str) -> Option<u32> {
    let is_octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let bits = u32::from_str_radix(text, 8).ok()?;
    (is_octal && bits <= 0o7777).then_some(bits)
}

impl Files {
    /// To whom uploads belong.
    fn owner(&self, start: &StartState) -> String {
        let owner = self.owner.as_ref();
        owner.unwrap_or(&start.upload_owner).clone()
    }

    /// What is copied of a source folder of which something is left out. One that cannot be read is
    /// told when it is copied.
    fn members(&self, source: &UploadSource) -> Vec<Member> {
        match self.exclusion.is_empty() || !source.path.is_dir() {
            true => Vec::new(),
            false => self.exclusion.members(&source.path).unwrap_or_default(),
        }
    }

    /// Adds to the key's material the folders and links of sources of which something is left out.
    fn with_members(&self, mut material: serde_json::Value) -> serde_json::Value {
        let Transfer::Upload(sources) = &self.transfer else {
            return material;
        };
        if self.exclusion.is_empty() {
            return material;
        }
        let of_source = |source: &UploadSource| -> Vec<String> {
            let members = self.members(source);
            let others = members.iter().filter_map(|member| match &member.kind {
                Kind::Folder(mode) => Some(format!("folder {mode:04o} {}", shown(&member.path))),
                Kind::Link(target) => {
                    Some(format!("link {} {}", shown(target), shown(&member.path)))
                }
                Kind::File => None,
            });
            others.collect()
        };
        let all: Vec<Vec<String>> = sources.iter().map(of_source).collect();
        if let Some(members) = material.as_object_mut() {
            members.insert("exclude".to_owned(), json!(self.exclusion.written()));
            members.insert("members".to_owned(), json!(all));
        }
        material
    }

    /// Where an upload's source is copied from: where it is, or a copy without what is left out.
    fn staged(
        &self,
        source: &UploadSource,
        scratch: &Path,
        index: usize,
    ) -> Result<PathBuf, ProvisionError> {
        if self.exclusion.is_empty() || !source.path.is_dir() {
            return Ok(source.path.clone());
        }
        let name = source.path.file_name().unwrap_or(OsStr::new("source"));
        let copy = scratch.join(format!("source_{}", index + 1)).join(name);
        self.exclusion.copy(&source.path, &copy)?;
        Ok(copy)
    }

    /// Adds to the key's material what uploads are given; what is not given is not in it.
    fn with_attributes(&self, mut material: serde_json::Value) -> serde_json::Value {
        if let (Some(owner), Some(members)) = (&self.owner, material.as_object_mut()) {
            members.insert("owner".to_owned(), json!(owner));
        }
        if let (Some(mode), Some(members)) = (self.mode, material.as_object_mut()) {
            members.insert("mode".to_owned(), json!(format!("{mode:04o}")));
        }
        material
    }
}

impl Provisioner for Files {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> String {
        match &self.transfer {
            Transfer::Content(_) => format!("content to {}", self.destination),
            Transfer::Upload(sources) => {
                let names: Vec<String> = sources
                    .iter()
                    .map(|source| base_name(&source.path))
                    .collect();
                format!("{} to {}", names.join(", "), self.destination)
            }
            Transfer::Download(sources) => format!("download {}", sources.join(", ")),
            Transfer::Within(sources) => {
                format!("{} to {}", sources.join(", "), self.destination)
            }
            Transfer::Folders(folders) => format!("folders {}", folders.join(", ")),
        }
    }

    fn key_material(&self) -> serde_json::Value {
        match &self.transfer {
            Transfer::Content(content) => {
                self.with_attributes(json!({ "content": content, "destination": self.destination }))
            }
            Transfer::Upload(sources) => {
                let sources: Vec<serde_json::Value> = sources
                    .iter()
                    .map(|source| {
                        // What a slash stands for has no name of its own in the image.
                        let name = (!source.contents_only).then(|| base_name(&source.path));
                        json!({ "name": name, "contents_only": source.contents_only })
                    })
                    .collect();
                let material = json!({ "sources": sources, "destination": self.destination });
                self.with_members(self.with_attributes(material))
            }
            Transfer::Download(sources) => json!({ "download": sources }),
            Transfer::Within(sources) => {
                self.with_attributes(json!({ "within": sources, "destination": self.destination }))
            }
            Transfer::Folders(folders) => self.with_attributes(json!({ "folders": folders })),
        }
    }

    fn inputs(&self) -> Vec<Input> {
        let Transfer::Upload(sources) = &self.transfer else {
            return Vec::new();
        };
        let mut inputs = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let label = if source.contents_only {
                format!("sources[{index}]")
            } else {
                format!("sources[{index}] {}", base_name(&source.path))
            };
            // What is left out does not count; links and folders are in the key's material.
            let members = self.members(source);
            if members.is_empty() {
                inputs.push(Input {
                    label: label.clone(),
                    path: source.path.clone(),
                    is_generated: self.generated,
                });
            }
            for member in members.iter().filter(|it| it.kind == Kind::File) {
                inputs.push(Input {
                    label: format!("{label}/{}", shown(&member.path)),
                    path: source.path.join(&member.path),
                    is_generated: self.generated,
                });
            }
        }
        inputs
    }

    fn changes_host(&self) -> bool {
        matches!(self.transfer, Transfer::Download(_))
    }

    fn actions(&self, scratch: &Path, start: &StartState) -> Result<Vec<Action>, ProvisionError> {
        Ok(match &self.transfer {
            Transfer::Content(content) => {
                let source = scratch.join(CONTENT_NAME);
                fs::write(&source, content).map_err(ProvisionError::write(&source))?;
                // Not what the umask of this process makes of it.
                fs::set_permissions(&source, fs::Permissions::from_mode(0o644))
                    .map_err(ProvisionError::write(&source))?;
                vec![Action::Upload {
                    source,
                    contents_only: false,
                    destination: self.destination.clone(),
                    owner: self.owner(start),
                    mode: self.mode,
                }]
            }
            Transfer::Upload(sources) => {
                let mut actions = Vec::with_capacity(sources.len());
                for (index, source) in sources.iter().enumerate() {
                    actions.push(Action::Upload {
                        source: self.staged(source, scratch, index)?,
                        contents_only: source.contents_only,
                        destination: self.destination.clone(),
                        owner: self.owner(start),
                        mode: self.mode,
                    });
                }
                actions
            }
            Transfer::Within(sources) => sources
                .iter()
                .map(|source| Action::Copy {
                    source: source.clone(),
                    destination: self.destination.clone(),
                    owner: self.owner.clone().unwrap_or_default(),
                    mode: self.mode,
                })
                .collect(),
            Transfer::Folders(folders) => {
                let empty = scratch.join("empty");
                fs::create_dir_all(&empty).map_err(ProvisionError::write(&empty))?;
                let mode = self.mode.unwrap_or(0o755);
                fs::set_permissions(&empty, fs::Permissions::from_mode(mode))
                    .map_err(ProvisionError::write(&empty))?;
                let upload = |folder: &String| Action::Upload {
                    source: empty.clone(),
                    contents_only: true,
                    destination: folder.clone(),
                    owner: self.owner.clone().unwrap_or_default(),
                    mode: self.mode,
                };
                folders.iter().map(upload).collect()
            }
            Transfer::Download(sources) => sources
                .iter()
                .map(|source| {
                    let mut destination = self.working_folder.join(&self.destination);
                    if self.destination.ends_with('/') {
                        destination.push("");
                    }
                    Action::Download {
                        source: source.clone(),
                        destination,
                    }
                })
                .collect(),
        })
    }
}
