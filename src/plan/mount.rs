//! Mounts of a step: what its `mount` blocks say, decoded and checked.
//!
//! Nothing that is mounted gets into the layer, but all of it may decide what does. So the key of a
//! step holds what each block says, and the content of what comes from this host.

use crate::diagnostic::SourceSpan;
use crate::format;
use crate::provision::{Input, input};
use crate::template::Arguments;
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};

/// The kinds of `mount` blocks, in the order of the documentation.
const KINDS: [&str; 2] = ["bind", "tmpfs"];
/// What no block may hide.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// One `mount` block.
#[derive(Clone, Debug)]
pub struct StepMount {
    /// Absolute, in the root.
    pub target: String,
    /// The place of the block.
    pub span: SourceSpan,
    /// What is mounted.
    pub kind: StepMountKind,
}

/// What a `mount` block asks for.
#[derive(Clone, Debug)]
pub enum StepMountKind {
    /// A file or folder of this host, read-only.
    Bind {
        /// On the host.
        source: PathBuf,
    },
    /// Memory that is thrown away.
    Tmpfs {
        /// In bytes.
        size: Option<u64>,
        /// Permission bits of its root folder.
        mode: u32,
    },
}

impl StepMount {
    /// What the key of the step holds of it, beside its [input](StepMount::input).
    pub fn key_material(&self) -> Value {
        let target = &self.target;
        match &self.kind {
            StepMountKind::Bind { .. } => json!({ "kind": "bind", "target": target }),
            StepMountKind::Tmpfs { mode, .. } => {
                json!({ "kind": "tmpfs", "target": target, "mode": format!("{mode:04o}") })
            }
        }
    }

    /// What it reads of this host.
    pub fn input(&self) -> Option<Input> {
        match &self.kind {
            StepMountKind::Bind { source } => Some(Input {
                label: format!("[mount {}] {}", self.target, input::base_name(source)),
                path: source.clone(),
                is_generated: false,
            }),
            StepMountKind::Tmpfs { .. } => None,
        }
    }
}

/// Decodes all `mount` blocks of a provisioner; what is wrong is reported.
pub fn decode(arguments: &Arguments<'_>, working_folder: &Path) -> Vec<StepMount> {
    let mut mounts: Vec<StepMount> = Vec::new();
    for block in arguments.labelled_blocks("mount", 1) {
        let mount = decode_one(&block, working_folder);
        block.finish();
        let Some(mount) = mount else { continue };
        if mounts.iter().any(|other| other.target == mount.target) {
            arguments.error(
                mount.span,
                format!("{} is mounted twice", mount.target),
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
    let target = block.required::<String>("target");
    let target = target.and_then(|target| check_target(block, &target))?;
    Some(StepMount {
        target,
        span: block.header(),
        kind: decoded?,
    })
}

fn decode_bind(block: &Arguments<'_>, working_folder: &Path) -> Option<StepMountKind> {
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
    Some(StepMountKind::Bind { source: path })
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
