//! Image configurations (OCI image specification, "Image Configuration").
//!
//! oci-spec's own type drops the fields that it does not know, among them Docker's `Healthcheck`,
//! `OnBuild` and `Shell`. An image that is built on another one must keep them; hence these types,
//! with everything unknown in `rest`. Fields are written in the order in which they stand here.

use super::ImageError;
use super::manifest::{check_fields, parse};
use crate::digest::DiffId;
use crate::store::Platform;
use crate::store::descriptor::null_is_default;
use oci_spec::image::{Arch, Os};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What runs, how, and from which layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfiguration {
    /// When the image was made, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The processor in Go's name; empty where the maker forgot it.
    #[serde(default)]
    pub architecture: String,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system in Go's name; empty where the maker forgot it.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// How a container of the image runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// How each layer came about.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub history: Vec<HistoryEntry>,
    /// What this program does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How a container of the image runs, unless told otherwise when it is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// User or `user:group`, names or numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports such as `80/tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Value>>,
    /// Variables as `NAME=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, or the program if there is no entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Folders with data of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Value>>,
    /// The folder in which the program starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that asks the program to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker's probe of the program's health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What this program does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How Docker asks a container for its health (not part of the OCI specification).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", command]`, or `["NONE"]` against an inherited check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Nanoseconds between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Nanoseconds that a check may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Nanoseconds after the start in which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Nanoseconds between two checks in that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// Failures in a row that make the container unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

/// The layers of an image by their content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// How one layer, or one change of the configuration, came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True if no layer belongs to this entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

const FIELDS: [&str; 10] = [
    "created",
    "author",
    "architecture",
    "variant",
    "os",
    "os.version",
    "os.features",
    "config",
    "rootfs",
    "history",
];

impl ImageConfiguration {
    /// Parses and checks a configuration; `document` names it in errors.
    pub fn parse(document: &str, text: &[u8]) -> Result<Self, ImageError> {
        check_fields(document, text, &FIELDS)?;
        let configuration: Self = parse(document, text)?;
        if configuration.rootfs.kind != "layers" {
            let reason = format!("its rootfs has the type {:?}", configuration.rootfs.kind);
            return Err(ImageError::invalid(document, reason));
        }
        Ok(configuration)
    }

    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: Arch::from(self.architecture.as_str()),
            os: Os::from(self.os.as_str()),
            os_version: self.os_version.clone(),
            variant: self.variant.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = r#"{"architecture":"amd64","author":"me","created":"2020-01-01T00:00:00Z",
        "config":{"Env":["A=1"],"Cmd":null,"Volumes":null,"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],
          "StopTimeout":7,"Healthcheck":{"Test":["CMD-SHELL","x"],"Interval":1000000000,"Retries":3},
          "ExposedPorts":{"80/tcp":{}},"ArgsEscaped":true},
        "os":"linux","os.features":["f"],"rootfs":{"type":"layers","diff_ids":null},"history":null,"moby.x":1}"#;

    #[test]
    fn what_is_not_known_survives() {
        let configuration = ImageConfiguration::parse("it", DOCKER.as_bytes()).unwrap();
        let written: Value = serde_json::to_value(&configuration).unwrap();
        let before: Value = serde_json::from_str(DOCKER).unwrap();
        for field in [
            "OnBuild",
            "Shell",
            "StopTimeout",
            "Healthcheck",
            "ArgsEscaped",
            "Env",
        ] {
            assert_eq!(written["config"][field], before["config"][field], "{field}");
        }
        assert_eq!(written["os.features"], before["os.features"]);
        assert_eq!(written["moby.x"], before["moby.x"]);
        assert_eq!(configuration.platform(), Platform::linux(Arch::Amd64));
    }

    #[test]
    fn fields_are_written_in_a_fixed_order() {
        let configuration = ImageConfiguration::parse("it", DOCKER.as_bytes()).unwrap();
        assert_eq!(
            serde_json::to_string(&configuration).unwrap(),
            r#"{"created":"2020-01-01T00:00:00Z","author":"me","architecture":"amd64","os":"linux","config":{"ExposedPorts":{"80/tcp":{}},"Env":["A=1"],"Healthcheck":{"Test":["CMD-SHELL","x"],"Interval":1000000000,"Retries":3},"ArgsEscaped":true,"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"StopTimeout":7},"rootfs":{"type":"layers","diff_ids":[]},"moby.x":1,"os.features":["f"]}"#
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"rootfs":{"type":"other","diff_ids":[]}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":[]},"rootfs":{"type":"layers","diff_ids":[]}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":[]},"Rootfs":{}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":[]},"config":7}"#,
            &format!(r#"{{"x":{}"#, "[".repeat(100_000)),
        ] {
            assert!(
                ImageConfiguration::parse("it", text.as_bytes()).is_err(),
                "{text:.90}"
            );
        }
    }
}
