//! Mounts of a step: what its `mount` blocks say, decoded and checked.
//!
//! Nothing that is mounted gets into the layer, but all of it may decide what does. So the key of a
//! step holds what each block says, and the content of what comes from this host.

use super::secret::{self, StepSecret};
use crate::base::{SharedMount, SharedMountKind};
use crate::diagnostic::SourceSpan;
use crate::format;
use crate::provision::{Input, input};
use crate::sandbox::Owner;
use crate::template::Arguments;
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};

/// The kinds of `mount` blocks, in the order of the documentation.
const KINDS: [&str; 5] = ["cache", "secret", "ssh", "bind", "tmpfs"];
/// What no block may hide.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The only user of a secret and of an agent's socket where no other is named.
const PRIVATE_MODE: u32 = 0o400;
const SOCKET_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o755;
/// Where the socket of an agent is where the block does not say.
const AGENT_FOLDER: &str = "/run/hardtack/ssh";
/// Where a secret is where the block does not say.
const SECRET_FOLDER: &str = "/run/secrets";

/// One `mount` block.
#[derive(Clone, Debug)]
pub struct StepMount {
    /// Absolute, in the root; none for a secret that is a variable alone.
    pub target: Option<String>,
    /// The place of the block.
    pub span: SourceSpan,
    /// What is mounted.
    pub kind: StepMountKind,
}

/// What a `mount` block asks for.
#[derive(Clone, Debug)]
pub enum StepMountKind {
    /// A file or folder of this host.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Whether the step can change it: only what a source shares with all steps.
        writable: bool,
    },
    /// A file or folder of another build's image, read-only.
    Image {
        /// The build; its full name once all builds are known.
        build: String,
        /// Absolute, in that image.
        path: String,
    },
    /// Memory that is thrown away.
    Tmpfs {
        /// In bytes.
        size: Option<u64>,
        /// Permission bits of its root folder.
        mode: u32,
    },
    /// A folder that is kept between builds.
    Cache {
        /// Names it.
        id: String,
        /// Whether only one step at a time may have it.
        is_locked: bool,
        /// Whom it belongs to when it is made.
        owner: Owner,
    },
    /// A secret, in a file, a variable or both.
    Secret {
        /// What it is called, and where it comes from.
        secret: StepSecret,
        /// The variable that holds it.
        variable: Option<String>,
        /// Whom the file belongs to.
        owner: Owner,
    },
    /// The user's ssh agent.
    Agent {
        /// Names it.
        id: String,
        /// Whom the socket belongs to.
        owner: Owner,
        /// Whether the step fails without it.
        is_required: bool,
    },
}

impl StepMount {
    /// What the key of the step holds of it, beside its [input](StepMount::input) and the layers of
    /// an image.
    pub fn key_material(&self) -> Value {
        let target = &self.target;
        match &self.kind {
            StepMountKind::Image { path, .. } => {
                json!({ "kind": "image", "target": target, "path": path })
            }
            StepMountKind::Bind { .. } => json!({ "kind": "bind", "target": target }),
            StepMountKind::Tmpfs { mode, .. } => {
                json!({ "kind": "tmpfs", "target": target, "mode": octal(*mode) })
            }
            StepMountKind::Cache { id, owner, .. } => json!({
                "kind": "cache", "target": target, "id": id, "owner": owner_material(owner),
            }),
            StepMountKind::Secret {
                secret,
                variable,
                owner,
            } => json!({
                "kind": "secret", "target": target, "id": secret.id, "variable": variable,
                "owner": owner_material(owner),
            }),
            StepMountKind::Agent { id, owner, .. } => json!({
                "kind": "ssh", "target": target, "id": id, "owner": owner_material(owner),
            }),
        }
    }

    /// One that a source shares with all of its steps.
    pub fn shared(mount: &SharedMount, span: SourceSpan) -> Self {
        Self {
            target: Some(mount.target.clone()),
            span,
            kind: match &mount.kind {
                SharedMountKind::Host { source, writable } => StepMountKind::Bind {
                    source: source.clone(),
                    writable: *writable,
                },
                SharedMountKind::Memory { size, mode } => StepMountKind::Tmpfs {
                    size: *size,
                    mode: *mode,
                },
            },
        }
    }

    /// Whether the step can change something of this host through it.
    pub fn changes_host(&self) -> bool {
        matches!(self.kind, StepMountKind::Bind { writable: true, .. })
    }

    /// What it reads of this host.
    pub fn input(&self) -> Option<Input> {
        match &self.kind {
            StepMountKind::Bind {
                source,
                writable: false,
            } => Some(Input {
                label: format!(
                    "[mount {}] {}",
                    self.target.as_deref().unwrap_or_default(),
                    input::base_name(source)
                ),
                path: source.clone(),
                is_generated: false,
            }),
            _ => None,
        }
    }
}

impl StepMountKind {
    /// The build whose image it is of.
    pub fn image_of(&self) -> Option<&str> {
        match self {
            Self::Image { build, .. } => Some(build),
            _ => None,
        }
    }
}

/// Decodes all `mount` blocks of a provisioner; what is wrong is reported.
pub fn decode(arguments: &Arguments<'_>, working_folder: &Path) -> Vec<StepMount> {
    let mut mounts: Vec<StepMount> = Vec::new();
    for block in arguments.labelled_blocks("mount", 1) {
        // After an error arguments were not asked for that are right.
        let Some(mount) = decode_one(&block, working_folder) else {
            continue;
        };
        block.finish();
        if let Some(target) = &mount.target
            && mounts
                .iter()
                .any(|other| other.target.as_ref() == Some(target))
        {
            arguments.error(
                mount.span,
                format!("{target} is mounted twice"),
                &["give each `mount` block a target of its own"],
            );
        }
        mounts.push(mount);
    }
    mounts
}

fn decode_one(block: &Arguments<'_>, working_folder: &Path) -> Option<StepMount> {
    let kinds = format!("kinds of mounts are {}", KINDS.join(", "));
    let Some(kind) = block.label(0) else {
        block.error(
            block.header(),
            "a `mount` block needs its kind",
            &["write `mount \"KIND\" { … }`", &kinds],
        );
        return None;
    };
    if block.label(1).is_some() {
        block.error(
            block.label_span(1),
            "a `mount` block has one label, its kind",
            &[],
        );
        return None;
    }
    let decoded = match kind {
        "cache" => decode_cache(block),
        "secret" => decode_secret(block, working_folder),
        "ssh" => decode_agent(block),
        "bind" => decode_bind(block, working_folder),
        "tmpfs" => decode_tmpfs(block),
        other => {
            block.error(
                block.label_span(0),
                format!("there is no kind of mount {other:?}"),
                &[&kinds],
            );
            return None;
        }
    };
    let kind = decoded?;
    // Only a secret and an agent have a place of their own.
    let target = match &kind {
        StepMountKind::Secret {
            secret, variable, ..
        } => match block.optional::<String>("target") {
            Some(target) => Some(target),
            None if variable.is_some() => None,
            None => Some(format!("{SECRET_FOLDER}/{}", secret.id)),
        },
        StepMountKind::Agent { id, .. } => Some(
            block
                .optional("target")
                .unwrap_or_else(|| format!("{AGENT_FOLDER}/{id}")),
        ),
        _ => Some(block.required::<String>("target")?),
    };
    let target = match target {
        Some(target) => Some(check_target(block, &target)?),
        None => None,
    };
    Some(StepMount {
        target,
        span: block.header(),
        kind,
    })
}

fn decode_cache(block: &Arguments<'_>) -> Option<StepMountKind> {
    let id = id(block, block.optional("target"))?;
    let sharing = block.optional::<String>("sharing");
    let is_locked = match sharing.as_deref() {
        None | Some("shared") => false,
        Some("locked") => true,
        Some(other) => {
            block.error(
                block.span("sharing"),
                format!("sharing cannot be {other:?}"),
                &["it is \"shared\" (the default), or \"locked\" for one step at a time"],
            );
            return None;
        }
    };
    Some(StepMountKind::Cache {
        id,
        is_locked,
        owner: owner(block, FOLDER_MODE)?,
    })
}

fn decode_secret(block: &Arguments<'_>, working_folder: &Path) -> Option<StepMountKind> {
    let id = plain_id(block, id(block, None)?)?;
    let secret = secret::decode(block, id, working_folder)?;
    let variable = block.optional::<String>("variable");
    if let Some(name) = &variable
        && !is_variable(name)
    {
        block.error(
            block.span("variable"),
            format!("{name:?} is no name of a variable"),
            &["names have letters, digits and `_`, and begin with no digit"],
        );
        return None;
    }
    Some(StepMountKind::Secret {
        secret,
        variable,
        owner: owner(block, PRIVATE_MODE)?,
    })
}

fn decode_agent(block: &Arguments<'_>) -> Option<StepMountKind> {
    Some(StepMountKind::Agent {
        id: plain_id(block, id(block, Some("default".to_owned()))?)?,
        owner: owner(block, SOCKET_MODE)?,
        is_required: block.optional("required").unwrap_or(true),
    })
}

/// The argument `id`; none after an error.
fn id(block: &Arguments<'_>, default: Option<String>) -> Option<String> {
    let id = match default {
        Some(default) => block.optional("id").unwrap_or(default),
        None => block.required::<String>("id")?,
    };
    if id.is_empty() {
        block.error(block.span("id"), "an id cannot be empty", &[]);
        return None;
    }
    Some(id)
}

/// An id that is the name of a file and of a flag too.
fn plain_id(block: &Arguments<'_>, id: String) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if id.bytes().all(is_plain) && !id.starts_with('.') {
        return Some(id);
    }
    block.error(
        block.span("id"),
        format!("{id:?} cannot be an id here"),
        &["ids have letters, digits, `.`, `_` and `-`, and do not begin with `.`"],
    );
    None
}

fn is_variable(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_letter)
        && !name.is_empty()
        && !name.starts_with(|it: char| it.is_ascii_digit())
}

/// The arguments `uid`, `gid` and `mode`; none after an error.
fn owner(block: &Arguments<'_>, default: u32) -> Option<Owner> {
    let owner = Owner {
        uid: block.optional("uid").unwrap_or(0),
        gid: block.optional("gid").unwrap_or(0),
        mode: mode(block, default)?,
    };
    (!block.any_failed(&["uid", "gid"])).then_some(owner)
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn owner_material(owner: &Owner) -> String {
    format!("{}:{} {}", owner.uid, owner.gid, octal(owner.mode))
}

fn decode_bind(block: &Arguments<'_>, working_folder: &Path) -> Option<StepMountKind> {
    if block.has("from") {
        if block.has("source") {
            block.error(
                block.span("source"),
                "a mount is of this host or of another build, not of both",
                &["leave out `source` or `from`"],
            );
            return None;
        }
        let build: String = block.required("from")?;
        let path = block.optional("path").unwrap_or_else(|| "/".to_owned());
        if !Path::new(&path).is_absolute() || path.contains('\0') {
            block.error(
                block.span("path"),
                format!("{path:?} is no absolute path"),
                &["write the whole path in the image of the build"],
            );
            return None;
        }
        return Some(StepMountKind::Image { build, path });
    }
    let source: String = block.required("source")?;
    let path = working_folder.join(&source);
    if let Err(error) = std::fs::metadata(&path) {
        block.error(
            block.span("source"),
            format!("cannot mount {source}: {error}"),
            &["paths start from the working directory; use \"${path.root}/…\" for files beside the template"],
        );
        return None;
    }
    Some(StepMountKind::Bind {
        source: path,
        writable: false,
    })
}

fn decode_tmpfs(block: &Arguments<'_>) -> Option<StepMountKind> {
    let size = match block.optional::<String>("size") {
        Some(text) => Some(size(block, "size", &text)?),
        None => None,
    };
    Some(StepMountKind::Tmpfs {
        size,
        // As the kernel's own: everybody's, as /tmp.
        mode: mode(block, 0o1777)?,
    })
}

/// A size that is more than nothing.
pub(super) fn size(arguments: &Arguments<'_>, name: &str, text: &str) -> Option<u64> {
    let problem = match format::parse_bytes(text) {
        Ok(0) => "it cannot be nothing".to_owned(),
        Ok(size) => return Some(size),
        Err(problem) => problem,
    };
    arguments.error(arguments.span(name), format!("`{name}`: {problem}"), &[]);
    None
}

/// The argument `mode`, in octal digits as in all of Packer; none after an error.
fn mode(block: &Arguments<'_>, default: u32) -> Option<u32> {
    let Some(text) = block.optional::<String>("mode") else {
        return (!block.any_failed(&["mode"])).then_some(default);
    };
    let is_octal = !text.is_empty() && text.chars().all(|digit| digit.is_digit(8));
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if is_octal && mode <= 0o7777 => Some(mode),
        _ => {
            block.error(
                block.span("mode"),
                format!("{text:?} are no permissions"),
                &["write them in octal digits, like \"0755\""],
            );
            None
        }
    }
}

/// Reports a target that cannot be mounted on; gives it without needless parts.
fn check_target(block: &Arguments<'_>, target: &str) -> Option<String> {
    let refuse = |problem: &str, help: &[&str]| {
        let problem = format!("cannot mount on {target:?}: {problem}");
        block.error(block.span("target"), problem, help);
        None
    };
    let path = Path::new(target);
    if !path.is_absolute() {
        return refuse("it is not absolute", &["write the whole path in the image"]);
    }
    if target.contains('\0') {
        return refuse("it holds a zero byte", &[]);
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return refuse("it holds `..`", &["write the path without it"]);
    }
    let clean: PathBuf = path.components().collect();
    if clean == Path::new("/") {
        return refuse("that is the whole root", &[]);
    }
    if RESERVED.iter().any(|folder| clean.starts_with(folder)) && clean != Path::new("/dev/shm") {
        return refuse("that belongs to the sandbox", &["choose a place elsewhere"]);
    }
    Some(clean.display().to_string())
}
