//! Configurations: what an image says about how it runs.

use super::Expected;
use super::decode::one;
use super::expected::Fault;
use super::pattern::Pattern;
use crate::image::change::expand_port;
use crate::image::config::ContainerConfig;
use crate::template::Arguments;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What is expected of a configuration.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigCheck {
    /// Environment variables by name.
    pub env: Vec<(String, Expected<Text>)>,
    /// Labels by name.
    pub labels: Vec<(String, Expected<Text>)>,
    /// The program and its first arguments.
    pub entrypoint: Option<Expected<Vec<String>>>,
    /// Further arguments.
    pub cmd: Option<Expected<Vec<String>>>,
    /// The user.
    pub user: Option<Expected<String>>,
    /// The working directory.
    pub workdir: Option<Expected<String>>,
    /// The signal that asks the program to end.
    pub stop_signal: Option<Expected<String>>,
    /// Ports that are exposed.
    pub ports: Vec<Expected<Spellings>>,
    /// Ports that are not exposed.
    pub excluded_ports: Vec<Expected<Spellings>>,
    /// Volumes that there are.
    pub volumes: Vec<Expected<Spellings>>,
    /// Volumes that there are not.
    pub excluded_volumes: Vec<Expected<Spellings>>,
}

/// A member of a set as it may be written there, in all ways that count; the first one names it.
pub type Spellings = Vec<String>;

/// What a variable or a label is expected to be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    /// This very text.
    Exactly(String),
    /// A text that matches.
    Like(Pattern),
    /// Not there at all.
    Absent,
}

impl ConfigCheck {
    /// Takes a `config` block.
    pub fn decode(arguments: &Arguments<'_>) -> Self {
        Self {
            env: texts(arguments, "env"),
            labels: texts(arguments, "labels"),
            entrypoint: one(arguments, "entrypoint", Ok),
            cmd: one(arguments, "cmd", Ok),
            user: one(arguments, "user", Ok),
            workdir: one(arguments, "workdir", Ok),
            stop_signal: one(arguments, "stop_signal", Ok),
            ports: ports(arguments, "ports"),
            excluded_ports: ports(arguments, "excluded_ports"),
            volumes: each(arguments, "volumes"),
            excluded_volumes: each(arguments, "excluded_volumes"),
        }
    }

    /// What `config` does not fulfil.
    pub fn faults(&self, config: &ContainerConfig) -> Vec<Fault> {
        let mut faults = Vec::new();
        let env: BTreeMap<&str, &str> = config
            .env
            .iter()
            .flatten()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        for (name, expected) in &self.env {
            let found = env.get(name.as_str()).copied();
            faults.extend(of_text(expected, &format!("config: env {name}"), found));
        }
        for (name, expected) in &self.labels {
            let found = config.labels.as_ref().and_then(|labels| labels.get(name));
            let found = found.map(String::as_str);
            faults.extend(of_text(expected, &format!("config: label {name}"), found));
        }
        faults.extend(of_value("entrypoint", &self.entrypoint, &config.entrypoint));
        faults.extend(of_value("cmd", &self.cmd, &config.cmd));
        faults.extend(of_value("user", &self.user, &config.user));
        faults.extend(of_value("workdir", &self.workdir, &config.working_dir));
        faults.extend(of_value(
            "stop_signal",
            &self.stop_signal,
            &config.stop_signal,
        ));
        for (word, set, expected, excluded) in [
            (
                "ports",
                &config.exposed_ports,
                &self.ports,
                &self.excluded_ports,
            ),
            (
                "volumes",
                &config.volumes,
                &self.volumes,
                &self.excluded_volumes,
            ),
        ] {
            let set: Vec<&str> = set
                .iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            let what = format!("config: {word}");
            let found = match set.as_slice() {
                [] => "none".to_owned(),
                set => set.join(", "),
            };
            let is_in =
                |one: &Expected<Spellings>| one.value.iter().any(|it| set.contains(&it.as_str()));
            let name = |one: &Expected<Spellings>| one.value.first().cloned().unwrap_or_default();
            let missing = expected.iter().filter(|one| !is_in(one));
            faults.extend(missing.map(|one| one.fault(&what, name(one), &found)));
            let present = excluded.iter().filter(|one| is_in(one));
            faults.extend(present.map(|one| one.fault(&what, format!("no {}", name(one)), &found)));
        }
        faults
    }
}

/// The fault of a value; one that is not set is the empty one.
fn of_value<T: Clone + Default + PartialEq + fmt::Debug>(
    word: &str,
    expected: &Option<Expected<T>>,
    found: &Option<T>,
) -> Option<Fault> {
    let expected = expected.as_ref()?;
    let found = found.clone().unwrap_or_default();
    let (wanted, shown) = (format!("{:?}", expected.value), format!("{found:?}"));
    (expected.value != found).then(|| expected.fault(format!("config: {word}"), wanted, shown))
}

fn of_text(expected: &Expected<Text>, what: &str, found: Option<&str>) -> Option<Fault> {
    let wanted = match (&expected.value, found) {
        (Text::Exactly(text), Some(found)) if found == text.as_str() => return None,
        (Text::Like(pattern), Some(found)) if pattern.matches(found.as_bytes()) => return None,
        (Text::Absent, None) => return None,
        (Text::Exactly(text), _) => format!("{text:?}"),
        (Text::Like(pattern), _) => format!("something that matches {:?}", pattern.text()),
        (Text::Absent, _) => "nothing".to_owned(),
    };
    let found = found.map_or("nothing".to_owned(), |found| format!("{found:?}"));
    Some(expected.fault(what, wanted, found))
}

/// Takes a map of texts; null says that there is none.
fn texts(arguments: &Arguments<'_>, name: &str) -> Vec<(String, Expected<Text>)> {
    let place = arguments.span(name);
    let given: BTreeMap<String, Option<String>> = arguments.optional(name).unwrap_or_default();
    let given = given.into_iter().map(|(name, value)| {
        let text = value.map_or(Text::Absent, Text::Exactly);
        (name, Expected::new(text, place))
    });
    given.collect()
}

/// Takes a list of names.
fn each(arguments: &Arguments<'_>, name: &str) -> Vec<Expected<Spellings>> {
    let place = arguments.span(name);
    let given: Vec<String> = arguments.optional(name).unwrap_or_default();
    let given = given.into_iter();
    given.map(|it| Expected::new(vec![it], place)).collect()
}

/// Takes ports as the `config` of a build writes them.
fn ports(arguments: &Arguments<'_>, name: &str) -> Vec<Expected<Spellings>> {
    let place = arguments.span(name);
    let given: Vec<String> = arguments.optional(name).unwrap_or_default();
    let mut ports = Vec::new();
    for text in given {
        match expand_port(&text) {
            Ok(expanded) => {
                let each = expanded.into_iter();
                ports.extend(each.map(|port| Expected::new(vec![port], place)));
            }
            Err(error) => arguments.error(place, error.to_string(), &[]),
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{SourceSpan, Sources};
    use serde_json::json;

    fn expected<T>(value: T) -> Expected<T> {
        Expected::new(value, SourceSpan::new(Sources::new().add("f", ""), 0..0))
    }

    fn one(name: &str) -> Vec<Expected<Spellings>> {
        vec![expected(vec![name.to_owned()])]
    }

    fn texts(name: &str, text: Text) -> Vec<(String, Expected<Text>)> {
        vec![(name.to_owned(), expected(text))]
    }

    fn like(pattern: &str) -> Text {
        Text::Like(Pattern::new(pattern, false).unwrap())
    }

    #[test]
    fn every_part_is_compared() {
        let config: ContainerConfig = serde_json::from_value(json!({
            "User": "app",
            "Env": ["PATH=/bin", "A=b=c", "EMPTY"],
            "Cmd": ["serve"],
            "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "Volumes": { "/data": {} },
            "Labels": { "version": "1.2" },
        }))
        .unwrap();
        let words =
            |words: &[&str]| Some(expected(words.iter().map(|it| (*it).to_owned()).collect()));
        let text = |text: &str| Some(expected(text.to_owned()));
        let none = ConfigCheck::default;
        for (check, told) in [
            (none(), ""),
            (
                ConfigCheck {
                    env: texts("A", Text::Exactly("b=c".to_owned())),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    env: texts("A", like("^b")),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    env: texts("A", like("^c")),
                    ..none()
                },
                "config: env A: expected something that matches \"^c\", found \"b=c\"",
            ),
            (
                ConfigCheck {
                    env: texts("EMPTY", Text::Exactly(String::new())),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    env: texts("B", Text::Absent),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    env: texts("A", Text::Absent),
                    ..none()
                },
                "config: env A: expected nothing, found \"b=c\"",
            ),
            (
                ConfigCheck {
                    labels: texts("version", Text::Exactly("1".to_owned())),
                    ..none()
                },
                "config: label version: expected \"1\", found \"1.2\"",
            ),
            (
                ConfigCheck {
                    labels: texts("x", like("")),
                    ..none()
                },
                "config: label x: expected something that matches \"\", found nothing",
            ),
            (
                ConfigCheck {
                    entrypoint: words(&[]),
                    cmd: words(&["serve"]),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    entrypoint: words(&["x"]),
                    ..none()
                },
                "config: entrypoint: expected [\"x\"], found []",
            ),
            (
                ConfigCheck {
                    user: text("app"),
                    workdir: text(""),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    workdir: text("/"),
                    ..none()
                },
                "config: workdir: expected \"/\", found \"\"",
            ),
            (
                ConfigCheck {
                    ports: one("80/tcp"),
                    excluded_ports: one("22/tcp"),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    ports: one("80/udp"),
                    ..none()
                },
                "config: ports: expected 80/udp, found 53/udp, 80/tcp",
            ),
            (
                ConfigCheck {
                    excluded_ports: one("53/udp"),
                    ..none()
                },
                "config: ports: expected no 53/udp, found 53/udp, 80/tcp",
            ),
            (
                ConfigCheck {
                    volumes: one("/data"),
                    excluded_volumes: one("/x"),
                    ..none()
                },
                "",
            ),
            (
                ConfigCheck {
                    volumes: one("/x"),
                    ..none()
                },
                "config: volumes: expected /x, found /data",
            ),
        ] {
            let faults: Vec<String> = check.faults(&config).iter().map(Fault::to_string).collect();
            assert_eq!(faults.join("; "), told, "{check:?}");
        }
    }
}
