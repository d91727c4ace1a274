//! What the tests share: a root with a static BusyBox, and steps on top of it.

use hardtack::sandbox::{
    Action, Cancel, Isolation, Limits, Mount, Network, OpenRoot, OutputStream, RootCommand,
    RootSpec, Sandbox, SandboxError, SearchedCache, Secret, Settings, StepOutcome, StepReport,
    StepSpec, Variable, attach,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Names the helper binary where the built one cannot be read.
pub const HELPER: &str = "HARDTACK_TEST_HELPER";
/// Names a file that only the users' further group may read.
pub const SHARED: &str = "HARDTACK_TEST_SHARED";
/// The time that no entry of a layer is later than.
pub const EPOCH: i64 = 1_700_000_000;

const APPLETS: [&str; 38] = [
    "cat", "chmod", "chown", "chroot", "cp", "dd", "echo", "env", "grep", "head", "hostname", "id",
    "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nproc", "ps", "pwd", "readlink",
    "rm", "rmdir", "setsid", "sh", "sleep", "stat", "tail", "tar", "touch", "tr", "true", "umount",
    "unshare", "wc",
];

/// A sandbox, a root, and a place for what steps write.
pub struct Bench {
    pub folder: TempDir,
    pub sandbox: Sandbox,
    /// Lowest first.
    pub lowers: Vec<PathBuf>,
    pub network: Network,
    pub mounts: Vec<Mount>,
    pub variables: Vec<Variable>,
    pub limits: Limits,
    pub secrets: Vec<Secret>,
    pub caches: Vec<SearchedCache>,
    pub timeout: Option<Duration>,
    pub cancel: Cancel,
    scratches: usize,
}

/// What a step did.
#[derive(Debug)]
pub struct Ran {
    pub result: Result<StepReport, SandboxError>,
    pub stdout: String,
    pub stderr: String,
    pub scratch: PathBuf,
}

impl Bench {
    /// With BusyBox, a few users, and the usual mount points.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hardtack-sandbox-test")
            .tempdir()
            .unwrap();
        let base = folder.path().join("base");
        for name in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        // The same layers whatever the umask.
        for (name, mode) in [("", 0o755), ("etc", 0o755), ("tmp", 0o1777)] {
            fs::set_permissions(base.join(name), Permissions::from_mode(mode)).unwrap();
        }
        fs::copy("/bin/busybox", base.join("bin/busybox")).unwrap();
        for name in APPLETS {
            symlink("busybox", base.join("bin").join(name)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/srv:/bin/sh\n";
        fs::write(base.join("etc/passwd"), passwd).unwrap();
        fs::set_permissions(base.join("etc/passwd"), Permissions::from_mode(0o644)).unwrap();
        fs::write(
            base.join("etc/group"),
            "root:x:0:\napp:x:1000:\nadm:x:4:app\n",
        )
        .unwrap();
        fs::write(base.join("etc/hosts"), "127.0.0.1 of-the-image\n").unwrap();
        fs::write(base.join("etc/resolv.conf"), "# of the image\n").unwrap();
        Self::on(folder, vec![base])
    }

    /// With the layers given.
    pub fn on(folder: TempDir, lowers: Vec<PathBuf>) -> Self {
        Self {
            sandbox: Sandbox::probe(&settings()).unwrap(),
            folder,
            lowers,
            network: Network::None,
            mounts: Vec::new(),
            variables: Vec::new(),
            limits: Limits::default(),
            secrets: Vec::new(),
            caches: Vec::new(),
            timeout: Some(Duration::from_secs(60)),
            cancel: Cancel::default(),
            scratches: 0,
        }
    }

    /// The lowest layer, to be changed before a step runs.
    pub fn base(&self) -> &Path {
        &self.lowers[0]
    }

    /// A path on the host, outside the root.
    pub fn host(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn is_root(&self) -> bool {
        self.sandbox.isolation() == Isolation::Root
    }

    pub fn has_many_ids(&self) -> bool {
        self.sandbox.isolation() != Isolation::SingleId
    }

    pub fn scratch(&mut self) -> PathBuf {
        self.scratches += 1;
        let scratch = self.host(&format!("scratch-{}", self.scratches));
        fs::create_dir(&scratch).unwrap();
        scratch
    }

    /// Runs a step.
    pub fn step(&mut self, actions: Vec<Action>) -> Ran {
        let scratch = self.scratch();
        let spec = self.spec(&scratch, actions);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut output = |stream, bytes: &[u8]| match stream {
            OutputStream::Stdout => stdout.extend_from_slice(bytes),
            OutputStream::Stderr => stderr.extend_from_slice(bytes),
        };
        let result = self.sandbox.run_step(&spec, &mut output, &self.cancel);
        Ran {
            result,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            scratch,
        }
    }

    /// A root on the layers.
    pub fn root(&self, scratch: &Path) -> RootSpec {
        RootSpec {
            lowers: self.lowers.clone(),
            scratch: scratch.to_owned(),
            network: self.network,
            mounts: self.mounts.clone(),
            variables: self.variables.clone(),
            limits: self.limits.clone(),
            secrets: self.secrets.clone(),
            caches: self.caches.clone(),
        }
    }

    /// A step on the layers.
    pub fn spec(&self, scratch: &Path, actions: Vec<Action>) -> StepSpec {
        StepSpec {
            keep_failed: false,
            root: self.root(scratch),
            actions,
            timeout: self.timeout,
            epoch: EPOCH,
        }
    }

    /// Runs a step of one shell script.
    pub fn shell(&mut self, script: &str) -> Ran {
        self.step(vec![shell(script)])
    }

    /// Runs a script that must succeed, and gives what it prints.
    pub fn print(&mut self, script: &str) -> String {
        self.shell(script).done().stdout
    }

    /// One command with this process' own streams.
    pub fn run(&mut self, script: &str) -> Result<i32, SandboxError> {
        let scratch = self.scratch();
        let root = self.root(&scratch);
        let command = RootCommand {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            ..RootCommand::default()
        };
        let visit = |root: &OpenRoot| attach::run(root, &command, &self.cancel);
        self.sandbox.open(&root, visit, &self.cancel)?
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What a step wrote may belong to ids that this process cannot touch.
        let paths = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let task = hardtack::sandbox::Task::Remove { paths };
        let _ = self.sandbox.task(&task, &Cancel::default());
    }
}

impl Ran {
    /// The same, of a step that succeeded.
    #[track_caller]
    pub fn done(self) -> Self {
        match &self.result {
            Ok(report) if report.outcome == StepOutcome::Done => self,
            _ => panic!("the step failed: {self:#?}"),
        }
    }

    #[track_caller]
    pub fn report(&self) -> &StepReport {
        self.result.as_ref().unwrap()
    }

    /// The tree of the new layer.
    pub fn tree(&self) -> PathBuf {
        self.scratch.join("fs")
    }

    /// All paths of the new layer, sorted.
    #[track_caller]
    pub fn changed(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect(&self.tree(), "", &mut paths);
        paths.sort();
        paths
    }
}

fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().display());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{path}/"), paths);
        }
        paths.push(path);
    }
}

pub fn settings() -> Settings {
    let helper = std::env::var_os(HELPER);
    Settings {
        helper: helper.map_or(env!("CARGO_BIN_EXE_hardtack").into(), PathBuf::from),
        ..Settings::default()
    }
}

/// A shell script as root.
pub fn shell(script: &str) -> Action {
    shell_as("", script)
}

pub fn shell_as(user: &str, script: &str) -> Action {
    Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            env: Vec::new(),
            user: user.into(),
            workdir: String::new(),
        },
    }
}

/// The processes of the host whose command line holds `text`.
pub fn processes_with(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line)
                .replace('\0', " ")
                .contains(text)
        })
        .filter(|pid| *pid != std::process::id())
        .collect()
}

/// Waits until no process of the host has `text` in its command line.
#[track_caller]
pub fn all_gone(text: &str) {
    for _ in 0..100 {
        if processes_with(text).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("{text:?} is still running: {:?}", processes_with(text));
}

/// One command of Perl, for system calls that no program of BusyBox makes.
#[cfg(target_arch = "x86_64")]
pub fn perl(script: &str) -> Action {
    Action::Run {
        files: Vec::new(),
        accept: vec![0],
        command: RootCommand {
            argv: vec!["/usr/bin/perl".into(), "-e".into(), script.into()],
            env: Vec::new(),
            user: String::new(),
            workdir: String::new(),
        },
    }
}

/// Copies a program of the host and its libraries.
#[cfg(target_arch = "x86_64")]
#[track_caller]
pub fn copy_program(program: &str, root: &Path) {
    let output = Command::new("ldd").arg(program).output().unwrap();
    assert!(output.status.success(), "the host has no {program}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]).map(Path::new) {
        let target = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

/// The user and group number of a user that `tests/setup.sh` adds; where it has not run, they are
/// added here. For root alone.
#[track_caller]
pub fn user_of_tests(name: &str) -> (String, String) {
    // The two tests that need users must not add them at once.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let id = |option: &str| {
        let output = Command::new("id").args([option, name]).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    if id("-u").is_none() {
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).arg(name).status();
            assert!(status.unwrap().success(), "{program} {arguments:?} {name}");
        };
        run(
            "useradd",
            &[
                "--create-home",
                "-K",
                "SUB_UID_COUNT=0",
                "-K",
                "SUB_GID_COUNT=0",
            ],
        );
        if name == "hardtack-sub" {
            let range = "200000-265535";
            run("usermod", &["--add-subuids", range, "--add-subgids", range]);
        }
    }
    (id("-u").unwrap(), id("-g").unwrap())
}
