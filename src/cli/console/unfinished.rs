//! Whether a text ends within brackets, a comment or a heredoc, so that more lines are to come.

/// What has been opened and not closed yet.
enum Open {
    /// A bracket, by the character that closes it.
    Bracket(char),
    /// A quoted text.
    Quote,
}

/// Whether an expression goes on in the next line. What is wrong already does not: it is for the
/// parser to complain about.
pub fn is_unfinished(text: &str) -> bool {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        if let Some(Open::Quote) = open.last() {
            match (character, after) {
                ('\n', _) => return false,
                ('"', _) => drop(open.pop()),
                ('\\', _) => {
                    rest = without_first(after);
                    continue;
                }
                ('$' | '%', _) if after.starts_with([character]) && after[1..].starts_with('{') => {
                    rest = &after[2..];
                    continue;
                }
                ('$' | '%', _) if after.starts_with('{') => {
                    open.push(Open::Bracket('}'));
                    rest = &after[1..];
                    continue;
                }
                _ => {}
            }
            rest = after;
            continue;
        }
        rest = match character {
            '"' => {
                open.push(Open::Quote);
                after
            }
            '(' | '[' | '{' => {
                open.push(Open::Bracket(match character {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                }));
                after
            }
            ')' | ']' | '}' => match open.pop() {
                Some(Open::Bracket(closing)) if closing == character => after,
                _ => return false,
            },
            '#' => after_line(after),
            '/' if after.starts_with('/') => after_line(after),
            '/' if after.starts_with('*') => match after.split_once("*/") {
                Some((_, after)) => after,
                None => return true,
            },
            '<' if after.starts_with('<') => match after_heredoc(&after[1..]) {
                Some(after) => after,
                None => return true,
            },
            _ => after,
        };
    }
    matches!(open.last(), Some(Open::Bracket(_)))
}

fn without_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

fn after_line(text: &str) -> &str {
    text.find('\n').map_or("", |end| &text[end..])
}

/// What follows a heredoc, whose text begins after its `<<`; none if its end is still to come.
fn after_heredoc(text: &str) -> Option<&str> {
    let (marker, body) = text.split_once('\n').unwrap_or((text, ""));
    let marker = marker.strip_prefix('-').unwrap_or(marker).trim_end();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if marker.is_empty() || !marker.chars().all(is_name) {
        // This is no heredoc.
        return Some(text);
    }
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        end += line.len();
        if line.trim() == marker {
            return Some(&body[end..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_comments_and_heredocs_go_on() {
        for (text, expected) in [
            ("1 + 1", false),
            ("[", true),
            ("[1,\n", true),
            ("[1,\n]", false),
            ("f({a = [", true),
            ("f({a = [])", false),
            (")", false),
            ("\"[\"", false),
            ("\"a", false),
            ("[\"a", false),
            ("\"${f(", true),
            ("\"${f(\n1)}\"", false),
            ("\"$${\"", false),
            ("\"%{ if true }[%{ endif }\"", false),
            ("\"\\\"[\"", false),
            ("[ # ]", true),
            ("[ // ]\n]", false),
            ("/* a", true),
            ("/* a */ 1", false),
            ("<<EOT", true),
            ("<<-EOT\n  a\n", true),
            ("<<-EOT\n  a\n  EOT\n", false),
            ("f(<<A\n)\nA\n", true),
            ("f(<<A\n)\nA\n)", false),
            ("1 << 2", false),
            ("", false),
        ] {
            assert_eq!(is_unfinished(text), expected, "{text:?}");
        }
    }
}
