//! The network `user`: the program that would pass on its traffic, and the device it takes.

use super::container::Container;
use super::packages::Packages;
use super::{Finding, State, tools};
use crate::sandbox::user_network::{FOLDERS, programs};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

const NAME: &str = "network helper";
/// What the programs make the network with.
const DEVICE: &str = "/dev/net/tun";

/// Looks at what a step with that network would get; `is_root` says that steps have no user
/// namespace.
pub(super) fn finding(is_root: bool, container: Option<Container>, packages: Packages) -> Finding {
    let folders = std::env::join_paths(FOLDERS).unwrap_or_default();
    let tool = tools::Tool {
        name: NAME,
        programs: &programs(is_root),
        asks: "--version",
        purpose: "network = \"user\"",
        debian: "passt",
        fedora: "passt",
    };
    let helper = tools::finding(&tool, Some(&folders), packages);
    with_device(helper, Path::new(DEVICE), container.is_some())
}

/// The same with what becomes of opening the device, without which no program helps.
fn with_device(helper: Finding, device: &Path, in_container: bool) -> Finding {
    let opened = OpenOptions::new().read(true).write(true).open(device);
    let Err(error) = opened else {
        return helper;
    };
    let name = device.display();
    let text = match helper.state {
        State::Good => format!(
            "{}, but it cannot open {name}: {error}; needed for network = \"user\"",
            helper.text
        ),
        _ => format!("{}; {name} cannot be opened either: {error}", helper.text),
    };
    let mut remedies = helper.remedies;
    if in_container {
        remedies.push(format!("run the container with --device {DEVICE}"));
    } else if !device.exists() || error.kind() != io::ErrorKind::PermissionDenied {
        remedies.push("sudo modprobe tun".to_owned());
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        remedies.push(format!("sudo chmod 666 {DEVICE}"));
    }
    Finding::new(NAME, State::Missing, text).remedies(remedies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_helps_without_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let good = || Finding::good(NAME, "pasta 1 (/usr/bin/pasta)");
        let found = with_device(good(), &folder.path().join("tun"), false);
        assert_eq!(found.state, State::Missing);
        assert!(found.text.starts_with("pasta 1"), "{}", found.text);
        assert_eq!(found.remedies, ["sudo modprobe tun"]);
        let missing =
            Finding::new(NAME, State::Missing, "neither").remedies(["install".to_owned()]);
        let found = with_device(missing, &folder.path().join("tun"), true);
        let flag = "run the container with --device /dev/net/tun";
        assert_eq!(found.remedies, ["install", flag]);

        let device = folder.path().join("device");
        std::fs::write(&device, "").unwrap();
        assert_eq!(with_device(good(), &device, false), good());
    }

    #[test]
    fn the_program_that_is_tried_first_is_named_first() {
        assert_eq!(programs(true), ["slirp4netns", "pasta"]);
        assert_eq!(programs(false), ["pasta", "slirp4netns"]);
    }
}
