//! Files of container-structure-test (schema version 2.0.0, YAML or JSON) as tests.
//!
//! Each of its tests becomes one of ours, named as that tool names it. What differs by necessity:
//! there is no Docker, so options of a container that loosen its confinement are refused, and commands
//! see no network unless the caller lets them. What differs on purpose: a setup that fails is a
//! failure, unknown fields are errors, and so are patterns that cannot be compiled.

mod permissions;
mod yaml;

use super::command::CommandCheck;
use super::config::{ConfigCheck, Spellings, Text};
use super::file::{FileCheck, Kind};
use super::pattern::{Pattern, Patterns};
use super::{Expected, Test};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, Sources};
use crate::sandbox::Network;
use crate::template::{NamedText, read_text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use yaml::{Fields, Node};

/// The largest file that is read, in bytes.
const LARGEST: usize = 4 << 20;

/// What a file can refer to.
#[derive(Debug)]
pub struct World<'a> {
    /// The folder of the file, where its relative paths start.
    pub folder: PathBuf,
    /// Environment variables that a file may pass on by name.
    pub environment: &'a BTreeMap<String, String>,
}

/// Reads a file: its tests, with all that is wrong.
pub fn read(file: NamedText, world: &World<'_>) -> (Sources, Diagnostics, Vec<Test>) {
    let mut sources = Sources::new();
    let diagnostics = Diagnostics::new();
    if file.text.len() > LARGEST {
        let error = format!("{} is larger than {} MiB", file.name, LARGEST >> 20);
        diagnostics.push(Diagnostic::error(error));
        return (sources, diagnostics, Vec::new());
    }
    // Between the values of JSON, tabs are white space; in YAML they need not be.
    let text = match file.name.ends_with(".json") {
        true => file.text.replace('\t', " "),
        false => file.text.clone(),
    };
    let id = sources.add(file.name, file.text);
    let tests = match yaml::parse(&text, id, &diagnostics) {
        Some(node) => document(&node, world, &diagnostics),
        None => Vec::new(),
    };
    (sources, diagnostics, tests)
}

/// What all tests of a file share.
#[derive(Default)]
struct Common {
    env: BTreeMap<String, String>,
    user: Option<String>,
    network: Option<Network>,
}

fn document(node: &Node, world: &World<'_>, diagnostics: &Diagnostics) -> Vec<Test> {
    let mut fields = node.fields(diagnostics);
    check_version(&mut fields);
    let mut common = Common::default();
    if let Some(options) = fields.optional("containerRunOptions") {
        run_options(options, world, &mut common, diagnostics);
    }
    common
        .env
        .extend(variables(fields.list("globalEnvVars"), diagnostics));
    let mut tests = Vec::new();
    let commands = fields.list("commandTests").iter();
    tests.extend(commands.filter_map(|node| command_test(node, &common, diagnostics)));
    let existence = fields.list("fileExistenceTests").iter();
    tests.extend(existence.filter_map(|node| existence_test(node, &common, diagnostics)));
    let contents = fields.list("fileContentTests").iter();
    tests.extend(contents.filter_map(|node| content_test(node, &common, diagnostics)));
    if let Some(license) = fields.list("licenseTests").first() {
        diagnostics.push(
            Diagnostic::error("licenseTests are not supported")
                .at(license.place)
                .help(
                    "they hold files against Google's own list of licenses; use fileContentTests",
                ),
        );
    }
    let metadata = fields.optional("metadataTest");
    tests.extend(metadata.map(|node| metadata_test(node, diagnostics)));
    fields.finish();
    tests
}

fn check_version(fields: &mut Fields<'_>) {
    let version = fields.required_text("schemaVersion");
    if let Some((version, place)) = version.filter(|(version, _)| version != "2.0.0") {
        fields.diagnostics.push(
            Diagnostic::error(format!("the schema version {version:?} is not supported"))
                .at(place)
                .help("it is \"2.0.0\""),
        );
    }
}

fn run_options(node: &Node, world: &World<'_>, common: &mut Common, diagnostics: &Diagnostics) {
    let mut fields = node.fields(diagnostics);
    if let Some(user) = fields.optional("user") {
        common.user = user.text(diagnostics);
    }
    if let Some(node) = fields.optional("network") {
        common.network = match node.text(diagnostics).as_deref() {
            Some("host") => Some(Network::Host),
            Some("none") => Some(Network::None),
            // Docker's own, from which the host cannot be reached by its loopback.
            Some("bridge") => Some(Network::User),
            Some(other) => {
                diagnostics.push(
                    Diagnostic::error(format!("there is no network {other:?}"))
                        .at(node.place)
                        .help("it is \"none\" (the default), \"bridge\" or \"host\""),
                );
                None
            }
            None => None,
        };
    }
    let refuse = |place: SourceSpan, name: &str| {
        diagnostics.push(
            Diagnostic::error(format!("containerRunOptions.{name} is not supported"))
                .at(place)
                .help("commands of tests run confined, as those of steps do"),
        );
    };
    for name in ["privileged", "allocateTty"] {
        if let Some(node) = fields.optional(name)
            && node.boolean(diagnostics) == Some(true)
        {
            refuse(node.place, name);
        }
    }
    for name in ["capabilities", "bindMounts"] {
        if let Some(first) = fields.list(name).first() {
            refuse(first.place, name);
        }
    }
    if let Some(file) = fields.optional("envFile")
        && let Some(path) = file.text(diagnostics)
    {
        match read_text(&world.folder.join(&path)) {
            Ok(text) => common.env.extend(env_file(&text, world.environment)),
            Err(error) => diagnostics.push(Diagnostic::error(error.to_string()).at(file.place)),
        }
    }
    if let Some(names) = fields.optional("envVars") {
        for (name, _) in names.texts(diagnostics) {
            let value = world.environment.get(&name).cloned();
            common.env.extend(value.map(|value| (name, value)));
        }
    }
    fields.finish();
}

/// The variables of a file as `docker run --env-file` reads it; a name alone stands for the caller's
/// variable.
fn env_file<'t>(
    text: &'t str,
    environment: &'t BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> + use<'t> {
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| match line.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((line.to_owned(), environment.get(line)?.clone())),
    })
}

/// A list of variables with `key` and `value`.
fn variables(nodes: &[Node], diagnostics: &Diagnostics) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for node in nodes {
        let mut fields = node.fields(diagnostics);
        let key = fields.required_text("key");
        let value = fields.optional("value").and_then(|it| it.text(diagnostics));
        fields.finish();
        if let Some((key, place)) = key {
            if key.contains(['=', '\0']) {
                let error = format!("{key:?} cannot be an environment variable");
                diagnostics.push(Diagnostic::error(error).at(place));
            }
            found.push((key, value.unwrap_or_default()));
        }
    }
    found
}

/// Begins a test; none without a name.
fn begin(fields: &mut Fields<'_>, kind: &str, common: &Common) -> Option<Test> {
    let (name, place) = fields.required_text("name")?;
    let mut test = Test::new(format!("{kind}: {name}"), place);
    test.expands = true;
    test.env.clone_from(&common.env);
    test.user.clone_from(&common.user);
    test.network = common.network.unwrap_or(test.network);
    Some(test)
}

fn command_test(node: &Node, common: &Common, diagnostics: &Diagnostics) -> Option<Test> {
    let mut fields = node.fields(diagnostics);
    let test = begin(&mut fields, "Command Test", common);
    let env = variables(fields.list("envVars"), diagnostics);
    let setup = commands(fields.list("setup"), diagnostics);
    let teardown = commands(fields.list("teardown"), diagnostics);
    let command = fields.required_text("command");
    let arguments = fields.optional("args").map(|node| node.texts(diagnostics));
    let code = fields.optional("exitCode");
    let exit_codes = match code {
        Some(node) => {
            let code = node
                .number(diagnostics)
                .and_then(|it| i32::try_from(it).ok());
            Expected::new(vec![code.unwrap_or(0)], node.place)
        }
        None => Expected::new(vec![0], node.place),
    };
    let stdout = patterns(&mut fields, "expectedOutput", "excludedOutput");
    let stderr = patterns(&mut fields, "expectedError", "excludedError");
    fields.finish();
    let (mut test, (program, place)) = (test?, command?);
    let exit_codes = match code {
        Some(_) => exit_codes,
        // Better than the whole test.
        None => Expected::new(exit_codes.value, place),
    };
    let arguments = arguments.unwrap_or_default().into_iter();
    let argv = std::iter::once(program).chain(arguments.map(|(text, _)| text));
    test.env.extend(env);
    test.setup = setup;
    test.teardown = teardown.into_iter().map(|argv| argv.value).collect();
    test.command = Some(CommandCheck {
        argv: Expected::new(argv.collect(), place),
        exit_codes,
        stdout,
        stderr,
    });
    Some(test)
}

/// Commands, each a list of a program and its arguments.
fn commands(nodes: &[Node], diagnostics: &Diagnostics) -> Vec<Expected<Vec<String>>> {
    let mut found = Vec::new();
    for node in nodes {
        let words = node.texts(diagnostics).into_iter();
        let argv: Vec<String> = words.map(|(text, _)| text).collect();
        if argv.first().is_none_or(String::is_empty) {
            diagnostics.push(
                Diagnostic::error("a command must not be empty")
                    .at(node.place)
                    .help("write a list of the program and its arguments"),
            );
        }
        found.push(Expected::new(argv, node.place));
    }
    found
}

fn existence_test(node: &Node, common: &Common, diagnostics: &Diagnostics) -> Option<Test> {
    let mut fields = node.fields(diagnostics);
    let test = begin(&mut fields, "File Existence Test", common);
    let path = path(&mut fields);
    let exists = fields.optional("shouldExist");
    let permissions = fields.optional("permissions");
    let executable = fields.optional("isExecutableBy");
    let (uid, gid) = (fields.optional("uid"), fields.optional("gid"));
    fields.finish();
    // A number below zero is the tool's own way to say nothing.
    let id = |node: &Node| {
        let text = node.text(diagnostics)?;
        let given = (text != "-1").then(|| node.number(diagnostics)).flatten();
        given.map(|id| Expected::new(id.to_string(), node.place))
    };
    let (owner, group) = (uid.and_then(id), gid.and_then(id));
    let permissions = permissions.and_then(|node| {
        let text = node.text(diagnostics)?;
        match permissions::parse(&text) {
            Ok(found) => Some((found, node.place)),
            Err(problem) => {
                diagnostics.push(Diagnostic::error(problem).at(node.place));
                None
            }
        }
    });
    let any_mode = executable.and_then(|node| {
        let bits = match node.text(diagnostics)?.as_str() {
            "any" => 0o111,
            "owner" => 0o100,
            "group" => 0o010,
            "other" => 0o001,
            other => {
                let error = format!("{other:?} is none of owner, group, other and any");
                diagnostics.push(Diagnostic::error(error).at(node.place));
                return None;
            }
        };
        Some(Expected::new(bits, node.place))
    });
    let mut check = FileCheck::new(path?);
    // It looks at a link itself, and not at what that leads to.
    check.follows = false;
    let exists =
        exists.and_then(|node| Some(Expected::new(node.boolean(diagnostics)?, node.place)));
    check.exists = exists.unwrap_or(check.exists);
    if check.exists.value {
        check.kind = permissions.map(|((kind, _), place)| Expected::new(kind, place));
        check.mode = permissions.map(|((_, mode), place)| Expected::new(mode, place));
        check.any_mode = any_mode;
        check.owner = owner;
        check.group = group;
    }
    let mut test = test?;
    test.files.push(check);
    Some(test)
}

fn content_test(node: &Node, common: &Common, diagnostics: &Diagnostics) -> Option<Test> {
    let mut fields = node.fields(diagnostics);
    let test = begin(&mut fields, "File Content Test", common);
    let path = path(&mut fields);
    let contents = patterns(&mut fields, "expectedContents", "excludedContents");
    fields.finish();
    let path = path?;
    let mut check = FileCheck {
        kind: Some(Expected::new(Kind::File, path.place)),
        ..FileCheck::new(path)
    };
    check.contents = contents;
    let mut test = test?;
    test.files.push(check);
    Some(test)
}

/// An absolute path; one that begins with a variable is that of the image.
fn path(fields: &mut Fields<'_>) -> Option<Expected<String>> {
    let (path, place) = fields.required_text("path")?;
    if !path.is_empty() && !path.starts_with(['/', '$']) {
        let error = format!("the path {path:?} is not absolute");
        fields.diagnostics.push(Diagnostic::error(error).at(place));
    }
    Some(Expected::new(path, place))
}

fn metadata_test(node: &Node, diagnostics: &Diagnostics) -> Test {
    let mut fields = node.fields(diagnostics);
    let mut config = ConfigCheck::default();
    // Older files have the shorter names.
    for name in ["envVars", "env"] {
        config.env.extend(pairs(fields.list(name), diagnostics));
    }
    let unbound = ["unboundEnvVars", "unboundEnv"];
    for node in unbound.into_iter().flat_map(|name| fields.list(name)) {
        let mut of_variable = node.fields(diagnostics);
        let key = of_variable.required_text("key");
        of_variable.optional("value");
        of_variable.finish();
        config
            .env
            .extend(key.map(|(key, place)| (key, Expected::new(Text::Absent, place))));
    }
    config.labels = pairs(fields.list("labels"), diagnostics);
    let words = |node: &Node| {
        let words = node.texts(diagnostics).into_iter();
        Expected::new(words.map(|(text, _)| text).collect(), node.place)
    };
    config.entrypoint = fields.optional("entrypoint").map(words);
    config.cmd = fields.optional("cmd").map(words);
    let text = |node: &Node| Some(Expected::new(node.text(diagnostics)?, node.place));
    let is_given = |text: &Expected<String>| !text.value.is_empty();
    config.user = fields.optional("user").and_then(text).filter(is_given);
    config.workdir = fields.optional("workdir").and_then(text).filter(is_given);
    config.ports = ports(fields.optional("exposedPorts"), diagnostics);
    config.excluded_ports = ports(fields.optional("unexposedPorts"), diagnostics);
    let volumes = |node: Option<&Node>| -> Vec<Expected<Spellings>> {
        let texts = node.map(|node| node.texts(diagnostics)).unwrap_or_default();
        let texts = texts.into_iter();
        texts
            .map(|(text, place)| Expected::new(vec![text], place))
            .collect()
    };
    config.volumes = volumes(fields.optional("volumes"));
    config.excluded_volumes = volumes(fields.optional("unmountedVolumes"));
    fields.finish();
    let mut test = Test::new("Metadata Test".to_owned(), node.place);
    test.config = Some(config);
    test
}

/// Names with what their values must be.
fn pairs(nodes: &[Node], diagnostics: &Diagnostics) -> Vec<(String, Expected<Text>)> {
    let mut found = Vec::new();
    for node in nodes {
        let mut fields = node.fields(diagnostics);
        let key = fields.required_text("key");
        let value = fields.optional("value");
        let is_pattern = fields.optional("isRegex");
        fields.finish();
        let is_pattern = is_pattern.and_then(|it| it.boolean(diagnostics)) == Some(true);
        let text = value
            .and_then(|it| it.text(diagnostics))
            .unwrap_or_default();
        let place = value.map_or(node.place, |it| it.place);
        let expected = match is_pattern {
            false => Some(Text::Exactly(text)),
            true => compile(&text, place, diagnostics).map(Text::Like),
        };
        if let (Some((key, _)), Some(expected)) = (key, expected) {
            found.push((key, Expected::new(expected, place)));
        }
    }
    found
}

/// Ports; one without a protocol stands for all that may be meant.
fn ports(node: Option<&Node>, diagnostics: &Diagnostics) -> Vec<Expected<Spellings>> {
    let texts = node.map(|node| node.texts(diagnostics)).unwrap_or_default();
    let ways = |(port, place): (String, SourceSpan)| {
        let mut ways = vec![port.clone()];
        if !port.contains('/') {
            let protocols = ["tcp", "udp", "sctp"].into_iter();
            ways.extend(protocols.map(|protocol| format!("{port}/{protocol}")));
        }
        Expected::new(ways, place)
    };
    texts.into_iter().map(ways).collect()
}

fn patterns(fields: &mut Fields<'_>, expected: &'static str, excluded: &'static str) -> Patterns {
    let diagnostics = fields.diagnostics;
    let mut list = |name| {
        let texts = fields.optional(name).map(|node| node.texts(diagnostics));
        let texts = texts.unwrap_or_default().into_iter();
        texts
            .filter_map(|(text, place)| {
                Some(Expected::new(compile(&text, place, diagnostics)?, place))
            })
            .collect()
    };
    Patterns {
        expected: list(expected),
        excluded: list(excluded),
    }
}

/// Compiles a pattern as the tool does: `^` and `$` are the ends of the whole text.
fn compile(text: &str, place: SourceSpan, diagnostics: &Diagnostics) -> Option<Pattern> {
    match Pattern::new(text, false) {
        Ok(pattern) => Some(pattern),
        Err(problem) => {
            diagnostics.push(Diagnostic::error(problem).at(place));
            None
        }
    }
}

#[cfg(test)]
mod tests;
