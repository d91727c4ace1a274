//! All of these tests again, as the ordinary users that `tests/setup.sh` adds.

use super::support::HELPER;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn with_subordinate_ids() {
    again_as("hardtack-sub");
}

#[test]
fn with_a_single_id() {
    again_as("hardtack-single");
}

fn again_as(user: &str) {
    let id = |option: &str| {
        let output = Command::new("id").args([option, user]).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let (Some(uid), Some(gid)) = (id("-u"), id("-g")) else {
        assert!(std::env::var_os("CI").is_none(), "there is no user {user}");
        eprintln!("left out: there is no user {user}");
        return;
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root becomes another user");
        return;
    }
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &Path, name: &str| {
        let to = folder.path().join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let helper = copy(Path::new(env!("CARGO_BIN_EXE_hardtack")), "hardtack");
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", &uid, "--regid", &gid, "--clear-groups"])
        .arg(tests)
        .args(["--skip", "identities::"])
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("TMPDIR", &temporary)
        .env(HELPER, helper)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
