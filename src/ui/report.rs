//! Errors of commands as text: the sentence, its causes, and what to do, a line each.

use super::text::visible;

/// Renders an error. `causes` begins with the error itself; one that only repeats the end of the
/// one before is left out.
pub fn error(causes: &[String], hints: &[String], color: bool) -> String {
    let (red, cyan, end) = if color {
        ("\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    let mut text = String::new();
    let mut before: Option<&String> = None;
    for cause in causes {
        let label = if before.is_none() {
            "error"
        } else {
            "caused by"
        };
        if before.is_none_or(|before| !before.ends_with(cause.as_str())) {
            text.push_str(&format!("{red}{label}:{end} {}\n", lines(cause)));
        }
        before = Some(cause);
    }
    for hint in hints {
        text.push_str(&format!("{cyan}hint:{end} {}\n", lines(hint)));
    }
    text
}

/// Shows a text of several lines with the later ones indented.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_hints_are_lines() {
        let causes = [
            "cannot open x: no such file",
            "no such file",
            "the disk\nis gone",
        ];
        let text = error(
            &causes.map(str::to_owned),
            &["plug it in".to_owned()],
            false,
        );
        assert_eq!(
            text,
            "error: cannot open x: no such file\ncaused by: the disk\n  is gone\nhint: plug it in\n"
        );
    }
}
