//! Tools: programs of the host that some templates need, tried by asking for their version.

use super::packages::Packages;
use super::{Finding, Patient, State};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program and what it is good for.
pub(super) struct Tool<'a> {
    pub name: &'static str,
    /// The first that is there is used.
    pub programs: &'a [&'static str],
    pub asks: &'static str,
    pub purpose: &'static str,
    pub debian: &'static str,
    pub fedora: &'static str,
}

const TOOLS: [Tool<'static>; 3] = [
    Tool {
        name: "ansible",
        programs: &["ansible-playbook"],
        asks: "--version",
        purpose: "the ansible provisioner",
        debian: "ansible-core",
        fedora: "ansible-core",
    },
    Tool {
        name: "python",
        programs: &["python3"],
        asks: "--version",
        purpose: "the ansible provisioner",
        debian: "python3",
        fedora: "python3",
    },
    Tool {
        name: "mmdebstrap",
        programs: &["mmdebstrap"],
        asks: "--version",
        purpose: "source \"debootstrap\"",
        debian: "mmdebstrap",
        fedora: "mmdebstrap",
    },
];

pub(super) fn findings(patient: &Patient<'_>, packages: Packages) -> Vec<Finding> {
    let path = patient.search_path.as_deref();
    TOOLS
        .iter()
        .map(|tool| finding(tool, path, packages))
        .collect()
}

pub(super) fn finding(tool: &Tool<'_>, search_path: Option<&OsStr>, packages: Packages) -> Finding {
    let mut broken = None;
    for program in tool.programs {
        let Some(found) = find(program, search_path) else {
            continue;
        };
        match version(&found, tool.asks) {
            Ok(version) => {
                return Finding::good(tool.name, format!("{version} ({})", found.display()));
            }
            Err(reason) => {
                broken = broken.or(Some(format!("{} does not run: {reason}", found.display())));
            }
        }
    }
    let programs = tool.programs.join(" nor ");
    let text = broken.unwrap_or_else(|| {
        let neither = if tool.programs.len() > 1 {
            "neither "
        } else {
            "no "
        };
        format!("there is {neither}{programs}")
    });
    Finding::new(
        tool.name,
        State::Missing,
        format!("{text}; needed for {}", tool.purpose),
    )
    .remedies(packages.install(tool.debian, tool.fedora))
}

/// Finds a program where the search path leads.
pub(super) fn find(program: &str, search_path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(search_path?)
        .map(|folder| folder.join(program))
        .find(|path| Path::is_file(path))
}

/// The first line that a program prints about its version.
fn version(program: &Path, asks: &str) -> Result<String, String> {
    // As builds do: Ansible keeps files below HOME otherwise, and refuses to run where it cannot.
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .arg(asks)
        .env("ANSIBLE_HOME", home.path())
        .env("ANSIBLE_LOCAL_TEMP", home.path().join("local"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().find(|line| !line.trim().is_empty());
        line.map(|line| crate::text::neutralise(line.trim()).into_owned())
    };
    if !output.status.success() {
        let said = line(&output.stderr).unwrap_or_else(|| output.status.to_string());
        return Err(said);
    }
    Ok(line(&output.stdout)
        .or_else(|| line(&output.stderr))
        .unwrap_or_else(|| "it says no version".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_program_is_run_and_not_only_found() {
        let folder = tempfile::tempdir().unwrap();
        let tool = &Tool {
            name: "network helper",
            programs: &["pasta", "slirp4netns"],
            asks: "--version",
            purpose: "network = \"user\"",
            debian: "passt",
            fedora: "passt",
        };
        let examine = || finding(tool, Some(folder.path().as_os_str()), Packages::Debian);
        let place = |name: &str, script: &str| {
            let path = folder.path().join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let missing = examine();
        assert_eq!(missing.state, State::Missing);
        assert_eq!(missing.remedies, ["apt-get install passt"]);
        assert!(
            missing.text.contains("neither pasta nor slirp4netns"),
            "{}",
            missing.text
        );

        place("pasta", "#!/bin/sh\necho no library >&2\nexit 1\n");
        let broken = examine();
        assert_eq!(broken.state, State::Missing);
        assert!(broken.text.contains("no library"), "{}", broken.text);

        place(
            "slirp4netns",
            "#!/bin/sh\n[ -d \"$ANSIBLE_HOME\" ] || exit 1\necho\necho slirp4netns 1.2\n",
        );
        let found = examine();
        assert_eq!(found.state, State::Good);
        assert!(
            found.text.starts_with("slirp4netns 1.2 ("),
            "{}",
            found.text
        );
    }
}
