//! `.dockerignore`: its patterns as they apply below one folder of the context.

use crate::provision::{Exclusion, pattern_glob};
use std::ops::Range;
use std::path::Path;

/// The patterns of a `.dockerignore` file, cleaned; a `!` before one takes back what others exclude.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    list: Vec<String>,
}

/// A line of the file that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// What is wrong with it.
    pub problem: String,
}

impl Patterns {
    /// Reads the file's text.
    pub fn read(text: &str) -> Result<Self, BadPattern> {
        let mut list = Vec::new();
        let mut end = 0;
        for whole in text.split_inclusive('\n') {
            let start = end;
            end += whole.len();
            let line = match start {
                0 => whole.strip_prefix('\u{feff}').unwrap_or(whole),
                _ => whole,
            };
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (sign, pattern) = match line.strip_prefix('!') {
                Some(pattern) => ("!", pattern.trim()),
                None => ("", line),
            };
            let parts: Vec<&str> = pattern
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect();
            if parts.is_empty() {
                continue;
            }
            let pattern = format!("{sign}{}", parts.join("/"));
            Exclusion::read(std::slice::from_ref(&pattern)).map_err(|problem| BadPattern {
                range: start..start + whole.trim_end().len(),
                problem,
            })?;
            list.push(pattern);
        }
        Ok(Self { list })
    }

    /// Adds a file that is excluded, whatever its name looks like.
    pub fn add_file(&mut self, path: &str) {
        let mut pattern = String::with_capacity(path.len());
        for character in path.chars() {
            if "\\*?[]!".contains(character) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
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

    /// Whether a file of the context is excluded.
    pub fn exclude(&self, path: &str) -> bool {
        Exclusion::read(&self.list).is_ok_and(|it| it.excludes(Path::new(path)))
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
        let patterns = Patterns::read(text).unwrap();
        assert_eq!(patterns.list, [".git", "*.md", "!README.md", "spaced"]);
        assert!(patterns.exclude(".git/config"));
        assert!(!patterns.exclude("README.md"));
    }

    #[test]
    fn a_line_that_is_no_pattern_is_told() {
        let bad = Patterns::read("\u{feff}# note\n*.md\n  ![a\r\nx").unwrap_err();
        assert_eq!(bad.range, 15..20);
        assert!(bad.problem.starts_with("\"![a\" is no pattern"), "{bad:?}");
    }

    #[test]
    fn a_file_is_excluded_whatever_its_name() {
        let mut patterns = Patterns::default();
        patterns.add_file("!a[b/*.hcl");
        assert!(patterns.exclude("!a[b/*.hcl"));
        assert!(!patterns.exclude("!a[b/x.hcl"));
        assert_eq!(patterns.below(&["!a[b"]), ["\\*.hcl"]);
    }

    #[test]
    fn patterns_are_seen_from_a_folder() {
        let patterns = Patterns::read("src/*.o\n**/cache\n*/x/y\nother\n!src/keep\nsrc/a").unwrap();
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
