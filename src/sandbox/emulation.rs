//! Emulation: whether this host runs programs of another processor (Linux,
//! Documentation/admin-guide/binfmt-misc.rst).

use super::SandboxError;
use crate::store::Platform;
use std::fs;
use std::path::Path;

const HANDLERS: &str = "/proc/sys/fs/binfmt_misc";

/// Where an ELF file names its processor (`e_machine`).
const MACHINE: usize = 18;

/// Errors unless the host can run programs for `platform`.
pub fn check(platform: &Platform) -> Result<(), SandboxError> {
    let host = Platform::host().architecture.to_string();
    let wanted = platform.architecture.to_string();
    let is_native = wanted == host || matches!((&*host, &*wanted), ("amd64", "386"));
    if is_native || machine(&wanted).is_some_and(|it| has_handler(Path::new(HANDLERS), it)) {
        return Ok(());
    }
    Err(SandboxError::Foreign {
        platform: platform.to_string(),
        host: Platform::host().to_string(),
    })
}

/// What an ELF file has as its processor, in the order of its bytes.
fn machine(architecture: &str) -> Option<[u8; 2]> {
    Some(match architecture {
        "amd64" => [0x3e, 0],
        "386" => [0x03, 0],
        "arm64" => [0xb7, 0],
        "arm" => [0x28, 0],
        "riscv64" => [0xf3, 0],
        "loong64" => [0x02, 0x01],
        "ppc64le" => [0x15, 0],
        "mips64le" | "mipsle" => [0x08, 0],
        "s390x" => [0, 0x16],
        _ => return None,
    })
}

/// Whether an enabled handler takes ELF files for a processor, and was opened when it was
/// registered: inside an image there is no interpreter to be found.
fn has_handler(folder: &Path, machine: [u8; 2]) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.any(|text| handles(&text, machine))
}

fn handles(text: &str, machine: [u8; 2]) -> bool {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let hex = field("magic ").unwrap_or_default().trim();
    let byte = |index: usize| {
        let digits = hex.get(2 * index..2 * index + 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    text.lines().next() == Some("enabled")
        && field("flags:").is_some_and(|flags| flags.contains('F'))
        && field("offset ").is_some_and(|offset| offset.trim() == "0")
        && hex.starts_with("7f454c46")
        && byte(MACHINE) == Some(machine[0])
        && byte(MACHINE + 1) == Some(machine[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn a_handler_counts_if_it_works_inside_images() {
        let arm64 = machine("arm64").unwrap();
        assert!(handles(ARM64, arm64));
        assert!(!handles(ARM64, machine("riscv64").unwrap()));
        assert!(!handles(&ARM64.replace("enabled", "disabled"), arm64));
        assert!(!handles(&ARM64.replace("POCF", "POC"), arm64));
        assert!(!handles(
            "enabled\ninterpreter /usr/bin/x\nflags: F\nextension .x\n",
            arm64
        ));
        assert!(!handles("enabled\n", arm64));
    }

    #[test]
    fn the_host_needs_no_handler() {
        assert!(check(&Platform::host()).is_ok());
        let other = "linux/none".parse().unwrap();
        assert!(check(&other).is_err());
    }
}
