//! The network `user`: a network namespace of the step's own, whose traffic a program of this host
//! passes on as any other program's (pasta or slirp4netns).
//!
//! The step reaches what the host reaches, but not the host's own loopback, where programs listen
//! that trust whoever reaches them; nor its abstract sockets.

use std::fs;
use std::io::{self, Read, Seek};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Such a program takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
/// Where programs of a system are.
pub const FOLDERS: [&str; 5] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];
/// How much is shown of what a program says of its failure.
const COMPLAINT_LIMIT: usize = 500;
/// What a program listens at for questions that it passes on to the host's own resolver.
const PASTA_RESOLVER: &str = "169.254.1.1";
const SLIRP_RESOLVER: &str = "10.0.2.3";

/// Who can start the programs.
pub struct Starter {
    orders: Sender<u32>,
    answers: Receiver<Result<Attached, String>>,
}

/// A network namespace with a program that passes on its traffic, until this is dropped.
pub struct Attached {
    program: Child,
    /// What the step asks for names.
    pub resolver: &'static str,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It only fails when it has ended already.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Gets ready to start a program. To be called before this process gets a process namespace for
/// its children: what is started is outside of it, where the step cannot touch it.
pub fn starter(is_root: bool) -> io::Result<Starter> {
    let (orders, receiver) = channel::<u32>();
    let (sender, answers) = channel();
    let work = move || {
        for pid in receiver {
            if sender.send(attach(pid, is_root)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().spawn(work)?;
    Ok(Starter { orders, answers })
}

impl Starter {
    /// Starts a program for the network namespace of a process, and waits until it is there.
    pub fn attach(&self, pid: u32) -> Result<Attached, String> {
        let gone = || "its thread has ended".to_owned();
        self.orders.send(pid).map_err(|_| gone())?;
        self.answers.recv().map_err(|_| gone())?
    }
}

/// What such a program is called and how it is told what to do.
struct Kind {
    name: &'static str,
    resolver: &'static str,
    arguments: fn(&str) -> Vec<String>,
}

const PASTA: Kind = Kind {
    name: "pasta",
    resolver: PASTA_RESOLVER,
    arguments: |pid| {
        let fixed = [
            "--foreground",
            "--config-net",
            // Neither the host's loopback nor ports of either side.
            "--no-map-gw",
            "-t",
            "none",
            "-u",
            "none",
            "-T",
            "none",
            "-U",
            "none",
            "--dns-forward",
            PASTA_RESOLVER,
        ];
        fixed
            .iter()
            .chain([&pid])
            .map(|it| (*it).to_owned())
            .collect()
    },
};
const SLIRP: Kind = Kind {
    name: "slirp4netns",
    resolver: SLIRP_RESOLVER,
    arguments: |pid| {
        // It ends when its standard input does, which we hold.
        let fixed = [
            "--configure",
            "--mtu=65520",
            "--disable-host-loopback",
            "--exit-fd=0",
        ];
        fixed
            .iter()
            .chain(&[pid, "tap0"])
            .map(|it| (*it).to_owned())
            .collect()
    },
};

/// The programs, the one that is tried first at the front.
fn kinds(is_root: bool) -> [Kind; 2] {
    // Started by root, pasta becomes a user who may not enter what root has made.
    match is_root {
        true => [SLIRP, PASTA],
        false => [PASTA, SLIRP],
    }
}

/// The names of the programs, the one that is tried first at the front. `is_root` says that steps
/// have no user namespace.
pub fn programs(is_root: bool) -> [&'static str; 2] {
    kinds(is_root).map(|kind| kind.name)
}

/// Starts the first program that works.
fn attach(pid: u32, is_root: bool) -> Result<Attached, String> {
    let mut complaints = Vec::new();
    for kind in kinds(is_root) {
        let Some(program) = find(kind.name) else {
            continue;
        };
        match start(&program, &kind, pid) {
            Ok(attached) => return Ok(attached),
            Err(complaint) => complaints.push(format!("{}: {complaint}", kind.name)),
        }
    }
    if complaints.is_empty() {
        return Err("neither pasta nor slirp4netns is installed".to_owned());
    }
    Err(complaints.join("; "))
}

fn find(name: &str) -> Option<PathBuf> {
    let paths = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    paths.into_iter().find(|path| path.is_file())
}

fn start(program: &Path, kind: &Kind, pid: u32) -> Result<Attached, String> {
    let failed = |error: io::Error| error.to_string();
    let mut said = tempfile::tempfile().map_err(failed)?;
    let output = || said.try_clone().map(Stdio::from).map_err(failed);
    let child = Command::new(program)
        .args((kind.arguments)(&pid.to_string()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(output()?)
        .stderr(output()?)
        .spawn()
        .map_err(failed)?;
    let mut attached = Attached {
        program: child,
        resolver: kind.resolver,
    };
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if has_route(pid) {
            return Ok(attached);
        }
        if let Ok(Some(status)) = attached.program.try_wait() {
            return Err(complaint(&mut said).unwrap_or_else(|| status.to_string()));
        }
        thread::sleep(PAUSE);
    }
    Err(complaint(&mut said).unwrap_or_else(|| "it makes no network".to_owned()))
}

/// Whether the network namespace of a process has a way out.
fn has_route(pid: u32) -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let is_default = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some("00000000")
    };
    let by_6 = "0".repeat(32);
    let is_default_6 = |line: &str| {
        let device = line.split_whitespace().last();
        line.starts_with(&by_6) && device.is_some_and(|device| device != "lo")
    };
    read("route").is_ok_and(|text| text.lines().any(is_default))
        || read("ipv6_route").is_ok_and(|text| text.lines().any(is_default_6))
}

/// The last words of a program.
fn complaint(said: &mut fs::File) -> Option<String> {
    let mut bytes = Vec::new();
    said.rewind().ok()?;
    said.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // Outside of a system with its log, pasta complains about that at every line.
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.contains("to syslog"))
        .collect();
    let last = lines.get(lines.len().saturating_sub(2)..)?.join(", ");
    let end = last.floor_char_boundary(COMPLAINT_LIMIT);
    (!last.is_empty()).then(|| last.get(..end).unwrap_or_default().to_owned())
}

/// The host's `/etc/resolv.conf` for a step: a resolver on the host's loopback cannot be reached,
/// and `resolver` stands for it.
pub fn resolver_file(of_host: &str, resolver: &str) -> String {
    let is_near = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next());
        address.flatten().is_some_and(|address| {
            let address = address.split('%').next().unwrap_or_default();
            address
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
        })
    };
    let mut lines: Vec<String> = of_host
        .lines()
        .filter(|line| !is_near(line))
        .map(str::to_owned)
        .collect();
    let has_one = |line: &String| line.trim_start().starts_with("nameserver");
    if !lines.iter().any(has_one) {
        lines.push(format!("nameserver {resolver}"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_the_loopback_is_replaced() {
        let cases = [
            ("", "nameserver 1.2.3.4\n"),
            (
                "search x\nnameserver 127.0.0.53\n",
                "search x\nnameserver 1.2.3.4\n",
            ),
            ("nameserver ::1\nnameserver 9.9.9.9", "nameserver 9.9.9.9\n"),
            (
                "nameserver 9.9.9.9\noptions edns0\n",
                "nameserver 9.9.9.9\noptions edns0\n",
            ),
        ];
        for (of_host, expected) in cases {
            assert_eq!(resolver_file(of_host, "1.2.3.4"), expected, "{of_host:?}");
        }
    }
}
