//! The JSON display: one object a line for each event, as `docs/events.md` describes it.

use super::{Clock, View};
use crate::build::event::Event;
use serde::Serialize;
use std::io::Write;

pub(super) struct Json {
    output: Box<dyn Write + Send>,
    clock: Clock,
    /// Kept from line to line to save the allocation.
    line: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'e> {
    time: String,
    #[serde(flatten)]
    event: &'e Event,
}

impl Json {
    pub(super) fn new(output: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self {
            output,
            clock,
            line: Vec::new(),
        }
    }
}

impl View for Json {
    fn show(&mut self, event: Event) {
        let line = Line {
            // RFC 3339 in UTC, always with milliseconds so that times sort as texts.
            time: format!("{:.3}", (self.clock)()),
            event: &event,
        };
        self.line.clear();
        // Nothing here can fail: keys are texts, and memory takes all that is written.
        if serde_json::to_writer(&mut self.line, &line).is_ok() {
            self.line.push(b'\n');
            super::write(&mut *self.output, &self.line);
        }
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use crate::ui::Progress;
    use crate::ui::sample_events::{every_event, output, place, two_builds};
    use crate::ui::testing::shown;
    use std::collections::BTreeSet;

    const DOCUMENTATION: &str = include_str!("../../docs/events.md");

    #[test]
    fn each_event_is_a_line() {
        insta::assert_snapshot!(shown(Progress::Json, two_builds()), @r"");
    }

    #[test]
    fn any_line_of_output_stays_one_line_of_json() {
        let line = "\x1b[1m\"quoted\"\\\n\u{2028}\0\u{feff}";
        let shown = shown(Progress::Json, vec![output(place(1), line)]);
        assert_eq!(shown.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&shown).expect("valid JSON");
        assert_eq!(json["line"], line);
    }

    /// The sections of the documentation: the name of an event and the text below it.
    fn sections() -> Vec<(&'static str, &'static str)> {
        let sections = DOCUMENTATION.split("\n### `").skip(1);
        sections
            .map(|section| section.split_once('`').expect("a heading ends in `"))
            .collect()
    }

    #[test]
    fn the_documentation_lists_every_event_with_an_example() {
        let lines = shown(Progress::Json, every_event());
        assert_eq!(lines.lines().count(), sections().len());
        for (line, (name, section)) in lines.lines().zip(sections()) {
            let json: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
            assert_eq!(
                json["event"], name,
                "sections stand in the order of the events"
            );
            assert!(
                section.contains(&format!("```json\n{line}\n```")),
                "the example of {name} must be\n{line}"
            );
        }
    }

    #[test]
    fn the_documentation_lists_every_field() {
        let lines = shown(Progress::Json, every_event());
        for (line, (name, section)) in lines.lines().zip(sections()) {
            let json: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
            let fields = json.as_object().expect("an event is an object");
            let expected: BTreeSet<&str> = fields
                .keys()
                .map(String::as_str)
                .filter(|field| !["time", "event"].contains(field))
                .collect();
            let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
            let listed: BTreeSet<&str> = rows
                .filter_map(|row| row.split_once('`'))
                .map(|(field, _)| field)
                .filter(|field| !field.contains('.'))
                .collect();
            assert_eq!(listed, expected, "fields of {name}");
        }
    }
}
