//! Commands: what a command of the image ends with and writes.

use super::Expected;
use super::expected::Fault;
use super::pattern::Patterns;
use crate::sandbox::OutputStream;
use crate::template::Arguments;
use serde::Serialize;

/// How much of each stream is kept, in bytes.
pub const OUTPUT_LIMIT: usize = 16 << 20;

/// The arguments that say something of what a command does.
pub const OF_RESULTS: [&str; 5] = [
    "exit_code",
    "stdout",
    "excluded_stdout",
    "stderr",
    "excluded_stderr",
];

/// A command that is run and looked at.
#[derive(Clone, Debug, Serialize)]
pub struct CommandCheck {
    /// The program and its arguments.
    pub argv: Expected<Vec<String>>,
    /// The exit codes that it may end with.
    pub exit_codes: Expected<Vec<i32>>,
    /// What it writes to standard output.
    pub stdout: Patterns,
    /// What it writes to standard error.
    pub stderr: Patterns,
}

/// What a command wrote, as far as it is kept.
#[derive(Debug, Default)]
pub struct Written {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    is_cut: bool,
}

impl CommandCheck {
    /// Takes `command` or `inline`, and what is said of their results; none if there is neither.
    pub fn decode(arguments: &Arguments<'_>) -> Option<Self> {
        let command: Option<Vec<String>> = arguments.optional("command");
        let inline: Option<Vec<String>> = arguments.optional("inline");
        let mut exit_codes = exit_codes(arguments);
        let stdout = Patterns::decode(arguments, "stdout", "excluded_stdout");
        let stderr = Patterns::decode(arguments, "stderr", "excluded_stderr");
        let argv = match (command, inline) {
            (Some(_), Some(_)) => {
                arguments.error(
                    arguments.span("inline"),
                    "only one of command and inline can be given",
                    &["`command` is a program with its arguments, `inline` lines for /bin/sh"],
                );
                return None;
            }
            (Some(argv), None) => {
                if argv.first().is_none_or(String::is_empty) {
                    arguments.error(
                        arguments.span("command"),
                        "the command is empty",
                        &["write the program and its arguments: [\"nginx\", \"-v\"]"],
                    );
                    return None;
                }
                Expected::new(argv, arguments.span("command"))
            }
            (None, Some(lines)) => Expected::new(shell(&lines), arguments.span("inline")),
            (None, None) => {
                let useless = OF_RESULTS.iter().find(|name| arguments.has(name));
                if let Some(name) =
                    useless.filter(|_| !arguments.any_failed(&["command", "inline"]))
                {
                    arguments.error(
                        arguments.span(name),
                        format!("{name} says something of a command, and there is none"),
                        &["add `command = [...]` or `inline = [...]`"],
                    );
                }
                return None;
            }
        };
        if !arguments.has("exit_code") {
            exit_codes.place = argv.place;
        }
        Some(Self {
            argv,
            exit_codes,
            stdout,
            stderr,
        })
    }

    /// What is not fulfilled by a command that ended with `code` and wrote `written`.
    pub fn faults(&self, code: i32, written: &Written) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.exit_codes.value.contains(&code) {
            let found = match code {
                126 => "126: it cannot be executed".to_owned(),
                127 => "127: it was not found".to_owned(),
                129..=192 => format!("{code}: it was killed by signal {}", code - 128),
                code => code.to_string(),
            };
            let fault = self
                .exit_codes
                .fault("exit code", codes(&self.exit_codes.value), found);
            faults.push(fault);
        }
        faults.extend(self.stdout.faults("stdout", &written.stdout));
        faults.extend(self.stderr.faults("stderr", &written.stderr));
        if written.is_cut && !(self.stdout.is_empty() && self.stderr.is_empty()) {
            let expected = format!("at most {} MiB", OUTPUT_LIMIT >> 20);
            faults.push(
                self.argv
                    .fault("output", expected, "more, which was not looked at"),
            );
        }
        faults
    }
}

impl Written {
    /// Takes what was written next.
    pub fn take(&mut self, stream: OutputStream, bytes: &[u8]) {
        let kept = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        let room = OUTPUT_LIMIT.saturating_sub(kept.len());
        self.is_cut |= bytes.len() > room;
        kept.extend(bytes.iter().take(room));
    }
}

/// The command that runs lines as a shell script, which ends at the first one that fails.
pub fn shell(lines: &[String]) -> Vec<String> {
    let script = lines.join("\n");
    ["/bin/sh", "-e", "-c", &script].map(str::to_owned).into()
}

/// Takes `exit_code`: a number or a list of them.
fn exit_codes(arguments: &Arguments<'_>) -> Expected<Vec<i32>> {
    use crate::template::{FromValue, Value};
    let place = arguments.span("exit_code");
    let given: Option<Value> = arguments.optional("exit_code");
    let Some(given) = given else {
        return Expected::new(vec![0], place);
    };
    let numbers = match given.as_elements() {
        Some(_) => Vec::<i64>::from_value(&given),
        None => i64::from_value(&given).map(|number| vec![number]),
    };
    let is_code = |number: &i64| {
        i32::try_from(*number)
            .ok()
            .filter(|it| (0..=255).contains(it))
    };
    let codes: Option<Vec<i32>> = match &numbers {
        Ok(numbers) if !numbers.is_empty() => numbers.iter().map(is_code).collect(),
        _ => None,
    };
    if codes.is_none() {
        arguments.error(
            place,
            "exit_code is no exit code",
            &["write a whole number from 0 to 255, or a list of them"],
        );
    }
    Expected::new(codes.unwrap_or_default(), place)
}

fn codes(codes: &[i32]) -> String {
    let texts: Vec<String> = codes.iter().map(i32::to_string).collect();
    texts.join(" or ")
}
