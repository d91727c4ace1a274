//! The binary as a user meets it: whole runs on the BusyBox image of `fixtures/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const BASE: &str = "source \"oci\" \"base\" {\n  layout = \"FIXTURE\"\n}\n";

/// A folder with a template, and a store.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(template: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        bench.template(template);
        bench
    }

    /// A template that starts from BusyBox.
    fn on_busybox(build: &str) -> Self {
        Self::new(&format!("{BASE}{build}"))
    }

    fn template(&self, text: &str) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/busybox");
        let text = text.replace("FIXTURE", &fixture.display().to_string());
        self.file("web.pkr.hcl", &text);
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HARDTACK_STORE", "store")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed, and gives its standard output.
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }
}

/// What a run left.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().expect("the process was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Digests, times and paths differ between machines.
fn with_filters(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"sha256:[0-9a-f]{64}", "DIGEST");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "SHORT");
    settings.add_filter(r"\b(\d+ms|\d+\.\ds)\b", "TIME");
    settings.add_filter(r"/tmp/\.tmp\w+", "FOLDER");
    settings.add_filter(r"/\S*/fixtures/busybox", "FIXTURE");
    settings.bind(check);
}

#[test]
fn a_build_tells_its_steps_and_prints_its_artifacts() {
    let bench = Bench::on_busybox(
        r#"
build {
  name    = "hello"
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo made; echo hello > /greeting"] }
  provisioner "file" {
    content     = "x"
    destination = "/x"
  }
  config { cmd = ["cat", "/greeting"] }
  post-processor "oci-archive" { path = "out/hello.tar" }
}
"#,
    );
    let first = bench.run(&["build", "."]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    with_filters(|| {
        insta::assert_snapshot!(first.stdout, @"
        hello.oci.base image DIGEST
        hello.oci.base oci-archive FOLDER/out/hello.tar
        ");
        insta::assert_snapshot!(first.stderr, @r#"
        ==> hello.oci.base: building, 2 steps
        ==> hello.oci.base: base layout FIXTURE (DIGEST) found in TIME
        ==> hello.oci.base [1/2] shell: running
            hello.oci.base: made
        ==> hello.oci.base [1/2] shell: finished in TIME, 2.6 kB
        ==> hello.oci.base [2/2] file: running
        ==> hello.oci.base [2/2] file: finished in TIME, 2.6 kB
        ==> hello.oci.base: oci-archive: running
        ==> hello.oci.base: oci-archive: finished in TIME
        ==> hello.oci.base: image DIGEST
        ==> hello.oci.base: oci-archive FOLDER/out/hello.tar
        ==> hello.oci.base: built in TIME, 0/2 steps cached, 1.0 MB, DIGEST
        "#);
    });
    let second = bench.run(&["build", "."]);
    assert_eq!(second.stdout, first.stdout);
    assert!(
        second.stderr.contains("2/2 steps cached"),
        "{}",
        second.stderr
    );
    assert_eq!(bench.ok(&["run", "hello.oci.base"]), "hello\n");
    assert!(bench.ok(&["images"]).contains("hello.oci.base"));
    let shown = bench.ok(&["show", "hello.oci.base"]);
    assert!(
        shown.contains("shell: echo made; echo hello > /greeting"),
        "{shown}"
    );
}

#[test]
fn a_failed_step_tells_where_it_stands_and_what_to_do() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["true"] }
  provisioner "shell" {
    name   = "packages"
    inline = ["echo last words", "exit 3"]
  }
}
"#,
    );
    let quiet = bench.run(&["build", "--progress=quiet", "."]);
    assert_eq!((quiet.code, quiet.stdout.as_str()), (1, ""));
    with_filters(|| {
        insta::assert_snapshot!(quiet.stderr, @r#"
        ✗ oci.base [2/2] shell.packages  failed after TIME: the command exited with code 3
            last words
        ✗ oci.base  failed after TIME
        error: the command exited with code 3
         --> ./web.pkr.hcl:8:15
          |
        8 |   provisioner "shell" {
          |               ^^^^^^^ step 2 of 2 of oci.base
          |
          = help: mend the step and run the same command again: the step before it is kept
          = help: `hardtack shell PATH --failed --build oci.base` shows what it has left
        "#)
    });
    let plain = bench.run(&["build", "."]);
    assert_eq!(plain.code, 1);
    assert!(
        !plain.stderr.contains('\x1b'),
        "no colours but on a terminal"
    );
    assert_eq!(plain.stderr.matches("    oci.base: last words").count(), 1);
}

#[test]
fn a_failed_step_is_what_is_to_be_mended_although_the_cleanup_fails_too() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["exit 3"] }
  error-cleanup-provisioner "shell" { inline = ["exit 4"] }
}
"#,
    );
    let ran = bench.run(&["build", "--progress=quiet", "."]);
    assert_eq!(ran.code, 1);
    for part in [
        "the error-cleanup-provisioner failed",
        "mend the step and run the same command again",
        "shell PATH --failed --build oci.base",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base", "source.oci.bsae"]
  provisioner "shel" {}
  provisioner "shell" { inlnie = ["true"] }
  provisioner "shell" { inline = [var.missing] }
  post-processor "oci-layuot" { path = "x" }
}
"#,
    );
    let ran = bench.run(&["build", "."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    with_filters(|| {
        insta::assert_snapshot!(ran.stderr, @r#"
        error: source `oci.bsae` is not declared
         --> ./web.pkr.hcl:6:33
          |
        6 |   sources = ["source.oci.base", "source.oci.bsae"]
          |                                 ^^^^^^^^^^^^^^^^^
          |
          = help: did you mean `oci.base`?

        error: there is no provisioner of type "shel"
         --> ./web.pkr.hcl:7:15
          |
        7 |   provisioner "shel" {}
          |               ^^^^^^
          |
          = help: did you mean `shell`?
          = help: provisioners are ansible, ansible-local, breakpoint, chef-solo, file, puppet-masterless, salt-masterless, shell, shell-local, sleep

        error: one of inline, script, scripts and exec must be given
         --> ./web.pkr.hcl:8:3
          |
        8 |   provisioner "shell" { inlnie = ["true"] }
          |   ^^^^^^^^^^^^^^^^^^^
          |
          = help: write the commands in `inline = [...]`, or name script files with `scripts = [...]`

        error: there is no argument `inlnie` here
         --> ./web.pkr.hcl:8:25
          |
        8 |   provisioner "shell" { inlnie = ["true"] }
          |                         ^^^^^^
          |
          = help: did you mean `inline`?

        error: variable `missing` is not declared
         --> ./web.pkr.hcl:9:39
          |
        9 |   provisioner "shell" { inline = [var.missing] }
          |                                       ^^^^^^^
          |
          = help: declare it: variable "missing" {}

        error: there is no post-processor of type "oci-layuot"
          --> ./web.pkr.hcl:10:18
           |
        10 |   post-processor "oci-layuot" { path = "x" }
           |                  ^^^^^^^^^^^^
           |
           = help: did you mean `oci-layout`?
           = help: post-processors are artifice, checksum, compress, docker-archive, docker-import, docker-push, docker-save, docker-tag, manifest, oci-archive, oci-layout, oci-push, shell-local
        "#)
    });
}

#[test]
fn builds_that_cannot_be_ordered_are_refused() {
    for (template, expected) in [
        (
            r#"source "oci" "a" { from = "oci.b" }
               source "oci" "b" { from = "oci.a" }
               build { sources = ["source.oci.a", "source.oci.b"] }"#,
            "the circle is oci.a -> oci.b -> oci.a",
        ),
        (
            r#"source "oci" "a" { from = "oci.none" }
               build { sources = ["source.oci.a"] }"#,
            "there is no build named \"oci.none\"",
        ),
        (
            r#"source "oci" "a" { scratch = true }
               build { sources = ["source.oci.a"] }
               build { sources = ["source.oci.a"] }"#,
            "two builds are named oci.a",
        ),
        ("locals { a = 1 }", "there is no build block"),
    ] {
        let ran = Bench::new(template).run(&["build", "."]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
}

#[test]
fn a_plan_says_what_would_run_and_why() {
    let template = r#"
source "oci" "above" { from = "below" }
build {
  name    = "above"
  sources = ["source.oci.above"]
  provisioner "shell" { inline = ["cat /input"] }
}
build {
  name    = "below"
  sources = ["source.oci.base"]
  provisioner "file" {
    source      = "input"
    destination = "/input"
  }
  provisioner "shell" { inline = ["echo $A"] }
  config { env = { A = "x" } }
}
"#;
    let bench = Bench::on_busybox(template);
    bench.file("input", "one");
    with_filters(|| {
        insta::assert_snapshot!(bench.ok(&["plan", "."]), @r#"
        above.oci.above
          base    build below
          later   -             shell: cat /input
        below.oci.base
          base    layout FIXTURE
          miss    SHORT  file: input to /input
                                it has not been built before
          later   -             shell: echo $A
        "#);
        bench.ok(&["build", "--progress=quiet", "."]);
        insta::assert_snapshot!(bench.ok(&["plan", "."]), @r#"
        above.oci.above
          base    build below
          hit     SHORT  shell: cat /input
        below.oci.base
          base    layout FIXTURE
          hit     SHORT  file: input to /input
          hit     SHORT  shell: echo $A
        "#);
        bench.file("input", "two");
        insta::assert_snapshot!(bench.ok(&["plan", "."]), @r#"
        above.oci.above
          base    build below
          later   -             shell: cat /input
        below.oci.base
          base    layout FIXTURE
          miss    SHORT  file: input to /input
                                file input changed
          later   -             shell: echo $A
        "#);
    });
    bench.file("input", "one");
    let changed = template.replace("echo $A", "echo $A twice");
    bench.template(&format!("{BASE}{changed}"));
    let plan = bench.json(&["plan", "--json", "."]);
    let below = &plan["builds"][1]["steps"];
    assert_eq!(below[0]["state"], "hit");
    assert_eq!(below[1]["state"], "miss");
    assert_eq!(below[1]["reasons"][0], "option scripts[0].inline changed");
    assert_eq!(plan["builds"][0]["steps"][0]["state"], "unknown");
    assert_eq!(plan["builds"][0]["depends_on"], "below.oci.base");
}

#[test]
fn a_sensitive_value_is_in_no_output_and_no_record() {
    let bench = Bench::on_busybox(
        r#"
variable "password" {
  type      = string
  sensitive = true
}
build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["echo ${var.password}; echo ${var.password} >&2; printf 'hor\\033[0mse'; exit $FAIL"]
    env    = { "${var.password}" = var.password, FAIL = "0" }
  }
  provisioner "file" {
    content     = "public"
    destination = "/${substr(var.password, 0, 3)}"
  }
  post-processors {
    post-processor "oci-archive" { path = "${var.password}.tar" }
    post-processor "shell-local" { inline = ["echo ${var.password}"] }
    post-processor "manifest" { custom_data = { "x${var.password}" = "y${var.password}" } }
  }
  provisioner "shell-local" {
    command = "echo ${var.password}; test $V = ${var.password}"
    env     = { V = var.password }
  }
  provisioner "shell" {
    inline            = ["env | grep ^V="]
    env               = { V = var.password }
    use_env_var_file  = true
    continue_on_error = true
    valid_exit_codes  = [7]
  }
  error-cleanup-provisioner "shell" { inline = ["echo ${var.password}"] }
}
"#,
    );
    const SECRET: &str = "horsebattery";
    let variable = format!("password={SECRET}");
    let mut all = String::new();
    for mode in [
        "--progress=plain",
        "--progress=json",
        "--progress=quiet",
        "--progress=tty",
        "-machine-readable",
    ] {
        let ran = bench.run(&[
            "build",
            mode,
            "--no-cache",
            "--metadata-file=meta.json",
            "-var",
            &variable,
            ".",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        all += &(ran.stdout + &ran.stderr);
        for file in ["meta.json", "packer-manifest.json"] {
            all += &fs::read_to_string(bench.folder.path().join(file)).unwrap();
        }
    }
    for arguments in [
        &["plan", "-var", &variable, "."][..],
        &["plan", "--json", "-var", &variable, "."],
        &["show", "oci.base"],
        &["show", "--json", "oci.base"],
        &["images", "--json"],
    ] {
        all += &bench.ok(arguments);
    }
    assert!(!all.contains(SECRET), "{all}");
    assert!(all.contains("<sensitive>"));
    let mut pending = vec![bench.folder.path().join("store")];
    let mut records = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let found = String::from_utf8_lossy(&bytes).contains(SECRET);
            assert!(!found, "{}", path.display());
            records += usize::from(path.extension().is_some_and(|it| it == "json"));
        }
    }
    assert!(records > 2, "step records are looked at");

    let broken = fs::read_to_string(bench.folder.path().join("web.pkr.hcl")).unwrap();
    let broken = broken.replace("public\"", "public\"\n    source = var.password");
    bench.file("web.pkr.hcl", &broken);
    let ran = bench.run(&["build", "-var", &variable, "."]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
}

#[test]
fn steps_that_can_never_be_cached_are_warned_of() {
    let bench = Bench::on_busybox(
        r#"
locals { now = timestamp() }
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo ${local.now}"] }
  provisioner "shell" {
    cache  = false
    inline = ["echo ${uuidv4()}"]
  }
}
"#,
    );
    let plan = bench.run(&["plan", "."]);
    with_filters(|| {
        insta::assert_snapshot!(plan.stderr, @r#"
        warning: this step can never be cached: timestamp() differs in each run
         --> ./web.pkr.hcl:8:43
          |
        5 | locals { now = timestamp() }
          |                --------- it is called here
        ...
        8 |   provisioner "shell" { inline = ["echo ${local.now}"] }
          |                                           ^^^^^^^^^
          |
          = help: give the value as a variable, which changes only when you say so; `cache = false` silences this warning
        "#)
    });
    assert_eq!(bench.run(&["build", "--progress=quiet", "."]).stderr, "");
    let json = bench.run(&["build", "--progress=json", "."]).stderr;
    let events: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "notice");
    assert_eq!(events[0]["level"], "warning");
    assert_eq!(events[1]["event"], "build_started");
}

#[test]
fn with_json_every_line_of_standard_error_is_json() {
    let bench = Bench::on_busybox("build { sources = [\"source.oci.bsae\"] }");
    for arguments in [
        &["build", "--progress=json", "."][..],
        &["build", "--progress=json", "no-such-template"],
        &["build", "--progress=json", "--metadata-file=none/x", "."],
        &["build", "--progress=json", "--store=/dev/null", "."],
    ] {
        let ran = bench.run(arguments);
        assert_ne!(ran.code, 0);
        for line in ran.stderr.lines() {
            let event: Value = serde_json::from_str(line).expect(line);
            assert_eq!(
                (&event["event"], &event["level"]),
                (&"notice".into(), &"error".into())
            );
        }
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_metadata_file_has_the_documented_form() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["touch /file"] }
}
"#,
    );
    bench.ok(&["build", "--metadata-file", "meta.json", "."]);
    let text = fs::read_to_string(bench.folder.path().join("meta.json")).unwrap();
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let build = &metadata["builds"]["oci.base"];
    let shown = bench.json(&["show", "--json", "oci.base"]);
    assert_eq!(build["digest"], shown["digest"]);
    assert_eq!(build["config"], shown["config_digest"]);
    let layers = build["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert_eq!(layers[0]["step"], Value::Null);
    assert_eq!(layers[1]["step"], "shell");
    assert_eq!(layers[1]["cached"], false);
    assert_eq!(layers[1]["diff_id"], shown["layers"][1]["diff_id"]);
    assert_eq!(build["artifacts"][0]["kind"], "image");
    assert!(build["seconds"].is_f64());

    let ran = bench.run(&["build", "--metadata-file", "none/meta.json", "."]);
    assert_eq!(ran.code, 1);
    assert!(
        !ran.stderr.contains("oci.base"),
        "nothing was built: {}",
        ran.stderr
    );
}

#[test]
fn a_step_that_may_fail_leaves_nothing() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    continue_on_error = true
    max_retries       = 1
    inline            = ["touch /half", "exit 1"]
  }
  provisioner "shell" { inline = ["test ! -e /half"] }
}
"#,
    );
    let ran = bench.run(&["build", "."]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("attempt 2 begins"));
    assert!(ran.stderr.contains("the build goes on without its changes"));
    let again = bench.run(&["build", "."]);
    assert_eq!(again.stdout, ran.stdout);
    assert!(
        again.stderr.contains("1/2 steps cached"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_generated_file_may_come_while_the_build_runs() {
    let bench = Bench::on_busybox(
        r#"
build {
  sources = ["source.oci.base"]
  provisioner "file" {
    source      = "/bin/busybox"
    destination = "out/"
    direction   = "download"
  }
  provisioner "file" {
    source      = "out/busybox"
    destination = "/copy"
    generated   = true
  }
}
"#,
    );
    bench.ok(&["plan", "."]);
    let first = bench.ok(&["build", "."]);
    let second = bench.run(&["build", "."]);
    assert_eq!(second.stdout, first);
    assert!(
        second.stderr.contains("1/2 steps cached"),
        "{}",
        second.stderr
    );
}

#[test]
fn only_and_except_choose_builds_and_post_processors() {
    let bench = Bench::new(
        r#"
source "oci" "a" { scratch = true }
source "oci" "b" { from = "oci.a" }
source "oci" "c" { scratch = true }
build {
  sources = ["source.oci.a", "source.oci.b", "source.oci.c"]
  post-processor "oci-archive" {
    name = "archive"
    path = "${source.name}.tar"
  }
}
"#,
    );
    for (arguments, expected) in [
        (
            &["-only=oci.c"][..],
            &["oci.c image", "oci.c oci-archive"][..],
        ),
        (
            &["-only=*.b", "-except=archive"],
            &["oci.a image", "oci.b image"],
        ),
        (&["-except", "oci.a,oci.b,oci-archive"], &["oci.c image"]),
    ] {
        let all = [&["build", "--progress=quiet"], arguments, &["."]].concat();
        let stdout = bench.ok(&all);
        let told: Vec<&str> = stdout
            .lines()
            .filter_map(|line| Some(line.rsplit_once(' ')?.0))
            .collect();
        assert_eq!(told, expected, "{arguments:?}");
    }
    let ran = bench.run(&["build", "-only=nothing", "."]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("builds are oci.a, oci.b, oci.c"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let bench = Bench::new(
        "source \"oci\" \"a\" { scratch = true }\nbuild { sources = [\"source.oci.a\"] }",
    );
    for arguments in [
        &["build", "."][..],
        &["plan", "."],
        &["images"],
        &["--help"],
    ] {
        let mut child = bench
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_documentation_lists_every_component_and_function() {
    let text = fs::read_to_string("docs/templates.md").unwrap();
    let names = hardtack::template::functions::names()
        .chain(hardtack::base::kinds())
        .chain(hardtack::imageless::kinds())
        .chain(hardtack::provision::kinds())
        .chain(hardtack::postprocess::kinds());
    for name in names {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}

/// A failing step on BusyBox, with an error-cleanup-provisioner that looks at what it left.
const FAILING: &str = r#"
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo one > /one; echo two > /two"] }
  provisioner "shell" {
    inline      = ["echo try; rm /two; mkdir /new; echo log > /new/log; exit 3"]
    max_retries = 1
  }
  error-cleanup-provisioner "shell" {
    inline = ["cat /one /new/log; test ! -e /two; touch /cleaned; EXIT"]
  }
}
"#;

#[test]
fn an_error_cleanup_provisioner_sees_what_the_failed_step_left() {
    let bench = Bench::on_busybox(&FAILING.replace("EXIT", "echo fine"));
    for _ in 0..2 {
        let ran = bench.run(&["build", "."]);
        assert_eq!(ran.code, 1);
        assert_eq!(ran.stderr.matches("oci.base: try\n").count(), 2);
        for line in ["one", "log", "fine"] {
            let line = format!("    oci.base: {line}\n");
            assert_eq!(ran.stderr.matches(&line).count(), 1, "{}", ran.stderr);
        }
        assert!(ran.stderr.contains("error: the command exited with code 3"));
    }
    let left = fs::read_dir(bench.folder.path().join("store/tmp")).unwrap();
    assert_eq!(left.count(), 0, "nothing of it stays");

    bench.template(&format!("{BASE}{}", FAILING.replace("EXIT", "exit 4")));
    let ran = bench.run(&["build", "."]);
    let both = "error: the error-cleanup-provisioner failed: the command exited with code 4; \
                what failed first: the command exited with code 3";
    assert!(ran.stderr.contains(both), "{}", ran.stderr);
    let ran = bench.run(&["build", "-on-error=abort", "."]);
    assert!(!ran.stderr.contains("oci.base: log"), "{}", ran.stderr);
}

/// Runs a command with `input` as its standard input.
fn with_input(mut command: Command, input: &str) -> Ran {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_failed_step_is_retried_for_as_long_as_the_user_wants() {
    let template = r#"
source "null" "a" {}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" { inline = ["echo run >> runs; test $(grep -c run runs) = 3"] }
  provisioner "shell-local" { inline = ["echo next"] }
}
"#;
    for (answers, code, runs) in [
        ("r\nr\n", 0, 3),
        ("maybe\nr\nc\n", 1, 2),
        ("a\n", 1, 1),
        ("", 1, 1),
    ] {
        let bench = Bench::new(template);
        let ran = with_input(bench.command(&["build", "-on-error=ask", "."]), answers);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("null.a: next"), code == 0);
        let made = fs::read_to_string(bench.folder.path().join("runs")).unwrap();
        assert_eq!(made.lines().count(), runs);
    }
}

#[test]
fn debug_waits_before_each_step_and_a_breakpoint_where_it_stands() {
    let bench = Bench::new(
        r#"
source "null" "a" {}
build {
  sources = ["source.null.a"]
  provisioner "breakpoint" { note = "look" }
  provisioner "breakpoint" {
    note    = "never"
    disable = true
  }
  provisioner "shell-local" { inline = ["echo done"] }
}
"#,
    );
    let ran = with_input(bench.command(&["build", "-debug", "."]), "\n\n\n\n");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("pausing before step").count(), 3);
    assert!(
        ran.stderr
            .contains("Pausing at breakpoint provisioner with note \"look\".")
    );
    assert!(ran.stderr.contains("null.a: done"));
    let ran = bench.run(&["build", "."]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nobody answers"), "{}", ran.stderr);
}

#[test]
fn steps_on_the_host_have_the_arguments_of_all_provisioners() {
    let bench = Bench::new(
        r#"
source "null" "a" {}
source "null" "b" {}
build {
  sources = ["source.null.a", "source.null.b"]
  provisioner "shell-local" {
    only    = ["null.a"]
    inline  = ["sleep 60"]
    timeout = "50ms"
  }
  provisioner "shell-local" {
    except            = ["null.a"]
    inline            = ["exit 3"]
    max_retries       = 2
    pause_before      = "1ms"
    continue_on_error = true
  }
  provisioner "shell-local" {
    name     = "last"
    inline   = ["echo $V"]
    env      = { V = "all" }
    override = { b = { env = { V = "only b" } } }
  }
  provisioner "sleep" { duration = "1ms" }
  provisioner "shell-local" {
    inline  = ["exit 9"]
    only_on = ["windows"]
  }
}
"#,
    );
    let ran = bench.run(&["build", "-color=false", "."]);
    assert_eq!(ran.code, 1);
    for line in [
        "==> null.a [1/4] shell-local: failed after TIME: timed out after TIME",
        "==> null.b [1/4] shell-local: the command exited with code 3; attempt 3 begins",
        "==> null.b: warning: step 1 (shell-local) failed; the build goes on",
        "    null.b: only b",
        "==> null.b [4/4] shell-local: Skipping local shell script: only_on names other systems",
        "==> null.b: finished in TIME",
    ] {
        let pattern = regex::escape(line).replace("TIME", r"\S+");
        let found = regex::Regex::new(&pattern).unwrap().is_match(&ran.stderr);
        assert!(found, "{line}: {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "", "there is nothing to name");
}

#[test]
fn what_needs_an_image_is_refused_where_there_is_none() {
    let bench = Bench::new(
        r#"
source "null" "a" { ssh_host = "example.com" }
source "file" "b" {
  content = "x"
  source  = "y"
  target  = "z"
}
source "oci" "c" { from = "null.a" }
build {
  sources = ["source.null.a", "source.file.b", "source.oci.c"]
  provisioner "shell" { inline = ["true"] }
  post-processor "oci-archive" { path = "x.tar" }
}
"#,
    );
    let ran = bench.run(&["build", "."]);
    assert_eq!(ran.code, 1);
    for text in [
        "warning: ssh_host has no effect: hardtack connects to no other machine",
        "error: the provisioner shell has nothing to work on: the source null.a makes no image",
        "error: oci-archive works on images, and the source null makes none",
        "error: a file source takes its content from one place",
        "use a provisioner that works on this host (breakpoint, shell-local, sleep)",
    ] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    bench.template(
        "source \"null\" \"a\" {}\nsource \"oci\" \"c\" { from = \"null.a\" }\nbuild { sources = [\"source.null.a\", \"source.oci.c\"] }\n",
    );
    let ran = bench.run(&["build", "."]);
    let text = "error: the build \"null.a\" makes no image to start from";
    assert!(ran.stderr.contains(text), "{}", ran.stderr);
}

#[test]
fn a_secret_in_the_configuration_is_warned_of() {
    let bench = Bench::on_busybox(
        r#"
variable "password" {
  default   = "horsebattery"
  sensitive = true
}
build {
  sources = ["source.oci.base"]
  config {
    labels = { a = "it is ${var.password}" }
    env    = { PUBLIC = "x" }
  }
}
"#,
    );
    let ran = bench.run(&["plan", "."]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = "warning: `labels` puts a sensitive value into the image";
    assert!(ran.stderr.contains(text), "{}", ran.stderr);
    assert!(!ran.stderr.contains("`env`"), "{}", ran.stderr);
}
