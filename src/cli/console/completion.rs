//! Completion of names in the console.

use crate::template::{Template, functions};

/// All that the beginning of an expression can be completed to.
pub struct Names {
    /// Sorted.
    names: Vec<String>,
}

impl Names {
    /// The names of a template, of functions and of the console's own commands.
    pub fn of(template: &Template) -> Self {
        let commands = ["exit", "help", "variables"].map(str::to_owned);
        let fixed = ["packer.version", "path.cwd", "path.root"].map(str::to_owned);
        let variables = template.variables().map(|(name, _)| format!("var.{name}"));
        let locals = template.locals().map(|(name, _)| format!("local.{name}"));
        let functions = functions::names().map(|name| format!("{name}("));
        let mut names: Vec<String> = commands
            .into_iter()
            .chain(fixed)
            .chain(variables)
            .chain(locals)
            .chain(functions)
            .collect();
        names.sort();
        Self { names }
    }

    /// Where the name before byte `position` of `line` begins, and what it can become.
    pub fn complete(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        let begin = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .last()
            .map_or(before.len(), |(index, _)| index);
        let typed = &before[begin..];
        let fitting = self.names.iter().filter(|name| name.starts_with(typed));
        (begin, fitting.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_before_the_cursor_is_completed() {
        let names = Names {
            names: ["local.x", "upper(", "var.a-b", "var.c"]
                .map(str::to_owned)
                .into(),
        };
        for (line, position, begin, expected) in [
            ("var.", 4, 0, &["var.a-b", "var.c"][..]),
            ("[up, 1]", 3, 1, &["upper("]),
            ("upper(var.a-", 12, 6, &["var.a-b"]),
            ("é+loc", 6, 3, &["local.x"]),
            ("nope", 4, 0, &[]),
        ] {
            let (found_begin, found) = names.complete(line, position);
            assert_eq!(
                (found_begin, found),
                (begin, expected.iter().map(|it| it.to_string()).collect()),
                "{line}"
            );
        }
    }
}
