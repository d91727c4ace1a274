//! `hardtack fmt` beside `packer fmt`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
#![allow(clippy::print_stderr, reason = "a comparison that is left out is said")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const UGLY: &[&str] = &[
    "a=1",
    "a=1 # c\nbbbbb = 2 // d\n\nc=3\n",
    "locals {\na = [for x in [1,2]:x+ -1]\nbb= {for k,v in local.m:k=>v... if v!=-1}\n}\n",
    "locals {\na = \"${ a } ${~ b ~} x%{if a}y%{ else }z%{endif}\"  // c\nd={a=1,b=2}   # d\n}\n",
    "locals {\n e = (1+2)*-3 /* in */ + foo . bar [0] . baz[*]\n  f = [\n1,2,\n   3 # three\n     ,4 // f\n]\n}\n",
    "locals {\ng=upper ( \"x\" )\nh = a?b:c\ni=!a&&b||-c>=d\nj = f({\na=1\n})\nk = f([\n  \"x\",\n], {\n  y = 1\n})\n}\n",
    "locals {\né = \"ü\"  # x\nlong_é=\"ü\" # y\nl = \"${ {a=1} }\"\nm = a ? -1 : - 1\nn = a-1\no = a -1\n}\n",
    "locals {\np = [ ]\nq = { }\nr = f( )\nt = a . * . b\nu = \"a${b}${c}\"\n}\n",
    "source \"x\"   \"y\"   {\n  inline=[\"a\",\n\"b\"]\n  text = <<EOT\n   keep   this\n     ${  foo  }\nEOT\n  t2=<<-EOT\n      a\n    EOT\n  x   = 1\n}\n",
    "  /* block\n   comment */\n  y=2 /* c */\n   # comment\n     // other\nbuild{}\nbuild{a=1}\nbuild{\n}\n",
    "dynamic\"x\"{\nfor_each=[]\ncontent{\na=1\n}\n}\n\n\n\n",
    "x = [[\n1\n],\n[\n2]]\ny=3\n",
    "a = 1\r\nbb = 2 # x\r\n",
    "\ta = 1\n\t\tb = 2\n",
    "a = f(\n1,\n2)\nb = {\nc = [{\nd = 1\n}, {\ne = 2\n}]\n}\n",
    "a = 1   \n   ",
    "x {\n\n\n  a = 1\n\n}\n",
    "a = {\n\"b\" = 1\n\"c-d\" : 2, e = 3\n(f) = 4\n}\n",
    "a = b ? {\nc = 1\n} : {\nd = 2\n}\n",
    "a = 1 == 2\nb = [for s in x: s if s!=\"\"]\nc = \"x\"==\"y\"\n",
    "provisioner \"shell\" {\ninline = [\"echo a\",\"echo b\",]\nenvironment_vars=[\"A=1\"]\nonly=[\"x.y\"]\n}\n",
];

fn hardtack(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .arg("fmt")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs Packer's formatter; none where there is no Packer, which is a failure in CI.
fn packer(folder: &Path, arguments: &[&str]) -> Option<Output> {
    let packer = Command::new("packer")
        .arg("fmt")
        .args(arguments)
        .current_dir(folder)
        .env("CHECKPOINT_DISABLE", "1")
        .output();
    if packer.is_err() {
        assert!(std::env::var_os("CI").is_none(), "packer is not installed");
        eprintln!("packer is not installed: nothing is compared");
    }
    packer.ok()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, text) in UGLY.iter().enumerate() {
        fs::write(folder.path().join(format!("{index:02}.pkr.hcl")), text).unwrap();
    }
    folder
}

#[test]
fn packer_formats_alike() {
    for arguments in [
        &["."][..],
        &["-check", "."],
        &["-diff", "-write=false", "."],
        &["-write=false", "03.pkr.hcl"],
    ] {
        let (ours, theirs) = (folder(), folder());
        let own = hardtack(ours.path(), arguments);
        let Some(other) = packer(theirs.path(), arguments) else {
            return;
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
        assert_eq!(text(&own.stdout), text(&other.stdout), "{arguments:?}");
        assert_eq!(own.status.code(), other.status.code(), "{arguments:?}");
        for index in 0..UGLY.len() {
            let name = format!("{index:02}.pkr.hcl");
            let read = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap();
            assert_eq!(
                read(ours.path()),
                read(theirs.path()),
                "{arguments:?} {name}"
            );
        }
    }
}

#[test]
fn formatted_files_stay_as_they_are() {
    let folder = folder();
    assert!(hardtack(folder.path(), &["."]).status.success());
    let again = hardtack(folder.path(), &["-check", "."]);
    assert_eq!(again.stdout, b"");
    assert_eq!(again.status.code(), Some(0));
}

#[test]
fn files_keep_their_mode_and_links_their_target() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inner")).unwrap();
    fs::write(path("inner/a.pkr.hcl"), "a=1\n").unwrap();
    fs::set_permissions(path("inner/a.pkr.hcl"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("inner/a.pkr.hcl", path("link.pkr.hcl")).unwrap();
    assert!(hardtack(folder.path(), &["."]).status.success());
    assert!(
        fs::symlink_metadata(path("link.pkr.hcl"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::read_to_string(path("inner/a.pkr.hcl")).unwrap(),
        "a = 1\n"
    );
    let mode = fs::metadata(path("inner/a.pkr.hcl"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read_dir(path("inner")).unwrap().count(), 1);
}

#[test]
fn folders_inside_are_entered_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    // A folder within itself.
    std::os::unix::fs::symlink("..", folder.path().join("inner/up")).unwrap();
    fs::write(folder.path().join("inner/a.pkrvars.hcl"), "a=1\n").unwrap();
    fs::write(folder.path().join("inner/b.hcl"), "a=1\n").unwrap();
    assert_eq!(
        hardtack(folder.path(), &["-check", "."]).status.code(),
        Some(0)
    );
    let recursive = hardtack(folder.path(), &["-check", "-recursive", "."]);
    assert_eq!(recursive.stdout, b"inner/a.pkrvars.hcl\n");
    assert_eq!(recursive.status.code(), Some(3));
}

#[test]
fn a_wrong_file_is_left_alone_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.pkr.hcl"), "a  = = 1\nb = \n").unwrap();
    fs::write(path("b.pkr.hcl"), "a=1\n").unwrap();
    let output = hardtack(folder.path(), &["."]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("a.pkr.hcl:1:6"), "{stderr}");
    assert!(stderr.contains("a.pkr.hcl:2:5"), "{stderr}");
    assert_eq!(output.stdout, b"b.pkr.hcl\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        fs::read_to_string(path("a.pkr.hcl")).unwrap(),
        "a  = = 1\nb = \n"
    );
    assert_eq!(fs::read_to_string(path("b.pkr.hcl")).unwrap(), "a = 1\n");
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .args(["fmt", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a=1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"a = 1\n");
}
