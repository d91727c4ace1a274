//! Expansion of `$NAME` and `${NAME}`, as container-structure-test has it: by the variables of the
//! image, before any shell sees the text. It is that of Go's `os.Expand`.

use std::collections::BTreeMap;

/// Replaces variables in `text`; one that is not set becomes nothing.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        match name(after) {
            Some((name, after)) => {
                expanded.push_str(variables.get(name).map_or("", String::as_str));
                rest = after;
            }
            None => {
                expanded.push('$');
                rest = after;
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The name behind a `$`, and what follows it; none if the `$` stands for itself.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        // Without its end, the brace alone is dropped.
        return Some(match braced.split_once('}') {
            Some((name, after)) => (name, after),
            None => ("", braced),
        });
    }
    let first = text.chars().next()?;
    // The shell's own variables have names of one letter.
    if matches!(first, '*' | '#' | '$' | '@' | '!' | '?' | '-') || first.is_ascii_digit() {
        return Some(text.split_at(first.len_utf8()));
    }
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_in_go() {
        let variables = BTreeMap::from([
            ("PATH".to_owned(), "/bin".to_owned()),
            ("A_1".to_owned(), "one".to_owned()),
        ]);
        for (text, expected) in [
            ("/env/bin:$PATH", "/env/bin:/bin"),
            ("${PATH}x $A_1.", "/binx one."),
            ("$UNSET|${UNSET}|", "||"),
            ("a$ b$", "a$ b$"),
            ("$1x $$y $?", "x y "),
            ("${PATH", "PATH"),
            ("$é", "$é"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }
}
