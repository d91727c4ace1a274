//! The container around hardtack, and the flags that make it allow more.

use super::{Finding, State};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The process namespace of the machine itself (`PROC_PID_INIT_INO`).
const MACHINE: &str = "pid:[4026531836]";

/// What runs the container that hardtack is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A job of GitLab's runner.
    GitLab,
    /// A job of GitHub Actions that names a container.
    GitHub,
    /// A pod.
    Kubernetes,
    /// podman, or another tool of its family.
    Podman,
    /// Docker.
    Docker,
}

impl Container {
    /// Finds it by what each leaves inside; none on a plain host.
    pub fn find(environment: &BTreeMap<String, String>) -> Option<Self> {
        // An image that became a machine still holds the marks.
        if fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name == Path::new(MACHINE)) {
            return None;
        }
        Self::of(environment, |path| Path::new(path).exists())
    }

    fn of(environment: &BTreeMap<String, String>, exists: impl Fn(&str) -> bool) -> Option<Self> {
        let is_docker = exists("/.dockerenv");
        let is_podman = exists("/run/.containerenv");
        let is_pod = environment.contains_key("KUBERNETES_SERVICE_HOST")
            || exists("/var/run/secrets/kubernetes.io");
        if !(is_docker || is_podman || is_pod) {
            return None;
        }
        Some(if environment.contains_key("GITLAB_CI") {
            Self::GitLab
        } else if environment.contains_key("GITHUB_ACTIONS") {
            Self::GitHub
        } else if is_pod {
            Self::Kubernetes
        } else if is_podman {
            Self::Podman
        } else {
            Self::Docker
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::GitLab => "a container of GitLab's runner",
            Self::GitHub => "a container of GitHub Actions",
            Self::Kubernetes => "a container of Kubernetes",
            Self::Podman => "a container of podman",
            Self::Docker => "a container of Docker",
        }
    }

    /// What lets it make namespaces and a `/proc` of its own for each step.
    pub(super) fn full_isolation(self) -> Vec<String> {
        let lines: &[&str] = match self {
            Self::Docker => &[
                "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined …",
                "on a host with AppArmor, add: --security-opt apparmor=unconfined",
            ],
            Self::Podman => &["podman run --security-opt unmask=ALL …"],
            Self::GitLab => &[
                "in the runner's config.toml, below [runners.docker]: security_opt = [\"seccomp=unconfined\", \"systempaths=unconfined\", \"apparmor=unconfined\"]",
            ],
            Self::GitHub => &[
                "in the job's container: options: --security-opt seccomp=unconfined --security-opt systempaths=unconfined --security-opt apparmor=unconfined",
            ],
            Self::Kubernetes => &[
                "in the pod's spec: hostUsers: false",
                "in the container's securityContext: seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, procMount: Unmasked",
            ],
        };
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    /// What gives the store a file system that is no overlay.
    pub(super) fn volume(self) -> String {
        match self {
            Self::Docker => "docker run --volume hardtack:/var/lib/hardtack --env HARDTACK_STORE=/var/lib/hardtack …",
            Self::Podman => "podman run --volume hardtack:/var/lib/hardtack --env HARDTACK_STORE=/var/lib/hardtack …",
            Self::GitLab => "in the runner's config.toml, below [runners.docker]: volumes = [\"/var/lib/hardtack\"], and in the job: variables: {HARDTACK_STORE: /var/lib/hardtack}",
            Self::GitHub => "in the job's container: volumes: [\"hardtack:/var/lib/hardtack\"], env: {HARDTACK_STORE: /var/lib/hardtack}",
            Self::Kubernetes => "in the pod's spec: volumes: [{name: hardtack, emptyDir: {}}], mounted where HARDTACK_STORE says",
        }
        .to_owned()
    }
}

pub(super) fn finding(container: Option<Container>) -> Finding {
    let text = container.map_or("none: hardtack runs on the host itself", Container::name);
    Finding::new("container", State::Good, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_started_the_container_is_found() {
        for (variables, files, expected) in [
            (&[][..], &[][..], None),
            (&["GITHUB_ACTIONS"], &[], None),
            (&[], &["/.dockerenv"], Some(Container::Docker)),
            (&[], &["/run/.containerenv"], Some(Container::Podman)),
            (
                &["KUBERNETES_SERVICE_HOST"],
                &[],
                Some(Container::Kubernetes),
            ),
            (&["GITLAB_CI"], &["/.dockerenv"], Some(Container::GitLab)),
            (
                &["GITHUB_ACTIONS"],
                &["/.dockerenv"],
                Some(Container::GitHub),
            ),
        ] {
            let environment: BTreeMap<String, String> = variables
                .iter()
                .map(|name| ((*name).to_owned(), "true".to_owned()))
                .collect();
            let found = Container::of(&environment, |path| files.contains(&path));
            assert_eq!(found, expected, "{variables:?} {files:?}");
        }
    }
}
