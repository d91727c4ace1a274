//! Run commands: the arguments of `docker run` in Packer's `run_command`, as far as they say something
//! about a build that starts no container.
//!
//! What the image or its steps would have of a flag is taken over, what only concerns a container
//! is passed over, and anything else is told: as a warning where a build can do without it, as an
//! error where the result would silently be another one.

use crate::sandbox::Network;
use std::path::Path;

/// What a run command says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCommand {
    /// Variables, for the steps and the image.
    pub env: Vec<(String, String)>,
    /// The user, for the steps and the image.
    pub user: Option<String>,
    /// The folder, for the steps and the image.
    pub workdir: Option<String>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Ports of the image.
    pub ports: Vec<String>,
    /// The signal that ends a container of the image.
    pub stop_signal: Option<String>,
    /// What steps can reach.
    pub network: Option<Network>,
    /// Volumes: a path of the host, and what follows it.
    pub volumes: Vec<(String, String)>,
    /// Memory that is mounted, as `TARGET[:OPTIONS]`.
    pub tmpfs: Vec<String>,
    /// What to build for.
    pub platform: Option<String>,
    /// What has no effect here, in words.
    pub warnings: Vec<String>,
    /// What cannot be done here, or is wrong.
    pub errors: Vec<String>,
}

/// What a flag is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// A container, of which there is none.
    Container,
    /// Something that steps do without; what follows completes "--x has no effect: …".
    Without(&'static str),
    /// Something that steps cannot do without.
    Refused(&'static str),
    Env,
    EnvFile,
    Expose,
    Label,
    Network,
    Platform,
    Publish,
    StopSignal,
    Tmpfs,
    User,
    Volume,
    Workdir,
}

/// A flag of `docker run`.
struct Flag {
    name: &'static str,
    short: Option<char>,
    takes_value: bool,
    effect: Effect,
}

const RIGHTS: Effect = Effect::Without("steps have the rights that docs/sandbox.md tells of");
const LIMITS: Effect = Effect::Without("set the limits of a step with a `limits` block");
const NAMES: Effect = Effect::Without("steps resolve names as this host does");
const SPACES: Effect = Effect::Without("steps always have namespaces of their own");
const HEALTH: Effect = Effect::Refused("add \"HEALTHCHECK …\" to `changes`");
const MOUNTS: Effect = Effect::Refused(
    "use `volumes` or `tmpfs` of the source, or a `mount` block of the provisioner",
);
const DEVICES: Effect = Effect::Refused("steps see no devices of this host");

const fn switch(name: &'static str, short: Option<char>, effect: Effect) -> Flag {
    Flag {
        name,
        short,
        takes_value: false,
        effect,
    }
}

const fn value(name: &'static str, short: Option<char>, effect: Effect) -> Flag {
    Flag {
        name,
        short,
        takes_value: true,
        effect,
    }
}

/// All flags of `docker run`, by their names.
const FLAGS: &[Flag] = &[
    value(
        "add-host",
        None,
        Effect::Refused("write to /etc/hosts in the step that needs it"),
    ),
    value("annotation", None, Effect::Container),
    value("attach", Some('a'), Effect::Container),
    value("blkio-weight", None, LIMITS),
    value("blkio-weight-device", None, LIMITS),
    value("cap-add", None, RIGHTS),
    value("cap-drop", None, RIGHTS),
    value("cgroup-parent", None, LIMITS),
    value("cgroupns", None, SPACES),
    value(
        "cidfile",
        None,
        Effect::Refused("there is no container that a file could name"),
    ),
    value("cpu-period", None, LIMITS),
    value("cpu-quota", None, LIMITS),
    value("cpu-rt-period", None, LIMITS),
    value("cpu-rt-runtime", None, LIMITS),
    value("cpu-shares", Some('c'), LIMITS),
    value("cpus", None, LIMITS),
    value("cpuset-cpus", None, LIMITS),
    value("cpuset-mems", None, LIMITS),
    switch("detach", Some('d'), Effect::Container),
    value("detach-keys", None, Effect::Container),
    value("device", None, DEVICES),
    value("device-cgroup-rule", None, DEVICES),
    value("device-read-bps", None, LIMITS),
    value("device-read-iops", None, LIMITS),
    value("device-write-bps", None, LIMITS),
    value("device-write-iops", None, LIMITS),
    switch("disable-content-trust", None, Effect::Container),
    value("dns", None, NAMES),
    value("dns-option", None, NAMES),
    value("dns-search", None, NAMES),
    value(
        "domainname",
        None,
        Effect::Without("the host name of steps is localhost"),
    ),
    // Packer's own default sets it, so that a container does nothing.
    value("entrypoint", None, Effect::Container),
    value("env", Some('e'), Effect::Env),
    value("env-file", None, Effect::EnvFile),
    value("expose", None, Effect::Expose),
    value("gpus", None, DEVICES),
    value(
        "group-add",
        None,
        Effect::Refused("steps have the groups that the image gives their user"),
    ),
    value("health-cmd", None, HEALTH),
    value("health-interval", None, HEALTH),
    value("health-retries", None, HEALTH),
    value("health-start-interval", None, HEALTH),
    value("health-start-period", None, HEALTH),
    value("health-timeout", None, HEALTH),
    value(
        "hostname",
        Some('h'),
        Effect::Without("the host name of steps is localhost"),
    ),
    switch("init", None, Effect::Container),
    switch("interactive", Some('i'), Effect::Container),
    value("ip", None, NAMES),
    value("ip6", None, NAMES),
    value("ipc", None, SPACES),
    value("isolation", None, Effect::Container),
    value("kernel-memory", None, LIMITS),
    value("label", Some('l'), Effect::Label),
    value(
        "label-file",
        None,
        Effect::Refused("give the labels with --label"),
    ),
    value(
        "link",
        None,
        Effect::Refused("there are no other containers here"),
    ),
    value("link-local-ip", None, NAMES),
    value("log-driver", None, Effect::Container),
    value("log-opt", None, Effect::Container),
    value("mac-address", None, NAMES),
    value("memory", Some('m'), LIMITS),
    value("memory-reservation", None, LIMITS),
    value("memory-swap", None, LIMITS),
    value("memory-swappiness", None, LIMITS),
    value("mount", None, MOUNTS),
    value("name", None, Effect::Container),
    value("network", None, Effect::Network),
    value("net", None, Effect::Network),
    value("network-alias", None, Effect::Container),
    switch("no-healthcheck", None, HEALTH),
    switch("oom-kill-disable", None, LIMITS),
    value("oom-score-adj", None, LIMITS),
    value("pid", None, SPACES),
    value("pids-limit", None, LIMITS),
    value("platform", None, Effect::Platform),
    switch("privileged", None, RIGHTS),
    value("publish", Some('p'), Effect::Publish),
    switch("publish-all", Some('P'), Effect::Container),
    value("pull", None, Effect::Container),
    switch("quiet", Some('q'), Effect::Container),
    switch(
        "read-only",
        None,
        Effect::Refused("a step that writes nothing makes no image"),
    ),
    value("restart", None, Effect::Container),
    switch("rm", None, Effect::Container),
    value(
        "runtime",
        None,
        Effect::Without("steps run in hardtack's own sandbox"),
    ),
    value("security-opt", None, RIGHTS),
    value("shm-size", None, LIMITS),
    switch("sig-proxy", None, Effect::Container),
    value("stop-signal", None, Effect::StopSignal),
    value("stop-timeout", None, Effect::Container),
    value("storage-opt", None, LIMITS),
    value("sysctl", None, RIGHTS),
    value("tmpfs", None, Effect::Tmpfs),
    switch("tty", Some('t'), Effect::Container),
    value("ulimit", None, LIMITS),
    switch(
        "use-api-socket",
        None,
        Effect::Refused("there is no Docker here"),
    ),
    value("user", Some('u'), Effect::User),
    value("userns", None, SPACES),
    value("uts", None, SPACES),
    value("volume", Some('v'), Effect::Volume),
    value("volume-driver", None, MOUNTS),
    value("volumes-from", None, MOUNTS),
    value("workdir", Some('w'), Effect::Workdir),
];

/// Programs that do nothing but keep a container alive.
const IDLE: [&str; 8] = ["sh", "bash", "ash", "dash", "zsh", "cat", "sleep", "tail"];

/// Reads the arguments behind `docker run`; `image` is what Packer puts in for `{{.Image}}`, and files
/// are found from `working_folder`.
pub fn parse(words: &[String], image: &str, working_folder: &Path) -> RunCommand {
    let mut parsed = RunCommand::default();
    let mut words = words.iter();
    let mut found = None;
    let mut has_entrypoint = false;
    while let Some(word) = words.next() {
        if word == "--" {
            found = words.next();
            break;
        }
        let mut next = || words.next().map(String::as_str);
        if let Some(flag) = word.strip_prefix("--") {
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            has_entrypoint |= name == "entrypoint";
            parsed.long(name, given, &mut next, working_folder);
        } else if let Some(letters) = word.strip_prefix('-').filter(|it| !it.is_empty()) {
            parsed.short(letters, &mut next, working_folder);
        } else {
            found = Some(word);
            break;
        }
    }
    match found {
        None => parsed
            .errors
            .push("it names no image; write {{.Image}} where it belongs".to_owned()),
        Some(other) if other != image => parsed.errors.push(format!(
            "it runs {other:?} instead of {{{{.Image}}}}; name that image in `image`"
        )),
        Some(_) => {}
    }
    // Behind an entrypoint, what follows are its arguments.
    if let Some(program) = words.next().filter(|_| !has_entrypoint) {
        let name = program.rsplit('/').next().unwrap_or_default();
        if !IDLE.contains(&name) {
            parsed.warnings.push(format!(
                "{program} is not started: steps run without the image's own processes"
            ));
        }
    }
    parsed
}

impl RunCommand {
    fn long<'a>(
        &mut self,
        name: &str,
        given: Option<&str>,
        next: &mut dyn FnMut() -> Option<&'a str>,
        working_folder: &Path,
    ) {
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else {
            self.errors
                .push(format!("`docker run` has no flag --{name}"));
            return;
        };
        let value = match (flag.takes_value, given) {
            (_, Some(value)) => Some(value),
            (true, None) => next(),
            (false, None) => None,
        };
        match (flag.takes_value, value) {
            (true, None) => self.errors.push(format!("--{name} has no value")),
            // As `--privileged=false`.
            (false, Some("false" | "0" | "f" | "F" | "FALSE" | "False")) => {}
            _ => self.apply(flag, value.unwrap_or_default(), working_folder),
        }
    }

    fn short<'a>(
        &mut self,
        letters: &str,
        next: &mut dyn FnMut() -> Option<&'a str>,
        working_folder: &Path,
    ) {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let Some(flag) = FLAGS.iter().find(|flag| flag.short == Some(letter)) else {
                self.errors
                    .push(format!("`docker run` has no flag -{letter}"));
                return;
            };
            if !flag.takes_value {
                self.apply(flag, "", working_folder);
                continue;
            }
            let attached = rest.as_str();
            let attached = attached.strip_prefix('=').unwrap_or(attached);
            let value = match attached {
                "" => next(),
                attached => Some(attached),
            };
            match value {
                Some(value) => self.apply(flag, value, working_folder),
                None => self.errors.push(format!("-{letter} has no value")),
            }
            return;
        }
    }

    fn apply(&mut self, flag: &Flag, value: &str, working_folder: &Path) {
        let name = flag.name;
        match flag.effect {
            Effect::Container => {}
            Effect::Without(why) => self.warnings.push(format!("--{name} has no effect: {why}")),
            Effect::Refused(help) => {
                self.errors
                    .push(format!("--{name} is not supported; {help}"));
            }
            Effect::Env => self.variable(value, "--env"),
            Effect::EnvFile => match std::fs::read_to_string(working_folder.join(value)) {
                Err(error) => self.errors.push(format!("cannot read {value}: {error}")),
                Ok(text) => {
                    let lines = text.lines().map(str::trim_start);
                    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                        self.variable(line, value);
                    }
                }
            },
            Effect::Expose => self.ports.push(value.to_owned()),
            Effect::Label => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                self.labels.push((name.to_owned(), value.to_owned()));
            }
            Effect::Network => match value {
                "none" => self.network = Some(Network::None),
                "host" | "bridge" | "default" => self.network = Some(Network::Host),
                other => self.errors.push(format!(
                    "--{name} {other} is not supported; steps reach the host's network, or none"
                )),
            },
            Effect::Platform => self.platform = Some(value.to_owned()),
            // As Docker: a published port is one of the image from then on.
            Effect::Publish => {
                let port = value.rsplit(':').next().unwrap_or(value);
                self.ports.push(port.to_owned());
            }
            Effect::StopSignal => self.stop_signal = Some(value.to_owned()),
            Effect::Tmpfs => self.tmpfs.push(value.to_owned()),
            Effect::Volume => match value.split_once(':') {
                Some((source, target)) => {
                    let volume = (source.to_owned(), target.to_owned());
                    self.volumes.push(volume);
                }
                None => self.errors.push(format!(
                    "--{name} {value} is a volume of Docker's; add \"VOLUME {value}\" to `changes`"
                )),
            },
            Effect::User => self.user = Some(value.to_owned()),
            Effect::Workdir if value.starts_with('/') => self.workdir = Some(value.to_owned()),
            Effect::Workdir => self
                .errors
                .push(format!("--{name} {value} is no absolute path")),
        }
    }

    fn variable(&mut self, text: &str, place: &str) {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                self.env.retain(|(known, _)| known != name);
                self.env.push((name.to_owned(), value.to_owned()));
            }
            _ => self.errors.push(format!(
                "{text:?} of {place} has no value; this host's environment is not passed on, write NAME=value"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> RunCommand {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        parse(&words, "debian", Path::new("/"))
    }

    #[test]
    fn packers_default_says_nothing() {
        for words in [
            &["-d", "-i", "-t", "--entrypoint=/bin/sh", "--", "debian"][..],
            &["-dit", "--entrypoint", "/bin/bash", "debian"],
            &["-d", "--rm", "--name=x", "debian", "/bin/sleep", "infinity"],
            &["-dit", "--entrypoint", "/bin/bash", "debian", "-c", "foo"],
            &["--privileged=false", "debian"],
        ] {
            assert_eq!(of(words), RunCommand::default(), "{words:?}");
        }
    }

    #[test]
    fn what_the_image_or_its_steps_would_have_is_taken() {
        let parsed = of(&[
            "-itd",
            "-eA=1",
            "-e",
            "B=x=y",
            "--env=A=2",
            "-u",
            "app",
            "-w=/srv",
            "-l",
            "k=v",
            "-p",
            "127.0.0.1:80:8080/tcp",
            "--expose=53/udp",
            "--net",
            "none",
            "--platform=linux/arm64",
            "--stop-signal",
            "SIGINT",
            "-v",
            "/a:/b:ro",
            "--tmpfs=/run",
            "debian",
        ]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = RunCommand {
            env: vec![pair("B", "x=y"), pair("A", "2")],
            user: Some("app".to_owned()),
            workdir: Some("/srv".to_owned()),
            labels: vec![pair("k", "v")],
            ports: vec!["8080/tcp".to_owned(), "53/udp".to_owned()],
            stop_signal: Some("SIGINT".to_owned()),
            network: Some(Network::None),
            volumes: vec![pair("/a", "/b:ro")],
            tmpfs: vec!["/run".to_owned()],
            platform: Some("linux/arm64".to_owned()),
            ..RunCommand::default()
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn what_is_missing_is_told_by_name() {
        let parsed = of(&["--privileged", "--memory", "1g", "debian", "/sbin/init"]);
        assert_eq!(parsed.warnings.len(), 3, "{parsed:?}");
        assert!(parsed.errors.is_empty());
        for words in [
            &["-v", "/data", "debian"][..],
            &["--mount", "type=tmpfs,target=/x", "debian"],
            &["--add-host=a:1.2.3.4", "debian"],
            &["--network", "other", "debian"],
            &["-e", "HOME", "debian"],
            &["-w", "srv", "debian"],
            &["--no-such", "debian"],
            &["-Z", "debian"],
            &["--user"],
            &["--env-file", "/no/such/file", "debian"],
            &["-d"],
            &["-d", "--"],
            &["ubuntu"],
        ] {
            assert!(!of(words).errors.is_empty(), "{words:?}");
        }
    }
}
