//! The `docker` source: Packer's docker builder without Docker.
//!
//! The image is found as by the `oci` source. What Packer does with a container happens without
//! one: its options become how steps start, what the image's configuration says, and what is left
//! at the end. Each provisioner is a layer; the base's entrypoint and arguments stay.

mod mounts;
mod run_command;

use super::{Base, BaseError, Context, Input, InputContext, Outcome, PrepareContext};
use super::{ResolvedBase, SharedMount, SharedMountKind, StartChanges, UploadOwner, oci};
use crate::image::{ConfigChanges, Image, Instruction, instruction};
use crate::registry::options::{self, Login};
use crate::registry::{Client, Reference};
use crate::store::Platform;
use crate::template::{Arguments, Value, gotemplate};
use mounts::Mounted;
use run_command::RunCommand;
use std::collections::BTreeMap;

/// How options begin that say how Packer connects to a container that is a machine.
const COMMUNICATOR_PREFIXES: [&str; 4] = [
    "ssh_",
    "winrm_",
    "pause_before_connecting",
    "temporary_key_pair",
];

/// Options of Docker's that have no effect, with the reason.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("cap_add", RIGHTS),
    ("cap_drop", RIGHTS),
    ("privileged", RIGHTS),
    ("runtime", "steps run in hardtack's own sandbox"),
];
const RIGHTS: &str = "steps have the rights that docs/sandbox.md tells of";

/// A `docker` source.
#[derive(Debug)]
struct Docker {
    image: Box<dyn Base>,
    name: String,
    login: Option<Login>,
    start: StartChanges,
    changes: ConfigChanges,
    outcome: Outcome,
    message: Option<String>,
}

/// Decodes the options of a `docker` source.
pub fn prepare(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Box<dyn Base>> {
    let image: Option<String> = arguments.optional("image");
    let pull = arguments.optional("pull").unwrap_or(true);
    let author: Option<String> = arguments.optional("author");
    let message: Option<String> = arguments.optional("message");
    let exec_user: Option<String> = arguments.optional("exec_user");
    let fix_owner = arguments.optional("fix_upload_owner").unwrap_or(true);
    let login = options::login(arguments);
    let mut valid = login.is_ok();
    // There is no other program to call, no terminal, and nothing is mounted to copy files.
    let _: Option<String> = arguments.optional("docker_path");
    let _: Option<bool> = arguments.optional("pty");
    let _: Option<String> = arguments.optional("container_dir");
    warn(arguments);
    valid &= refuse(arguments);

    if let Some(block) = arguments.block("build") {
        valid = false;
        refuse_build(&block);
        if image.is_some() {
            arguments.error(
                arguments.span("image"),
                "image cannot be given together with a build block",
                &[],
            );
        }
    } else if image.is_none() && !arguments.any_failed(&["image"]) {
        arguments.error(
            arguments.header(),
            "`image` is required",
            &["it is a reference as `docker pull` takes it, for example \"debian:12\""],
        );
    }
    let outcome = outcome(arguments, context);
    let run = run_command(arguments, context, image.as_deref().unwrap_or_default());
    valid &= run.errors.is_empty();
    let mounts = shared_mounts(arguments, &run);
    let changes = changes(arguments, &run, author);
    let platform: Option<String> = arguments.optional("platform");
    let option = if platform.is_some() {
        "platform"
    } else {
        "run_command"
    };
    let platform = platform.or_else(|| run.platform.clone());
    let platform = oci::platform(arguments, option, platform.as_deref());

    let image_name = image?;
    let image = oci::named_image(arguments, context, &image_name, platform?, !pull)?;
    let (login, outcome, changes) = (login.ok()?, outcome?, changes?);
    let mounts = mounts?;
    let start = StartChanges {
        env: run.env,
        user: exec_user.or_else(|| run.user.clone()),
        workdir: run.workdir,
        network: run.network,
        mounts,
        upload_owner: match (fix_owner, run.user) {
            (false, _) => UploadOwner::Root,
            (true, None) => UploadOwner::ImageUser,
            (true, Some(user)) => UploadOwner::Named(user),
        },
    };
    valid.then(|| {
        Box::new(Docker {
            image,
            name: image_name,
            login,
            start,
            changes,
            outcome,
            message: message.filter(|text| !text.is_empty()),
        }) as Box<dyn Base>
    })
}

/// Tells of options that have no effect.
fn warn(arguments: &Arguments<'_>) {
    let communicator: Option<String> = arguments.optional("communicator");
    let is_other = |kind: &String| !matches!(kind.as_str(), "docker" | "none");
    let has_other = communicator.as_ref().is_some_and(is_other);
    for name in arguments.names() {
        let is_of_connection = COMMUNICATOR_PREFIXES.iter().any(|it| name.starts_with(it));
        if is_of_connection {
            let _: Option<Value> = arguments.optional(name);
        }
        if is_of_connection || (has_other && name == "communicator") {
            let text = format!(
                "{name} has no effect: steps run on this host, and nothing is connected to"
            );
            arguments.warning(arguments.span(name), text, &[]);
        }
    }
    for (name, reason) in WITHOUT_EFFECT {
        let value: Option<Value> = arguments.optional(name);
        let is_set = value.is_some_and(|value| {
            !matches!(value, Value::Bool(false))
                && value.as_elements().is_none_or(|all| !all.is_empty())
        });
        if is_set {
            let text = format!("{name} has no effect: {reason}");
            arguments.warning(arguments.span(name), text, &[]);
        }
    }
}

/// Refuses options without which the result would be another one; says whether there was none.
fn refuse(arguments: &Arguments<'_>) -> bool {
    let windows: Option<bool> = arguments.optional("windows_container");
    let devices: Option<Vec<String>> = arguments.optional("device");
    let refused = [
        (
            "windows_container",
            windows == Some(true),
            "images are for Linux",
        ),
        (
            "device",
            devices.is_some_and(|it| !it.is_empty()),
            "steps see no devices of this host",
        ),
    ];
    let mut is_right = true;
    for (name, is_set, help) in refused {
        if is_set {
            arguments.error(
                arguments.span(name),
                format!("{name} is not supported"),
                &[help],
            );
            is_right = false;
        }
    }
    is_right
}

/// Says what to do instead of building a Dockerfile first.
fn refuse_build(block: &Arguments<'_>) {
    let path: Option<String> = block.optional("path");
    let _: Option<String> = block.optional("build_dir");
    let _: Option<BTreeMap<String, String>> = block.optional("arguments");
    let _: Option<bool> = block.optional("pull");
    let _: Option<bool> = block.optional("compress");
    let path = path.unwrap_or_else(|| "FILE".to_owned());
    let help = format!(
        "`hardtack import-dockerfile {path}` writes a template of it; put its builds beside this one, and start from the last of them with `source \"oci\" {{ from = \"BUILD\" }}`"
    );
    block.error(
        block.header(),
        "a Dockerfile is not built as part of a source",
        &[&help],
    );
}

/// What is left at the end; none after an error.
fn outcome(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Outcome> {
    let commit = arguments.optional("commit").unwrap_or(false);
    let discard = arguments.optional("discard").unwrap_or(false);
    let export: Option<String> = arguments.optional("export_path");
    let export = export.filter(|path| !path.is_empty());
    if arguments.any_failed(&["commit", "discard", "export_path"]) {
        return None;
    }
    let given = [commit, discard, export.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        let problem = match given.contains(&true) {
            true => "only one of commit, discard and export_path can be given",
            false => "one of commit, discard and export_path must be given",
        };
        arguments.error(
            arguments.header(),
            problem,
            &["`commit = true` makes an image, `export_path` an archive of its files, `discard = true` neither"],
        );
        return None;
    }
    match export {
        Some(path) => {
            let is_folder = path.ends_with('/') || context.working_folder.join(&path).is_dir();
            if is_folder {
                arguments.error(
                    arguments.span("export_path"),
                    format!("export_path must be a file, and {path} is a folder"),
                    &[],
                );
                return None;
            }
            Some(Outcome::RootArchive { path })
        }
        None if commit => Some(Outcome::Committed),
        None => Some(Outcome::Nothing),
    }
}

/// Reads `run_command`, and tells what it asks for in vain.
fn run_command(arguments: &Arguments<'_>, context: &PrepareContext, image: &str) -> RunCommand {
    let words: Option<Vec<String>> = arguments.unrendered("run_command");
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        return RunCommand::default();
    };
    let data = context.go_template.clone().with("Image", image);
    let mut rendered = Vec::with_capacity(words.len());
    for word in &words {
        match gotemplate::render(word, &data) {
            Ok(word) => rendered.push(word),
            Err(error) => {
                arguments.error(arguments.span("run_command"), error.to_string(), &[]);
                return RunCommand {
                    errors: vec![error.to_string()],
                    ..RunCommand::default()
                };
            }
        }
    }
    let run = run_command::parse(&rendered, image, &context.working_folder);
    for text in &run.warnings {
        arguments.warning(
            arguments.span("run_command"),
            format!("run_command: {text}"),
            &[],
        );
    }
    // Without an image, that is the error.
    for text in run.errors.iter().filter(|_| !image.is_empty()) {
        arguments.error(
            arguments.span("run_command"),
            format!("run_command: {text}"),
            &[],
        );
    }
    run
}

/// What is mounted while any step runs; none after an error.
fn shared_mounts(arguments: &Arguments<'_>, run: &RunCommand) -> Option<Vec<SharedMount>> {
    let volumes: BTreeMap<String, String> = arguments.optional("volumes").unwrap_or_default();
    let tmpfs: Vec<String> = arguments.optional("tmpfs").unwrap_or_default();
    let of_option = volumes.iter().map(|it| ("volumes", it));
    let of_command = run.volumes.iter().map(|(a, b)| ("run_command", (a, b)));
    let volumes = of_option.chain(of_command);
    let volumes = volumes.map(|(option, (from, to))| (option, mounts::volume(from, to)));
    let of_option = tmpfs.iter().map(|it| ("tmpfs", it));
    let of_command = run.tmpfs.iter().map(|it| ("run_command", it));
    let tmpfs = of_option.chain(of_command);
    let tmpfs = tmpfs.map(|(option, text)| (option, mounts::tmpfs(text)));
    let mut mounts: Vec<SharedMount> = Vec::new();
    let mut valid = true;
    for (option, mounted) in volumes.chain(tmpfs) {
        match mounted {
            Mounted::Mount(mount) => {
                mounts.retain(|other| other.target != mount.target);
                mounts.push(mount);
            }
            Mounted::Without(text) => {
                arguments.warning(arguments.span(option), format!("{option}: {text}"), &[]);
            }
            Mounted::Wrong(text) => {
                arguments.error(arguments.span(option), format!("{option}: {text}"), &[]);
                valid = false;
            }
        }
    }
    let is_writable =
        |mount: &&SharedMount| matches!(mount.kind, SharedMountKind::Host { writable: true, .. });
    if let Some(mount) = mounts.iter().find(is_writable) {
        let option = if arguments.has("volumes") {
            "volumes"
        } else {
            "run_command"
        };
        let text = format!(
            "all steps run each time, as they may write to {}",
            mount.target
        );
        let help = format!("write \"{}:ro\" if none of them does", mount.target);
        arguments.warning(arguments.span(option), text, &[&help]);
    }
    valid.then_some(mounts)
}

/// What a container's settings and `changes` make of the configuration; none after an error.
fn changes(
    arguments: &Arguments<'_>,
    run: &RunCommand,
    author: Option<String>,
) -> Option<ConfigChanges> {
    let lines: Vec<String> = arguments.optional("changes").unwrap_or_default();
    let mut instructions = Vec::new();
    for (name, value) in &run.env {
        instructions.push(Instruction::variable(name, value));
    }
    instructions.extend(run.user.as_deref().map(Instruction::user));
    instructions.extend(run.workdir.as_deref().map(Instruction::workdir));
    instructions.extend(run.stop_signal.as_deref().map(Instruction::stop_signal));
    for (name, value) in &run.labels {
        instructions.push(Instruction::label(name, value));
    }
    instructions.extend(run.ports.iter().map(|port| Instruction::expose(port)));
    let mut changes = ConfigChanges {
        instructions,
        // As Packer does since version 1.0.9 of its plugin.
        keeps_cmd: true,
        author: author.filter(|text| !text.is_empty()),
        ..ConfigChanges::default()
    };
    if let Err(error) = changes.check() {
        arguments.error(arguments.span("run_command"), error.to_string(), &[]);
        return None;
    }
    let mut valid = true;
    for line in &lines {
        let read = Instruction::parse(line, '\\').and_then(|it| match it {
            // Docker refuses it here too: what the container was made with decides.
            Instruction::Shell(_) => Err("SHELL is not supported".to_owned()),
            it => instruction::check(std::slice::from_ref(&it))
                .map_err(|error| error.to_string())
                .map(|()| it),
        });
        match read {
            Ok(instruction) => changes.instructions.push(instruction),
            Err(problem) => {
                let help = format!("instructions are {}", instruction::NAMES);
                let text = format!("cannot apply the change {line:?}: {problem}");
                arguments.error(arguments.span("changes"), text, &[&help]);
                valid = false;
            }
        }
    }
    valid.then_some(changes)
}

impl Docker {
    /// Shows the source's own credentials where the image is, and nowhere else.
    fn log_in(&self, client: &Client) {
        if let Some(login) = &self.login
            && let Ok(reference) = self.name.parse::<Reference>()
            && reference.repository.registry == login.registry
        {
            client.log_in(&reference.repository, login.credentials());
        }
    }
}

impl Base for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn description(&self) -> String {
        self.image.description()
    }

    fn platform(&self) -> Option<&Platform> {
        self.image.platform()
    }

    fn start(&self) -> Option<&StartChanges> {
        Some(&self.start)
    }

    fn changes(&self) -> ConfigChanges {
        self.changes.clone()
    }

    fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    fn input(&self, context: &InputContext<'_>) -> Result<Option<Input>, BaseError> {
        self.log_in(context.registries);
        self.image.input(context)
    }

    fn resolve(
        &self,
        context: &Context<'_>,
        built: Option<&Image>,
    ) -> Result<ResolvedBase, BaseError> {
        self.log_in(context.registries);
        self.image.resolve(context, built)
    }
}
