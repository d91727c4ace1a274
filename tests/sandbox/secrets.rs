//! Secrets and keys that a step may use, and must not keep.

use super::support::{Bench, Ran, shell, shell_as};
use hardtack::sandbox::{Mount, MountKind, Owner, SandboxError, SearchedCache, Secret, Variable};
use std::fs;

const TOKEN: &str = "s3cr3t-t0ken-of-the-test";

fn owner(bench: &Bench, uid: u32, mode: u32) -> Owner {
    let uid = if bench.has_many_ids() { uid } else { 0 };
    let gid = uid;
    Owner { uid, gid, mode }
}

/// With the token in a file and in a variable.
fn bench(token: &str) -> Bench {
    let mut bench = Bench::new();
    let content = token.as_bytes().to_vec();
    bench.mounts = vec![Mount {
        target: "/run/secrets/token".into(),
        kind: MountKind::Secret {
            content: content.clone().into(),
            owner: owner(&bench, 0, 0o400),
        },
    }];
    bench.variables = vec![Variable {
        name: "TOKEN".into(),
        value: content.clone().into(),
    }];
    bench.secrets = vec![Secret {
        name: "token".into(),
        bytes: content.into(),
    }];
    bench
}

#[track_caller]
fn refused(ran: &Ran, place: &str) {
    match &ran.result {
        Err(SandboxError::SecretLeft(text)) => {
            assert!(text.contains(place) && text.contains("token"), "{text}");
            assert!(!text.contains(TOKEN), "{text}");
        }
        other => panic!("{place}: {other:?}"),
    }
    assert_eq!(fs::read_dir(&ran.scratch).unwrap().count(), 0);
}

#[test]
fn a_secret_is_a_file_and_a_variable_of_the_step_alone() {
    let mut bench = bench(TOKEN);
    let script = "cat /run/secrets/token; echo; echo $TOKEN; stat -c '%a %u' /run/secrets/token; \
                  (echo x > /run/secrets/token) 2>/dev/null || echo read-only; \
                  rm /run/secrets/token 2>/dev/null || echo there; echo done > /result";
    let ran = bench.shell(script).done();
    assert_eq!(
        ran.stdout,
        format!("{TOKEN}\n{TOKEN}\n400 0\nread-only\nthere\n")
    );
    assert_eq!(ran.changed(), ["result"]);
    bench.mounts.clear();
    bench.variables.clear();
    assert_eq!(bench.print("ls /run 2>/dev/null; echo $TOKEN"), "\n");
}

#[test]
fn a_user_can_be_given_a_secret() {
    let mut bench = bench(TOKEN);
    let read = "cat /run/secrets/token 2>/dev/null || echo refused";
    if bench.has_many_ids() {
        let ran = bench.step(vec![shell_as("app", read)]).done();
        assert_eq!(ran.stdout, "refused\n");
    }
    let owner = owner(&bench, 1000, 0o440);
    if let MountKind::Secret { owner: it, .. } = &mut bench.mounts[0].kind {
        *it = owner;
    }
    let ran = bench.step(vec![shell_as("app", read)]).done();
    assert_eq!(ran.stdout, TOKEN);
}

#[test]
fn a_layer_with_a_secret_is_refused() {
    for (script, place) in [
        ("cp /run/secrets/token /leak", "the content of leak"),
        ("echo \"x $TOKEN y\" > /opt/leak", "the content of opt/leak"),
        ("mkdir -p /opt/$TOKEN/x", "a name in opt"),
        ("ln -s /x/$TOKEN /link", "the target of link"),
        (
            "dd if=/dev/zero of=/big bs=65533 count=3; echo $TOKEN >> /big",
            "big",
        ),
    ] {
        let mut bench = bench(TOKEN);
        let script = format!("mkdir -p /opt; {script} 2>/dev/null");
        refused(&bench.shell(&script), place);
    }
}

#[test]
fn what_a_step_has_removed_again_is_no_secret_kept() {
    let mut bench = bench(TOKEN);
    let ran = bench
        .shell("echo $TOKEN > /tmp/x; rm /tmp/x; echo ok > /ok")
        .done();
    assert_eq!(ran.changed(), ["ok"]);
}

#[test]
fn a_failed_step_is_not_kept_with_a_secret() {
    let keep = |script: &str| {
        let mut bench = bench(TOKEN);
        let scratch = bench.scratch();
        let mut spec = bench.spec(&scratch, vec![shell(script)]);
        spec.keep_failed = true;
        let report = bench
            .sandbox
            .run_step(&spec, &mut |_, _| {}, &bench.cancel)
            .unwrap();
        assert!(report.diff_id.is_none());
        scratch.join("fs/beside").exists()
    };
    assert!(keep("echo x > /beside; exit 1"));
    assert!(!keep("echo x > /beside; echo $TOKEN > /x; exit 1"));
}

#[test]
fn what_is_too_short_to_be_looked_for_is_said() {
    let mut bench = bench("abc");
    let ran = bench.shell("echo abc > /x").done();
    assert!(
        ran.report().notes[0].contains("token"),
        "{:?}",
        ran.report()
    );
    assert!(!ran.report().notes[0].contains("abc"), "{:?}", ran.report());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_keys_of_an_agent_can_be_used_by_every_user() {
    use super::support::copy_program;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    let mut bench = Bench::new();
    let socket = bench.host("agent.sock");
    let key = bench.host("key");
    struct Killed(std::process::Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Killed(agent);
    for _ in 0..200 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = |command: &mut Command| {
        let output = command.env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f"])
        .arg(&key));
    run(Command::new("ssh-add").arg(&key));

    copy_program("/usr/bin/ssh-add", bench.base());
    fs::write(bench.base().join("etc/nsswitch.conf"), "passwd: files\n").unwrap();
    bench.mounts = vec![Mount {
        target: "/run/agent".into(),
        kind: MountKind::Agent {
            socket: socket.clone(),
            owner: owner(&bench, 1000, 0o600),
        },
    }];
    bench.variables = vec![Variable {
        name: "SSH_AUTH_SOCK".into(),
        value: b"/run/agent".to_vec().into(),
    }];
    let script = "/usr/bin/ssh-add -l; /usr/bin/ssh-add -D 2>&1; /usr/bin/ssh-add -l";
    for user in ["", "app"] {
        let ran = bench.step(vec![shell_as(user, script)]);
        let ran = ran.done();
        assert_eq!(
            ran.stdout.matches("of-the-test").count(),
            2,
            "{user}: {ran:?}"
        );
        assert_eq!(ran.report().diff_id, None);
    }
    drop(agent);
    let gone = bench.shell("/usr/bin/ssh-add -l");
    assert!(gone.result.is_ok());
}

#[test]
fn a_secret_in_a_cache_is_told_of() {
    let mut bench = bench(TOKEN);
    let folder = bench.folder.path().join("cache");
    fs::create_dir(&folder).unwrap();
    bench.mounts.push(Mount {
        target: "/cache".into(),
        kind: MountKind::Cache {
            folder: folder.clone(),
            owner: owner(&bench, 0, 0o755),
        },
    });
    bench.caches = vec![SearchedCache {
        name: "mine".into(),
        folder,
    }];
    let ran = bench.shell("echo x > /cache/harmless").done();
    assert_eq!(ran.report().notes, [""; 0]);
    for script in ["mkdir /cache/a; echo $TOKEN > /cache/a/b", "exit 1"] {
        let ran = bench.shell(script);
        let notes = &ran.report().notes;
        let said = "the secret token is in the content of a/b of the cache \"mine\"";
        assert!(notes.len() == 1 && notes[0].starts_with(said), "{notes:?}");
        assert!(!notes[0].contains(TOKEN), "{notes:?}");
    }
}
