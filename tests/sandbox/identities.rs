//! All of these tests again, as the ordinary users that `tests/setup.sh` adds.

use super::support::{HELPER, SHARED, user_of_tests};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Any that is not the user's own; Debian's `adm`.
const FURTHER_GROUP: u32 = 4;

#[test]
fn with_subordinate_ids() {
    again_as("hardtack-sub");
}

#[test]
fn with_a_single_id() {
    again_as("hardtack-single");
}

fn again_as(user: &str) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root becomes another user");
        return;
    }
    let (uid, gid) = user_of_tests(user);
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
    let shared = folder.path().join("shared");
    fs::write(&shared, "of the group\n").unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o040)).unwrap();
    chown(&shared, None, Some(FURTHER_GROUP)).unwrap();
    let output = Command::new("setpriv")
        .args([
            "--reuid",
            &uid,
            "--regid",
            &gid,
            "--groups",
            &FURTHER_GROUP.to_string(),
        ])
        .arg(tests)
        .args(["--skip", "identities::"])
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("TMPDIR", &temporary)
        .env(HELPER, helper)
        .env(SHARED, shared)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
