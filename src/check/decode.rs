//! `test` blocks as tests.

use super::account::{GroupCheck, UserCheck};
use super::command::{self, CommandCheck};
use super::config::ConfigCheck;
use super::file::FileCheck;
use super::port::PortCheck;
use super::{Expected, Service, Test};
use crate::diagnostic::SourceSpan;
use crate::sandbox::Network;
use crate::template::{Arguments, FromValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// Decodes a `test` block. What is wrong is reported; the test then is of no use.
pub fn decode(arguments: &Arguments<'_>, name: &str, place: SourceSpan) -> Test {
    let mut test = Test::new(name.to_owned(), place);
    if name.trim().is_empty() {
        arguments.error(place, "a test needs a name", &["write test \"NAME\" { … }"]);
    }
    let network = one(arguments, "network", |text: String| match text.as_str() {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        "user" => Ok(Network::User),
        other => Err(format!(
            "{other:?} is none of \"none\" (the default), \"user\" and \"host\""
        )),
    });
    test.network = network.map_or(test.network, |it| it.value);
    let timeout = one(arguments, "timeout", |it: Duration| match it.is_zero() {
        true => Err("nothing can be done in no time".to_owned()),
        false => Ok(it),
    });
    test.timeout = timeout.map_or(test.timeout, |it| it.value);
    let env = one(arguments, "env", variables);
    test.env = env.map(|it| it.value).unwrap_or_default();
    test.user = arguments.optional("user");
    test.workdir = one(arguments, "workdir", absolute).map(|it| it.value);
    let setup = one(arguments, "setup", |lines: Vec<String>| {
        Ok(command::shell(&lines))
    });
    test.setup.extend(setup);
    test.command = CommandCheck::decode(arguments);

    for block in arguments.labelled_blocks("file", 1) {
        test.files.extend(FileCheck::decode(&block));
        block.finish();
    }
    for block in arguments.labelled_blocks("user", 1) {
        test.users.push(UserCheck::decode(&block));
        block.finish();
    }
    for block in arguments.labelled_blocks("group", 1) {
        test.groups.push(GroupCheck::decode(&block));
        block.finish();
    }
    for block in arguments.labelled_blocks("port", 1) {
        test.ports.extend(PortCheck::decode(&block));
        block.finish();
    }
    let mut has_config = false;
    if let Some(block) = arguments.block("config") {
        has_config = block.names().next().is_some();
        test.config = Some(ConfigCheck::decode(&block));
        block.finish();
    }
    test.start = service(arguments, &test);
    report_nothing_to_do(arguments, &test, has_config);
    test
}

/// What runs in the background: what `start` says, or the image's own program where there are ports
/// to be listened at.
fn service(arguments: &Arguments<'_>, test: &Test) -> Service {
    match one(arguments, "start", Ok::<Vec<String>, _>) {
        Some(start) if start.value.is_empty() => Service::Nothing,
        Some(start) => Service::Command(start),
        None => match test.ports.first() {
            Some(first) => Service::OfImage(first.port.without_value()),
            None => Service::Nothing,
        },
    }
}

/// Reports a test without a check, unless there is one with mistakes, which have been reported.
fn report_nothing_to_do(arguments: &Arguments<'_>, test: &Test, has_config: bool) {
    let checks = [
        "command", "inline", "file", "user", "group", "port", "setup",
    ];
    let mut names = checks.iter().chain(&command::OF_RESULTS);
    let is_written = names.any(|name| arguments.has(name) || arguments.has_block(name));
    if !is_written && !has_config {
        arguments.error(
            test.place,
            format!("the test {:?} checks nothing", test.name),
            &["add a `command`, or a block: file, user, group, port or config"],
        );
    }
}

/// Takes an argument with its place; `read` says what is wrong with it.
pub(super) fn one<T: FromValue, R>(
    arguments: &Arguments<'_>,
    name: &str,
    read: impl FnOnce(T) -> Result<R, String>,
) -> Option<Expected<R>> {
    let value = arguments.optional(name)?;
    let place = arguments.span(name);
    match read(value) {
        Ok(value) => Some(Expected::new(value, place)),
        Err(problem) => {
            arguments.error(place, format!("{name}: {problem}"), &[]);
            None
        }
    }
}

fn variables(given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let is_wrong = |name: &str, value: &str| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    match given.iter().find(|(name, value)| is_wrong(name, value)) {
        Some((name, _)) => Err(format!("{name:?} cannot be an environment variable")),
        None => Ok(given),
    }
}

fn absolute(path: String) -> Result<String, String> {
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(format!("{path:?} is not an absolute path")),
    }
}

#[cfg(test)]
mod tests;
