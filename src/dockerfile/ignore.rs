//! `.dockerignore`: its patterns as they apply below one folder of the context.

use crate::provision::{Exclusion, pattern_glob};
use std::path::Path;

/// The patterns of a `.dockerignore` file, cleaned; a `!` before one takes back what others exclude.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    list: Vec<String>,
}

impl Patterns {
    /// Reads the file's text.
    pub fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let list = lines.filter_map(|line| {
            let line = line.trim();
            let (sign, pattern) = match line.strip_prefix('!') {
                Some(pattern) => ("!", pattern.trim()),
                None => ("", line),
            };
            let parts: Vec<&str> = pattern
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect();
            (!parts.is_empty()).then(|| format!("{sign}{}", parts.join("/")))
        });
        Self {
            list: list.collect(),
        }
    }

    /// Adds one that excludes.
    pub fn add(&mut self, pattern: String) {
        self.list.push(pattern);
    }

    /// Those that can match something below `folder`, as paths from there.
    pub fn below(&self, folder: &[&str]) -> Vec<String> {
        let mut below: Vec<String> = Vec::new();
        for pattern in &self.list {
            let (sign, pattern) = match pattern.strip_prefix('!') {
                Some(pattern) => ("!", pattern),
                None => ("", pattern.as_str()),
            };
            let parts: Vec<&str> = pattern.split('/').collect();
            for rest in residuals(&parts, folder) {
                // The folder itself matches, and so all that is in it.
                let rest = match rest {
                    [] => "**".to_owned(),
                    rest => rest.join("/"),
                };
                below.push(format!("{sign}{rest}"));
            }
        }
        below
    }

    /// Whether a file of the context is excluded. A pattern that is none excludes nothing.
    pub fn exclude(&self, path: &str) -> bool {
        let right = self.list.iter().filter(|it| {
            let plain = it.strip_prefix('!').unwrap_or(it);
            pattern_glob(plain).is_ok()
        });
        let right: Vec<String> = right.cloned().collect();
        Exclusion::read(&right).is_ok_and(|it| it.excludes(Path::new(path)))
    }
}

/// What is left of a pattern behind the names of a folder; several where `**` is in it.
fn residuals<'a>(pattern: &'a [&'a str], folder: &[&str]) -> Vec<&'a [&'a str]> {
    let mut states = vec![pattern];
    for name in folder {
        let mut next: Vec<&[&str]> = Vec::new();
        let mut pending = states;
        while let Some(state) = pending.pop() {
            match state.split_first() {
                // An outer folder matches already.
                None => next.push(state),
                Some((&"**", rest)) => {
                    next.push(state);
                    pending.push(rest);
                }
                Some((part, rest)) => {
                    if pattern_glob(part).is_ok_and(|glob| glob.is_match(name)) {
                        next.push(rest);
                    }
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        states = next;
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_docker_reads_it() {
        let text = "# note\n\n/.git/\n*.md\n!README.md\n  ./spaced \n";
        let patterns = Patterns::read(text);
        assert_eq!(patterns.list, [".git", "*.md", "!README.md", "spaced"]);
        assert!(patterns.exclude(".git/config"));
        assert!(!patterns.exclude("README.md"));
    }

    #[test]
    fn patterns_are_seen_from_a_folder() {
        let patterns = Patterns::read("src/*.o\n**/cache\n*/x/y\nother\n!src/keep\nsrc/a");
        for (folder, expected) in [
            (&["src"][..], &["*.o", "**/cache", "x/y", "!keep", "a"][..]),
            (&["other"], &["**/cache", "x/y", "**"]),
            (&["src", "a", "b"], &["**/cache", "**"]),
            (&["cache"], &["**", "**/cache", "x/y"]),
        ] {
            let mut found = patterns.below(folder);
            if folder == ["cache"] {
                found.sort();
            }
            assert_eq!(found, expected, "{folder:?}");
        }
    }
}
