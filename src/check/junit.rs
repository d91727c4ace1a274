//! JUnit XML, as Jenkins and GitLab read it: a suite for each build, a case for each test.
//!
//! XML 1.0 cannot write every character, not even as a reference; what it cannot write becomes U+FFFD.

use super::result::{Outcome, TestResult};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Writes the results of each suite. `time` is when the run began, in RFC 3339.
pub fn document(suites: &BTreeMap<String, Vec<TestResult>>, time: &str) -> String {
    let all = || suites.values().flatten();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "<testsuites name=\"hardtack\" {}>",
        totals(all(), false)
    );
    // XML Schema's dateTime, without a fraction and a zone.
    let time = time.get(..19).unwrap_or(time);
    for (name, results) in suites {
        let name = attribute(name);
        let totals = totals(results.iter(), true);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" {totals} timestamp=\"{}\">",
            attribute(time)
        );
        for result in results {
            write_case(&mut text, &name, result);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// The counts that suites have; the outermost element has no `skipped`.
fn totals<'r>(results: impl Iterator<Item = &'r TestResult>, has_skipped: bool) -> String {
    let (mut tests, mut failures, mut skipped, mut seconds) = (0, 0, 0, 0.0);
    for result in results {
        tests += 1;
        failures += usize::from(result.has_failed());
        skipped += usize::from(matches!(result.outcome, Outcome::Skipped { .. }));
        seconds += result.seconds;
    }
    let mut text = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"");
    if has_skipped {
        let _ = write!(text, " skipped=\"{skipped}\"");
    }
    let _ = write!(text, " time=\"{seconds:.3}\"");
    text
}

fn write_case(text: &mut String, suite: &str, result: &TestResult) {
    let _ = write!(
        text,
        "    <testcase name=\"{}\" classname=\"{suite}\" time=\"{:.3}\"",
        attribute(&result.name),
        result.seconds
    );
    match &result.outcome {
        Outcome::Passed | Outcome::Cached => text.push_str("/>\n"),
        Outcome::Skipped { reason } => {
            let reason = attribute(reason);
            let _ = writeln!(
                text,
                ">\n      <skipped message=\"{reason}\"/>\n    </testcase>"
            );
        }
        Outcome::Failed { failures, output } => {
            let message = match failures.as_slice() {
                [one] => format!(
                    "{}: expected {}, found {}",
                    one.check, one.expected, one.found
                ),
                several => format!("{} checks failed", several.len()),
            };
            let lines: Vec<String> = failures.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                ">\n      <failure message=\"{}\" type=\"check\">{}</failure>",
                attribute(&message),
                content(&lines.join("\n"))
            );
            if !output.is_empty() {
                let output = content(&output.join("\n"));
                let _ = writeln!(text, "      <system-out>{output}</system-out>");
            }
            text.push_str("    </testcase>\n");
        }
    }
}

/// A text between tags.
fn content(text: &str) -> String {
    escape(text, false)
}

/// A text in double quotes, where readers would turn line feeds and tabs into spaces.
fn attribute(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, in_attribute: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            // Between tags only in `]]>`, but then it must be.
            '>' => escaped.push_str("&gt;"),
            '"' if in_attribute => escaped.push_str("&quot;"),
            '\t' | '\n' if !in_attribute => escaped.push(character),
            // Readers would make a line feed of a carriage return.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            // XML 1.0, section 2.2, "Characters".
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Failure;
    use proptest::prelude::*;

    fn result(name: &str, outcome: Outcome) -> TestResult {
        TestResult {
            name: name.to_owned(),
            outcome,
            seconds: 0.25,
        }
    }

    #[test]
    fn suites_and_cases_are_written() {
        let failure = Failure {
            check: "stdout".to_owned(),
            expected: "something that matches \"<a & b>\"".to_owned(),
            found: "\"]]>\0\"".to_owned(),
            place: "web.pkr.hcl:12:3".to_owned(),
            message: String::new(),
        };
        let failed = Outcome::Failed {
            failures: vec![failure],
            output: vec!["one".to_owned(), "\x1b[1mtwo".to_owned()],
        };
        let skipped = Outcome::Skipped {
            reason: "--skip-tests".to_owned(),
        };
        let results = vec![
            result("runs", Outcome::Passed),
            result("says \"hello\"\nagain", failed),
            result("later", skipped),
        ];
        let suites = BTreeMap::from([("web.oci.base".to_owned(), results)]);
        insta::assert_snapshot!(document(&suites, "2026-01-02T03:04:05.6Z"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="hardtack" tests="3" failures="1" errors="0" time="0.750">
          <testsuite name="web.oci.base" tests="3" failures="1" errors="0" skipped="1" time="0.750" timestamp="2026-01-02T03:04:05">
            <testcase name="runs" classname="web.oci.base" time="0.250"/>
            <testcase name="says &quot;hello&quot;&#10;again" classname="web.oci.base" time="0.250">
              <failure message="stdout: expected something that matches &quot;&lt;a &amp; b&gt;&quot;, found &quot;]]&gt;�&quot;" type="check">stdout: expected something that matches "&lt;a &amp; b&gt;", found "]]&gt;�" (web.pkr.hcl:12:3)</failure>
              <system-out>one
        �[1mtwo</system-out>
            </testcase>
            <testcase name="later" classname="web.oci.base" time="0.250">
              <skipped message="--skip-tests"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
        let none = document(&BTreeMap::new(), "");
        assert!(none.contains("tests=\"0\"") && !none.contains("<testsuite "));
    }

    proptest! {
        #[test]
        fn only_characters_of_xml_are_written(text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]|[<>&\"\u{fffe}\u{ffff}]){0,40}") {
            let is_allowed = |it: char| matches!(it, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            for escaped in [content(&text), attribute(&text)] {
                prop_assert!(escaped.chars().all(is_allowed));
                prop_assert!(!escaped.contains(['<', '>']));
            }
            prop_assert!(!attribute(&text).contains(['"', '\n', '\t', '\r']));
        }
    }
}
