//! Diagnostics as text, in the style of rustc.

use super::{Diagnostic, Label, Severity, SourceSpan, Sources};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Whether rendered text holds terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Plain text.
    Off,
    /// ANSI sequences.
    On,
}

/// Renders one diagnostic as text that ends in a newline.
pub(super) fn render(diagnostic: &Diagnostic, sources: &Sources, colours: Colours) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(clean(&diagnostic.summary)));
    for labels in labels_by_file(&diagnostic.labels) {
        group = group.element(snippet(&labels, sources));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(clean(help)));
    }
    let renderer = match colours {
        Colours::Off => Renderer::plain(),
        Colours::On => Renderer::styled(),
    };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// The labels of one file after the other, the file of the first label first.
fn labels_by_file(labels: &[Label]) -> Vec<Vec<&Label>> {
    let mut files: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        match files
            .iter_mut()
            .find(|file| file.iter().any(|one| one.span.file == label.span.file))
        {
            Some(file) => file.push(label),
            None => files.push(vec![label]),
        }
    }
    files
}

fn snippet<'a>(
    labels: &[&'a Label],
    sources: &'a Sources,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let file = labels.first().map(|label| label.span.file);
    let (name, text) = file.map_or(("", ""), |file| (sources.name(file), sources.text(file)));
    // Only the lines around the labels: a file of any size renders at once.
    let window = window(text, labels);
    let first_line = text.get(..window.start).unwrap_or("").matches('\n').count() + 1;
    let shown = text.get(window.clone()).unwrap_or("");
    let annotations = labels.iter().map(|label| {
        let range = visible(text, label.span);
        let range = range.start - window.start..range.end - window.start;
        let kind = if label.primary {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let annotation = kind.span(range);
        if label.text.is_empty() {
            annotation
        } else {
            annotation.label(clean(&label.text))
        }
    });
    Snippet::source(shown)
        .path(clean(name))
        .line_start(first_line)
        .annotations(annotations)
}

/// The whole lines that hold all labels.
fn window(text: &str, labels: &[&Label]) -> Range<usize> {
    let ranges = || labels.iter().map(|label| visible(text, label.span));
    let start = ranges().map(|range| range.start).min().unwrap_or(0);
    let end = ranges().map(|range| range.end).max().unwrap_or(0);
    let before = text.get(..start).unwrap_or("");
    let after = text.get(end..).unwrap_or("");
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after
        .find('\n')
        .map_or(text.len(), |newline| end + newline + 1);
    start..end
}

/// A span as it can be drawn: inside the text, on character boundaries, and of a block that covers
/// many lines only the first one.
fn visible(text: &str, span: SourceSpan) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let covered = text.get(start..end).unwrap_or("");
    let end = covered
        .find(['\n', '\r'])
        .map_or(end, |newline| start + newline);
    start..end
}

/// Text without control characters, which could play with the reader's terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_control() && char != '\n' {
                '\u{fffd}'
            } else {
                char
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(text: &str, ranges: &[(Range<usize>, &str)]) -> String {
        let mut sources = Sources::new();
        let file = sources.add("a.pkr.hcl", text);
        let mut diagnostic = Diagnostic::error("something is wrong");
        for (range, label) in ranges {
            diagnostic = diagnostic.at_with(SourceSpan::new(file, range.clone()), *label);
        }
        diagnostic.help("mend it").render(&sources, Colours::Off)
    }

    #[test]
    fn a_place_is_underlined() {
        insta::assert_snapshot!(rendered("a = 1\n\tb = é + x\n", &[(16..17, "unknown")]), @r#"
        error: something is wrong
         --> a.pkr.hcl:2:10
          |
        2 |     b = é + x
          |             ^ unknown
          |
          = help: mend it
        "#);
    }

    #[test]
    fn places_without_text_still_render() {
        insta::assert_snapshot!(rendered("", &[(0..0, "")]), @r#"
        error: something is wrong
         --> a.pkr.hcl:1:1
          |
        1 |
          | ^
          |
          = help: mend it
        "#);
        insta::assert_snapshot!(rendered("a = \r\n", &[(4..6, "here")]), @r#"
        error: something is wrong
         --> a.pkr.hcl:1:5
          |
        1 | a = 
          |     ^ here
          |
          = help: mend it
        "#);
        insta::assert_snapshot!(rendered("a {\n  b = 1\n}", &[(0..13, "this block")]), @r#"
        error: something is wrong
         --> a.pkr.hcl:1:1
          |
        1 | a {
          | ^^^ this block
          |
          = help: mend it
        "#);
    }

    #[test]
    fn two_files_render_one_after_the_other() {
        let mut sources = Sources::new();
        let first = sources.add("a.pkr.hcl", "x = 1\n");
        let second = sources.add("b.pkr.hcl", "\n\nx = 2");
        let diagnostic = Diagnostic::error("`x` is set twice")
            .at(SourceSpan::new(second, 2..3))
            .note(SourceSpan::new(first, 0..1), "first here");
        insta::assert_snapshot!(diagnostic.render(&sources, Colours::Off), @r#"
        error: `x` is set twice
         --> b.pkr.hcl:3:1
          |
        3 | x = 2
          | ^
          |
         ::: a.pkr.hcl:1:1
          |
        1 | x = 1
          | - first here
        "#);
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_renders(
            text in "[a\u{e9}\u{1f469}\t\r\n{}]{0,20}",
            spans in prop::collection::vec((0usize..90, 0usize..90), 0..4),
        ) {
            let ranges: Vec<_> = spans.into_iter().map(|(a, b)| (a..b, "label")).collect();
            prop_assert!(rendered(&text, &ranges).contains("something is wrong"));
        }
    }
}
