//! What can go wrong in a sandbox.

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
    /// Something that the sandbox is made of is refused by the host.
    #[error("cannot set up the sandbox: {0}")]
    Setup(String),
    /// Work on a tree or an archive failed.
    #[error("{0}")]
    Work(String),
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
        !matches!(self, Self::Work(_) | Self::Cancelled)
    }

    /// What to do about it, where that is known: names the setting that forbids it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UserNamespace(_) | Self::IdMap(_) => Some(user_namespace_hint()),
            Self::Setup(text) if text.contains("overlay") => Some(
                "the store must be on a file system that can be the upper of an overlay (ext4, xfs, btrfs, tmpfs); name another folder with --store".to_owned(),
            ),
            Self::Setup(text) if text.contains("/proc") => Some(
                "inside a container a new /proc needs an unmasked one: run it with --privileged, or with --security-opt systempaths=unconfined --security-opt seccomp=unconfined".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Looks which of the known settings forbids user namespaces.
fn user_namespace_hint() -> String {
    let read = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .ok()
    };
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "user.max_user_namespaces is 0; set it: sysctl -w user.max_user_namespaces=15000, or run hardtack as root".to_owned();
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
        return "a seccomp filter of the container that hardtack runs in forbids it; run the container with --security-opt seccomp=unconfined".to_owned();
    }
    "run hardtack as root, or on a kernel with user namespaces (CONFIG_USER_NS)".to_owned()
}
