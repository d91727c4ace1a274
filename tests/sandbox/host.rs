//! Hosts that forbid what a sandbox needs: one error that says what to do, and nothing left.

use super::support::user_of_tests;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TEMPLATE: &str = r#"
source "rootfs" "base" {
  path = "ROOT"
}
build {
  sources = ["source.rootfs.base"]
  provisioner "shell" {
    inline = ["true"]
  }
}
"#;

/// Builds as an ordinary user in a user namespace where the command `before` has been run as root:
/// the machine itself, and the tests that run beside this one, notice nothing of it.
fn build_after(before: &str) -> (Output, Vec<String>) {
    let (uid, gid) = user_of_tests("hardtack-single");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(path.join("root")).unwrap();
    fs::create_dir(path.join("home")).unwrap();
    let owner = |text: &str| Some(text.parse().unwrap());
    chown(path.join("home"), owner(&uid), owner(&gid)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_hardtack"), path.join("hardtack")).unwrap();
    let template = TEMPLATE.replace("ROOT", path.join("root").to_str().unwrap());
    fs::write(path.join("t.pkr.hcl"), template).unwrap();
    let script = format!(
        "{before} || exit 99; \\
        exec setpriv --reuid {uid} --regid {gid} --clear-groups \\
        ./hardtack build --store home/store t.pkr.hcl"
    );
    let mut child = Command::new("unshare")
        // Root's capabilities come with the first program that is executed once it is mapped.
        .args(["--user", "sh", "-c", "read -r line; exec sh -c \"$0\""])
        .arg(script)
        .current_dir(path)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    while fs::read_link(format!("/proc/{}/ns/user", child.id())).unwrap() == own {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", child.id()), "0 0 4294967295").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    (output, names(&path.join("home/store/tmp")))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect()
}

#[test]
fn a_host_without_user_namespaces_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root makes such a host");
        return;
    }
    for (setting, told) in [
        ("max_user_namespaces", "user.max_user_namespaces"),
        ("max_pid_namespaces", "user.max_pid_namespaces"),
        ("max_cgroup_namespaces", "user.max_cgroup_namespaces"),
        ("max_mnt_namespaces", "user.max_mnt_namespaces"),
    ] {
        let (output, left) = build_after(&format!("echo 0 > /proc/sys/user/{setting}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert_eq!(text.matches(told).count(), 2, "{text}");
        assert_eq!(text.matches("error:").count(), 1, "{text}");
        assert_eq!(left, Vec::<String>::new(), "{text}");
    }
}
