//! Regular expressions as Go reads them, rewritten for the `regex` crate.
//!
//! Both have RE2's syntax; they differ in what `\d`, `\w`, `\s` and `\b` match beyond ASCII, in
//! `\<`, `\Q…\E`, and in where `{`, `[`, `&` and `~` stand for themselves.

/// Rewrites a pattern; one that is wrong stays wrong.
pub(super) fn rewrite(pattern: &str) -> String {
    let mut rewritten = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        rest = match letter {
            '\\' => match after.strip_prefix('Q') {
                Some(quoted) => quotation(quoted, &mut rewritten),
                None => escape(after, &mut rewritten),
            },
            '[' => class(after, &mut rewritten),
            '{' if !is_repetition(after) => {
                rewritten.push_str(r"\{");
                after
            }
            other => {
                rewritten.push(other);
                after
            }
        };
    }
    rewritten
}

/// Rewrites an escape whose `\` has been read; gives what follows it.
fn escape<'a>(text: &'a str, rewritten: &mut String) -> &'a str {
    let Some(letter) = text.chars().next() else {
        rewritten.push('\\');
        return text;
    };
    match letter {
        'd' => rewritten.push_str("[0-9]"),
        'D' => rewritten.push_str("[^0-9]"),
        'w' => rewritten.push_str("[0-9A-Za-z_]"),
        'W' => rewritten.push_str("[^0-9A-Za-z_]"),
        's' => rewritten.push_str(r"[\t\n\f\r ]"),
        'S' => rewritten.push_str(r"[^\t\n\f\r ]"),
        'b' => rewritten.push_str(r"(?-u:\b)"),
        '<' | '>' => rewritten.push(letter),
        _ => {
            // What is in braces after these belongs to them: `\p{Greek}`, `\x{e9}`.
            let has_braces = matches!(letter, 'p' | 'P' | 'x') && text[1..].starts_with('{');
            let end = if has_braces { text.find('}') } else { None };
            let (escaped, after) = text.split_at(end.map_or(letter.len_utf8(), |end| end + 1));
            rewritten.push('\\');
            rewritten.push_str(escaped);
            return after;
        }
    }
    text.get(letter.len_utf8()..).unwrap_or_default()
}

/// Rewrites what stands between `\Q` and `\E`; gives what follows it.
fn quotation<'a>(text: &'a str, rewritten: &mut String) -> &'a str {
    let (quoted, after) = text.split_once(r"\E").unwrap_or((text, ""));
    rewritten.push_str(&regex::escape(quoted));
    after
}

/// Rewrites a class whose `[` has been read; gives what follows it.
fn class<'a>(text: &'a str, rewritten: &mut String) -> &'a str {
    rewritten.push('[');
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        rewritten.push('^');
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(']') {
        rewritten.push_str(r"\]");
        rest = after;
    }
    let mut before = None;
    while let Some(letter) = rest.chars().next() {
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        rest = match letter {
            ']' => {
                rewritten.push(']');
                return after;
            }
            '\\' => escape(after, rewritten),
            '[' => match after
                .starts_with(':')
                .then(|| after.split_once(":]"))
                .flatten()
            {
                Some((name, after)) => {
                    rewritten.push_str(&format!("[{name}:]"));
                    after
                }
                None => {
                    rewritten.push_str(r"\[");
                    after
                }
            },
            // Twice in a row these would be operators on classes.
            '&' | '~' => {
                rewritten.push('\\');
                rewritten.push(letter);
                after
            }
            '-' if before == Some('-') => {
                rewritten.push_str(r"\-");
                after
            }
            other => {
                rewritten.push(other);
                after
            }
        };
        before = Some(letter);
    }
    rest
}

/// Whether a `{` before this text starts `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((counts, _)) = text.split_once('}') else {
        return false;
    };
    let is_count = |count: &str| count.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    !least.is_empty() && is_count(least) && is_count(most)
}
