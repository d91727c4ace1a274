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
    /// Ports that are exposed, each as the ways in which it may be written.
    pub ports: Vec<Expected<Vec<String>>>,
    /// Ports that are not exposed.
    pub excluded_ports: Vec<Expected<Vec<String>>>,
    /// Volumes that there are.
    pub volumes: Vec<Expected<String>>,
    /// Volumes that there are not.
    pub excluded_volumes: Vec<Expected<String>>,
}

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
        let env: BTreeMap<String, String> = config
            .env
            .iter()
            .flatten()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, expected) in &self.env {
            faults.extend(of_text(
                expected,
                &format!("config: env {name}"),
                env.get(name),
            ));
        }
        for (name, expected) in &self.labels {
            let found = config.labels.as_ref().and_then(|labels| labels.get(name));
            faults.extend(of_text(expected, &format!("config: label {name}"), found));
        }
        for (word, expected, found) in [
            ("entrypoint", &self.entrypoint, &config.entrypoint),
            ("cmd", &self.cmd, &config.cmd),
        ] {
            let found = found.as_deref().unwrap_or_default();
            if let Some(expected) = expected.as_ref().filter(|it| it.value != found) {
                let (wanted, found) = (format!("{:?}", expected.value), format!("{found:?}"));
                faults.push(expected.fault(format!("config: {word}"), wanted, found));
            }
        }
        for (word, expected, found) in [
            ("user", &self.user, &config.user),
            ("workdir", &self.workdir, &config.working_dir),
            ("stop_signal", &self.stop_signal, &config.stop_signal),
        ] {
            let found = found.as_deref().unwrap_or_default();
            if let Some(expected) = expected.as_ref().filter(|it| it.value != found) {
                let wanted = format!("{:?}", expected.value);
                faults.push(expected.fault(
                    format!("config: {word}"),
                    wanted,
                    format!("{found:?}"),
                ));
            }
        }
        let ports: Vec<&String> = config
            .exposed_ports
            .iter()
            .flat_map(BTreeMap::keys)
            .collect();
        let is_exposed = |ways: &[String]| ways.iter().any(|way| ports.contains(&way));
        let lists = [(&self.ports, true), (&self.excluded_ports, false)];
        for (expected, is_wanted) in lists
            .iter()
            .flat_map(|(list, is_wanted)| list.iter().map(move |expected| (expected, *is_wanted)))
        {
            if is_exposed(&expected.value) != is_wanted {
                let name = expected.value.first().map_or("", String::as_str);
                let (wanted, found) = in_list(name, is_wanted, &ports);
                faults.push(expected.fault("config: ports", wanted, found));
            }
        }
        let volumes: Vec<&String> = config.volumes.iter().flat_map(BTreeMap::keys).collect();
        let lists = [(&self.volumes, true), (&self.excluded_volumes, false)];
        for (expected, is_wanted) in lists
            .iter()
            .flat_map(|(list, is_wanted)| list.iter().map(move |expected| (expected, *is_wanted)))
        {
            if volumes.contains(&&expected.value) != is_wanted {
                let (wanted, found) = in_list(&expected.value, is_wanted, &volumes);
                faults.push(expected.fault("config: volumes", wanted, found));
            }
        }
        faults
    }
}

/// What is expected of a list, and the list, in words.
fn in_list(name: &str, is_wanted: bool, found: &[&String]) -> (String, String) {
    let wanted = if is_wanted { "" } else { "no " };
    let found: Vec<&str> = found.iter().map(|it| it.as_str()).collect();
    let found = match found.is_empty() {
        true => "none".to_owned(),
        false => found.join(", "),
    };
    (format!("{wanted}{name}"), found)
}

fn of_text(expected: &Expected<Text>, what: &str, found: Option<&String>) -> Option<Fault> {
    let wanted = match (&expected.value, found) {
        (Text::Exactly(text), Some(found)) if found == text => return None,
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

fn each(arguments: &Arguments<'_>, name: &str) -> Vec<Expected<String>> {
    let place = arguments.span(name);
    let given: Vec<String> = arguments.optional(name).unwrap_or_default();
    given
        .into_iter()
        .map(|it| Expected::new(it, place))
        .collect()
}

/// Takes ports as the `config` of a build writes them.
fn ports(arguments: &Arguments<'_>, name: &str) -> Vec<Expected<Vec<String>>> {
    let mut ports = Vec::new();
    for given in each(arguments, name) {
        match expand_port(&given.value) {
            Ok(expanded) => ports.extend(
                expanded
                    .into_iter()
                    .map(|port| Expected::new(vec![port], given.place)),
            ),
            Err(error) => arguments.error(given.place, error.to_string(), &[]),
        }
    }
    ports
}
