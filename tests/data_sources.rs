//! Which data sources a command asks, counted by a web server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;

/// A web server on this machine, whose answer to each path is the path; it counts requests.
struct Server {
    address: String,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let counted = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let path = answer(stream.unwrap());
                *counted.lock().unwrap().entry(path).or_default() += 1;
            }
        });
        Self { address, asked }
    }

    /// The paths asked for since the last time, with how often they were.
    fn asked(&self) -> String {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let lines: Vec<String> = asked
            .iter()
            .map(|(path, count)| format!("{path} {count}"))
            .collect();
        lines.join(", ")
    }
}

/// Answers one request, and returns its path.
fn answer(mut stream: TcpStream) -> String {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    for line in lines {
        if line.unwrap().is_empty() {
            break;
        }
    }
    let body = path.trim_start_matches('/');
    let status = match body {
        "broken" => "500 Internal Server Error",
        _ => "200 OK",
    };
    let length = body.len();
    // The client may have gone.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    path
}

const TEMPLATE: &str = r#"
variable "server" {}
data "http" "one" { url = "${var.server}/one" }
data "http" "two" { url = "${var.server}/two" }
data "http" "base" { url = "${var.server}/base" }
data "http" "broken" { url = "${var.server}/broken" }
data "http" "unused" { url = "${var.server}/unused" }
locals {
  of_one = upper(data.http.one.body)
}
source "null" "one" {}
source "null" "two" {}
source "null" "broken" {}
source "file" "out" {
  content = data.http.base.body
  target  = "out"
}
build {
  name    = "first"
  sources = ["null.one"]
  provisioner "shell-local" { inline = ["echo one is ${local.of_one}"] }
}
build {
  name    = "second"
  sources = ["null.two"]
  post-processor "shell-local" { inline = ["echo two is ${data.http.two.body}"] }
}
build {
  name    = "third"
  sources = ["null.broken"]
  provisioner "shell-local" { inline = [data.http.broken.body] }
}
build {
  name    = "fourth"
  sources = ["file.out"]
}
"#;

/// Runs a command in a folder with the template; gives its exit code and all that it says.
fn run(folder: &TempDir, server: &Server, arguments: &[&str]) -> (i32, String) {
    let (command, flags) = arguments.split_first().unwrap();
    let variable = format!("server={}", server.address);
    let output = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .arg(command)
        .args(["-var", &variable])
        .args(flags)
        .arg("t.pkr.hcl")
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HARDTACK_STORE", folder.path().join("store"))
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[test]
fn only_what_the_selected_builds_need_is_asked() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.pkr.hcl"), TEMPLATE).unwrap();
    for (arguments, code, asked, said) in [
        (&["validate"][..], 0, "", "The configuration is valid."),
        (&["inspect"], 0, "", "local.of_one: \"<unknown>\""),
        (
            &["validate", "-only=third.*"],
            0,
            "",
            "The configuration is valid.",
        ),
        (
            &["validate", "-evaluate-datasources", "-except=third.*"],
            0,
            "/base 1, /one 1, /two 1",
            "The configuration is valid.",
        ),
        (&["build", "-only=first.*"], 0, "/one 1", "one is ONE"),
        (&["build", "-only=second.*"], 0, "/two 1", "two is two"),
        (&["build", "-only=fourth.*"], 0, "/base 1", ""),
        (
            &["build", "-only=third.*"],
            1,
            "/broken 1",
            "data source `http.broken`:",
        ),
        (&["plan", "-only=first.*"], 0, "/one 1", ""),
    ] {
        let (actual, text) = run(&folder, &server, arguments);
        assert_eq!(actual, code, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert_eq!(server.asked(), asked, "{arguments:?}: {text}");
    }
    let written = fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(written, "base");
}
