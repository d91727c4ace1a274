//! Changes of an image's configuration, with the meaning that the instructions of a Dockerfile
//! have.

use super::ImageError;
use super::config::{ContainerConfig, Healthcheck};
use super::instruction::{self, Instruction};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a template's `config` block says; what it does not mention stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConfigChanges {
    /// Lines of a Dockerfile, carried out before all others.
    pub instructions: Vec<Instruction>,
    /// Whether an `ENTRYPOINT` among them leaves an inherited `cmd` as it is.
    pub keeps_cmd: bool,
    /// Who made the image.
    pub author: Option<String>,
    /// Variables; one that exists is changed in its place, others are added in this order.
    pub env: Vec<(String, String)>,
    /// The program. Clears an inherited `cmd` unless one is given too.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments.
    pub cmd: Option<Vec<String>>,
    /// The user.
    pub user: Option<String>,
    /// The folder; a relative one is meant from the inherited folder.
    pub workdir: Option<String>,
    /// Labels, added to the inherited ones.
    pub labels: BTreeMap<String, String>,
    /// Ports as `80`, `53/udp` or `8000-8010/tcp`, added to the inherited ones.
    pub ports: Vec<String>,
    /// Folders, added to the inherited ones.
    pub volumes: Vec<String>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
    /// The probe; replaces an inherited one.
    pub healthcheck: Option<Healthcheck>,
}

impl ConfigChanges {
    /// Applies the changes to `config`; on an error it is unchanged.
    pub fn apply(&self, config: &mut ContainerConfig) -> Result<(), ImageError> {
        self.check()?;
        let mut changed = config.clone();
        instruction::apply(&self.instructions, &mut changed, self.keeps_cmd)?;
        let mut ports = Vec::new();
        for port in &self.ports {
            ports.extend(expand_port(port)?);
        }
        *config = changed;
        let mut env = config.env.take().unwrap_or_default();
        for (name, value) in &self.env {
            set_variable(&mut env, name, value);
        }
        config.env = (!env.is_empty()).then_some(env);
        if let Some(entrypoint) = &self.entrypoint {
            config.entrypoint = present(entrypoint);
            config.cmd = None;
        }
        if let Some(cmd) = &self.cmd {
            config.cmd = present(cmd);
        }
        if let Some(user) = &self.user {
            config.user = (!user.is_empty()).then(|| user.clone());
        }
        if let Some(workdir) = &self.workdir {
            config.working_dir = Some(join(config.working_dir.as_deref(), workdir));
        }
        if !self.labels.is_empty() {
            let labels = config.labels.get_or_insert_default();
            labels.extend(self.labels.clone());
        }
        insert_all(&mut config.exposed_ports, ports);
        insert_all(&mut config.volumes, self.volumes.clone());
        if let Some(stop_signal) = &self.stop_signal {
            config.stop_signal = Some(stop_signal.clone());
        }
        if let Some(healthcheck) = &self.healthcheck {
            config.healthcheck = Some(healthcheck.clone());
        }
        Ok(())
    }

    /// Checks everything that does not depend on what is changed.
    pub fn check(&self) -> Result<(), ImageError> {
        instruction::check(&self.instructions)?;
        for (name, value) in &self.env {
            require(
                !name.is_empty() && !name.contains(['=', '\0']),
                "the name of a variable",
                name,
                "it must not be empty, and contain neither '=' nor NUL",
            )?;
            without_nul("a variable's value", value)?;
        }
        for word in self.entrypoint.iter().chain(&self.cmd).flatten() {
            without_nul("an argument", word)?;
        }
        for port in &self.ports {
            expand_port(port)?;
        }
        for text in [&self.user, &self.workdir].into_iter().flatten() {
            without_nul("a user or a folder", text)?;
        }
        for label in self.labels.keys() {
            require(!label.is_empty(), "a label", label, "it must not be empty")?;
        }
        for volume in &self.volumes {
            require(
                volume.starts_with('/') && !volume.contains('\0'),
                "a volume",
                volume,
                "it must be an absolute path",
            )?;
        }
        if let Some(signal) = &self.stop_signal {
            require(
                !signal.is_empty()
                    && signal
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte)),
                "a stop signal",
                signal,
                "it must be a name such as SIGTERM, or a number",
            )?;
        }
        self.healthcheck.as_ref().map_or(Ok(()), check_healthcheck)
    }
}

fn check_healthcheck(check: &Healthcheck) -> Result<(), ImageError> {
    let test = check.test.as_deref().unwrap_or_default();
    let valid = match test {
        [] => true,
        [kind] => kind == "NONE",
        [kind, _] => kind == "CMD" || kind == "CMD-SHELL",
        [kind, ..] => kind == "CMD",
    };
    require(
        valid,
        "a health check",
        &test.join(" "),
        "it must be [\"NONE\"], [\"CMD\", program, …] or [\"CMD-SHELL\", command]",
    )?;
    let times = [
        check.interval,
        check.timeout,
        check.start_period,
        check.start_interval,
    ];
    for time in times.into_iter().flatten() {
        // Docker refuses anything between nothing and a millisecond.
        require(
            time == 0 || time >= 1_000_000,
            "a time of the health check",
            &format!("{time} ns"),
            "it must be 0 or at least one millisecond",
        )?;
    }
    let retries = check.retries.unwrap_or_default();
    require(
        retries >= 0,
        "the retries of the health check",
        &retries.to_string(),
        "it must not be negative",
    )
}

/// The ports that `text` stands for, each as `NUMBER/PROTOCOL`.
pub fn expand_port(text: &str) -> Result<Vec<String>, ImageError> {
    let wrong = || ImageError::Setting {
        setting: "a port",
        value: text.to_owned(),
        rule: "it must be a number from 1 to 65535 or a range of them, and /tcp, /udp or /sctp if not tcp",
    };
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |digits: &str| {
        // `parse` alone would take "+80".
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u16>().ok().filter(|number| *number > 0);
        number.filter(|_| plain).ok_or_else(wrong)
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

/// The value of a variable in an environment.
pub fn variable(env: &[String], name: &str) -> Option<String> {
    let mut pairs = env.iter().filter_map(|entry| entry.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(value.to_owned())
}

fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    let is_it = |old: &String| old.split_once('=').map_or(old.as_str(), |(name, _)| name) == name;
    match env.iter().position(is_it) {
        Some(place) => {
            // A later entry of the same name would win over ours when the container starts.
            let mut index = 0;
            env.retain(|old| {
                index += 1;
                index <= place + 1 || !is_it(old)
            });
            env[place] = entry;
        }
        None => env.push(entry),
    }
}

fn present(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

/// The folder `workdir` as seen from `from`, without `.`, `..` and doubled slashes.
fn join(from: Option<&str>, workdir: &str) -> String {
    let start = match from {
        Some(from) if !workdir.starts_with('/') => from,
        _ => "",
    };
    let mut parts = Vec::new();
    for part in start.split('/').chain(workdir.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn insert_all(map: &mut Option<BTreeMap<String, Value>>, keys: Vec<String>) {
    if keys.is_empty() {
        return;
    }
    let map = map.get_or_insert_default();
    for key in keys {
        map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
}

fn without_nul(setting: &'static str, value: &str) -> Result<(), ImageError> {
    require(
        !value.contains('\0'),
        setting,
        value,
        "it must not contain NUL",
    )
}

fn require(
    valid: bool,
    setting: &'static str,
    value: &str,
    rule: &'static str,
) -> Result<(), ImageError> {
    if valid {
        return Ok(());
    }
    Err(ImageError::Setting {
        setting,
        value: value.to_owned(),
        rule,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn base() -> ContainerConfig {
        ContainerConfig {
            env: Some(words("PATH=/bin A=1 B=2 A=3")),
            entrypoint: Some(words("/entry")),
            cmd: Some(words("arg")),
            working_dir: Some("/srv".to_owned()),
            ..ContainerConfig::default()
        }
    }

    fn changed(changes: ConfigChanges) -> ContainerConfig {
        let mut config = base();
        changes.apply(&mut config).unwrap();
        config
    }

    #[test]
    fn nothing_said_changes_nothing() {
        assert_eq!(changed(ConfigChanges::default()), base());
    }

    #[test]
    fn an_entrypoint_clears_the_inherited_arguments() {
        let entrypoint = Some(words("/new"));
        let config = changed(ConfigChanges {
            entrypoint: entrypoint.clone(),
            ..ConfigChanges::default()
        });
        assert_eq!((config.entrypoint, config.cmd), (entrypoint.clone(), None));
        let config = changed(ConfigChanges {
            entrypoint: entrypoint.clone(),
            cmd: Some(words("x")),
            ..ConfigChanges::default()
        });
        assert_eq!(
            (config.entrypoint, config.cmd),
            (entrypoint, Some(words("x")))
        );
        let config = changed(ConfigChanges {
            cmd: Some(words("x")),
            ..ConfigChanges::default()
        });
        assert_eq!(
            (config.entrypoint, config.cmd),
            (Some(words("/entry")), Some(words("x")))
        );
    }

    #[test]
    fn a_variable_is_changed_in_its_place() {
        let config = changed(ConfigChanges {
            env: vec![
                ("NEW".to_owned(), "n=1".to_owned()),
                ("A".to_owned(), String::new()),
            ],
            ..ConfigChanges::default()
        });
        assert_eq!(config.env, Some(words("PATH=/bin A= B=2 NEW=n=1")));
    }

    #[test]
    fn a_relative_folder_is_meant_from_the_inherited_one() {
        for (workdir, expected) in [
            ("/a/b/", "/a/b"),
            ("a", "/srv/a"),
            ("../x/./y", "/x/y"),
            ("/../..", "/"),
        ] {
            let config = changed(ConfigChanges {
                workdir: Some(workdir.to_owned()),
                ..ConfigChanges::default()
            });
            assert_eq!(config.working_dir.as_deref(), Some(expected), "{workdir}");
        }
    }

    #[test]
    fn ports_are_written_out() {
        assert_eq!(expand_port("80").unwrap(), ["80/tcp"]);
        assert_eq!(expand_port("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(expand_port("8000-8001").unwrap(), ["8000/tcp", "8001/tcp"]);
        assert_eq!(expand_port("65535").unwrap(), ["65535/tcp"]);
        for text in [
            "", "0", "65536", "x", "80/", "80/icmp", "9-8", "-", "+80", "80/tcp/x", "1-2-3",
        ] {
            assert!(expand_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_and_changes_nothing() {
        let healthcheck = |test: &str, interval| ConfigChanges {
            healthcheck: Some(Healthcheck {
                test: Some(words(test)),
                interval: Some(interval),
                ..Healthcheck::default()
            }),
            ..ConfigChanges::default()
        };
        let variable = |name: &str, value: &str| ConfigChanges {
            env: vec![(name.to_owned(), value.to_owned())],
            ..ConfigChanges::default()
        };
        let volume = |path: &str| ConfigChanges {
            volumes: vec![path.to_owned()],
            ..ConfigChanges::default()
        };
        for changes in [
            variable("", "x"),
            variable("A=B", "x"),
            variable("A", "x\0"),
            volume("data"),
            healthcheck("curl localhost", 0),
            healthcheck("CMD-SHELL a b", 0),
            healthcheck("NONE", 5),
        ] {
            let mut config = base();
            assert!(changes.apply(&mut config).is_err(), "{changes:?}");
            assert_eq!(config, base());
        }
        healthcheck("CMD curl localhost", 1_000_000)
            .check()
            .unwrap();
    }
}
