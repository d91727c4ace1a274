//! The machine: kernel, control groups, disk, programs of other processors.

use super::packages::Packages;
use super::{Finding, State};
use crate::format;
use crate::sandbox::emulation;
use crate::store::Platform;
use std::fs;
use std::path::{Path, PathBuf};

/// The first Linux that has all calls which the sandbox is made of (`mount_setattr`).
const OLDEST: (u32, u32) = (5, 12);
/// Less free space than one ordinary base with a few steps takes.
const LITTLE_SPACE: u64 = 5_000_000_000;
/// What an architecture must be able to run for `platform` in templates.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

pub(super) fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let text = format!("Linux {release}, {}", name.machine().to_string_lossy());
    if version(&release).is_none_or(|version| version >= OLDEST) {
        return Finding::good("kernel", text);
    }
    let (major, minor) = OLDEST;
    Finding::new("kernel", State::Bad, text).remedies([format!(
        "the sandbox needs Linux {major}.{minor} or newer: upgrade the kernel"
    )])
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Makes a group below the own one, and removes it again.
pub(super) fn control_groups() -> Finding {
    const NAME: &str = "control groups";
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let group = own
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .unwrap_or_default();
        let folder = Path::new("/sys/fs/cgroup").join(group);
        if can_make_group(&folder) {
            return Finding::good(NAME, "version 2, and this process may make its own");
        }
        return Finding::new(
            NAME,
            State::Missing,
            "version 2, but this process may not make its own: limits of memory and processes of a step are rlimits",
        )
        .remedies(delegation());
    }
    let wanted = ["memory", "pids"];
    let usable = wanted.iter().all(|controller| {
        own.lines().any(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let is_it = fields
                .next()
                .is_some_and(|names| names.split(',').any(|it| it == *controller));
            let group = fields.next().unwrap_or_default().trim_start_matches('/');
            is_it && can_make_group(&Path::new("/sys/fs/cgroup").join(controller).join(group))
        })
    });
    if usable {
        return Finding::good(NAME, "version 1, and this process may make its own");
    }
    Finding::new(
        NAME,
        State::Missing,
        "none that this process may make: limits of memory and processes of a step are rlimits",
    )
    .remedies(delegation())
}

/// What gives a process control groups of its own.
fn delegation() -> Vec<String> {
    vec![
        "with systemd and version 2: systemd-run --user --scope -p Delegate=yes hardtack build …"
            .to_owned(),
        "elsewhere: run hardtack as root, where /sys/fs/cgroup can be written".to_owned(),
    ]
}

fn can_make_group(folder: &Path) -> bool {
    let probe = folder.join(format!("hardtack-doctor-{}", std::process::id()));
    fs::create_dir(&probe).is_ok() && fs::remove_dir(&probe).is_ok()
}

pub(super) fn disk(store: Option<&Path>, refusal: Option<&str>) -> Finding {
    const NAME: &str = "store";
    let elsewhere = || ["name another folder with --store or HARDTACK_STORE".to_owned()];
    let Some(store) = store else {
        return Finding::new(NAME, State::Bad, "nothing says where the store is")
            .remedies(["set HOME or XDG_DATA_HOME, or name a folder with --store".to_owned()]);
    };
    if let Some(refusal) = refusal {
        return Finding::new(NAME, State::Bad, refusal).remedies(elsewhere());
    }
    let mut existing = PathBuf::from(store);
    while !existing.exists() && existing.pop() {}
    match rustix::fs::statvfs(&existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let text = format!("{} free for {}", format::bytes(free), store.display());
            if free >= LITTLE_SPACE {
                return Finding::good(NAME, text);
            }
            Finding::new(NAME, State::Weak, text).remedies([
                "hardtack cache prune removes what is not needed; --store names another folder"
                    .to_owned(),
            ])
        }
        Err(error) => Finding::new(NAME, State::Bad, format!("{}: {error}", existing.display()))
            .remedies(elsewhere()),
    }
}

pub(super) fn emulation(packages: Packages) -> Finding {
    const NAME: &str = "other processors";
    let host = Platform::host();
    let (mut run, mut refused) = (Vec::new(), Vec::new());
    for architecture in ARCHITECTURES {
        if host.architecture.to_string() == architecture {
            continue;
        }
        let platform = Platform {
            architecture: architecture.into(),
            ..host.clone()
        };
        match emulation::check(&platform) {
            Ok(()) => run.push(architecture),
            Err(_) => refused.push(architecture),
        }
    }
    if refused.is_empty() {
        return Finding::good(NAME, format!("programs for {} run", run.join(", ")));
    }
    let text = format!("steps on images for {} cannot run", refused.join(", "));
    Finding::new(NAME, State::Missing, text)
        .remedies(packages.install("qemu-user-static binfmt-support", "qemu-user-static"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, is_enough) in [
            ("6.18.44-fc-v657", true),
            ("5.12.0", true),
            ("5.4.0-200-generic", false),
            ("4.18.0-553.el8_10.x86_64", false),
            ("10.0", true),
        ] {
            let version = version(release).unwrap();
            assert_eq!(version >= OLDEST, is_enough, "{release}");
        }
    }
}
