//! Instructions: lines of a Dockerfile that change an image's configuration, as `docker commit
//! --change` and Packer's `changes` take them.
//!
//! They are read when a template is checked, and carried out one after the other on the
//! configuration that they change, so that `ENV PATH=/opt/bin:$PATH` means the base's `PATH`.

use super::ImageError;
use super::change::{ConfigChanges, variable};
use super::config::{ContainerConfig, Healthcheck};
use super::expansion::{assignment, expand, quoted, words};
use crate::template::duration;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// The names of all instructions, for messages.
pub const NAMES: &str = "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR";

/// What stands for the shell where nothing else is said.
pub const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// One instruction; words are as they are written, with their quotes and variables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Instruction {
    /// The arguments.
    Cmd(Command),
    /// The program.
    Entrypoint(Command),
    /// Variables.
    Env(Vec<(String, String)>),
    /// Ports.
    Expose(Vec<String>),
    /// The probe.
    Healthcheck(Probe),
    /// Labels.
    Label(Vec<(String, String)>),
    /// What a Dockerfile does that starts from the image.
    Onbuild(String),
    /// The shell of commands that are lines.
    Shell(Vec<String>),
    /// The signal that ends the container.
    StopSignal(String),
    /// The user.
    User(String),
    /// Folders.
    Volume(Vec<String>),
    /// The folder to start in.
    Workdir(String),
}

/// A command, in one of its two forms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Command {
    /// A program and its arguments.
    Program(Vec<String>),
    /// A line for the shell.
    Line(String),
}

/// A probe of the container's health.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// None for `NONE`.
    pub command: Option<Command>,
    /// All but the test.
    pub times: Healthcheck,
}

impl Instruction {
    /// Reads one line; an error says what is wrong with it. `escape` is the character that takes
    /// the meaning of the next one away.
    pub fn parse(line: &str, escape: char) -> Result<Self, String> {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let name = name.to_ascii_uppercase();
        if rest.is_empty() && !matches!(name.as_str(), "CMD" | "ENTRYPOINT") {
            return Err("it has no argument".to_owned());
        }
        let words = || words(rest, escape);
        Ok(match name.as_str() {
            "CMD" => Self::Cmd(command(rest)),
            "ENTRYPOINT" => Self::Entrypoint(command(rest)),
            "ENV" => Self::Env(pairs(rest, escape)?),
            "EXPOSE" => Self::Expose(words()?),
            "HEALTHCHECK" => Self::Healthcheck(probe(rest)?),
            "LABEL" => Self::Label(pairs(rest, escape)?),
            "ONBUILD" => Self::Onbuild(rest.to_owned()),
            "SHELL" => {
                Self::Shell(list(rest).ok_or("it is no list in JSON, as [\"/bin/sh\", \"-c\"]")?)
            }
            "STOPSIGNAL" => Self::StopSignal(rest.to_owned()),
            "USER" => Self::User(rest.to_owned()),
            "VOLUME" => Self::Volume(match list(rest) {
                Some(list) => list,
                None => words()?,
            }),
            "WORKDIR" => Self::Workdir(rest.to_owned()),
            other => return Err(format!("{other} is not supported")),
        })
    }

    /// A variable with a value that is meant as it is.
    pub fn variable(name: &str, value: &str) -> Self {
        Self::Env(vec![(quoted(name), quoted(value))])
    }

    /// A label that is meant as it is.
    pub fn label(name: &str, value: &str) -> Self {
        Self::Label(vec![(quoted(name), quoted(value))])
    }

    /// A user who is meant as it is.
    pub fn user(user: &str) -> Self {
        Self::User(quoted(user))
    }

    /// A folder that is meant as it is.
    pub fn workdir(folder: &str) -> Self {
        Self::Workdir(quoted(folder))
    }

    /// A signal that is meant as it is.
    pub fn stop_signal(signal: &str) -> Self {
        Self::StopSignal(quoted(signal))
    }

    /// A port that is meant as it is.
    pub fn expose(port: &str) -> Self {
        Self::Expose(vec![quoted(port)])
    }

    /// What it puts into the configuration, as it is written.
    pub fn texts(&self) -> Vec<String> {
        let all = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().map(|(a, b)| format!("{a}={b}")).collect()
        };
        let of_command = |command: &Command| match command {
            Command::Program(words) => words.clone(),
            Command::Line(line) => vec![line.clone()],
        };
        match self {
            Self::Cmd(command) | Self::Entrypoint(command) => of_command(command),
            Self::Env(pairs) | Self::Label(pairs) => all(pairs),
            Self::Expose(words) | Self::Shell(words) | Self::Volume(words) => words.clone(),
            Self::Healthcheck(probe) => probe.command.as_ref().map(of_command).unwrap_or_default(),
            Self::Onbuild(text)
            | Self::StopSignal(text)
            | Self::User(text)
            | Self::Workdir(text) => vec![text.clone()],
        }
    }

    /// The name, as `ENV`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Onbuild(_) => "ONBUILD",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// Checks what can be said before the configuration is known.
pub fn check(instructions: &[Instruction]) -> Result<(), ImageError> {
    for instruction in instructions {
        // What holds a variable may mean anything later.
        if !format!("{instruction:?}").contains('$') {
            let one = std::slice::from_ref(instruction);
            apply(one, &mut ContainerConfig::default(), false)?;
        }
    }
    Ok(())
}

/// Carries out instructions in their order; on an error `config` is unchanged. An `ENTRYPOINT`
/// clears a `CMD` that is inherited, unless `keeps_cmd`.
pub fn apply(
    instructions: &[Instruction],
    config: &mut ContainerConfig,
    keeps_cmd: bool,
) -> Result<(), ImageError> {
    let mut changed = config.clone();
    let mut keeps_cmd = keeps_cmd;
    for instruction in instructions {
        let change = one(instruction, &mut changed, keeps_cmd).map_err(|problem| {
            ImageError::Instruction {
                instruction: instruction.name(),
                problem,
            }
        })?;
        keeps_cmd |= matches!(instruction, Instruction::Cmd(_));
        change.apply(&mut changed)?;
    }
    *config = changed;
    Ok(())
}

/// What one instruction changes in `config`; what [`ConfigChanges`] does not know is changed at
/// once.
fn one(
    instruction: &Instruction,
    config: &mut ContainerConfig,
    keeps_cmd: bool,
) -> Result<ConfigChanges, String> {
    let env = config.env.clone().unwrap_or_default();
    let expanded = |word: &String| expand(word, '\\', &mut |name: &str| variable(&env, name));
    let all = |words: &[String]| words.iter().map(expanded).collect::<Result<Vec<_>, _>>();
    let both = |(name, value): &(String, String)| Ok((expanded(name)?, expanded(value)?));
    let mut changes = ConfigChanges::default();
    match instruction {
        Instruction::Cmd(command) => changes.cmd = Some(arguments(command, config)),
        Instruction::Entrypoint(command) => {
            changes.entrypoint = Some(arguments(command, config));
            changes.cmd = keeps_cmd.then(|| config.cmd.clone()).flatten();
        }
        Instruction::Env(pairs) => {
            changes.env = pairs.iter().map(both).collect::<Result<_, String>>()?;
        }
        Instruction::Expose(words) => {
            let words = all(words)?;
            let ports = words.iter().flat_map(|word| word.split_whitespace());
            changes.ports = ports.map(str::to_owned).collect();
        }
        Instruction::Healthcheck(probe) => changes.healthcheck = Some(healthcheck(probe)),
        Instruction::Label(pairs) => {
            changes.labels = pairs.iter().map(both).collect::<Result<_, String>>()?;
        }
        Instruction::Onbuild(line) => add_trigger(config, line),
        Instruction::Shell(shell) => {
            config
                .rest
                .insert("Shell".to_owned(), Value::from(shell.clone()));
        }
        Instruction::StopSignal(signal) => changes.stop_signal = Some(expanded(signal)?),
        Instruction::User(user) => changes.user = Some(expanded(user)?),
        Instruction::Volume(folders) => changes.volumes = all(folders)?,
        Instruction::Workdir(folder) => changes.workdir = Some(expanded(folder)?),
    }
    Ok(changes)
}

/// A command as the configuration holds it.
fn arguments(command: &Command, config: &ContainerConfig) -> Vec<String> {
    match command {
        Command::Program(words) => words.clone(),
        Command::Line(line) if line.is_empty() => Vec::new(),
        Command::Line(line) => {
            let own = config.rest.get("Shell").and_then(Value::as_array);
            let own = own.map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            let shell = own.filter(|words| !words.is_empty());
            let shell = shell.unwrap_or_else(|| DEFAULT_SHELL.to_vec());
            shell
                .into_iter()
                .chain([line.as_str()])
                .map(str::to_owned)
                .collect()
        }
    }
}

fn healthcheck(probe: &Probe) -> Healthcheck {
    let test = match &probe.command {
        None => vec!["NONE".to_owned()],
        Some(Command::Line(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(Command::Program(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.clone());
            test
        }
    };
    Healthcheck {
        test: Some(test),
        ..probe.times.clone()
    }
}

fn add_trigger(config: &mut ContainerConfig, line: &str) {
    let triggers = config.rest.entry("OnBuild").or_insert(Value::Null);
    match triggers {
        Value::Array(lines) => lines.push(Value::from(line)),
        other => *other = Value::from(vec![line]),
    }
}

/// A command: a JSON list, or a line for the shell.
pub fn command(text: &str) -> Command {
    match list(text) {
        Some(list) => Command::Program(list),
        None => Command::Line(text.to_owned()),
    }
}

/// A list of strings in JSON.
pub fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `NAME=value …`, or `NAME value` as in old Dockerfiles; as they are written.
pub fn pairs(text: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    if assignment(first).is_none() && !first.starts_with(['"', '\'']) {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or("it has a name without a value")?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let split = |word: String| match assignment(&word).map(|place| word.split_at(place)) {
        Some((name, value)) if !name.is_empty() => Ok((
            name.to_owned(),
            value.get(1..).unwrap_or_default().to_owned(),
        )),
        _ => Err(format!("{word:?} is not NAME=VALUE")),
    };
    words(text, escape)?.into_iter().map(split).collect()
}

/// What follows `HEALTHCHECK`.
fn probe(text: &str) -> Result<Probe, String> {
    let mut times = Healthcheck::default();
    let mut rest = text.trim();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag
            .split_once('=')
            .ok_or(format!("--{flag} has no value"))?;
        if name == "retries" {
            let count = value
                .parse::<u32>()
                .map_err(|_| format!("{value:?} is no number of retries"))?;
            times.retries = Some(i64::from(count));
        } else {
            let time = duration::parse(value).map_err(|error| error.to_string())?;
            let time = Some(nanoseconds(time)?);
            match name {
                "interval" => times.interval = time,
                "timeout" => times.timeout = time,
                "start-period" => times.start_period = time,
                "start-interval" => times.start_interval = time,
                other => return Err(format!("there is no flag --{other}")),
            }
        }
        rest = after.trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = match (kind.to_ascii_uppercase().as_str(), rest.trim()) {
        ("NONE", "") => None,
        ("CMD", rest) if !rest.is_empty() => Some(command(rest)),
        _ => return Err("it is neither NONE nor CMD with a command".to_owned()),
    };
    Ok(Probe { command, times })
}

fn nanoseconds(time: Duration) -> Result<i64, String> {
    i64::try_from(time.as_nanos()).map_err(|_| "the time is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: ContainerConfig, lines: &[&str]) -> Result<ContainerConfig, String> {
        let mut config = base;
        let instructions = lines.iter().map(|line| Instruction::parse(line, '\\'));
        let instructions = instructions.collect::<Result<Vec<_>, _>>()?;
        check(&instructions).map_err(|error| error.to_string())?;
        apply(&instructions, &mut config, false).map_err(|error| error.to_string())?;
        Ok(config)
    }

    fn strings(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|&it| it.to_owned()).collect())
    }

    #[test]
    fn lines_mean_what_they_mean_in_a_dockerfile() {
        let base = ContainerConfig {
            env: strings(&["PATH=/bin", "PORT=80 81"]),
            working_dir: Some("/srv".to_owned()),
            ..ContainerConfig::default()
        };
        let config = of(
            base,
            &[
                r#"ENTRYPOINT ["/bin/x", "a b"]"#,
                "cmd echo $HOME",
                r#"ENV A=1 B="two words" C='$x' D=a\ b"#,
                "ENV E the rest",
                "ENV PATH=/opt/bin:$PATH",
                r#"LABEL "k"=v"#,
                "EXPOSE $PORT 53/udp",
                r#"VOLUME ["/a b", "/c"]"#,
                "VOLUME /d /e",
                "USER  nobody:nogroup ",
                "WORKDIR ${A}x",
                "STOPSIGNAL SIGINT",
                "ONBUILD RUN $A",
                r#"SHELL ["/bin/bash", "-c"]"#,
                "HEALTHCHECK --interval=5s --retries=2 CMD curl -f /",
            ],
        )
        .unwrap();
        assert_eq!(config.entrypoint, strings(&["/bin/x", "a b"]));
        assert_eq!(config.cmd, strings(&["/bin/sh", "-c", "echo $HOME"]));
        let env = [
            "PATH=/opt/bin:/bin",
            "PORT=80 81",
            "A=1",
            "B=two words",
            "C=$x",
            "D=a b",
            "E=the rest",
        ];
        assert_eq!(config.env, strings(&env));
        assert_eq!(config.labels.unwrap()["k"], "v");
        let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "81/tcp"]);
        let volumes: Vec<_> = config.volumes.unwrap().into_keys().collect();
        assert_eq!(volumes, ["/a b", "/c", "/d", "/e"]);
        assert_eq!(config.user.as_deref(), Some("nobody:nogroup"));
        assert_eq!(config.working_dir.as_deref(), Some("/srv/1x"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(config.rest["OnBuild"], Value::from(vec!["RUN $A"]));
        assert_eq!(config.rest["Shell"], Value::from(vec!["/bin/bash", "-c"]));
        let probe = config.healthcheck.unwrap();
        assert_eq!(probe.test, strings(&["CMD-SHELL", "curl -f /"]));
        assert_eq!(
            (probe.interval, probe.retries),
            (Some(5_000_000_000), Some(2))
        );
    }

    #[test]
    fn the_base_loses_its_arguments_only_to_an_entrypoint() {
        let base = || ContainerConfig {
            entrypoint: strings(&["/entry"]),
            cmd: strings(&["arg"]),
            ..ContainerConfig::default()
        };
        assert_eq!(of(base(), &["ENTRYPOINT [\"/x\"]"]).unwrap().cmd, None);
        let both = of(base(), &["CMD [\"y\"]", "ENTRYPOINT [\"/x\"]"]).unwrap();
        assert_eq!(both.cmd, strings(&["y"]));
        assert_eq!(of(base(), &["CMD"]).unwrap().cmd, None);
        let mut kept = base();
        let entrypoint = Instruction::parse("ENTRYPOINT [\"/x\"]", '\\').unwrap();
        apply(&[entrypoint], &mut kept, true).unwrap();
        assert_eq!(kept.cmd, strings(&["arg"]));
    }

    #[test]
    fn what_cannot_be_applied_is_told_and_changes_nothing() {
        for line in [
            "",
            "ENV",
            "ENV A",
            "ENV A=1 B",
            "ENV =1",
            "ENV A=\"1",
            "EXPOSE a\\",
            "EXPOSE http",
            "RUN x",
            "USER",
            "SHELL bash",
            "HEALTHCHECK curl",
            "HEALTHCHECK --interval=x CMD a",
            "HEALTHCHECK --interval=1us CMD a",
            "VOLUME data",
            "WORKDIR ${A#b}",
        ] {
            assert!(of(ContainerConfig::default(), &[line]).is_err(), "{line:?}");
        }
        let mut config = ContainerConfig::default();
        let lines = ["USER app", "EXPOSE $NOTHING x"];
        let instructions = lines.map(|line| Instruction::parse(line, '\\').unwrap());
        assert!(apply(&instructions, &mut config, false).is_err());
        assert_eq!(config, ContainerConfig::default());
    }
}
