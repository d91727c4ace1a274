//! Packages: how a missing program is installed on this host.

use std::fs;

/// Whose package manager the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    /// Debian, Ubuntu and what is made of them.
    Debian,
    /// Fedora, RHEL and what is made of them.
    Fedora,
    /// Alpine.
    Alpine,
    /// Any other.
    Unknown,
}

impl Packages {
    /// Reads `os-release(5)`.
    pub fn of_this_host() -> Self {
        Self::of(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn of(release: &str) -> Self {
        let words = release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
            .flat_map(|value| value.trim_matches('"').split(' '));
        for word in words {
            match word {
                "debian" | "ubuntu" => return Self::Debian,
                "fedora" | "rhel" | "centos" => return Self::Fedora,
                "alpine" => return Self::Alpine,
                _ => {}
            }
        }
        Self::Unknown
    }

    /// The commands that install something, by its package in Debian and in Fedora.
    pub fn install(self, debian: &str, fedora: &str) -> Vec<String> {
        let apt = format!("apt-get install {debian}");
        let dnf = format!("dnf install {fedora}");
        match self {
            Self::Debian => vec![apt],
            Self::Fedora => vec![dnf],
            Self::Alpine => vec![format!("apk add {debian}")],
            Self::Unknown => vec![format!("Debian, Ubuntu: {apt}"), format!("Fedora: {dnf}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_distributions_are_known() {
        for (release, expected) in [
            ("NAME=\"x\"\nID=debian\n", Packages::Debian),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Packages::Debian,
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Packages::Fedora,
            ),
            ("ID=alpine\n", Packages::Alpine),
            ("ID=nixos\n", Packages::Unknown),
            ("", Packages::Unknown),
        ] {
            assert_eq!(Packages::of(release), expected, "{release}");
        }
    }
}
