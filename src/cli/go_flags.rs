//! Flags as Packer's users type them, rewritten for clap.
//!
//! Packer's flags are those of Go: one dash is as good as two, a switch may say `=false`, the value
//! of a flag is the next argument whatever that looks like, and of a switch given twice the last
//! one counts. What flags there are is asked of clap's own definitions.

use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Rewrites `arguments`, the program's name first, to what clap understands.
///
/// All that follows `--` stays as it is, and so does all that follows the first operand of a
/// command whose last argument is another program's command line.
pub fn normalise(arguments: impl Iterator<Item = OsString>, root: &Command) -> Vec<OsString> {
    let mut written: Vec<OsString> = Vec::new();
    let mut commands = vec![root];
    let mut arguments = arguments;
    written.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let Some(flag) = Flag::read(&argument) else {
            let current = *commands.last().unwrap_or(&root);
            let is_end = argument == "--";
            let named = argument
                .to_str()
                .and_then(|name| current.find_subcommand(name));
            written.push(argument);
            match named {
                Some(command) => commands.push(command),
                None if is_end || runs_others(current) => {
                    written.extend(arguments);
                    return written;
                }
                None => {}
            }
            continue;
        };
        let definition = commands.iter().rev().find_map(|it| flag.definition(it));
        let mut long = OsString::from("--");
        long.push(&flag.name);
        match (definition, flag.value) {
            (Some(definition), None) if takes_next(definition) => {
                written.push(if flag.is_short { argument } else { long });
                // Joined, it is a value even if it begins with a dash.
                if let (Some(value), Some(last)) = (arguments.next(), written.last_mut()) {
                    if !flag.is_short {
                        last.push("=");
                    }
                    last.push(value);
                }
            }
            (Some(definition), Some(value)) if is_switch(definition) && !flag.is_short => {
                match go_bool(&value) {
                    Some(true) => written.push(long),
                    Some(false) => written.retain(|earlier| *earlier != long),
                    // Left for clap to complain about.
                    None => written.push(with_value(long, &value)),
                }
            }
            _ if flag.is_short => written.push(argument),
            (_, Some(value)) => written.push(with_value(long, &value)),
            (_, None) => written.push(long),
        }
    }
    written
}

/// One flag as typed.
struct Flag {
    name: OsString,
    value: Option<OsString>,
    /// Whether it is a single letter after a single dash.
    is_short: bool,
}

impl Flag {
    fn read(argument: &OsStr) -> Option<Flag> {
        let bytes = argument.as_bytes();
        let (name, one_dash) = match bytes.strip_prefix(b"--") {
            Some(name) => (name, false),
            None => (bytes.strip_prefix(b"-")?, true),
        };
        // A dash alone is a path, and `-1` is a number.
        if !name.first()?.is_ascii_alphabetic() {
            return None;
        }
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (
                &name[..at],
                Some(OsString::from_vec(name[at + 1..].to_vec())),
            ),
            None => (name, None),
        };
        Some(Flag {
            name: OsString::from_vec(name.to_vec()),
            value,
            is_short: one_dash && name.len() == 1,
        })
    }

    fn definition<'c>(&self, command: &'c Command) -> Option<&'c Arg> {
        let name = self.name.to_str()?;
        command.get_arguments().find(|definition| {
            if self.is_short {
                definition
                    .get_short()
                    .is_some_and(|it| name.chars().eq([it]))
            } else {
                definition.get_long() == Some(name)
                    || definition
                        .get_all_aliases()
                        .is_some_and(|aliases| aliases.contains(&name))
            }
        })
    }
}

fn is_switch(definition: &Arg) -> bool {
    matches!(definition.get_action(), ArgAction::SetTrue)
}

/// Whether the next argument is the flag's value.
fn takes_next(definition: &Arg) -> bool {
    matches!(definition.get_action(), ArgAction::Set | ArgAction::Append)
        && definition
            .get_num_args()
            .is_none_or(|count| count.min_values() > 0)
}

fn runs_others(command: &Command) -> bool {
    command
        .get_positionals()
        .any(|operand| operand.is_trailing_var_arg_set())
}

fn with_value(mut flag: OsString, value: &OsStr) -> OsString {
    flag.push("=");
    flag.push(value);
    flag
}

/// A truth value as Go's flags spell it.
fn go_bool(text: &OsStr) -> Option<bool> {
    match text.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::Arguments;
    use clap::CommandFactory;

    fn rewritten(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words: Vec<String> = normalise(words, &Arguments::command())
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        words.join(" ")
    }

    #[test]
    fn flags_are_gos() {
        for (typed, meant) in [
            // One dash is as good as two.
            (
                "hardtack build -var a=b -only=x .",
                "hardtack build --var=a=b --only=x .",
            ),
            ("hardtack build --var a=b .", "hardtack build --var=a=b ."),
            ("hardtack -h", "hardtack -h"),
            ("hardtack -version", "hardtack --version"),
            (
                "hardtack build -parallel-builds=1 .",
                "hardtack build --parallel-builds=1 .",
            ),
            (
                "hardtack build -parallel-builds -1 .",
                "hardtack build --parallel-builds=-1 .",
            ),
            ("hardtack build - -nope", "hardtack build - --nope"),
            ("hardtack build -- -nope", "hardtack build -- -nope"),
            // Values that look like flags.
            (
                "hardtack validate -var-file -x.hcl .",
                "hardtack validate --var-file=-x.hcl .",
            ),
            // Switches with a value.
            (
                "hardtack validate -syntax-only=true .",
                "hardtack validate --syntax-only .",
            ),
            (
                "hardtack validate -syntax-only -syntax-only=F . --syntax-only=0",
                "hardtack validate .",
            ),
            (
                "hardtack validate -syntax-only=yes .",
                "hardtack validate --syntax-only=yes .",
            ),
            (
                "hardtack -machine-readable=1 validate .",
                "hardtack --machine-readable validate .",
            ),
            // Another program's command line.
            (
                "hardtack run -user app image ls -la",
                "hardtack run --user=app image ls -la",
            ),
            (
                "hardtack run image -- ls -la",
                "hardtack run image -- ls -la",
            ),
            ("hardtack run -e A=b image", "hardtack run -eA=b image"),
            (
                "hardtack -store s run image ls -la",
                "hardtack --store=s run image ls -la",
            ),
        ] {
            assert_eq!(rewritten(typed), meant);
        }
    }
}
