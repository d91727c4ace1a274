//! Whole files, and what is wrong with them.

use super::*;
use crate::diagnostic::Colours;

fn read_text(name: &str, text: &str) -> (String, Vec<Test>) {
    let environment = BTreeMap::from([("TOKEN".to_owned(), "t0ken".to_owned())]);
    let world = World {
        folder: PathBuf::from("/nowhere"),
        environment: &environment,
    };
    let file = NamedText {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let (sources, diagnostics, tests) = read(file, &world);
    (diagnostics.render(&sources, Colours::Off), tests)
}

fn tests_of(text: &str) -> Vec<Test> {
    let (errors, tests) = read_text("t.yaml", text);
    assert_eq!(errors, "", "{text}");
    tests
}

const WHOLE: &str = r#"
schemaVersion: 2.0.0
containerRunOptions:
  user: app
  privileged: false
  network: host
  envVars: [TOKEN, UNSET]
globalEnvVars:
  - key: PATH
    value: "/opt/bin:$PATH"
commandTests:
  - name: version
    setup: [["mkdir", "/x"], [touch, /x/y]]
    teardown: [[rm, -r, /x]]
    envVars:
      - {key: LEVEL, value: 3}
    command: app
    args: ["--version", 1]
    expectedOutput: ['^app \d+\.\d+$']
    excludedOutput: ["(?i)beta"]
    expectedError: []
    excludedError: ['error']
    exitCode: 3
fileExistenceTests:
  - name: tool
    path: /usr/bin/tool
    shouldExist: yes
    permissions: '-rwxr-xr-x'
    uid: 0
    gid: -1
    isExecutableBy: group
  - {name: none, path: $HOME/none, shouldExist: false, permissions: "-rw-------"}
fileContentTests:
  - name: hosts
    path: /etc/hosts
    expectedContents: ["127\\.0\\.0\\.1"]
    excludedContents: [evil]
metadataTest:
  envVars:
    - {key: A, value: "1"}
    - {key: B, value: "^x", isRegex: true}
  unboundEnvVars: [{key: C}]
  labels: [{key: maker, value: me}]
  exposedPorts: [80, "53/udp"]
  unexposedPorts: ["22"]
  volumes: [/data]
  unmountedVolumes: [/tmp]
  entrypoint: []
  cmd: [serve]
  workdir: /srv
  user: app
"#;

#[test]
fn every_field_is_read() {
    let tests = tests_of(WHOLE);
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "Command Test: version",
            "File Existence Test: tool",
            "File Existence Test: none",
            "File Content Test: hosts",
            "Metadata Test",
        ]
    );
    let json: Vec<serde_json::Value> = tests
        .iter()
        .map(|test| serde_json::to_value(test).unwrap())
        .collect();
    let command = &json[0];
    assert_eq!(command["user"], "app");
    assert_eq!(command["network"], "host");
    assert_eq!(
        command["env"],
        serde_json::json!({ "LEVEL": "3", "PATH": "/opt/bin:$PATH", "TOKEN": "t0ken" })
    );
    assert_eq!(
        command["setup"],
        serde_json::json!([["mkdir", "/x"], ["touch", "/x/y"]])
    );
    assert_eq!(
        command["command"]["argv"],
        serde_json::json!(["app", "--version", "1"])
    );
    assert_eq!(command["command"]["exit_codes"], serde_json::json!([3]));
    let tool = &json[1]["files"][0];
    assert_eq!(
        (&tool["mode"], &tool["any_mode"]),
        (&0o755.into(), &0o010.into())
    );
    assert_eq!(
        (&tool["owner"], &tool["group"]),
        (&"0".into(), &serde_json::Value::Null)
    );
    assert_eq!(json[2]["files"][0]["exists"], false);
    assert_eq!(json[2]["files"][0]["mode"], serde_json::Value::Null);
    let config = &json[4]["config"];
    assert_eq!(config["entrypoint"], serde_json::json!([]));
    assert_eq!(config["ports"][1], serde_json::json!(["53/udp"]));
    assert_eq!(config["ports"][0][1], "80/tcp");
    assert!(
        tests
            .iter()
            .all(|test| test.needs_root() == (test.name != "Metadata Test"))
    );
}

#[test]
fn json_is_read_too_also_with_tabs() {
    let text = "{\n\t\"schemaVersion\":\t\"2.0.0\",\n\t\"commandTests\": [\n\t\t{\"name\": \"a\", \"command\": \"b\\/c\\u00e9\"}\n\t]\n}\n";
    let (errors, tests) = read_text("t.json", text);
    assert_eq!(errors, "");
    let json = serde_json::to_value(&tests[0]).unwrap();
    assert_eq!(json["command"]["argv"], serde_json::json!(["b/cé"]));
}

#[test]
fn mistakes_are_told_with_their_places_all_at_once() {
    for (text, expected) in [
        (
            "commandTests: []",
            &["`schemaVersion` is required", "t.yaml:1:1"][..],
        ),
        (
            "schemaVersion: 1.0.0",
            &["version \"1.0.0\" is not supported", "t.yaml:1:16"],
        ),
        (
            "schemaVersion: 2.0.0\ncommandTest: []",
            &["no field `commandTest`", "`commandTests`", "t.yaml:2:1"],
        ),
        (
            "schemaVersion: 2.0.0\ncommandTests:\n- command: x\n  expectedOutput: ['(']\n- name: y\n  exitCode: zero\n",
            &[
                "`name` is required",
                "\"(\" is not a regular expression",
                "t.yaml:4:20",
                "`command` is required",
                "a whole number",
                "t.yaml:6:13",
            ],
        ),
        (
            "schemaVersion: 2.0.0\ncommandTests: {name: x}",
            &["a list is required", "t.yaml:2:15"],
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: etc, permissions: '0644', isExecutableBy: me}",
            &[
                "path \"etc\" is not absolute",
                "\"0644\" is no permissions",
                "none of owner",
            ],
        ),
        (
            "schemaVersion: 2.0.0\ncontainerRunOptions: {privileged: true, bindMounts: ['/a:/b'], envFile: x, network: mesh}",
            &[
                "containerRunOptions.privileged",
                "containerRunOptions.bindMounts",
                "cannot read /nowhere/x",
                "no network \"mesh\"",
            ],
        ),
        (
            "schemaVersion: 2.0.0\nlicenseTests: [{debian: true}]",
            &["licenseTests are not supported"],
        ),
        (
            "schemaVersion: 2.0.0\ncommandTests: [{name: a, command: b, setup: [[]]}]",
            &["must not be empty"],
        ),
        ("- a", &["a mapping is required"]),
    ] {
        let (errors, _) = read_text("t.yaml", text);
        for piece in expected {
            assert!(errors.contains(piece), "{text}\n{piece}\n{errors}");
        }
    }
}
