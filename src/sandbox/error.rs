//! What can go wrong in a sandbox.

use super::protocol::FailureKind;
use std::fs;
use std::io;

/// Why the sandbox could not do what it was asked for. A command that fails is no such error.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The helper process cannot be started.
    #[error("cannot start the sandbox helper")]
    Spawn(#[source] io::Error),
    /// The connection to the helper broke.
    #[error("lost the sandbox helper ({0})")]
    Lost(String),
    /// The kernel refuses to make a user namespace.
    #[error("this host does not let an ordinary user make a user namespace: {0}")]
    UserNamespace(String),
    /// The ids of the user namespace cannot be mapped.
    #[error("cannot map ids into the user namespace: {0}")]
    IdMap(String),
    /// The host refuses a process namespace with a `/proc` of its own.
    #[error("cannot set up the sandbox: {0}")]
    Processes(String),
    /// The host refuses an overlay to write to.
    #[error("cannot set up the sandbox: {0}")]
    Overlay(String),
    /// Something that the sandbox is made of is refused by the host.
    #[error("cannot set up the sandbox: {0}")]
    Setup(String),
    /// Work on a tree or an archive failed.
    #[error("{0}")]
    Work(String),
    /// No network of its own can be made for a step.
    #[error("cannot make the network \"user\" for the step: {0}")]
    Network(String),
    /// A step has left a secret where it would be kept.
    #[error("{0}")]
    SecretLeft(String),
    /// The host does not run programs of that processor.
    #[error("this host is {host} and cannot run programs for {platform}")]
    Foreign {
        /// What is built for.
        platform: String,
        /// What the host is.
        host: String,
    },
    /// There is neither root nor a user to run as.
    #[error("the user who runs hardtack has no ids that could be mapped")]
    NoIdentity,
    /// The run was cancelled.
    #[error("interrupted")]
    Cancelled,
    /// The helper answered something else than it was asked; a mistake in hardtack itself.
    #[error("the sandbox helper gave an answer of another kind; this is a bug in hardtack")]
    UnexpectedAnswer,
}

impl SandboxError {
    /// Whether the host is to blame, rather than an input.
    pub fn is_of_host(&self) -> bool {
        !matches!(self, Self::Work(_) | Self::SecretLeft(_) | Self::Cancelled)
    }

    /// What to do about it, where that is known: names the setting that forbids it.
    pub fn hint(&self) -> Option<String> {
        match self {
            // The helper is found there, and so is nearly all that it looks at.
            Self::Spawn(_) | Self::Lost(_) if !fs::exists("/proc/self").unwrap_or(true) => Some(
                "/proc is not mounted here; mount it: mount -t proc proc /proc".to_owned(),
            ),
            // Linux 5.12 and newer: or else it could make file capabilities for its own parent.
            Self::IdMap(_) if rustix::process::geteuid().is_root() => Some(
                "root without the capability SETFCAP may not map itself; run the container with --cap-add SETFCAP, or hardtack as an ordinary user".to_owned(),
            ),
            Self::Foreign { .. } => Some(
                "install an emulator that works inside containers (on Debian: apt-get install qemu-user-static binfmt-support); steps whose results are cached need none".to_owned(),
            ),
            Self::Network(text) if text.contains("/dev/net/tun") || text.contains("tun socket") => Some(
                "the device /dev/net/tun is missing or closed to this user; run modprobe tun, and chmod 666 /dev/net/tun".to_owned(),
            ),
            Self::Network(_) => Some(
                "install pasta (on Debian: apt-get install passt) or slirp4netns, or use network = \"host\" or \"none\"".to_owned(),
            ),
            Self::SecretLeft(_) => Some(
                "remove it before the step ends, or write it to a `mount \"tmpfs\"`; nothing of the step is kept".to_owned(),
            ),
            Self::UserNamespace(_) | Self::IdMap(_) => Some(user_namespace_hint()),
            Self::Setup(text) | Self::Processes(text) if text.contains(NAMESPACES) => {
                forbidden_namespace()
            }
            Self::Overlay(_) => Some(
                "the store must be on a file system that can be the upper of an overlay (ext4, xfs, btrfs, tmpfs), and without root the kernel Linux 5.11 or newer; name another folder with --store".to_owned(),
            ),
            Self::Processes(_) => Some(
                "inside a container a new /proc needs an unmasked one: run it with --privileged, or with --security-opt systempaths=unconfined --security-opt seccomp=unconfined (podman: --security-opt unmask=ALL), or build with --isolation=shared-processes".to_owned(),
            ),
            _ => None,
        }
    }
}

/// An error on its way to hardtack.
pub(super) type Failure = (FailureKind, String);

/// How errors name namespaces that could not be made.
pub(super) const NAMESPACES: &str = "make namespaces";

/// What the kernel says when it makes no namespace; its own name for a limit that is reached is
/// that no space is left on a device.
pub(super) fn namespace_refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => "the kernel's limit for them is reached".to_owned(),
        _ => error.to_string(),
    }
}

/// Looks which kind of namespaces the host has set a limit of 0 for.
fn forbidden_namespace() -> Option<String> {
    let kinds = ["user", "mnt", "pid", "ipc", "uts", "cgroup", "net"];
    let kind = kinds.iter().find(|kind| {
        fs::read_to_string(format!("/proc/sys/user/max_{kind}_namespaces"))
            .is_ok_and(|text| text.trim() == "0")
    })?;
    let setting = format!("user.max_{kind}_namespaces");
    let or_root = match *kind {
        "user" => ", or run hardtack as root",
        _ => "",
    };
    Some(format!(
        "{setting} is 0; set it: sysctl -w {setting}=15000{or_root}"
    ))
}

/// Looks which of the known settings forbids user namespaces.
fn user_namespace_hint() -> String {
    let read = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .ok()
    };
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    if let Some(hint) = forbidden_namespace() {
        return hint;
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "kernel.unprivileged_userns_clone is 0; set it: sysctl -w kernel.unprivileged_userns_clone=1, or run hardtack as root".to_owned();
    }
    if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        return "kernel.apparmor_restrict_unprivileged_userns is 1; set it: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give hardtack an AppArmor profile with `userns,`, or run it as root".to_owned();
    }
    let filtered = read("/proc/self/status").is_some_and(|status| {
        status
            .lines()
            .any(|line| line.starts_with("Seccomp:") && line.ends_with('2'))
    });
    if filtered {
        return "a seccomp filter of the container that hardtack runs in forbids it; run the container with --security-opt seccomp=unconfined; as its root, --isolation=chroot builds without, but keeps steps from nothing that is in the container".to_owned();
    }
    "run hardtack as root, or on a kernel with user namespaces (CONFIG_USER_NS)".to_owned()
}
