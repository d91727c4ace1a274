//! The commands that look at a template without building it, as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TEMPLATE: &str = r#"
packer {
  required_plugins {
    docker = {
      version = ">= 1.0.0"
      source  = "github.com/hashicorp/docker"
    }
  }
}

variable "region" {}

variable "token" {
  default   = "hunter2"
  sensitive = true
}

locals {
  tags = { name = "a", none = null, list = [1, "two", 2.5] }
  both = "${var.region}-${var.token}"
}

source "oci" "base" { scratch = true }

build {
  name        = "web"
  description = "a server"
  sources     = ["source.oci.base"]
  provisioner "shell" {
    name   = "greet"
    inline = ["echo ${local.both} ${local.tags.name}"]
  }
  post-processors {
    post-processor "checksum" {}
    post-processor "manifest" { name = "list" }
  }
}

build { sources = ["oci.base"] }
"#;

/// A folder with a template.
struct Bench {
    folder: TempDir,
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Bench {
    fn new(template: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        bench.file("web.pkr.hcl", template);
        bench
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.feed(arguments, "")
    }

    /// Runs a command with `input` on its standard input.
    fn feed(&self, arguments: &[&str], input: &str) -> Ran {
        ran(self.command(arguments), input)
    }
}

fn ran(mut command: Command, input: &str) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[test]
fn exit_codes_are_packers() {
    let bench = Bench::new(TEMPLATE);
    for (line, code) in [
        ("", 127),
        ("-h", 0),
        ("validat .", 127),
        ("nope version", 127),
        ("version", 0),
        ("-v", 0),
        ("-version", 0),
        ("validate", 1),
        ("validate -h", 0),
        ("validate -nope .", 1),
        ("validate nowhere", 1),
        ("validate .", 1),
        ("validate -var region=x .", 0),
        ("validate . -var=region=x", 0),
        ("validate -syntax-only .", 0),
        ("validate -syntax-only=false .", 1),
        ("validate -syntax-only=maybe .", 1),
        (
            "validate -use-sequential-evaluation -ignore-prerelease-plugins -var region=x .",
            0,
        ),
        ("inspect .", 0),
        ("inspect nowhere", 1),
        ("console -config-type=hcl2", 0),
        ("console -config-type=json", 1),
        ("init .", 0),
        ("init", 1),
        ("plugins", 1),
        ("plugins installed", 0),
        ("plugins install github.com/hashicorp/docker", 1),
        ("fix -validate=false old.json", 1),
        ("hcl2_upgrade old.json", 1),
        ("completion bash", 0),
        ("-autocomplete-install", 0),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ran = bench.run(&words);
        assert_eq!(ran.code, code, "{line}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_misspelt_command_is_guessed() {
    let ran = Bench::new(TEMPLATE).run(&["validat", "."]);
    assert!(ran.stderr.contains("'validate'"), "{}", ran.stderr);
}

#[test]
fn validate_says_yes_on_standard_output() {
    let bench = Bench::new(TEMPLATE);
    let ran = bench.run(&["validate", "-var", "region=x", "."]);
    assert_eq!(ran.stdout, "The configuration is valid.\n");
    assert_eq!(ran.stderr, "");
    let ran = bench.run(&["validate", "-syntax-only", "."]);
    assert_eq!(
        ran.stdout,
        "Syntax-only check passed. Everything looks okay.\n"
    );
}

#[test]
fn validate_tells_all_that_is_wrong_at_once() {
    let bench = Bench::new(
        r#"
source "amazon-ebs" "a" {}
source "ocy" "b" {}
build {
  sources = ["amazon-ebs.a", "ocy.b"]
  provisioner "powershell" {}
}
"#,
    );
    let ran = bench.run(&["validate", "."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
        error: Packer's source "amazon-ebs" is not supported yet
         --> ./web.pkr.hcl:5:14
          |
        5 |   sources = ["amazon-ebs.a", "ocy.b"]
          |              ^^^^^^^^^^^^^^
          |
          = help: sources are debootstrap, docker, file, null, oci, rootfs

        error: Packer's provisioner "powershell" is not supported yet
         --> ./web.pkr.hcl:6:15
          |
        6 |   provisioner "powershell" {}
          |               ^^^^^^^^^^^^
          |
          = help: provisioners are ansible, ansible-local, breakpoint, chef-solo, file, puppet-masterless, salt-masterless, shell, shell-local, sleep

        error: there is no source of type "ocy"
         --> ./web.pkr.hcl:5:30
          |
        5 |   sources = ["amazon-ebs.a", "ocy.b"]
          |                              ^^^^^^^
          |
          = help: did you mean `oci`?
          = help: sources are debootstrap, docker, file, null, oci, rootfs
        "#);
}

#[test]
fn one_mistake_in_a_mount_is_one_error() {
    for (block, expected) in [
        (
            "mount \"cache\" {\n target = \"/c\"\n sharing = \"private\"\n mode = \"0755\"\n }",
            "sharing cannot be \"private\"",
        ),
        (
            "mount \"secret\" {\n id = \"a/b\"\n variable = \"A\"\n }",
            "\"a/b\" cannot be an id here",
        ),
        (
            "mount \"disk\" {\n target = \"/d\"\n }",
            "there is no kind of mount \"disk\"",
        ),
        (
            "mount \"tmpfs\" {\n target = \"/d\"\n mod = \"0755\"\n }",
            "there is no argument `mod` here",
        ),
    ] {
        let bench = Bench::new(&format!(
            "source \"oci\" \"a\" {{ scratch = true }}\nbuild {{\n sources = [\"oci.a\"]\n provisioner \"shell\" {{\n inline = [\"true\"]\n {block}\n }}\n}}\n"
        ));
        let ran = bench.run(&["validate", "."]);
        assert_eq!(ran.code, 1, "{block}");
        let errors = ran.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "{block}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{block}: {}", ran.stderr);
    }
}

#[test]
fn what_a_host_lacks_for_a_build_that_is_left_out_is_not_said() {
    let bench = Bench::new(
        r#"
source "oci" "a" { scratch = true }
build {
  name    = "plain"
  sources = ["oci.a"]
}
build {
  name    = "played"
  sources = ["oci.a"]
  provisioner "ansible" {
    playbook_file = "site.yml"
    command       = "ansible-nowhere"
  }
}
"#,
    );
    bench.file("site.yml", "- hosts: all\n");
    for (flag, is_said) in [("-only=plain.*", false), ("-only=played.*", true)] {
        let ran = bench.run(&["validate", flag, "."]);
        assert_eq!(ran.code, 0, "{flag}: {}", ran.stderr);
        let warning = "there is no ansible-nowhere on this host";
        assert_eq!(
            ran.stderr.contains(warning),
            is_said,
            "{flag}: {}",
            ran.stderr
        );
    }
}

#[test]
fn undeclared_values_in_a_file_are_warned_of_where_packer_does() {
    let bench = Bench::new(TEMPLATE);
    bench.file("v.pkrvars.hcl", "region = \"x\"\nregoin = \"y\"\n");
    let warning = "variable `regoin` is not declared";
    for (line, expected) in [
        ("validate -var-file=v.pkrvars.hcl .", true),
        (
            "validate -var-file=v.pkrvars.hcl -no-warn-undeclared-var .",
            false,
        ),
        ("inspect -var-file=v.pkrvars.hcl .", false),
        ("plan -store s -var-file=v.pkrvars.hcl .", false),
        (
            "plan -store s -var-file v.pkrvars.hcl -warn-on-undeclared-var .",
            true,
        ),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = bench.run(&words);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        assert_eq!(
            ran.stderr.contains(warning),
            expected,
            "{line}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_pattern_that_matches_nothing_is_warned_of() {
    let bench = Bench::new(TEMPLATE);
    let valid = |flag: &str| bench.run(&["validate", "-var=region=x", flag, "."]);
    for (flag, code, warned) in [
        ("-only=web.*", 0, false),
        ("-only=*base", 0, false),
        ("-only={web,db}.oci.*", 0, false),
        ("-only=[a-w]eb.oci.base,oci.bas?", 0, false),
        ("-only=oci.base,nope", 0, true),
        ("-only=nope", 1, true),
        ("-only=", 1, false),
        ("-except=list", 0, false),
        ("-except=check*", 0, false),
        ("-except=nope", 0, true),
        ("-except=*", 1, false),
        ("-only=[", 1, false),
    ] {
        let ran = valid(flag);
        assert_eq!(ran.code, code, "{flag}: {}", ran.stderr);
        let warning = "nope matches no build";
        assert_eq!(
            ran.stderr.contains(warning),
            warned,
            "{flag}: {}",
            ran.stderr
        );
        if warned {
            let names = "builds are web.oci.base, oci.base";
            assert!(ran.stderr.contains(names), "{flag}: {}", ran.stderr);
        }
    }
}

#[test]
fn machine_readable_lines_are_packers() {
    let bench = Bench::new(TEMPLATE);
    let lines = |arguments: &[&str]| -> Vec<String> {
        let ran = bench.run(arguments);
        assert_eq!(ran.stderr, "");
        let lines = ran.stdout.lines();
        lines
            .map(|line| {
                let (time, rest) = line.split_once(',').unwrap();
                assert!(time.parse::<u64>().unwrap() > 1_700_000_000);
                rest.to_owned()
            })
            .collect()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines(&["-machine-readable", "version"]),
        [
            format!(",version,{version}"),
            ",version-prelease,".to_owned(),
            ",version-commit,".to_owned(),
            format!(",ui,say,hardtack v{version}"),
        ]
    );
    assert_eq!(
        lines(&["validate", "-machine-readable", "-var", "region=x", "."]),
        [",ui,say,The configuration is valid."]
    );
    let errors = lines(&["validate", ".", "-machine-readable"]);
    assert!(errors[0].starts_with(",ui,error,error: variable `region` has no value\\n"));
    let inspected = lines(&["inspect", "-machine-readable", "."]);
    assert_eq!(inspected[0], ",ui,say,Packer Inspect: HCL2 mode\\n");
    assert!(
        inspected[1].contains("1%!(PACKER_COMMA)"),
        "{}",
        inspected[1]
    );
    assert!(!inspected[1].contains("hunter2"), "{}", inspected[1]);
}

#[test]
fn inspect_shows_what_packer_shows() {
    let ran = Bench::new(TEMPLATE).run(&["inspect", "."]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    // As Packer 1.6.6 prints it for the same template without its `required_plugins`.
    let expected = r#"Packer Inspect: HCL2 mode

> input-variables:

var.region: "<unknown>"
var.token: "<sensitive>"

> local-variables:

local.both: "<unknown>"
local.tags: "{\n  \"list\" = [\n    1,\n    \"two\",\n    2.5,\n  ]\n  \"name\" = \"a\"\n}"

> builds:

  > web:

  > Description: a server

    sources:

      oci.base

    provisioners:

      shell.greet

    post-processors:

      0:
        checksum
        manifest.list

  > <unnamed build 1>:

    sources:

      oci.base

    provisioners:

      <no provisioner>

    post-processors:

      <no post-processor>

"#;
    assert_eq!(ran.stdout, expected);
}

#[test]
fn inspect_shows_what_can_be_known() {
    // A value that fails is unknown.
    let ran = Bench::new("locals { a = nope() }\n").run(&["inspect", "."]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("local.a: \"<unknown>\"\n"));
    assert!(ran.stderr.contains("nope"), "{}", ran.stderr);
    // A name that is declared twice has no one meaning.
    let ran = Bench::new("variable \"a\" {}\nvariable \"a\" {}\n").run(&["inspect", "."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("declared twice"), "{}", ran.stderr);
}

#[test]
fn the_console_answers_the_last_line() {
    let bench = Bench::new(TEMPLATE);
    for (input, stdout, code, has_errors) in [
        ("1+1\n", "2\n", 0, false),
        ("1+1", "2\n", 0, false),
        ("1\n2\n", "2\n", 0, false),
        ("", "\n", 0, false),
        ("1\n\n", "\n", 0, false),
        ("nope\n2\n", "2\n", 1, true),
        ("2\nnope\n", "\n", 1, true),
        ("1\nexit\n", "\n", 0, false),
        ("exit\n2\n", "2\n", 0, false),
        ("var.region\n", "<unknown>\n", 0, false),
        ("[var.region]\n", "<unknown>\n", 0, false),
        ("var.token\n", "<sensitive>\n", 0, false),
        ("\"a-${var.token}\"\n", "a-<sensitive>\n", 0, false),
        (
            "[1, \"é\\n\", null]\n",
            "[\n  1,\n  \"é\\n\",\n  null,\n]\n",
            0,
            false,
        ),
        ("{ b = null, a = {} }\n", "{\n  \"a\" = {}\n}\n", 0, false),
        ("9223372036854775808\n", "9.223372036854776e+18\n", 0, false),
        ("0.1+0.2\n", "0.3\n", 0, false),
        ("path.root\n", ".\n", 0, false),
    ] {
        let ran = bench.feed(&["console", "."], input);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, stdout), "{input:?}");
        assert_eq!(
            !ran.stderr.is_empty(),
            has_errors,
            "{input:?}: {}",
            ran.stderr
        );
    }
    let ran = bench.feed(&["console", "-var", "region=x", "."], "local.both\n");
    assert_eq!(ran.stdout, "x-<sensitive>\n");
    let ran = bench.feed(&["console"], "path.root\n");
    assert_eq!(ran.stdout, "\n");
    let ran = bench.feed(&["console"], "variables\n");
    assert_eq!(
        ran.stdout,
        "> input-variables:\n\n\n> local-variables:\n\n\n"
    );
    let ran = bench.feed(&["console"], "nope.x\n");
    insta::assert_snapshot!(ran.stderr, @r"
        error: there is no variable named `nope`
         --> <expression>:1:1
          |
        1 | nope.x
          | ^^^^
        ");
}

#[test]
fn init_locks_what_bases_hold() {
    let bench = Bench::new(
        r#"
source "rootfs" "r" { path = "${path.root}/r.tar" }
build { sources = ["rootfs.r"] }
"#,
    );
    let lock = || fs::read_to_string(bench.folder.path().join("hardtack.lock.hcl"));
    let init = |arguments: &[&str]| bench.run(&[&["init", "-store", "s"], arguments].concat());
    bench.file("r.tar", "one");
    let first = init(&["."]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let written = lock().unwrap();
    insta::assert_snapshot!(written, @r#"
        # Written by hardtack: the digests that a build starts from. `hardtack init -upgrade` moves them.
        # Keep this file under version control.

        base "rootfs" "r.tar" {
          digest = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
        }
        "#);
    assert_eq!(init(&["."]).stdout, "Nothing has changed.\n");
    bench.file("r.tar", "two");
    let moved = init(&["."]);
    assert_eq!(moved.code, 1);
    insta::assert_snapshot!(moved.stderr, @r"
        error: ./hardtack.lock.hcl has other digests:
               rootfs r.tar: sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed -> sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3
        hint: run `hardtack init -upgrade` if the bases were meant to change
        ");
    assert_eq!(lock().unwrap(), written);
    let upgraded = init(&["-upgrade", "web.pkr.hcl"]);
    assert_eq!(upgraded.code, 0, "{}", upgraded.stderr);
    insta::assert_snapshot!(upgraded.stdout, @r"
        rootfs r.tar: sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed -> sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3
        Wrote hardtack.lock.hcl.
        ");
    assert_ne!(lock().unwrap(), written);
}

#[test]
fn init_names_what_plugins_lack() {
    let bench = Bench::new(&TEMPLATE.replace("hashicorp/docker", "someone/sshkey"));
    let ran = bench.run(&["init", "."]);
    assert_eq!(ran.code, 1);
    let error = "plugin `docker` (github.com/someone/sshkey) is not supported";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
    let ran = bench.run(&["validate", "-var=region=x", "."]);
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
    let ran = Bench::new(TEMPLATE).run(&["plugins", "required", "."]);
    assert_eq!(
        ran.stdout,
        "docker github.com/hashicorp/docker \">= 1.0.0\"\n"
    );
}

#[test]
fn json_templates_are_refused_with_a_way_out() {
    let bench = Bench::new(TEMPLATE);
    bench.file("old.json", "{\"builders\": []}");
    for line in [
        "build old.json",
        "validate old.json",
        "inspect old.json",
        "fix old.json",
        "hcl2_upgrade -output-file=x old.json",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = bench.run(&words);
        assert_eq!(ran.code, 1, "{line}");
        assert!(
            ran.stderr.contains("packer hcl2_upgrade"),
            "{line}: {}",
            ran.stderr
        );
    }
    let ran = bench.feed(&["validate", "-"], "{}");
    assert!(ran.stderr.contains("standard input"), "{}", ran.stderr);
}

#[test]
fn bash_completes_commands_flags_and_names() {
    let bench = Bench::new(TEMPLATE);
    let complete = |line: &str| -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let script = "source <(\"$1\" completion bash)
shift
COMP_WORDS=(\"$@\")
COMP_CWORD=$(($# - 1))
COMP_TYPE=9
hardtack() { \"$HARDTACK\" \"$@\"; }
_clap_complete_hardtack hardtack \"${!#}\"
printf '%s\\n' \"${COMPREPLY[*]}\"";
        let mut command = bench.command(&[]);
        let binary = command.get_program().to_owned();
        let folder = std::path::Path::new(&binary).parent().unwrap().to_owned();
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash"])
            .arg(&binary)
            .args(&words)
            .current_dir(&bench.folder)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("HARDTACK", &binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command = bash;
        let ran = ran(command, "");
        assert_eq!(ran.stderr, "", "{line}");
        ran.stdout.trim_end().to_owned()
    };
    for (line, expected) in [
        ("hardtack insp", "inspect"),
        ("hardtack validate -syn", "--syntax-only"),
        ("hardtack build web.pkr.hcl -only ", "web.oci.base oci.base"),
        (
            "hardtack build --except web.oci.base,o",
            "web.oci.base,oci.base",
        ),
        ("hardtack validate -var ", "region= token="),
        ("hardtack inspect w", "web.pkr.hcl"),
    ] {
        assert_eq!(complete(line), expected, "{line}");
    }
}
