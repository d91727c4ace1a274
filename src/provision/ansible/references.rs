//! References: the paths that the text of a playbook, a role or a file of variables names.
//!
//! They are found by their looks, wherever they stand: as a value, in `key=value`, or within an
//! expression. A word that is no path does no harm, since nothing lies there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Longer texts are data.
const TEXT_LIMIT: u64 = 1024 * 1024;
/// Longer words are no paths.
const LONGEST: usize = 1024;

/// A path that a text names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    /// Relative, but for files of Ansible's own kinds.
    pub(super) path: String,
    /// Whether it can be meant as a folder; a plain word cannot.
    pub(super) may_be_folder: bool,
}

/// The references in a file; none in one that cannot be read.
pub(super) fn of_file(path: &Path) -> BTreeSet<Reference> {
    let is_short = fs::metadata(path).is_ok_and(|it| it.len() <= TEXT_LIMIT);
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(TEXT_LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) if is_short => of_text(&text),
        _ => BTreeSet::new(),
    }
}

fn of_text(text: &str) -> BTreeSet<Reference> {
    let text = text
        .replace("{{ playbook_dir }}/", "")
        .replace("{{playbook_dir}}/", "");
    let separators = |character: char| {
        character.is_whitespace()
            || ['"', '\'', ',', ';', '=', '(', ')', '|', '`'].contains(&character)
    };
    text.split(separators).filter_map(reference).collect()
}

fn reference(word: &str) -> Option<Reference> {
    let word = word.trim_end_matches(':').trim_matches(['[', ']']);
    if word.is_empty() || word.len() > LONGEST || word.contains("://") {
        return None;
    }
    let end = word.find(['{', '}', '*', '?', '[']);
    let path = match end {
        // What is known of it is the folder in front.
        Some(end) => word.get(..end)?.rsplit_once('/')?.0,
        None => word,
    };
    let is_made_of_dots = path.chars().all(|it| it == '.' || it == '/');
    let is_own_kind = [".yml", ".yaml", ".j2"].iter().any(|it| path.ends_with(it));
    if is_made_of_dots || (path.starts_with('/') && !is_own_kind) {
        return None;
    }
    let has_folder = path.contains('/') || end.is_some();
    (has_folder || path.contains('.')).then(|| Reference {
        path: path.to_owned(),
        may_be_folder: has_folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_their_looks() {
        for (text, expected) in [
            (
                "- copy: src=../app/x.tar dest=/srv/x",
                &["../app/x.tar*"][..],
            ),
            ("src: \"conf/{{ env }}/app.conf\"", &["conf*"]),
            ("vars_files: [a.yml, 'b/c.yml']", &["a.yml", "b/c.yml*"]),
            ("x: \"{{ lookup('file', 'data.json') }}\"", &["data.json"]),
            ("src: '{{ playbook_dir }}/x.j2'", &["x.j2"]),
            ("import_playbook: /srv/site.yml", &["/srv/site.yml*"]),
            ("get_url: url=https://example.com/a/b.tar", &[]),
            ("chdir: ../..\npath: /etc/passwd\nstate: present", &[]),
            ("with_fileglob: files/*.conf", &["files*"]),
            ("msg: *.conf and {{ x }}", &[]),
        ] {
            let found: Vec<String> = of_text(text)
                .into_iter()
                .map(|it| format!("{}{}", it.path, if it.may_be_folder { "*" } else { "" }))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
