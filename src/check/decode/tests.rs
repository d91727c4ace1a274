//! What `test` blocks mean, and what is wrong with them.

use super::*;
use crate::diagnostic::Colours;
use crate::template::{NamedText, NoServices, World, read_constants};
use std::path::PathBuf;
use std::sync::Arc;

fn world() -> World {
    World {
        template_folder: PathBuf::new(),
        working_folder: PathBuf::from("/work"),
        home: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(0)),
        environment: BTreeMap::new(),
        services: Arc::new(NoServices),
    }
}

/// Decodes one `test` block, or gives the errors.
fn read(text: &str) -> Result<Test, String> {
    let text = NamedText {
        name: "t.hcl".to_owned(),
        text: text.to_owned(),
    };
    let read = |arguments: &Arguments<'_>| {
        let blocks = arguments.labelled_blocks("test", 1);
        let tests = blocks.into_iter().map(|block| {
            let name = block.label(0).unwrap_or_default().to_owned();
            let test = decode(&block, &name, block.label_span(0));
            block.finish();
            test
        });
        tests.last()
    };
    match read_constants(text, world(), read) {
        Ok(test) => test.ok_or_else(|| "no test".to_owned()),
        Err((sources, diagnostics)) => Err(diagnostics.render(&sources, Colours::Off)),
    }
}

fn json(text: &str) -> serde_json::Value {
    let test = read(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    serde_json::to_value(test).unwrap()
}

#[test]
fn every_argument_is_read() {
    let test = json(
        r#"test "all" {
          network = "host"
          timeout = "90s"
          env     = { A = "1" }
          user    = "app:app"
          workdir = "/srv"
          setup   = ["a", "b"]
          start   = ["serve"]
          command = ["x", "y"]
          exit_code       = [0, 3]
          stdout          = ["a"]
          excluded_stdout = ["b"]
          stderr          = ["c"]
          excluded_stderr = ["d"]
          file "/f" {
            type     = "file"
            mode     = 644
            owner    = 33
            group    = "adm"
            size     = 7
            contains = ["x"]
            sha256   = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
          }
          user "app" { groups = ["adm"] }
          group "adm" { gid = 4 }
          port "53" {
            protocol = "udp"
            within   = "1s"
          }
          config {
            env   = { B = null }
            ports = ["80-81"]
          }
        }"#,
    );
    assert_eq!(test["network"], "host");
    assert_eq!(test["timeout"]["secs"], 90);
    assert_eq!(test["setup"][0][3], "a\nb");
    assert_eq!(test["start"]["command"][0], "serve");
    assert_eq!(test["command"]["exit_codes"], serde_json::json!([0, 3]));
    assert_eq!(test["command"]["stderr"]["excluded"][0][0], "d");
    let file = &test["files"][0];
    assert_eq!(
        (&file["mode"], &file["owner"]),
        (&0o644.into(), &"33".into())
    );
    assert_eq!(test["ports"][0]["port"]["protocol"], "udp");
    assert_eq!(test["config"]["env"][0][1], "absent");
    assert_eq!(test["config"]["ports"][1][0], "81/tcp");
}

#[test]
fn the_images_own_program_is_started_for_its_ports() {
    let with = |more: &str| json(&format!("test \"a\" {{\n command = [\"x\"]\n {more}\n}}"));
    assert_eq!(with("")["start"], "nothing");
    assert_eq!(
        with("port \"80\" {}")["start"],
        serde_json::json!({ "of_image": null })
    );
    assert_eq!(with("port \"80\" {}\n start = []")["start"], "nothing");
}

#[test]
fn links_are_followed_unless_they_are_meant() {
    let follows = |inside: &str| {
        json(&format!("test \"a\" {{\n file \"/f\" {{ {inside} }}\n}}"))["files"][0]["follows"]
            .clone()
    };
    assert_eq!(follows(""), true);
    assert_eq!(follows("mode = \"0644\""), true);
    assert_eq!(follows("type = \"link\""), false);
    assert_eq!(follows("link_target = \"x\""), false);
    assert_eq!(follows("exists = false"), false);
}

#[test]
fn what_decides_a_result_is_serialised_and_names_and_places_are_not() {
    let a = json("test \"a\" { command = [\"x\"] }");
    assert_eq!(a, json("\n\n  test \"b\" {\n    command = [\"x\"]\n}"));
    for other in [
        "command = [\"y\"]",
        "inline = [\"x\"]",
        "command = [\"x\"]\n user = \"u\"",
        "command = [\"x\"]\n timeout = \"1s\"",
        "command = [\"x\"]\n stdout = [\"x\"]",
        "command = [\"x\"]\n file \"/x\" {}",
    ] {
        assert_ne!(a, json(&format!("test \"a\" {{\n{other}\n}}")), "{other}");
    }
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (inside, expected) in [
        ("", &["the test \"a\" checks nothing", "t.hcl:1:6"][..]),
        ("env = { A = \"1\" }", &["checks nothing"]),
        ("config {}", &["checks nothing"]),
        ("command = []", &["the command is empty", "t.hcl:2:1"]),
        ("command = [\"\"]", &["the command is empty"]),
        (
            "command = [\"x\"]\ninline = [\"y\"]",
            &["only one of command and inline", "t.hcl:3:1"],
        ),
        ("stdout = [\"x\"]", &["stdout says something of a command"]),
        (
            "inline = [\"x\"]\nstdout = [\"(\"]",
            &["\"(\" is not a regular expression", "t.hcl:3:1"],
        ),
        ("inline = [\"x\"]\nexit_code = 256", &["from 0 to 255"]),
        ("inline = [\"x\"]\nexit_code = []", &["from 0 to 255"]),
        ("inline = [\"x\"]\nexit_code = \"no\"", &["from 0 to 255"]),
        ("inline = [\"x\"]\ntimeout = \"0s\"", &["no time"]),
        (
            "inline = [\"x\"]\nnetwork = \"bridge\"",
            &["\"bridge\" is none of"],
        ),
        (
            "inline = [\"x\"]\nworkdir = \"srv\"",
            &["not an absolute path"],
        ),
        (
            "inline = [\"x\"]\nenv = { \"A=B\" = \"\" }",
            &["cannot be an environment variable"],
        ),
        (
            "inline = [\"x\"]\ncolour = \"red\"",
            &["no argument `colour`"],
        ),
        ("file \"etc\" {}", &["the path \"etc\" is not absolute"]),
        (
            "file \"/x\" { type = \"dir\" }",
            &["none of file, directory and link"],
        ),
        ("file \"/x\" { mode = \"rw-\" }", &["write octal digits"]),
        (
            "file \"/x\" { sha256 = \"abc\" }",
            &["64 hexadecimal digits"],
        ),
        (
            "file \"/x\" {\nexists = false\nsize = 1\n}",
            &["size says something of a file that", "t.hcl:4:1"],
        ),
        ("user \"a:b\" {}", &["cannot be the name"]),
        (
            "user \"a\" {\nexists = false\nuid = 1\n}",
            &["uid says something"],
        ),
        ("group \"a\" { gid = -1 }", &["not negative"]),
        ("port \"http\" {}", &["\"http\" is not a port"]),
        ("port \"0\" {}", &["\"0\" is not a port"]),
        (
            "port \"80\" { protocol = \"sctp\" }",
            &["neither \"tcp\" nor \"udp\""],
        ),
        ("config { ports = [\"x\"] }", &["a port"]),
        ("config { cmd = \"x\" }", &["a list is required"]),
    ] {
        let errors = match read(&format!("test \"a\" {{\n{inside}\n}}")) {
            Ok(_) => panic!("{inside} is accepted"),
            Err(errors) => errors,
        };
        for piece in expected {
            assert!(errors.contains(piece), "{inside}\n{piece}\n{errors}");
        }
        assert_eq!(errors.matches("error:").count(), 1, "{inside}\n{errors}");
    }
}
